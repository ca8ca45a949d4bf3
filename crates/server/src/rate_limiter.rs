//! Limits requests with invalid keys per client address. Requests with valid keys are never limited.

use dialects::kit::RateLimiter;
use directory::rate_limit_network;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota};
use parking_lot::RwLock;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

/// Invalid keys between two cleanups of idle addresses.
const CLEANUP_INTERVAL: u64 = 1024;
/// Beyond this number of addresses, all counts are dropped, since running out of memory would be worse.
const MAX_ADDRESSES: usize = 100_000;

/// Limits invalid keys per minute and address. IPv6 addresses count by /64, which is what one client gets.
pub(crate) struct InvalidKeyLimiter {
    quota: Quota,
    limiter: RwLock<DefaultKeyedRateLimiter<IpAddr>>,
    failures: AtomicU64,
}

impl InvalidKeyLimiter {
    pub(crate) fn new(per_minute: NonZeroU32) -> Self {
        let quota = Quota::per_minute(per_minute);
        Self { quota, limiter: RwLock::new(governor::RateLimiter::dashmap(quota)), failures: AtomicU64::new(0) }
    }
}

impl RateLimiter for InvalidKeyLimiter {
    fn record_failure(&self, address: IpAddr) -> Option<u32> {
        if self.failures.fetch_add(1, Ordering::Relaxed).is_multiple_of(CLEANUP_INTERVAL) {
            let mut limiter = self.limiter.write();
            limiter.retain_recent();
            limiter.shrink_to_fit();
            if limiter.len() > MAX_ADDRESSES {
                *limiter = governor::RateLimiter::dashmap(self.quota);
            }
        }
        let limiter = self.limiter.read();
        let wait = limiter.check_key(&rate_limit_network(address)).err()?;
        let wait = wait.wait_time_from(DefaultClock::default().now());
        Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_slowed_and_another_is_not() {
        let limiter = InvalidKeyLimiter::new(NonZeroU32::new(3).unwrap());
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        assert_eq!((0..3).filter_map(|_| limiter.record_failure(a)).count(), 0);
        assert!(limiter.record_failure(a).is_some_and(|seconds| (1..=21).contains(&seconds)));
        assert_eq!(limiter.record_failure(b), None);
        let (c, d) = ("2001:db8::1".parse().unwrap(), "2001:db8::ffff".parse().unwrap());
        assert_eq!(rate_limit_network(c), rate_limit_network(d));
    }
}
