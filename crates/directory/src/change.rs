//! A write as a value: what an engine carries out, all of it or nothing.
//!
//! Each edit carries its own guard and its own event. An edit of something that exists holds what it was
//! decided from, and the engine refuses it as stale when that is no longer what is stored; a new thing is
//! refused when something it must not share is taken. And because an event is made of the edit itself, nothing
//! can be changed without one.

use crate::{
    AccountEdit, Connection, ConnectionId, EventNote, Item, ItemKey, ItemKind, Mail, Tenant, TenantNumber, Time,
    Tombstone, User, UserId,
};
use std::collections::BTreeMap;

/// A decided change of one tenant.
#[derive(Clone, Debug)]
pub struct Change {
    /// Whose directory.
    pub tenant: TenantNumber,
    /// When it was decided.
    pub at: Time,
    /// Over which connection it came; `None` for the person at the terminal.
    pub connection: Option<ConnectionId>,
    /// Who asked, in words: the connection's name, or `terminal`.
    pub actor: String,
    /// The request it came with.
    pub request_id: String,
    /// What it was decided without a look for, because it was not there lately: it is stale if any of it is. Keys are
    /// such as an item has alone (external id, domain, address; names of organisations, roles and departments).
    pub assumed_absent: Vec<(ItemKind, ItemKey)>,
    /// An external id that it was decided without a look for among the deleted: it is stale if one of them has it.
    pub assumed_not_deleted: Option<String>,
    /// What to do, in order.
    pub mutations: Vec<Mutation>,
}

impl Change {
    /// Moves the time of the change, and with it the times that the change sets. Engines do so where a change is carried out
    /// long after it was decided, or after one that was decided later: a client that asks for what was modified since the
    /// newest time it has seen would miss it otherwise.
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

/// One step of a change.
#[derive(Clone, Debug)]
pub enum Mutation {
    /// A new person; the store gives the number.
    AddUser {
        /// The person.
        user: Box<User>,
        /// How they sign in.
        account: AccountEdit,
    },
    /// A person as they were and as they shall be.
    ChangeUser {
        /// As decided from; its version guards the edit.
        before: Box<User>,
        /// As it shall be.
        after: Box<User>,
        /// What becomes of how they sign in.
        account: AccountEdit,
        /// What it means besides.
        notes: Vec<EventNote>,
    },
    /// A person goes and leaves a tombstone. Nobody is signed in as them any more.
    RemoveUser(Box<User>),
    /// A person who was deleted is back under their old number, as `user` says.
    RestoreUser {
        /// What was left of them; guards the edit.
        before: Box<Tombstone>,
        /// As they shall be.
        user: Box<User>,
        /// How they sign in.
        account: AccountEdit,
        /// Whether the password they had stays good.
        keeps_password: bool,
    },
    /// What was left of a person is gone for good.
    PurgeUser(Box<Tombstone>),
    /// A new item; number 0 asks for the next one (departments bring theirs).
    AddItem {
        /// The item.
        item: Box<Item>,
        /// Its first members.
        members: Vec<UserId>,
    },
    /// An item as it was and as it shall be.
    ChangeItem {
        /// As decided from; its version guards the edit.
        before: Box<Item>,
        /// As it shall be.
        after: Box<Item>,
        /// Who joins.
        members_added: Vec<UserId>,
        /// Who leaves.
        members_removed: Vec<UserId>,
    },
    /// People join and leave an item, whatever else has become of it; who is in it already or is not is passed over.
    ChangeMembers {
        /// As decided from; only that it is still there guards the edit.
        item: Box<Item>,
        /// Who joins.
        members_added: Vec<UserId>,
        /// Who leaves.
        members_removed: Vec<UserId>,
    },
    /// An item goes, with all its memberships.
    RemoveItem(Box<Item>),
    /// A new tenant; number 0 asks for the next one.
    AddTenant(Tenant),
    /// A tenant as it was and as it shall be; its version guards the edit.
    ChangeTenant {
        /// As decided from.
        before: Box<Tenant>,
        /// As it shall be.
        after: Box<Tenant>,
    },
    /// A new mail to a person.
    AddMail(Box<Mail>),
    /// A mail as it was and as it shall be; its version guards the edit. It leaves an event when it fails for good.
    ChangeMail {
        /// As decided from.
        before: Box<Mail>,
        /// As it shall be.
        after: Box<Mail>,
    },
    /// A mail is done with, its outcome on it.
    RemoveMail(Box<Mail>),
    /// A new connection.
    AddConnection(Box<Connection>),
    /// A connection as it was and as it shall be.
    ChangeConnection {
        /// As decided from; all of it but the last use guards the edit.
        before: Box<Connection>,
        /// As it shall be.
        after: Box<Connection>,
    },
    /// A connection was used, and its keys at these times, as in [`Connection::key_uses`]. It changes no data, so there is
    /// no event.
    RecordConnectionUse(ConnectionId, BTreeMap<String, i64>),
    /// A secret of the installation, under a name that is not taken. It leaves no event either.
    AddSecret(&'static str, ServerSecret),
}

impl Mutation {
    /// Whether something may be found afterwards that was not there before.
    pub(crate) fn adds_or_changes_item(&self) -> bool {
        matches!(self, Self::AddItem { .. } | Self::ChangeItem { .. })
    }
}

/// What an installation keeps to itself, such as what its tokens are signed with.
#[derive(Clone)]
pub struct ServerSecret(pub [u8; 32]);

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret(…)")
    }
}

/// What came of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// People added or changed, as stored.
    pub users: Vec<User>,
    /// Items added or changed, as stored.
    pub items: Vec<Item>,
    /// The tenant added.
    pub tenant: Option<Tenant>,
}
