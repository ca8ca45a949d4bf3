//! Mappings of targets: who gets what after they are set, and what is rejected.

use super::support::{Simulator, import_users, scim, server, wait_for, wait_until_linked};
use crate::support::Server;
use serde_json::{Value, json};

const USERS: u64 = 30;

fn map(server: &Server, flags: &[&str]) -> Value {
    server.run_json(&[&["target", "map", "target", "--tenant", "1"], flags].concat())
}

fn nicknames(simulator: &Simulator) -> Vec<String> {
    let accounts = simulator.accounts();
    accounts.iter().filter_map(|it| it["fields"]["nickName"].as_str().map(str::to_owned)).collect()
}

fn wait_for_nicknames(simulator: &Simulator, count: u64) {
    wait_for("nicknames", || {
        let found = nicknames(simulator).len() as u64;
        if found == count { Ok(()) } else { Err(found) }
    });
}

#[test]
fn a_new_mapping_changes_only_what_it_is_about() {
    let server = server();
    let simulator = Simulator::start("scim", "");
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    run_test(&server);
    import_users(&server, 0..USERS);
    wait_until_linked(server.store(), "target", USERS);
    let sent = simulator.requests().len();
    map(&server, &["--set", "nickName=givenName|upper"]);
    wait_for_nicknames(&simulator, USERS);
    assert!(nicknames(&simulator).contains(&"FIRST7".to_owned()));
    let requests = simulator.requests().split_off(sent);
    assert_eq!(requests.len() as u64, USERS, "one request for each user");
    assert!(requests.iter().all(|request| request["method"] == "PATCH"), "{requests:?}");
    // Users who are added later get it, too.
    import_users(&server, USERS..USERS + 2);
    wait_for_nicknames(&simulator, USERS + 2);
    map(&server, &["--unset", "nickName"]);
    wait_for_nicknames(&simulator, 0);
}

fn run_test(server: &Server) {
    let tested = server.run_json(&["target", "test", "target", "--tenant", "1"]);
    assert_eq!(tested["capabilities"]["patch"], true, "{tested}");
}

/// Accounts that are to be different after a change of the mapping do not hold up a deactivation.
#[test]
fn a_deactivation_does_not_wait_for_a_new_mapping() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    import_users(&server, 0..USERS);
    wait_until_linked(server.store(), "target", USERS);
    server.run_json(&["target", "set", "target", "--rate", "1", "--tenant", "1"]);
    map(&server, &["--set", "nickName=givenName"]);
    let filter = format!("/scim/v2/Users?filter=userName%20eq%20%22u{}%40example.com%22", USERS - 1);
    let found = scim(&server, &key, "GET", &filter, &Value::Null);
    let path = format!("/scim/v2/Users/{}", found["Resources"][0]["id"].as_str().expect("an id"));
    let operation = json!({"op": "replace", "path": "active", "value": false});
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    scim(&server, &key, "PATCH", &path, &body);
    wait_for("the deactivation", || {
        let accounts = simulator.accounts();
        if accounts.iter().any(|account| account["fields"]["active"] == false) { Ok(()) } else { Err("all are active") }
    });
    let changed = nicknames(&simulator).len() as u64;
    assert!(changed < USERS, "{changed} were changed before the deactivation");
}

#[test]
fn a_mapping_is_checked_shown_and_replaced_by_a_file() {
    let server = server();
    let simulator = Simulator::start("onfire", "");
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    server.run_json(&["target", "pause", "target", "--tenant", "1"]);
    import_users(&server, 0..3);
    let rejected = |setting: &str, expected: &str| {
        let output = map(&server, &["--set", setting]);
        assert!(output["error"].as_str().is_some_and(|text| text.contains(expected)), "{setting}: {output}");
    };
    // Muster recognizes its accounts by the external id, and activates and deactivates them.
    rejected("ExternalId=email", "only Muster sets");
    rejected("Status='Active'", "only Muster sets");
    rejected("Groups=email", "does not have");
    rejected("Nope=email", "does not have");
    rejected("FirstName=nope", "uses nope");
    rejected("FirstName=password", "uses password");
    rejected("FirstName=givenName|nope", "is not valid");
    rejected("FirstName", "ATTRIBUTE=EXPRESSION");
    let shown = server.run_json(&["target", "show", "target", "--tenant", "1"]);
    assert_eq!(shown["mapping"], json!([]), "nothing was stored");
    // What would be is shown, for a user and for all.
    let tried = map(&server, &["--set", "FirstName=nickName", "--dry-run"]);
    assert_eq!(tried["problems"], json!(["3 of 3 users cannot be pushed: the target requires FirstName."]));
    let tried = map(&server, &["--set", "FirstName=givenName|cut(2)", "--user", "u1@example.com", "--dry-run"]);
    let attributes = tried["attributes"].as_array().expect("a list");
    let first = attributes.iter().find(|row| row["attribute"] == "FirstName").expect("an attribute");
    assert_eq!((&first["value"], &first["expression"]), (&json!("Fi"), &json!("givenName|cut(2)")), "{first}");
    let shown = server.run_json(&["target", "show", "target", "--tenant", "1"]);
    assert_eq!(shown["mapping"], json!([]), "nothing was stored");
    let file = server.data_dir().join("mapping.toml");
    let text = "[[mapping]]\nattribute = \"ColorCode\"\nexpression = \"givenName\"\nempty = \"omit\"\n[mapping.values]\nFirst1 = \"red\"\n\"*\" = \"blue\"\n";
    std::fs::write(&file, text).expect("written");
    let stored = map(&server, &["--file", file.to_str().expect("text")]);
    assert_eq!(stored["problems"], json!([]), "{stored}");
    server.run_json(&["target", "resume", "target", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 3);
    let mut colors: Vec<Value> = simulator.accounts().iter().map(|it| it["fields"]["ColorCode"].clone()).collect();
    colors.sort_by_key(Value::to_string);
    assert_eq!(colors, [json!("blue"), json!("blue"), json!("red")]);
    // An expression replaces the table of values, too.
    let replaced = map(&server, &["--set", "ColorCode=givenName", "--user", "u1@example.com"]);
    let attributes = replaced["attributes"].as_array().expect("a list");
    let color = attributes.iter().find(|row| row["attribute"] == "ColorCode").expect("an attribute");
    assert_eq!((&color["value"], &color["values"]), (&json!("First1"), &Value::Null), "{color}");
    std::fs::write(&file, "[[mapping]]\nattribute = \"ColorCode\"\nformula = \"x\"\n").expect("written");
    let rejected = map(&server, &["--file", file.to_str().expect("text")]);
    assert!(rejected["error"].as_str().is_some_and(|text| text.contains("is not valid")), "{rejected}");
}
