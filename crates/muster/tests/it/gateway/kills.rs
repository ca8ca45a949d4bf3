//! `kill -9` of the server while it pushes, with answers that are lost: no account twice, none missing, and never an
//! older state after a newer one.

use super::support::{Simulator, wait_for};
use crate::support::{Server, TestStore, run_json, try_send};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Kills in a normal run.
const KILLS: u32 = 8;
const CLIENTS: u64 = 4;

/// Creates users and changes them: each change has a higher number.
fn load(address: &str, key: &str, client: u64, round: u64, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let email = format!("r{round}c{client}n{}@example.com", n / 3);
        let title = format!("{:08}", n % 3);
        let body = format!(r#"{{"userName": "{email}", "title": "{title}", "emails": [{{"value": "{email}"}}]}}"#);
        let reply = if n % 3 == 0 {
            try_send(address, "POST", "/scim/v2/Users", &headers, body.as_bytes())
        } else {
            let path = format!("/api/2/users/{email}");
            let body =
                format!(r#"{{"user": {{"email": "{email}", "name": {{"firstname": "A"}}, "jobtitle": "{title}"}}}}"#);
            try_send(address, "PUT", &path, &headers, body.as_bytes())
        };
        let Some(reply) = reply else { return };
        assert!(reply.status < 300, "{} {}", reply.status, reply.body);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn kills_neither_duplicate_nor_lose_nor_reorder() {
    let simulator = Simulator::start("scim", "allow-duplicates = true\nlose-answers = 0.05\nseed = 3");
    let mut server = Server::start_on(TestStore::new(), &["--log-level", "error"]);
    server.run_json(&["tenant", "add", "Acme"]);
    let key = server.create_connection(1, "load", &[]);
    simulator.add_to(server.store(), "target", &["--rate", "0", "--concurrency", "16", "--timeout", "1"]);
    let kills: u64 = testkit::seeds::repetitions(KILLS).into();
    for round in 0..kills {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (address, key) = (server.address.clone(), key.clone());
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                std::thread::spawn(move || load(&address, &key, client, round, &stop, &acknowledged))
            })
            .collect();
        wait_for("changes", || {
            let count = acknowledged.load(Ordering::Relaxed);
            if count >= 60 + round * 13 % 60 { Ok(()) } else { Err(count) }
        });
        // At any time of a push.
        std::thread::sleep(Duration::from_millis(round * 37 % 400));
        let place = server.kill();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every answer is a success");
        }
        server = Server::start_on(place, &["--log-level", "error"]);
    }
    let total = users(&server);
    wait_for("all users", || {
        let status = super::support::status(server.store(), "target");
        if status["linked"] == total.len() as u64 && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
    check(&simulator, &total);
}

/// Ids and titles of all users.
fn users(server: &Server) -> HashMap<String, String> {
    let total = run_json(server.store(), &["user", "list", "--limit", "1", "--tenant", "1"])["total"].as_u64();
    let limit = total.expect("a number").to_string();
    let users = run_json(server.store(), &["user", "list", "--limit", &limit, "--tenant", "1"]);
    let users = users["users"].as_array().expect("a list").clone();
    let text = |user: &Value, name: &str| user[name].as_str().unwrap_or_default().to_owned();
    users.iter().map(|user| (text(user, "id"), text(user, "title"))).collect()
}

/// Compares the target's record with the users.
fn check(simulator: &Simulator, users: &HashMap<String, String>) {
    let mut accounts: HashMap<String, String> = HashMap::new();
    for account in simulator.accounts() {
        let text = |name: &str| account["fields"][name].as_str().unwrap_or_default().to_owned();
        let before = accounts.insert(text("externalId"), text("title"));
        assert!(before.is_none(), "a second account: {account}");
    }
    assert_eq!(accounts.len(), users.len(), "lost users");
    for (id, title) in users {
        assert_eq!(accounts.get(id), Some(title), "the last state of {id}");
    }
    // The titles of a user only grow.
    let mut titles: HashMap<String, String> = HashMap::new();
    for request in simulator.requests() {
        let fields = &request["done"]["fields"];
        let Some(id) = fields["externalId"].as_str() else { continue };
        let title = fields["title"].as_str().unwrap_or_default().to_owned();
        let before = titles.insert(id.to_owned(), title.clone()).unwrap_or_default();
        assert!(before <= title, "{id}: {title} after {before}");
    }
}
