//! Work in progress ends when its connection is revoked or expires.

use crate::support::{HttpResponse, Server, TestApp, send};
use directory::{Actor, Caller, Client, Command, DirectoryError, UserQuery};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use testkit::waiting::{TIMEOUT, wait_for, wait_until};

fn send_request(server: &Server, key: &str, method: &str, target: &str, media: &str, body: &[u8]) -> HttpResponse {
    let bearer = format!("Bearer {key}");
    send(&server.address, method, target, &[("Authorization", &bearer), ("Content-Type", media)], body)
}

fn parse_json(reply: &HttpResponse) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{}", reply.body))
}

/// In 0.1.0, an import made 83,433 more changes after its connection was revoked.
#[test]
fn an_import_stops_when_its_connection_is_revoked() {
    let server = Server::start(&[]);
    let (tenant, _) = server.create_tenant(&[]);
    let looking = server.create_connection(tenant, "looking", &["--dialect", "transfer"]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    let mut file = String::from("email,groups\n");
    (0..60_000).for_each(|n| writeln!(file, "p{n}@x.y,G{}", n % 3).expect("written"));
    let reply = send_request(&server, &key, "POST", "/v1/imports", "text/csv", file.as_bytes());
    assert_eq!(reply.status, 202, "{}", reply.body);
    let target = format!("/v1/imports/{}", parse_json(&reply)["id"].as_str().expect("an id"));
    let job = || parse_json(&send_request(&server, &looking, "GET", &target, "", b""));
    wait_until("rows to be done", || job()["rowsDone"].as_u64().is_some_and(|rows| rows > 0));
    server.run_json(&["connection", "revoke", "files"]);
    let job = wait_for("the import to end", || Some(job()).filter(|job| !job["ended"].is_null()));
    assert_eq!(job["status"], "failed", "{job}");
    let why = job["error"].as_str().expect("a reason");
    assert!(why.contains("revoked") && why.contains("are kept"), "{why}");
    assert!(job["rowsDone"].as_u64().expect("a number") < 60_000, "{job}");
    let total = || server.run_json(&["user", "list", "--limit", "1"])["total"].clone();
    let at_the_end = total();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(total(), at_the_end, "no more changes");
}

/// The key was valid when the request began.
#[test]
fn work_stops_when_its_connection_expires_or_loses_its_dialect() {
    crate::support::runtime().block_on(async {
        let test_app = TestApp::with_manual_clock();
        let caller = test_app.create_tenant("Acme").await;
        let expires = test_app.directory().now().plus_seconds(60);
        test_app.create_key(&caller, "expiring", |new| new.expires = Some(expires)).await;
        let connections = test_app.directory().connections(&caller).await.expect("read");
        let (id, dialect) = (connections[0].id, connections[0].dialects[0].clone());
        let client = Client { id, name: "expiring".into(), highest_role: 2, user: None, dialect };
        let working = Caller::new(caller.tenant, Actor::Connection(client.clone()));
        let ended = Err(DirectoryError::ConnectionEnded);
        let look = || test_app.directory().find_users(&working, UserQuery::default());
        assert!(look().await.is_ok());
        let client = Client { dialect: "transfer".into(), ..client };
        let elsewhere = Caller::new(caller.tenant, Actor::Connection(client));
        assert_eq!(test_app.directory().find_users(&elsewhere, UserQuery::default()).await, ended);
        test_app.advance_clock(61);
        assert_eq!(look().await, ended);
        let add = Command::AddDepartment { name: "Sales".into(), number: None };
        assert_eq!(test_app.directory().run(&working, add).await.map(|_| ()), Err(DirectoryError::ConnectionEnded));
    });
}

#[test]
fn a_bulk_request_stops_when_its_connection_is_revoked() {
    let server = Server::start(&[]);
    let (_, key) = server.create_tenant(&["--dialect", "scim"]);
    let operation = |n: u32| {
        serde_json::json!({"method": "POST", "path": "/Users", "bulkId": n.to_string(),
            "data": {"userName": format!("u{n}@x.y"), "password": "vier rote fische"}})
    };
    let operations: Vec<Value> = (0..1000).map(operation).collect();
    let body = serde_json::json!({"Operations": operations}).to_string();
    let total = || server.run_json(&["user", "list", "--limit", "1"])["total"].as_u64().expect("a number");
    let reply = std::thread::scope(|scope| {
        let bulk =
            scope.spawn(|| send_request(&server, &key, "POST", "/scim/v2/Bulk", "application/json", body.as_bytes()));
        wait_until("operations to be done", || total() > 2);
        server.run_json(&["connection", "revoke", "main"]);
        bulk.join().expect("answered")
    });
    let answer = parse_json(&reply);
    let statuses: Vec<&str> = answer["Operations"]
        .as_array()
        .expect("operations")
        .iter()
        .filter_map(|done| done["status"].as_str())
        .collect();
    let done = statuses.iter().filter(|status| **status == "201").count();
    assert!((1..1000).contains(&done), "{done}");
    assert!(statuses[done..].iter().all(|status| *status == "401"), "{statuses:?}");
    assert_eq!(total(), done as u64);
}

#[test]
fn an_export_is_aborted_when_its_connection_is_revoked() {
    let server = Server::start(&["--body-timeout", "600"]);
    let (tenant, _) = server.create_tenant(&[]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    server.import_large_users(3_000);
    let mut stream = TcpStream::connect(&server.address).expect("connected");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    let head = format!(
        "GET /v1/exports/people.ndjson HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    let mut first = [0; 1000];
    stream.read_exact(&mut first).expect("the first bytes");
    assert!(first.starts_with(b"HTTP/1.1 200"));
    server.run_json(&["connection", "revoke", "files"]);
    wait_until("the key to stop working", || send_request(&server, &key, "GET", "/v1/imports", "", b"").status == 401);
    let mut rest = Vec::new();
    // The server aborts the response, which may appear as a reset.
    let _ = stream.read_to_end(&mut rest);
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the export is complete");
    assert!(rest.len() < 30_000_000, "{} bytes", rest.len());
}
