//! Limits the rate of requests to one system.

use std::time::{Duration, Instant};

/// The slowest rate, in requests per second.
const MIN_RATE: f64 = 0.2;
/// What each success adds to a reduced rate, as a share of the configured one.
const INCREASE: f64 = 0.02;

/// A token bucket with additive increase and multiplicative decrease: an overload halves the rate, each success raises it
/// again, up to the configured one.
#[derive(Debug)]
pub struct RateControl {
    /// Configured, per second.
    max_rate: f64,
    burst: f64,
    rate: f64,
    tokens: f64,
    updated: Instant,
    /// No request before this time (`Retry-After`).
    not_before: Option<Instant>,
}

/// In requests per second: once in about three hours.
const LOWEST_CONFIGURED: f64 = 0.000_1;

impl RateControl {
    /// `rate` is in requests per second; `burst` is the capacity of the bucket, in requests.
    pub fn new(rate: f64, burst: u32, now: Instant) -> Self {
        let (max_rate, burst) = (rate.max(LOWEST_CONFIGURED), f64::from(burst.max(1)));
        Self { max_rate, burst, rate: max_rate, tokens: burst, updated: now, not_before: None }
    }

    /// The current rate, in requests per second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Permits one request.
    ///
    /// # Errors
    /// The time until the next permit.
    pub fn permit(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.not_before.and_then(|time| time.checked_duration_since(now)).filter(|d| !d.is_zero()) {
            return Err(wait);
        }
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.tokens = elapsed.mul_add(self.rate, self.tokens).min(self.burst);
        self.updated = now;
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / self.rate))
    }

    /// The time until the next permit.
    pub fn wait(&self, now: Instant) -> Duration {
        let pause = self.not_before.and_then(|time| time.checked_duration_since(now)).unwrap_or_default();
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        let missing = 1.0 - elapsed.mul_add(self.rate, self.tokens);
        pause.max(Duration::from_secs_f64((missing / self.rate).max(0.0)))
    }

    /// Counts requests that were sent without a permit.
    pub fn charge(&mut self, requests: u32) {
        self.tokens -= f64::from(requests);
    }

    /// The system has answered in time.
    pub fn record_success(&mut self) {
        self.rate = self.max_rate.mul_add(INCREASE, self.rate).min(self.max_rate);
    }

    /// The system is overloaded, and may have said how long to wait (`Retry-After`).
    pub fn record_overload(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.rate = (self.rate / 2.0).max(MIN_RATE.min(self.max_rate));
        self.tokens = 0.0;
        self.updated = now;
        let time = retry_after.and_then(|delay| now.checked_add(delay));
        self.not_before = self.not_before.max(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many requests are permitted within some seconds, if each one that is permitted is sent.
    fn permitted(control: &mut RateControl, mut now: Instant, seconds: u64) -> usize {
        let (end, mut count) = (now + Duration::from_secs(seconds), 0);
        while now < end {
            match control.permit(now) {
                Ok(()) => count += 1,
                Err(wait) => now += wait,
            }
        }
        count
    }

    #[test]
    fn bursts_are_followed_by_the_configured_rate() {
        let now = Instant::now();
        let mut control = RateControl::new(10.0, 20, now);
        assert!((119..=121).contains(&permitted(&mut control, now, 10)));
    }

    #[test]
    fn an_overloaded_system_gets_half_and_recovers() {
        let now = Instant::now();
        let mut control = RateControl::new(8.0, 1, now);
        control.record_overload(now, Some(Duration::from_secs(30)));
        assert_eq!(control.permit(now), Err(Duration::from_secs(30)));
        // A shorter wait does not shorten the first one.
        control.record_overload(now, Some(Duration::from_secs(1)));
        assert_eq!(permitted(&mut control, now, 30), 0);
        let later = now + Duration::from_secs(30);
        assert!((19..=21).contains(&permitted(&mut control, later, 10)), "2 per second");
        for _ in 0..100 {
            control.record_overload(later, None);
        }
        assert!((control.rate() - MIN_RATE).abs() < f64::EPSILON);
        for _ in 0..100 {
            control.record_success();
        }
        assert!((control.rate() - 8.0).abs() < f64::EPSILON);
    }
}
