//! The limits of a server.

use crate::imports::StorageLimits;
use adapters::{Argon2Cost, PasswordPool};
use directory::KeyHash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

/// The bounds a server keeps.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest body in bytes.
    pub max_body_size: usize,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// Time for a request to be answered, the body's time not counted.
    pub response_timeout: Duration,
    /// Bad keys a minute from one address before it is slowed down.
    pub invalid_keys_per_minute: NonZeroU32,
    /// Hash of the token for `/metrics` on the public listener; `None` disables them there.
    pub metrics_token: Option<KeyHash>,
    /// Proxies whose word is taken for where a request comes from.
    pub trusted_proxies: Vec<IpAddr>,
    /// Storage limits of import files.
    pub import_storage: StorageLimits,
    /// Threads that hash passwords.
    pub hash_threads: usize,
    /// Passwords that may wait for them.
    pub hash_queue: usize,
    /// How hard passwords are to guess from their hashes.
    pub hash_strength: Argon2Cost,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_size: 4 * 1024 * 1024,
            body_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(30),
            invalid_keys_per_minute: NonZeroU32::MIN.saturating_add(59),
            metrics_token: None,
            trusted_proxies: Vec::new(),
            import_storage: StorageLimits::default(),
            hash_threads: PasswordPool::default_threads(),
            hash_queue: PasswordPool::DEFAULT_QUEUE_LIMIT,
            hash_strength: Argon2Cost::STANDARD,
        }
    }
}
