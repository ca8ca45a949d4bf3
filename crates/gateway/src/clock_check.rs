//! Notices when the clock of the machine is set: times of attempts are stored by the clock, and would be hours away.

use directory::Time;
use std::time::{Duration, Instant};

/// Smaller differences are corrections of the clock's speed.
const TOLERANCE_MICROS: i64 = 2_000_000;

#[derive(Debug)]
pub(crate) struct ClockCheck {
    clock: Time,
    at: Instant,
}

impl ClockCheck {
    pub(crate) fn new(clock: Time, at: Instant) -> Self {
        Self { clock, at }
    }

    /// By how much the clock was set since the last call; `None` if it was not.
    pub(crate) fn step(&mut self, clock: Time, at: Instant) -> Option<ClockStep> {
        let passed = i64::try_from(at.saturating_duration_since(self.at).as_micros()).unwrap_or(i64::MAX);
        let difference = clock.0.saturating_sub(self.clock.0).saturating_sub(passed);
        *self = Self { clock, at };
        let amount = Duration::from_micros(difference.unsigned_abs());
        match difference {
            _ if difference.abs() <= TOLERANCE_MICROS => None,
            ..0 => Some(ClockStep::Back(amount)),
            _ => Some(ClockStep::Forward(amount)),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockStep {
    /// Attempts are due later than they should be.
    Back(Duration),
    /// Attempts are due early. Also seen after the machine was suspended.
    Forward(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_steps_are_noticed() {
        let start = Instant::now();
        let mut check = ClockCheck::new(Time(1_000_000_000), start);
        let after = |seconds| start + Duration::from_secs(seconds);
        // Five seconds on both, and half a second of correction.
        assert_eq!(check.step(Time(1_005_500_000), after(5)), None);
        assert_eq!(check.step(Time(910_500_000), after(10)), Some(ClockStep::Back(Duration::from_secs(100))));
        assert_eq!(check.step(Time(915_500_000), after(15)), None);
        assert_eq!(check.step(Time(980_500_000), after(20)), Some(ClockStep::Forward(Duration::from_mins(1))));
    }
}
