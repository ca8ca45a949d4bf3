//! A reader of the event feed who misses nothing: every position once, in order, without a gap.

use super::EventCounts;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the feed has told.
#[derive(Debug, Default)]
pub(super) struct ReadEvents {
    /// How many events there were.
    pub(super) last: u64,
    /// What was done to people, by their e-mail.
    pub(super) counts: EventCounts,
}

/// Follows the feed until everything is written, with its positions, and read. `read` gives events after a position, all or a part of what
/// is there: the position of each, the e-mail of the person it is about (none for anything else), and what was done.
pub(super) fn read_events(
    read: impl Fn(u64) -> Vec<(u64, Option<String>, &'static str)>,
    is_written: &AtomicBool,
) -> ReadEvents {
    let mut followed = ReadEvents::default();
    loop {
        // Asked before reading, so that nothing written in between is left out.
        let is_last = is_written.load(Ordering::SeqCst);
        let events = read(followed.last);
        if events.is_empty() {
            if is_last {
                return followed;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        for (position, email, action) in events {
            assert_eq!(position, followed.last + 1, "positions rise by one: {email:?} {action}");
            followed.last = position;
            if let Some(email) = email {
                *followed.counts.entry((email, action)).or_default() += 1;
            }
        }
    }
}
