//! Whether a target works: separates faults of the target from faults of one user.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

/// What a request says about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// It has sent a response of its API, also if it rejects the user.
    Works,
    /// No connection was made.
    Unreachable,
    /// It did not answer in time, or with an error of its own, or with something that is not its API.
    Fails,
    /// It rejects the credentials.
    Denies,
    /// It asks for a pause. That is no fault.
    Busy,
}

const MAX_UNREACHABLE: u32 = 5;
const WINDOW: usize = 20;
const WINDOW_TIME: Duration = Duration::from_mins(1);
/// Fewer results say nothing.
const MIN_RESULTS: usize = 10;
/// Requests that must succeed until a quarantine is forgotten.
const MIN_SUCCESSES: usize = 20;
/// Different users whose requests fail one after the other, however long that takes.
const MAX_FAILING: usize = 8;
/// Different users whose requests are denied.
const MAX_DENIED: usize = 2;
pub(crate) const DENIED: &str = "it rejects the credentials";
const FIRST_PROBE: Duration = Duration::from_secs(10);
const MAX_PROBE_DELAY: Duration = Duration::from_mins(5);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Quarantined(&'static str),
    Recovered,
}

/// The results of the last requests to a target.
#[derive(Debug, Default)]
pub(crate) struct Health {
    results: VecDeque<(Instant, bool)>,
    unreachable: u32,
    /// Users with a failed request since the last success.
    failing: HashSet<uuid::Uuid>,
    denied: HashSet<uuid::Uuid>,
    quarantine: Option<Quarantine>,
    /// After a quarantine, how many requests may be sent at the same time; it doubles with each success.
    allowance: Option<u32>,
    /// The last delay of a quarantine that ended with a probe, until enough requests have succeeded: a target that
    /// answers probes only gets no more of them than one that does not answer.
    last_delay: Option<Duration>,
    /// Requests that have succeeded since then.
    successes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Quarantine {
    next_probe: Instant,
    delay: Duration,
}

impl Health {
    /// Continues a quarantine that another process has begun.
    pub(crate) fn quarantined(now: Instant) -> Self {
        let quarantine = Quarantine { next_probe: now, delay: FIRST_PROBE };
        Self { quarantine: Some(quarantine), ..Self::default() }
    }

    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantine.is_some()
    }

    /// When the next probe is to be sent; `None` unless quarantined.
    pub(crate) fn next_probe(&self) -> Option<Instant> {
        self.quarantine.map(|quarantine| quarantine.next_probe)
    }

    /// How many requests may be sent at the same time, at most `configured`.
    pub(crate) fn concurrency(&self, configured: u32) -> u32 {
        self.allowance.map_or(configured, |allowance| allowance.min(configured))
    }

    /// Records the result of a request for a user.
    pub(crate) fn record(&mut self, signal: Signal, user: uuid::Uuid, now: Instant) -> Option<Transition> {
        if self.quarantine.is_some() {
            return None;
        }
        match signal {
            Signal::Busy => return None,
            Signal::Works => {
                self.unreachable = 0;
                self.failing.clear();
                self.denied.clear();
                self.allowance = self.allowance.map(|allowance| allowance.saturating_mul(2)).filter(|it| *it < 256);
                self.successes += 1;
                self.last_delay = self.last_delay.filter(|_| self.successes < MIN_SUCCESSES);
            }
            Signal::Unreachable => self.unreachable += 1,
            Signal::Denies => drop(self.denied.insert(user)),
            Signal::Fails => drop(self.failing.insert(user)),
        }
        self.results.push_back((now, signal == Signal::Works));
        while self.results.len() > WINDOW
            || self.results.front().is_some_and(|(time, _)| now.duration_since(*time) > WINDOW_TIME)
        {
            self.results.pop_front();
        }
        let failed = self.results.iter().filter(|(_, works)| !works).count();
        let reason = if self.unreachable >= MAX_UNREACHABLE {
            "it cannot be reached"
        } else if self.denied.len() >= MAX_DENIED {
            DENIED
        } else if self.failing.len() >= MAX_FAILING
            || self.results.len() >= MIN_RESULTS && failed * 2 >= self.results.len()
        {
            "most requests fail"
        } else {
            return None;
        };
        let delay = self.last_delay.map_or(FIRST_PROBE, |last| (last * 2).min(MAX_PROBE_DELAY));
        *self = Self { quarantine: Some(Quarantine { next_probe: now + delay, delay }), ..Self::default() };
        Some(Transition::Quarantined(reason))
    }

    /// Records the result of a probe. `pause` is what its `Retry-After` says.
    pub(crate) fn record_probe(&mut self, works: bool, pause: Duration, now: Instant) -> Option<Transition> {
        let quarantine = self.quarantine?;
        if works {
            *self = Self { allowance: Some(1), last_delay: Some(quarantine.delay), ..Self::default() };
            return Some(Transition::Recovered);
        }
        let delay = (quarantine.delay * 2).min(MAX_PROBE_DELAY);
        self.quarantine = Some(Quarantine { next_probe: now + delay.max(pause), delay });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn user(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    #[test]
    fn faults_of_the_target_quarantine_it() {
        let now = Instant::now();
        let mut health = Health::default();
        for n in 0..4 {
            assert_eq!(health.record(Signal::Unreachable, user(n), now), None);
        }
        let quarantined = health.record(Signal::Unreachable, user(9), now);
        assert_eq!(quarantined, Some(Transition::Quarantined("it cannot be reached")));
        // Probes after 10 s, 20 s, and so on up to 5 min.
        let mut delays = Vec::new();
        let mut time = now;
        for _ in 0..7 {
            let next = health.next_probe().expect("quarantined");
            delays.push((next - time).as_secs());
            time = next;
            assert_eq!(health.record_probe(false, Duration::ZERO, time), None);
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(health.record_probe(true, Duration::ZERO, time), Some(Transition::Recovered));
        // Carefully at first.
        let mut allowed = Vec::new();
        for _ in 0..5 {
            allowed.push(health.concurrency(10));
            health.record(Signal::Works, user(1), time);
        }
        assert_eq!(allowed, [1, 2, 4, 8, 10]);
    }

    #[test]
    fn a_target_that_answers_probes_only_gets_fewer_of_them() {
        let (mut now, mut health) = (Instant::now(), Health::default());
        let mut delays = Vec::new();
        for _ in 0..7 {
            let failed = |health: &mut Health| (0..10).find_map(|n| health.record(Signal::Fails, user(n), now));
            assert_eq!(failed(&mut health), Some(Transition::Quarantined("most requests fail")));
            let probe = health.next_probe().expect("quarantined");
            delays.push((probe - now).as_secs());
            now = probe;
            assert_eq!(health.record_probe(true, Duration::ZERO, now), Some(Transition::Recovered));
            // A few requests succeed.
            health.record(Signal::Works, user(1), now);
        }
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        for n in 0..20 {
            health.record(Signal::Works, user(n), now);
        }
        let quarantined = (0..20).find_map(|n| health.record(Signal::Fails, user(n), now));
        assert!(quarantined.is_some());
        assert_eq!(health.next_probe(), Some(now + Duration::from_secs(10)));
    }

    #[test]
    fn probes_keep_retry_after() {
        let now = Instant::now();
        let mut health = Health::quarantined(now);
        assert_eq!(health.record_probe(false, Duration::from_mins(10), now), None);
        assert_eq!(health.next_probe(), Some(now + Duration::from_mins(10)));
    }

    #[test]
    fn faults_of_users_do_not() {
        let now = Instant::now();
        let mut health = Health::default();
        for n in 0..1_000 {
            assert_eq!(health.record(Signal::Works, user(n), now), None);
            // Up to nearly half of the requests fail.
            if n % 3 == 0 {
                assert_eq!(health.record(Signal::Fails, user(n), now), None, "{n}");
            }
            assert_eq!(health.record(Signal::Busy, user(n), now), None);
        }
        // One user who is denied again and again.
        assert_eq!(health.record(Signal::Denies, user(1), now), None);
        assert_eq!(health.record(Signal::Denies, user(1), now), None);
        let other = health.record(Signal::Denies, user(2), now);
        assert_eq!(other, Some(Transition::Quarantined("it rejects the credentials")));
    }

    #[test]
    fn old_results_do_not_count() {
        let now = Instant::now();
        let mut health = Health::default();
        for n in 0..9 {
            assert_eq!(health.record(Signal::Fails, user(n % 7), now), None);
        }
        let later = now + Duration::from_mins(2);
        for n in 0..9 {
            assert_eq!(health.record(Signal::Fails, user(n % 7), later), None);
        }
        assert!(matches!(health.record(Signal::Fails, user(0), later), Some(Transition::Quarantined(_))));
    }

    #[test]
    fn a_slow_target_that_fails_for_many_users_in_a_row_is_quarantined() {
        let mut now = Instant::now();
        let mut health = Health::default();
        for n in 0..7 {
            assert_eq!(health.record(Signal::Fails, user(n), now), None);
            now += Duration::from_mins(2);
        }
        // One user alone says nothing.
        assert_eq!(health.record(Signal::Fails, user(0), now), None);
        assert!(matches!(health.record(Signal::Fails, user(8), now), Some(Transition::Quarantined(_))));
    }
}
