//! How a person signs in: what is kept beside a [`crate::User`] and never leaves the house.
//!
//! A person's version guards their account, too: whoever changes it reads the person first and the account after.

use crate::{KeyHash, Time, User, UserId};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use uuid::Uuid;

/// A password, and who is signed in with it.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The password, where there is one.
    pub password_hash: Option<PasswordHash>,
    /// Sessions and links.
    pub sign_in_state: SignInState,
}

/// Where a person is signed in, and the links that are open for them.
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
    /// Browsers that were known before this time are unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "devices_since")]
    pub devices_valid_after: Option<Time>,
}

/// A network that a user has signed in from. Failed sign-ins from elsewhere do not slow down sign-ins from there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownNetwork {
    /// Its first address: of a /24 (IPv4) or /48 (IPv6).
    pub network: IpAddr,
    /// The sign-in that added it.
    pub since: Time,
}

/// A browser that a user has signed in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// The user.
    pub user: UserId,
    /// The last sign-in.
    pub last_sign_in: Time,
}

/// One browser in which a person is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What is kept of the key that the browser holds.
    #[serde(rename = "key")]
    pub key_hash: KeyHash,
    /// Since when.
    #[serde(rename = "since")]
    pub created: Time,
}

/// A link that was sent and not used yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignInLink {
    /// What it is known by; its mail has the same.
    pub id: Uuid,
    /// What it lets its holder do.
    pub purpose: LinkPurpose,
    /// When it was made. How long it lasts is looked up when it is used.
    #[serde(rename = "since")]
    pub created: Time,
}

/// What a link lets its holder do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkPurpose {
    /// Choose the first password.
    Invitation,
    /// Choose another password.
    Reset,
}

impl LinkPurpose {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invitation => "invitation",
            Self::Reset => "reset",
        }
    }
}

impl SignInState {
    /// In how many browsers somebody may be signed in; the oldest is signed out.
    pub const MAX_SESSIONS: usize = 20;
    /// Known networks of a user; the oldest is removed.
    pub const MAX_NETWORKS: usize = 8;
    /// Lifetime of a known network, in seconds.
    pub const NETWORK_SECONDS: i64 = 90 * 24 * 60 * 60;
    /// Lifetime of a known browser, in seconds.
    pub const DEVICE_SECONDS: i64 = 180 * 24 * 60 * 60;
    /// How many links to reset a password are good at a time.
    pub const MAX_RESET_LINKS: usize = 3;
    /// How long a session lasts, in seconds.
    pub const SESSION_SECONDS: i64 = 12 * 60 * 60;
    /// How long a link that can no longer be used is told from one that never was, in seconds after it was made.
    const LINK_RETENTION_SECONDS: i64 = 90 * 24 * 60 * 60;

    /// No sessions, links, known browsers or networks.
    pub(crate) fn cleared(now: Time) -> Self {
        Self { devices_valid_after: Some(now), ..Self::default() }
    }

    /// Whether a browser with this key is signed in at `now`.
    pub fn has_session(&self, key: &KeyHash, now: Time) -> bool {
        self.sessions.iter().any(|session| session.key_hash == *key && session.is_live(now))
    }

    /// Whether the user has signed in from this address's network.
    pub fn is_known_network(&self, address: IpAddr, now: Time) -> bool {
        let network = known_network_of(address);
        self.networks.iter().any(|known| known.network == network && known.is_live(now))
    }

    /// Adds the network of an address; returns whether it was unknown.
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

    /// How many sessions there are at `now`.
    pub(crate) fn session_count(&self, now: Time) -> usize {
        self.sessions.iter().filter(|session| session.is_live(now)).count()
    }

    /// The open link of that name and purpose.
    pub fn link(&self, id: Uuid, purpose: LinkPurpose) -> Option<&SignInLink> {
        self.links.iter().find(|link| link.id == id && link.purpose == purpose)
    }

    /// A new session; those that are over go.
    pub(crate) fn add_session(&mut self, key: KeyHash, now: Time) {
        self.sessions.retain(|session| session.is_live(now));
        if self.sessions.len() >= Self::MAX_SESSIONS {
            self.sessions.remove(0);
        }
        self.sessions.push(Session { key_hash: key, created: now });
    }

    /// A new link. It takes the place of older invitations. Links to reset a password are asked for by whoever comes along,
    /// so the last few stay good: nobody can keep another's from working.
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

/// The first address of the /24 (IPv4) or /48 (IPv6): about one household, office or provider's region.
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

/// What becomes of an account when its person changes; what is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AccountEdit {
    /// A new password.
    pub password_hash: Option<PasswordHash>,
    /// Whether it is the password there was, only stored better: then it is no news.
    pub is_rehash: bool,
    /// All sessions and links from now on.
    pub sign_in_state: Option<SignInState>,
}

impl AccountEdit {
    /// Ends all sessions and links, and forgets known browsers and networks.
    pub(crate) fn sign_out_everywhere(now: Time) -> Self {
        Self { sign_in_state: Some(SignInState::cleared(now)), ..Self::default() }
    }

    /// Whether the person has another password afterwards.
    pub fn sets_password(&self) -> bool {
        self.password_hash.as_ref().is_some_and(|password| !password.is_cleared()) && !self.is_rehash
    }
}

/// What is left of a person who was deleted, until they are restored or gone for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// As they were, with what they belonged to.
    pub user: User,
    /// When they were deleted.
    pub deleted: Time,
}

impl Tombstone {
    /// How long a person can be restored, in seconds.
    pub const RESTORABLE_SECONDS: i64 = 30 * 24 * 60 * 60;

    /// Whether they can still be restored.
    pub fn is_restorable(&self, now: Time) -> bool {
        now < self.deleted.plus_seconds(Self::RESTORABLE_SECONDS)
    }
}

/// A link as its holder brings it: the seal on it was looked at already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInLinkRef {
    /// Whose.
    pub user: UserId,
    /// Which.
    pub id: Uuid,
    /// What for.
    pub purpose: LinkPurpose,
}

/// A password as it is stored: a PHC string, which is as secret as any other.
#[derive(Clone, Debug)]
pub struct PasswordHash(pub SecretString);

impl PasswordHash {
    /// What takes the stored password away where it is set.
    pub fn cleared() -> Self {
        Self(SecretString::default())
    }

    /// Whether it takes the stored password away.
    pub fn is_cleared(&self) -> bool {
        secrecy::ExposeSecret::expose_secret(&self.0).is_empty()
    }
}
