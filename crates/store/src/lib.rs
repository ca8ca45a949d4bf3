//! The engines behind [`directory::Store`]: `memory`, the reference, `sqlite`, the embedded one, and `postgres` for
//! everything that speaks PostgreSQL's protocol.
//!
//! An engine knows rows and transactions. It knows no HTTP and no dialect, and decides nothing: what is allowed
//! was decided before a change arrives here.

pub mod archive;
mod chain;
mod claims;
mod found;
pub mod memory;
mod plan;
pub mod postgres;
mod sql;
pub mod sqlite;
mod told;

pub use memory::Memory;
pub use postgres::{Address, AddressError, Postgres, ServerOptions};
pub use sqlite::{OpenError, Options, Sqlite};
