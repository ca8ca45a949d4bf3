//! Decides commands: pure functions without a store or a clock.
//!
//! There is one file per kind of entity. Each function takes the command, the data that was loaded for it
//! ([`DecisionInput`]) and the [`DecisionContext`], and returns the mutations, or an error that lists every fault.

mod account;
mod admin;
mod affiliations;
mod folder;
mod group;
mod organization;
mod role_ceiling;
mod target;
mod user;

pub(crate) use account::check_link;
pub(crate) use role_ceiling::is_above;
pub(crate) use user::validate_user_edit;

use crate::authorization::{Authority, required_for_command};
use crate::text::validation;
use crate::{
    Account, AccountEdit, Command, Connection, DirectoryError, EventNote, Field, FieldError, FieldUpdate, IdGenerator,
    Item, ItemId, ItemKey, ItemKind, Mail, Mutation, Organization, Role, Target, Tenant, TenantNumber, Time, Tombstone,
    User, UserId,
};
use secrecy::SecretString;
use std::collections::HashMap;

/// The time of a decision and what the caller may do.
pub(crate) struct DecisionContext<'a> {
    pub(crate) now: Time,
    pub(crate) ids: &'a dyn IdGenerator,
    pub(crate) authority: &'a Authority<'a>,
    pub(crate) tenant: TenantNumber,
}

/// Items that commands name.
pub(crate) type ResolvedReferences = HashMap<(ItemKind, ItemKey), ResolvedItem>;

#[derive(Clone)]
pub(crate) struct ResolvedItem {
    pub(crate) id: ItemId,
    pub(crate) name: String,
}

/// The data loaded for a command; only what it needs is filled in.
#[derive(Default)]
pub(crate) struct DecisionInput {
    /// The users it names, in its order.
    pub(crate) users: Vec<Option<User>>,
    /// The items it names, in its order.
    pub(crate) items: Vec<Option<Item>>,
    /// Groups and folders it refers to.
    pub(crate) resolved_references: ResolvedReferences,
    /// Organizations that the command may refer to.
    pub(crate) organization_by_number: Option<Organization>,
    pub(crate) organization_by_name: Option<Organization>,
    pub(crate) organization_by_office: Option<Organization>,
    pub(crate) organization_by_domain: Option<Organization>,
    /// See [`crate::Change::assumed_absent`].
    pub(crate) assumed_absent: Vec<(ItemKind, ItemKey)>,
    /// See [`crate::Change::assumed_not_deleted`].
    pub(crate) assumed_not_deleted: Option<String>,
    /// The deleted user that it names or would create again.
    pub(crate) tombstone: Option<Tombstone>,
    /// Accounts of the users it names, read after the users.
    pub(crate) accounts: HashMap<UserId, Account>,
    pub(crate) custom_roles: Vec<Role>,
    /// Numbers and names of the tenant's departments.
    pub(crate) departments: Vec<(u32, String)>,
    /// Members of the addressed group.
    pub(crate) members: Vec<UserId>,
    /// Whether a member who leaves the addressed group has a role above the caller's ceiling.
    pub(crate) removes_member_above_ceiling: bool,
    /// Waiting and failed mails to the users it names.
    pub(crate) mails: Vec<Mail>,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) connection: Option<Connection>,
    /// All targets of the tenant, with removed ones.
    pub(crate) targets: Vec<Target>,
}

#[derive(Default)]
pub(crate) struct Decision {
    pub(crate) mutations: Vec<Mutation>,
    /// To be hashed and set in the one mutation of a user before the commit.
    pub(crate) password: Option<SecretString>,
    /// Users it names who need no change.
    pub(crate) unchanged_users: Vec<User>,
    /// Items it names that need no change.
    pub(crate) unchanged_items: Vec<Item>,
}

impl Decision {
    /// Adds a mutation, unless neither the item nor its members change.
    fn change_item(
        &mut self,
        before: &Item,
        mut after: Item,
        (members_added, members_removed): (Vec<UserId>, Vec<UserId>),
        context: &DecisionContext<'_>,
    ) {
        if after == *before && members_added.is_empty() && members_removed.is_empty() {
            self.unchanged_items.push(after);
        } else {
            after.mark_updated(context.now);
            let (before, after) = (Box::new(before.clone()), Box::new(after));
            self.mutations.push(Mutation::ChangeItem { before, after, members_added, members_removed });
        }
    }

    /// For an item that changes together with a user and is not part of the result.
    fn change_related_item(&mut self, before: &Item, after: Item, context: &DecisionContext<'_>) {
        if after != *before {
            self.change_item(before, after, (Vec::new(), Vec::new()), context);
        }
    }

    /// Adds a mutation, unless the user stays the same and gets no password.
    fn change_user(&mut self, before: &User, mut after: User, account: AccountEdit, context: &DecisionContext<'_>) {
        if after == *before && self.password.is_none() && account.password_hash.is_none() {
            self.unchanged_users.push(after);
        } else {
            after.updated = context.now;
            let notes = if account.sign_in_state.is_some() { vec![EventNote::SignInsEnded] } else { Vec::new() };
            self.push_user_change(before, after, account, notes);
        }
    }

    /// For changes of the account, which do not count as an update of the user.
    fn push_user_change(&mut self, before: &User, mut after: User, account: AccountEdit, notes: Vec<EventNote>) {
        after.version += 1;
        let (before, after) = (Box::new(before.clone()), Box::new(after));
        self.mutations.push(Mutation::ChangeUser { before, after, account, notes });
    }
}

pub(crate) fn decide(
    command: &Command,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    context.authority.check(&required_for_command(command))?;
    let (command, version) = command.split_version();
    let current_version = input.users.first().and_then(|user| user.as_ref().map(|user| user.version));
    let current_version = input.items.first().and_then(|item| item.as_ref().map(Item::version)).or(current_version);
    if version.is_some() && current_version.is_some() && version != current_version {
        return Err(DirectoryError::VersionMismatch);
    }
    match command {
        Command::IfVersion(..) => Err(DirectoryError::Conflict),
        Command::CreateUser(edit) => user::create(edit, input, context),
        Command::UpdateUser { edit, .. } => user::update(edit, input, context),
        Command::DeleteUser(_) => user::delete(input, context),
        Command::RestoreUser(_) => user::restore(input, context),
        Command::PurgeUser(_) => user::purge(input, context),
        Command::Invite(_) => account::invite(input, context),
        Command::Account { action: step, .. } => account::apply_action(step, input, context),
        Command::UpdateMail { mail, due, outcome, starts_attempt: is_attempt } => {
            Ok(account::update_mail(mail, *due, outcome.clone(), *is_attempt))
        }
        Command::ChangeStatus(action) => user::change_status(action, input, context),
        Command::CreateGroup(edit) => group::create(edit, input, context),
        Command::UpdateGroup { edit, .. } => group::update(edit, version.is_some(), input, context),
        Command::CreateFolder(edit) => folder::create(edit, input, context),
        Command::UpdateFolder { edit, .. } => folder::update(edit, input, context),
        Command::CreateOrganization(edit) => organization::create(edit, context),
        Command::UpdateOrganizations { edit, .. } => organization::update_all(edit, input, context),
        Command::DeleteItem { kind, .. } => {
            let item = target_item(input, *kind)?.clone();
            role_ceiling::check_removed_members(input)?;
            Ok(Decision { mutations: vec![Mutation::RemoveItem(Box::new(item))], ..Decision::default() })
        }
        Command::AddDepartment { name, number } => affiliations::add_department(name, *number, input, context),
        Command::AddRole { name, rank } => admin::add_role(name, *rank, context),
        Command::AddTenant { name, number } => admin::add_tenant(name, *number, context),
        Command::UpdateTenant(edit) => admin::update_tenant(edit, input, context),
        Command::AddConnection(new) => admin::add_connection(new, input, context),
        Command::AddKey { key_hash: key, revoke_others: revokes_others, .. } => {
            admin::add_key((*key, *revokes_others), input, context)
        }
        Command::UpdateConnection { edit, .. } => admin::update_connection(edit, input, context),
        Command::RevokeConnection(_) => admin::revoke_connection(input),
        Command::PutTarget(change) => target::put(change, input, context),
    }
}

fn target_item(input: &DecisionInput, kind: ItemKind) -> Result<&Item, DirectoryError> {
    input.items.first().and_then(Option::as_ref).ok_or(DirectoryError::NoSuchItem(kind))
}

/// An empty text clears.
fn set_text(slot: &mut Option<String>, field: Field, update: &FieldUpdate<String>, errors: &mut Vec<FieldError>) {
    match update {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => *slot = None,
        FieldUpdate::Set(text) if text.is_empty() => *slot = None,
        FieldUpdate::Set(text) => {
            validation::check_text(field, text, errors);
            let is_kept = slot.as_ref() == Some(text);
            if field == Field::ExternalId && !is_kept && !validation::is_visible_identifier(text) {
                errors.push(FieldError { field, kind: crate::FieldErrorKind::Malformed });
            }
            *slot = Some(text.clone());
        }
    }
}

/// The name must not be empty.
fn set_name(slot: &mut String, update: &FieldUpdate<String>, errors: &mut Vec<FieldError>) {
    if let FieldUpdate::Set(name) = update {
        validation::check_text(Field::Name, name, errors);
        slot.clone_from(name);
    } else if update.is_change() {
        slot.clear();
    }
    if slot.trim().is_empty() {
        errors.push(FieldError { field: Field::Name, kind: crate::FieldErrorKind::Missing });
    }
}

/// `Clear` sets the default.
fn set_or_default<T: Clone + Default>(slot: &mut T, update: &FieldUpdate<T>) {
    match update {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => *slot = T::default(),
        FieldUpdate::Set(value) => slot.clone_from(value),
    }
}

fn reject_if_any(errors: Vec<FieldError>) -> Result<(), DirectoryError> {
    if errors.is_empty() { Ok(()) } else { Err(DirectoryError::Invalid(errors)) }
}
