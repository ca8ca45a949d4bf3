//! The preconditions of an edit, and the order in which its conflicts are reported, which is the same on every engine.
//!
//! A change can conflict with what is stored in several ways at once: a new user may bring an id, an email and an
//! external id that other users have. Its caller is told one of them, and must be told the same one by every engine:
//!
//! 1. Before any edit: what the change took for absent (`Change::absent`, then `Change::not_deleted`).
//! 2. Edit by edit, in the order of the change; each sees what the edits before it have done.
//! 3. Within an edit, in the order of [`checks`]: first what it was decided from, then identities and numbers, then unique
//!    keys in the order of [`claims::of_user`] and [`claims::of_item`], last the users and items it refers to.
//!
//! The memory and PostgreSQL engines ask [`checks`]. SQLite asks nothing beforehand: it writes the rows of an edit in the
//! same order, and the first write that fails is what it reports. `testkit::conflicts` holds all of them to it.

use crate::claims::{self, Claim};
use crate::memberships;
use directory::{
    CommitError, Connection, ConnectionId, Field, Item, ItemId, ItemKind, Mail, Mutation, Tenant,
    TenantNumber, Time, Tombstone, User, UserId, fold,
};
use uuid::Uuid;

/// One thing that must be so for an edit to be carried out.
pub(crate) enum Check<'a> {
    /// The user is stored in this version.
    User(&'a User),
    /// The deleted user is still there.
    Tombstone(&'a Tombstone),
    /// The item is stored in this version.
    Item(&'a Item),
    /// The tenant is stored in this version.
    Tenant(&'a Tenant),
    /// The connection is stored as it is here, but for its last use.
    Connection(&'a Connection),
    /// The mail is stored in this version.
    Mail(&'a Mail),
    /// No user has this id.
    NoUser(UserId),
    /// No deleted user has this id.
    NoTombstone(UserId),
    /// No item of this kind has this number.
    NoItemNumber(ItemKind, u32),
    /// No item has this id.
    NoItem(ItemId),
    /// No tenant has this number.
    NoTenant(TenantNumber),
    /// No connection has this id.
    NoConnection(ConnectionId),
    /// No connection of the tenant has this name, folded.
    NoConnectionName(String),
    /// No mail has this id.
    NoMail(Uuid),
    /// No secret has this name.
    NoSecret(&'static str),
    /// Nobody has this key.
    Free(Claim),
    /// The edit would take the same key twice, which never works.
    Twice(Claim),
    /// The user exists.
    UserExists(UserId),
    /// The item exists.
    ItemExists(ItemId),
}

impl Check<'_> {
    /// What the caller is told when it is not so.
    pub(crate) fn error(&self) -> CommitError {
        match self {
            Self::User(_)
            | Self::Tombstone(_)
            | Self::Item(_)
            | Self::Tenant(_)
            | Self::Connection(_)
            | Self::Mail(_)
            | Self::UserExists(_)
            | Self::ItemExists(_) => CommitError::Stale,
            Self::NoUser(_)
            | Self::NoTombstone(_)
            | Self::NoItemNumber(..)
            | Self::NoItem(_)
            | Self::NoConnection(_)
            | Self::NoMail(_) => CommitError::Taken(Field::Id),
            Self::NoTenant(_) => CommitError::Taken(Field::Number),
            Self::NoConnectionName(_) | Self::NoSecret(_) => CommitError::Taken(Field::Name),
            Self::Free(claim) | Self::Twice(claim) => CommitError::Taken(claim.field),
        }
    }
}

/// What must be so for an edit, in the order in which it is reported. Numbers that the store gives are not among it.
pub(crate) fn checks(edit: &Mutation) -> Vec<Check<'_>> {
    let mut all = Vec::new();
    match edit {
        Mutation::AddUser { user, .. } => {
            all.push(Check::NoUser(user.id));
            all.extend(keys(&[], claims::of_user(user)));
            all.extend(memberships::of(user).map(Check::ItemExists));
        }
        Mutation::ChangeUser { before, after, .. } => {
            all.push(Check::User(before));
            all.extend(keys(&claims::of_user(before), claims::of_user(after)));
            let is_new = |id: &ItemId| !memberships::of(before).any(|old| old == *id);
            all.extend(memberships::of(after).filter(is_new).map(Check::ItemExists));
        }
        Mutation::RestoreUser { before, user, .. } => {
            all.extend([Check::Tombstone(before), Check::NoUser(before.user.id)]);
            all.extend(keys(&[], claims::of_user(user)));
            all.extend(memberships::of(user).map(Check::ItemExists));
        }
        Mutation::RemoveUser(user) => all.extend([Check::User(user), Check::NoTombstone(user.id)]),
        Mutation::PurgeUser(tombstone) => all.push(Check::Tombstone(tombstone)),
        Mutation::AddItem { item, members } => {
            if item.number() > 0 || item.kind() == ItemKind::Department {
                all.push(Check::NoItemNumber(item.kind(), item.number()));
            }
            all.push(Check::NoItem(item.id()));
            all.extend(keys(&[], claims::of_item(item)));
            all.extend(members.iter().copied().map(Check::UserExists));
        }
        Mutation::ChangeItem { before, after, members_added, .. } => {
            all.push(Check::Item(before));
            all.extend(keys(&claims::of_item(before), claims::of_item(after)));
            all.extend(members_added.iter().copied().map(Check::UserExists));
        }
        Mutation::ChangeMembers { item, members_added, .. } => {
            all.push(Check::ItemExists(item.id()));
            all.extend(members_added.iter().copied().map(Check::UserExists));
        }
        Mutation::RemoveItem(item) => all.push(Check::Item(item)),
        Mutation::AddTenant(new) if new.number.0 > 0 => all.push(Check::NoTenant(new.number)),
        Mutation::AddTenant(_) | Mutation::RecordConnectionUse(..) => {}
        Mutation::ChangeTenant { before, .. } => all.push(Check::Tenant(before)),
        Mutation::AddMail(mail) => all.push(Check::NoMail(mail.id)),
        Mutation::ChangeMail { before, .. } => all.push(Check::Mail(before)),
        Mutation::RemoveMail(mail) => all.push(Check::Mail(mail)),
        Mutation::AddConnection(new) => {
            all.extend([Check::NoConnection(new.id), Check::NoConnectionName(fold(&new.name))]);
        }
        Mutation::ChangeConnection { before, .. } => all.push(Check::Connection(before)),
        Mutation::AddSecret(name, _) => all.push(Check::NoSecret(name)),
    }
    all
}

/// The keys that are only in `new`, each of which must be free.
fn keys(old: &[Claim], new: Vec<Claim>) -> Vec<Check<'static>> {
    let mut all: Vec<Check<'static>> = Vec::with_capacity(new.len());
    for claim in new.into_iter().filter(|claim| !old.iter().any(|old| old.is_same(claim))) {
        let is_twice = all.iter().any(|check| matches!(check, Check::Free(other) if other.is_same(&claim)));
        all.push(if is_twice { Check::Twice(claim) } else { Check::Free(claim) });
    }
    all
}

/// The time of a change that was decided at one time and is carried out after events that can be read already, the newest of
/// another time: later than that, unless a clock was wrong by minutes, which must not be kept up.
pub(crate) fn carried_out(decided: Time, newest: Option<Time>) -> Time {
    const WRONG: i64 = 10 * 60;
    match newest {
        Some(newest) if newest > decided && newest < decided.plus_seconds(WRONG) => Time(newest.0 + 1),
        _ => decided,
    }
}
