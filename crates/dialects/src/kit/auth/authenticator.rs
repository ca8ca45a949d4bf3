//! A cache of connections whose keys were valid within the last second, and the rate limit of invalid keys.

use crate::kit::RequestError;
use directory::{Connection, KeyHash, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How long a valid key is accepted without asking the store again. A revoked key stops working within this time.
const CACHE_TTL_SECONDS: i64 = 1;

/// When this many keys and tokens are cached, expired ones are removed.
const CACHE_CLEANUP_SIZE: usize = 10_000;

pub trait RateLimiter: Send + Sync {
    /// Records an invalid key from an address; returns the seconds to wait if there were too many.
    fn record_failure(&self, address: IpAddr) -> Option<u32>;
}

pub struct Authenticator {
    cache: RwLock<HashMap<KeyHash, (Arc<Connection>, Time)>>,
    rate_limiter: Box<dyn RateLimiter>,
}

impl Authenticator {
    pub fn new(rate_limiter: Box<dyn RateLimiter>) -> Self {
        Self { cache: RwLock::default(), rate_limiter }
    }

    /// Records an invalid credential and returns the error for the client.
    pub(crate) fn reject_credential(&self, address: IpAddr) -> RequestError {
        match self.rate_limiter.record_failure(address) {
            Some(retry_after) => RequestError::TooManyAttempts { retry_after },
            None => RequestError::Unauthorized,
        }
    }

    pub(crate) fn cached(&self, hash: &KeyHash, now: Time) -> Option<Arc<Connection>> {
        let cache = self.cache.read();
        let (connection, since) = cache.get(hash)?;
        (now < since.plus_seconds(CACHE_TTL_SECONDS) && now >= *since).then(|| Arc::clone(connection))
    }

    /// Caches the connection of a key or token; removes the entry if there is none.
    pub(crate) fn update_cache(&self, hash: KeyHash, found: Option<&Arc<Connection>>, now: Time) {
        let mut cache = self.cache.write();
        let Some(connection) = found else {
            cache.remove(&hash);
            return;
        };
        if cache.len() >= CACHE_CLEANUP_SIZE {
            cache.retain(|_, (_, since)| now < since.plus_seconds(CACHE_TTL_SECONDS));
        }
        cache.insert(hash, (Arc::clone(connection), now));
    }
}

/// Why authentication failed. Only logs and metrics get the reason; clients must not learn it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    NoKey,
    UnknownKey,
    OtherTenant,
    Revoked,
    Expired,
    WrongDialect,
    ReadOnly,
}

impl Denial {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::UnknownKey => "unknown_key",
            Self::OtherTenant => "key_of_another_tenant",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::WrongDialect => "wrong_dialect",
            Self::ReadOnly => "read_only",
        }
    }
}
