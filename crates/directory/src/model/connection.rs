//! A connection: one inbound client, its keys and what it may do.

use crate::{ConnectionId, TenantNumber, Time, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// SHA-256 of a key. Keys carry 128 random bits, so a plain hash cannot be turned back.
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

/// One client written for one or more dialects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// Identity.
    pub id: ConnectionId,
    /// The only tenant its keys open.
    pub tenant: TenantNumber,
    /// What people call it; unique among the tenant's connections that are not revoked.
    pub name: String,
    /// Names of the APIs it may use; none if empty.
    #[serde(default)]
    pub dialects: Vec<String>,
    /// Whether it may change anything.
    pub access: Access,
    /// The highest role it may give.
    pub highest_role: u32,
    /// Whose client it is, where clients of one API differ in what they expect.
    #[serde(default)]
    pub profile: ClientProfile,
    /// The person whose own client it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserId>,
    /// Public keys in PEM with which the client may prove itself instead of with its key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public_keys: Vec<String>,
    /// Its keys, oldest first; never more than two. Those of a revoked connection open nothing.
    pub keys: Vec<ApiKey>,
    /// From when on it is refused.
    #[serde(default)]
    pub expires: Option<Time>,
    /// Whether it was taken back for good.
    #[serde(default)]
    pub revoked: bool,
    /// When it was added.
    pub created: Time,
    /// When a request last came in over it, to the minute.
    #[serde(default)]
    pub last_use: Option<Time>,
}

/// How a client reads its API's standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientProfile {
    /// By the letter of the standard, and tolerant.
    #[default]
    Rfc,
    /// As Microsoft Entra ID does.
    Entra,
    /// As Okta does.
    Okta,
    /// By the letter and not tolerant.
    Strict,
}

impl ClientProfile {
    /// Every profile.
    pub const ALL: [Self; 4] = [Self::Rfc, Self::Entra, Self::Okta, Self::Strict];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Entra => "entra",
            Self::Okta => "okta",
            Self::Strict => "strict",
        }
    }
}

/// What a connection may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Look only.
    ReadOnly,
    /// Look and change.
    ReadWrite,
}

/// One live key of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// What is kept of it.
    pub hash: KeyHash,
    /// When it was made.
    pub created: Time,
    /// When a request last came in with it, or with a token that it was given for, to the minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<Time>,
}

impl ApiKey {
    /// A key that was not used yet.
    pub fn new(hash: KeyHash, created: Time) -> Self {
        Self { hash, created, last_use: None }
    }

    /// The name under which a store notes when it was used: the beginning of its hash, which cannot
    /// be used to sign in.
    pub fn id(&self) -> String {
        format!("k{:08x}", u32::from_be_bytes(self.hash.prefix()))
    }
}

impl Connection {
    /// The key under which a store keeps the name of a revoked connection whose name this one takes: no name has a control
    /// character.
    pub fn revoked_name_key(&self) -> String {
        format!("{}\u{1F}{}", crate::fold(&self.name), self.id)
    }

    /// How many keys may be live at a time, so that they can be rotated without a gap.
    pub const MAX_KEYS: usize = 2;

    /// The highest role that a new connection may grant unless more is given: `User`.
    pub const DEFAULT_HIGHEST_ROLE: u32 = 2;

    /// Whether its keys open anything at `now`.
    pub fn is_live(&self, now: Time) -> bool {
        !self.revoked && self.expires.is_none_or(|end| now < end)
    }

    /// Whether it is still what it was when `before` was read, whenever it was used since.
    pub fn is_unchanged_since(&self, before: &Self) -> bool {
        self.without_uses() == before.without_uses()
    }

    fn without_uses(&self) -> Self {
        let keys = self.keys.iter().map(|key| ApiKey { last_use: None, ..key.clone() }).collect();
        Self { last_use: None, keys, ..self.clone() }
    }

    /// When its keys were last used, by their names, in microseconds since 1970; `used` is used now.
    pub fn key_uses(&self, used: Option<&ApiKey>, now: Time) -> BTreeMap<String, i64> {
        let last = |key: &ApiKey| {
            if used.is_some_and(|used| used.hash == key.hash) { Some(now) } else { key.last_use }
        };
        self.keys.iter().filter_map(|key| Some((key.id(), last(key)?.0))).collect()
    }

    /// Takes such times over.
    pub fn apply_key_uses(&mut self, uses: &BTreeMap<String, i64>) {
        for key in &mut self.keys {
            key.last_use = key.last_use.max(uses.get(&key.id()).map(|time| Time(*time)));
        }
    }

    /// Whether it may speak `dialect`.
    pub fn allows_dialect(&self, dialect: &str) -> bool {
        self.dialects.iter().any(|d| d == dialect)
    }
}
