//! Implementations of the core's ports: engine selection, clock, ids, API keys and password hashing. `server` and
//! `cli` build on these and do not depend on each other.
//!
//! ```
//! let folder = tempfile::tempdir().unwrap();
//! let settings = adapters::StoreSettings::new(folder.path().join("muster.db").display().to_string());
//! let engine = settings.engine().unwrap();
//! assert_eq!(engine.name(), "sqlite");
//! engine.open(adapters::OpenMode::Create).unwrap().close();
//! ```

mod api_key;
mod clock_and_ids;
mod engine;
mod fair_queue;
mod foreign_hashes;
mod hashing;
mod password_pool;

pub use api_key::generate_api_key;
pub use clock_and_ids::{RandomIds, SystemClock, TimeOrderedIds};
pub use engine::{StoreSettings, redacted_location};
pub use hashing::Argon2Cost;
pub use password_pool::PasswordPool;
pub use store::{Engine, ExclusiveStore, OpenMode, OpenStore, TaskMonitor};
