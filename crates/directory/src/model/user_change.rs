//! What a task that follows users needs to know of an event. Less is decoded than for [`Event`], since such a task reads
//! every event.

use crate::{EntitySnapshot, Event, EventPosition, Item, ItemId, Status, User, UserId};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    pub position: EventPosition,
    pub subject: ChangedSubject,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedSubject {
    User {
        id: UserId,
        number: u32,
        was_active: bool,
        /// False also for a deleted user.
        is_active: bool,
        is_deleted: bool,
    },
    /// An organization, whose name users show.
    RenamedOrganization(ItemId),
    /// Something that users do not show.
    Other,
}

/// The parts of a snapshot that are needed.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Snapshot {
    User(UserState),
    Item(Box<Item>),
}

#[derive(Clone, Copy, Deserialize)]
struct UserState {
    id: UserId,
    number: u32,
    status: Status,
}

impl From<&User> for UserState {
    fn from(user: &User) -> Self {
        Self { id: user.id, number: user.number, status: user.status }
    }
}

impl UserChange {
    /// Decodes the snapshots of an event of a user or an organization.
    pub fn decode(
        position: EventPosition,
        before: Option<&str>,
        after: Option<&str>,
    ) -> Result<Self, serde_json::Error> {
        let decode = |text: Option<&str>| text.map(serde_json::from_str).transpose();
        Ok(Self { position, subject: subject(decode(before)?, decode(after)?) })
    }
}

impl From<&Event> for UserChange {
    fn from(event: &Event) -> Self {
        let snapshot = |entity: &Option<EntitySnapshot>| match entity {
            Some(EntitySnapshot::User(user)) => Some(Snapshot::User(UserState::from(&**user))),
            Some(EntitySnapshot::Item(item)) => Some(Snapshot::Item(item.clone())),
            _ => None,
        };
        Self { position: event.position, subject: subject(snapshot(&event.data.before), snapshot(&event.data.after)) }
    }
}

fn subject(before: Option<Snapshot>, after: Option<Snapshot>) -> ChangedSubject {
    let is_active = |user: UserState| !user.status.blocks_sign_in();
    match (before, after) {
        (before, Some(Snapshot::User(user))) => ChangedSubject::User {
            id: user.id,
            number: user.number,
            was_active: matches!(before, Some(Snapshot::User(before)) if is_active(before)),
            is_active: is_active(user),
            is_deleted: false,
        },
        (Some(Snapshot::User(user)), None) => ChangedSubject::User {
            id: user.id,
            number: user.number,
            was_active: is_active(user),
            is_active: false,
            is_deleted: true,
        },
        (Some(Snapshot::Item(before)), Some(Snapshot::Item(after))) if before.name() != after.name() => {
            ChangedSubject::RenamedOrganization(after.id())
        }
        _ => ChangedSubject::Other,
    }
}
