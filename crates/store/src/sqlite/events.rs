//! Events as rows: written with the change that made them, read in order.

use super::apply::Failure;
use super::rows::{decode, id, optional};
use crate::sql;
use crate::told::{Author, Told, action, list};
use directory::{ConnectionId, Event, EventDraft, Position, TenantNumber, Time};
use rusqlite::{Connection, params};

/// Writes one event. The one writer gives positions, so they follow the commits.
pub(super) fn write(db: &Connection, author: &Author, told: &Told) -> Result<(), Failure> {
    db.prepare_cached(sql::ADD_EVENT.sqlite)?.insert(params![
        told.tenant.unwrap_or(author.tenant).0,
        author.at.0,
        author.connection.as_ref().map(|c| c.0.as_bytes()),
        author.who,
        author.request,
        told.code(),
        told.before,
        told.after,
        list(&told.joined)?,
        list(&told.left)?,
        told.password_set,
    ])?;
    Ok(())
}

/// What happened after a position, oldest first.
pub(super) fn after(db: &Connection, position: Position, limit: u32) -> rusqlite::Result<Vec<Event>> {
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
        position: Position(row.get::<_, i64>(0)?.unsigned_abs()),
        what: EventDraft {
            tenant: TenantNumber(row.get(1)?),
            at: Time(row.get(2)?),
            connection: connection.map(|_| id(3, row).map(ConnectionId)).transpose()?,
            who: row.get(4)?,
            request: row.get(5)?,
            action: action(row.get(6)?),
            before: optional(record(7))?.flatten(),
            after: optional(record(8))?.flatten(),
            joined: list(9)?,
            left: list(10)?,
            password_set: row.get(11)?,
        },
    })
}
