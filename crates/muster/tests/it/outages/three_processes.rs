//! Three processes on one database under a mixed load over every dialect, of which one is killed and comes back: each
//! sees at once what another has acknowledged, nobody's e-mail has two owners, and the feed tells all of it once.

mod contention;
mod event_reader;
mod worker;

use super::client::{Client, Failure};
use super::nodes::{self, Credentials, Node};
use super::print;
use contention::EmailOwner;
use directory::{EntitySnapshot, EventPosition};
use event_reader::{ReadEvents, read_events};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;
use testkit::postgres::{Cluster, query};
use testkit::seeds::repetitions;
use testkit::waiting::wait_until;
use worker::Worker;

/// How many things are done while all three are there, while one is away, and when it is back.
const OPERATIONS: u32 = 600;
const THREADS: u64 = 9;
const CONTESTED_EMAILS: usize = 6;
const SEED: u64 = 4;

/// What all threads share.
struct SharedState {
    credentials: Credentials,
    /// Where the processes listen; `None` for the one that is away.
    addresses: RwLock<Vec<Option<String>>>,
    /// E-mails that everybody wants.
    contested_emails: Vec<Mutex<EmailOwner>>,
    is_over: AtomicBool,
    /// How many things were done.
    operations: AtomicU32,
}

impl SharedState {
    /// Waits until so many more things were done.
    fn wait_for_load(&self) {
        let wanted = self.operations.load(Ordering::SeqCst) + repetitions(OPERATIONS);
        wait_until("the load to go on", || {
            self.operations.load(Ordering::SeqCst) >= wanted || self.is_over.load(Ordering::SeqCst)
        });
    }

    fn address(&self, node: usize) -> Option<String> {
        self.addresses.read()[node].clone()
    }

    fn set(&self, node: usize, address: Option<String>) {
        self.addresses.write()[node] = address;
    }

    /// A process that is there, by a number; not this one.
    fn client(&self, number: u64, except: Option<usize>) -> (usize, Client) {
        let addresses = self.addresses.read();
        let there: Vec<(usize, &String)> =
            (0..).zip(addresses.iter()).filter_map(|(node, address)| Some((node, address.as_ref()?))).collect();
        let others: Vec<_> = there.into_iter().filter(|(node, _)| Some(*node) != except).collect();
        let (node, address) = super::choose(&others, number);
        (node, Client { address: address.clone(), credentials: self.credentials.clone() })
    }
}

/// How often something was done to each e-mail, by the word of its event.
type EventCounts = BTreeMap<(String, &'static str), u64>;

/// Says that something is over when dropped.
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
        // However this ends, the others must.
        let (over, written) = (StopOnDrop(&world.is_over), StopOnDrop(&is_written));
        kill_one_and_start_it_again(&world, 1, &mut nodes[1]);
        drop(over);
        let owners: Vec<Worker> = threads.into_iter().map(|thread| thread.join().expect("all was right")).collect();
        // An event gets its position a moment after its change was acknowledged.
        let unsealed = "SELECT count(*) FROM batches WHERE position IS NULL";
        wait_until("every event to have its position", || query(&url, unsealed) == "0");
        drop(written);
        (owners, follower.join().expect("the feed is right"))
    });
    verify(&world, &owners, &followed);
    nodes::assert_sound(&url);
}

fn kill_one_and_start_it_again(world: &SharedState, number: usize, node: &mut Node) {
    world.wait_for_load();
    // Away before it is killed: whoever is not answered can tell that this is why.
    world.set(number, None);
    node.kill();
    world.wait_for_load();
    let begun = Instant::now();
    node.restart();
    world.set(number, Some(node.address.clone()));
    print(&format!("back after {:?}", begun.elapsed()));
    world.wait_for_load();
}

/// The feed, read in this process without any of the three.
fn event_feed(url: &str) -> impl Fn(u64) -> Vec<(u64, Option<String>, &'static str)> {
    let (runtime, app) = (crate::support::runtime(), nodes::open_store(url));
    move |after| {
        let events = runtime.block_on(app.directory.events(EventPosition(after), 1000)).expect("read");
        let told = events.into_iter().map(|event| {
            let what = event.data;
            let email = match what.after.or(what.before) {
                Some(EntitySnapshot::User(user)) => user.email().map(str::to_owned),
                _ => None,
            };
            (event.position.0, email, what.action.as_str())
        });
        told.collect()
    }
}

/// What is there at the end, and what the feed has told, is what was acknowledged.
fn verify(world: &SharedState, owners: &[Worker], followed: &ReadEvents) {
    let (mut tally, mut done) = (EventCounts::new(), BTreeMap::<&str, u64>::new());
    for owner in owners {
        owner.expected_events.iter().for_each(|(what, times)| *tally.entry(what.clone()).or_default() += times);
        owner.operation_counts.iter().for_each(|(what, times)| *done.entry(what).or_default() += times);
    }
    print(&format!("{done:?}; {} events", followed.last));
    let (_, client) = world.client(0, None);
    let mut told = followed.counts.clone();
    let mut total = 0;
    for (number, prize) in world.contested_emails.iter().enumerate() {
        let (email, prize) = (contention::contested_email(number), prize.lock());
        let count = client.count(&email);
        total += count;
        print(&format!("{email}: {prize:?}, {:?} times", tally.get(&(email.clone(), "created"))));
        if *prize == EmailOwner::Unknown {
            // Where one was not answered, either is right, but no more than one person.
            assert!(count <= 1, "{email} is there {count} times");
            let is_this = |what: &(String, &str)| what.0 == email;
            tally.retain(|what, _| !is_this(what));
            told.retain(|what, _| !is_this(what));
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
    assert_eq!(client.total(), total, "nobody else is there");
    assert_eq!(told, tally, "the feed tells what was acknowledged");
}
