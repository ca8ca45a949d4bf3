//! Targets with the `ccs` API: the vendor's, which can only create, and Muster's.

use super::support::{Simulator, import_users, scim, server, status, wait_for, wait_until_linked};
use crate::support::Server;
use serde_json::{Value, json};

const USERS: u64 = 20;
const FEW_USERS: u64 = 10;

fn map(server: &Server, settings: &[&str]) -> Value {
    let mut arguments = vec!["target", "map", "target", "--tenant", "1"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    server.run_json(&arguments)
}

fn patch(path: &str, value: &Value) -> Value {
    let operation = json!({"op": "replace", "path": path, "value": value});
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]})
}

fn wait_for_failed(server: &Server, cause: &str, count: u64) {
    wait_for(cause, || {
        let status = status(server.store(), "target");
        if status["failed"][cause] == count { Ok(()) } else { Err(status) }
    });
}

fn account_with(simulator: &Simulator, email: &str) -> Value {
    let mut found = simulator.accounts();
    found.retain(|account| account["fields"]["email"] == email);
    assert_eq!(found.len(), 1, "{email}");
    found.remove(0)
}

/// The numbers of roles are the target's: without a mapping, no user gets one.
#[test]
fn the_api_of_the_vendor_gets_users_once_their_role_is_mapped() {
    let server = server();
    let simulator = Simulator::start("ccs", "");
    let key = server.create_connection(1, "hr", &[]);
    import_users(&server, 0..USERS);
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    wait_for_failed(&server, "incomplete", USERS);
    assert!(simulator.accounts().is_empty());
    let tested = server.run_json(&["target", "test", "target", "--tenant", "1"]);
    assert_eq!(tested["capabilities"]["createsOnly"], true, "{tested}");
    let mapped = map(&server, &["roleId={'Admin': 12}[role] or 11", "departmentId=3"]);
    assert_eq!(mapped["problems"], json!([]), "{mapped}");
    wait_until_linked(server.store(), "target", USERS);
    let account = account_with(&simulator, "u1@example.com");
    assert_eq!((&account["fields"]["roleId"], &account["fields"]["departmentId"]), (&json!(11), &json!(3)));
    assert_eq!(account["fields"].get("password"), None);
    // A change and a deactivation cannot be made: they become issues, and nothing is sent.
    let sent = simulator.requests().len();
    for (email, path, value) in [("u1", "name.familyName", json!("New")), ("u2", "active", json!(false))] {
        let filter = format!("/scim/v2/Users?filter=userName%20eq%20%22{email}%40example.com%22");
        let found = scim(&server, &key, "GET", &filter, &Value::Null);
        let path_of_user = format!("/scim/v2/Users/{}", found["Resources"][0]["id"].as_str().expect("an id"));
        scim(&server, &key, "PATCH", &path_of_user, &patch(path, &value));
    }
    wait_for_failed(&server, "unsupported", 2);
    assert_eq!(simulator.requests().len(), sent);
}

/// A lost answer to a create: it is repeated, since the target rejects duplicates.
#[test]
fn lost_answers_of_a_target_that_can_only_create_lead_to_one_account_each() {
    let faults = [
        "lose-answers = 0.2",
        "cut-answers = 0.2",
        "fail-after-work = 0.2",
        "login-page = 0.2",
        "lose-answers = 0.2\ntoo-many-requests = 0.2",
    ];
    let server = server();
    let mut simulators = Vec::new();
    for (number, fault) in faults.iter().enumerate() {
        let (name, simulator) = (format!("t{number}"), Simulator::start("ccs", &format!("seed = 5\n{fault}")));
        simulator.add_to(server.store(), &name, &["--rate", "0", "--timeout", "2"]);
        server.run_json(&["target", "map", &name, "--set", "roleId=2", "--tenant", "1"]);
        simulators.push((name, simulator));
    }
    import_users(&server, 0..FEW_USERS);
    for (name, simulator) in simulators {
        wait_until_linked(server.store(), &name, FEW_USERS);
        assert_eq!(simulator.accounts().len() as u64, FEW_USERS, "{name}");
    }
}

#[test]
fn the_api_of_muster_gets_changes_and_deletions() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("ccs-muster", "");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--on-delete", "delete"]);
    let tested = server.run_json(&["target", "test", "target", "--tenant", "1"]);
    let found = &tested["capabilities"];
    assert_eq!(
        (&found["createsOnly"], &found["deletes"], &found["deactivates"]),
        (&json!(false), &json!(true), &json!(false)),
        "{tested}"
    );
    assert!(simulator.accounts().is_empty());
    let user = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann@example.com",
        "name": {"givenName": "Ann"}, "emails": [{"value": "ann@example.com"}], "roles": [{"value": "User", "primary": true}]});
    let id = scim(&server, &key, "POST", "/scim/v2/Users", &user)["id"].as_str().expect("an id").to_owned();
    wait_until_linked(server.store(), "target", 1);
    // The roles of the target have the numbers of Muster's.
    assert_eq!(account_with(&simulator, "ann@example.com")["fields"]["roleId"], 2);
    // Also a new email as the first change.
    let emails = json!([{"value": "new@example.com"}]);
    scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{id}"), &patch("emails", &emails));
    wait_for("the new email", || {
        let accounts = simulator.accounts();
        if accounts.iter().any(|it| it["fields"]["email"] == "new@example.com") { Ok(()) } else { Err("the old one") }
    });
    server.run_json(&["user", "delete", &id, "--tenant", "1"]);
    wait_for("no account", || if simulator.accounts().is_empty() { Ok(()) } else { Err("an account") });
}
