//! Failing I/O calls of the real program: writes, flushes, renames, truncations and mappings, on files of the store,
//! backups, imports and mails. After any failure, acknowledged changes are stored, nothing is incomplete, and the
//! store is consistent.
//!
//! A normal run tries a sample for half a minute; with `MUSTER_TEST_LONG=1` every call fails in every way. Each failure
//! prints the value of `MUSTER_TEST_FAULT` that repeats it.

mod changes;
mod commands;
mod imports;
mod injection;
mod process;
mod search;

use crate::outages::print;
use crate::support::is_on_postgres;

/// Whether faults can be injected: on Linux, into the embedded engine.
fn is_supported() -> bool {
    let is_possible = cfg!(target_os = "linux") && !is_on_postgres();
    if !is_possible {
        print("skipped: fault injection needs Linux and the embedded engine");
    }
    is_possible
}
