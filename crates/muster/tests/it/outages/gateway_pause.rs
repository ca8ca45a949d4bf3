//! Processes on one database push to a target. One is suspended for longer than its lease lasts, and continued: another
//! takes over, and the suspended one sends nothing that is older. When the database fails over, nothing is lost or sent
//! twice.

use super::nodes::{Credentials, Node};
use crate::gateway::{Clients, Simulator, check, users, wait_for, wait_until_linked};
use crate::support::signal;
use std::time::Duration;
use testkit::postgres::Cluster;
use testkit::seeds::is_long_run;

/// Load before and after an outage.
const LOAD: Duration = Duration::from_secs(3);

fn start_clients(nodes: &[&Node], key: &str, round: u64) -> Clients {
    let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
    Clients::start(&addresses, key, round)
}

fn start_target(url: &str, seed: u32) -> Simulator {
    let simulator = Simulator::start("scim", &format!("allow-duplicates = true\nlose-answers = 0.05\nseed = {seed}"));
    simulator.add_to(url, "target", &["--rate", "0", "--concurrency", "16", "--timeout", "2"]);
    simulator
}

/// Waits until the target has all users, and compares it with them.
fn assert_complete(url: &str, simulator: &Simulator) {
    let all = users(url);
    wait_until_linked(url, "target", all.len() as u64);
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
        let first = start_clients(&nodes.iter().collect::<Vec<_>>(), &credentials.key, 2 * round);
        let before: Vec<u64> = nodes.iter().map(Node::push_count).collect();
        let pushing = wait_for("a process that pushes", || {
            let has_pushed = |(node, before): (&Node, &u64)| node.push_count() > *before;
            nodes.iter().zip(&before).position(has_pushed).ok_or("none")
        });
        std::thread::sleep(LOAD);
        first.end();
        // The other processes answer meanwhile.
        let others: Vec<&Node> = nodes.iter().enumerate().filter(|(n, _)| *n != pushing).map(|(_, it)| it).collect();
        let clients = start_clients(&others, &credentials.key, 2 * round + 1);
        std::thread::sleep(LOAD);
        signal(nodes[pushing].pid(), "STOP");
        let before: u64 = others.iter().map(|node| node.push_count()).sum();
        std::thread::sleep(pause);
        wait_for("pushes of another process", || {
            let after: u64 = others.iter().map(|node| node.push_count()).sum();
            if after > before { Ok(()) } else { Err(after) }
        });
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
    let clients = start_clients(&nodes.iter().collect::<Vec<_>>(), &credentials.key, 0);
    std::thread::sleep(LOAD);
    primary.kill();
    standby.promote();
    let before = clients.acknowledged();
    wait_for("changes after the failover", || {
        let count = clients.acknowledged();
        if count > before + 100 { Ok(()) } else { Err(count) }
    });
    std::thread::sleep(LOAD);
    clients.end();
    assert_complete(&url, &simulator);
}
