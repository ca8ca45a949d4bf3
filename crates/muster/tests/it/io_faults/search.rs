//! Runs a scenario with one fault after the other and collects findings.

use super::injection::{CallKind, Injection, IoFault, Sandbox};
use crate::outages::{print, random_at};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::seeds::is_long_run;

/// Concurrent runs. Most of the time they wait for a process.
const THREADS: usize = 4;
/// Faults between two progress lines of a long run.
const PROGRESS_INTERVAL: usize = 200;
const SEED: u64 = 20_261_128;
/// An environment variable that selects one fault: `SCENARIO: KIND ORDINAL ERROR once|always`.
const FAULT_VARIABLE: &str = "MUSTER_TEST_FAULT";

/// The findings of one run: the summary is the same for the same defect, the detail belongs to the run.
#[derive(Default)]
pub(super) struct Findings(Vec<(&'static str, String)>);

impl Findings {
    /// Adds a finding unless `is_so`.
    pub(super) fn check(&mut self, is_so: bool, summary: &'static str, detail: impl FnOnce() -> String) {
        if !is_so {
            self.0.push((summary, detail()));
        }
    }
}

/// Runs a scenario with a fault and checks the remaining state.
pub(super) type Run<'a> = dyn Fn(Injection, &mut Findings) -> Sandbox + Sync + 'a;

/// A scenario, from the preparation of a store to the checks of the remaining state.
pub(super) struct Scenario<'a> {
    pub(super) name: &'static str,
    /// The time limit of a sample.
    pub(super) time: Duration,
    pub(super) run: &'a Run<'a>,
}

#[derive(Default)]
struct Results {
    done: usize,
    failed_calls: usize,
    mistakes: BTreeMap<&'static str, Vec<(IoFault, String, String)>>,
}

fn requested_fault() -> Option<String> {
    std::env::var(FAULT_VARIABLE).ok().filter(|text| !text.is_empty())
}

/// Whether the environment selects one fault.
pub(super) fn is_single_fault_run() -> bool {
    requested_fault().is_some()
}

/// Runs a scenario without a fault, and then with faults: all of them in a long run, a sample otherwise.
///
/// # Errors
/// The findings, as text.
pub(super) fn run_scenario(scenario: &Scenario<'_>) -> Result<(), String> {
    let one = requested_fault();
    let one = one.as_deref().map(|text| text.split_once(": ").expect("SCENARIO: FAULT"));
    if one.is_some_and(|(name, _)| name != scenario.name) {
        return Ok(());
    }
    let calls = calls(scenario);
    print(&format!("{}: {calls:?}", scenario.name));
    let (faults, deadline) = match one {
        Some((_, fault)) => (vec![fault.parse().expect("a fault")], None),
        None if is_long_run() => (interleaved_faults(&calls), None),
        None => (interleaved_faults(&calls), Some(Instant::now() + scenario.time)),
    };
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Results::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while deadline.is_none_or(|deadline| Instant::now() < deadline)
                    && let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let mut findings = Findings::default();
                    let run = || (scenario.run)(Injection::Fault(*fault), &mut findings);
                    let stage = catch_unwind(AssertUnwindSafe(run)).ok();
                    // The panic message has been printed.
                    findings.check(stage.is_some(), "a run panicked", String::new);
                    tally.lock().note(*fault, stage.as_ref(), findings);
                }
            });
        }
    });
    let tally = tally.into_inner();
    print(&format!("{}: {} of {} faults, {} struck", scenario.name, tally.done, faults.len(), tally.failed_calls));
    // Background work makes the number of calls vary, so a few faults do not occur; most must.
    assert!(
        tally.failed_calls * 2 > tally.done,
        "{}: only {} of {} faults occurred",
        scenario.name,
        tally.failed_calls,
        tally.done
    );
    if tally.mistakes.is_empty() { Ok(()) } else { Err(tally.report(scenario.name)) }
}

/// The number of calls of each kind in a run without faults and findings: the maximum of two runs.
fn calls(scenario: &Scenario<'_>) -> BTreeMap<CallKind, u64> {
    let mut calls = BTreeMap::new();
    for _ in 0..2 {
        let mut findings = Findings::default();
        let stage = (scenario.run)(Injection::Counting, &mut findings);
        assert!(findings.0.is_empty(), "{} without a fault: {:?}", scenario.name, findings.0);
        for kind in CallKind::ALL {
            let most = calls.entry(kind).or_default();
            *most = stage.calls(kind).max(*most);
        }
    }
    assert!(calls[&CallKind::Write] > 0, "no write calls");
    calls
}

/// All faults in a pseudorandom order that is the same in every run. The kinds alternate, so that rare ones come early.
fn interleaved_faults(calls: &BTreeMap<CallKind, u64>) -> Vec<IoFault> {
    let seed = testkit::seeds::seed(SEED);
    let mut faults = Vec::new();
    for (kind, calls) in calls {
        let mut own: Vec<(u64, IoFault)> =
            (0..).zip(IoFault::all(*kind, *calls)).map(|(n, fault)| (random_at(seed, n), fault)).collect();
        own.sort_by_key(|(chance, _)| *chance);
        faults.extend((0_u32..).zip(own).map(|(turn, (_, fault))| (turn, fault)));
    }
    faults.sort_by_key(|(turn, fault)| (*turn, fault.kind));
    faults.into_iter().map(|(_, fault)| fault).collect()
}

impl Results {
    fn note(&mut self, fault: IoFault, stage: Option<&Sandbox>, findings: Findings) {
        self.done += 1;
        self.failed_calls += usize::from(stage.is_some_and(Sandbox::has_failed));
        let file = stage.map(Sandbox::failed_file).unwrap_or_default();
        if is_long_run() && self.done.is_multiple_of(PROGRESS_INTERVAL) {
            print(&format!("{} faults so far", self.done));
        }
        for (summary, detail) in findings.0 {
            // Print at once: a long run may be stopped early.
            if is_long_run() {
                print(&format!("{summary}: {fault} ({file}) {detail}"));
            }
            self.mistakes.entry(summary).or_default().push((fault, file.clone(), detail));
        }
    }

    fn report(&self, scenario: &str) -> String {
        let mut text = String::new();
        for (summary, found) in &self.mistakes {
            writeln!(text, "\n{summary}: {} times", found.len()).expect("written");
            let most = if is_long_run() { 20 } else { 3 };
            for (fault, file, detail) in found.iter().take(most) {
                writeln!(text, "  {FAULT_VARIABLE}='{scenario}: {fault}' ({file})\n    {detail}").expect("written");
            }
        }
        text
    }
}
