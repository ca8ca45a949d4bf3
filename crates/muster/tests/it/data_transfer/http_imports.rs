//! Imports and exports over HTTP.

use crate::support::{HttpResponse, Server, send};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use testkit::waiting::{wait_for, wait_until};

fn send_request(server: &Server, key: &str, method: &str, target: &str, media: &str, body: &[u8]) -> HttpResponse {
    let bearer = format!("Bearer {key}");
    send(&server.address, method, target, &[("Authorization", &bearer), ("Content-Type", media)], body)
}

fn json(reply: &HttpResponse) -> Value {
    serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{}", reply.body))
}

/// Waits for an import to end.
fn wait_until_ended(server: &Server, key: &str, id: &str) -> Value {
    wait_for("the import to end", || {
        let job = json(&send_request(server, key, "GET", &format!("/v1/imports/{id}"), "", b""));
        (!job["ended"].is_null()).then_some(job)
    })
}

fn post_import(server: &Server, key: &str, query: &str, media: &str, body: &[u8]) -> String {
    let reply = send_request(server, key, "POST", &format!("/v1/imports{query}"), media, body);
    assert_eq!(reply.status, 202, "{}", reply.body);
    let id = json(&reply)["id"].as_str().expect("an id").to_owned();
    assert!(reply.header("location").is_some_and(|place| place.ends_with(&format!("/v1/imports/{id}"))));
    id
}

#[test]
fn files_are_imported_and_exported() {
    let server = Server::start(&[]);
    let (tenant, user_api_key) = server.create_tenant(&[]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    let reader = server.create_connection(tenant, "reader", &["--dialect", "transfer", "--read-only"]);
    let file = "e-mail,first name,groups\nann@x.y,Ann,Sales\nno e-mail,Bob,\n\"carl@x.y\",\"=1+1\",Sales\n";
    let id = post_import(&server, &key, "?dryRun=true", "text/csv", file.as_bytes());
    let dry_run = wait_until_ended(&server, &key, &id);
    assert_eq!((&dry_run["status"], &dry_run["report"]["people"]["created"]), (&"done".into(), &2.into()));
    assert_eq!(send_request(&server, &key, "GET", &format!("/v1/imports/{id}/refused"), "", b"").status, 404);
    let id = post_import(&server, &key, "", "text/csv", file.as_bytes());
    let job = wait_until_ended(&server, &key, &id);
    // The group, which the rows name.
    assert_eq!(job["report"]["made"], 1);
    assert_eq!((&job["rows"], &job["rowsDone"]), (&3.into(), &3.into()));
    assert_eq!(job["report"]["refusals"]["first"][0]["row"], 3);
    let refused = send_request(&server, &key, "GET", &format!("/v1/imports/{id}/refused"), "", b"");
    assert!(refused.body.contains("no e-mail,Bob"), "{}", refused.body);
    let out = send_request(
        &server,
        &reader,
        "GET",
        "/v1/exports/people.csv?kind=user&columns=email,givenName,groups",
        "",
        b"",
    );
    assert_eq!(out.status, 200, "{}", out.body);
    assert!(
        out.body.contains("ann@x.y,Ann,Sales\r\n") && out.body.contains("carl@x.y,'=1+1,Sales\r\n"),
        "{}",
        out.body
    );
    let all = send_request(&server, &key, "GET", "/v1/exports/everything.ndjson", "", b"");
    assert_eq!(all.body.matches("\"kind\":\"user\"").count(), 2);
    assert_eq!(all.header("content-type"), Some("application/x-ndjson"));
    let list = json(&send_request(&server, &key, "GET", "/v1/imports", "", b""));
    assert_eq!(list["imports"].as_array().expect("a list").len(), 2);

    // Missing permissions and invalid requests.
    for (key, method, target, status) in [
        ("nobody", "POST", "/v1/imports", 401),
        (&user_api_key, "GET", "/v1/imports", 403),
        (&reader, "POST", "/v1/imports?format=csv", 403),
        (&reader, "GET", &format!("/v1/imports/{id}/refused"), 403),
        (&key, "POST", "/v1/imports?format=csv&dryrn=true", 400),
        (&key, "POST", "/v1/imports?format=csv&sheet=Users", 400),
        (&key, "GET", "/v1/exports/users.xlsx?excel=true", 400),
        (&key, "POST", "/v1/imports?format=pdf", 400),
        (&key, "GET", "/v1/imports/no-id", 404),
        (&key, "GET", "/v1/exports/people.pdf", 400),
        (&key, "GET", "/v1/exports/people.csv?columns=passwordHash", 400),
        (&key, "DELETE", "/v1/exports/people.csv", 405),
    ] {
        let reply = send_request(&server, key, method, target, "text/csv", b"email\nx@x.y\n");
        assert_eq!(reply.status, status, "{method} {target}: {}", reply.body);
        assert!(json(&reply)["error"].is_string());
    }
    let empty = send_request(&server, &key, "POST", "/v1/imports", "text/csv", b"");
    assert_eq!(empty.status, 400, "{}", empty.body);
    let other = server.run_json(&["tenant", "add", "Other"])["number"].as_u64().expect("a number");
    let foreign = server.create_connection(other, "files", &["--dialect", "transfer"]);
    assert_eq!(send_request(&server, &foreign, "GET", &format!("/v1/imports/{id}"), "", b"").status, 404);
    assert_eq!(json(&send_request(&server, &foreign, "GET", "/v1/imports", "", b""))["imports"], serde_json::json!([]));
    let nothing = send_request(&server, &foreign, "GET", "/v1/exports/people.csv?kind=user&columns=email", "", b"");
    assert_eq!(nothing.body, "email\r\n");
    let broken = post_import(&server, &key, "", "text/csv", b"email,first\na@x.y\n");
    let job = wait_until_ended(&server, &key, &broken);
    assert_eq!(job["status"], "failed");
    assert!(job["error"].as_str().is_some_and(|error| error.starts_with("row 2: the row has 1 cells")), "{job}");
}

fn user_rows(name: &str, many: u32) -> Vec<u8> {
    let mut file = String::from("email,groups\n");
    for n in 0..many {
        writeln!(file, "{name}p{n}@x.y,G{}", n % 3).expect("written");
    }
    file.into_bytes()
}

fn stored_files(server: &Server, ending: &str) -> usize {
    let folder = Path::new(&server.data_dir()).join("imports");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter(|file| file.path().extension().is_some_and(|end| end == ending)).count()
}

#[test]
fn canceled_imports_stay_canceled() {
    let server = Server::start(&[]);
    let (tenant, _) = server.create_tenant(&[]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    let first = post_import(&server, &key, "", "text/csv", &user_rows("a", 30_000));
    let second = post_import(&server, &key, "", "text/csv", &user_rows("b", 30_000));
    for id in [&first, &second] {
        let reply = send_request(&server, &key, "DELETE", &format!("/v1/imports/{id}"), "", b"");
        assert_eq!(reply.status, 200, "{}", reply.body);
    }
    // Also if the server is killed before it has noticed the cancellation.
    let server = Server::start_on(server.kill(), &[]);
    for id in [first, second] {
        let job = wait_until_ended(&server, &key, &id);
        assert_eq!(job["status"], "calledOff", "{job}");
        let again = send_request(&server, &key, "DELETE", &format!("/v1/imports/{id}"), "", b"");
        assert_eq!(json(&again)["status"], "calledOff", "an ended import cannot be canceled");
    }
    assert!(server.run_json(&["user", "list", "--limit", "1"])["total"].as_u64().expect("a number") < 30_000);
    // `.off` marks a canceled import.
    assert_eq!((stored_files(&server, "data"), stored_files(&server, "off")), (0, 0));
}

#[test]
fn incomplete_uploads_leave_nothing() {
    let server = Server::start(&[]);
    let (tenant, _) = server.create_tenant(&[]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    let mut stream = TcpStream::connect(&server.address).expect("connected");
    let head = format!(
        "POST /v1/imports HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\n\
         Content-Length: 1000\r\n\r\nemail\r\na@x.y\r\n"
    );
    stream.write_all(head.as_bytes()).expect("sent");
    wait_until("the received part to be written", || stored_files(&server, "data") > 0);
    let list = || json(&send_request(&server, &key, "GET", "/v1/imports", "", b""))["imports"].clone();
    assert_eq!(list(), serde_json::json!([]), "incomplete uploads are not listed");
    drop(stream);
    wait_until("the files of the incomplete upload to be removed", || {
        stored_files(&server, "data") + stored_files(&server, "json") == 0
    });
    assert_eq!(list(), serde_json::json!([]));
}

/// Accepted imports run even if the server is killed and restarted.
#[test]
fn accepted_imports_run_after_a_kill() {
    let mut server = Server::start(&[]);
    let (tenant, _) = server.create_tenant(&[]);
    let key = server.create_connection(tenant, "files", &["--dialect", "transfer"]);
    let mut ids = Vec::new();
    for round in 0..4 {
        ids.push(post_import(&server, &key, "", "text/csv", &user_rows(&format!("r{round}"), 400)));
        std::thread::sleep(Duration::from_millis(60 * round));
        server = Server::start_on(server.kill(), &[]);
    }
    for id in ids {
        let job = wait_until_ended(&server, &key, &id);
        let people = &job["report"]["people"];
        // Users who were created before the kill are unchanged (`left`) in the run after it.
        assert_eq!(people["created"].as_u64().zip(people["left"].as_u64()).map(|(a, b)| a + b), Some(400), "{job}");
    }
    assert_eq!(server.run_json(&["user", "list", "--limit", "1"])["total"], 1600);
    assert_eq!(stored_files(&server, "data"), 0, "the uploaded file is deleted");
}
