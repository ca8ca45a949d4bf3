//! Systems as vendors run them, for trials and tests of the gateway: their APIs, with accounts in memory, faults on
//! request, and a record of every request.
//!
//! They are written from the documents of the APIs and share no code with Muster's own implementations of them, except
//! the parsers.

mod accounts;
mod api;
mod ccs;
mod faults;
mod onfire;
mod publisher;
mod record;
mod scim;
mod scim_groups;
mod scim_messages;
mod server;
mod vendor;

pub use faults::Faults;
pub use server::{Simulator, SimulatorConfig};
pub use vendor::VendorApi;
