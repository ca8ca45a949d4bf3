//! A client that learns of changes by polling `scim` for users with a newer `meta.lastModified`, as identity systems
//! do.

use super::dialect::UserView;
use super::shared_state::SharedState;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Each poll overlaps the previous one by this much: a change gets its time when it is decided and may be committed
/// later.
const OVERLAP: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(400);
const EPOCH: &str = "2000-01-01T00:00:00Z";

#[derive(Default)]
pub(super) struct PolledChanges {
    /// The start of the last complete poll.
    last_poll: Mutex<Option<Instant>>,
    users: Mutex<BTreeMap<String, UserView>>,
}

impl PolledChanges {
    /// Whether a poll that began after `moment` is complete.
    pub(super) fn has_polled_since(&self, moment: Instant) -> bool {
        self.last_poll.lock().is_some_and(|until| until > moment)
    }

    /// The difference between the polled and the listed state of a user, if any.
    pub(super) fn difference(&self, listed: &UserView) -> Option<String> {
        let users = self.users.lock();
        let learned = users.get(&listed.key);
        let content = |seen: &UserView| (seen.email.clone(), seen.first_name.clone(), seen.is_active);
        (learned.map(content) != Some(content(listed)))
            .then(|| format!("polling for changes returned {learned:?} for {listed:?}"))
    }
}

/// Polls until the test is over.
pub(super) fn poll_changes(world: &SharedState) {
    // The newest timestamp of each poll.
    let mut marks: Vec<(Instant, String)> = Vec::new();
    for number in 0.. {
        if world.is_over() {
            return;
        }
        let begun = Instant::now();
        if let Some(old) = marks.iter().rposition(|(at, _)| at.elapsed() >= OVERLAP) {
            marks.drain(..old);
        }
        let old = marks.first().filter(|(at, _)| at.elapsed() >= OVERLAP);
        let since = old.map_or(EPOCH, |(_, time)| time.as_str());
        let changed = world.endpoint(number, 0).and_then(|endpoint| endpoint.list_changed(since).ok());
        if let Some(changed) = changed {
            world.count("polls for changes");
            let newest = changed.iter().map(|seen| seen.modified.clone()).max();
            let before = marks.last().map(|(_, time)| time.clone());
            marks.extend(newest.max(before).map(|time| (begun, time)));
            world.polled_changes.users.lock().extend(changed.into_iter().map(|seen| (seen.key.clone(), seen)));
            *world.polled_changes.last_poll.lock() = Some(begun);
        }
        std::thread::sleep(POLL_EVERY);
    }
}
