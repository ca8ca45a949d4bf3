//! From what is and what is asked to what shall be: pure functions, no store, no clock.
//!
//! One file per sort of thing. Each takes the command, what was looked up for it ([`Known`]) and the moment
//! ([`Stamp`]), and gives back the edits, or the first refusal with every fault it found.

mod account;
mod admin;
mod ceiling;
mod folder;
mod group;
mod organisation;
mod places;
mod user;

pub(crate) use account::check_link;
pub(crate) use user::check;

use crate::{
    Account, AccountEdit, Command, Connection, Edit, Fault, Field, Given, Ids, Item, ItemId, ItemKey,
    ItemKind, Mail, Note, Organisation, Refusal, Role, Tenant, TenantNumber, Time, Tombstone, User, UserId,
    rules,
};
use secrecy::SecretString;
use std::collections::HashMap;

/// The moment of a decision and what the caller may do.
pub(crate) struct Stamp<'a> {
    pub(crate) now: Time,
    pub(crate) ids: &'a dyn Ids,
    /// The highest built-in role the caller may give.
    pub(crate) highest_role: u32,
    /// Whose directory.
    pub(crate) tenant: TenantNumber,
}

/// What was looked up for a command; only what it needs is filled in.
#[derive(Default)]
pub(crate) struct Known {
    /// The people it names, in its order.
    pub(crate) users: Vec<Option<User>>,
    /// The items it addresses, in its order.
    pub(crate) items: Vec<Option<Item>>,
    /// Groups and folders it refers to.
    pub(crate) referred: HashMap<(ItemKind, ItemKey), ItemId>,
    /// Organisations that may be the one it means.
    pub(crate) by_number: Option<Organisation>,
    pub(crate) by_name: Option<Organisation>,
    pub(crate) by_address: Option<Organisation>,
    pub(crate) by_domain: Option<Organisation>,
    /// What was taken as absent without a look.
    pub(crate) absent: Vec<(ItemKind, ItemKey)>,
    /// An external id that none of the deleted was taken to have, without a look.
    pub(crate) not_deleted: Option<String>,
    /// What is left of the person it names or would make again.
    pub(crate) tombstone: Option<Tombstone>,
    /// How the people it names sign in; read after the people.
    pub(crate) accounts: HashMap<UserId, Account>,
    /// The tenant's own roles.
    pub(crate) roles: Vec<Role>,
    /// Numbers and names of the tenant's departments.
    pub(crate) departments: Vec<(u32, String)>,
    /// The members of the addressed group.
    pub(crate) members: Vec<UserId>,
    /// Whether a member who leaves the addressed group has a role above the caller's ceiling.
    pub(crate) leaving_above_ceiling: bool,
    /// The mails to the people it names that wait or have failed.
    pub(crate) mails: Vec<Mail>,
    /// The tenant of the caller.
    pub(crate) tenant: Option<Tenant>,
    /// The connection it addresses.
    pub(crate) connection: Option<Connection>,
}

/// What shall be done.
#[derive(Default)]
pub(crate) struct Decision {
    pub(crate) edits: Vec<Edit>,
    /// To be hashed and put on the one edit of a user, before the change is carried out.
    pub(crate) password: Option<SecretString>,
    /// People it names who are already as they shall be.
    pub(crate) unchanged_users: Vec<User>,
    /// Items it names that are already as they shall be.
    pub(crate) unchanged_items: Vec<Item>,
}

impl Decision {
    /// Makes an item what it shall be; one that is so already, with nobody coming or going, stays untouched.
    fn change_item(
        &mut self,
        before: &Item,
        mut after: Item,
        (joined, left): (Vec<UserId>, Vec<UserId>),
        stamp: &Stamp<'_>,
    ) {
        if after == *before && joined.is_empty() && left.is_empty() {
            self.unchanged_items.push(after);
        } else {
            after.touch(stamp.now);
            let (before, after) = (Box::new(before.clone()), Box::new(after));
            self.edits.push(Edit::ChangeItem { before, after, joined, left });
        }
    }

    /// The same for an item that changes along with a person, and is not what was asked about.
    fn change_side(&mut self, before: &Item, after: Item, stamp: &Stamp<'_>) {
        if after != *before {
            self.change_item(before, after, (Vec::new(), Vec::new()), stamp);
        }
    }

    /// Makes a person what they shall be; one who is so already stays untouched, unless a password comes along.
    fn change_user(&mut self, before: &User, mut after: User, account: AccountEdit, stamp: &Stamp<'_>) {
        if after == *before && self.password.is_none() && account.password.is_none() {
            self.unchanged_users.push(after);
        } else {
            after.updated = stamp.now;
            let notes = if account.sign_ins.is_some() { vec![Note::SignInsEnded] } else { Vec::new() };
            self.push_user(before, after, account, notes);
        }
    }

    /// The same for what changes how they sign in and is no news of the person themselves.
    fn push_user(&mut self, before: &User, mut after: User, account: AccountEdit, notes: Vec<Note>) {
        after.version += 1;
        let (before, after) = (Box::new(before.clone()), Box::new(after));
        self.edits.push(Edit::ChangeUser { before, after, account, notes });
    }
}

/// Decides one command.
pub(crate) fn decide(command: &Command, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let (command, version) = command.bare();
    let now_at = known.users.first().and_then(|user| user.as_ref().map(|user| user.version));
    let now_at = known.items.first().and_then(|item| item.as_ref().map(Item::version)).or(now_at);
    if version.is_some() && now_at.is_some() && version != now_at {
        return Err(Refusal::VersionMismatch);
    }
    match command {
        Command::IfVersion(..) => Err(Refusal::Conflict),
        Command::CreateUser(edit) => user::create(edit, known, stamp),
        Command::UpdateUser { edit, .. } => user::update(edit, known, stamp),
        Command::DeleteUser(_) => user::delete(known, stamp),
        Command::RestoreUser(_) => user::restore(known, stamp),
        Command::PurgeUser(_) => user::purge(known, stamp),
        Command::Invite(_) => account::invite(known, stamp),
        Command::Account { step, .. } => account::step(step, known, stamp),
        Command::MoveMail { mail, due, outcome, is_attempt } => {
            Ok(account::move_mail(mail, *due, outcome.clone(), *is_attempt))
        }
        Command::MoveUsers(step) => user::move_all(step, known, stamp),
        Command::CreateGroup(edit) => group::create(edit, known, stamp),
        Command::UpdateGroup { edit, .. } => group::update(edit, version.is_some(), known, stamp),
        Command::CreateFolder(edit) => folder::create(edit, known, stamp),
        Command::UpdateFolder { edit, .. } => folder::update(edit, known, stamp),
        Command::CreateOrganisation(edit) => organisation::create(edit, stamp),
        Command::UpdateOrganisations { edit, .. } => organisation::update_all(edit, known, stamp),
        Command::DeleteItem { kind, .. } => {
            let item = addressed(known, *kind)?.clone();
            ceiling::check_leaving(known)?;
            Ok(Decision { edits: vec![Edit::RemoveItem(Box::new(item))], ..Decision::default() })
        }
        Command::AddDepartment { name, number } => places::add_department(name, *number, known, stamp),
        Command::AddRole { name, rank } => admin::add_role(name, *rank, stamp),
        Command::AddTenant { name, number } => admin::add_tenant(name, *number, stamp),
        Command::UpdateTenant(edit) => admin::update_tenant(edit, known, stamp),
        Command::AddConnection(new) => admin::add_connection(new, known, stamp),
        Command::AddKey { key, revokes_others, .. } => admin::add_key((*key, *revokes_others), known, stamp),
        Command::UpdateConnection { edit, .. } => admin::update_connection(edit, known),
        Command::RevokeConnection(_) => admin::revoke(known),
    }
}

/// The first item the command addresses.
fn addressed(known: &Known, kind: ItemKind) -> Result<&Item, Refusal> {
    known.items.first().and_then(Option::as_ref).ok_or(Refusal::NoSuchItem(kind))
}

/// Puts an optional text where it belongs; an empty one clears.
fn set_text(slot: &mut Option<String>, field: Field, given: &Given<String>, faults: &mut Vec<Fault>) {
    match given {
        Given::Absent => {}
        Given::Cleared => *slot = None,
        Given::Value(text) if text.is_empty() => *slot = None,
        Given::Value(text) => {
            rules::check_text(field, text, faults);
            let is_kept = slot.as_ref() == Some(text);
            if field == Field::ExternalId && !is_kept && !rules::is_identifier(text) {
                faults.push(Fault { field, rule: crate::Rule::Malformed });
            }
            *slot = Some(text.clone());
        }
    }
}

/// Puts a name that must not be empty.
fn set_name(slot: &mut String, given: &Given<String>, faults: &mut Vec<Fault>) {
    if let Given::Value(name) = given {
        rules::check_text(Field::Name, name, faults);
        slot.clone_from(name);
    } else if given.is_mentioned() {
        slot.clear();
    }
    if slot.trim().is_empty() {
        faults.push(Fault { field: Field::Name, rule: crate::Rule::Missing });
    }
}

/// Puts a plain value; absent keeps, cleared is the default.
fn set<T: Clone + Default>(slot: &mut T, given: &Given<T>) {
    match given {
        Given::Absent => {}
        Given::Cleared => *slot = T::default(),
        Given::Value(value) => slot.clone_from(value),
    }
}

fn refuse_if_any(faults: Vec<Fault>) -> Result<(), Refusal> {
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
}
