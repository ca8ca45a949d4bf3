//! Decisions about tenants, connections and custom roles, which an administrator configures.

use super::{Decision, DecisionContext, DecisionInput, set_or_default};
use crate::text::validation;
use crate::{
    ApiKey, Connection, ConnectionEdit, ConnectionId, DirectoryError, Field, FieldErrorKind, FieldUpdate, Item, ItemId,
    KeyHash, Mutation, NewConnection, Role, Tenant, TenantEdit, TenantNumber, TenantSettings, builtin_role_name,
    builtin_role_number,
};

pub(super) fn add_tenant(
    name: &str,
    number: Option<TenantNumber>,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    check_name(name)?;
    let is_usable = number.is_none_or(|number| (1..=i32::MAX.unsigned_abs()).contains(&number.0));
    let number = number.unwrap_or(TenantNumber(0));
    if !is_usable {
        return Err(DirectoryError::for_field(Field::Number, FieldErrorKind::Malformed));
    }
    let tenant = Tenant {
        number,
        name: name.to_owned(),
        created: context.now,
        version: 0,
        settings: TenantSettings::default(),
        removed: None,
    };
    Ok(single(Mutation::AddTenant(tenant)))
}

pub(super) fn update_tenant(
    edit: &TenantEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let before = input.tenant.as_ref().ok_or(DirectoryError::NoSuchTenant)?;
    if before.removed.is_some() {
        return if edit.remove { Ok(Decision::default()) } else { Err(DirectoryError::NoSuchTenant) };
    }
    let mut after = before.clone();
    after.removed = edit.remove.then_some(context.now);
    set_or_default(&mut after.name, &edit.name);
    check_name(&after.name)?;
    let (settings, defaults) = (&mut after.settings, TenantSettings::default());
    let set_in_range =
        |slot: &mut u32, update: &FieldUpdate<u32>, default: u32, range: std::ops::RangeInclusive<u32>| match update {
            FieldUpdate::Keep => Ok(()),
            FieldUpdate::Clear => {
                *slot = default;
                Ok(())
            }
            FieldUpdate::Set(value) if range.contains(value) => {
                *slot = *value;
                Ok(())
            }
            FieldUpdate::Set(_) => Err(DirectoryError::for_field(Field::Value, FieldErrorKind::Malformed)),
        };
    let max_hours = TenantSettings::MAX_INVITATION_HOURS;
    set_in_range(&mut settings.invitation_hours, &edit.invitation_hours, defaults.invitation_hours, 1..=max_hours)?;
    let (min_chars, most) = (validation::MIN_PASSWORD_CHARS, 128);
    let min_chars = u32::try_from(min_chars).unwrap_or(u32::MAX);
    set_in_range(
        &mut settings.min_password_chars,
        &edit.min_password_chars,
        defaults.min_password_chars,
        min_chars..=most,
    )?;
    let mut errors = Vec::new();
    super::set_text(&mut settings.sender_name, Field::Name, &edit.sender_name, &mut errors);
    settings.sender_name.as_deref().map_or(Ok(()), check_name)?;
    super::set_text(&mut settings.redirect_mails_to, Field::Email, &edit.redirect_mails_to, &mut errors);
    match edit.show_name_before_sign_in {
        FieldUpdate::Keep => {}
        FieldUpdate::Clear => settings.show_name_before_sign_in = defaults.show_name_before_sign_in,
        FieldUpdate::Set(is_public) => settings.show_name_before_sign_in = is_public,
    }
    for (name, update) in &edit.templates {
        match update {
            FieldUpdate::Set(text) if text.len() > TenantSettings::MAX_TEMPLATE_BYTES => {
                return Err(DirectoryError::for_field(
                    Field::Value,
                    FieldErrorKind::TooLong(TenantSettings::MAX_TEMPLATE_BYTES),
                ));
            }
            FieldUpdate::Set(text) => drop(settings.templates.insert(name.clone(), text.clone())),
            FieldUpdate::Clear | FieldUpdate::Keep => drop(settings.templates.remove(name)),
        }
    }
    super::reject_if_any(errors)?;
    if after == *before {
        return Ok(Decision::default());
    }
    after.version += 1;
    Ok(single(Mutation::ChangeTenant { before: Box::new(before.clone()), after: Box::new(after) }))
}

pub(super) fn add_role(name: &str, rank: u32, context: &DecisionContext<'_>) -> Result<Decision, DirectoryError> {
    check_name(name)?;
    if builtin_role_number(name).is_some() {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Taken));
    }
    if builtin_role_name(rank).is_none() {
        return Err(DirectoryError::for_field(Field::Role, FieldErrorKind::NotFound));
    }
    // Users may list the name already; they get the role immediately.
    if rank > context.authority.highest_role() {
        return Err(DirectoryError::RoleTooHigh);
    }
    let role = Role {
        id: ItemId(context.ids.next_id()),
        number: 0,
        version: 1,
        name: name.to_owned(),
        rank,
        created: context.now,
        updated: context.now,
    };
    Ok(single(Mutation::AddItem { item: Box::new(Item::Role(role)), members: Vec::new() }))
}

pub(super) fn add_connection(
    new: &NewConnection,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    check_name(&new.name)?;
    let tenant = input.tenant.as_ref().filter(|tenant| tenant.removed.is_none()).ok_or(DirectoryError::NoSuchTenant)?;
    if builtin_role_name(new.highest_role).is_none() {
        return Err(DirectoryError::for_field(Field::Role, FieldErrorKind::NotFound));
    }
    let user = match (&new.user, input.users.first()) {
        (None, _) => None,
        (Some(_), Some(Some(user))) => Some(user.id),
        (Some(_), _) => return Err(DirectoryError::NoSuchUser),
    };
    let mut connection = Connection {
        id: ConnectionId(context.ids.next_id()),
        tenant: tenant.number,
        name: new.name.clone(),
        dialects: new.dialects.clone(),
        access: new.access,
        highest_role: new.highest_role,
        profile: new.profile,
        user,
        public_keys: new.public_keys.clone(),
        keys: vec![ApiKey::new(new.key_hash, context.now)],
        expires: new.expires,
        revoked: false,
        created: context.now,
        last_use: None,
        permissions: None,
    };
    if let Some(permissions) = &new.permissions {
        connection.set_permissions(permissions.clone());
    }
    check_connection(&connection, context)?;
    Ok(single(Mutation::AddConnection(Box::new(connection))))
}

pub(super) fn update_connection(
    edit: &ConnectionEdit,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let before = input.connection.as_ref().filter(|c| !c.revoked).ok_or(DirectoryError::NoSuchConnection)?;
    if edit.highest_role.value().is_some_and(|role| builtin_role_name(*role).is_none()) {
        return Err(DirectoryError::for_field(Field::Role, FieldErrorKind::NotFound));
    }
    let mut after = before.clone();
    set_if_present(&mut after.dialects, &edit.dialects);
    if let FieldUpdate::Set(access) = edit.access {
        (after.access, after.permissions) = (access, None);
    }
    if let FieldUpdate::Set(permissions) = &edit.permissions {
        after.set_permissions(permissions.clone());
    }
    set_if_present(&mut after.highest_role, &edit.highest_role);
    set_if_present(&mut after.profile, &edit.profile);
    set_if_present(&mut after.public_keys, &edit.public_keys);
    match &edit.expires {
        FieldUpdate::Keep => {}
        given => after.expires = given.value().copied(),
    }
    check_connection(before, context)?;
    check_connection(&after, context)?;
    Ok(single(Mutation::ChangeConnection { before: Box::new(before.clone()), after: Box::new(after) }))
}

/// Ignores `Clear`, because these fields are required.
fn set_if_present<T: Clone>(value: &mut T, update: &FieldUpdate<T>) {
    if let FieldUpdate::Set(new) = update {
        value.clone_from(new);
    }
}

pub(super) fn add_key(
    (key, revokes_others): (KeyHash, bool),
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let before = input.connection.as_ref().filter(|c| !c.revoked).ok_or(DirectoryError::NoSuchConnection)?;
    check_connection(before, context)?;
    let mut connection = before.clone();
    if revokes_others {
        connection.keys.clear();
    }
    connection.keys.push(ApiKey::new(key, context.now));
    if connection.keys.len() > Connection::MAX_KEYS {
        connection.keys.remove(0);
    }
    Ok(single(Mutation::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

pub(super) fn revoke_connection(input: &DecisionInput) -> Result<Decision, DirectoryError> {
    let before = input.connection.as_ref().ok_or(DirectoryError::NoSuchConnection)?;
    let mut connection = before.clone();
    // The keys stay stored, so that the log can say why they are rejected.
    connection.revoked = true;
    Ok(single(Mutation::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

/// A caller cannot grant or change access that it does not have.
fn check_connection(connection: &Connection, context: &DecisionContext<'_>) -> Result<(), DirectoryError> {
    let permissions = connection.permissions();
    if permissions.iter().any(|permission| !Connection::PERMISSIONS.contains(permission)) {
        return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::NotAllowed));
    }
    if !context.authority.has_all(&permissions) {
        return Err(DirectoryError::Forbidden);
    }
    if connection.highest_role > context.authority.highest_role() {
        return Err(DirectoryError::RoleTooHigh);
    }
    Ok(())
}

pub(super) fn check_name(name: &str) -> Result<(), DirectoryError> {
    if name.trim().is_empty() {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Missing));
    }
    if name.chars().count() > 100 {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::TooLong(100)));
    }
    // Names appear in mail headers and log lines.
    if name.chars().any(char::is_control) {
        return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Malformed));
    }
    let mut errors = Vec::new();
    validation::check_text(Field::Name, name, &mut errors);
    super::reject_if_any(errors)
}

fn single(edit: Mutation) -> Decision {
    Decision { mutations: vec![edit], ..Decision::default() }
}
