//! What the engines behind [`directory::Store`] share, and `memory`, the engine that is their reference.
//!
//! An engine ([`Engine`]) knows rows and transactions, but no HTTP and no dialect. It decides nothing: what is allowed
//! was decided before a change arrives.
//!
//! ```
//! use directory::Store;
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! assert_eq!(store::Memory::new().health().await.unwrap().engine, "memory");
//! # });
//! ```

pub mod archive;
pub mod chain_verifier;
pub mod check;
mod check_report;
pub mod commit_time;
mod engine;
pub mod event_chain;
pub mod event_row;
pub mod event_signal;
pub mod memberships;
mod memory;
mod open_error;
pub mod page_builder;
pub mod query_plan;
pub mod sql;
mod task_monitor;
pub mod tenant_snapshot;
pub mod translation;
pub mod unique_keys;

pub use check_report::CheckReport;
pub use engine::{DumpFn, Engine, ExclusiveStore, OpenMode, OpenStore};
pub use memory::Memory;
pub use open_error::OpenError;
pub use task_monitor::TaskMonitor;

pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
