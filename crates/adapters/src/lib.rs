//! Implementations of the core's ports: opening the engine that a store's name stands for, the clock, ids, keys and
//! password hashing. The server and the command line are built on these and do not depend on each other.

mod engine;
mod fair_queue;
mod hashing;
mod keys;
mod passwords;
mod ports;
mod stored;

pub use engine::{Dump, Engine, Hold, StoreSettings, shown};
pub use hashing::Strength;
pub use keys::new_key;
pub use passwords::PasswordPool;
pub use ports::{RandomIds, SystemClock, TimeOrderedIds};
pub use store::Tasks;
