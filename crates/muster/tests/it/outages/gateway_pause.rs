//! Two processes on one database push to a target; one is suspended for longer than its lease lasts, and continued. The
//! other takes over, and the suspended one sends nothing that is older.

use super::nodes::{Credentials, Node};
use crate::gateway::{Simulator, check, load, users, wait_for};
use crate::support::{run_json, signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use testkit::postgres::Cluster;
use testkit::seeds::is_long_run;

/// Seconds of load before and after a pause.
const LOAD: Duration = Duration::from_secs(3);

#[test]
fn a_suspended_process_sends_nothing_after_its_lease() {
    let cluster = Cluster::start(&[]);
    let url = cluster.create_database();
    let (first, second) = (Node::start(&url), Node::start(&url));
    let credentials = Credentials::create(&url);
    let simulator = Simulator::start("scim", "allow-duplicates = true\nlose-answers = 0.05\nseed = 5");
    simulator.add_to(&url, "target", &["--rate", "0", "--concurrency", "16", "--timeout", "2"]);
    // Longer than the lease of 15 seconds.
    let pause = Duration::from_secs(if is_long_run() { 60 } else { 20 });
    // A normal run suspends the process that pushes, a long one then the other.
    let rounds = if is_long_run() { 2 } else { 1 };
    for (round, suspended, other) in [(0, &first, &second), (1, &second, &first)].into_iter().take(rounds) {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients: Vec<_> = (0..2)
            .map(|client| {
                let (address, key) = (other.address.clone(), credentials.key.clone());
                let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
                std::thread::spawn(move || load(&address, &key, client, round, &stop, &acknowledged))
            })
            .collect();
        std::thread::sleep(LOAD);
        signal(suspended.pid(), "STOP");
        std::thread::sleep(pause);
        signal(suspended.pid(), "CONT");
        std::thread::sleep(LOAD);
        stop.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().expect("every answer is a success");
        }
    }
    let all = users(&url);
    wait_for("all users", || {
        let status = run_json(&url, &["target", "status", "target", "--tenant", "1"]);
        if status["linked"] == all.len() as u64 && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
    check(&simulator, &all);
}
