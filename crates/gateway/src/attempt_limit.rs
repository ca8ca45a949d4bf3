//! Limits how many attempts are stored, so that a target cannot fill the store.

use crate::health::Signal;
use crate::sender::Exchange;
use directory::{Target, TenantNumber, Time};
use parking_lot::Mutex;
use std::collections::HashMap;

/// Attempts of a target that are stored on one day by one process: this many that succeeded, and as many that failed.
const MAX_PER_DAY: u32 = 10_000;
const MICROS_PER_DAY: i64 = 24 * 60 * 60 * 1_000_000;

#[derive(Default)]
pub(crate) struct AttemptLimit(Mutex<HashMap<(TenantNumber, u32), Day>>);

#[derive(Clone, Copy, Default)]
struct Day {
    number: i64,
    succeeded: u32,
    failed: u32,
}

impl AttemptLimit {
    /// Whether an attempt is stored.
    pub(crate) fn allow(&self, target: &Target, exchange: &Exchange, now: Time) -> bool {
        let mut days = self.0.lock();
        let day = days.entry((target.tenant, target.number)).or_default();
        let number = now.0.div_euclid(MICROS_PER_DAY);
        if day.number != number {
            *day = Day { number, ..Day::default() };
        }
        let count = if exchange.signal() == Signal::Works { &mut day.succeeded } else { &mut day.failed };
        *count = count.saturating_add(1);
        *count <= MAX_PER_DAY
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::Outcome;
    use std::time::Duration;
    use uuid::Uuid;

    #[test]
    fn a_day_has_a_maximum() {
        let limit = AttemptLimit::default();
        let (target, _) = testkit::fakes::target(TenantNumber(1), "crm");
        let lost = Exchange {
            id: Uuid::nil(),
            action: "create",
            outcome: Outcome::Lost("no answer".into()),
            status: None,
            duration: Duration::ZERO,
            reference: None,
        };
        let allowed =
            |day: i64| (0..30_000).filter(|_| limit.allow(&target, &lost, Time(day * MICROS_PER_DAY))).count();
        assert_eq!((allowed(1), allowed(1), allowed(2)), (10_000, 0, 10_000));
    }
}
