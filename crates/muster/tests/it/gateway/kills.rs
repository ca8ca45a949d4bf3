//! `kill -9` of the server while it pushes, with answers that are lost: no account twice, none missing, and never an
//! older state after a newer one.

use super::record::{Clients, check, create_user, users};
use super::support::{Simulator, wait_for, wait_until_linked};
use crate::support::{Server, TestStore, is_on_postgres};
use std::time::Duration;
use testkit::seeds::is_long_run;

/// Kills in a normal run and in a long one.
const KILLS: u64 = 8;
const LONG_KILLS: u64 = 1_000;
/// Servers at the same time, each with a store and a target of its own: on PostgreSQL, the leases of a killed process
/// last for 15 seconds, so that most of the time is waiting.
const PARALLEL: u64 = 4;
const LONG_PARALLEL: u64 = 16;
const CLIENTS: usize = 4;

#[test]
fn kills_neither_duplicate_nor_lose_nor_reorder() {
    let kills = if is_long_run() { LONG_KILLS } else { KILLS };
    let parallel = match (is_on_postgres(), is_long_run()) {
        (true, true) => LONG_PARALLEL,
        (false, true) | (true, false) => PARALLEL,
        (false, false) => 1,
    };
    std::thread::scope(|scope| {
        for installation in 0..parallel {
            scope.spawn(move || kill_repeatedly(kills.div_ceil(parallel), installation));
        }
    });
}

fn kill_repeatedly(kills: u64, installation: u64) {
    let faults = format!("allow-duplicates = true\nlose-answers = 0.05\nseed = {}", installation + 3);
    let simulator = Simulator::start("scim", &faults);
    let mut server = Server::start_on(TestStore::new(), &["--log-level", "error"]);
    server.run_json(&["tenant", "add", "Acme"]);
    let key = server.create_connection(1, "load", &[]);
    simulator.add_to(server.store(), "target", &["--rate", "0", "--concurrency", "16", "--timeout", "1"]);
    for round in 0..kills {
        let before = simulator.request_count();
        create_user(&server.address, &key, &format!("first{round}@example.com"));
        wait_for("a push", || if simulator.request_count() > before { Ok(()) } else { Err("no request") });
        let clients = Clients::start(&[server.address.as_str(); CLIENTS], &key, round);
        wait_for("changes", || {
            let count = clients.acknowledged();
            if count >= 60 + round * 13 % 60 { Ok(()) } else { Err(count) }
        });
        // At any time of a push.
        std::thread::sleep(Duration::from_millis((round * 37 + installation * 11) % 400));
        let store = server.kill();
        clients.end();
        server = Server::start_on(store, &["--log-level", "error"]);
    }
    let total = users(server.store());
    wait_until_linked(server.store(), "target", total.len() as u64);
    check(&simulator, &total);
}
