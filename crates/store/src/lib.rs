//! The engines behind [`directory::Store`]: `memory` (the reference), `sqlite` (embedded) and `postgres` (every
//! database with PostgreSQL's protocol).
//!
//! An engine knows rows and transactions, but no HTTP and no dialect. It decides nothing: what is allowed was
//! decided before a change arrives.
//!
//! ```
//! use directory::Store;
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let store = store::Sqlite::open(&folder.path().join("muster.db"), &store::SqliteOptions::default()).unwrap();
//! assert_eq!(store.health().await.unwrap().engine, "sqlite");
//! store.close();
//! # });
//! ```

pub mod archive;
mod chain_verifier;
mod check;
mod check_report;
mod commit_time;
mod event_chain;
mod event_row;
mod memberships;
pub mod memory;
mod page_builder;
pub mod postgres;
mod query_plan;
mod sql;
pub mod sqlite;
mod task_monitor;
mod translation;
mod unique_keys;

pub use check_report::CheckReport;
pub use memory::Memory;
pub use postgres::{DatabaseUrl, DatabaseUrlError, ExclusivePostgres, Postgres, PostgresOptions};
pub use sqlite::{ExclusiveSqlite, Sqlite, SqliteOpenError, SqliteOptions};
pub use task_monitor::TaskMonitor;

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
