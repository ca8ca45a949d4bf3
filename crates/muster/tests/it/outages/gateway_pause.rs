//! Processes on one database push to a target. One is suspended for longer than its lease lasts, and continued: another
//! takes over, and the suspended one sends nothing that is older. When the database fails over, nothing is lost or sent
//! twice.

use super::nodes::{Credentials, Node};
use crate::gateway::{Simulator, check, load, users, wait_for};
use crate::support::{run_json, signal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::postgres::Cluster;
use testkit::seeds::is_long_run;

/// Load before and after an outage.
const LOAD: Duration = Duration::from_secs(3);

/// Clients that create and change users.
struct Clients {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Clients {
    fn start(nodes: &[&Node], key: &str, round: u64) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let threads = nodes.iter().zip(0..).map(|(node, client)| {
            let (address, key) = (node.address.clone(), key.to_owned());
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            std::thread::spawn(move || load(&address, &key, client, round, &stop, &acknowledged))
        });
        Self { threads: threads.collect(), stop, acknowledged }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("every answer is a success");
        }
    }
}

fn start_target(url: &str, seed: u32) -> Simulator {
    let simulator = Simulator::start("scim", &format!("allow-duplicates = true\nlose-answers = 0.05\nseed = {seed}"));
    simulator.add_to(url, "target", &["--rate", "0", "--concurrency", "16", "--timeout", "2"]);
    simulator
}

/// Waits until the target has all users, and compares it with them.
fn assert_complete(url: &str, simulator: &Simulator) {
    let all = users(url);
    wait_for("all users", || {
        let status = run_json(url, &["target", "status", "target", "--tenant", "1"]);
        if status["linked"] == all.len() as u64 && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
    check(simulator, &all);
}

#[test]
fn a_suspended_process_sends_nothing_after_its_lease() {
    // Longer than the lease of 15 seconds.
    let (pause, rounds) = if is_long_run() { (60, 3) } else { (20, 1) };
    let counts: &[usize] = if is_long_run() { &[2, 3] } else { &[3] };
    for count in counts {
        suspend(*count, Duration::from_secs(pause), rounds);
    }
}

fn suspend(count: usize, pause: Duration, rounds: u64) {
    let cluster = Cluster::start(&[]);
    let url = cluster.create_database();
    let nodes: Vec<Node> = (0..count).map(|_| Node::start(&url)).collect();
    let credentials = Credentials::create(&url);
    let simulator = start_target(&url, 5);
    for round in 0..rounds {
        let first = Clients::start(&nodes.iter().collect::<Vec<_>>(), &credentials.key, 2 * round);
        let before: Vec<u64> = nodes.iter().map(Node::push_count).collect();
        let pushing = wait_for("a process that pushes", || {
            let has_pushed = |(node, before): (&Node, &u64)| node.push_count() > *before;
            nodes.iter().zip(&before).position(has_pushed).ok_or("none")
        });
        std::thread::sleep(LOAD);
        first.end();
        // The other processes answer meanwhile.
        let others: Vec<&Node> = nodes.iter().enumerate().filter(|(n, _)| *n != pushing).map(|(_, it)| it).collect();
        let clients = Clients::start(&others, &credentials.key, 2 * round + 1);
        std::thread::sleep(LOAD);
        signal(nodes[pushing].pid(), "STOP");
        let before: u64 = others.iter().map(|node| node.push_count()).sum();
        std::thread::sleep(pause);
        let after: u64 = others.iter().map(|node| node.push_count()).sum();
        assert!(after > before, "another process pushes");
        signal(nodes[pushing].pid(), "CONT");
        std::thread::sleep(LOAD);
        clients.end();
    }
    assert_complete(&url, &simulator);
}

#[test]
fn a_failover_of_the_database_loses_and_duplicates_nothing() {
    let primary = Cluster::start(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let direct = primary.create_database();
    let standby = primary.standby();
    let name = direct.rsplit('/').next().expect("a name");
    let (one, two) = (primary.port(), standby.port());
    let url = format!("postgres://muster@127.0.0.1:{one},127.0.0.1:{two}/{name}?target_session_attrs=read-write");
    let credentials = Credentials::create(&url);
    let nodes: Vec<Node> = (0..2).map(|_| Node::start(&url)).collect();
    let simulator = start_target(&url, 7);
    let clients = Clients::start(&nodes.iter().collect::<Vec<_>>(), &credentials.key, 0);
    std::thread::sleep(LOAD);
    primary.kill();
    standby.promote();
    let before = clients.acknowledged.load(Ordering::Relaxed);
    wait_for("changes after the failover", || {
        let count = clients.acknowledged.load(Ordering::Relaxed);
        if count > before + 100 { Ok(()) } else { Err(count) }
    });
    std::thread::sleep(LOAD);
    clients.end();
    assert_complete(&url, &simulator);
}
