//! Tenants, connections and a tenant's own roles: what the administrator sets up.

use super::{Decision, Known, Stamp};
use crate::{
    Connection, ConnectionId, Edit, Field, Item, ItemId, Key, KeyHash, NewConnection, Refusal, Role, Rule,
    Tenant, TenantNumber, role_named, role_numbered, rules,
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
    let tenant = Tenant { number, name: name.to_owned(), created: stamp.now };
    Ok(one(Edit::AddTenant(tenant)))
}

pub(super) fn add_role(name: &str, rank: u32, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    check_name(name)?;
    if role_named(name).is_some() {
        return Err(Refusal::field(Field::Name, Rule::Taken));
    }
    if role_numbered(rank).is_none() {
        return Err(Refusal::field(Field::Role, Rule::Unknown));
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
    let tenant = known.tenant.as_ref().ok_or(Refusal::NoSuchTenant)?;
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
        keys: vec![Key { hash: new.key, created: stamp.now }],
        expires: new.expires,
        revoked: false,
        created: stamp.now,
        last_use: None,
    }))))
}

pub(super) fn add_key(key: KeyHash, known: &Known, stamp: &Stamp<'_>) -> Result<Decision, Refusal> {
    let before = known.connection.as_ref().filter(|c| !c.revoked).ok_or(Refusal::NoSuchConnection)?;
    let mut connection = before.clone();
    connection.keys.push(Key { hash: key, created: stamp.now });
    if connection.keys.len() > Connection::MAX_KEYS {
        connection.keys.remove(0);
    }
    Ok(one(Edit::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

pub(super) fn revoke(known: &Known) -> Result<Decision, Refusal> {
    let before = known.connection.as_ref().ok_or(Refusal::NoSuchConnection)?;
    let mut connection = before.clone();
    connection.revoked = true;
    connection.keys.clear();
    Ok(one(Edit::ChangeConnection { before: Box::new(before.clone()), after: Box::new(connection) }))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() {
        return Err(Refusal::field(Field::Name, Rule::Missing));
    }
    if name.chars().count() > 100 {
        return Err(Refusal::field(Field::Name, Rule::TooLong(100)));
    }
    let mut faults = Vec::new();
    rules::check_text(Field::Name, name, &mut faults);
    super::refuse_if_any(faults)
}

fn one(edit: Edit) -> Decision {
    Decision { edits: vec![edit], ..Decision::default() }
}
