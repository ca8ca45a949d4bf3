//! Repeated `kill -9` during creates on one store: every acknowledged change is stored, every stored change is
//! complete, and the integrity check passes.

use crate::support::{MUSTER, Server, is_on_postgres, run_json, send, try_send};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::waiting::wait_until;

/// Kills in a normal run.
const KILLS: u32 = 10;
const CLIENTS: usize = 8;

#[test]
fn acknowledged_changes_survive_kill_9() {
    let mut server = Server::start(&["--log-level", "error"]);
    let (tenant, key) = server.create_tenant(&[]);
    let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
    let times = testkit::seeds::repetitions(KILLS).into();
    for round in 0_u64..times {
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (address, key) = (server.address.clone(), key.clone());
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                std::thread::spawn(move || {
                    let bearer = format!("Bearer {key}");
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let email = format!("r{round}c{client}n{n}@x.y");
                        // Each create adds a department and an organization: multi-row changes must be atomic.
                        let body = format!(
                            "{{\"user\":{{\"email\":\"{email}\",\"name\":{{\"firstname\":\"A\"}},\"externalid\":\"{email}\",\
                             \"department\":\"D{}\",\"organisation\":{{\"orgname\":\"O{email}\"}}}}}}",
                            n % 7
                        );
                        let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
                        let reply = try_send(&address, "POST", "/api/2/users", &headers, body.as_bytes());
                        // No response: the server was killed. Any response must be a 200.
                        let Some(reply) = reply else { return };
                        assert_eq!(reply.status, 200, "{}", reply.body);
                        // A truncated response is not an acknowledgement.
                        if reply.body.ends_with("}}") {
                            acknowledged.lock().push(email);
                        }
                    }
                })
            })
            .collect();
        let before = acknowledged.lock().len();
        let many = usize::try_from(12 + round * 17 % 40).expect("small");
        wait_until("acknowledged creates", || acknowledged.lock().len() >= before + many);
        let place = server.kill();
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every response is a 200");
        }
        server = Server::start_on(place, &["--log-level", "error"]);
    }
    let acknowledged = acknowledged.lock().clone();
    println!("{} acknowledged over {times} kills", acknowledged.len());
    assert!(acknowledged.len() > 200, "too few creates: {}", acknowledged.len());
    let bearer = format!("Bearer {key}");
    for email in &acknowledged {
        let target = format!("/api/2/users/{email}");
        let reply = send(&server.address, "GET", &target, &[("Authorization", &bearer)], b"");
        assert_eq!(reply.status, 200, "{email} was acknowledged and is lost");
        for part in [format!("\"externalid\":\"{email}\""), format!("\"orgname\":\"O{email}\"")] {
            assert!(reply.body.contains(&part), "an incomplete user: {}", reply.body);
        }
    }
    assert!(server.stop());
    let check =
        std::process::Command::new(MUSTER).args(["check", "--store"]).arg(server.store()).output().expect("ran");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    assert_consistent(&server, tenant, acknowledged.len());
}

/// Asserts that users, organizations and events agree.
fn assert_consistent(server: &Server, tenant: u64, acknowledged: usize) {
    let tenant = tenant.to_string();
    let listed = run_json(server.store(), &["user", "list", "--tenant", &tenant, "--limit", "1000000"]);
    let users = listed["users"].as_array().expect("users");
    assert!(users.len() >= acknowledged);
    assert_eq!(listed["total"].as_u64(), Some(users.len() as u64));
    let count = count_query(server);
    let people = i64::try_from(users.len()).expect("small");
    assert_eq!(count("SELECT count(*) FROM users"), people);
    assert_eq!(count("SELECT count(*) FROM events WHERE after LIKE '{\"user\":%'"), people);
    assert_eq!(count("SELECT count(*) FROM claims WHERE space = 0"), people, "one login per user");
    assert_eq!(count("SELECT count(*) FROM claims WHERE space = 1"), people, "one external id per user");
    assert_eq!(count("SELECT count(*) FROM items WHERE kind = 3"), people, "one organization per user");
    let mut counted = count("SELECT coalesce(sum(live), 0) FROM blocks");
    if is_on_postgres() {
        counted += count("SELECT coalesce(sum(live), 0) FROM counted");
    }
    assert_eq!(counted, people);
}

/// Runs a count query directly on the store.
fn count_query(server: &Server) -> Box<dyn Fn(&str) -> i64> {
    let store = server.store().to_owned();
    if is_on_postgres() {
        return Box::new(move |sql| testkit::postgres::query(&store, sql).parse().expect("a number"));
    }
    let db = rusqlite::Connection::open(store).expect("opened");
    Box::new(move |sql| db.query_row(sql, [], |row| row.get(0)).expect("counted"))
}
