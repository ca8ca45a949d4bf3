//! Waiting for what others do: as short as possible, and so long before giving up that a slow or busy machine makes no test
//! fail.

use std::time::{Duration, Instant};

/// How long something may take before it is taken for never. Only a failing test waits so long.
pub const TIMEOUT: Duration = Duration::from_mins(3);

/// Waits until `find` finds something.
///
/// # Panics
/// When it does not within [`TIMEOUT`], naming what was waited for.
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = find() {
            return found;
        }
        assert!(begun.elapsed() < TIMEOUT, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until something is so.
///
/// # Panics
/// When it is not within [`TIMEOUT`], naming what was waited for.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}
