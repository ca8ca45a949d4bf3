//! The primary dies under load and its synchronous standby takes over: the processes find it by themselves, and
//! nothing that was acknowledged is lost.

use super::client::{Client, Not, Person, Tongue};
use super::fleet::{self, Door, Node};
use super::{pick, say};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;
use testkit::seeds::times;
use testkit::waiting::PATIENCE;

const THREADS_EACH: usize = 4;
/// How many creates each process has acknowledged before the primary dies, and after the standby took over.
const EACH: u32 = 40;

/// What the load has seen so far.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<Vec<Acknowledged>>,
    refused: Mutex<Vec<Person>>,
    next: AtomicU64,
    is_over: AtomicBool,
}

struct Acknowledged {
    person: Person,
    node: usize,
    at: Instant,
}

impl Seen {
    /// The first acknowledgement after a moment.
    fn first_after(&self, moment: Instant) -> Option<Instant> {
        let all = self.acknowledged.lock();
        all.iter().map(|one| one.at).filter(|at| *at > moment).min()
    }

    /// Waits until each process has acknowledged some creates since a moment.
    fn wait_for_load(&self, since: Instant, nodes: &[Node]) {
        let wanted = usize::try_from(times(EACH)).expect("small");
        let begun = Instant::now();
        for (number, node) in nodes.iter().enumerate() {
            let many = || {
                let all = self.acknowledged.lock();
                all.iter().filter(|one| one.node == number && one.at > since).count()
            };
            while many() < wanted {
                let (is_late, many) = (begun.elapsed() > PATIENCE, many());
                assert!(!is_late, "process {number} acknowledged only {many}: {}", node.log());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn a_standby_takes_over_and_nothing_acknowledged_is_lost() {
    let primary = Cluster::start(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let direct = primary.database();
    let standby = primary.standby();
    let name = direct.rsplit('/').next().expect("a name");
    let (one, two) = (primary.port(), standby.port());
    let url =
        format!("postgres://muster@127.0.0.1:{one},127.0.0.1:{two}/{name}?target_session_attrs=read-write");
    let door = Door::new(&url);
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&url)).collect();
    let clients: Vec<Client> = nodes.iter().map(|node| node.client(&door)).collect();
    let seen = Seen::default();
    let [killed, promoted, back] = std::thread::scope(|scope| {
        for node in 0..nodes.len() * THREADS_EACH {
            let (node, seen) = (node % nodes.len(), &seen);
            let client = &clients[node];
            scope.spawn(move || load(client, node, seen));
        }
        // Whatever fails in here, the load must end, or its threads would be waited for without end.
        let _over = Over(&seen.is_over);
        seen.wait_for_load(Instant::now(), &nodes);
        let killed = Instant::now();
        primary.kill();
        let promoted = Instant::now();
        standby.promote();
        say(&format!("promoting took {:?}", promoted.elapsed()));
        seen.wait_for_load(promoted, &nodes);
        let back = seen.first_after(promoted).expect("it is acknowledged again");
        [killed, promoted, back]
    });
    say(&format!(
        "first acknowledged {:?} after the kill, {:?} after the promotion began",
        back - killed,
        back - promoted
    ));
    check(&clients, seen);
    fleet::sound(&url);
}

/// Ends the load when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn load(client: &Client, node: usize, seen: &Seen) {
    while !seen.is_over.load(Ordering::SeqCst) {
        let n = seen.next.fetch_add(1, Ordering::Relaxed);
        let person = Person {
            email: format!("p{n:06}@load.example"),
            external: format!("e{n:06}"),
            first: format!("F{n}"),
        };
        match client.create(pick(&Tongue::ALL, n), &person) {
            Ok(()) => {
                let acknowledged = Acknowledged { person, node, at: Instant::now() };
                seen.acknowledged.lock().push(acknowledged);
            }
            // Nobody else asked for this person, so a "taken" is about what was refused or lost before.
            Err(Not::Possible) => panic!("{person:?} is taken, and nobody has it"),
            Err(Not::Now) => {
                seen.refused.lock().push(person);
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(Not::Known) => panic!("{person:?} got no answer within a minute"),
        }
    }
}

/// Nobody acknowledged is lost or there twice; the refused are counted only, since the primary may have died between
/// its commit and its answer.
fn check(clients: &[Client], seen: Seen) {
    let acknowledged = seen.acknowledged.into_inner();
    let refused = seen.refused.into_inner();
    let mut faults = Vec::new();
    for (n, one) in acknowledged.iter().enumerate() {
        let (client, email) = (&clients[n % clients.len()], &one.person.email);
        let count = client.count(email);
        let read = client.read(Tongue::Publisher, email);
        let is_right = matches!(&read, Ok(read) if read.first == one.person.first);
        if count != 1 || !is_right {
            faults.push(format!("{email} is there {count} times: {read:?}"));
        }
    }
    let counts: Vec<u64> = refused.iter().map(|person| clients[0].count(&person.email)).collect();
    let there: u64 = counts.iter().sum();
    say(&format!("{} acknowledged, {} refused of whom {there} are there", acknowledged.len(), refused.len()));
    assert!(counts.iter().all(|count| *count <= 1), "nobody is there twice");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(clients[0].total(), acknowledged.len() as u64 + there, "nobody else is there");
}
