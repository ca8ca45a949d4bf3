//! The admin listener, and metrics on the public one.

use crate::support::{MUSTER, Server, send, try_send};
use std::net::TcpListener;
use std::process::Command;

#[test]
fn metrics_are_served_on_the_admin_listener_only() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let bearer = format!("Bearer {key}");
    // The OpenAPI document does not describe the admin listener, so these responses are not compared with it.
    let at = |address: &str, target: &str| {
        try_send(address, "GET", target, &[("Authorization", &bearer)], b"").expect("an answer")
    };
    assert_eq!(at(&server.admin, "/healthz").body, "alive\n");
    assert_eq!(at(&server.admin, "/readyz").body, "ready\n");
    let metrics = at(&server.admin, "/metrics");
    assert!(metrics.status == 200 && metrics.body.contains("muster_store_commits"), "{metrics:?}");
    for target in ["/request/role", "/scim/v2/Users", "/openapi.json", "/docs", "/t/1/sign-in", "/v1/imports", "/"] {
        assert_eq!(at(&server.admin, target).status, 404, "{target}");
    }
    assert_eq!(send(&server.admin, "POST", "/metrics", &[], b"x").status, 405);
    assert_eq!(at(&server.address, "/metrics").status, 404, "a connection's key grants no access to metrics");
    assert_eq!(at(&server.address, "/healthz").status, 200);
    assert_eq!(at(&server.address, "/readyz").status, 200);
}

#[test]
fn metrics_on_the_public_listener_require_the_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "a-token-of-24-characters\n").expect("written");
    let server = Server::start(&["--metrics-token-file", file.to_str().expect("text"), "--admin-listen", "none"]);
    assert_eq!(server.admin, "");
    let at = |authorization: &str| send(&server.address, "GET", "/metrics", &[("Authorization", authorization)], b"");
    let right = at("Bearer a-token-of-24-characters");
    assert!(right.status == 200 && right.body.contains("muster_store_commits"), "{right:?}");
    for wrong in
        ["", "Bearer", "Bearer a-token-of-24-character", "Basic a-token-of-24-characters", "a-token-of-24-characters"]
    {
        let reply = at(wrong);
        let sent = "Bearer realm=\"muster\", error=\"invalid_token\"";
        let challenge = if wrong.starts_with("Bearer ") { sent } else { "Bearer realm=\"muster\"" };
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(challenge)), "{wrong}");
        assert!(!reply.body.contains("muster_"), "{reply:?}");
    }
    assert!(!server.log().contains("a-token-of-24"));
}

/// The error of a `serve` that cannot start.
fn start_error(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("muster.db");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--store", store.to_str().expect("text")];
    let output = Command::new(MUSTER).args(serve).args(arguments).output().expect("ran");
    assert!(!output.status.success(), "{arguments:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_admin_port_in_use_is_an_error_only_if_it_was_set() {
    // If this fails, another process has the port, which is the same for this test.
    let held = TcpListener::bind("127.0.0.1:9095");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let said = start_error(&["--admin-listen", &address]);
    assert!(said.contains(&address) && said.contains("--admin-listen"), "{said}");
    let server = Server::start_with_default_ports(&["--listen", "127.0.0.1:0"]);
    assert_eq!(server.admin, "", "no admin listener");
    assert_eq!(send(&server.address, "GET", "/healthz", &[], b"").status, 200);
    assert!(server.log().contains("127.0.0.1:9095"), "{}", server.log());
    drop((held, taken));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    for (text, why) in [("short", "at least 16"), ("sixteen characters and spaces", "one word"), ("", "at least 16")] {
        std::fs::write(&file, text).expect("written");
        let said = start_error(&["--metrics-token-file", file.to_str().expect("text"), "--admin-listen", "none"]);
        assert!(said.contains(why) && (text.is_empty() || !said.contains(text)), "{said}");
    }
    let said = start_error(&["--metrics-token-file", "/nonexistent/token", "--admin-listen", "none"]);
    assert!(said.contains("/nonexistent/token"), "{said}");
}
