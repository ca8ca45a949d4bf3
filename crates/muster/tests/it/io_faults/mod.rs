//! I/O calls of the real program that fail: writes, flushes, renames, truncations and mappings, on the store's files, on those of
//! backups, imports and mails. Whatever fails, what was acknowledged is there, nothing is there by half, and the store is sound.
//!
//! The usual run tries a sample within half a minute; with `MUSTER_TEST_LONG=1` every call fails in every way. Each failure prints
//! the value of `MUSTER_TEST_FAULT` that repeats it.

mod changes;
mod commands;
mod imports;
mod injection;
mod process;
mod search;

use crate::outages::print;
use crate::support::is_on_postgres;

/// Whether the library can be loaded, and there is a file to fail on.
fn is_supported() -> bool {
    let is_possible = cfg!(target_os = "linux") && !is_on_postgres();
    if !is_possible {
        print("skipped: faults are injected on Linux into the embedded engine");
    }
    is_possible
}
