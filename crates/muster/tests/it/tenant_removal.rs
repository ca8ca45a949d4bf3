//! `muster tenant delete` while a server runs: deletes all data of one tenant and none of others.

use crate::support::{MUSTER, Server, send};
use serde_json::json;
use std::process::Command;
use testkit::waiting::wait_until;

#[test]
fn removing_a_tenant_keeps_the_others() {
    let server = Server::start(&[]);
    let ((gone, key), (stays, other)) = (server.create_tenant(&[]), server.create_tenant(&[]));
    let ask = |method: &str, path: &str, key: &str, body: &str| {
        let bearer = format!("Bearer {key}");
        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
        send(&server.address, method, path, &headers, body.as_bytes())
    };
    for key in [&key, &other] {
        for name in ["ann", "bob"] {
            let email = format!("{name}@x.example");
            let password = "four red fish in a pond";
            let user = json!({"userName": email, "emails": [{"value": email}], "password": password});
            assert_eq!(ask("POST", "/scim/v2/Users", key, &user.to_string()).status, 201);
        }
        let organisation = r#"{"organisation":{"name":"Works"}}"#;
        assert_eq!(ask("POST", "/api/2/organisations", key, organisation).status, 200);
        let group = r#"{"group":{"name":"Analysts","users":["ann@x.example"]}}"#;
        assert_eq!(ask("POST", "/api/2/groups", key, group).status, 200);
    }
    let number = gone.to_string();
    server.run_json(&["user", "delete", "bob@x.example", "--tenant", &number]);
    let remove = |arguments: &[&str]| {
        let command = [&["tenant", "delete", &number, "--store", server.store()], arguments].concat();
        let output = Command::new(MUSTER).args(command).output().expect("ran");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Without --yes it lists what would be deleted and does nothing.
    let (code, said) = remove(&[]);
    assert!(code == Some(1) && said.contains("its users (1)") && said.contains("--yes"), "{said}");
    assert_eq!(ask("GET", "/scim/v2/Users", &key, "").status, 200);
    assert_eq!(remove(&["--yes"]), (Some(0), String::new()));
    wait_until("the key to stop working", || ask("GET", "/scim/v2/Users", &key, "").status == 401);
    assert!(ask("GET", "/scim/v2/Users", &other, "").body.contains("bob@x.example"), "the other tenant is unchanged");
    let page = |tenant: u64| send(&server.address, "GET", &format!("/t/{tenant}/sign-in"), &[], b"").status;
    let unknown = page(99);
    assert_eq!((page(gone), page(stays)), (unknown, 200));
    let tenants = server.run_json(&["tenant", "list"]);
    assert_eq!(tenants, json!([{"number": stays, "name": "Acme"}]));
    for command in [["user", "list"], ["connection", "add"], ["tenant", "show"]] {
        let name = if command[0] == "connection" { vec!["again", "--dialect", "scim"] } else { Vec::new() };
        let said = server.run_json(&[&command[..], &name, &["--tenant", &number]].concat());
        assert!(said["error"].as_str().is_some_and(|error| error.contains("there is no tenant")), "{said}");
    }
    // The history is kept, and the number is not reused.
    let history = server.run_json(&["audit", "show", "--tenant", &number, "--kind", "user"]);
    assert!(history.as_array().is_some_and(|events| events.len() >= 4), "{history}");
    assert_eq!(server.run_json(&["check"])["sound"], true);
    let taken = server.run_json(&["tenant", "add", "New", "--number", &number]);
    assert!(taken["error"].is_string(), "{taken}");
    assert!(server.run_json(&["tenant", "add", "Another"])["number"].as_u64().expect("a number") > stays);
    // Deleting again does nothing.
    let again = server.run_json(&["tenant", "delete", &number, "--yes"]);
    assert_eq!((&again["users"], &again["connections"]), (&json!(0), &json!(0)), "{again}");
}
