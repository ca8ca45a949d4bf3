//! Slows down whoever guesses passwords or has mails sent: after some attempts nothing is looked at for a while that
//! doubles with each further one, up to a bound. They are forgotten one by one, and the right password ends it.
//!
//! Failures count by login and network, and more loosely by login alone. The latter does not apply to a browser or network that
//! the user has signed in from, or anyone could lock them out. An attempt counts as a failure from when it begins, so that many at a time are no
//! way around. What is known here is this process's own and is gone when it ends.

use crate::{Time, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// How many are remembered at the most; beyond that those are forgotten that matter least.
const MANY: usize = 100_000;
/// After so many attempts those of whom nothing is left to remember are let go.
const SWEEP_EVERY: u32 = 1024;

/// What an attempt is counted against. Logins count the same whether or not such a user exists.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum Mark<'a> {
    /// Passwords for a login, from one network or from an unknown one.
    Pair(&'a str, Option<IpAddr>),
    /// Passwords for a login, from all networks its user has not signed in from.
    Person(&'a str),
    /// Passwords for a user from a known browser.
    Device(UserId, Time),
    /// Passwords from a network, whoever they are for.
    Network(IpAddr),
    /// The password that somebody signed in shows to change it.
    Change(&'a str),
    /// Mails to a person that anybody can ask for.
    Mail(&'a str),
    /// Such mails asked for from a network.
    Asking(IpAddr),
}

/// How attempts of a sort are taken.
struct Measure {
    /// So many cost nothing.
    free: u32,
    /// The longest wait, in seconds.
    longest: i64,
    /// Seconds in which one is forgotten.
    forget: i64,
}

impl Mark<'_> {
    fn measure(self) -> Measure {
        let (free, longest, forget) = match self {
            Self::Pair(..) | Self::Device(..) | Self::Change(_) => (5, 300, 300),
            Self::Person(_) => (50, 30, 60),
            // From a network that many people share, some are always mistyped.
            Self::Network(_) => (50, 300, 10),
            Self::Mail(_) => (3, 3600, 3600),
            Self::Asking(_) => (20, 300, 60),
        };
        Measure { free, longest, forget }
    }
}

struct Attempts {
    count: u32,
    /// Since when what is to be forgotten counts.
    since: Time,
    /// Seconds in which one is forgotten.
    forget: i64,
    /// Nothing is looked at before this.
    until: Time,
}

impl Attempts {
    /// Forgets what is to be forgotten by now.
    fn fade(&mut self, now: Time) {
        let steps = (now.0 - self.since.0).max(0) / (self.forget * 1_000_000);
        if steps > 0 {
            self.count = self.count.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
            self.since = now;
        }
    }
}

#[derive(Default)]
pub(super) struct Throttle {
    known: Mutex<Known>,
    /// Marks are kept as what this makes of them, so that nobody fills the memory with long names.
    sums: RandomState,
}

#[derive(Default)]
struct Known {
    attempts: HashMap<u64, Attempts>,
    since_sweep: u32,
}

impl Known {
    fn sweep(&mut self, now: Time) {
        self.since_sweep = 0;
        self.attempts.retain(|_, attempts| {
            attempts.fade(now);
            attempts.count > 0 || now < attempts.until
        });
        if self.attempts.len() >= MANY {
            self.evict();
        }
    }
}

impl Known {
    /// Forgets a quarter: those that wait the shortest, or not at all. To forget all would let everybody guess again.
    fn evict(&mut self) {
        let weight = |attempts: &Attempts| (attempts.until, attempts.count);
        let mut weights: Vec<_> = self.attempts.values().map(weight).collect();
        let (_, limit, _) = weights.select_nth_unstable(MANY / 4);
        let (limit, mut surplus) = (*limit, MANY / 4);
        self.attempts.retain(|_, attempts| {
            let is_kept = surplus == 0 || weight(attempts) > limit;
            surplus -= usize::from(!is_kept);
            is_kept
        });
    }
}

impl Throttle {
    /// Begins an attempt, or says how many seconds must pass first.
    pub(super) fn begin(&self, marks: &[Mark<'_>], now: Time) -> Result<(), u32> {
        let sums: Vec<u64> = marks.iter().map(|mark| self.sums.hash_one(mark)).collect();
        let mut known = self.known.lock();
        let until =
            sums.iter().filter_map(|sum| known.attempts.get(sum)).map(|attempts| attempts.until).max();
        if let Some(until) = until.filter(|until| now < *until) {
            let seconds = (until.0 - now.0).div_euclid(1_000_000) + 1;
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        known.since_sweep += 1;
        if known.since_sweep >= SWEEP_EVERY || known.attempts.len() >= MANY {
            known.sweep(now);
        }
        for (mark, sum) in marks.iter().zip(sums) {
            let Measure { free, longest, forget } = mark.measure();
            let new = Attempts { count: 0, since: now, forget, until: now };
            let attempts = known.attempts.entry(sum).or_insert(new);
            attempts.fade(now);
            if attempts.count == 0 {
                attempts.since = now;
            }
            attempts.count = attempts.count.saturating_add(1);
            if let Some(over) = attempts.count.checked_sub(free) {
                let seconds = 1_i64.checked_shl(over.min(30)).unwrap_or(longest).min(longest);
                attempts.until = now.plus_seconds(seconds);
            }
        }
        Ok(())
    }

    /// The attempt was none: it was not looked at, or it was right.
    pub(super) fn forgive(&self, marks: &[Mark<'_>]) {
        let mut known = self.known.lock();
        for mark in marks {
            let sum = self.sums.hash_one(mark);
            let Some(attempts) = known.attempts.get_mut(&sum) else { continue };
            attempts.count = attempts.count.saturating_sub(1);
            attempts.until = Time(0);
            if attempts.count == 0 {
                known.attempts.remove(&sum);
            }
        }
    }

    /// Whoever it is has shown that they are the one.
    pub(super) fn clear(&self, marks: &[Mark<'_>]) {
        let mut known = self.known.lock();
        for mark in marks {
            known.attempts.remove(&self.sums.hash_one(mark));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[test]
    fn waits_double_and_end_and_the_right_password_clears_them() {
        let throttle = Throttle::default();
        let ann = [Mark::Pair("ann", Some(network(1)))];
        let mut now = Time(1_000_000_000);
        for _ in 0..5 {
            assert_eq!(throttle.begin(&ann, now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.begin(&ann, now).expect_err("must wait");
            assert_eq!(throttle.begin(&[Mark::Pair("bob", Some(network(1)))], now), Ok(()));
            throttle.clear(&[Mark::Pair("bob", Some(network(1)))]);
            waits.push(wait);
            now = now.plus_seconds(i64::from(wait));
            assert_eq!(throttle.begin(&ann, now), Ok(()), "the announced time is enough");
        }
        assert!(waits[..5].windows(2).all(|two| two[1] > two[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 301), "{waits:?}");
        throttle.clear(&ann);
        assert_eq!(throttle.begin(&ann, now), Ok(()));
    }

    #[test]
    fn strangers_keep_nobody_out_who_comes_from_elsewhere() {
        let throttle = Throttle::default();
        let mut now = Time(0);
        // Somebody tries from a network as fast as it goes, for a day.
        for _ in 0..86_400 {
            let marks = [Mark::Pair("ann", Some(network(1))), Mark::Person("ann"), Mark::Network(network(1))];
            let _ = throttle.begin(&marks, now);
            now = now.plus_seconds(1);
        }
        let marks = [Mark::Pair("ann", Some(network(2))), Mark::Person("ann"), Mark::Network(network(2))];
        assert_eq!(throttle.begin(&marks, now), Ok(()));
    }

    #[test]
    fn a_network_that_many_share_is_not_slowed_by_what_some_mistype() {
        let throttle = Throttle::default();
        let office = [Mark::Network(network(1))];
        for n in 0..2_000 {
            let now = Time(0).plus_seconds(n * 11);
            assert_eq!(throttle.begin(&office, now), Ok(()), "{n}");
        }
        // Whoever tries all at once is.
        let now = Time(0).plus_seconds(30_000);
        assert!((0..200).any(|_| throttle.begin(&office, now).is_err()));
    }

    #[test]
    fn what_was_not_looked_at_leaves_nothing_and_memory_is_bounded() {
        let throttle = Throttle::default();
        let name = "x".repeat(100_000);
        for _ in 0..1000 {
            let marks = [Mark::Person(&name), Mark::Network(network(1))];
            assert_eq!(throttle.begin(&marks, Time(1)), Ok(()));
            throttle.forgive(&marks);
        }
        assert_eq!(throttle.known.lock().attempts.len(), 0);
        for n in 0..150_000_u32 {
            let _ = throttle.begin(&[Mark::Person(&n.to_string())], Time(1));
        }
        assert!(throttle.known.lock().attempts.len() <= MANY);
    }

    /// However many other logins are counted, existing delays stay in force.
    #[test]
    fn waits_outlast_a_flood_of_other_logins() {
        let throttle = Throttle::default();
        let ann = [Mark::Pair("ann", Some(network(1)))];
        let waits = (0..20).filter(|_| throttle.begin(&ann, Time(1)).is_err()).count();
        assert!(waits > 0);
        for n in 0..250_000_u32 {
            let _ = throttle.begin(&[Mark::Person(&n.to_string())], Time(1));
        }
        assert!(throttle.known.lock().attempts.len() <= MANY);
        assert!(throttle.begin(&ann, Time(1)).is_err(), "ann is still waiting");
    }
}
