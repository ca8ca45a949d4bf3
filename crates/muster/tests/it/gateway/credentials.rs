//! How requests to targets are authenticated: OAuth with a secret or a private key, HTTP Basic, and keys that are replaced.
//! The target is another Muster, which checks them, or a server that records what it gets.

use super::raw_target::{RawTarget, respond};
use super::record::create_user;
use super::support::{add_target, server, status, wait_for, wait_until_linked};
use crate::support::{Server, run_json, run_output};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

/// A server with a target, which is a second server.
struct Fixture {
    server: Server,
    key: String,
    downstream: Server,
}

impl Fixture {
    fn new() -> Self {
        // Assertions name the endpoint by its public URL.
        let listen = format!("127.0.0.1:{}", testkit::postgres::free_port());
        let public_url = format!("http://{listen}");
        let downstream = Server::start(&["--listen", &listen, "--public-url", &public_url]);
        downstream.run_json(&["tenant", "add", "Downstream"]);
        let server = server();
        let key = server.create_connection(1, "hr", &[]);
        Self { server, key, downstream }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.server.data_dir().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    }

    fn add_target(&self, name: &str, key: &str, flags: &[&str]) {
        let url = format!("http://{}/scim/v2", self.downstream.address);
        add_target(&self.server, name, "scim", &url, key, flags);
    }

    fn create_user(&self, name: &str) {
        create_user(&self.server.address, &self.key, &format!("{name}@example.com"));
    }

    fn set_key(&self, target: &str, key: &str, flags: &[&str]) {
        let file = self.file("new-key", key);
        let set = ["target", "key", target, "--tenant", "1", "--key-file", &file];
        run_json(self.server.store(), &[&set[..], flags].concat());
    }

    /// A connection of the second server, with its id and key.
    fn connection(&self, name: &str, flags: &[&str]) -> (String, String) {
        let add = ["connection", "add", name, "--tenant", "1", "--dialect", "scim"];
        let added = run_json(self.downstream.store(), &[&add[..], flags].concat());
        let text = |name: &str| added[name].as_str().unwrap_or_else(|| panic!("{added}")).to_owned();
        (text("id"), text("key"))
    }

    fn arrived(&self) -> Vec<String> {
        let users = run_json(self.downstream.store(), &["user", "list", "--tenant", "1"]);
        let users = users["users"].as_array().expect("a list");
        users.iter().map(|user| user["userName"].as_str().expect("a name").to_owned()).collect()
    }

    fn wait_for_arrival(&self, name: &str) {
        let name = format!("{name}@example.com");
        wait_for(&name, || {
            let arrived = self.arrived();
            if arrived.contains(&name) { Ok(()) } else { Err(format!("{arrived:?}")) }
        });
    }
}

#[test]
fn oauth_tokens_are_fetched_with_a_secret_or_a_private_key() {
    let fixture = Fixture::new();
    let token_url = format!("http://{}/oauth2/token", fixture.downstream.address);
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let public_key = fixture.file("public-key.pem", &pair.public_key_pem());
    let (id, secret) = fixture.connection("secret", &[]);
    fixture.add_target("secret", &secret, &["--token-url", &token_url, "--client-id", &id]);
    fixture.create_user("first");
    wait_until_linked(fixture.server.store(), "secret", 1);
    run_json(fixture.server.store(), &["target", "pause", "secret", "--tenant", "1"]);
    let (id, _) = fixture.connection("assertion", &["--public-key", &public_key]);
    let flags = ["--token-url", token_url.as_str(), "--client-id", &id, "--private-key"];
    fixture.add_target("assertion", &pair.serialize_pem(), &flags);
    // The account is found by its external id.
    wait_until_linked(fixture.server.store(), "assertion", 1);
    fixture.create_user("second");
    fixture.wait_for_arrival("second");
}

#[test]
fn a_password_is_sent_as_http_basic() {
    let target = RawTarget::start(|_, stream| respond(stream, "401 Unauthorized", b""));
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    add_target(&server, "basic", "scim", &format!("http://{}/", target.address), "pass:word", &["--basic-user", "ann"]);
    create_user(&server.address, &key, "ann@example.com");
    let requests = wait_for("a request", || Some(target.requests()).filter(|all| !all.is_empty()).ok_or("none"));
    let expected = format!("authorization: Basic {}", STANDARD.encode("ann:pass:word"));
    assert!(requests[0].contains(&expected), "{}", requests[0]);
}

#[test]
fn a_new_key_replaces_the_current_one_once_it_works() {
    let fixture = Fixture::new();
    let (first_id, first) = fixture.connection("first", &[]);
    fixture.add_target("target", &first, &[]);
    fixture.create_user("a");
    fixture.wait_for_arrival("a");
    // A key that does not work, beside the current one.
    fixture.set_key("target", "not-a-key", &["--next"]);
    fixture.create_user("b");
    fixture.wait_for_arrival("b");
    let (_, second) = fixture.connection("second", &[]);
    fixture.set_key("target", &second, &["--next"]);
    fixture.create_user("c");
    fixture.wait_for_arrival("c");
    run_json(fixture.downstream.store(), &["connection", "revoke", &first_id, "--tenant", "1"]);
    std::thread::sleep(Duration::from_secs(2));
    fixture.create_user("d");
    fixture.wait_for_arrival("d");
    assert_eq!(fixture.arrived().len(), 4);
}

#[test]
fn a_target_that_rejects_its_key_gets_everything_after_a_new_one() {
    let fixture = Fixture::new();
    let (id, first) = fixture.connection("first", &[]);
    fixture.add_target("target", &first, &[]);
    fixture.create_user("a");
    fixture.wait_for_arrival("a");
    run_json(fixture.downstream.store(), &["connection", "revoke", &id, "--tenant", "1"]);
    // Keys are cached for a second.
    std::thread::sleep(Duration::from_secs(2));
    for name in ["b", "c", "d"] {
        fixture.create_user(name);
    }
    wait_for("a quarantine", || {
        let status = status(fixture.server.store(), "target");
        if status["quarantineReason"] == "it rejects the credentials" { Ok(()) } else { Err(status) }
    });
    let (_, second) = fixture.connection("second", &[]);
    fixture.set_key("target", &second, &[]);
    for name in ["b", "c", "d"] {
        fixture.wait_for_arrival(name);
    }
    wait_until_linked(fixture.server.store(), "target", 4);
    assert_eq!(status(fixture.server.store(), "target")["quarantinedSince"], Value::Null);
}

#[test]
fn a_new_url_needs_the_credential_again() {
    let fixture = Fixture::new();
    let (_, key) = fixture.connection("first", &[]);
    fixture.add_target("target", &key, &[]);
    let set = |flags: &[&str]| -> Output {
        run_output(fixture.server.store(), &[&["target", "set", "target", "--tenant", "1"], flags].concat())
    };
    let other = RawTarget::start(|_, stream| respond(stream, "401 Unauthorized", b""));
    let url = format!("http://{}/", other.address);
    let rejected = set(&["--url", &url, "--dial-allow", &other.address]);
    let text = String::from_utf8_lossy(&rejected.stdout) + String::from_utf8_lossy(&rejected.stderr);
    assert!(!rejected.status.success() && text.contains("--key-file"), "{text}");
    fixture.create_user("a");
    fixture.wait_for_arrival("a");
    assert_eq!(other.requests(), Vec::<String>::new());
    // There are accounts under the old URL, whose ids would mean other accounts under the new one.
    let key_file = fixture.file("other-key", "key-for-the-other-url");
    let rejected = set(&["--url", &url, "--dial-allow", &other.address, "--key-file", &key_file]);
    assert!(!rejected.status.success(), "{}", String::from_utf8_lossy(&rejected.stdout));
    assert_eq!(other.requests(), Vec::<String>::new());
}
