//! Passwords of new accounts: none, or a random one that is not kept.

use super::raw_target::{RawTarget, respond};
use super::support::{Simulator, add_target, import_users, server, wait_for, wait_until_linked};
use crate::secret_leaks::store_bytes;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const USERS: u64 = 5;

#[test]
fn new_accounts_get_a_random_password_if_the_target_is_configured_so() {
    for (dialect, attribute) in [("scim", "password"), ("onfire", "Password"), ("ccs", "password")] {
        let server = server();
        let simulator = Simulator::start(dialect, "");
        simulator.add_to(server.store(), "target", &["--rate", "0", "--passwords", "random-once"]);
        if dialect == "ccs" {
            server.run_json(&["target", "map", "target", "--set", "roleId=2", "--tenant", "1"]);
        }
        import_users(&server, 0..USERS);
        wait_until_linked(server.store(), "target", USERS);
        let accounts = simulator.accounts();
        let password = |account: &Value| account["fields"][attribute].as_str().map(str::to_owned);
        let passwords: BTreeSet<String> = accounts.iter().filter_map(password).collect();
        assert_eq!(passwords.len() as u64, USERS, "{dialect}: {accounts:?}");
        assert!(passwords.iter().all(|password| password.len() >= 32), "{passwords:?}");
        // Not with a change, and nowhere here.
        if dialect != "ccs" {
            server.run_json(&["push", "u1@example.com", "--tenant", "1"]);
            wait_until_linked(server.store(), "target", USERS);
            let now: BTreeSet<String> = simulator.accounts().iter().filter_map(password).collect();
            assert_eq!(now, passwords);
        }
        let explained = server.run_json(&["explain", "u1@example.com", "target", "--tenant", "1"]).to_string();
        let store = store_bytes(server.store());
        for password in &passwords {
            assert!(!explained.contains(password.as_str()));
            assert!(!store.windows(password.len()).any(|window| window == password.as_bytes()));
        }
    }
}

/// A target that repeats what it rejects.
#[test]
fn an_echoed_password_is_not_kept() {
    let target = RawTarget::start(|request, stream| {
        if request.starts_with("GET") {
            return respond(stream, "200 OK", br#"{"totalResults": 0, "Resources": []}"#);
        }
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
        let error = json!({"status": "400", "detail": format!("rejected: {body}")});
        respond(stream, "400 Bad Request", error.to_string().as_bytes())
    });
    let server = server();
    let url = format!("http://{}/", target.address);
    add_target(&server, "target", "scim", &url, "key-of-the-target", &["--passwords", "random-once"]);
    import_users(&server, 0..1);
    let issue = wait_for("an issue", || {
        let issues = server.run_json(&["target", "issues", "target", "--tenant", "1"]);
        if issues[0]["cause"] == "rejected" { Ok(issues[0].clone()) } else { Err(issues) }
    });
    let detail = issue["detail"].as_str().expect("a text");
    assert!(detail.contains("password") && !detail.contains("aA1"), "{detail}");
}
