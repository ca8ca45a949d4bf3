//! Events: the record that every change leaves in the same transaction.

use crate::{
    Connection, ConnectionId, EventLabels, EventPosition, Item, ItemKind, Mail, Target, Tenant, TenantNumber, Time,
    User, UserId,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
    /// Names of what the change added or removed by reference.
    pub labels: EventLabels,
}

/// What an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumIter)]
pub enum EventKind {
    User,
    /// A sign-in or sign-out that changes nothing else.
    SignIn,
    Group,
    Folder,
    Organization,
    Role,
    Department,
    Tenant,
    Connection,
    Mail,
    Target,
}

impl EventKind {
    /// As it is stored.
    pub fn code(self) -> u8 {
        match self {
            Self::User => 1,
            Self::SignIn => 2,
            Self::Group => 3,
            Self::Folder => 4,
            Self::Organization => 5,
            Self::Role => 6,
            Self::Department => 7,
            Self::Tenant => 8,
            Self::Connection => 9,
            Self::Mail => 10,
            Self::Target => 11,
        }
    }
}

/// Which events to read; all by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    pub tenant: Option<TenantNumber>,
    /// Empty: of all kinds.
    pub kinds: Vec<EventKind>,
    /// Only events about this user, item or connection, see [`EventData::subjects`]. Needs a tenant.
    pub subject: Option<Uuid>,
}

impl EventFilter {
    pub fn of_tenant(tenant: TenantNumber) -> Self {
        Self { tenant: Some(tenant), ..Self::default() }
    }

    /// The kinds that show how users have changed. Users show the names of organizations, and their groups.
    pub const fn kinds_of_users(with_groups: bool) -> &'static [EventKind] {
        if with_groups {
            &[EventKind::User, EventKind::Organization, EventKind::Group]
        } else {
            &[EventKind::User, EventKind::Organization]
        }
    }

    pub fn of_users(tenant: TenantNumber, with_groups: bool) -> Self {
        Self { kinds: Self::kinds_of_users(with_groups).to_vec(), ..Self::of_tenant(tenant) }
    }

    pub fn matches(&self, data: &EventData) -> bool {
        self.tenant.is_none_or(|tenant| tenant == data.tenant)
            && (self.kinds.is_empty() || self.kinds.contains(&data.kind()))
            && self.subject.is_none_or(|subject| data.subjects().contains(&subject))
    }
}

impl EventData {
    pub fn kind(&self) -> EventKind {
        let Some(entity) = self.after.as_ref().or(self.before.as_ref()) else { return EventKind::User };
        match entity {
            EntitySnapshot::User(_) if self.is_sign_in() => EventKind::SignIn,
            EntitySnapshot::User(_) => EventKind::User,
            EntitySnapshot::Item(item) => match item.kind() {
                ItemKind::Group => EventKind::Group,
                ItemKind::Folder => EventKind::Folder,
                ItemKind::Organization => EventKind::Organization,
                ItemKind::Role => EventKind::Role,
                ItemKind::Department => EventKind::Department,
            },
            EntitySnapshot::Tenant(_) => EventKind::Tenant,
            EntitySnapshot::Connection(_) => EventKind::Connection,
            EntitySnapshot::Mail(_) => EventKind::Mail,
            EntitySnapshot::Target(_) => EventKind::Target,
        }
    }

    fn is_sign_in(&self) -> bool {
        let (Some(EntitySnapshot::User(before)), Some(EntitySnapshot::User(after))) = (&self.before, &self.after)
        else {
            return false;
        };
        // The first sign-in activates a user.
        !self.notes.is_empty()
            && self.notes.iter().all(|note| matches!(note, EventNote::SignedIn | EventNote::SignedOut))
            && before.status == after.status
    }

    /// The ids of the entity, of the user of a mail or connection, and of members who joined or left, ascending.
    pub fn subjects(&self) -> Vec<Uuid> {
        let mut subjects = Vec::with_capacity(1);
        for entity in self.before.iter().chain(&self.after) {
            match entity {
                EntitySnapshot::User(user) => subjects.push(user.id.0),
                EntitySnapshot::Item(item) => subjects.push(item.id().0),
                EntitySnapshot::Tenant(_) => {}
                EntitySnapshot::Target(target) => subjects.push(target.id),
                EntitySnapshot::Connection(connection) => {
                    subjects.push(connection.id.0);
                    subjects.extend(connection.user.map(|user| user.0));
                }
                EntitySnapshot::Mail(mail) => subjects.push(mail.user.0),
            }
        }
        subjects.extend(self.members_added.iter().chain(&self.members_removed).map(|user| user.0));
        subjects.sort_unstable();
        subjects.dedup();
        subjects
    }
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
    /// Without its credentials.
    Target(Box<Target>),
}

impl EntitySnapshot {
    /// Leaves out the hashes of the keys.
    pub fn redacted_connection(connection: &Connection) -> Self {
        let mut shown = connection.clone();
        shown.keys.clear();
        Self::Connection(Box::new(shown))
    }
}
