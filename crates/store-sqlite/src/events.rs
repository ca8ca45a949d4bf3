//! Events as rows: written with their change, read in order, verified as a chain.

use super::apply_error::ApplyError;
use super::row_decode::optional;
use super::tx_counters::TxCounters;
use directory::{ChainReport, Event, EventFilter, EventKind, EventPosition, TenantNumber, UserChange};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};
use std::collections::BTreeMap;
use store::chain_verifier::ChainsVerifier;
use store::event_chain::{ChainEnd, ChainHash, StoredEvent};
use store::event_row::{ChangeContext, EncodedEvent, EventEntry, decode_event};
use store::sql;
use uuid::Uuid;

/// Writes one event. The only writer assigns positions, so they are in commit order.
pub(super) fn write(
    db: &Connection,
    counters: &mut TxCounters,
    context: &ChangeContext,
    event: EncodedEvent,
) -> Result<(), ApplyError> {
    let (kind, subjects) = (event.kind, event.subjects.clone());
    let row = EventEntry::new(context, event)?;
    let (position, link) = counters.link_event(db, row.tenant, &row.digest())?;
    insert(db, &row, position, Some(link), kind)?;
    Ok(add_subjects(db, row.tenant, &subjects, position)?)
}

pub(super) fn insert(
    db: &Connection,
    row: &EventEntry,
    position: i64,
    link: Option<ChainHash>,
    kind: EventKind,
) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(sql::ADD_EVENT.sqlite)?;
    insert.execute(params![
        position,
        row.tenant,
        row.at,
        row.connection.as_ref().map(|id| &id[..]),
        row.actor,
        row.request_id,
        row.action,
        row.before,
        row.after,
        row.members_added,
        row.members_removed,
        row.password_set,
        row.notes,
        link,
        kind.code(),
    ])?;
    Ok(())
}

pub(super) fn add_subjects(db: &Connection, tenant: u32, subjects: &[Uuid], position: i64) -> rusqlite::Result<()> {
    let mut insert = db.prepare_cached(sql::ADD_EVENT_SUBJECTS.sqlite)?;
    subjects.iter().try_for_each(|subject| insert.execute(params![tenant, subject.as_bytes(), position]).map(drop))
}

/// Events after a position, oldest first.
pub(super) fn after(
    db: &Connection,
    filter: &EventFilter,
    position: EventPosition,
    limit: u32,
) -> rusqlite::Result<Vec<Event>> {
    let kinds: i64 = match filter.kinds.as_slice() {
        [] => -1,
        kinds => kinds.iter().fold(0, |bits, kind| bits | 1 << kind.code()),
    };
    let tenant = filter.tenant.map(|tenant| tenant.0);
    let subject = filter.subject.as_ref().map(Uuid::as_bytes);
    let first = signed(position.0);
    let (sql, params): (_, &[&dyn rusqlite::ToSql]) = match (&tenant, &subject) {
        (Some(tenant), Some(subject)) => (sql::EVENTS_OF_SUBJECT, &[&first, &kinds, tenant, subject, &limit]),
        (Some(tenant), None) => (sql::EVENTS_OF_TENANT, &[&first, &kinds, tenant, &limit]),
        (None, _) => (sql::EVENTS_AFTER, &[&first, &kinds, &limit]),
    };
    db.prepare_cached(sql.sqlite)?.query_map(params, event)?.collect()
}

pub(super) fn user_changes(
    db: &Connection,
    tenant: TenantNumber,
    with_groups: bool,
    position: EventPosition,
    limit: u32,
) -> rusqlite::Result<Vec<UserChange>> {
    let kinds: i64 = EventFilter::kinds_of_users(with_groups).iter().fold(0, |bits, kind| bits | 1 << kind.code());
    let mut statement = db.prepare_cached(sql::USER_CHANGES.sqlite)?;
    let decode = |row: &Row<'_>| {
        let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
        let position = EventPosition(row.get::<_, i64>(0)?.unsigned_abs());
        UserChange::decode(position, (text(1)?, text(2)?), [text(3)?, text(4)?]).map_err(|error| invalid(1, error))
    };
    statement.query_map(params![signed(position.0), kinds, tenant.0, limit], decode)?.collect()
}

pub(super) fn chain_hash_at(
    db: &Connection,
    tenant: TenantNumber,
    at: EventPosition,
) -> rusqlite::Result<Option<ChainHash>> {
    find_chain_hash(db, tenant.0, signed(at.0))
}

pub(super) fn find_chain_hash(db: &Connection, tenant: u32, position: i64) -> rusqlite::Result<Option<ChainHash>> {
    let found = db.query_row(sql::CHAIN_HASH_AT.sqlite, params![position, tenant], |row| row.get(0));
    Ok(optional(found)?.flatten())
}

/// Verifies the chain of one tenant, or of all in one pass.
pub(super) fn verify_chain(
    db: &Connection,
    tenant: Option<TenantNumber>,
) -> rusqlite::Result<BTreeMap<TenantNumber, ChainReport>> {
    // One snapshot: concurrent writes would look like errors.
    let view = db.unchecked_transaction()?;
    let tenant = tenant.map(|tenant| tenant.0);
    let ends = chain_ends(&view, tenant)?;
    let mut chains = ChainsVerifier::new(ends.clone());
    let mut statement = view.prepare_cached(sql::EVENTS_WITH_LINKS.sqlite)?;
    // Also finds events that were inserted before the first position.
    let mut rows = statement.query(params![i64::MIN, tenant, -1])?;
    while let Some(row) = rows.next()? {
        match stored_event(row) {
            Ok(stored) => chains.add(&stored),
            // A row that cannot be decoded was changed.
            Err(_) => chains.break_at(row.get(1)?, row.get::<_, i64>(0)?.unsigned_abs()),
        }
    }
    let mut reports = chains.finish();
    for (tenant, report) in &mut reports {
        // In one snapshot, nothing follows the stored end.
        let end = ends.get(&tenant.0).map_or(0, |end| end.position);
        if report.broken_at.is_none() && end != report.last_position.0 {
            report.broken_at = Some(EventPosition(end.max(report.last_position.0)));
        }
    }
    Ok(reports)
}

/// Where chains must end, by tenant.
pub(super) fn chain_ends(db: &Connection, tenant: Option<u32>) -> rusqlite::Result<BTreeMap<u32, ChainEnd>> {
    let end = |row: &Row<'_>| {
        let position = row.get::<_, i64>(1)?.unsigned_abs();
        Ok((row.get(0)?, ChainEnd { position, link: row.get(2)?, unchained: row.get(3)? }))
    };
    db.prepare_cached(sql::ALL_CHAIN_ENDS.sqlite)?.query_map([tenant], end)?.collect()
}

/// Up to `limit` events with their links, of all tenants.
pub(super) fn stored_after(db: &Connection, position: u64, limit: u32) -> rusqlite::Result<Vec<StoredEvent>> {
    let mut statement = db.prepare_cached(sql::EVENTS_WITH_LINKS.sqlite)?;
    statement.query_map(params![signed(position), None::<u32>, limit], stored_event)?.collect()
}

fn stored_event(row: &Row<'_>) -> rusqlite::Result<StoredEvent> {
    let link: Option<ChainHash> = row.get(13)?;
    let event = EventEntry { is_unchained: link.is_none(), ..event_entry(row)? };
    Ok(StoredEvent { end: event.position, event, digest: None, link })
}

fn event(row: &Row<'_>) -> rusqlite::Result<Event> {
    let entry = event_entry(row)?;
    decode_event(&entry).map_err(|error| invalid(7, error))
}

fn invalid(column: usize, error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

pub(super) fn event_entry(row: &Row<'_>) -> rusqlite::Result<EventEntry> {
    Ok(EventEntry {
        position: row.get::<_, i64>(0)?.unsigned_abs(),
        tenant: row.get(1)?,
        at: row.get(2)?,
        connection: row.get(3)?,
        actor: row.get(4)?,
        request_id: row.get(5)?,
        action: row.get(6)?,
        before: row.get(7)?,
        after: row.get(8)?,
        members_added: row.get(9)?,
        members_removed: row.get(10)?,
        password_set: row.get(11)?,
        notes: row.get(12)?,
        is_unchained: false,
    })
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
