//! Targets that misbehave: the final state is right, each user has one account, and failures are explained.

use super::support::{Simulator, import_users, server, status, wait_for, wait_until_linked};
use crate::support::{Server, signal};
use serde_json::Value;
use std::time::{Duration, Instant};

const USERS: u64 = 40;
const RETRY_INTERVAL: Duration = Duration::from_secs(20);

/// Every user has exactly one account.
fn assert_one_account_each(simulator: &Simulator, users: u64, dialect: &str) {
    let accounts = simulator.accounts();
    let name = match dialect {
        "scim" => "userName",
        "publisher" => "email",
        _ => "Email",
    };
    let mut names: Vec<&str> = accounts.iter().filter_map(|it| it["fields"][name].as_str()).collect();
    names.sort_unstable();
    let total = names.len();
    names.dedup();
    assert_eq!((names.len(), total as u64), (total, users), "duplicates or losses");
}

/// Waits for all users of a target. The delays of a user who fails many times in a row double: an administrator retries in
/// this and the other targets.
fn wait_with_retries(server: &Server, target: &str, next_retry: &mut Instant, all: &[String]) {
    wait_for("linked users", || {
        if *next_retry < Instant::now() {
            for target in all {
                server.run_json(&["target", "issue", "retry", target, "--cause", "temporary", "--tenant", "1"]);
            }
            *next_retry = Instant::now() + RETRY_INTERVAL;
        }
        let status = status(server.store(), target);
        if status["linked"] == USERS && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
}

#[test]
fn answers_that_are_lost_cut_or_wrong_lead_to_one_account_each() {
    // Targets that accept duplicates, so that nothing but Muster prevents them.
    let faults = [
        "lose-answers = 0.3",
        "cut-answers = 0.2",
        "fail-after-work = 0.3",
        "wrong-id = 0.2",
        "other-id = 0.2",
        "login-page = 0.1",
        "lose-answers = 0.2\nvisible-after-ms = 2000",
        "too-many-requests = 0.2\nretry-after = 1",
        "fail = 0.2",
    ];
    let server = server();
    let mut targets = Vec::new();
    for dialect in ["scim", "onfire", "publisher"] {
        for (number, fault) in faults.iter().enumerate() {
            let name = format!("{dialect}-{number}");
            let simulator = Simulator::start(dialect, &format!("allow-duplicates = true\nseed = 7\n{fault}"));
            simulator.add_to(server.store(), &name, &["--rate", "0", "--timeout", "2"]);
            targets.push((name, simulator, dialect));
        }
    }
    import_users(&server, 0..USERS);
    let names: Vec<String> = targets.iter().map(|(name, ..)| name.clone()).collect();
    let mut next_retry = Instant::now() + RETRY_INTERVAL;
    for (name, simulator, dialect) in targets {
        wait_with_retries(&server, &name, &mut next_retry, &names);
        assert_one_account_each(&simulator, USERS, dialect);
    }
}

/// Without external ids, an account is searched for by keys that can change: only a user who has changed stays in doubt.
#[test]
fn creates_that_fail_are_repeated_without_external_ids() {
    let server = server();
    let faults = "drop-attributes = [\"externalId\"]\nallow-duplicates = true\nfail = 0.05\nseed = 3";
    let simulator = Simulator::start("scim", faults);
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    // Its requests fail, too.
    wait_for("a test that passes", || {
        let tested = server.run_json(&["target", "test", "target", "--tenant", "1"]);
        if tested["error"].is_null() { Ok(()) } else { Err(tested) }
    });
    let found = server.run_json(&["target", "show", "target", "--tenant", "1"]);
    assert_eq!(found["capabilities"]["findsBy"], serde_json::json!(["userName", "email"]), "{found}");
    import_users(&server, 0..USERS);
    wait_until_linked(server.store(), "target", USERS);
    assert_one_account_each(&simulator, USERS, "scim");
}

#[test]
fn accounts_that_exist_are_neither_duplicated_nor_taken_over() {
    let server = server();
    let simulator = Simulator::start("scim", "allow-duplicates = true");
    // Another system has an account with the user name.
    let key = std::fs::read_to_string(simulator.key_path()).expect("the key");
    let bearer = format!("Bearer {}", key.trim());
    let headers = [("Authorization", bearer.as_str())];
    let body = br#"{"userName": "u1@example.com", "externalId": "theirs"}"#;
    let made = crate::support::try_send(&simulator.address, "POST", "/scim/v2/Users", &headers, body).expect("made");
    assert_eq!(made.status, 201);
    simulator.add_to(server.store(), "target", &["--rate", "0"]);
    import_users(&server, 0..3);
    wait_for("two users and a conflict", || {
        let status = status(server.store(), "target");
        if status["linked"] == 2 && status["failed"]["conflict"] == 1 { Ok(()) } else { Err(status) }
    });
    assert_eq!(simulator.accounts().len(), 3);
    let issues = server.run_json(&["target", "issues", "target", "--tenant", "1"]);
    assert_eq!((issues[0]["userName"].as_str(), issues.as_array().map(Vec::len)), (Some("u1@example.com"), Some(1)));
    // Excluded, and retried after the other account is gone.
    server.run_json(&["target", "issue", "exclude", "target", "--user", "u1@example.com", "--tenant", "1"]);
    assert_eq!(status(server.store(), "target")["excluded"], 1);
    let theirs = simulator.accounts().into_iter().find(|it| it["fields"]["externalId"] == "theirs").expect("theirs");
    let path = format!("/scim/v2/Users/{}", theirs["id"].as_str().expect("an id"));
    crate::support::try_send(&simulator.address, "DELETE", &path, &headers, b"").expect("deleted");
    server.run_json(&["target", "issue", "retry", "target", "--user", "u1@example.com", "--tenant", "1"]);
    wait_until_linked(server.store(), "target", 3);
}

#[test]
fn a_target_that_rejects_the_key_is_quarantined_and_no_user_fails() {
    let server = server();
    let simulator = Simulator::start("scim", "key-expires-after = 5");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--concurrency", "2"]);
    import_users(&server, 0..20);
    let quarantined = wait_for("a quarantine", || {
        let status = status(server.store(), "target");
        if status["quarantinedSince"].is_string() { Ok(status) } else { Err(status) }
    });
    assert_eq!(quarantined["quarantineReason"], "it rejects the credentials");
    // Nobody has failed because of it.
    assert_eq!(quarantined["failed"], Value::Object(serde_json::Map::new()));
}

#[test]
fn a_target_that_is_down_costs_no_attempt() {
    let server = server();
    let simulator = Simulator::start("scim", "");
    simulator.add_to(server.store(), "target", &["--rate", "0", "--timeout", "1"]);
    import_users(&server, 0..2);
    wait_until_linked(server.store(), "target", 2);
    signal(simulator.pid(), "STOP");
    import_users(&server, 2..30);
    wait_for("a quarantine", || {
        let status = status(server.store(), "target");
        if status["quarantinedSince"].is_string() { Ok(()) } else { Err(status) }
    });
    signal(simulator.pid(), "CONT");
    wait_until_linked(server.store(), "target", 30);
    assert_one_account_each(&simulator, 30, "scim");
    assert_eq!(server.run_json(&["target", "issues", "--tenant", "1"]), serde_json::json!([]));
}

#[test]
fn a_target_that_hangs_does_not_hold_up_another() {
    let server = server();
    let hanging = Simulator::start("scim", "delay-ms = 600000");
    let working = Simulator::start("scim", "");
    hanging.add_to(server.store(), "hanging", &["--rate", "0", "--timeout", "60"]);
    working.add_to(server.store(), "working", &["--rate", "0"]);
    import_users(&server, 0..USERS);
    wait_until_linked(server.store(), "working", USERS);
    // Changes, too, while every request to the other target waits.
    for user in 0..5 {
        server.run_json(&["user", "delete", &format!("u{user}@example.com"), "--tenant", "1"]);
    }
    wait_for("the deactivations", || {
        let inactive = working.accounts().iter().filter(|it| it["fields"]["active"] == false).count();
        if inactive == 5 { Ok(()) } else { Err(inactive) }
    });
    assert!(hanging.accounts().is_empty());
}
