//! Limits of a server on requests, storage and password hashing.

use crate::imports::StorageLimits;
use adapters::{Argon2Cost, PasswordPool};
use directory::KeyHash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Limits {
    /// In bytes.
    pub max_body_size: usize,
    pub body_timeout: Duration,
    /// Does not include the time for the body to arrive.
    pub response_timeout: Duration,
    /// Per client address, before it is throttled.
    pub invalid_keys_per_minute: NonZeroU32,
    /// Hash of the token for `/metrics` on the public listener; `None` disables them there.
    pub metrics_token: Option<KeyHash>,
    /// Proxies whose X-Forwarded-For header is trusted.
    pub trusted_proxies: Vec<IpAddr>,
    pub import_storage: StorageLimits,
    /// After how many days security records are deleted.
    pub security_record_days: u32,
    pub hash_threads: usize,
    /// Passwords that may wait for a hashing thread.
    pub hash_queue: usize,
    /// The cost of a hash, which decides how hard it is to guess the password.
    pub hash_cost: Argon2Cost,
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
            security_record_days: 30,
            hash_threads: PasswordPool::default_threads(),
            hash_queue: PasswordPool::DEFAULT_QUEUE_LIMIT,
            hash_cost: Argon2Cost::STANDARD,
        }
    }
}
