//! What a target gets when users are created, changed, deactivated, deleted and restored.

use super::raw_target::{RawTarget, respond};
use super::support::{Simulator, add_target, scim, server, status, wait_for, wait_until_linked};
use crate::support::{Server, TestStore};
use serde_json::{Value, json};

const TARGETS: [&str; 4] = ["scim", "onfire", "onfire-v1", "publisher"];

fn user(name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": name, "active": true,
        "name": {"givenName": "Ann", "familyName": "Lee"}, "emails": [{"value": name, "primary": true}],
    })
}

fn last_name<'v>(account: &'v Value, dialect: &str) -> &'v Value {
    let fields = &account["fields"];
    match dialect {
        "scim" => &fields["name"]["familyName"],
        "publisher" => &fields["name"]["lastname"],
        _ => &fields["LastName"],
    }
}

fn is_active(account: &Value, dialect: &str) -> bool {
    let fields = &account["fields"];
    match dialect {
        "scim" => fields["active"] == true,
        "publisher" => fields["status"] == "active",
        _ => fields["Status"] != "Inactive",
    }
}

#[test]
fn existing_users_are_pushed_and_changes_followed() {
    for dialect in TARGETS {
        let server = server();
        let key = server.create_connection(1, "hr", &[]);
        let simulator = Simulator::start(dialect, "");
        let ids: Vec<String> = (0..5)
            .map(|n| {
                let made = scim(&server, &key, "POST", "/scim/v2/Users", &user(&format!("u{n}@example.com")));
                made["id"].as_str().expect("an id").to_owned()
            })
            .collect();
        // Inactive users are not created.
        let inactive = json!({"active": false, "userName": "off@example.com", "schemas": [], "name": {"givenName": "O", "familyName": "F"}, "emails": [{"value": "off@example.com"}]});
        scim(&server, &key, "POST", "/scim/v2/Users", &inactive);
        simulator.add_to(server.store(), "target", &["--rate", "0"]);
        wait_until_linked(server.store(), "target", 5);
        assert_eq!(simulator.accounts().len(), 5, "{dialect}");
        let path = format!("/scim/v2/Users/{}", ids[0]);
        let patch =
            |value: Value| json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [value]});
        let account = || simulator.account_of(&ids[0]).ok_or("no account");
        // A change.
        let change = json!({"op": "replace", "path": "name.familyName", "value": "New"});
        scim(&server, &key, "PATCH", &path, &patch(change));
        wait_for("the new name", || {
            account().and_then(|it| if last_name(&it, dialect) == "New" { Ok(()) } else { Err("old") })
        });
        // A deactivation, and back.
        for active in [false, true] {
            scim(&server, &key, "PATCH", &path, &patch(json!({"op": "replace", "path": "active", "value": active})));
            let is =
                || account().and_then(|it| if is_active(&it, dialect) == active { Ok(()) } else { Err("the same") });
            wait_for("the status", is);
        }
        // A deletion deactivates; a restore activates again.
        server.run_json(&["user", "delete", &ids[0], "--tenant", "1"]);
        wait_for("the deactivation", || {
            account().and_then(|it| if is_active(&it, dialect) { Err("active") } else { Ok(()) })
        });
        server.run_json(&["user", "restore", &ids[0], "--tenant", "1"]);
        wait_for("the activation", || {
            account().and_then(|it| if is_active(&it, dialect) { Ok(()) } else { Err("inactive") })
        });
        assert_eq!(simulator.accounts().len(), 5, "{dialect}");
        wait_until_linked(server.store(), "target", 5);
        // A new user, and one who becomes active.
        scim(&server, &key, "POST", "/scim/v2/Users", &user("new@example.com"));
        wait_until_linked(server.store(), "target", 6);
        // Nothing else was sent: each account was created once, and no request failed.
        let requests = simulator.requests();
        let creates = requests.iter().filter(|it| it["done"]["what"] == "create").count();
        assert_eq!(creates, 6, "{dialect}");
        assert!(requests.iter().all(|it| it["status"].as_u64().is_some_and(|status| status < 300)), "{requests:?}");
    }
}

#[test]
fn accounts_are_deleted_if_the_target_is_configured_so() {
    let server = server();
    let simulator = Simulator::start("scim", "");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--on-delete", "delete"]);
    server.run_json(&["user", "add", "gone@example.com", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 1);
    server.run_json(&["user", "delete", "gone@example.com", "--tenant", "1"]);
    wait_for("no account", || if simulator.accounts().is_empty() { Ok(()) } else { Err("an account") });
    // The restored user gets a new account.
    server.run_json(&["user", "restore", "gone@example.com", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 1);
    assert_eq!(simulator.accounts().len(), 1);
}

/// The API of `publisher` has no deletion.
#[test]
fn a_target_that_cannot_delete_accounts_is_not_configured_to() {
    let server = server();
    let simulator = Simulator::start("publisher", "");
    let key_file = simulator.key_path().to_str().expect("text");
    let mut arguments =
        vec!["target", "add", "target", "--tenant", "1", "--dialect", "publisher", "--on-delete", "delete"];
    arguments.extend(["--url", &simulator.url, "--key-file", key_file, "--dial-allow", &simulator.address]);
    let rejected = server.run_json(&arguments);
    assert_eq!(rejected["error"], "publisher cannot delete accounts (--on-delete)");
    simulator.add_to(server.store(), "target", &[]);
    let rejected = server.run_json(&["target", "set", "target", "--tenant", "1", "--on-delete", "delete"]);
    assert_eq!(rejected["error"], "publisher cannot delete accounts (--on-delete)");
}

/// The response to a deletion is lost, and the user restored before it is repeated: the target gets everything again.
#[test]
fn a_user_who_is_restored_after_a_lost_deletion_is_sent_again() {
    let target = RawTarget::start(|request, stream| {
        let account = r#"{"id": "7", "userName": "ann@example.com", "meta": {"location": "/Users/7"}}"#;
        match request.split(' ').next() {
            Some("POST") => respond(stream, "201 Created", account.as_bytes()),
            Some("DELETE") => Ok(()),
            _ if request.contains("/Users/7") => respond(stream, "200 OK", account.as_bytes()),
            _ => respond(stream, "200 OK", br#"{"totalResults": 0, "Resources": []}"#),
        }
    });
    let server = server();
    let url = format!("http://{}/", target.address);
    add_target(&server, "target", "scim", &url, "key-of-the-target", &["--on-delete", "delete"]);
    server.run_json(&["user", "add", "ann@example.com", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 1);
    server.run_json(&["user", "delete", "ann@example.com", "--tenant", "1"]);
    wait_for("the lost response", || {
        let shown = server.run_json(&["explain", "ann@example.com", "target", "--tenant", "1"]);
        if shown["attempts"][1]["action"] == "delete" { Ok(()) } else { Err(shown) }
    });
    server.run_json(&["user", "restore", "ann@example.com", "--tenant", "1"]);
    let was_changed = || target.requests().iter().any(|request| request.starts_with("PUT "));
    wait_for("a change", || if was_changed() { Ok(()) } else { Err("none") });
}

/// A target that changes the status by a separate request, and rejects the rest.
#[test]
fn a_deactivation_does_not_wait_for_what_the_target_rejects() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("publisher", "");
    simulator.create_publisher_account("taken@example.com");
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    let made = scim(&server, &key, "POST", "/scim/v2/Users", &user("ann@example.com"));
    let id = made["id"].as_str().expect("an id").to_owned();
    wait_until_linked(server.store(), "target", 1);
    let change = |email: &str, active: bool| {
        let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
            {"op": "replace", "path": "emails", "value": [{"value": email, "primary": true}]},
            {"op": "replace", "path": "active", "value": active},
        ]});
        scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{id}"), &patch);
    };
    let fields = || simulator.account_of(&id).expect("an account")["fields"].clone();
    change("taken@example.com", false);
    wait_for("the conflict", || {
        let status = status(server.store(), "target");
        if status["failed"] == json!({"conflict": 1}) { Ok(()) } else { Err(status) }
    });
    assert_eq!((&fields()["status"], &fields()["email"]), (&json!("disable"), &json!("ann@example.com")));
    // As the target has accepted it before, but not as it is now.
    change("ann@example.com", true);
    wait_for("the activation", || if fields()["status"] == "active" { Ok(()) } else { Err(fields()) });
    // An activation waits for what is rejected.
    change("ann@example.com", false);
    wait_for("the deactivation", || if fields()["status"] == "disable" { Ok(()) } else { Err(fields()) });
    change("taken@example.com", true);
    wait_for("the conflict", || {
        let status = status(server.store(), "target");
        if status["failed"] == json!({"conflict": 1}) { Ok(()) } else { Err(status) }
    });
    assert_eq!(fields()["status"], "disable");
}

#[test]
fn managers_are_sent_once_they_have_an_account() {
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let boss = scim(&server, &key, "POST", "/scim/v2/Users", &user("boss@example.com"));
    let boss = boss["id"].as_str().expect("an id").to_owned();
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": false}]});
    scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{boss}"), &patch);
    let mut member = user("member@example.com");
    member["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"] = json!({"manager": {"value": boss}});
    let made = scim(&server, &key, "POST", "/scim/v2/Users", &member);
    let made = made["id"].as_str().expect("an id").to_owned();
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    wait_until_linked(server.store(), "target", 1);
    let manager = || {
        let account = simulator.account_of(&made).expect("an account");
        account["fields"]["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]["manager"]["value"].clone()
    };
    assert_eq!(manager(), Value::Null);
    let patch = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [{"op": "replace", "path": "active", "value": true}]});
    scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{boss}"), &patch);
    wait_until_linked(server.store(), "target", 2);
    let account = simulator.account_of(&boss).expect("an account");
    wait_for("the manager", || if manager() == account["id"] { Ok(()) } else { Err(manager()) });
}

#[test]
fn users_who_are_deactivated_at_once_end_without_an_active_account() {
    const USERS: usize = 60;
    let server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "slow = 0.2\nslow-ms = 50");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--concurrency", "2"]);
    let off = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    for n in 0..USERS {
        let made = scim(&server, &key, "POST", "/scim/v2/Users", &user(&format!("u{n}@example.com")));
        if n % 2 == 0 {
            scim(&server, &key, "PATCH", &format!("/scim/v2/Users/{}", made["id"].as_str().expect("an id")), &off);
        }
    }
    wait_for("only the active users", || {
        let status = status(server.store(), "target");
        let active = simulator.accounts().iter().filter(|account| is_active(account, "scim")).count();
        if active == USERS / 2 && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
    let log = server.log();
    assert!(!log.contains("trying again"), "{log}");
}

#[test]
fn paused_and_removed_targets_get_nothing() {
    let server = server();
    let (simulator, other) = (Simulator::start("scim", ""), Simulator::start("scim", ""));
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    other.add_to(server.store(), "other", &["--rate", "0"]);
    let mut users = 0;
    // What the other target has was followed for both.
    let mut add = || {
        users += 1;
        server.run_json(&["user", "add", &format!("u{users}@example.com"), "--tenant", "1"]);
        wait_until_linked(server.store(), "other", users);
        users
    };
    let linked = add();
    wait_until_linked(server.store(), "target", linked);
    server.run_json(&["target", "pause", "target", "--tenant", "1"]);
    add_until_ignored(&simulator, &mut add);
    let before = simulator.request_count();
    server.run_json(&["user", "delete", "u1@example.com", "--tenant", "1"]);
    let all = add();
    assert_eq!(simulator.request_count(), before);
    server.run_json(&["target", "resume", "target", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", all);
    server.run_json(&["target", "remove", "target", "--tenant", "1"]);
    assert_eq!(server.run_json(&["target", "list", "--tenant", "1"])[0]["name"], "other");
    assert!(status(server.store(), "target")["error"].is_string());
    add_until_ignored(&simulator, &mut add);
    let before = simulator.request_count();
    add();
    assert_eq!(simulator.request_count(), before);
    // The name can be used again.
    simulator.add_to(server.store(), "target", &[]);
}

/// Adds users until three in a row are not sent to the target: commands take effect within a second.
fn add_until_ignored(simulator: &Simulator, mut add: impl FnMut() -> u64) {
    let (mut ignored, start) = (0, std::time::Instant::now());
    while ignored < 3 {
        assert!(start.elapsed() < std::time::Duration::from_mins(2), "users are still sent");
        let before = simulator.request_count();
        add();
        ignored = if simulator.request_count() == before { ignored + 1 } else { 0 };
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
}

/// A store that was restored from a backup does not have what its targets got since.
#[test]
fn the_targets_of_a_restored_store_are_paused_and_then_get_everything_again() {
    let mut server = server();
    let key = server.create_connection(1, "hr", &[]);
    let simulator = Simulator::start("scim", "");
    let made = scim(&server, &key, "POST", "/scim/v2/Users", &user("ann@example.com"));
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    wait_until_linked(server.store(), "target", 1);
    let backup = server.data_dir().join("backup.muster");
    let backup = backup.to_str().expect("text").to_owned();
    server.run_json(&["backup", &backup]);
    let path = format!("/scim/v2/Users/{}", made["id"].as_str().expect("an id"));
    let rename = json!({"Operations": [{"op": "replace", "path": "name.familyName", "value": "Newer"}]});
    scim(&server, &key, "PATCH", &path, &rename);
    scim(&server, &key, "POST", "/scim/v2/Users", &user("bob@example.com"));
    wait_until_linked(server.store(), "target", 2);
    assert!(server.stop());
    let before = simulator.request_count();

    let restored = Server::start_on(TestStore::restored_from(&backup), &[]);
    let status = wait_for("a paused target", || {
        let status = status(restored.store(), "target");
        if status["state"] == "paused" { Ok(status) } else { Err(status) }
    });
    assert!(status["pauseReason"].as_str().is_some_and(|reason| reason.contains("restored")), "{status}");
    scim(&restored, &key, "POST", "/scim/v2/Users", &user("bob@example.com"));
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(simulator.request_count(), before, "nothing is sent before the resume");
    restored.run_json(&["target", "resume", "target", "--tenant", "1"]);
    wait_until_linked(restored.store(), "target", 1);
    let status = wait_for("bob's account, which is not this bob's", || {
        let status = super::support::status(restored.store(), "target");
        if status["failed"]["conflict"] == 1 { Ok(status) } else { Err(status) }
    });
    assert_eq!(status["linked"], 1, "{status}");
    assert_eq!(simulator.accounts().len(), 2);
    let ann = simulator.account_of(made["id"].as_str().expect("an id")).expect("an account");
    assert_eq!(last_name(&ann, "scim"), "Lee");
}
