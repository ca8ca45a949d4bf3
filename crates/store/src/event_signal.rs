//! Wakes tasks that wait for events.

use directory::{BoxFuture, EventPosition};
use std::time::Duration;
use tokio::sync::watch;

/// How often a waiting task looks for events of other processes. A database assigns positions within 70 ms.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The newest position that this process knows.
#[derive(Debug)]
pub struct EventSignal(watch::Sender<EventPosition>);

impl Default for EventSignal {
    fn default() -> Self {
        Self(watch::Sender::new(EventPosition(0)))
    }
}

impl EventSignal {
    /// Wakes the tasks that wait for an event at or before this position.
    pub fn publish(&self, position: EventPosition) {
        self.0.send_if_modified(|newest| {
            let is_newer = position > *newest;
            *newest = position.max(*newest);
            is_newer
        });
    }

    /// Waits until there is an event after a position. `has_event` looks for one in the store.
    pub async fn wait<'a>(&self, after: EventPosition, has_event: impl Fn() -> BoxFuture<'a, bool> + Send) {
        let mut newest = self.0.subscribe();
        loop {
            if *newest.borrow_and_update() > after || has_event().await {
                return;
            }
            // On a timeout, look again. The channel stays open, since `self` has the sender.
            drop(tokio::time::timeout(POLL_INTERVAL, newest.changed()).await);
        }
    }
}
