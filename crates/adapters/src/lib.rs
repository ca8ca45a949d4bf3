//! The real things behind the core's ports: the engine that a store's name means, the clock, ids, keys and password
//! hashing. The server and the command line are built on these, and know nothing of one another.

mod engine;
mod keys;
mod passwords;
mod ports;
mod stored;

pub use engine::{Dump, Engine, StoreSettings, shown};
pub use keys::new_key;
pub use passwords::{PasswordPool, Strength};
pub use ports::{RandomIds, SystemClock, TimeOrderedIds};
