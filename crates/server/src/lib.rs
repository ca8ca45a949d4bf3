//! The HTTP server: composition of the application, accept loop, request handling around the APIs, the server's own
//! pages, background tasks. It contains no SQL and nothing specific to one dialect.
//!
//! ```
//! use std::sync::Arc;
//! let ports = server::Ports::new(Arc::new(store::Memory::new()), Arc::new(adapters::TimeOrderedIds));
//! server::build_app(ports, server::Limits::default(), server::PublicConfig::default()).unwrap();
//! ```

mod allocator;
mod app;
mod background;
mod connection_slots;
mod content_encoding;
mod gateway_metrics;
mod http_service;
mod imports;
mod limits;
mod listener;
mod logging;
mod metrics;
mod rate_limiter;
mod request_body;
mod routes;
mod security_event;
mod server_pages;

pub use allocator::disable_huge_pages;
pub use app::{App, Ports, PublicConfig, build_app};
pub use background::{ATTEMPT_DAYS, BackgroundTasks, GatewayConfig, MailConfig, local_tasks};
pub use connection_slots::ConnectionLimits;
pub use dialects::kit::hash_key;
pub use http_service::{HttpService, Peer};
pub use imports::{Imports, StorageLimits};
pub use limits::Limits;
pub use listener::{Listener, ListenerKind, TlsConfig};
pub use logging::{start_json as start_json_log, start_text as start_text_log};
pub use metrics::Metrics;
