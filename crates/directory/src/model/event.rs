//! Events: the record that every change leaves in the same transaction.

use crate::{Connection, ConnectionId, EventPosition, Item, Mail, Tenant, TenantNumber, Time, User, UserId};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub position: EventPosition,
    pub data: EventData,
}

/// An event without its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventData {
    pub tenant: TenantNumber,
    pub at: Time,
    /// `None` for the command line.
    pub connection: Option<ConnectionId>,
    /// Name of the connection, `terminal` or `server`.
    pub actor: String,
    pub request_id: String,
    pub action: Action,
    /// `None` for a new entity.
    pub before: Option<EntitySnapshot>,
    /// `None` for a deleted entity.
    pub after: Option<EntitySnapshot>,
    pub members_added: Vec<UserId>,
    pub members_removed: Vec<UserId>,
    /// The password itself is never recorded.
    pub password_set: bool,
    /// What the event means in addition.
    pub notes: Vec<EventNote>,
}

/// What an event means in addition to the changes on its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventNote {
    SignedIn,
    SignedOut,
    /// All sessions of the user were ended and all links sent to them invalidated.
    SignInsEnded,
    /// A link was created for the user, who gets it by mail.
    LinkMade,
    LinkUsed,
    Restored,
    /// What was left of the deleted user was deleted permanently.
    Purged,
}

impl EventNote {
    /// The text for the audit log.
    pub fn description(self) -> &'static str {
        match self {
            Self::SignedIn => "signed in",
            Self::SignedOut => "signed out",
            Self::SignInsEnded => "signed out everywhere",
            Self::LinkMade => "link created",
            Self::LinkUsed => "link used",
            Self::Restored => "restored",
            Self::Purged => "permanently deleted",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Created,
    Updated,
    Deleted,
}

impl Action {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// The entity an event is about, at the time of the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntitySnapshot {
    User(Box<User>),
    Item(Box<Item>),
    Tenant(Tenant),
    /// Without its keys.
    Connection(Box<Connection>),
    Mail(Box<Mail>),
}

impl EntitySnapshot {
    /// Leaves out the hashes of the keys.
    pub fn redacted_connection(connection: &Connection) -> Self {
        let mut shown = connection.clone();
        shown.keys.clear();
        Self::Connection(Box::new(shown))
    }
}
