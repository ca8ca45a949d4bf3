//! Connections whose keys were found valid within the last second, and the rate limit of invalid keys.

use crate::kit::RequestError;
use directory::{Connection, KeyHash, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How long a key that was found good is taken as good without asking the store again. A key that is taken
/// back stops working within this time.
const CACHE_TTL_SECONDS: i64 = 1;

/// How many keys and tokens are taken as good at a time before those of a second ago are let go.
const MAX_CACHED_CONNECTIONS: usize = 10_000;

/// Slows down addresses that keep bringing bad keys.
pub trait RateLimiter: Send + Sync {
    /// Notes a bad key from an address; how many seconds it must wait, when it has brought too many.
    fn record_failure(&self, address: IpAddr) -> Option<u32>;
}

/// Looks at keys.
pub struct Authenticator {
    cache: RwLock<HashMap<KeyHash, (Arc<Connection>, Time)>>,
    rate_limiter: Box<dyn RateLimiter>,
}

impl Authenticator {
    /// A gate with that brake.
    pub fn new(brake: Box<dyn RateLimiter>) -> Self {
        Self { cache: RwLock::default(), rate_limiter: brake }
    }

    /// What a bad credential from there is answered.
    pub(crate) fn reject_credential(&self, address: IpAddr) -> RequestError {
        match self.rate_limiter.record_failure(address) {
            Some(retry_after) => RequestError::TooManyAttempts { retry_after },
            None => RequestError::Unauthorized,
        }
    }

    pub(crate) fn cached(&self, hash: &KeyHash, now: Time) -> Option<Arc<Connection>> {
        let trusted = self.cache.read();
        let (connection, since) = trusted.get(hash)?;
        (now < since.plus_seconds(CACHE_TTL_SECONDS) && now >= *since).then(|| Arc::clone(connection))
    }

    /// Takes a connection as good for a while under a key or token.
    pub(crate) fn update_cache(&self, hash: KeyHash, found: Option<&Arc<Connection>>, now: Time) {
        let mut trusted = self.cache.write();
        let Some(connection) = found else {
            trusted.remove(&hash);
            return;
        };
        if trusted.len() >= MAX_CACHED_CONNECTIONS {
            trusted.retain(|_, (_, since)| now < since.plus_seconds(CACHE_TTL_SECONDS));
        }
        trusted.insert(hash, (Arc::clone(connection), now));
    }
}

/// Why a client was not let in: for log and metrics, since the answer is the same for all of them.
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
    /// As a word.
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
