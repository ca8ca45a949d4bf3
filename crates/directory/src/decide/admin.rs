//! Tenants, connections and a tenant's own roles: what the administrator sets up.

use super::{Decision, Known, Stamp, set};
use crate::{
    Connection, ConnectionEdit, ConnectionId, Edit, Field, Given, Item, ItemId, Key, KeyHash, NewConnection,
    Refusal, Role, Rule, Tenant, TenantEdit, TenantNumber, TenantSettings, role_named, role_numbered, rules,
};

pub(super) fn add_tenant(
    name: &str,
    number: Option<TenantNumber>,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    check_name(name)?;
    let is_usable = number.is_none_or(|number| (1..=i32::MAX.unsigned_abs()).contains(&number.0));
    let number = number.unwrap_or(TenantNumber(0));
    if !is_usable {
        return Err(Refusal::field(Field::Number, Rule::Malformed));
    }
    let tenant = Tenant {
        number,
        name: name.to_owned(),
        created: stamp.now,
        version: 0,
        settings: TenantSettings::default(),
        removed: None,
    };
    Ok(one(Edit::AddTenant(tenant)))
}

pub(super) fn update_tenant(
    edit: &TenantEdit,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let before = known.tenant.as_ref().ok_or(Refusal::NoSuchTenant)?;
    if before.removed.is_some() {
        return if edit.removes { Ok(Decision::default()) } else { Err(Refusal::NoSuchTenant) };
    }
    let mut after = before.clone();
    after.removed = edit.removes.then_some(stamp.now);
    set(&mut after.name, &edit.name);
    check_name(&after.name)?;
    let (settings, usual) = (&mut after.settings, TenantSettings::default());
    let number =
        |slot: &mut u32, given: &Given<u32>, usual: u32, range: std::ops::RangeInclusive<u32>| match given {
            Given::Absent => Ok(()),
            Given::Cleared => {
                *slot = usual;
                Ok(())
            }
            Given::Value(value) if range.contains(value) => {
                *slot = *value;
                Ok(())
            }
            Given::Value(_) => Err(Refusal::field(Field::Value, Rule::Malformed)),
        };
    let longest = TenantSettings::MAX_INVITATION_HOURS;
    number(&mut settings.invitation_hours, &edit.invitation_hours, usual.invitation_hours, 1..=longest)?;
    let (fewest, most) = (rules::MIN_PASSWORD_CHARS, 128);
    let fewest = u32::try_from(fewest).unwrap_or(u32::MAX);
    number(&mut settings.min_password, &edit.min_password, usual.min_password, fewest..=most)?;
    let mut faults = Vec::new();
    super::set_text(&mut settings.sender_name, Field::Name, &edit.sender_name, &mut faults);
    settings.sender_name.as_deref().map_or(Ok(()), check_name)?;
    super::set_text(&mut settings.mails_to, Field::Email, &edit.mails_to, &mut faults);
    match edit.public_name {
        Given::Absent => {}
        Given::Cleared => settings.public_name = usual.public_name,
        Given::Value(is_public) => settings.public_name = is_public,
    }
    for (name, given) in &edit.templates {
        match given {
            Given::Value(text) if text.len() > TenantSettings::MAX_TEMPLATE => {
                return Err(Refusal::field(Field::Value, Rule::TooLong(TenantSettings::MAX_TEMPLATE)));
            }
            Given::Value(text) => drop(settings.templates.insert(name.clone(), text.clone())),
            Given::Cleared | Given::Absent => drop(settings.templates.remove(name)),
        }
    }
    super::refuse_if_any(faults)?;
    if after == *before {
        return Ok(Decision::default());
    }
    after.version += 1;
    Ok(one(Edit::ChangeTenant { before: Box::new(before.clone()), after: Box::new(after) }))
}

pub(super) fn add_role(name: &str, rank: u32, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    check_name(name)?;
    if role_named(name).is_some() {
        return Err(Refusal::field(Field::Name, Rule::Taken));
    }
    if role_numbered(rank).is_none() {
        return Err(Refusal::field(Field::Role, Rule::Unknown));
    }
    // Users may list the name already, and have the role from now on.
    if rank > stamp.highest_role {
        return Err(Refusal::RoleTooHigh);
    }
    let role = Role {
        id: ItemId(stamp.ids.next()),
        number: 0,
        version: 1,
        name: name.to_owned(),
        rank,
        created: stamp.now,
        updated: stamp.now,
    };
    Ok(one(Edit::AddItem { item: Box::new(Item::Role(role)), members: Vec::new() }))
}

pub(super) fn add_connection(
    new: &NewConnection,
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    check_name(&new.name)?;
    let tenant =
        known.tenant.as_ref().filter(|tenant| tenant.removed.is_none()).ok_or(Refusal::NoSuchTenant)?;
    if role_numbered(new.highest_role).is_none() {
        return Err(Refusal::field(Field::Role, Rule::Unknown));
    }
    let user = match (&new.user, known.users.first()) {
        (None, _) => None,
        (Some(_), Some(Some(user))) => Some(user.id),
        (Some(_), _) => return Err(Refusal::NoSuchUser),
    };
    Ok(one(Edit::AddConnection(Box::new(Connection {
        id: ConnectionId(stamp.ids.next()),
        tenant: tenant.number,
        name: new.name.clone(),
        dialects: new.dialects.clone(),
        access: new.access,
        highest_role: new.highest_role,
        profile: new.profile,
        user,
        public_keys: new.public_keys.clone(),
        keys: vec![Key::new(new.key, stamp.now)],
        expires: new.expires,
        revoked: false,
        created: stamp.now,
        last_use: None,
    }))))
}

pub(super) fn update_connection(edit: &ConnectionEdit, known: &Known) -> Result<Decision, Refusal> {
    let before = known.connection.as_ref().filter(|c| !c.revoked).ok_or(Refusal::NoSuchConnection)?;
    if edit.highest_role.value().is_some_and(|role| role_numbered(*role).is_none()) {
        return Err(Refusal::field(Field::Role, Rule::Unknown));
    }
    let mut after = before.clone();
    replace(&mut after.dialects, &edit.dialects);
    replace(&mut after.access, &edit.access);
    replace(&mut after.highest_role, &edit.highest_role);
    replace(&mut after.profile, &edit.profile);
    replace(&mut after.public_keys, &edit.public_keys);
    match &edit.expires {
        Given::Absent => {}
        given => after.expires = given.value().copied(),
    }
    Ok(one(Edit::ChangeConnection { before: Box::new(before.clone()), after: Box::new(after) }))
}

/// Sets what is given; nothing of this can be taken away.
fn replace<T: Clone>(value: &mut T, given: &Given<T>) {
    if let Given::Value(new) = given {
        value.clone_from(new);
    }
}

pub(super) fn add_key(
    (key, revokes_others): (KeyHash, bool),
    known: &Known,
    stamp: &Stamp<'_>,
) -> Result<Decision, Refusal> {
    let before = known.connection.as_ref().filter(|c| !c.revoked).ok_or(Refusal::NoSuchConnection)?;
    let mut connection = before.clone();
    if revokes_others {
        connection.keys.clear();
    }
    connection.keys.push(Key::new(key, stamp.now));
    if connection.keys.len() > Connection::MAX_KEYS {
        connection.keys.remove(0);
    }
    Ok(one(Edit::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

pub(super) fn revoke(known: &Known) -> Result<Decision, Refusal> {
    let before = known.connection.as_ref().ok_or(Refusal::NoSuchConnection)?;
    let mut connection = before.clone();
    // Its keys stay known, so that the log can say why they are rejected.
    connection.revoked = true;
    Ok(one(Edit::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::field(Field::Name, Rule::Missing));
    }
    if name.chars().count() > 100 {
        return Err(Refusal::field(Field::Name, Rule::TooLong(100)));
    }
    // Names stand in headers of mails and in lines of the log.
    if name.chars().any(char::is_control) {
        return Err(Refusal::field(Field::Name, Rule::Malformed));
    }
    let mut faults = Vec::new();
    rules::check_text(Field::Name, name, &mut faults);
    super::refuse_if_any(faults)
}

fn one(edit: Edit) -> Decision {
    Decision { edits: vec![edit], ..Decision::default() }
}
