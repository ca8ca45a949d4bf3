//! Load that a target must get in order, and the comparison of the target's record with the users.

use super::support::Simulator;
use crate::support::{run_json, try_send};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Clients that create and change users.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    /// One client for each address.
    pub(crate) fn start(addresses: &[&str], key: &str, round: u64) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = addresses.iter().zip(0..).map(|(address, client)| {
            let (address, key) = ((*address).to_owned(), key.to_owned());
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || load(&address, &key, client, round, &stop, &acknowledged))
        });
        Self { threads: threads.collect(), stop, acknowledged }
    }

    /// Changes that were acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub(crate) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("every answer is a success");
        }
    }
}

pub(super) fn create_user(address: &str, key: &str, email: &str) {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let body = format!(r#"{{"userName": "{email}", "emails": [{{"value": "{email}"}}]}}"#);
    let reply = try_send(address, "POST", "/scim/v2/Users", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(reply.status, 201, "{}", reply.body);
}

/// Creates users and changes them: each change has a higher number. Ends with `stop`, or with the server.
fn load(address: &str, key: &str, client: u64, round: u64, stop: &AtomicBool, acknowledged: &AtomicU64) {
    let bearer = format!("Bearer {key}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
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
        if reply.status == 503 {
            // It is not known whether it was stored: on with another user.
            n = (n / 3 + 1) * 3;
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        assert!(reply.status < 300, "{} {}", reply.status, reply.body);
        acknowledged.fetch_add(1, Ordering::Relaxed);
        n += 1;
    }
}

/// Ids and titles of all users.
pub(crate) fn users(store: &str) -> HashMap<String, String> {
    let total = run_json(store, &["user", "list", "--limit", "1", "--tenant", "1"])["total"].as_u64();
    let limit = total.expect("a number").to_string();
    let users = run_json(store, &["user", "list", "--limit", &limit, "--tenant", "1"]);
    let users = users["users"].as_array().expect("a list").clone();
    let text = |user: &Value, name: &str| user[name].as_str().unwrap_or_default().to_owned();
    users.iter().map(|user| (text(user, "id"), text(user, "title"))).collect()
}

/// Compares the target's record with the users.
pub(crate) fn check(simulator: &Simulator, users: &HashMap<String, String>) {
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
