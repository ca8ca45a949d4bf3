//! Tenants and connections as rows.

use super::apply_error::{ApplyResult, STALE, map_constraint_error};
use crate::event_row::{EncodedEvent, to_json};
use crate::sql;
use directory::{Action, Connection, ConnectionId, EntitySnapshot, Field, Receipt, Tenant, TenantNumber, Time, fold};
use rusqlite::{Connection as Db, params};
use std::collections::BTreeMap;

pub(super) fn add_tenant(db: &Db, mut tenant: Tenant, receipt: &mut Receipt) -> ApplyResult<EncodedEvent> {
    if tenant.number.0 == 0 {
        let highest: Option<u32> = db.query_row(sql::HIGHEST_TENANT.sqlite, [], |row| row.get(0))?;
        tenant.number = TenantNumber(highest.map_or(1, |highest| highest.saturating_add(1)));
    }
    let inserted =
        db.prepare_cached(sql::ADD_TENANT.sqlite)?.insert(params![tenant.number.0, to_json(&tenant)?, tenant.version]);
    map_constraint_error(inserted, Field::Number)?;
    let after = Some(to_json(&EntitySnapshot::Tenant(tenant.clone()))?);
    let event_row = EncodedEvent { after, tenant: Some(tenant.number), ..EncodedEvent::new(Action::Created) };
    receipt.tenant = Some(tenant);
    Ok(event_row)
}

pub(super) fn change_tenant(
    db: &Db,
    before: &Tenant,
    after: Tenant,
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    let old = params![to_json(&after)?, after.version, before.number.0, before.version];
    if db.prepare_cached(sql::CHANGE_TENANT.sqlite)?.execute(old)? == 0 {
        return Err(STALE);
    }
    let event_row = EncodedEvent {
        before: Some(to_json(&EntitySnapshot::Tenant(before.clone()))?),
        after: Some(to_json(&EntitySnapshot::Tenant(after.clone()))?),
        ..EncodedEvent::new(Action::Updated)
    };
    receipt.tenant = Some(after);
    Ok(event_row)
}

pub(super) fn add_connection(db: &Db, new: &Connection) -> ApplyResult<EncodedEvent> {
    let (name, freed) = (fold(&new.name), new.revoked_name_key());
    db.prepare_cached(sql::RELEASE_REVOKED_NAME.sqlite)?.execute(params![freed, new.tenant.0, name])?;
    let inserted = db.prepare_cached(sql::ADD_CONNECTION.sqlite)?.insert(params![
        new.id.0.as_bytes(),
        new.tenant.0,
        fold(&new.name),
        to_json(new)?
    ]);
    // Both may be taken; the id is reported first.
    let field = match &inserted {
        Err(_) if super::read::connection(db, new.id)?.is_some() => Field::Id,
        _ => Field::Name,
    };
    let seq = map_constraint_error(inserted, field)?;
    insert_keys(db, seq, new)?;
    Ok(EncodedEvent {
        after: Some(to_json(&EntitySnapshot::redacted_connection(new))?),
        ..EncodedEvent::new(Action::Created)
    })
}

pub(super) fn change_connection(db: &Db, before: &Connection, new: &Connection) -> ApplyResult<EncodedEvent> {
    let stored = super::read::connection(db, new.id)?;
    let Some(old) = stored.filter(|stored| stored.is_unchanged_since(before)) else { return Err(STALE) };
    let seq = db
        .prepare_cached(sql::CHANGE_CONNECTION.sqlite)?
        .query_row(params![to_json(new)?, new.id.0.as_bytes()], |row| row.get(0))?;
    db.prepare_cached(sql::REMOVE_KEYS.sqlite)?.execute([seq])?;
    insert_keys(db, seq, new)?;
    Ok(EncodedEvent {
        before: Some(to_json(&EntitySnapshot::redacted_connection(&old))?),
        after: Some(to_json(&EntitySnapshot::redacted_connection(new))?),
        ..EncodedEvent::new(Action::Updated)
    })
}

pub(super) fn record_key_use(db: &Db, id: ConnectionId, uses: &BTreeMap<String, i64>, at: Time) -> ApplyResult {
    let bound = params![at.0, to_json(uses)?, id.0.as_bytes()];
    db.prepare_cached(sql::RECORD_CONNECTION_USE.sqlite)?.execute(bound)?;
    Ok(())
}

fn insert_keys(db: &Db, seq: i64, connection: &Connection) -> ApplyResult {
    for key in &connection.keys {
        db.prepare_cached(sql::ADD_KEY.sqlite)?.execute(params![key.hash.prefix(), seq])?;
    }
    Ok(())
}
