//! A connection: an API client, its keys and what it may do.

use crate::{ConnectionId, TenantNumber, Time, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// SHA-256 of a key. Keys have 128 random bits, so a plain hash cannot be reversed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyHash(pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(…)")
    }
}

impl KeyHash {
    /// The four bytes by which stores find a key.
    pub fn prefix(&self) -> [u8; 4] {
        [self.0[0], self.0[1], self.0[2], self.0[3]]
    }
}

/// A client of one or more dialects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    /// The only tenant that its keys give access to.
    pub tenant: TenantNumber,
    /// Unique among the tenant's connections that are not revoked.
    pub name: String,
    /// Names of the APIs it may use; none if empty.
    #[serde(default)]
    pub dialects: Vec<String>,
    pub access: Access,
    /// The highest role it may grant.
    pub highest_role: u32,
    /// The kind of client, where clients of one API differ in what they expect.
    #[serde(default)]
    pub profile: ClientProfile,
    /// The user whose own client it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Public keys in PEM with which the client may authenticate instead of with its key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<String>,
    /// Oldest first, at most two. The keys of a revoked connection are invalid.
    pub keys: Vec<ApiKey>,
    /// The time from which its requests are rejected.
    #[serde(default)]
    pub expires: Option<Time>,
    #[serde(default)]
    pub revoked: bool,
    pub created: Time,
    /// Time of the last request, to the minute.
    #[serde(default)]
    pub last_use: Option<Time>,
}

/// How a client interprets the standard of its API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientProfile {
    /// As the standard says; deviations are accepted.
    #[default]
    Rfc,
    /// As Microsoft Entra ID does.
    Entra,
    /// As Okta does.
    Okta,
    /// As the standard says; deviations are rejected.
    Strict,
}

impl ClientProfile {
    pub const ALL: [Self; 4] = [Self::Rfc, Self::Entra, Self::Okta, Self::Strict];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Strict => "strict",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    ReadOnly,
    ReadWrite,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub hash: KeyHash,
    pub created: Time,
    /// Time of the last request with the key or with a token issued for it, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<Time>,
}

impl ApiKey {
    pub fn new(hash: KeyHash, created: Time) -> Self {
        Self { hash, created, last_use: None }
    }

    /// The name under which a store records the last use of the key: the start of its hash, which cannot be used to
    /// sign in.
    pub fn id(&self) -> String {
        format!("k{:08x}", u32::from_be_bytes(self.hash.prefix()))
    }
}

impl Connection {
    /// The key under which a store keeps the name of a revoked connection, so that another can take the name. Names
    /// have no control characters, so it is never a name itself.
    pub fn revoked_name_key(&self) -> String {
        format!("{}\u{1F}{}", crate::fold(&self.name), self.id)
    }

    /// Two keys, so that they can be rotated without downtime.
    pub const MAX_KEYS: usize = 2;

    /// The default for new connections: `User`.
    pub const DEFAULT_HIGHEST_ROLE: u32 = 2;

    /// Neither revoked nor expired.
    pub fn is_live(&self, now: Time) -> bool {
        !self.revoked && self.expires.is_none_or(|end| now < end)
    }

    /// Ignores when the connection was used.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        self.without_uses() == before.without_uses()
    }

    fn without_uses(&self) -> Self {
        let keys = self.keys.iter().map(|key| ApiKey { last_use: None, ..key.clone() }).collect();
        Self { last_use: None, keys, ..self.clone() }
    }

    /// When its keys were last used, by [`ApiKey::id`], in microseconds since 1970; `used` counts as used now.
    pub fn key_uses(&self, used: Option<&ApiKey>, now: Time) -> BTreeMap<String, i64> {
        let last = |key: &ApiKey| {
            if used.is_some_and(|used| used.hash == key.hash) { Some(now) } else { key.last_use }
        };
        self.keys.iter().filter_map(|key| Some((key.id(), last(key)?.0))).collect()
    }

    /// Takes over the newer times of a [`Connection::key_uses`].
    pub fn apply_key_uses(&mut self, uses: &BTreeMap<String, i64>) {
        for key in &mut self.keys {
            key.last_use = key.last_use.max(uses.get(&key.id()).map(|time| Time(*time)));
        }
    }

    pub fn allows_dialect(&self, dialect: &str) -> bool {
        self.dialects.iter().any(|d| d == dialect)
    }
}
