//! What a task that follows users needs to know of an event. Less is decoded than for [`Event`], since such a task reads
//! every event.

use crate::{EntitySnapshot, Event, EventPosition, Item, ItemId, ItemKind, Status, User, UserId};
use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserChange {
    pub position: EventPosition,
    pub subject: ChangedSubject,
    /// Users who joined or left a group.
    pub members: Vec<UserId>,
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
    /// An organization or group, whose name users show.
    Renamed(ItemId),
    /// Who its members were is not known.
    DeletedGroup,
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
    /// Decodes the snapshots of an event of a user, an organization or a group, and who joined and left.
    pub fn decode(
        position: EventPosition,
        (before, after): (Option<&str>, Option<&str>),
        members: [Option<&str>; 2],
    ) -> Result<Self, serde_json::Error> {
        let decode = |text: Option<&str>| text.map(serde_json::from_str).transpose();
        let mut change = Self { position, subject: subject(decode(before)?, decode(after)?), members: Vec::new() };
        for text in members.into_iter().flatten() {
            change.members.extend(serde_json::from_str::<Vec<UserId>>(text)?);
        }
        Ok(change)
    }
}

impl From<&Event> for UserChange {
    fn from(event: &Event) -> Self {
        let snapshot = |entity: &Option<EntitySnapshot>| match entity {
            Some(EntitySnapshot::User(user)) => Some(Snapshot::User(UserState::from(&**user))),
            Some(EntitySnapshot::Item(item)) => Some(Snapshot::Item(item.clone())),
            _ => None,
        };
        let subject = subject(snapshot(&event.data.before), snapshot(&event.data.after));
        let members = event.data.members_added.iter().chain(&event.data.members_removed).copied().collect();
        Self { position: event.position, subject, members }
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
        (Some(Snapshot::Item(before)), None) if before.kind() == ItemKind::Group => ChangedSubject::DeletedGroup,
        (Some(Snapshot::Item(before)), Some(Snapshot::Item(after))) if before.name() != after.name() => {
            ChangedSubject::Renamed(after.id())
        }
        _ => ChangedSubject::Other,
    }
}
