//! The preconditions of an edit, and the order in which its conflicts are reported, which is the same on every engine.
//!
//! A change can conflict with what is stored in several ways at once: a new user may bring an id, an email and an
//! external id that other users have. Its caller is told one of them, and must be told the same one by every engine:
//!
//! 1. Before any edit: what the change took for absent (`UserDiff::absent`, then `UserDiff::not_deleted`).
//! 2. Edit by edit, in the order of the change; each sees what the edits before it have done.
//! 3. Within an edit, in the order of [`checks`]: first what it was decided from, then identities and numbers, then unique
//!    keys in the order of [`unique_keys::of_user`] and [`unique_keys::of_item`], last the users and items it refers to.
//!
//! The memory and PostgreSQL engines ask [`checks`]. SQLite asks nothing beforehand: it writes the rows of an edit in the
//! same order, and the first write that fails is what it reports. `testkit::conflicts` holds all of them to it.

use crate::memberships;
use crate::unique_keys::{self, UniqueKey};
use directory::{
    CommitError, Connection, ConnectionId, Field, Item, ItemId, ItemKind, Mail, Mutation, Tenant, TenantNumber, Time,
    Tombstone, User, UserId, fold,
};
use uuid::Uuid;

/// One thing that must be so for an edit to be carried out.
pub(crate) enum Guard<'a> {
    /// The user is stored in this version.
    UserVersion(&'a User),
    /// The deleted user is still there.
    TombstoneExists(&'a Tombstone),
    /// The item is stored in this version.
    ItemVersion(&'a Item),
    /// The tenant is stored in this version.
    TenantVersion(&'a Tenant),
    /// The connection is stored as it is here, but for its last use.
    ConnectionUnchanged(&'a Connection),
    /// The mail is stored in this version.
    MailVersion(&'a Mail),
    /// No user has this id.
    UserIdFree(UserId),
    /// No deleted user has this id.
    TombstoneIdFree(UserId),
    /// No item of this kind has this number.
    ItemNumberFree(ItemKind, u32),
    /// No item has this id.
    ItemIdFree(ItemId),
    /// No tenant has this number.
    TenantNumberFree(TenantNumber),
    /// No connection has this id.
    ConnectionIdFree(ConnectionId),
    /// No connection of the tenant has this name, folded.
    ConnectionNameFree(String),
    /// No mail has this id.
    MailIdFree(Uuid),
    /// No secret has this name.
    SecretFree(&'static str),
    /// Nobody has this key.
    KeyFree(UniqueKey),
    /// The edit would take the same key twice, which never works.
    DuplicateKey(UniqueKey),
    /// The user exists.
    UserExists(UserId),
    /// The item exists.
    ItemExists(ItemId),
}

impl Guard<'_> {
    /// What the caller is told when it is not so.
    pub(crate) fn error(&self) -> CommitError {
        match self {
            Self::UserVersion(_)
            | Self::TombstoneExists(_)
            | Self::ItemVersion(_)
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
            Self::KeyFree(claim) | Self::DuplicateKey(claim) => CommitError::Taken(claim.field),
        }
    }
}

/// What must be so for an edit, in the order in which it is reported. Numbers that the store gives are not among it.
pub(crate) fn guards_of(edit: &Mutation) -> Vec<Guard<'_>> {
    let mut all = Vec::new();
    match edit {
        Mutation::AddUser { user, .. } => {
            all.push(Guard::UserIdFree(user.id));
            all.extend(new_key_guards(&[], unique_keys::of_user(user)));
            all.extend(memberships::item_ids(user).map(Guard::ItemExists));
        }
        Mutation::ChangeUser { before, after, .. } => {
            all.push(Guard::UserVersion(before));
            all.extend(new_key_guards(&unique_keys::of_user(before), unique_keys::of_user(after)));
            let is_new = |id: &ItemId| !memberships::item_ids(before).any(|old| old == *id);
            all.extend(memberships::item_ids(after).filter(is_new).map(Guard::ItemExists));
        }
        Mutation::RestoreUser { before, user, .. } => {
            all.extend([Guard::TombstoneExists(before), Guard::UserIdFree(before.user.id)]);
            all.extend(new_key_guards(&[], unique_keys::of_user(user)));
            all.extend(memberships::item_ids(user).map(Guard::ItemExists));
        }
        Mutation::RemoveUser(user) => all.extend([Guard::UserVersion(user), Guard::TombstoneIdFree(user.id)]),
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
            all.push(Guard::ItemVersion(before));
            all.extend(new_key_guards(&unique_keys::of_item(before), unique_keys::of_item(after)));
            all.extend(members_added.iter().copied().map(Guard::UserExists));
        }
        Mutation::ChangeMembers { item, members_added, .. } => {
            all.push(Guard::ItemExists(item.id()));
            all.extend(members_added.iter().copied().map(Guard::UserExists));
        }
        Mutation::RemoveItem(item) => all.push(Guard::ItemVersion(item)),
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

/// The keys that are only in `new`, each of which must be free.
fn new_key_guards(old: &[UniqueKey], new: Vec<UniqueKey>) -> Vec<Guard<'static>> {
    let mut all: Vec<Guard<'static>> = Vec::with_capacity(new.len());
    for claim in new.into_iter().filter(|claim| !old.iter().any(|old| old.has_same_key(claim))) {
        let is_twice = all.iter().any(|check| matches!(check, Guard::KeyFree(other) if other.has_same_key(&claim)));
        all.push(if is_twice { Guard::DuplicateKey(claim) } else { Guard::KeyFree(claim) });
    }
    all
}

/// The time of a change that was decided at one time and is carried out after events that can be read already, the newest of
/// another time: later than that, unless a clock was wrong by minutes, which must not be kept up.
pub(crate) fn commit_time(decided_at: Time, newest: Option<Time>) -> Time {
    const MAX_CLOCK_SKEW_SECONDS: i64 = 10 * 60;
    match newest {
        Some(newest) if newest > decided_at && newest < decided_at.plus_seconds(MAX_CLOCK_SKEW_SECONDS) => {
            Time(newest.0 + 1)
        }
        _ => decided_at,
    }
}
