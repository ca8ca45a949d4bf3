//! What happened: the record every change leaves in the same transaction.

use crate::{Connection, ConnectionId, Item, Position, Tenant, TenantNumber, Time, User, UserId};
use serde::{Deserialize, Serialize};

/// One thing that happened, as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of all changes.
    pub position: Position,
    /// What happened.
    pub what: EventDraft,
}

/// An event before it has its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// In whose directory.
    pub tenant: TenantNumber,
    /// When.
    pub at: Time,
    /// Over which connection; `None` for the person at the terminal.
    pub connection: Option<ConnectionId>,
    /// Who, in words.
    pub who: String,
    /// With which request.
    pub request: String,
    /// What was done.
    pub action: Action,
    /// What it was before, unless it is new.
    pub before: Option<Record>,
    /// What it is now, unless it is gone.
    pub after: Option<Record>,
    /// Who joined the group.
    pub joined: Vec<UserId>,
    /// Who left the group.
    pub left: Vec<UserId>,
    /// A password was set. The password itself is nowhere.
    pub password_set: bool,
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
    pub fn word(self) -> &'static str {
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
pub enum Record {
    /// A person.
    User(Box<User>),
    /// A group, folder, organisation, role or department.
    Item(Box<Item>),
    /// A tenant.
    Tenant(Tenant),
    /// A connection, without its keys.
    Connection(Box<Connection>),
}

impl Record {
    /// A connection as an event may show it: the hashes of its keys left out.
    pub fn of_connection(connection: &Connection) -> Self {
        let mut shown = connection.clone();
        shown.keys.clear();
        Self::Connection(Box::new(shown))
    }
}
