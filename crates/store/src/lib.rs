//! The engines behind [`directory::Store`]: `memory`, the reference, and `sqlite`, the embedded one.
//!
//! An engine knows rows and transactions. It knows no HTTP and no dialect, and decides nothing: what is allowed
//! was decided before a change arrives here.

mod claims;
pub mod memory;
pub mod sqlite;

pub use memory::Memory;
pub use sqlite::{OpenError, Options, Sqlite};
