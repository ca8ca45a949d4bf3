//! The program: configuration, composition, the door to the network, and the command line.
//!
//! The only room that knows every other. It knows no SQL and no dialect's spelling.

mod allocator;
mod background;
pub mod backup;
mod brake;
pub mod cli;
mod compose;
mod engine;
mod imports;
mod keys;
mod listen;
mod logging;
mod metrics;
mod moving;
mod pages;
mod passwords;
mod ports;
mod routes;
mod settings;
mod shell;
mod stored;

pub use compose::{App, Face, Limits, Parts, app};
pub use dialects::kit::hash_key;
pub use engine::{Engine, StoreSettings};
pub use imports::Imports;
pub use keys::new_key;
pub use listen::{Listener, Tls};
pub use logging::start as start_logging;
pub use metrics::Metrics;
pub use passwords::{PasswordPool, Strength};
pub use ports::{RandomIds, SystemClock, TimeOrderedIds};
pub use shell::Shell;
