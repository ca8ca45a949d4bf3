//! Polling with a timeout that is long enough for a slow or busy machine.

use std::time::{Duration, Instant};

/// Only a failing test waits this long.
pub const TIMEOUT: Duration = Duration::from_mins(3);

/// Polls until `find` returns a value.
///
/// # Panics
/// After [`TIMEOUT`]; the message contains `what`.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < TIMEOUT, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Polls until the condition holds.
///
/// # Panics
/// After [`TIMEOUT`]; the message contains `what`.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
