//! A backup during maximum write load is complete, consistent, and contains everything acknowledged before it began.

use super::{assert_sound, run_json};
use crate::support::{Server, TestStore, try_send};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use testkit::waiting::wait_until;

#[test]
fn a_backup_contains_everything_acknowledged_before() {
    let server = Server::start(&["--log-level", "error"]);
    let (_, key) = server.create_tenant(&[]);
    let acknowledged = Arc::new(Mutex::new(Vec::<String>::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..6)
        .map(|client| {
            let (address, key) = (server.address.clone(), key.clone());
            let (acknowledged, stop) = (Arc::clone(&acknowledged), Arc::clone(&stop));
            std::thread::spawn(move || {
                let bearer = format!("Bearer {key}");
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let email = format!("c{client}n{n}@x.y");
                    let body = format!(
                        "{{\"user\":{{\"email\":\"{email}\",\"name\":{{\"firstname\":\"A\"}},\"department\":\"D{}\"}}}}",
                        n % 5
                    );
                    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
                    let reply = try_send(&address, "POST", "/api/2/users", &headers, body.as_bytes());
                    if reply.is_some_and(|reply| reply.status == 200) {
                        acknowledged.lock().push(email);
                    }
                }
            })
        })
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let mut rounds_under_load = 0;
    for round in 0..30 {
        let many = || acknowledged.lock().len();
        let wanted = many() + 60;
        wait_until("creates before the backup", || many() > wanted);
        let before: Vec<String> = acknowledged.lock().clone();
        let path = folder.path().join(format!("backup{round}")).display().to_string();
        run_json(server.store(), &["backup", &path]);
        // On a busy machine, a backup may end before the next create.
        rounds_under_load += u32::from(many() > before.len());
        let target = TestStore::new();
        run_json(&target.store, &["restore", &path]);
        assert_sound(&target.store);
        let out = folder.path().join(format!("people{round}.ndjson"));
        run_json(&target.store, &["export", &out.display().to_string(), "--kind", "user", "--columns", "email"]);
        let text = std::fs::read_to_string(&out).expect("read");
        let there: HashSet<&str> = text.lines().filter_map(|line| line.split('"').nth(3)).collect();
        let missing: Vec<&String> = before.iter().filter(|email| !there.contains(email.as_str())).collect();
        assert!(missing.is_empty(), "{} acknowledged users are missing: {missing:?}", missing.len());
        if rounds_under_load == 3 {
            break;
        }
    }
    assert_eq!(rounds_under_load, 3, "three of thirty backups ran during creates");
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().expect("ended");
    }
    assert_sound(server.store());
}
