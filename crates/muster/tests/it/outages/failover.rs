//! The primary is killed under load and its synchronous standby is promoted: the processes find it without
//! intervention, and no acknowledged change is lost.

use super::client::{Client, Dialect, Failure, TestUser};
use super::nodes::{self, Credentials, Node};
use super::{choose, print};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;
use testkit::seeds::repetitions;
use testkit::waiting::TIMEOUT;

const THREADS_EACH: usize = 4;
/// Creates that each process acknowledges before the primary is killed, and after the standby is promoted.
const CREATES_EACH: u32 = 40;

/// The results of the load so far.
#[derive(Default)]
struct LoadResults {
    acknowledged: Mutex<Vec<Acknowledged>>,
    rejected: Mutex<Vec<TestUser>>,
    next: AtomicU64,
    is_over: AtomicBool,
}

struct Acknowledged {
    user: TestUser,
    node: usize,
    at: Instant,
}

impl LoadResults {
    /// The first acknowledgement after `moment`.
    fn first_after(&self, moment: Instant) -> Option<Instant> {
        let all = self.acknowledged.lock();
        all.iter().map(|one| one.at).filter(|at| *at > moment).min()
    }

    /// Waits until each process has acknowledged [`CREATES_EACH`] creates since a moment.
    fn wait_for_load(&self, since: Instant, nodes: &[Node]) {
        let wanted = usize::try_from(repetitions(CREATES_EACH)).expect("small");
        let begun = Instant::now();
        for (number, node) in nodes.iter().enumerate() {
            let many = || {
                let all = self.acknowledged.lock();
                all.iter().filter(|one| one.node == number && one.at > since).count()
            };
            while many() < wanted {
                let (is_late, many) = (begun.elapsed() > TIMEOUT, many());
                assert!(!is_late, "process {number} acknowledged only {many}: {}", node.log());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn acknowledged_changes_survive_failover() {
    let primary = Cluster::start(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let direct = primary.create_database();
    let standby = primary.standby();
    let name = direct.rsplit('/').next().expect("a name");
    let (one, two) = (primary.port(), standby.port());
    let url = format!("postgres://muster@127.0.0.1:{one},127.0.0.1:{two}/{name}?target_session_attrs=read-write");
    let door = Credentials::create(&url);
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&url)).collect();
    let clients: Vec<Client> = nodes.iter().map(|node| node.client(&door)).collect();
    let seen = LoadResults::default();
    let [killed, promoted, back] = std::thread::scope(|scope| {
        for node in 0..nodes.len() * THREADS_EACH {
            let (node, seen) = (node % nodes.len(), &seen);
            let client = &clients[node];
            scope.spawn(move || run_load(client, node, seen));
        }
        // Ends the load also on a panic; otherwise the scope would wait for its threads forever.
        let _over = StopOnDrop(&seen.is_over);
        seen.wait_for_load(Instant::now(), &nodes);
        let killed = Instant::now();
        primary.kill();
        let promoted = Instant::now();
        standby.promote();
        print(&format!("promoting took {:?}", promoted.elapsed()));
        seen.wait_for_load(promoted, &nodes);
        let back = seen.first_after(promoted).expect("acknowledged again");
        [killed, promoted, back]
    });
    print(&format!(
        "first acknowledged {:?} after the kill, {:?} after the promotion began",
        back - killed,
        back - promoted
    ));
    verify(&clients, seen);
    nodes::assert_sound(&url);
}

/// Ends the load when dropped.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn run_load(client: &Client, node: usize, seen: &LoadResults) {
    while !seen.is_over.load(Ordering::SeqCst) {
        let n = seen.next.fetch_add(1, Ordering::Relaxed);
        let person = TestUser {
            email: format!("p{n:06}@load.example"),
            external_id: format!("e{n:06}"),
            first_name: format!("F{n}"),
        };
        match client.create(choose(&Dialect::ALL, n), &person) {
            Ok(()) => {
                let acknowledged = Acknowledged { user: person, node, at: Instant::now() };
                seen.acknowledged.lock().push(acknowledged);
            }
            // Each user is sent once, so a conflict would be with a rejected or lost create.
            Err(Failure::Rejected) => panic!("{person:?} conflicts with no acknowledged user"),
            Err(Failure::Unavailable) => {
                seen.rejected.lock().push(person);
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Failure::InDoubt) => panic!("{person:?} got no response within a minute"),
        }
    }
}

/// Checks that acknowledged users exist exactly once. Rejected ones are only counted, because the primary may have been
/// killed between commit and reply.
fn verify(clients: &[Client], seen: LoadResults) {
    let acknowledged = seen.acknowledged.into_inner();
    let refused = seen.rejected.into_inner();
    let mut faults = Vec::new();
    for (n, one) in acknowledged.iter().enumerate() {
        let (client, email) = (&clients[n % clients.len()], &one.user.email);
        let count = client.count(email);
        let read = client.read(Dialect::Publisher, email);
        let is_right = matches!(&read, Ok(read) if read.first == one.user.first_name);
        if count != 1 || !is_right {
            faults.push(format!("{email} exists {count} times: {read:?}"));
        }
    }
    let counts: Vec<u64> = refused.iter().map(|person| clients[0].count(&person.email)).collect();
    let there: u64 = counts.iter().sum();
    print(&format!("{} acknowledged, {} rejected, of which {there} exist", acknowledged.len(), refused.len()));
    assert!(counts.iter().all(|count| *count <= 1), "duplicate users");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(clients[0].total(), acknowledged.len() as u64 + there, "unexpected users");
}
