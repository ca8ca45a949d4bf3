//! Three processes on one database under mixed load over every dialect; one is killed and restarted. Each sees
//! acknowledged changes of the others at once, no email has two owners, and the event feed contains every change once.

mod contention;
mod event_reader;
mod worker;

use super::client::{Client, Failure};
use super::nodes::{self, Credentials, Node};
use super::print;
use contention::EmailOwner;
use directory::{Caller, EntitySnapshot, EventPosition};
use event_reader::{ReadEvents, read_events};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use testkit::postgres::{Cluster, query};
use testkit::seeds::repetitions;
use testkit::waiting::wait_until;
use worker::Worker;

/// Operations with all three processes, without one, and after its restart.
const OPERATIONS: u32 = 600;
const THREADS: u64 = 9;
const CONTESTED_EMAILS: usize = 6;
const SEED: u64 = 4;

/// The state that all threads share.
struct SharedState {
    credentials: Credentials,
    /// The processes' addresses; `None` for the killed one.
    addresses: RwLock<Vec<Option<String>>>,
    /// Emails that all workers compete for.
    contested_emails: Vec<Mutex<EmailOwner>>,
    is_over: AtomicBool,
    /// The number of operations so far.
    operations: AtomicU32,
}

impl SharedState {
    /// Waits for [`OPERATIONS`] more operations.
    fn wait_for_load(&self) {
        let wanted = self.operations.load(Ordering::SeqCst) + repetitions(OPERATIONS);
        wait_until("more operations", || {
            self.operations.load(Ordering::SeqCst) >= wanted || self.is_over.load(Ordering::SeqCst)
        });
    }

    fn address(&self, node: usize) -> Option<String> {
        self.addresses.read()[node].clone()
    }

    fn set(&self, node: usize, address: Option<String>) {
        self.addresses.write()[node] = address;
    }

    /// A client of a running process selected by `number`, except this one.
    fn client(&self, number: u64, except: Option<usize>) -> (usize, Client) {
        let addresses = self.addresses.read();
        let there: Vec<(usize, &String)> =
            (0..).zip(addresses.iter()).filter_map(|(node, address)| Some((node, address.as_ref()?))).collect();
        let others: Vec<_> = there.into_iter().filter(|(node, _)| Some(*node) != except).collect();
        let (node, address) = super::choose(&others, number);
        (node, Client { address: address.clone(), credentials: self.credentials.clone() })
    }
}

/// The number of events by email and action.
type EventCounts = BTreeMap<(String, &'static str), u64>;

/// Sets the flag when dropped.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn processes_see_each_others_changes_and_events_appear_once() {
    let cluster = Cluster::start(&[]);
    let url = cluster.create_database();
    let door = Credentials::create(&url);
    let mut nodes: Vec<Node> = (0..3).map(|_| Node::start(&url)).collect();
    let world = SharedState {
        credentials: door,
        addresses: RwLock::new(nodes.iter().map(|node| Some(node.address.clone())).collect()),
        contested_emails: (0..CONTESTED_EMAILS).map(|_| Mutex::default()).collect(),
        is_over: AtomicBool::new(false),
        operations: AtomicU32::new(0),
    };
    let is_written = AtomicBool::new(false);
    let (owners, followed) = std::thread::scope(|scope| {
        let follower = scope.spawn(|| read_events(event_feed(&url), &is_written));
        let work = |name| Worker::new(&world, name).run();
        let threads: Vec<_> = (0..THREADS).map(|name| scope.spawn(move || work(name))).collect();
        // Also ends the other threads on a panic.
        let (over, written) = (StopOnDrop(&world.is_over), StopOnDrop(&is_written));
        kill_one_and_start_it_again(&world, 1, &mut nodes[1]);
        drop(over);
        let owners: Vec<Worker> = threads.into_iter().map(|thread| thread.join().expect("no worker failed")).collect();
        // Events get their positions shortly after the change is acknowledged.
        let unsealed = "SELECT count(*) FROM batches WHERE position IS NULL";
        wait_until("every event to have a position", || query(&url, unsealed) == "0");
        drop(written);
        (owners, follower.join().expect("the feed is correct"))
    });
    verify(&world, &owners, &followed);
    nodes::assert_sound(&url);
}

fn kill_one_and_start_it_again(world: &SharedState, number: usize, node: &mut Node) {
    world.wait_for_load();
    // Remove the address before the kill, so that clients without a response can detect the reason.
    world.set(number, None);
    node.kill();
    world.wait_for_load();
    let begun = Instant::now();
    node.restart();
    world.set(number, Some(node.address.clone()));
    print(&format!("restarted after {:?}", begun.elapsed()));
    world.wait_for_load();
}

/// Reads the feed in this process, without any of the three.
fn event_feed(url: &str) -> impl Fn(u64) -> Vec<(u64, Option<String>, &'static str)> {
    let (runtime, app) = (crate::support::runtime(), nodes::open_store(url));
    move |after| {
        let events =
            runtime.block_on(app.directory.events(&Caller::installation(), EventPosition(after), 1000)).expect("read");
        let read = events.into_iter().map(|event| {
            let what = event.data;
            let email = match what.after.or(what.before) {
                Some(EntitySnapshot::User(user)) => user.email().map(str::to_owned),
                _ => None,
            };
            (event.position.0, email, what.action.as_str())
        });
        read.collect()
    }
}

/// Checks that the final state and the feed match the acknowledged changes.
fn verify(world: &SharedState, owners: &[Worker], followed: &ReadEvents) {
    let (mut tally, mut done) = (EventCounts::new(), BTreeMap::<&str, u64>::new());
    for owner in owners {
        owner.expected_events.iter().for_each(|(what, times)| *tally.entry(what.clone()).or_default() += times);
        owner.operation_counts.iter().for_each(|(what, times)| *done.entry(what).or_default() += times);
    }
    print(&format!("{done:?}; {} events", followed.last));
    let (_, client) = world.client(0, None);
    let mut read = followed.counts.clone();
    let mut total = 0;
    for (number, prize) in world.contested_emails.iter().enumerate() {
        let (email, prize) = (contention::contested_email(number), prize.lock());
        let count = client.count(&email);
        total += count;
        print(&format!("{email}: {prize:?}, {:?} times", tally.get(&(email.clone(), "created"))));
        if *prize == EmailOwner::Unknown {
            // After a request without a response, zero or one user may exist.
            assert!(count <= 1, "{email} exists {count} times");
            let is_this = |what: &(String, &str)| what.0 == email;
            tally.retain(|what, _| !is_this(what));
            read.retain(|what, _| !is_this(what));
        } else {
            assert_eq!(count, u64::from(matches!(*prize, EmailOwner::Held(_))), "{email}: {prize:?}");
        }
    }
    for owner in owners {
        total += owner.users.len() as u64;
        for known in &owner.users {
            let read = client.read(super::client::Dialect::Publisher, &known.user.email);
            assert_eq!(read.map(|seen| seen.first), Ok::<_, Failure>(known.user.first_name.clone()));
        }
    }
    assert_eq!(client.total(), total, "unexpected users");
    assert_eq!(read, tally, "the feed matches the acknowledged changes");
}
