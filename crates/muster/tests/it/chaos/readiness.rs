//! Checks that `/readyz` is correct: it is probed continuously during steady writes, and the results are compared at
//! the end.
//!
//! For each server, while the steady writer was not paused:
//! 1. If no write was acknowledged for more than [`MAX_WRITE_GAP`], a probe that began within the first
//!    [`MAX_WRITE_GAP`] of that time was red.
//! 2. In that time, no probe was green that began after the first [`MAX_WRITE_GAP`] and ended [`TOLERANCE`] before the
//!    next acknowledgement.
//! 3. If a write was in doubt (503, no response), a probe was red between [`TOLERANCE`] before it began and
//!    [`TOLERANCE`] after it ended. An injected fault shorter than [`TOLERANCE`] in that time is also accepted, because
//!    readiness may be that late.
//!
//! A probe is red if its response is not 200 or takes longer than [`MAX_READINESS_DELAY`].

use super::dialect::{Dialect, Failure};
use super::http::{Request, send_request};
use super::model::State;
use super::shared_state::{CreateOnlyUser, FaultPeriod, SharedState};
use std::sync::atomic::Ordering;
use std::thread::Scope;
use std::time::{Duration, Instant};

/// The longest time without writes before `/readyz` must be red.
const MAX_READINESS_DELAY: Duration = Duration::from_secs(5);
/// [`MAX_READINESS_DELAY`] plus the intervals between two writes and two probes.
const MAX_WRITE_GAP: Duration = MAX_READINESS_DELAY.saturating_add(Duration::from_secs(1));
/// The longest delay before a change of state is visible.
const TOLERANCE: Duration = Duration::from_secs(3);
const PROBE_EVERY: Duration = Duration::from_millis(200);
const WRITE_EVERY: Duration = Duration::from_millis(250);

/// One probe of `/readyz`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Probe {
    pub(super) server: usize,
    pub(super) started_at: Instant,
    pub(super) ended_at: Instant,
    pub(super) is_ready: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    Acknowledged,
    Rejected,
    InDoubt,
}

/// One write of any client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub(super) server: usize,
    pub(super) started_at: Instant,
    pub(super) ended_at: Instant,
    pub(super) outcome: WriteOutcome,
}

/// Probes every server at fixed intervals, even while earlier probes wait for their responses.
pub(super) fn probe_readiness<'scope>(scope: &'scope Scope<'scope, '_>, world: &'scope SharedState) {
    while !world.is_over() {
        for server in 0..world.servers.len() {
            scope.spawn(move || {
                let begun = Instant::now();
                let admin = world.servers[server].admin.read().clone();
                let reply =
                    admin.and_then(|address| send_request(&address, &Request::get("/readyz"), MAX_READINESS_DELAY));
                let is_green = reply.is_some_and(|reply| reply.status == 200);
                world.probes.lock().push(Probe {
                    server,
                    started_at: begun,
                    ended_at: Instant::now(),
                    is_ready: is_green,
                });
            });
        }
        std::thread::sleep(PROBE_EVERY);
    }
}

/// Creates users on every server at fixed intervals, even while earlier creates wait for their responses.
pub(super) fn write_steadily<'scope>(scope: &'scope Scope<'scope, '_>, world: &'scope SharedState) {
    for number in 0_usize.. {
        if world.is_over() {
            return;
        }
        for server in 0..world.servers.len() {
            // Count before checking for a pause, so that the pausing thread sees every write.
            world.pending_steady_writes.fetch_add(1, Ordering::SeqCst);
            if world.pauses.lock().last().is_some_and(|(_, end)| end.is_none()) {
                world.pending_steady_writes.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            scope.spawn(move || {
                write_once(world, server, number);
                world.pending_steady_writes.fetch_sub(1, Ordering::SeqCst);
            });
        }
        std::thread::sleep(WRITE_EVERY);
    }
}

fn write_once(world: &SharedState, server: usize, number: usize) {
    let Some(endpoint) = world.endpoint_of(server, 0) else { return };
    let dialect = Dialect::ALL[number % Dialect::ALL.len()];
    let email = format!("steady{server}.{number}@chaos.example");
    let state = State { email, first: format!("S{number}"), is_active: true, is_member: false };
    let user = CreateOnlyUser { first: state.first.clone(), exists: None };
    world.create_only_users.lock().insert(state.email.clone(), user);
    let answer = endpoint.create(dialect, &state, None);
    let is_there = match answer {
        Ok(()) => Some(true),
        Err(Failure::InDoubt) => None,
        Err(Failure::Rejected(status, body)) => {
            world.violation(&format!("a create over {dialect:?} was rejected: {status} {body}"));
            Some(false)
        }
    };
    world.count(if is_there == Some(true) { "steady writes acknowledged" } else { "steady writes in doubt" });
    if let Some(user) = world.create_only_users.lock().get_mut(&state.email) {
        user.exists = is_there;
    }
}

/// The recorded data of one server.
struct ServerRecord<'a> {
    probes: Vec<Probe>,
    writes: Vec<Write>,
    faults: &'a [FaultPeriod],
}

/// Asserts that no probe of the only server was green from [`TOLERANCE`] after `since` on.
pub(super) fn assert_not_ready_since(world: &SharedState, since: Instant) {
    let probes = world.probes.lock();
    let later = probes.iter().filter(|probe| probe.started_at >= since + TOLERANCE);
    let (all, green) = (later.clone().count(), later.filter(|probe| probe.is_ready).count());
    drop(probes);
    if green > 0 {
        world.violation(&format!("/readyz was green {green} of {all} times after the store's file was replaced"));
    }
}

/// Asserts that since a fault of one server, the others have acknowledged a write every [`MAX_WRITE_GAP`].
pub(super) fn assert_others_write(world: &SharedState, one: usize, since: Instant) {
    let until = Instant::now();
    let writes = world.writes.lock().clone();
    for server in (0..world.servers.len()).filter(|server| *server != one) {
        let is_own = |write: &&Write| write.server == server && write.outcome == WriteOutcome::Acknowledged;
        let mut instants: Vec<Instant> = writes.iter().filter(is_own).map(|write| write.ended_at).collect();
        instants.retain(|instant| *instant > since);
        instants.extend([since, until]);
        instants.sort();
        let longest = instants.windows(2).map(|pair| pair[1].duration_since(pair[0])).max().unwrap_or_default();
        if longest > MAX_WRITE_GAP {
            world.violation(&format!(
                "server {server} acknowledged nothing for {longest:.1?} during a fault of server {one}"
            ));
        }
    }
}

/// Compares `/readyz` with the writes; returns the violations.
pub(super) fn violations(world: &SharedState, until: Instant) -> Vec<String> {
    let (probes, writes) = (world.probes.lock().clone(), world.writes.lock().clone());
    let (faults, pauses) = (world.faults.lock().clone(), world.pauses.lock().clone());
    let mut periods = Vec::new();
    let mut begun = world.started_at;
    for (pause, end) in pauses {
        periods.push((begun, pause));
        begun = end.unwrap_or(until);
    }
    periods.push((begun, until));
    let mut wrong = Vec::new();
    for server in 0..world.servers.len() {
        let record = ServerRecord {
            probes: probes.iter().filter(|probe| probe.server == server).copied().collect(),
            writes: writes.iter().filter(|write| write.server == server).copied().collect(),
            faults: &faults,
        };
        let at = |instant: Instant| instant.duration_since(world.started_at).as_secs_f32();
        wrong.extend(record.violations(&periods, at).into_iter().map(|text| format!("server {server}: {text}")));
    }
    wrong
}

/// The total time that each server's probes were red.
pub(super) fn not_ready_time(world: &SharedState) -> Vec<Duration> {
    let mut probes = world.probes.lock().clone();
    probes.sort_by_key(|probe| probe.started_at);
    let of_server = |server: usize| {
        let own: Vec<_> = probes.iter().filter(|probe| probe.server == server).collect();
        let pairs = own.windows(2).filter(|pair| !pair[0].is_ready);
        pairs.map(|pair| pair[1].started_at.duration_since(pair[0].started_at)).sum()
    };
    (0..world.servers.len()).map(of_server).collect()
}

impl ServerRecord<'_> {
    fn violations(&self, periods: &[(Instant, Instant)], at: impl Fn(Instant) -> f32) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut acknowledged: Vec<Instant> = self
            .writes
            .iter()
            .filter(|write| write.outcome == WriteOutcome::Acknowledged)
            .map(|write| write.ended_at)
            .collect();
        acknowledged.sort();
        for (begin, end) in periods {
            let within = acknowledged.iter().filter(|instant| (begin..=end).contains(instant));
            let instants: Vec<Instant> = std::iter::once(begin).chain(within).chain([end]).copied().collect();
            for pair in instants.windows(2) {
                let (from, to) = (pair[0], pair[1]);
                if to.duration_since(from) <= MAX_WRITE_GAP {
                    continue;
                }
                let what = format!("nothing was acknowledged from {:.2}s to {:.2}s", at(from), at(to));
                let late = from + MAX_WRITE_GAP;
                let mut red = self.probes.iter().filter(|probe| !probe.is_ready);
                if !red.any(|probe| probe.started_at >= from && probe.started_at <= late) {
                    wrong.push(format!("{what}, and /readyz was green until {:.2}s", at(late)));
                }
                let is_wrong =
                    |probe: &&Probe| probe.is_ready && probe.started_at >= late && probe.ended_at + TOLERANCE <= to;
                let green: Vec<f32> = self.probes.iter().filter(is_wrong).map(|probe| at(probe.started_at)).collect();
                if let Some(first) = green.first() {
                    wrong.push(format!("{what}, and /readyz was green {} times, first at {first:.2}s", green.len()));
                }
            }
        }
        let in_doubt = self.writes.iter().filter(|write| write.outcome == WriteOutcome::InDoubt);
        let unexplained: Vec<&Write> = in_doubt.filter(|write| !self.is_explained(write)).collect();
        if let Some(first) = unexplained.first() {
            let before = self.faults.iter().rev().find(|fault| fault.started_at <= first.ended_at);
            wrong.push(format!(
                "{} writes failed while /readyz was always green, the first (last fault: {}) from {:.2}s to {:.2}s",
                unexplained.len(),
                before.map_or("none", |fault| fault.kind),
                at(first.started_at),
                at(first.ended_at)
            ));
        }
        wrong
    }

    fn is_explained(&self, write: &Write) -> bool {
        let (from, to) =
            (write.started_at.checked_sub(TOLERANCE).unwrap_or(write.started_at), write.ended_at + TOLERANCE);
        let is_red = |probe: &Probe| !probe.is_ready && probe.started_at <= to && probe.ended_at >= from;
        let is_short = |fault: &FaultPeriod| {
            let ended = fault.ended_at.unwrap_or(to);
            ended.duration_since(fault.started_at) < TOLERANCE && fault.started_at <= to && ended >= from
        };
        self.probes.iter().any(is_red) || self.faults.iter().any(is_short)
    }
}

#[cfg(test)]
mod tests {
    use super::{FaultPeriod, Probe, ServerRecord, Write, WriteOutcome};
    use std::time::{Duration, Instant};

    /// The number of violations if writes were acknowledged and in doubt at these times, and `/readyz` was red
    /// between two times, in tenths of a second.
    fn wrong(acknowledged: &[u64], in_doubt: &[u64], red: (u64, u64), fault: Option<(u64, u64)>) -> usize {
        let begun = Instant::now();
        let at = |tenths: u64| begun + Duration::from_millis(tenths * 100);
        let write = |outcome| {
            move |tenths: &u64| Write { server: 0, started_at: at(*tenths), ended_at: at(*tenths + 1), outcome }
        };
        let mut writes: Vec<Write> = acknowledged.iter().map(write(WriteOutcome::Acknowledged)).collect();
        writes.extend(in_doubt.iter().map(write(WriteOutcome::InDoubt)));
        let probes = (0..400).step_by(2).map(|tenths| Probe {
            server: 0,
            started_at: at(tenths),
            ended_at: at(tenths + 1),
            is_ready: !(red.0..red.1).contains(&tenths),
        });
        let faults: Vec<FaultPeriod> = fault
            .into_iter()
            .map(|(from, to)| FaultPeriod { kind: "", started_at: at(from), ended_at: Some(at(to)) })
            .collect();
        let record = ServerRecord { probes: probes.collect(), writes, faults: &faults };
        record.violations(&[(at(0), at(400))], |instant| instant.duration_since(begun).as_secs_f32()).len()
    }

    #[test]
    fn only_violations_are_reported() {
        let always: Vec<u64> = (0..400).step_by(3).collect();
        let gap = |from: u64, to: u64| -> Vec<u64> {
            always.iter().copied().filter(|tenths| !(from..to).contains(tenths)).collect()
        };
        assert_eq!(wrong(&always, &[], (0, 0), None), 0);
        // No write for eight seconds: red in time; too late; green again too soon; never red, which violates two rules.
        // Then no write for five seconds.
        assert_eq!(wrong(&gap(100, 175), &[], (130, 178), None), 0);
        assert_eq!(wrong(&gap(100, 175), &[], (162, 178), None), 1);
        assert_eq!(wrong(&gap(100, 220), &[], (130, 170), None), 1);
        assert_eq!(wrong(&gap(100, 220), &[], (0, 0), None), 2);
        assert_eq!(wrong(&gap(100, 150), &[], (0, 0), None), 0);
        // One write failed: never red; red soon after; red long after; during a short fault; during a long one.
        assert_eq!(wrong(&always, &[200], (0, 0), None), 1);
        assert_eq!(wrong(&always, &[200], (225, 230), None), 0);
        assert_eq!(wrong(&always, &[200], (240, 250), None), 1);
        assert_eq!(wrong(&always, &[200], (0, 0), Some((195, 205))), 0);
        assert_eq!(wrong(&always, &[200], (0, 0), Some((190, 225))), 1);
    }
}
