//! Shared test code: fake ports, random command generators, the conformance suite that every engine must pass, real
//! PostgreSQL servers with a fault-injecting proxy, and a mail server that fails on demand.
//!
//! ```
//! let directory = testkit::fakes::directory(std::sync::Arc::new(store::Memory::new()));
//! ```

pub mod account_conformance;
pub mod conflict_conformance;
pub mod conformance;
pub mod corpus;
pub mod diff;
pub mod fakes;
pub mod generators;
pub mod import_conformance;
pub mod lookup_conformance;
pub mod membership_conformance;
pub mod postgres;
pub mod proxy;
pub mod seeds;
pub mod smtp;
pub mod table_conformance;
pub mod task_conformance;
pub mod waiting;
