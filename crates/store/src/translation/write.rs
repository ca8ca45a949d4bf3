//! What a translated change does, row by row. Each engine carries these writes out in order and rejects the change at
//! the first one that fails.

use super::Sequence;
use crate::event_row::EncodedEvent;
use crate::unique_keys::UniqueKey;
use directory::{CommitError, ItemId, ItemKind, RowWrite, Time, UserId};
use uuid::Uuid;

/// One write in the tenant of the change. A variant names the errors with which it fails; the others cannot fail.
#[derive(Debug)]
pub enum Write {
    /// Fails with the error. Nothing after it matters.
    Fail(CommitError),
    /// Missing reference: there is no such tenant.
    RequireTenant,
    /// Stale: the key is in use.
    RequireKeyAbsent(UniqueKey),
    /// Stale: a deleted user has this key of an external id.
    RequireNotDeleted(String),

    /// Taken: the id.
    AddUser(UserColumns),
    /// Stale: the stored version is not `before`.
    ChangeUser {
        before: u32,
        columns: UserColumns,
        memberships: Vec<(ItemId, ItemKind)>,
    },
    /// Moves a user to the deleted users, with the password. Stale: not the stored version. Taken: the id, by another
    /// deleted user.
    RemoveUser(RemovedUser),
    /// Moves a deleted user back. Stale: there is none who was deleted then. Taken: the id.
    RestoreUser {
        deleted: Time,
        keeps_password: bool,
        columns: UserColumns,
    },
    AddTombstone {
        removed: RemovedUser,
        password: Option<String>,
    },
    /// Stale: there is none who was deleted then.
    RemoveTombstone {
        number: u32,
        deleted: Time,
    },

    /// Taken: the number, unless the engine allocated it; the id.
    AddItem {
        columns: ItemColumns,
        /// For databases: whether the engine has allocated the number before the transaction.
        is_allocated: bool,
    },
    /// Stale: the stored version is not `before`.
    ChangeItem {
        before: u32,
        columns: ItemColumns,
        /// For databases: whether the version is from [`super::Read::Membership`], so that a stale one was read too early.
        is_reread: bool,
    },
    /// Increments the version of an item, if it exists.
    TouchItem(ItemId, Time),
    /// Also removes all memberships of the item. Stale: not the stored version.
    RemoveItem {
        id: ItemId,
        version: u32,
    },

    /// Taken: the key.
    AddKey(UniqueKey, Owner),
    RemoveKey(UniqueKey, Owner),
    AddSecondaryEmail {
        text: String,
        number: u32,
    },
    RemoveSecondaryEmail {
        text: String,
        number: u32,
    },
    /// Adds `key` if nobody has it; otherwise, adds those of `otherwise` that nobody has.
    AddKeyIfFree {
        key: UniqueKey,
        owner: Owner,
        otherwise: Vec<UniqueKey>,
    },
    /// Stale: an item or user does not exist.
    AddMemberships(Memberships),
    RemoveMemberships(Memberships),

    /// Of a declared table. Its errors are those of the declaration.
    Row {
        write: RowWrite,
        /// For databases: whether the engine has allocated the key, so that a taken one was allocated too early.
        is_allocated: bool,
    },
    Event(EncodedEvent),
    /// Sets the last allocated number of a sequence.
    SetLastNumber(Sequence, u32),
}

/// A user as a row.
#[derive(Debug)]
pub struct UserColumns {
    pub id: UserId,
    pub number: u32,
    pub version: u32,
    pub active: u8,
    pub updated: Time,
    /// `None` keeps the stored value, and an empty one deletes it.
    pub password: Option<String>,
    /// `None` keeps the stored value.
    pub account: Option<String>,
    /// Without memberships.
    pub doc: String,
}

#[derive(Debug)]
pub struct RemovedUser {
    pub id: UserId,
    pub number: u32,
    pub version: u32,
    pub deleted: Time,
    pub external_key: Option<String>,
    /// With memberships.
    pub doc: String,
}

/// A group, folder, organization, role or department as a row.
#[derive(Debug)]
pub struct ItemColumns {
    pub id: ItemId,
    pub kind: ItemKind,
    pub number: u32,
    pub version: u32,
    pub updated: Time,
    pub name_key: String,
    pub doc: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    User(u32),
    Item(ItemKind, u32),
}

impl Owner {
    pub fn number(self) -> u32 {
        match self {
            Self::User(number) | Self::Item(_, number) => number,
        }
    }
}

#[derive(Debug)]
pub struct Memberships {
    /// Item, its kind, number of the user.
    pub rows: Vec<(ItemId, ItemKind, u32)>,
    /// For databases.
    pub side: Side,
    /// For databases: whether each added row must be new, and each removed one stored. Otherwise, those that are already as
    /// wanted are ignored. Other engines have read them in the same transaction.
    pub is_exact: bool,
}

/// Which document a change of memberships belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    User,
    Item,
}

impl Write {
    pub fn row(write: RowWrite) -> Self {
        Self::Row { write, is_allocated: false }
    }
}

/// The id of a user or item that a write creates.
pub fn created_id(write: &Write) -> Option<Uuid> {
    match write {
        Write::AddUser(columns) | Write::RestoreUser { columns, .. } => Some(columns.id.0),
        Write::AddItem { columns, .. } => Some(columns.id.0),
        _ => None,
    }
}
