//! Servers under load that, in random order, are killed and stopped, get no disk space, lose their database, and have
//! their files replaced. Whatever was acknowledged must be there, nothing else may be, and `/readyz` must have
//! said all along whether changes could be written ([`readiness`] has the rules).
//!
//! A run lasts `MUSTER_TEST_CHAOS_SECONDS` (20 if not set), but each fault is caused at least once. The order of faults
//! and what clients do follow from a seed, which is printed; `MUSTER_SEED` sets it. An hour on each engine:
//!
//! ```sh
//! MUSTER_TEST_CHAOS_SECONDS=3600 MUSTER_TEST_ENGINE=sqlite cargo test -p muster --test it chaos::acknowledged -- --nocapture
//! MUSTER_TEST_CHAOS_SECONDS=3600 MUSTER_TEST_ENGINE=postgres cargo test -p muster --test it chaos::acknowledged -- --nocapture
//! ```
//!
//! `MUSTER_TEST_CHAOS_FAULTS`, names with commas between them, restricts a run to some kinds of faults.
//!
//! What is wrong is collected and printed when it happens (`VIOLATION`), and fails the test at its end.

mod checks;
mod client;
mod dialect;
mod disk;
mod embedded;
mod exchange;
mod follower;
mod model;
mod networked;
mod program;
mod readiness;
mod world;

use crate::support::{is_on_postgres, json};
use client::Client;
use embedded::Embedded;
use networked::{Networked, PROCESSES};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::chance::Dice;
use world::{Access, World};

const CLIENTS: usize = 6;
const GROUPS: usize = 2;
/// What a run in the standard suite begins from.
const SEED: u64 = 11;
/// How long servers may take to work again after a fault.
const RECOVERY: Duration = Duration::from_secs(45);

/// Where the servers run, and what can be done to them.
trait Site {
    /// Starts all servers for the first time.
    fn start(&mut self, world: &World);
    /// The kinds of faults that can be caused here.
    fn kinds(&self) -> Vec<&'static str>;
    /// Causes a fault, ends it, and waits until the servers work again. A short one is for the standard suite.
    fn cause(&mut self, kind: &str, world: &World, dice: &mut Dice, is_short: bool);
    /// What `--store` takes, past all proxies.
    fn store(&self) -> &str;
    /// Stops all servers.
    fn end(&mut self, world: &World);
}

/// How long a run is and what it begins from.
struct Plan {
    time: Duration,
    is_short: bool,
    seed: u64,
}

impl Plan {
    fn new() -> Self {
        let number = |name: &str| {
            std::env::var(name)
                .ok()
                .map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("a number in {name}")))
        };
        let seconds = number("MUSTER_TEST_CHAOS_SECONDS");
        let fresh =
            || if seconds.is_some() { RandomState::new().hash_one(SEED) } else { testkit::seeds::seed(SEED) };
        let seed = number("MUSTER_SEED").unwrap_or_else(fresh);
        Self {
            time: Duration::from_secs(seconds.unwrap_or(20)),
            is_short: seconds.is_none_or(|time| time < 60),
            seed,
        }
    }
}

#[test]
fn acknowledged_changes_survive_faults_in_random_order() {
    let plan = Plan::new();
    say(&format!("MUSTER_SEED={} repeats this order of faults", plan.seed));
    let (mut site, servers): (Box<dyn Site>, usize) = if is_on_postgres() {
        (Box::new(Networked::new()), PROCESSES)
    } else {
        (Box::new(Embedded::new()), 1)
    };
    let world = World::new(access(site.store()), servers, CLIENTS);
    site.start(&world);
    let groups = {
        let endpoint = world.endpoint(0, 0).expect("it runs");
        (0..GROUPS).map(|number| endpoint.group(&format!("Group-{number}"))).collect()
    };
    world.groups.set(groups).expect("set once");
    std::thread::scope(|scope| {
        let world = &world;
        // However this ends, the other threads must end as well.
        let _over = Over(&world.is_over);
        scope.spawn(|| readiness::probe(scope, world));
        scope.spawn(|| readiness::write_steadily(scope, world));
        scope.spawn(|| follower::follow(world));
        for name in 0..CLIENTS {
            scope.spawn(move || Client::new(world, name, plan.seed).work());
        }
        rounds(&plan, &mut *site, world);
    });
    site.end(&world);
    conclude(&world);
}

/// Causes every kind of fault in random order, compares everything, and begins again until the time is over.
fn rounds(plan: &Plan, site: &mut dyn Site, world: &World) {
    let mut dice = Dice::new(plan.seed);
    let wanted = std::env::var("MUSTER_TEST_CHAOS_FAULTS").ok();
    let mut is_last = false;
    while !is_last {
        let begun = Instant::now();
        let mut kinds = site.kinds();
        if let Some(wanted) = &wanted {
            kinds.retain(|kind| wanted.split(',').any(|one| one == *kind));
            assert!(!kinds.is_empty(), "a fault of {:?} in MUSTER_TEST_CHAOS_FAULTS", site.kinds());
        }
        while !kinds.is_empty() {
            let place = usize::try_from(dice.roll(kinds.len() as u64)).expect("small");
            let kind = kinds.swap_remove(place);
            std::thread::sleep(Duration::from_millis(
                200 + dice.roll(if plan.is_short { 300 } else { 3_000 }),
            ));
            site.cause(kind, world, &mut dice, plan.is_short);
        }
        // Another round would take as long as this one did; a long run lasts as long as it was asked to.
        let next = if plan.is_short { begun.elapsed() / 2 } else { Duration::ZERO };
        is_last = world.begun.elapsed() + next >= plan.time;
        checks::compare_all(world, site.store(), is_last);
    }
}

/// Waits until every server is ready and acknowledges a steady write that began after this.
fn recovered(world: &World, log: impl Fn() -> String) {
    let begun = Instant::now();
    for server in 0..world.servers.len() {
        let is_well = || {
            let written = world.writes.lock().iter().rev().any(|write| {
                write.server == server
                    && write.begun >= begun
                    && write.outcome == readiness::Outcome::Acknowledged
            });
            let ready = world
                .probes
                .lock()
                .iter()
                .rev()
                .any(|probe| probe.server == server && probe.begun >= begun && probe.is_green);
            written && ready
        };
        while !is_well() {
            if begun.elapsed() > RECOVERY {
                world
                    .violation(&format!("server {server} does not work again after {RECOVERY:?}: {}", log()));
                panic!("server {server} does not work again");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    say(&format!("[{:.2}s] works again after {:.2?}", world.begun.elapsed().as_secs_f32(), begun.elapsed()));
}

/// Prints the summary, and fails if anything was wrong.
fn conclude(world: &World) {
    let until = world.probes.lock().iter().map(|probe| probe.begun).max().expect("probes");
    let mut violations = world.violations();
    violations.extend(readiness::compare(world, until));
    say(&format!("after {:.0?}:", world.begun.elapsed()));
    for (what, count) in &*world.counts.lock() {
        say(&format!("  {count:>8} {what}"));
    }
    for (server, red) in readiness::red_time(world).iter().enumerate() {
        say(&format!("  server {server} was not ready for {:.1}s", red.as_secs_f32()));
    }
    let counts = world.counts.lock();
    assert!(counts.get("acknowledged").is_some_and(|count| *count > 50), "there was a load: {counts:?}");
    assert!(counts.get("reads compared").is_some_and(|count| *count > 50), "users were read: {counts:?}");
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// A tenant, and a connection to it for all dialects.
fn access(store: &str) -> Access {
    let tenant = json(store, &["tenant", "add", "Acme"])["number"].as_u64().expect("a number");
    let number = tenant.to_string();
    let grants = ["--dialect", "all", "--highest-role", "EnterpriseAdmin"];
    let arguments = [&["connection", "add", "main", "--tenant", &number], &grants[..]].concat();
    let key = json(store, &arguments)["key"].as_str().expect("a key").to_owned();
    Access { tenant, key }
}

/// Says that the test is over when dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[expect(clippy::print_stdout, reason = "the test harness holds it back unless asked")]
fn say(text: &str) {
    println!("{text}");
}
