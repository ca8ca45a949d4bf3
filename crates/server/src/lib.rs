//! The HTTP side: composition, accept loop, what stands around a request, the server's own pages, background work.
//!
//! It knows every crate but the command line, and no SQL and no dialect's spelling.

mod allocator;
mod app;
mod background;
mod connection_slots;
mod content_encoding;
mod http_service;
mod imports;
mod limits;
mod listener;
mod logging;
mod metrics;
mod rate_limiter;
mod request_body;
mod routes;
mod server_pages;

pub use app::{App, Ports, PublicConfig, build_app};
pub use background::{BackgroundTasks, MailConfig, local_tasks};
pub use connection_slots::ConnectionLimits;
pub use dialects::kit::hash_key;
pub use http_service::{HttpService, Peer};
pub use imports::{Imports, StorageLimits};
pub use limits::Limits;
pub use listener::{Listener, ListenerKind, TlsConfig};
pub use logging::start as start_logging;
pub use metrics::Metrics;
