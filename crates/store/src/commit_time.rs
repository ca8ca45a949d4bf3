//! The time of a change when it is committed.

use directory::Time;

/// The decided time of a change. If the newest event of its tenant is later, 1 µs after it, so that times ascend; but
/// not if it is ten minutes ahead or more, since then a clock was wrong.
pub fn commit_time(decided_at: Time, newest: Option<Time>) -> Time {
    const MAX_CLOCK_SKEW_SECONDS: i64 = 10 * 60;
    match newest {
        Some(newest) if newest > decided_at && newest < decided_at.plus_seconds(MAX_CLOCK_SKEW_SECONDS) => {
            Time(newest.0 + 1)
        }
        _ => decided_at,
    }
}
