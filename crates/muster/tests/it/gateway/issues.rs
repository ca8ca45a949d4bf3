//! Users that a target rejects: listed with the cause, excluded, included again, and pushed when they change.

use super::raw_target::{RawTarget, respond};
use super::record::create_user;
use super::support::{add_target, scim, server, status, wait_for};
use crate::support::{Server, run_json, send};
use serde_json::{Value, json};
use std::time::Duration;

fn wait_for_status(server: &Server, pointer: &str, expected: u64) {
    wait_for(&format!("{pointer} {expected}"), || {
        let status = status(server.store(), "target");
        if status.pointer(pointer).and_then(Value::as_u64) == Some(expected) { Ok(()) } else { Err(status) }
    });
}

#[test]
fn rejected_users_are_listed_excluded_and_included_again() {
    let target = RawTarget::start(|request, stream| {
        let head = "200 OK\r\nContent-Type: application/scim+json";
        if request.starts_with("GET") {
            return respond(stream, head, json!({"totalResults": 0, "Resources": []}).to_string().as_bytes());
        }
        let body = json!({"status": "400", "detail": "the department is unknown"}).to_string();
        respond(stream, "400 Bad Request\r\nContent-Type: application/scim+json", body.as_bytes())
    });
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let url = format!("http://{}/", target.address);
    add_target(&server, "target", "scim", &url, "credential-of-the-target", &[]);
    for name in ["ann", "bob"] {
        create_user(&server.address, &key, &format!("{name}@example.com"));
    }
    wait_for_status(&server, "/failed/rejected", 2);
    let issues = run_json(server.store(), &["target", "issues", "target", "--tenant", "1"]);
    let issues = issues.as_array().expect("a list");
    assert!(
        issues.iter().all(|it| it["cause"] == "rejected" && it["detail"] == "400 the department is unknown"),
        "{issues:?}"
    );
    let names: Vec<&Value> = issues.iter().map(|issue| &issue["userName"]).collect();
    assert_eq!(names, ["ann@example.com", "bob@example.com"]);

    let issue = |command: &str, flags: &[&str]| {
        run_json(server.store(), &[&["target", "issue", command, "target", "--tenant", "1"], flags].concat())
    };
    assert_eq!(issue("exclude", &["--cause", "rejected"])["excluded"], 2);
    wait_for_status(&server, "/excluded", 2);
    // A change of an excluded user is not sent.
    let before = target.requests().len();
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let change = |title: &str| {
        let body = json!({"user": {"email": "ann@example.com", "name": {"firstname": "A"}, "jobtitle": title}});
        let reply = send(&server.address, "PUT", "/api/2/users/ann@example.com", &headers, body.to_string().as_bytes());
        assert_eq!(reply.status, 200, "{}", reply.body);
    };
    change("first");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(target.requests().len(), before);
    assert_eq!(issue("retry", &["--cause", "excluded"])["retried"], 2);
    wait_for_status(&server, "/failed/rejected", 2);
    // A change of a rejected user is sent at once, and counts anew.
    let before = target.requests().len();
    change("second");
    wait_for("another attempt", || if target.requests().len() > before { Ok(()) } else { Err("none") });
    wait_for_status(&server, "/failed/rejected", 2);
    let issues = run_json(server.store(), &["target", "issues", "target", "--tenant", "1"]);
    assert_eq!(issues[0]["attempts"], 1, "{issues}");
    // A user can be excluded before the first push. Inactive ones are not pushed.
    let boss = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "boss@example.com", "active": false,
    });
    let boss = scim(&server, &key, "POST", "/scim/v2/Users", &boss);
    assert_eq!(issue("exclude", &["--user", "boss@example.com"])["excluded"], 1);
    let activate = json!({"Operations": [{"op": "replace", "path": "active", "value": true}]});
    scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{}", boss["id"].as_str().expect("an id")), &activate);
    create_user(&server.address, &key, "last@example.com");
    wait_for_status(&server, "/failed/rejected", 3);
    assert!(target.requests().iter().all(|request| !request.contains("boss@example.com")));
    // A deleted user is found by the id that the list shows.
    server.run_json(&["user", "delete", "bob@example.com", "--tenant", "1"]);
    let bob = issues[1]["user"].as_str().expect("an id");
    assert_eq!(issue("exclude", &["--user", bob])["excluded"], 1);
    // An id of nobody, or of another tenant's user.
    let other = issue("exclude", &["--user", "0f0e0d0c-0b0a-4908-8706-050403020100"]);
    assert!(other["error"].as_str().is_some_and(|error| error.contains("there is no user")), "{other}");
}
