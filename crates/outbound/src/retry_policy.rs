//! When a failed attempt is repeated.

/// Delays that double with each attempt.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The delay after the first attempt, in seconds.
    pub initial_delay: i64,
    /// In seconds.
    pub max_delay: i64,
}

impl RetryPolicy {
    /// The delay in seconds after a number of attempts. `jitter` adds up to a quarter, so that not everything is repeated
    /// at the same time.
    pub fn delay(self, attempts: u32, jitter: u8) -> i64 {
        let backoff = self.initial_delay.saturating_mul(1 << attempts.saturating_sub(1).min(16));
        let delay = backoff.min(self.max_delay).max(1);
        delay.saturating_add(delay.saturating_mul(i64::from(jitter)) / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_maximum() {
        let policy = RetryPolicy { initial_delay: 60, max_delay: 3600 };
        let delays: Vec<i64> = [0, 1, 2, 3, 7, 1000, u32::MAX].map(|attempts| policy.delay(attempts, 0)).into();
        assert_eq!(delays, [60, 60, 120, 240, 3600, 3600, 3600]);
        assert_eq!(policy.delay(1, 255), 74);
        assert_eq!(RetryPolicy { initial_delay: 0, max_delay: 0 }.delay(1, 255), 1);
        assert_eq!(RetryPolicy { initial_delay: i64::MAX, max_delay: i64::MAX }.delay(9, 255), i64::MAX);
    }
}
