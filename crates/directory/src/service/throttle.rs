//! Slows down whoever guesses passwords: after some failures in a row, nothing is looked at for a while that doubles
//! with each further one, up to a few minutes. Nobody is locked out for ever: failures are forgotten one by one, and the
//! right password ends it.
//!
//! An attempt counts as a failure from when it begins, so that many at a time are no way around. What is known here is
//! this process's own and is gone when it ends.

use crate::Time;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failures in a row that cost nothing yet, against one person and from one address.
const FREE_PERSON: u32 = 5;
const FREE_ADDRESS: u32 = 50;
/// The longest wait, in seconds.
const LONGEST_SECONDS: i64 = 300;
/// Seconds in which one failure is forgotten. From an address that many people share, some are always mistyped.
const FORGET_PERSON: i64 = 300;
const FORGET_ADDRESS: i64 = 10;
/// Seconds without a failure after which nothing is known any more.
const QUIET_SECONDS: i64 = 1800;
/// How many are remembered at the most; beyond that the quiet ones are let go, and all if none is quiet.
const MANY: usize = 100_000;

/// Whom an attempt is counted against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mark {
    /// A person, or what was given for one who is not there: nothing may tell the two apart.
    Person(String),
    /// Where it came from.
    Address(IpAddr),
}

struct Failures {
    count: u32,
    /// Since when what is to be forgotten counts.
    last: Time,
    /// Nothing is looked at before this.
    until: Time,
}

#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<Mark, Failures>>);

impl Throttle {
    /// Begins an attempt, or says how many seconds must pass first.
    pub(super) fn begin(&self, marks: &[Mark], now: Time) -> Result<(), u32> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let until = marks.iter().filter_map(|mark| known.get(mark)).map(|failures| failures.until).max();
        if let Some(until) = until.filter(|until| now < *until) {
            let seconds = (until.0 - now.0).div_euclid(1_000_000) + 1;
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        if known.len() >= MANY {
            known.retain(|_, failures| now < failures.last.plus_seconds(QUIET_SECONDS));
            if known.len() >= MANY {
                known.clear();
            }
        }
        for mark in marks {
            let failures = known.entry(mark.clone()).or_insert(Failures { count: 0, last: now, until: now });
            let (free, forget) = match mark {
                Mark::Person(_) => (FREE_PERSON, FORGET_PERSON),
                Mark::Address(_) => (FREE_ADDRESS, FORGET_ADDRESS),
            };
            let forgotten = (now.0 - failures.last.0).max(0) / (forget * 1_000_000);
            failures.count = failures.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
            if forgotten > 0 || failures.count == 0 {
                failures.last = now;
            }
            failures.count = failures.count.saturating_add(1);
            if let Some(over) = failures.count.checked_sub(free) {
                let seconds = 1_i64.checked_shl(over.min(30)).unwrap_or(LONGEST_SECONDS).min(LONGEST_SECONDS);
                failures.until = now.plus_seconds(seconds);
            }
        }
        Ok(())
    }

    /// The attempt was none: it was not looked at, or it was right.
    pub(super) fn forgive(&self, marks: &[Mark]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for mark in marks {
            if let Some(failures) = known.get_mut(mark) {
                failures.count = failures.count.saturating_sub(1);
                failures.until = Time(0);
            }
        }
    }

    /// Whoever it is has shown that they are the one.
    pub(super) fn clear(&self, mark: &Mark) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(mark);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end_and_the_right_password_clears_them() {
        let throttle = Throttle::default();
        let ann = [Mark::Person("ann".into())];
        let mut now = Time(1_000_000_000);
        for _ in 0..FREE_PERSON {
            assert_eq!(throttle.begin(&ann, now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.begin(&ann, now).expect_err("must wait");
            assert_eq!(throttle.begin(&[Mark::Person("bob".into())], now), Ok(()));
            throttle.clear(&Mark::Person("bob".into()));
            waits.push(wait);
            now = now.plus_seconds(i64::from(wait));
            assert_eq!(throttle.begin(&ann, now), Ok(()), "the announced time is enough");
        }
        assert!(waits[..5].windows(2).all(|two| two[1] > two[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| i64::from(*wait) <= LONGEST_SECONDS + 1), "{waits:?}");
        throttle.clear(&ann[0]);
        assert_eq!(throttle.begin(&ann, now), Ok(()));
    }

    #[test]
    fn an_address_that_many_share_is_not_slowed_by_what_some_mistype() {
        let throttle = Throttle::default();
        let office = [Mark::Address(IpAddr::from([10, 0, 0, 1]))];
        for n in 0..2_000 {
            let now = Time(0).plus_seconds(n * 11);
            assert_eq!(throttle.begin(&office, now), Ok(()), "{n}");
        }
        // Whoever tries all at once is.
        let now = Time(0).plus_seconds(30_000);
        assert!((0..200).any(|_| throttle.begin(&office, now).is_err()));
    }

    #[test]
    fn what_was_not_looked_at_does_not_count() {
        let throttle = Throttle::default();
        let marks = [Mark::Person("ann".into()), Mark::Address(IpAddr::from([10, 0, 0, 1]))];
        for _ in 0..1000 {
            assert_eq!(throttle.begin(&marks, Time(1)), Ok(()));
            throttle.forgive(&marks);
        }
    }
}
