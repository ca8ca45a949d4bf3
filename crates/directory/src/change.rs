//! A write as a value, which an engine carries out atomically.
//!
//! Each mutation carries its own precondition and its own event. A mutation of something that exists holds the state it
//! was decided from, and the engine rejects it as stale if the stored state differs. A new entity is rejected if one of
//! its unique keys is taken. Events are derived from mutations, so nothing can change without one.

use crate::{
    AccountEdit, Connection, ConnectionId, EventLabels, EventNote, Item, ItemKey, ItemKind, Mail, RowWrite,
    ServerSecret, Target, Tenant, TenantNumber, Time, Tombstone, User, UserId,
};
use std::collections::BTreeMap;

/// A decided change of one tenant's directory.
#[derive(Clone, Debug)]
pub struct Change {
    pub tenant: TenantNumber,
    /// When it was decided.
    pub at: Time,
    /// `None` for the command line.
    pub connection: Option<ConnectionId>,
    /// Name of the connection, `terminal` or `server`.
    pub actor: String,
    pub request_id: String,
    /// Keys assumed absent without a lookup, because a recent lookup did not find them; the change is stale if one
    /// of them exists. Only keys that are unique to an item (external id, domain, address; names of organizations,
    /// roles and departments).
    pub assumed_absent: Vec<(ItemKind, ItemKey)>,
    /// An external id assumed to belong to no deleted user without a lookup; the change is stale if one of them has it.
    pub assumed_not_deleted: Option<String>,
    /// Kept with its events.
    pub labels: EventLabels,
    /// Carried out in this order.
    pub mutations: Vec<Mutation>,
}

impl Change {
    /// A change by no connection, which assumes nothing beyond the preconditions of its mutations.
    pub fn new(tenant: TenantNumber, at: Time, actor: impl Into<String>, mutations: Vec<Mutation>) -> Self {
        Self {
            tenant,
            at,
            connection: None,
            actor: actor.into(),
            request_id: String::new(),
            assumed_absent: Vec::new(),
            assumed_not_deleted: None,
            labels: EventLabels::default(),
            mutations,
        }
    }

    /// Moves the time of the change and the timestamps that it sets. Engines do this when they carry out a change
    /// long after it was decided, or after one that was decided later: otherwise, a client that asks for everything
    /// modified since the newest timestamp it has seen would miss the change.
    pub fn set_time(&mut self, at: Time) {
        let old = std::mem::replace(&mut self.at, at);
        let shift = |time: &mut Time| {
            if *time == old {
                *time = at;
            }
        };
        for edit in &mut self.mutations {
            match edit {
                Mutation::AddUser { user, .. }
                | Mutation::ChangeUser { after: user, .. }
                | Mutation::RestoreUser { user, .. } => {
                    shift(&mut user.created);
                    shift(&mut user.updated);
                }
                Mutation::AddItem { item, .. } | Mutation::ChangeItem { after: item, .. } => {
                    item.replace_time(old, at);
                }
                _ => {}
            }
        }
    }
}

#[derive(Clone, Debug)]
pub enum Mutation {
    /// The store assigns the number.
    AddUser {
        user: Box<User>,
        account: AccountEdit,
    },
    ChangeUser {
        /// The state it was decided from; its version is the precondition.
        before: Box<User>,
        after: Box<User>,
        account: AccountEdit,
        /// What the event means in addition.
        notes: Vec<EventNote>,
    },
    /// Leaves a tombstone and ends all sessions of the user.
    RemoveUser(Box<User>),
    /// Restores a deleted user under the old number, with the values of `user`.
    RestoreUser {
        /// The precondition.
        before: Box<Tombstone>,
        user: Box<User>,
        account: AccountEdit,
        /// Whether the stored password stays valid.
        keeps_password: bool,
    },
    /// Deletes what is left of a user permanently.
    PurgeUser(Box<Tombstone>),
    /// Number 0 requests the next one; departments bring their own.
    AddItem {
        item: Box<Item>,
        members: Vec<UserId>,
    },
    ChangeItem {
        /// The state it was decided from; its version is the precondition.
        before: Box<Item>,
        after: Box<Item>,
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    },
    /// Adds and removes members, regardless of other changes to the item. Users who already are members, or are
    /// not, are ignored.
    ChangeMembers {
        /// The only precondition is that this item still exists.
        item: Box<Item>,
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    },
    /// Also removes all memberships of the item.
    RemoveItem(Box<Item>),
    /// Number 0 requests the next one.
    AddTenant(Tenant),
    /// The version of `before` is the precondition.
    ChangeTenant {
        before: Box<Tenant>,
        after: Box<Tenant>,
    },
    AddMail(Box<Mail>),
    /// The version of `before` is the precondition. Leaves an event only if the mail failed permanently.
    ChangeMail {
        before: Box<Mail>,
        after: Box<Mail>,
    },
    /// Removes a finished mail, with its outcome set.
    RemoveMail(Box<Mail>),
    AddConnection(Box<Connection>),
    ChangeConnection {
        /// The state it was decided from; all of it except the last use is the precondition.
        before: Box<Connection>,
        after: Box<Connection>,
    },
    /// The version of `before` is the precondition. `rows` are its credentials and progress.
    PutTarget {
        before: Option<Box<Target>>,
        after: Box<Target>,
        rows: Vec<RowWrite>,
    },
    /// Records the last use of a connection and of its keys, as in [`Connection::key_uses`]. Leaves no event,
    /// because it changes no data.
    RecordConnectionUse(ConnectionId, BTreeMap<String, i64>),
    /// Adds a secret of the installation under an unused name. Leaves no event.
    AddSecret(ServerSecret),
    /// Changes rows of declared tables. Leaves no event.
    Rows(Vec<RowWrite>),
}

impl Mutation {
    /// Whether a lookup that found nothing before may find something afterwards.
    pub(crate) fn adds_or_changes_item(&self) -> bool {
        matches!(self, Self::AddItem { .. } | Self::ChangeItem { .. })
    }
}

/// The result of a committed change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Users added or changed, as stored.
    pub users: Vec<User>,
    /// Items added or changed, as stored.
    pub items: Vec<Item>,
    pub tenant: Option<Tenant>,
}
