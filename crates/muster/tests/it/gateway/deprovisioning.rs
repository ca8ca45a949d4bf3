//! Which users a target gets, and what happens to the accounts of others.

use super::support::{Simulator, scim, server, wait_for, wait_until_linked};
use crate::support::Server;
use serde_json::{Value, json};

fn add_user(server: &Server, key: &str, name: &str, user_type: &str) -> String {
    let user = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "userType": user_type,
        "name": {"givenName": "Ann", "familyName": "Lee"}, "emails": [{"value": name, "primary": true}],
    });
    scim(server, key, "POST", "/scim/v2/Users", &user)["id"].as_str().expect("an id").to_owned()
}

fn replace(server: &Server, key: &str, id: &str, path: &str, value: &Value) {
    let operation = json!({"op": "replace", "path": path, "value": value});
    let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
    scim(server, key, "PATCH", &format!("/scim/v2/Users/{id}"), &body);
}

/// Whether the account of a user is active; `None` without an account.
fn is_active(simulator: &Simulator, user: &str) -> Option<bool> {
    simulator.account_of(user).and_then(|account| account["fields"]["active"].as_bool())
}

fn wait_for_account(simulator: &Simulator, user: &str, expected: Option<bool>) {
    wait_for("the account", || {
        let found = is_active(simulator, user);
        if found == expected { Ok(()) } else { Err(format!("{found:?} instead of {expected:?}")) }
    });
}

fn set(server: &Server, flags: &[&str]) {
    let changed = server.run_json(&[&["target", "set", "target", "--tenant", "1"], flags].concat());
    assert!(changed["error"].is_null(), "{changed}");
}

/// Waits until `muster leaver` shows this of the user's account.
fn wait_for_leaver(server: &Server, user: &str, expected: &str) {
    wait_for("the account of the leaver", || {
        let shown = server.run_json(&["leaver", user, "--tenant", "1"]);
        if shown["targets"][0]["account"] == expected { Ok(()) } else { Err(shown) }
    });
}

#[test]
fn a_target_gets_the_users_in_its_scope() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let employee = add_user(&server, &key, "ann@example.com", "Employee");
    let guest = add_user(&server, &key, "bob@example.com", "Guest");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--scope-filter", "userType eq \"employee\""]);
    wait_until_linked(server.store(), "target", 1);
    let explained = server.run_json(&["explain", &guest, "target", "--tenant", "1"]);
    let expected = "Desired: no account, since the user is not in the scope of the target. Nothing to do.";
    assert_eq!(explained["summary"], expected);
    // Into the scope, out of it, and back.
    replace(&server, &key, &guest, "userType", &json!("Employee"));
    wait_for_account(&simulator, &guest, Some(true));
    replace(&server, &key, &guest, "userType", &json!("Guest"));
    wait_for_account(&simulator, &guest, Some(false));
    wait_for_leaver(&server, &guest, "deactivated");
    replace(&server, &key, &guest, "userType", &json!("Employee"));
    wait_for_account(&simulator, &guest, Some(true));
    // Another scope considers everybody again.
    set(&server, &["--scope-filter", "userType eq \"guest\"", "--out-of-scope", "delete"]);
    wait_for_account(&simulator, &guest, None);
    wait_for_account(&simulator, &employee, None);
    wait_for_leaver(&server, &guest, "deleted");
    set(&server, &["--no-scope-filter"]);
    wait_for_account(&simulator, &guest, Some(true));
    wait_for_account(&simulator, &employee, Some(true));
    wait_for_leaver(&server, &guest, "active");
    // A change that takes many accounts is an error at first.
    for n in 0..20 {
        add_user(&server, &key, &format!("many{n}@example.com"), "Employee");
    }
    wait_until_linked(server.store(), "target", 22);
    let flags = ["target", "set", "target", "--tenant", "1", "--scope-filter", "userType eq \"nobody\""];
    let rejected = server.run_json(&flags);
    let expected = "the accounts of 22 of 22 users would be deactivated or deleted (use --force to apply it)";
    assert_eq!(rejected["error"], expected);
    assert_eq!(server.run_json(&["target", "show", "target", "--tenant", "1"])["scope"], Value::Null);
    assert_eq!(server.run_json(&[&flags[..], &["--force"]].concat())["scope"], "userType eq \"nobody\"");
    for (filter, expected) in [
        ("userType eq", "Invalid filter"),
        ("urn:muster:params:scim:schemas:extension:2.0:User:folders eq \"x\"", "must not use folders"),
        ("nope eq 1", "nope"),
    ] {
        let rejected = server.run_json(&["target", "set", "target", "--scope-filter", filter, "--tenant", "1"]);
        assert!(rejected["error"].as_str().is_some_and(|text| text.contains(expected)), "{rejected}");
    }
}

#[test]
fn accounts_are_deleted_or_left_as_the_target_is_configured() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let ids: Vec<String> = (0..3).map(|n| add_user(&server, &key, &format!("u{n}@example.com"), "Employee")).collect();
    simulator.add_to(server.store(), "target", &["--rate", "0", "--on-deactivate", "delete", "--on-delete", "leave"]);
    wait_until_linked(server.store(), "target", 3);
    // Deleted when it is deactivated, and created again.
    replace(&server, &key, &ids[0], "active", &json!(false));
    wait_for_account(&simulator, &ids[0], None);
    wait_for_leaver(&server, &ids[0], "deleted");
    replace(&server, &key, &ids[0], "active", &json!(true));
    wait_for_account(&simulator, &ids[0], Some(true));
    // A deleted user's account is left. A restored user gets it back.
    server.run_json(&["user", "delete", &ids[1], "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 2);
    assert_eq!(is_active(&simulator, &ids[1]), Some(true));
    wait_for_leaver(&server, &ids[1], "left");
    server.run_json(&["user", "restore", &ids[1], "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 3);
    assert_eq!(simulator.accounts().len(), 3);
    // Left out of the scope: nothing is sent, whatever changes, until the user is in it again.
    set(&server, &["--scope-filter", "userType eq \"Employee\"", "--out-of-scope", "leave"]);
    // A server takes over settings within a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    replace(&server, &key, &ids[2], "userType", &json!("Guest"));
    wait_for_leaver(&server, &ids[2], "left");
    replace(&server, &key, &ids[2], "name.familyName", &json!("New"));
    replace(&server, &key, &ids[2], "active", &json!(false));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(is_active(&simulator, &ids[2]), Some(true));
    server.run_json(&["user", "delete", &ids[2], "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 2);
    assert_eq!(is_active(&simulator, &ids[2]), Some(true));
    server.run_json(&["user", "restore", &ids[2], "--tenant", "1"]);
    replace(&server, &key, &ids[2], "active", &json!(true));
    replace(&server, &key, &ids[2], "userType", &json!("Employee"));
    wait_for("the new name", || {
        let account = simulator.account_of(&ids[2]).unwrap_or_default();
        if account["fields"]["name"]["familyName"] == "New" { Ok(()) } else { Err(account) }
    });
    assert_eq!(simulator.accounts().len(), 3);
}

/// Changes of members, names and groups change who is in scope, and what accounts have.
#[test]
fn groups_decide_who_gets_an_account_and_what_is_in_it() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let ids = ["ann@example.com", "bob@example.com"].map(|name| add_user(&server, &key, name, "Employee"));
    let add_group = |name: &str, member: &str| {
        let group = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name,
            "members": [{"value": member}]});
        let made = scim(&server, &key, "POST", "/scim/v2/Groups", &group);
        format!("/scim/v2/Groups/{}", made["id"].as_str().expect("an id"))
    };
    let change_group = |path: &str, operation: Value| {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        scim(&server, &key, "PATCH", path, &body);
    };
    let staff = add_group("Staff", &ids[0]);
    simulator.add_to(server.store(), "target", &["--rate", "0", "--scope-filter", "groups.display eq \"staff\""]);
    server.run_json(&["target", "map", "target", "--set", "title='lead' if 'Leads' in groups else 'member'"]);
    let wait_for_title = |user: &str, expected: &str| {
        wait_for("the title", || {
            let account = simulator.account_of(user).unwrap_or_default();
            if account["fields"]["title"] == expected { Ok(()) } else { Err(account) }
        });
    };
    wait_for_title(&ids[0], "member");
    assert_eq!(simulator.accounts().len(), 1);
    change_group(&staff, json!({"op": "add", "path": "members", "value": [{"value": ids[1]}]}));
    wait_for_title(&ids[1], "member");
    let leads = add_group("Leads", &ids[1]);
    wait_for_title(&ids[1], "lead");
    change_group(&leads, json!({"op": "replace", "path": "displayName", "value": "Others"}));
    wait_for_title(&ids[1], "member");
    change_group(&leads, json!({"op": "replace", "path": "displayName", "value": "Leads"}));
    wait_for_title(&ids[1], "lead");
    change_group(&staff, json!({"op": "remove", "path": format!("members[value eq \"{}\"]", ids[1])}));
    wait_for_account(&simulator, &ids[1], Some(false));
    scim(&server, &key, "DELETE", &staff, &Value::Null);
    wait_for_account(&simulator, &ids[0], Some(false));
}

#[test]
fn an_unconfirmed_deactivation_is_shown() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let id = add_user(&server, &key, "ann@example.com", "Employee");
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    wait_until_linked(server.store(), "target", 1);
    server.run_json(&["target", "pause", "target", "--tenant", "1"]);
    // A server takes over settings within a second.
    std::thread::sleep(std::time::Duration::from_secs(2));
    replace(&server, &key, &id, "active", &json!(false));
    wait_for("the open deactivation", || {
        let shown = server.run_json(&["leaver", "ann@example.com", "--tenant", "1"]);
        if shown["open"] == 1 && shown["targets"][0]["account"] == "waiting" { Ok(()) } else { Err(shown) }
    });
    server.run_json(&["target", "resume", "target", "--tenant", "1"]);
    wait_for("the confirmed deactivation", || {
        let shown = server.run_json(&["leaver", "ann@example.com", "--tenant", "1"]);
        if shown["open"] == 0 && shown["targets"][0]["account"] == "deactivated" { Ok(()) } else { Err(shown) }
    });
    assert_eq!(is_active(&simulator, &id), Some(false));
}
