//! Delays between attempts while the database is busy or unreachable.

use backon::ExponentialBuilder;
use std::time::Duration;

/// Doubles from 3 ms to 96 ms, with up to 100 % jitter so that conflicting processes retry at different times.
/// Endless; callers have their own limits.
pub(super) const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(3))
    .with_max_delay(Duration::from_millis(96))
    .with_jitter()
    .without_max_times();

pub(super) async fn sleep_for_next(delays: &mut impl Iterator<Item = Duration>) {
    if let Some(delay) = delays.next() {
        tokio::time::sleep(delay).await;
    }
}

/// How long a change or read is retried before its caller gets an error.
pub(super) const RETRY_TIMEOUT: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::BACKOFF;
    use backon::BackoffBuilder;

    #[test]
    fn delays_double_up_to_the_longest_and_differ() {
        let mut seen = Vec::new();
        for _ in 0..50 {
            let delays: Vec<u128> = BACKOFF.build().map(|delay| delay.as_micros()).take(60).collect();
            for (delay, least) in
                delays.iter().zip([3_000, 6_000, 12_000, 24_000, 48_000].into_iter().chain([96_000; 55]))
            {
                assert!((least..=2 * least).contains(delay), "{delay} of {least}");
            }
            seen.push(delays);
        }
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 50, "all sequences differ");
    }
}
