//! What happened: the record every change leaves in the same transaction.

use crate::{Connection, ConnectionId, EventPosition, Item, Mail, Tenant, TenantNumber, Time, User, UserId};
use serde::{Deserialize, Serialize};

/// One thing that happened, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of all changes.
    pub position: EventPosition,
    /// What happened.
    pub data: EventData,
}

/// An event before it has its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData {
    /// In whose directory.
    pub tenant: TenantNumber,
    /// When.
    pub at: Time,
    /// Over which connection; `None` for the person at the terminal.
    pub connection: Option<ConnectionId>,
    /// Who, in words.
    pub actor: String,
    /// With which request.
    pub request_id: String,
    /// What was done.
    pub action: Action,
    /// What it was before, unless it is new.
    pub before: Option<EntitySnapshot>,
    /// What it is now, unless it is gone.
    pub after: Option<EntitySnapshot>,
    /// Who joined the group.
    pub members_added: Vec<UserId>,
    /// Who left the group.
    pub members_removed: Vec<UserId>,
    /// A password was set. The password itself is nowhere.
    pub password_set: bool,
    /// What else it meant.
    pub notes: Vec<EventNote>,
}

/// What an event meant besides what changed on its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventNote {
    /// The person has signed in.
    SignedIn,
    /// The person has signed out.
    SignedOut,
    /// Whoever was signed in as the person is signed out, and no link that was sent to them is good any more.
    SignInsEnded,
    /// A link was made for the person; a mail takes it to them.
    LinkMade,
    /// The person used a link that was sent to them.
    LinkUsed,
    /// The person was deleted and is back.
    Restored,
    /// What was left of the person is gone for good.
    Purged,
}

impl EventNote {
    /// What it says, in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::SignedIn => "signed in",
            Self::SignedOut => "signed out",
            Self::SignInsEnded => "all sign-ins ended",
            Self::LinkMade => "a link was made",
            Self::LinkUsed => "a link was used",
            Self::Restored => "restored",
            Self::Purged => "gone for good",
        }
    }
}

/// What was done to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Created,
    /// It was changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl Action {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// What an event is about, as it stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntitySnapshot {
    /// A person.
    User(Box<User>),
    /// A group, folder, organisation, role or department.
    Item(Box<Item>),
    /// A tenant.
    Tenant(Tenant),
    /// A connection, without its keys.
    Connection(Box<Connection>),
    /// A mail to a person.
    Mail(Box<Mail>),
}

impl EntitySnapshot {
    /// A connection as an event may show it: the hashes of its keys left out.
    pub fn redacted_connection(connection: &Connection) -> Self {
        let mut shown = connection.clone();
        shown.keys.clear();
        Self::Connection(Box::new(shown))
    }
}
