//! Events as rows: written with their change, read in order, verified as a chain.

use super::apply_error::ApplyError;
use super::row_decode::{decode, id, optional};
use super::tx_counters::TxCounters;
use crate::event_chain::{self, ChainHash, EventFields, GENESIS_HASH};
use crate::event_row::{ChangeContext, EncodedEvent, action_from_code, list_to_json};
use crate::sql;
use directory::{ChainReport, ConnectionId, Event, EventData, EventNote, EventPosition, TenantNumber, Time, UserId};
use rusqlite::{Connection, params};
use std::collections::BTreeMap;

/// Writes one event. The only writer assigns positions, so they are in commit order.
pub(super) fn write(
    db: &Connection,
    counters: &mut TxCounters,
    author: &ChangeContext,
    event_row: &EncodedEvent,
) -> Result<(), ApplyError> {
    let (members_added, members_removed, notes) = (
        list_to_json(&event_row.members_added)?,
        list_to_json(&event_row.members_removed)?,
        list_to_json(&event_row.notes)?,
    );
    let lists = [members_added.as_deref(), members_removed.as_deref(), notes.as_deref()];
    let stored = EventFields::from_encoded(author, event_row, lists);
    let (position, link) = counters.link_event(db, stored.tenant, &stored.digest())?;
    db.prepare_cached(sql::ADD_EVENT.sqlite)?.insert(params![
        position,
        stored.tenant,
        stored.at,
        stored.connection,
        stored.actor,
        stored.request_id,
        stored.action,
        stored.before,
        stored.after,
        stored.members_added,
        stored.members_removed,
        stored.password_set,
        stored.notes,
        link,
    ])?;
    Ok(())
}

/// Events after a position that may concern a user, oldest first.
pub(super) fn user_history(
    db: &Connection,
    (tenant, user): (TenantNumber, UserId),
    position: EventPosition,
    limit: u32,
) -> rusqlite::Result<Vec<Event>> {
    let mut statement = db.prepare_cached(sql::USER_HISTORY.sqlite)?;
    let from = i64::try_from(position.0).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![from, tenant.0, format!("%{user}%"), limit], event)?;
    rows.collect()
}

pub(super) fn chain_hash_at(
    db: &Connection,
    tenant: TenantNumber,
    at: EventPosition,
) -> rusqlite::Result<Option<ChainHash>> {
    find_chain_hash(db, tenant.0, i64::try_from(at.0).unwrap_or(i64::MAX))
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
    let asked = tenant.map(|tenant| tenant.0);
    let mut ends = view.prepare_cached(sql::ALL_CHAIN_ENDS.sqlite)?;
    let end = |row: &rusqlite::Row<'_>| {
        let end =
            ExpectedChainEnd { position: row.get::<_, i64>(1)?.unsigned_abs(), link: row.get(2)?, older: row.get(3)? };
        Ok((TenantNumber(row.get(0)?), end))
    };
    let ends: BTreeMap<TenantNumber, ExpectedChainEnd> = ends.query_map([asked], end)?.collect::<Result<_, _>>()?;
    let mut chains: BTreeMap<TenantNumber, ChainReport> = BTreeMap::new();
    let mut statement = view.prepare_cached(sql::EVENTS_WITH_LINKS.sqlite)?;
    let mut rows = statement.query([asked])?;
    while let Some(row) = rows.next()? {
        let tenant = TenantNumber(row.get(1)?);
        let found = chains.entry(tenant).or_default();
        if found.broken_at.is_none() {
            step(found, row, ends.get(&tenant).map_or(0, |end| end.older))?;
        }
    }
    for (tenant, end) in ends {
        let found = chains.entry(tenant).or_default();
        let is_reached = (end.position, end.link, u64::from(end.older))
            == (found.last_position.0, found.head_hash, found.unchained_events);
        if found.broken_at.is_none() && !is_reached {
            found.broken_at = Some(EventPosition(end.position.max(found.last_position.0)));
        }
    }
    Ok(chains)
}

/// Where a chain must end, and how many events must be older than it.
struct ExpectedChainEnd {
    position: u64,
    link: Option<ChainHash>,
    older: u32,
}

/// Verifies the next event of an intact chain. At most `older` events may come before the chain.
fn step(found: &mut ChainReport, row: &rusqlite::Row<'_>, older: u32) -> rusqlite::Result<()> {
    let position = row.get::<_, i64>(0)?.unsigned_abs();
    let Some(stored) = row.get_ref(13)?.as_blob_or_null()? else {
        if found.verified_events == 0 && found.unchained_events < u64::from(older) {
            found.unchained_events += 1;
        } else {
            found.broken_at = Some(EventPosition(position));
        }
        return Ok(());
    };
    let last = found.head_hash.unwrap_or(GENESIS_HASH);
    // A row that cannot be decoded was changed.
    match digest_of(row).map(|digest| event_chain::next_chain_hash(&last, position, [&digest])) {
        Ok(link) if link[..] == *stored => {
            found.verified_events += 1;
            found.last_position = EventPosition(position);
            found.head_hash = Some(link);
        }
        Ok(_) | Err(_) => found.broken_at = Some(EventPosition(position)),
    }
    Ok(())
}

fn digest_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChainHash> {
    let text = |column: usize| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str_or_null()?);
    Ok(EventFields {
        tenant: row.get(1)?,
        at: row.get(2)?,
        connection: row.get_ref(3)?.as_blob_or_null()?,
        actor: row.get_ref(4)?.as_str()?,
        request_id: row.get_ref(5)?.as_str()?,
        action: row.get(6)?,
        before: text(7)?,
        after: text(8)?,
        members_added: text(9)?,
        members_removed: text(10)?,
        password_set: row.get(11)?,
        notes: text(12)?,
    }
    .digest())
}

/// Events after a position, oldest first.
pub(super) fn after(db: &Connection, position: EventPosition, limit: u32) -> rusqlite::Result<Vec<Event>> {
    let mut statement = db.prepare_cached(sql::EVENTS_AFTER.sqlite)?;
    let from = i64::try_from(position.0).unwrap_or(i64::MAX);
    let rows = statement.query_map(params![from, limit], event)?;
    rows.collect()
}

fn event(row: &rusqlite::Row<'_>) -> rusqlite::Result<Event> {
    let record = |column: usize| {
        let text: Option<String> = row.get(column)?;
        text.map(|text| decode(column, &text)).transpose()
    };
    let list = |column: usize| {
        let text: Option<String> = row.get(column)?;
        text.map_or(Ok(Vec::new()), |text| decode(column, &text))
    };
    let connection: Option<Vec<u8>> = row.get(3)?;
    Ok(Event {
        position: EventPosition(row.get::<_, i64>(0)?.unsigned_abs()),
        data: EventData {
            tenant: TenantNumber(row.get(1)?),
            at: Time(row.get(2)?),
            connection: connection.map(|_| id(3, row).map(ConnectionId)).transpose()?,
            actor: row.get(4)?,
            request_id: row.get(5)?,
            action: action_from_code(row.get(6)?),
            before: record(7)?,
            after: record(8)?,
            members_added: list(9)?,
            members_removed: list(10)?,
            password_set: row.get(11)?,
            notes: row
                .get::<_, Option<String>>(12)?
                .map_or(Ok(Vec::new()), |text| decode::<Vec<EventNote>>(12, &text))?,
        },
    })
}
