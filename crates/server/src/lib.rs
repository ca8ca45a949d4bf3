//! The HTTP side: composition, accept loop, what stands around a request, the server's own pages, background work.
//!
//! It knows every crate but the command line, and no SQL and no dialect's spelling.

mod allocator;
mod background;
mod brake;
mod compose;
mod connection_slots;
mod decoding;
mod imports;
mod limits;
mod listen;
mod logging;
mod metrics;
mod pages;
mod routes;
mod shell;
mod upload;

pub use background::{Background, Post, tasks};
pub use compose::{App, Face, Parts, app};
pub use connection_slots::ConnectionLimits;
pub use dialects::kit::hash_key;
pub use imports::{Imports, StorageLimits};
pub use limits::Limits;
pub use listen::{Audience, Listener, Tls};
pub use logging::start as start_logging;
pub use metrics::Metrics;
pub use shell::{Peer, Shell};
