//! The preconditions of a mutation, and the order in which conflicts are reported, which is the same on every engine.
//!
//! A change can conflict with stored data in several ways at once: a new user may have an id, an email and an
//! external id that other users have. Every engine must report the same conflict:
//!
//! 1. Before any mutation: what the change assumed absent (`Change::assumed_absent`, then
//!    `Change::assumed_not_deleted`).
//! 2. Mutation by mutation, in the order of the change; each sees the effects of those before it.
//! 3. Within a mutation, in the order of [`guards_of`]: first the state it was decided from, then ids and numbers,
//!    then unique keys in the order of [`unique_keys::of_user`] and [`unique_keys::of_item`], last the users and
//!    items it refers to.
//!
//! The memory and PostgreSQL engines evaluate [`guards_of`]. SQLite writes the rows of a mutation in the same order
//! and reports the first write that fails. `testkit::conflict_conformance` tests all of them.

use crate::memberships;
use crate::unique_keys::{self, UniqueKey};
use directory::{
    CommitError, Connection, ConnectionId, Field, Item, ItemId, ItemKind, Mail, Mutation, Tenant, TenantNumber, Time,
    Tombstone, User, UserId, fold,
};
use uuid::Uuid;

/// A precondition of a mutation.
pub(crate) enum Guard<'a> {
    UserUnchanged(&'a User),
    TombstoneExists(&'a Tombstone),
    ItemUnchanged(&'a Item),
    TenantVersion(&'a Tenant),
    /// Equal except for the time of last use.
    ConnectionUnchanged(&'a Connection),
    MailVersion(&'a Mail),
    UserIdFree(UserId),
    TombstoneIdFree(UserId),
    ItemNumberFree(ItemKind, u32),
    ItemIdFree(ItemId),
    TenantNumberFree(TenantNumber),
    ConnectionIdFree(ConnectionId),
    /// The folded name, within the tenant.
    ConnectionNameFree(String),
    MailIdFree(Uuid),
    /// The name of a server secret.
    SecretFree(&'static str),
    KeyFree(UniqueKey),
    /// The mutation itself has the key twice, which never works.
    DuplicateKey(UniqueKey),
    UserExists(UserId),
    ItemExists(ItemId),
}

impl Guard<'_> {
    pub(crate) fn error(&self) -> CommitError {
        match self {
            Self::UserUnchanged(_)
            | Self::TombstoneExists(_)
            | Self::ItemUnchanged(_)
            | Self::TenantVersion(_)
            | Self::ConnectionUnchanged(_)
            | Self::MailVersion(_)
            | Self::UserExists(_)
            | Self::ItemExists(_) => CommitError::Stale,
            Self::UserIdFree(_)
            | Self::TombstoneIdFree(_)
            | Self::ItemNumberFree(..)
            | Self::ItemIdFree(_)
            | Self::ConnectionIdFree(_)
            | Self::MailIdFree(_) => CommitError::Taken(Field::Id),
            Self::TenantNumberFree(_) => CommitError::Taken(Field::Number),
            Self::ConnectionNameFree(_) | Self::SecretFree(_) => CommitError::Taken(Field::Name),
            Self::KeyFree(key) | Self::DuplicateKey(key) => CommitError::Taken(key.field),
        }
    }
}

/// The guards of a mutation, in the order of reporting. Numbers that the store allocates have none.
pub(crate) fn guards_of(mutation: &Mutation) -> Vec<Guard<'_>> {
    let mut all = Vec::new();
    match mutation {
        Mutation::AddUser { user, .. } => {
            all.push(Guard::UserIdFree(user.id));
            all.extend(new_key_guards(&[], unique_keys::of_user(user)));
            all.extend(memberships::item_ids(user).map(Guard::ItemExists));
        }
        Mutation::ChangeUser { before, after, .. } => {
            all.push(Guard::UserUnchanged(before));
            all.extend(new_key_guards(&unique_keys::of_user(before), unique_keys::of_user(after)));
            let is_new = |id: &ItemId| !memberships::item_ids(before).any(|old| old == *id);
            all.extend(memberships::item_ids(after).filter(is_new).map(Guard::ItemExists));
        }
        Mutation::RestoreUser { before, user, .. } => {
            all.extend([Guard::TombstoneExists(before), Guard::UserIdFree(before.user.id)]);
            all.extend(new_key_guards(&[], unique_keys::of_user(user)));
            all.extend(memberships::item_ids(user).map(Guard::ItemExists));
        }
        Mutation::RemoveUser(user) => all.extend([Guard::UserUnchanged(user), Guard::TombstoneIdFree(user.id)]),
        Mutation::PurgeUser(tombstone) => all.push(Guard::TombstoneExists(tombstone)),
        Mutation::AddItem { item, members } => {
            if item.number() > 0 || item.kind() == ItemKind::Department {
                all.push(Guard::ItemNumberFree(item.kind(), item.number()));
            }
            all.push(Guard::ItemIdFree(item.id()));
            all.extend(new_key_guards(&[], unique_keys::of_item(item)));
            all.extend(members.iter().copied().map(Guard::UserExists));
        }
        Mutation::ChangeItem { before, after, members_added, .. } => {
            all.push(Guard::ItemUnchanged(before));
            all.extend(new_key_guards(&unique_keys::of_item(before), unique_keys::of_item(after)));
            all.extend(members_added.iter().copied().map(Guard::UserExists));
        }
        Mutation::ChangeMembers { item, members_added, .. } => {
            all.push(Guard::ItemExists(item.id()));
            all.extend(members_added.iter().copied().map(Guard::UserExists));
        }
        Mutation::RemoveItem(item) => all.push(Guard::ItemUnchanged(item)),
        Mutation::AddTenant(new) if new.number.0 > 0 => all.push(Guard::TenantNumberFree(new.number)),
        Mutation::AddTenant(_) | Mutation::RecordConnectionUse(..) => {}
        Mutation::ChangeTenant { before, .. } => all.push(Guard::TenantVersion(before)),
        Mutation::AddMail(mail) => all.push(Guard::MailIdFree(mail.id)),
        Mutation::ChangeMail { before, .. } => all.push(Guard::MailVersion(before)),
        Mutation::RemoveMail(mail) => all.push(Guard::MailVersion(mail)),
        Mutation::AddConnection(new) => {
            all.extend([Guard::ConnectionIdFree(new.id), Guard::ConnectionNameFree(fold(&new.name))]);
        }
        Mutation::ChangeConnection { before, .. } => all.push(Guard::ConnectionUnchanged(before)),
        Mutation::AddSecret(name, _) => all.push(Guard::SecretFree(name)),
    }
    all
}

/// Each key that is only in `new` must be free.
fn new_key_guards(old: &[UniqueKey], new: Vec<UniqueKey>) -> Vec<Guard<'static>> {
    let mut all: Vec<Guard<'static>> = Vec::with_capacity(new.len());
    for key in new.into_iter().filter(|key| !old.iter().any(|old| old.has_same_key(key))) {
        let is_twice = all.iter().any(|guard| matches!(guard, Guard::KeyFree(other) if other.has_same_key(&key)));
        all.push(if is_twice { Guard::DuplicateKey(key) } else { Guard::KeyFree(key) });
    }
    all
}

/// The decided time. If the newest event is later, 1 µs after it, so that times ascend; but not if it is ten minutes
/// ahead or more, since then a clock was wrong.
pub(crate) fn commit_time(decided_at: Time, newest: Option<Time>) -> Time {
    const MAX_CLOCK_SKEW_SECONDS: i64 = 10 * 60;
    match newest {
        Some(newest) if newest > decided_at && newest < decided_at.plus_seconds(MAX_CLOCK_SKEW_SECONDS) => {
            Time(newest.0 + 1)
        }
        _ => decided_at,
    }
}
