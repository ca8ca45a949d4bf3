//! `kill -9` of the server while it pushes, with answers that are lost: no account twice, none missing, and never an
//! older state after a newer one.

use super::record::{check, load, users};
use super::support::{Simulator, wait_for};
use crate::support::{Server, TestStore};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Kills in a normal run.
const KILLS: u32 = 8;
const CLIENTS: u64 = 4;

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
    let total = users(server.store());
    wait_for("all users", || {
        let status = super::support::status(server.store(), "target");
        if status["linked"] == total.len() as u64 && status["waiting"] == 0 { Ok(()) } else { Err(status) }
    });
    check(&simulator, &total);
}
