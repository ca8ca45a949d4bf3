//! Three processes on one database through a proxy that spoils about a fifth of all commits: a create that was
//! acknowledged is there exactly once, one that was refused is not there at all.

use super::client::{Answer, Client, Not, Person, Tongue};
use super::fleet::{self, Door, Node};
use super::{pick, roll, say};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;
use testkit::proxy::{Meddling, Proxy};

/// How many creates in a usual run.
const CREATES: u32 = 1_000;
const THREADS: usize = 12;
const SEED: u64 = 17;
/// Every so many jobs are two creates at the same time of which at most one may be done.
const PAIR_EVERY: u64 = 10;

/// One create, and what came of it.
struct Attempt {
    person: Person,
    tongue: Tongue,
    answer: Answer<()>,
}

/// One create, or two that are sent to different processes at the same time.
type Job = Vec<(Person, Tongue)>;

#[test]
fn what_was_acknowledged_is_there_once_and_what_was_refused_is_not() {
    let cluster = Cluster::start(&[("fsync", "on"), ("synchronous_commit", "on")]);
    let direct = cluster.database();
    let door = Door::new(&direct);
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let proxy = Proxy::start(&format!("127.0.0.1:{}", cluster.port()), move |n| {
        if armed.load(Ordering::SeqCst) { meddling(n) } else { Meddling::Pass }
    });
    let nodes: Vec<Node> = (0..3).map(|_| Node::start(&proxy.url(&direct))).collect();
    let clients: Vec<Client> = nodes.iter().map(|node| node.client(&door)).collect();
    is_armed.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    let attempts = load(&clients, &jobs());
    is_armed.store(false, Ordering::SeqCst);
    let of = |answer: &Answer<()>| attempts.iter().flatten().filter(|one| one.answer == *answer).count();
    let [done, taken, busy, silent] =
        [Ok(()), Err(Not::Possible), Err(Not::Now), Err(Not::Known)].map(|answer| of(&answer));
    say(&format!(
        "{done} acknowledged, {taken} taken, {busy} busy, {silent} silent in {:?}",
        begun.elapsed()
    ));
    say(&format!("{} commits: {:?}", proxy.commits(), proxy.counts()));
    let logs: String = nodes.iter().map(Node::log).collect();
    assert_eq!(silent, 0, "everybody is answered within a minute: {logs}");
    assert!(done > creates() / 2, "most of it works: {logs}");
    for kind in KINDS {
        assert!(proxy.counts().contains_key(kind.name()), "{kind:?} was done");
    }
    drop(nodes);
    // From here on nothing meddles.
    let calm = Node::start(&direct);
    check(&calm.client(&door), &attempts);
    assert_eq!(calm.client(&door).total(), done as u64, "nobody else is there");
    drop(calm);
    fleet::sound(&direct);
}

const KINDS: [Meddling; 6] = [
    Meddling::SerializationFailure,
    Meddling::Deadlock,
    Meddling::CutBefore,
    Meddling::CutAfter,
    Meddling::CutThenCommit(Duration::ZERO),
    Meddling::Delay(Duration::ZERO),
];

fn meddling(n: u64) -> Meddling {
    let chance = roll(SEED, n);
    if !chance.is_multiple_of(5) {
        return Meddling::Pass;
    }
    let time = Duration::from_millis(20 + (chance >> 32) % 700);
    match pick(&KINDS, chance >> 8) {
        Meddling::CutThenCommit(_) => Meddling::CutThenCommit(time),
        Meddling::Delay(_) => Meddling::Delay(time / 2),
        other => other,
    }
}

fn creates() -> usize {
    usize::try_from(testkit::seeds::times(CREATES)).expect("small")
}

fn jobs() -> Vec<Job> {
    const FOUR: [Tongue; 4] = [Tongue::Publisher, Tongue::Ccs, Tongue::OnfireV2, Tongue::Scim];
    let mut jobs = Vec::new();
    let mut left = creates();
    for n in 0_u64.. {
        if left < 2 {
            break;
        }
        let one = Person {
            email: format!("p{n:05}@load.example"),
            external: format!("e{n:05}"),
            first: format!("A{n}"),
        };
        let tongue = pick(&FOUR, n);
        if !n.is_multiple_of(PAIR_EVERY) {
            jobs.push(vec![(one, tongue)]);
            left -= 1;
            continue;
        }
        let other_tongue = roll(SEED + 1, n);
        let mut other = Person { first: format!("B{n}"), ..one.clone() };
        let mut tongues = [tongue, pick(&FOUR, other_tongue)];
        match n / PAIR_EVERY % 3 {
            // The same in everything, the same e-mail only, the same external id only.
            0 => {}
            1 => other.external = format!("f{n:05}"),
            _ => {
                other.email = format!("q{n:05}@load.example");
                tongues = [pick(&Tongue::EXTERNAL, n), pick(&Tongue::EXTERNAL, other_tongue)];
            }
        }
        jobs.push(vec![(one, tongues[0]), (other, tongues[1])]);
        left -= 2;
    }
    jobs
}

fn load(clients: &[Client], jobs: &[Job]) -> Vec<Vec<Attempt>> {
    let (next, attempts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(place) else { return };
                    let done = together(clients, place, job);
                    attempts.lock().push(done);
                }
            });
        }
    });
    attempts.into_inner()
}

/// Sends the creates of a job at the same time, each to another process.
fn together(clients: &[Client], place: usize, job: &Job) -> Vec<Attempt> {
    let attempt = |number: usize| {
        let (person, tongue) = &job[number];
        let answer = clients[(place + number) % clients.len()].create(*tongue, person);
        Attempt { person: person.clone(), tongue: *tongue, answer }
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..job.len()).map(|number| scope.spawn(move || attempt(number))).collect();
        let first = attempt(0);
        let others = others.into_iter().map(|other| other.join().expect("answered"));
        std::iter::once(first).chain(others).collect()
    })
}

/// Whoever was acknowledged is there once, as sent; nobody else is.
fn check(client: &Client, attempts: &[Vec<Attempt>]) {
    let mut faults = Vec::new();
    for job in attempts {
        let done: Vec<&Attempt> = job.iter().filter(|one| one.answer.is_ok()).collect();
        let answers: Vec<_> = job.iter().map(|one| (&one.person, one.tongue, &one.answer)).collect();
        // "Taken" is a lie when nobody was acknowledged.
        if done.len() > 1 || (done.is_empty() && job.iter().any(|one| one.answer == Err(Not::Possible))) {
            faults.push(format!("{} acknowledged: {answers:?}", done.len()));
        }
        let emails: BTreeSet<&str> = job.iter().map(|one| one.person.email.as_str()).collect();
        let mut wanted: BTreeMap<&str, Option<&Attempt>> =
            emails.iter().map(|email| (*email, None)).collect();
        wanted.extend(done.iter().map(|one| (one.person.email.as_str(), Some(*one))));
        for (email, attempt) in wanted {
            let count = client.count(email);
            let is_right = match (attempt, client.read(Tongue::Publisher, email)) {
                (None, Err(Not::Possible)) => count == 0,
                (Some(attempt), Ok(seen)) => count == 1 && is_whole(attempt, &seen),
                _ => false,
            };
            if !is_right {
                faults.push(format!("{email} is there {count} times: {answers:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

fn is_whole(attempt: &Attempt, seen: &super::client::Seen) -> bool {
    let person = &attempt.person;
    let is_external = attempt.tongue == Tongue::Ccs || seen.external.as_ref() == Some(&person.external);
    seen.email == person.email && seen.first == person.first && is_external
}
