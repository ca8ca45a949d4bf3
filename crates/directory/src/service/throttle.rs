//! Slows down whoever guesses passwords: after some failures in a row, nothing is looked at for a while that doubles
//! with each further one, up to a few minutes. Nobody is locked out for ever, and the right password ends it.
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
/// Seconds after the last failure when all are forgotten.
const FORGET_SECONDS: i64 = 1800;
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

#[derive(Default)]
struct Failures {
    count: u32,
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
            known.retain(|_, failures| now < failures.last.plus_seconds(FORGET_SECONDS));
            if known.len() >= MANY {
                known.clear();
            }
        }
        for mark in marks {
            let failures = known.entry(mark.clone()).or_default();
            if now >= failures.last.plus_seconds(FORGET_SECONDS) {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
            let free = if matches!(mark, Mark::Person(_)) { FREE_PERSON } else { FREE_ADDRESS };
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
    fn what_was_not_looked_at_does_not_count() {
        let throttle = Throttle::default();
        let marks = [Mark::Person("ann".into()), Mark::Address(IpAddr::from([10, 0, 0, 1]))];
        for _ in 0..1000 {
            assert_eq!(throttle.begin(&marks, Time(1)), Ok(()));
            throttle.forgive(&marks);
        }
    }
}
