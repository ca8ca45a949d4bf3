//! Connections whose keys were found valid within the last second, and the rate limit of invalid keys.

use super::Fault;
use directory::{Connection, KeyHash, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// How long a key that was found good is taken as good without asking the store again. A key that is taken
/// back stops working within this time.
const TRUSTED_FOR_SECONDS: i64 = 1;

/// How many keys and tokens are taken as good at a time before those of a second ago are let go.
const REMEMBERED: usize = 10_000;

/// Slows down addresses that keep bringing bad keys.
pub trait Brake: Send + Sync {
    /// Notes a bad key from an address; how many seconds it must wait, when it has brought too many.
    fn failed(&self, address: IpAddr) -> Option<u32>;
}

/// Looks at keys.
pub struct Gate {
    trusted: RwLock<HashMap<KeyHash, (Arc<Connection>, Time)>>,
    brake: Box<dyn Brake>,
}

impl Gate {
    /// A gate with that brake.
    pub fn new(brake: Box<dyn Brake>) -> Self {
        Self { trusted: RwLock::default(), brake }
    }

    /// What a bad credential from there is answered.
    pub(crate) fn refuse(&self, address: IpAddr) -> Fault {
        match self.brake.failed(address) {
            Some(retry_after) => Fault::TooManyAttempts { retry_after },
            None => Fault::Unauthorised,
        }
    }

    pub(super) fn trusted(&self, hash: &KeyHash, now: Time) -> Option<Arc<Connection>> {
        let trusted = self.trusted.read();
        let (connection, since) = trusted.get(hash)?;
        (now < since.plus_seconds(TRUSTED_FOR_SECONDS) && now >= *since).then(|| Arc::clone(connection))
    }

    /// Takes a connection as good for a while under a key or token.
    pub(super) fn trust(&self, hash: KeyHash, found: Option<&Arc<Connection>>, now: Time) {
        let mut trusted = self.trusted.write();
        let Some(connection) = found else {
            trusted.remove(&hash);
            return;
        };
        if trusted.len() >= REMEMBERED {
            trusted.retain(|_, (_, since)| now < since.plus_seconds(TRUSTED_FOR_SECONDS));
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
    pub(crate) fn word(self) -> &'static str {
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
