//! Decisions about users.

use super::{
    Decision, DecisionContext, DecisionInput, account, affiliations, reject_if_any, role_ceiling, set_or_default,
};
use crate::text::validation;
use crate::{
    AccountEdit, DirectoryError, Field, FieldError, FieldErrorKind, FieldUpdate, ItemId, ItemKey, ItemKind, Mutation,
    Permission, ProfileLink, ProfileLinkKind, RequestedStatus, Slot, Status, StatusChange, TypedValue, User, UserEdit,
    UserId, identifier_key,
};
use secrecy::ExposeSecret;
use std::collections::HashSet;

pub(super) fn create(
    edit: &UserEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let id = edit.id.unwrap_or_else(|| UserId(context.ids.next_id()));
    let mut user = User::new(id, context.now);
    if let FieldUpdate::Set(requested) = edit.status {
        user.status = match requested {
            RequestedStatus::Exact(status) => status,
            RequestedStatus::Inactive => Status::Inactive,
            RequestedStatus::Active => Status::Active,
        };
    }
    let mut decision = apply(&mut user, None, edit, input, context)?;
    let mut account = AccountEdit { password_hash: edit.password_hash.clone(), ..AccountEdit::default() };
    let mut mail = None;
    if edit.invite && user.do_not_email != Some(true) && account::can_be_invited(&user) {
        let mut sign_ins = crate::SignInState::default();
        mail = Some(account::create_link(&mut user, &mut sign_ins, crate::LinkPurpose::Invitation, context));
        account.sign_in_state = Some(sign_ins);
    }
    match &input.tombstone {
        // A client that creates a user with the key of a deleted one means the same user.
        Some(before) => {
            (user.id, user.number) = (before.user.id, before.user.number);
            (user.created, user.version) = (before.user.created, before.user.version + 1);
            if let Some(mail) = &mut mail {
                mail.user = user.id;
            }
            role_ceiling::check_user(&before.user, input, context)?;
            decision.mutations.push(Mutation::RestoreUser {
                before: Box::new(before.clone()),
                user: Box::new(user),
                account,
                keeps_password: false,
            });
        }
        None => decision.mutations.push(Mutation::AddUser { user: Box::new(user), account }),
    }
    decision.mutations.extend(mail.map(|mail| Mutation::AddMail(Box::new(mail))));
    Ok(decision)
}

/// Restores a deleted user, without references to items that no longer exist.
pub(super) fn restore(input: &DecisionInput, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    let before = input.tombstone.as_ref().filter(|tombstone| tombstone.is_restorable(context.now));
    let before = before.ok_or(DirectoryError::NoSuchUser)?;
    role_ceiling::check_user(&before.user, input, context)?;
    let mut user = before.user.clone();
    let still_exists = |kind: ItemKind, id: &ItemId| input.resolved_references.contains_key(&(kind, ItemKey::Id(*id)));
    user.groups.retain(|id| still_exists(ItemKind::Group, id));
    user.folders.retain(|id| still_exists(ItemKind::Folder, id));
    user.organization = user.organization.filter(|id| still_exists(ItemKind::Organization, id));
    user.version += 1;
    user.updated = context.now;
    let edit = Mutation::RestoreUser {
        before: Box::new(before.clone()),
        user: Box::new(user),
        account: AccountEdit::default(),
        keeps_password: true,
    };
    Ok(Decision { mutations: vec![edit], ..Decision::default() })
}

/// Purges a deleted user who can no longer be restored, or whose tenant is removed.
pub(super) fn purge(input: &DecisionInput, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    let before = input.tombstone.as_ref().ok_or(DirectoryError::NoSuchUser)?;
    let is_removed = input.tenant.as_ref().is_some_and(|tenant| tenant.removed.is_some());
    if before.is_restorable(context.now) && !is_removed {
        return Err(DirectoryError::WrongStatus);
    }
    let mut edits = account::withdraw_mails(input.mails.iter());
    edits.push(Mutation::PurgeUser(Box::new(before.clone())));
    Ok(Decision { mutations: edits, ..Decision::default() })
}

/// Checks the single values of an edit for any user. References are not looked up and not checked.
pub(crate) fn validate_user_edit(edit: &UserEdit) -> Result<(), DirectoryError> {
    let (mut user, mut errors) = (User::new(UserId(uuid::Uuid::nil()), crate::Time(0)), Vec::new());
    user.user_name.push('-');
    let input = DecisionInput::default();
    let before = user.clone();
    apply_texts(&mut user, Some(&before), edit, &mut errors);
    apply_multi_valued(&mut user, edit, &input, &mut errors);
    apply_links_and_references(
        &mut user,
        &UserEdit { groups: FieldUpdate::Keep, folders: FieldUpdate::Keep, ..edit.clone() },
        &input,
        &mut errors,
    );
    if let FieldUpdate::Set(crate::DepartmentRef::Name(name)) = &edit.department {
        validation::check_text(Field::Department, name, &mut errors);
    }
    if let Some(password) = &edit.password {
        errors.extend(check_password_length(password.expose_secret()));
    }
    // Missing values may follow in a later edit.
    errors.retain(|error| error.kind != FieldErrorKind::Missing);
    reject_if_any(errors)
}

pub(super) fn update(
    edit: &UserEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let before = target_user(input)?;
    let mut after = before.clone();
    let mut decision = apply(&mut after, Some(before), edit, input, context)?;
    let has_new_password = decision.password.is_some() || edit.password_hash.is_some() || edit.clear_password;
    if has_new_password || role_ceiling::is_privileged_change(before, &after) {
        role_ceiling::check_user(before, input, context)?;
    }
    if let Some(former_owner) = input.tombstone.as_ref().filter(|_| after.external_id != before.external_id) {
        // The next import would mistake this user for the deleted one.
        role_ceiling::check_user(&former_owner.user, input, context)?;
    }
    // End sessions of replaced credentials, and invalidate links that were sent to another address.
    let email_changed = after.email().map(identifier_key) != before.email().map(identifier_key);
    let is_deactivated = after.status.blocks_sign_in() && !before.status.blocks_sign_in();
    let mut account = if email_changed || is_deactivated || has_new_password {
        AccountEdit::sign_out_everywhere(context.now)
    } else {
        AccountEdit::default()
    };
    account.password_hash.clone_from(&edit.password_hash);
    if edit.clear_password && account.password_hash.is_none() {
        account.password_hash = Some(crate::PasswordHash::cleared());
    }
    let mut mail = None;
    if email_changed && before.invited.is_some() && account::can_be_invited(&after) {
        context.authority.require(Permission::Credentials)?;
        let sign_ins = account.sign_in_state.get_or_insert_default();
        mail = Some(account::create_link(&mut after, sign_ins, crate::LinkPurpose::Invitation, context));
    }
    decision.change_user(before, after, account, context);
    decision.mutations.extend(mail.map(|mail| Mutation::AddMail(Box::new(mail))));
    Ok(decision)
}

pub(super) fn delete(input: &DecisionInput, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    let user = target_user(input)?.clone();
    role_ceiling::check_user(&user, input, context)?;
    Ok(Decision { mutations: vec![Mutation::RemoveUser(Box::new(user))], ..Decision::default() })
}

pub(super) fn change_status(
    step: &StatusChange,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut decision = Decision::default();
    let mut seen = HashSet::new();
    for user in &input.users {
        let before = user.as_ref().ok_or(DirectoryError::NoSuchUser)?;
        if !seen.insert(before.id) {
            continue;
        }
        role_ceiling::check_user(before, input, context)?;
        if step.required_status.is_some_and(|only| only != before.status) {
            return Err(DirectoryError::WrongStatus);
        }
        let status = before
            .status
            .transition_to(step.to)
            .ok_or(DirectoryError::for_field(Field::Status, FieldErrorKind::NotAllowed))?;
        let is_deactivated = status.blocks_sign_in() && !before.status.blocks_sign_in();
        let account =
            if is_deactivated { AccountEdit::sign_out_everywhere(context.now) } else { AccountEdit::default() };
        decision.change_user(before, User { status, active_cleared: false, ..before.clone() }, account, context);
    }
    Ok(decision)
}

pub(super) fn target_user(input: &DecisionInput) -> Result<&User, DirectoryError> {
    input.users.first().and_then(Option::as_ref).ok_or(DirectoryError::NoSuchUser)
}

/// Applies the complete edit. Mutations for a new organization or department come first, since the user refers to them.
fn apply(
    user: &mut User,
    before: Option<&User>,
    edit: &UserEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let mut errors = Vec::new();
    let mut decision = Decision::default();
    apply_texts(user, before, edit, &mut errors);
    apply_multi_valued(user, edit, input, &mut errors);
    apply_links_and_references(user, edit, input, &mut errors);
    affiliations::set_department(user, &edit.department, input, context, &mut decision, &mut errors);
    affiliations::set_organization(
        user,
        before.is_none(),
        &edit.organization,
        input,
        context,
        &mut decision,
        &mut errors,
    );
    affiliations::set_role(user, &edit.role, input, &mut errors);
    match edit.office {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => user.office = None,
        FieldUpdate::Set(number) => user.office = Some(number),
    }
    for (field, update) in &edit.booleans {
        if let (Some(Slot::Boolean(slot)), true) = (slot_of(*field), update.is_change()) {
            (slot.write)(user, update.value().copied());
        }
    }
    apply_status(user, before, edit, &mut errors);
    validation::check_identifiers(before, user, &mut errors);
    if let Some(password) = &edit.password {
        errors.extend(check_password_length(password.expose_secret()));
        decision.password = Some(password.clone());
    }
    reject_if_any(errors)?;
    role_ceiling::check_granted_roles(before, user, input, context)?;
    Ok(decision)
}

/// A client that clears the status deactivates the user, and the attribute stays unset.
fn apply_status(user: &mut User, before: Option<&User>, edit: &UserEdit, errors: &mut Vec<FieldError>) {
    let requested = match edit.status {
        FieldUpdate::Keep => return,
        FieldUpdate::Clear => RequestedStatus::Inactive,
        FieldUpdate::Set(requested) => requested,
    };
    user.active_cleared = edit.status == FieldUpdate::Clear;
    // `create` has already set the status of a new user.
    let from = before.map_or(user.status, |before| before.status);
    match requested.apply_to(from) {
        Some(status) => user.status = status,
        None => errors.push(FieldError { field: Field::Status, kind: FieldErrorKind::NotAllowed }),
    }
}

fn slot_of(field: Field) -> Option<Slot> {
    field.attribute().map(|attribute| attribute.slot)
}

fn apply_texts(user: &mut User, before: Option<&User>, edit: &UserEdit, errors: &mut Vec<FieldError>) {
    for (field, update) in edit.texts.iter().filter(|(field, _)| *field != Field::UserName) {
        let Some(Slot::Text(slot)) = slot_of(*field) else { continue };
        match update {
            FieldUpdate::Keep => {}
            FieldUpdate::Set(text) if !text.is_empty() => {
                validation::check_text(*field, text, errors);
                (slot.write)(user, Some(text.clone()));
            }
            FieldUpdate::Clear | FieldUpdate::Set(_) => (slot.write)(user, None),
        }
    }
    if let Some(FieldUpdate::Set(name)) = edit.text_update(Field::UserName) {
        validation::check_text(Field::UserName, name, errors);
        user.user_name.clone_from(name);
    } else if let Some(email) = user.email().map(str::to_owned) {
        // The user name follows the email until another is given.
        let tracks_email =
            before.is_none_or(|b| b.email().is_some_and(|e| identifier_key(e) == identifier_key(&b.user_name)));
        if tracks_email {
            user.user_name = email;
        }
    }
    if user.user_name.is_empty() {
        errors.push(FieldError { field: Field::Email, kind: FieldErrorKind::Missing });
    }
}

/// Replaces multi-valued attributes. Of the roles, the primary one becomes the effective role, else the first that the
/// catalog has.
fn apply_multi_valued(user: &mut User, edit: &UserEdit, input: &DecisionInput, errors: &mut Vec<FieldError>) {
    for (field, update) in &edit.multi_valued {
        if !update.is_change() {
            continue;
        }
        let entries: &[TypedValue] = update.value().map_or(&[], Vec::as_slice);
        if exceeds_limit(*field, entries.len(), validation::MAX_LIST_ENTRIES, errors) {
            continue;
        }
        if entries.iter().filter(|entry| entry.is_primary()).count() > 1 {
            errors.push(FieldError { field: *field, kind: FieldErrorKind::Malformed });
        }
        let slot = slot_of(*field);
        let rule = field.parts().next().unwrap_or(*field);
        for entry in entries {
            if entry.value.is_empty() {
                errors.push(FieldError { field: *field, kind: FieldErrorKind::Missing });
            }
            validation::check_text(rule, &entry.value, errors);
            validation::check_text(Field::Kind, entry.kind.as_deref().unwrap_or_default(), errors);
            validation::check_text(Field::Display, entry.display.as_deref().unwrap_or_default(), errors);
        }
        let entries = entries.to_vec();
        match slot {
            Some(Slot::MultiValued(slot)) => (slot.write)(user, entries),
            Some(Slot::Roles) => affiliations::set_listed_roles(user, entries, input),
            Some(Slot::Links(ProfileLinkKind::Messaging)) => {
                user.links.retain(|link| link.kind != ProfileLinkKind::Messaging);
                user.links.extend(entries.into_iter().map(|TypedValue { value, kind, display, primary }| {
                    ProfileLink {
                        display,
                        primary,
                        ..ProfileLink::new(ProfileLinkKind::Messaging, kind.unwrap_or_default(), value)
                    }
                }));
            }
            _ => {}
        }
    }
    if let FieldUpdate::Set(addresses) = &edit.addresses
        && !exceeds_limit(Field::PostalAddresses, addresses.len(), validation::MAX_LIST_ENTRIES, errors)
    {
        if addresses.iter().filter(|address| address.primary == Some(true)).count() > 1 {
            errors.push(FieldError { field: Field::PostalAddresses, kind: FieldErrorKind::Malformed });
        }
        for address in addresses {
            let lines = [
                (Field::AddressLine1, &address.line1),
                (Field::AddressLine2, &address.line2),
                (Field::City, &address.city),
                (Field::Region, &address.region),
                (Field::PostalCode, &address.postal_code),
                (Field::Country, &address.country),
                (Field::Formatted, &address.formatted),
                (Field::Kind, &address.kind),
            ];
            for (field, line) in lines {
                validation::check_text(field, line.as_deref().unwrap_or_default(), errors);
            }
        }
    }
    set_or_default(&mut user.addresses, &edit.addresses);
    check_total_size(user, edit, errors);
}

/// Limits the total size of multi-valued attributes. The error names a field of the edit.
fn check_total_size(user: &User, edit: &UserEdit, errors: &mut Vec<FieldError>) {
    let changed_field = edit.multi_valued.iter().find(|(_, given)| given.value().is_some()).map(|(field, _)| *field);
    let changed_field = changed_field.or(edit.addresses.value().map(|_| Field::PostalAddresses));
    if let Some(field) = changed_field
        && user.multi_valued_bytes() > validation::MAX_MULTI_VALUED_BYTES
    {
        errors.push(FieldError { field, kind: FieldErrorKind::TooLong(validation::MAX_MULTI_VALUED_BYTES) });
    }
}

fn apply_links_and_references(user: &mut User, edit: &UserEdit, input: &DecisionInput, errors: &mut Vec<FieldError>) {
    for (kind, update) in &edit.links {
        let field = match kind {
            ProfileLinkKind::Social => Field::SocialLinks,
            ProfileLinkKind::Custom => Field::CustomLinks,
            ProfileLinkKind::Messaging => Field::MessagingLinks,
        };
        let mut replaced = Vec::new();
        if update.is_change() {
            replaced = user.links.extract_if(.., |link| link.kind == *kind).collect();
        }
        let links: &[ProfileLink] = update.value().map_or(&[], Vec::as_slice);
        if exceeds_limit(field, links.len(), validation::MAX_LIST_ENTRIES, errors) {
            return;
        }
        for link in links {
            validation::check_text(field, &link.name, errors);
            validation::check_text(field, &link.value, errors);
        }
        // Clients send only names and values here: keep the other attributes of an existing link.
        let same = |new: &ProfileLink, old: &&ProfileLink| (&old.name, &old.value) == (&new.name, &new.value);
        let keep_details = |new: &ProfileLink| replaced.iter().find(|old| same(new, old)).unwrap_or(new).clone();
        user.links.extend(links.iter().map(keep_details));
    }
    user.links.sort_by_key(|link| link.kind as u8);
    set_or_default(&mut user.metadata, &edit.metadata);
    if exceeds_limit(Field::Metadata, user.metadata.len(), validation::MAX_LIST_ENTRIES, errors) {
        return;
    }
    for pair in edit.metadata.value().into_iter().flatten() {
        validation::check_text(Field::Metadata, &pair.key, errors);
        validation::check_text(Field::Metadata, &pair.value, errors);
    }
    set_references(&mut user.groups, ItemKind::Group, Field::Groups, &edit.groups, input, errors);
    set_references(&mut user.folders, ItemKind::Folder, Field::Folders, &edit.folders, input, errors);
}

fn set_references(
    slot: &mut Vec<ItemId>,
    kind: ItemKind,
    field: Field,
    update: &FieldUpdate<Vec<ItemKey>>,
    input: &DecisionInput,
    errors: &mut Vec<FieldError>,
) {
    if !update.is_change() {
        return;
    }
    let keys: &[ItemKey] = update.value().map_or(&[], Vec::as_slice);
    if exceeds_limit(field, keys.len(), validation::MAX_REFERENCES, errors) {
        return;
    }
    slot.clear();
    for key in keys {
        let Some(item) = input.resolved_references.get(&(kind, key.clone())) else {
            errors.push(FieldError { field, kind: FieldErrorKind::NotFound });
            break;
        };
        slot.push(item.id);
    }
    slot.sort_unstable();
    slot.dedup();
}

/// A list that is too long gets no other error.
fn exceeds_limit(field: Field, count: usize, max: usize, errors: &mut Vec<FieldError>) -> bool {
    if count > max {
        errors.push(FieldError { field, kind: FieldErrorKind::TooLong(max) });
    }
    count > max
}

pub(super) fn check_password_length(password: &str) -> Option<FieldError> {
    let rule = if password.len() > validation::MAX_PASSWORD_BYTES {
        FieldErrorKind::TooLong(validation::MAX_PASSWORD_BYTES)
    } else if password.chars().count() < validation::MIN_PASSWORD_CHARS {
        FieldErrorKind::TooShort(validation::MIN_PASSWORD_CHARS)
    } else {
        return None;
    };
    Some(FieldError { field: Field::Password, kind: rule })
}
