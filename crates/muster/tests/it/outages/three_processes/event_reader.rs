//! A reader of the event feed: every position once, in order, without gaps.

use super::EventCounts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The events read so far.
#[derive(Debug, Default)]
pub(super) struct ReadEvents {
    /// The last position, which is the number of events.
    pub(super) last: u64,
    /// Events of users, by email.
    pub(super) counts: EventCounts,
}

/// Follows the feed until all events are written, positioned and read. `read` returns some or all events after a
/// position: the position, the email if it is an event of a user, and the action.
pub(super) fn read_events(
    read: impl Fn(u64) -> Vec<(u64, Option<String>, &'static str)>,
    is_written: &AtomicBool,
) -> ReadEvents {
    let mut followed = ReadEvents::default();
    loop {
        // Load the flag before reading, so that no event written in between is missed.
        let is_last = is_written.load(Ordering::SeqCst);
        let events = read(followed.last);
        if events.is_empty() {
            if is_last {
                return followed;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for (position, email, action) in events {
            assert_eq!(position, followed.last + 1, "positions increase by one: {email:?} {action}");
            followed.last = position;
            if let Some(email) = email {
                *followed.counts.entry((email, action)).or_default() += 1;
            }
        }
    }
}
