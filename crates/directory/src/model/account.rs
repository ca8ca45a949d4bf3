//! How a user signs in. This is stored beside a [`crate::User`], not in it, and no dialect shows it.
//!
//! The version of the user guards the account, too: to change an account, read the user first and the account after.

use crate::{KeyHash, Time, User, UserId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

#[derive(Clone, Debug, Default)]
pub struct Account {
    pub password_hash: Option<PasswordHash>,
    pub sign_in_state: SignInState,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInState {
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<Session>,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SignInLink>,
    /// Networks the user has signed in from, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<KnownNetwork>,
    /// Browsers known before this time no longer count as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "devices_since")]
    pub devices_valid_after: Option<Time>,
}

/// A network that a user has signed in from. Failed sign-ins from elsewhere do not slow down sign-ins from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownNetwork {
    /// Its first address: of a /24 (IPv4) or /48 (IPv6).
    pub network: IpAddr,
    /// Time of the sign-in that added it.
    pub since: Time,
}

/// A browser that a user has signed in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownBrowser {
    pub user: UserId,
    pub last_sign_in: Time,
}

/// A browser in which a user is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Hash of the key that the browser holds.
    #[serde(rename = "key")]
    pub key_hash: KeyHash,
    #[serde(rename = "since")]
    pub created: Time,
}

/// A link that was sent and is not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInLink {
    /// The mail with the link has the same id.
    pub id: Uuid,
    pub purpose: LinkPurpose,
    /// The lifetime is looked up when the link is used.
    #[serde(rename = "since")]
    pub created: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkPurpose {
    /// To set the first password.
    Invitation,
    /// To set another password.
    Reset,
}

impl LinkPurpose {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }
}

impl SignInState {
    /// Most sessions of a user; the oldest is signed out.
    pub const MAX_SESSIONS: usize = 20;
    /// Known networks of a user; the oldest is removed.
    pub const MAX_NETWORKS: usize = 8;
    /// Lifetime of a known network, in seconds.
    pub const NETWORK_SECONDS: i64 = 90 * 24 * 60 * 60;
    /// Lifetime of a known browser, in seconds.
    pub const DEVICE_SECONDS: i64 = 180 * 24 * 60 * 60;
    /// Most reset links that are valid at a time.
    pub const MAX_RESET_LINKS: usize = 3;
    /// Lifetime of a session, in seconds.
    pub const SESSION_SECONDS: i64 = 12 * 60 * 60;
    /// How long an expired link is distinguished from an unknown one, in seconds after its creation.
    const LINK_RETENTION_SECONDS: i64 = 90 * 24 * 60 * 60;

    /// No sessions, links, known browsers or networks.
    pub(crate) fn cleared(now: Time) -> Self {
        Self { devices_valid_after: Some(now), ..Self::default() }
    }

    pub fn has_session(&self, key: &KeyHash, now: Time) -> bool {
        self.sessions.iter().any(|session| session.key_hash == *key && session.is_live(now))
    }

    pub fn is_known_network(&self, address: IpAddr, now: Time) -> bool {
        let network = known_network_of(address);
        self.networks.iter().any(|known| known.network == network && known.is_live(now))
    }

    /// Returns whether the network was unknown.
    pub(crate) fn add_network(&mut self, address: IpAddr, now: Time) -> bool {
        if self.is_known_network(address, now) {
            return false;
        }
        self.networks.retain(|known| known.is_live(now));
        if self.networks.len() >= Self::MAX_NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(KnownNetwork { network: known_network_of(address), since: now });
        true
    }

    /// Whether a browser that signed in at `since` is known.
    pub fn is_known_device(&self, since: Time, now: Time) -> bool {
        now < since.plus_seconds(Self::DEVICE_SECONDS) && self.devices_valid_after.is_none_or(|start| start < since)
    }

    pub(crate) fn session_count(&self, now: Time) -> usize {
        self.sessions.iter().filter(|session| session.is_live(now)).count()
    }

    pub fn link(&self, id: Uuid, purpose: LinkPurpose) -> Option<&SignInLink> {
        self.links.iter().find(|link| link.id == id && link.purpose == purpose)
    }

    /// Also removes expired sessions.
    pub(crate) fn add_session(&mut self, key: KeyHash, now: Time) {
        self.sessions.retain(|session| session.is_live(now));
        if self.sessions.len() >= Self::MAX_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Session { key_hash: key, created: now });
    }

    /// A new invitation replaces older ones. Anyone can request a reset link, so the last few stay valid:
    /// otherwise, anyone could invalidate another user's link.
    pub(crate) fn add_link(&mut self, id: Uuid, purpose: LinkPurpose, now: Time) {
        self.links.retain(|link| now < link.created.plus_seconds(Self::LINK_RETENTION_SECONDS));
        let max_older = if purpose == LinkPurpose::Reset { Self::MAX_RESET_LINKS - 1 } else { 0 };
        let of_purpose = self.links.iter().filter(|link| link.purpose == purpose).count();
        let mut surplus = of_purpose.saturating_sub(max_older);
        self.links.retain(|link| {
            let goes = link.purpose == purpose && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
        self.links.push(SignInLink { id, purpose, created: now });
    }
}

impl KnownNetwork {
    fn is_live(&self, now: Time) -> bool {
        now < self.since.plus_seconds(SignInState::NETWORK_SECONDS)
    }
}

/// First address of the /24 (IPv4) or /48 (IPv6): about one household, office or provider's region.
fn known_network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            IpAddr::from([a, b, c, 0])
        }
        IpAddr::V6(address) => {
            let mut bytes = address.octets();
            bytes[6..].fill(0);
            IpAddr::from(bytes)
        }
    }
}

impl Session {
    fn is_live(&self, now: Time) -> bool {
        now < self.created.plus_seconds(SignInState::SESSION_SECONDS)
    }
}

/// The change of an account that goes with a change of its user. `None` keeps a part.
#[derive(Clone, Debug, Default)]
pub struct AccountEdit {
    pub password_hash: Option<PasswordHash>,
    /// Whether it is the same password with a better hash, which events do not mention.
    pub is_rehash: bool,
    /// Replaces all sessions and links.
    pub sign_in_state: Option<SignInState>,
}

impl AccountEdit {
    /// Ends all sessions and links, and forgets known browsers and networks.
    pub(crate) fn sign_out_everywhere(now: Time) -> Self {
        Self { sign_in_state: Some(SignInState::cleared(now)), ..Self::default() }
    }

    /// Whether the user has another password afterwards.
    pub fn sets_password(&self) -> bool {
        self.password_hash.as_ref().is_some_and(|password| !password.is_cleared()) && !self.is_rehash
    }
}

/// What is left of a deleted user until they are restored or purged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The user as deleted, with memberships.
    pub user: User,
    pub deleted: Time,
}

impl Tombstone {
    /// How long a deleted user can be restored.
    pub const RESTORABLE_SECONDS: i64 = 30 * 24 * 60 * 60;

    pub fn is_restorable(&self, now: Time) -> bool {
        now < self.deleted.plus_seconds(Self::RESTORABLE_SECONDS)
    }
}

/// A link as presented by its holder, after its token was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordLink {
    pub user: UserId,
    pub id: Uuid,
    pub purpose: LinkPurpose,
}

/// A password as stored: a PHC string, which is as secret as a password.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub SecretString);

impl PasswordHash {
    /// An empty hash, which removes the stored password when it is set.
    pub fn cleared() -> Self {
        Self(SecretString::default())
    }

    pub fn is_cleared(&self) -> bool {
        secrecy::ExposeSecret::expose_secret(&self.0).is_empty()
    }
}
