//! Slows down password guessing and mail requests: after some attempts, all further ones are rejected for a time
//! that doubles with each attempt, up to a limit. Attempts are forgotten one by one, and the right password resets
//! the count.
//!
//! Failures count by login and network, and more loosely by login alone. The latter does not apply to a browser or
//! network that the user has signed in from: otherwise, anyone could lock the user out. An attempt counts as a
//! failure from its start, so that parallel attempts do not evade the limit. All state belongs to this process and
//! is lost when it ends.

use crate::{Time, UserId};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// Most counters kept; beyond that, the least important are removed.
const CAPACITY: usize = 100_000;
/// Expired counters are removed once per this many attempts.
const SWEEP_INTERVAL_ATTEMPTS: u32 = 1024;

/// What an attempt is counted against. Logins count the same whether or not such a user exists.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) enum ThrottleKey<'a> {
    /// Passwords for a login, from one network or from an unknown one.
    LoginAndNetwork(&'a str, Option<IpAddr>),
    /// Passwords for a login, from all networks its user has not signed in from.
    Login(&'a str),
    /// Passwords for a user from a known browser.
    Browser(UserId, Time),
    /// Passwords from a network for any login.
    Network(IpAddr),
    /// The current password, which a user enters to change it.
    PasswordChange(&'a str),
    /// Mails to a user that anyone can request.
    ResetRecipient(&'a str),
    /// Such mails, by the network that requests them.
    ResetNetwork(IpAddr),
}

struct ThrottlePolicy {
    /// Attempts without delay.
    free_attempts: u32,
    max_wait_seconds: i64,
    /// Seconds until one attempt is forgotten.
    decay_seconds: i64,
}

impl ThrottleKey<'_> {
    fn policy(self) -> ThrottlePolicy {
        let (free, longest, forget) = match self {
            Self::LoginAndNetwork(..) | Self::Browser(..) | Self::PasswordChange(_) => (5, 300, 300),
            Self::Login(_) => (50, 30, 60),
            // On a network that many users share, mistyped passwords are common.
            Self::Network(_) => (50, 300, 10),
            Self::ResetRecipient(_) => (3, 3600, 3600),
            Self::ResetNetwork(_) => (20, 300, 60),
        };
        ThrottlePolicy { free_attempts: free, max_wait_seconds: longest, decay_seconds: forget }
    }
}

struct Attempts {
    count: u32,
    /// The time up to which attempts have been forgotten.
    decayed_at: Time,
    /// Seconds until one attempt is forgotten.
    decay_seconds: i64,
    blocked_until: Time,
}

impl Attempts {
    fn decay(&mut self, now: Time) {
        let steps = (now.0 - self.decayed_at.0).max(0) / (self.decay_seconds * 1_000_000);
        if steps > 0 {
            self.count = self.count.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
            self.decayed_at = now;
        }
    }
}

#[derive(Default)]
pub(super) struct Throttle {
    counters: Mutex<Counters>,
    /// Keys are stored as hashes, so that long logins cannot exhaust the memory.
    hash_builder: RandomState,
}

#[derive(Default)]
struct Counters {
    attempts: HashMap<u64, Attempts>,
    attempts_since_sweep: u32,
}

impl Counters {
    fn sweep(&mut self, now: Time) {
        self.attempts_since_sweep = 0;
        self.attempts.retain(|_, attempts| {
            attempts.decay(now);
            attempts.count > 0 || now < attempts.blocked_until
        });
        if self.attempts.len() >= CAPACITY {
            self.evict();
        }
    }
}

impl Counters {
    /// Removes a quarter of the counters: those with the shortest delay or none. Removing all would allow everyone
    /// to guess again.
    fn evict(&mut self) {
        let weight = |attempts: &Attempts| (attempts.blocked_until, attempts.count);
        let mut weights: Vec<_> = self.attempts.values().map(weight).collect();
        let (_, limit, _) = weights.select_nth_unstable(CAPACITY / 4);
        let (limit, mut to_evict) = (*limit, CAPACITY / 4);
        self.attempts.retain(|_, attempts| {
            let is_kept = to_evict == 0 || weight(attempts) > limit;
            to_evict -= usize::from(!is_kept);
            is_kept
        });
    }
}

impl Throttle {
    /// Starts an attempt, or returns the seconds to wait.
    pub(super) fn start_attempt(&self, keys: &[ThrottleKey<'_>], now: Time) -> Result<(), u32> {
        let hashes: Vec<u64> = keys.iter().map(|key| self.hash_builder.hash_one(key)).collect();
        let mut known = self.counters.lock();
        let until =
            hashes.iter().filter_map(|hash| known.attempts.get(hash)).map(|attempts| attempts.blocked_until).max();
        if let Some(until) = until.filter(|until| now < *until) {
            let seconds = (until.0 - now.0).div_euclid(1_000_000) + 1;
            return Err(u32::try_from(seconds).unwrap_or(u32::MAX));
        }
        known.attempts_since_sweep += 1;
        if known.attempts_since_sweep >= SWEEP_INTERVAL_ATTEMPTS || known.attempts.len() >= CAPACITY {
            known.sweep(now);
        }
        for (key, hash) in keys.iter().zip(hashes) {
            let ThrottlePolicy { free_attempts: free, max_wait_seconds: longest, decay_seconds: forget } = key.policy();
            let new = Attempts { count: 0, decayed_at: now, decay_seconds: forget, blocked_until: now };
            let attempts = known.attempts.entry(hash).or_insert(new);
            attempts.decay(now);
            if attempts.count == 0 {
                attempts.decayed_at = now;
            }
            attempts.count = attempts.count.saturating_add(1);
            if let Some(excess) = attempts.count.checked_sub(free) {
                let seconds = 1_i64.checked_shl(excess.min(30)).unwrap_or(longest).min(longest);
                attempts.blocked_until = now.plus_seconds(seconds);
            }
        }
        Ok(())
    }

    /// For an attempt that was not checked or was successful.
    pub(super) fn undo_attempt(&self, keys: &[ThrottleKey<'_>]) {
        let mut known = self.counters.lock();
        for key in keys {
            let hash = self.hash_builder.hash_one(key);
            let Some(attempts) = known.attempts.get_mut(&hash) else { continue };
            attempts.count = attempts.count.saturating_sub(1);
            attempts.blocked_until = Time(0);
            if attempts.count == 0 {
                known.attempts.remove(&hash);
            }
        }
    }

    /// For a user who has proved their identity.
    pub(super) fn reset(&self, keys: &[ThrottleKey<'_>]) {
        let mut known = self.counters.lock();
        for key in keys {
            known.attempts.remove(&self.hash_builder.hash_one(key));
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
    fn waits_double_end_and_are_cleared_by_success() {
        let throttle = Throttle::default();
        let ann = [ThrottleKey::LoginAndNetwork("ann", Some(network(1)))];
        let mut now = Time(1_000_000_000);
        for _ in 0..5 {
            assert_eq!(throttle.start_attempt(&ann, now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..12 {
            let wait = throttle.start_attempt(&ann, now).expect_err("must wait");
            assert_eq!(throttle.start_attempt(&[ThrottleKey::LoginAndNetwork("bob", Some(network(1)))], now), Ok(()));
            throttle.reset(&[ThrottleKey::LoginAndNetwork("bob", Some(network(1)))]);
            waits.push(wait);
            now = now.plus_seconds(i64::from(wait));
            assert_eq!(throttle.start_attempt(&ann, now), Ok(()), "the announced time is enough");
        }
        assert!(waits[..5].windows(2).all(|two| two[1] > two[0]), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= 301), "{waits:?}");
        throttle.reset(&ann);
        assert_eq!(throttle.start_attempt(&ann, now), Ok(()));
    }

    #[test]
    fn guesses_from_one_network_do_not_block_another() {
        let throttle = Throttle::default();
        let mut now = Time(0);
        // Someone guesses once a second from one network for a day.
        for _ in 0..86_400 {
            let keys = [
                ThrottleKey::LoginAndNetwork("ann", Some(network(1))),
                ThrottleKey::Login("ann"),
                ThrottleKey::Network(network(1)),
            ];
            let _ = throttle.start_attempt(&keys, now);
            now = now.plus_seconds(1);
        }
        let keys = [
            ThrottleKey::LoginAndNetwork("ann", Some(network(2))),
            ThrottleKey::Login("ann"),
            ThrottleKey::Network(network(2)),
        ];
        assert_eq!(throttle.start_attempt(&keys, now), Ok(()));
    }

    #[test]
    fn shared_networks_tolerate_typos() {
        let throttle = Throttle::default();
        let office = [ThrottleKey::Network(network(1))];
        for n in 0..2_000 {
            let now = Time(0).plus_seconds(n * 11);
            assert_eq!(throttle.start_attempt(&office, now), Ok(()), "{n}");
        }
        // Many attempts at once are still rejected.
        let now = Time(0).plus_seconds(30_000);
        assert!((0..200).any(|_| throttle.start_attempt(&office, now).is_err()));
    }

    #[test]
    fn undone_attempts_leave_nothing_and_memory_is_bounded() {
        let throttle = Throttle::default();
        let name = "x".repeat(100_000);
        for _ in 0..1000 {
            let keys = [ThrottleKey::Login(&name), ThrottleKey::Network(network(1))];
            assert_eq!(throttle.start_attempt(&keys, Time(1)), Ok(()));
            throttle.undo_attempt(&keys);
        }
        assert_eq!(throttle.counters.lock().attempts.len(), 0);
        for n in 0..150_000_u32 {
            let _ = throttle.start_attempt(&[ThrottleKey::Login(&n.to_string())], Time(1));
        }
        assert!(throttle.counters.lock().attempts.len() <= CAPACITY);
    }

    /// Existing delays stay in force, however many other logins are counted.
    #[test]
    fn waits_outlast_a_flood_of_other_logins() {
        let throttle = Throttle::default();
        let ann = [ThrottleKey::LoginAndNetwork("ann", Some(network(1)))];
        let waits = (0..20).filter(|_| throttle.start_attempt(&ann, Time(1)).is_err()).count();
        assert!(waits > 0);
        for n in 0..250_000_u32 {
            let _ = throttle.start_attempt(&[ThrottleKey::Login(&n.to_string())], Time(1));
        }
        assert!(throttle.counters.lock().attempts.len() <= CAPACITY);
        assert!(throttle.start_attempt(&ann, Time(1)).is_err(), "ann is still waiting");
    }
}
