//! Counts the statements that SQLite executes.

use rusqlite::Connection;
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use std::sync::atomic::{AtomicU64, Ordering};

/// Of all connections of the process: SQLite's trace function cannot know its store.
static EXECUTED: AtomicU64 = AtomicU64::new(0);

/// Counts what the connection executes from now on.
pub(super) fn count_statements(db: &mut Connection) -> rusqlite::Result<()> {
    db.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(count))
}

fn count(_: TraceEvent<'_>) {
    EXECUTED.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn executed() -> u64 {
    EXECUTED.load(Ordering::Relaxed)
}
