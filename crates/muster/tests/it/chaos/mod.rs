//! Servers under load that, in random order, are killed and suspended, run out of disk space, lose their database, and
//! have their files replaced. Exactly the acknowledged changes must be stored, and `/readyz` must always show whether
//! changes can be written ([`readiness`] has the rules).
//!
//! A run lasts `MUSTER_TEST_CHAOS_SECONDS` (default 20), but injects each fault at least once. A seed, which is
//! printed, determines the order of faults and the clients' actions; `MUSTER_SEED` sets it. An hour on each engine:
//!
//! ```sh
//! MUSTER_TEST_CHAOS_SECONDS=3600 MUSTER_TEST_ENGINE=sqlite cargo test -p muster --test it chaos::acknowledged -- --nocapture
//! MUSTER_TEST_CHAOS_SECONDS=3600 MUSTER_TEST_ENGINE=postgres cargo test -p muster --test it chaos::acknowledged -- --nocapture
//! ```
//!
//! `MUSTER_TEST_CHAOS_FAULTS`, a comma-separated list, restricts a run to some kinds of faults.
//!
//! Violations are printed when they occur (`VIOLATION`) and fail the test at its end.

mod change_poller;
mod checks;
mod client;
mod dialect;
mod disk;
mod embedded_engine;
mod http;
mod model;
mod readiness;
mod server_engine;
mod server_process;
mod shared_state;

use crate::support::{is_on_postgres, run_json};
use client::Client;
use embedded_engine::EmbeddedSetup;
use server_engine::{PROCESSES, ServerSetup};
use shared_state::{Credentials, SharedState};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::generators::Rng;

const CLIENTS: usize = 6;
const GROUPS: usize = 2;
/// The seed of a run in the standard suite.
const SEED: u64 = 11;
/// The time limit for servers to recover after a fault.
const RECOVERY: Duration = Duration::from_secs(45);

/// The servers and the faults that can be injected.
trait Deployment {
    fn start(&mut self, world: &SharedState);
    /// The kinds of faults that this deployment supports.
    fn fault_kinds(&self) -> Vec<&'static str>;
    /// Injects a fault, ends it, and waits for recovery. Short faults are for the standard suite.
    fn inject(&mut self, kind: &str, world: &SharedState, rng: &mut Rng, is_short: bool);
    /// The value for `--store`, without proxies.
    fn store(&self) -> &str;
    fn stop(&mut self, world: &SharedState);
}

/// The duration and the seed of a run.
struct RunOptions {
    time: Duration,
    is_short: bool,
    seed: u64,
}

impl RunOptions {
    fn new() -> Self {
        let number = |name: &str| {
            std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("a number in {name}")))
        };
        let seconds = number("MUSTER_TEST_CHAOS_SECONDS");
        let fresh = || if seconds.is_some() { RandomState::new().hash_one(SEED) } else { testkit::seeds::seed(SEED) };
        let seed = number("MUSTER_SEED").unwrap_or_else(fresh);
        Self { time: Duration::from_secs(seconds.unwrap_or(20)), is_short: seconds.is_none_or(|time| time < 60), seed }
    }
}

#[test]
fn acknowledged_changes_survive_faults_in_random_order() {
    let plan = RunOptions::new();
    print(&format!("repeat this order of faults with MUSTER_SEED={}", plan.seed));
    let (mut site, servers): (Box<dyn Deployment>, usize) =
        if is_on_postgres() { (Box::new(ServerSetup::new()), PROCESSES) } else { (Box::new(EmbeddedSetup::new()), 1) };
    let world = SharedState::new(create_access(site.store()), servers, CLIENTS);
    site.start(&world);
    let groups = {
        let endpoint = world.endpoint(0, 0).expect("a running server");
        (0..GROUPS).map(|number| endpoint.create_group(&format!("Group-{number}"))).collect()
    };
    world.groups.set(groups).expect("set once");
    std::thread::scope(|scope| {
        let world = &world;
        // Also ends the other threads on a panic.
        let _over = StopOnDrop(&world.is_over);
        scope.spawn(|| readiness::probe_readiness(scope, world));
        scope.spawn(|| readiness::write_steadily(scope, world));
        scope.spawn(|| change_poller::poll_changes(world));
        for name in 0..CLIENTS {
            scope.spawn(move || Client::new(world, name, plan.seed).run());
        }
        run_rounds(&plan, &mut *site, world);
    });
    site.stop(&world);
    report(&world);
}

/// Injects every kind of fault in random order, compares everything, and repeats until the time is over.
fn run_rounds(plan: &RunOptions, site: &mut dyn Deployment, world: &SharedState) {
    let mut rng = Rng::new(plan.seed);
    let wanted = std::env::var("MUSTER_TEST_CHAOS_FAULTS").ok();
    let mut is_last = false;
    while !is_last {
        let begun = Instant::now();
        let mut kinds = site.fault_kinds();
        if let Some(wanted) = &wanted {
            kinds.retain(|kind| wanted.split(',').any(|one| one == *kind));
            assert!(!kinds.is_empty(), "MUSTER_TEST_CHAOS_FAULTS must name faults of {:?}", site.fault_kinds());
        }
        while !kinds.is_empty() {
            let place = usize::try_from(rng.below(kinds.len() as u64)).expect("small");
            let kind = kinds.swap_remove(place);
            std::thread::sleep(Duration::from_millis(200 + rng.below(if plan.is_short { 300 } else { 3_000 })));
            site.inject(kind, world, &mut rng, plan.is_short);
        }
        // A short run starts no round that would exceed the time; a long run lasts as long as requested.
        let next = if plan.is_short { begun.elapsed() / 2 } else { Duration::ZERO };
        is_last = world.started_at.elapsed() + next >= plan.time;
        checks::compare_all(world, site.store(), is_last);
    }
}

/// Waits until every server is ready and acknowledges a steady write that began after this call.
fn wait_for_recovery(world: &SharedState, log: impl Fn() -> String) {
    let begun = Instant::now();
    for server in 0..world.servers.len() {
        let is_well = || {
            let written = world.writes.lock().iter().rev().any(|write| {
                write.server == server
                    && write.started_at >= begun
                    && write.outcome == readiness::WriteOutcome::Acknowledged
            });
            let ready = world
                .probes
                .lock()
                .iter()
                .rev()
                .any(|probe| probe.server == server && probe.started_at >= begun && probe.is_ready);
            written && ready
        };
        while !is_well() {
            if begun.elapsed() > RECOVERY {
                world.violation(&format!("server {server} did not recover within {RECOVERY:?}: {}", log()));
                panic!("server {server} did not recover");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    print(&format!("[{:.2}s] recovered after {:.2?}", world.started_at.elapsed().as_secs_f32(), begun.elapsed()));
}

/// Prints the summary and fails if there were violations.
fn report(world: &SharedState) {
    let until = world.probes.lock().iter().map(|probe| probe.started_at).max().expect("probes");
    let mut violations = world.violations();
    violations.extend(readiness::violations(world, until));
    print(&format!("after {:.0?}:", world.started_at.elapsed()));
    for (what, count) in &*world.counters.lock() {
        print(&format!("  {count:>8} {what}"));
    }
    for (server, red) in readiness::not_ready_time(world).iter().enumerate() {
        print(&format!("  server {server} was not ready for {:.1}s", red.as_secs_f32()));
    }
    let counts = world.counters.lock();
    assert!(counts.get("acknowledged").is_some_and(|count| *count > 50), "too few changes: {counts:?}");
    assert!(counts.get("reads compared").is_some_and(|count| *count > 50), "too few reads: {counts:?}");
    assert!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
}

/// Creates a tenant and a connection for all dialects.
fn create_access(store: &str) -> Credentials {
    let tenant = run_json(store, &["tenant", "add", "Acme"])["number"].as_u64().expect("a number");
    let number = tenant.to_string();
    let grants = ["--dialect", "all", "--highest-role", "EnterpriseAdmin"];
    let arguments = [&["connection", "add", "main", "--tenant", &number], &grants[..]].concat();
    let key = run_json(store, &arguments)["key"].as_str().expect("a key").to_owned();
    Credentials { tenant, key }
}

/// Ends the test when dropped.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[expect(clippy::print_stdout, reason = "the test harness captures it")]
fn print(text: &str) {
    println!("{text}");
}
