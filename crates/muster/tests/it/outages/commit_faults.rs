//! Three processes on one database behind a proxy that injects faults into about a fifth of all commits: acknowledged
//! creates exist exactly once, rejected ones do not exist.

use super::client::{Client, ClientResult, Dialect, Failure, TestUser};
use super::nodes::{self, Credentials, Node};
use super::{choose, print, random_at};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;
use testkit::proxy::{Fault, Proxy};

/// Creates in a normal run.
const CREATES: u32 = 1_000;
const THREADS: usize = 12;
const SEED: u64 = 17;
/// One in this many jobs is a pair of concurrent creates of which at most one may succeed.
const PAIR_EVERY: u64 = 10;

/// A create and its result.
struct Attempt {
    user: TestUser,
    dialect: Dialect,
    result: ClientResult<()>,
}

/// One create, or two that are sent to different processes concurrently.
type Job = Vec<(TestUser, Dialect)>;

#[test]
fn acknowledged_creates_exist_once_and_rejected_ones_do_not() {
    let cluster = Cluster::start(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let direct = cluster.create_database();
    let door = Credentials::create(&direct);
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", cluster.port()), move |n| {
        if armed.load(Ordering::SeqCst) { choose_fault(n) } else { Fault::Pass }
    });
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&proxy.url(&direct))).collect();
    let clients: Vec<Client> = nodes.iter().map(|node| node.client(&door)).collect();
    is_armed.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let attempts = run_jobs(&clients, &jobs());
    is_armed.store(false, Ordering::SeqCst);
    let of = |answer: &ClientResult<()>| attempts.iter().flatten().filter(|one| one.result == *answer).count();
    let [done, taken, busy, silent] =
        [Ok(()), Err(Failure::Rejected), Err(Failure::Unavailable), Err(Failure::InDoubt)].map(|answer| of(&answer));
    print(&format!(
        "{done} acknowledged, {taken} conflicts, {busy} unavailable, {silent} unanswered in {:?}",
        begun.elapsed()
    ));
    print(&format!("{} commits: {:?}", proxy.commits(), proxy.counts()));
    let logs: String = nodes.iter().map(Node::log).collect();
    assert_eq!(silent, 0, "requests without a response: {logs}");
    assert!(done > creates() / 2, "too few creates succeeded: {logs}");
    for kind in KINDS {
        assert!(proxy.counts().contains_key(kind.name()), "{kind:?} was not injected");
    }
    drop(nodes);
    // Check without the proxy.
    let calm = Node::start(&direct);
    verify(&calm.client(&door), &attempts);
    assert_eq!(calm.client(&door).total(), done as u64, "unexpected users");
    drop(calm);
    nodes::assert_sound(&direct);
}

const KINDS: [Fault; 6] = [
    Fault::SerializationFailure,
    Fault::Deadlock,
    Fault::DisconnectBefore,
    Fault::DisconnectAfter,
    Fault::DisconnectThenCommit(Duration::ZERO),
    Fault::Delay(Duration::ZERO),
];

fn choose_fault(n: u64) -> Fault {
    let chance = random_at(SEED, n);
    if !chance.is_multiple_of(5) {
        return Fault::Pass;
    }
    let time = Duration::from_millis(20 + (chance >> 32) % 700);
    match choose(&KINDS, chance >> 8) {
        Fault::DisconnectThenCommit(_) => Fault::DisconnectThenCommit(time),
        Fault::Delay(_) => Fault::Delay(time / 2),
        other => other,
    }
}

fn creates() -> usize {
    usize::try_from(testkit::seeds::repetitions(CREATES)).expect("small")
}

fn jobs() -> Vec<Job> {
    const DIALECTS: [Dialect; 4] = [Dialect::Publisher, Dialect::Ccs, Dialect::OnfireV2, Dialect::Scim];
    let mut jobs = Vec::new();
    let mut left = creates();
    for n in 0_u64.. {
        if left < 2 {
            break;
        }
        let one = TestUser {
            email: format!("p{n:05}@load.example"),
            external_id: format!("e{n:05}"),
            first_name: format!("A{n}"),
        };
        let api = choose(&DIALECTS, n);
        if !n.is_multiple_of(PAIR_EVERY) {
            jobs.push(vec![(one, api)]);
            left -= 1;
            continue;
        }
        let other_tongue = random_at(SEED + 1, n);
        let mut other = TestUser { first_name: format!("B{n}"), ..one.clone() };
        let mut tongues = [api, choose(&DIALECTS, other_tongue)];
        match n / PAIR_EVERY % 3 {
            // The same user, the same email only, the same external id only.
            0 => {}
            1 => other.external_id = format!("f{n:05}"),
            _ => {
                other.email = format!("q{n:05}@load.example");
                tongues = [choose(&Dialect::WITH_EXTERNAL_ID, n), choose(&Dialect::WITH_EXTERNAL_ID, other_tongue)];
            }
        }
        jobs.push(vec![(one, tongues[0]), (other, tongues[1])]);
        left -= 2;
    }
    jobs
}

fn run_jobs(clients: &[Client], jobs: &[Job]) -> Vec<Vec<Attempt>> {
    let (next, attempts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(place) else { return };
                    let done = send_concurrently(clients, place, job);
                    attempts.lock().push(done);
                }
            });
        }
    });
    attempts.into_inner()
}

/// Sends the creates of a job concurrently, each to another process.
fn send_concurrently(clients: &[Client], place: usize, job: &Job) -> Vec<Attempt> {
    let attempt = |number: usize| {
        let (person, api) = &job[number];
        let answer = clients[(place + number) % clients.len()].create(*api, person);
        Attempt { user: person.clone(), dialect: *api, result: answer }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..job.len()).map(|number| scope.spawn(move || attempt(number))).collect();
        let first = attempt(0);
        let others = others.into_iter().map(|other| other.join().expect("answered"));
        std::iter::once(first).chain(others).collect()
    })
}

/// Checks that acknowledged users exist once, as sent, and no others.
fn verify(client: &Client, attempts: &[Vec<Attempt>]) {
    let mut faults = Vec::new();
    for job in attempts {
        let done: Vec<&Attempt> = job.iter().filter(|one| one.result.is_ok()).collect();
        let answers: Vec<_> = job.iter().map(|one| (&one.user, one.dialect, &one.result)).collect();
        // A conflict is wrong if neither create was acknowledged.
        if done.len() > 1 || (done.is_empty() && job.iter().any(|one| one.result == Err(Failure::Rejected))) {
            faults.push(format!("{} acknowledged: {answers:?}", done.len()));
        }
        let emails: BTreeSet<&str> = job.iter().map(|one| one.user.email.as_str()).collect();
        let mut wanted: BTreeMap<&str, Option<&Attempt>> = emails.iter().map(|email| (*email, None)).collect();
        wanted.extend(done.iter().map(|one| (one.user.email.as_str(), Some(*one))));
        for (email, attempt) in wanted {
            let count = client.count(email);
            let is_right = match (attempt, client.read(Dialect::Publisher, email)) {
                (None, Err(Failure::Rejected)) => count == 0,
                (Some(attempt), Ok(seen)) => count == 1 && matches(attempt, &seen),
                _ => false,
            };
            if !is_right {
                faults.push(format!("{email} exists {count} times: {answers:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn matches(attempt: &Attempt, seen: &super::client::UserView) -> bool {
    let person = &attempt.user;
    let is_external = attempt.dialect == Dialect::Ccs || seen.external.as_ref() == Some(&person.external_id);
    seen.email == person.email && seen.first == person.first_name && is_external
}
