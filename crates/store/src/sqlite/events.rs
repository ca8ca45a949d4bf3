//! Events as rows: written with the change that made them, read in order.

use super::rows::{decode, encode, id, optional};
use directory::{Action, ConnectionId, Event, EventDraft, Position, TenantNumber, Time, UserId};
use rusqlite::{Connection, params};

/// Who made a change.
pub(super) struct Author {
    pub(super) tenant: TenantNumber,
    pub(super) at: Time,
    pub(super) connection: Option<ConnectionId>,
    pub(super) who: String,
    pub(super) request: String,
}

/// What one edit tells, its records encoded already.
pub(super) struct Told {
    pub(super) action: Action,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
    pub(super) joined: Vec<UserId>,
    pub(super) left: Vec<UserId>,
    pub(super) password_set: bool,
    /// The tenant it is about, where that is not the author's.
    pub(super) tenant: Option<TenantNumber>,
}

impl Told {
    pub(super) fn new(action: Action) -> Self {
        Self {
            action,
            before: None,
            after: None,
            joined: Vec::new(),
            left: Vec::new(),
            password_set: false,
            tenant: None,
        }
    }
}

/// Writes one event and gives its position. The one writer gives positions, so they follow the commits.
pub(super) fn write(db: &Connection, author: &Author, told: &Told) -> rusqlite::Result<Position> {
    let sql = "INSERT INTO events
        (tenant, at, connection, who, request, action, before, after, joined, left, password_set)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let list = |ids: &[UserId]| if ids.is_empty() { Ok(None) } else { encode(&ids).map(Some) };
    let position = db.prepare_cached(sql)?.insert(params![
        told.tenant.unwrap_or(author.tenant).0,
        author.at.0,
        author.connection.as_ref().map(|c| c.0.as_bytes()),
        author.who,
        author.request,
        match told.action {
            Action::Created => 1,
            Action::Updated => 2,
            Action::Deleted => 3,
        },
        told.before,
        told.after,
        list(&told.joined)?,
        list(&told.left)?,
        told.password_set,
    ])?;
    Ok(Position(position.unsigned_abs()))
}

/// What happened after a position, oldest first.
pub(super) fn after(db: &Connection, position: Position, limit: u32) -> rusqlite::Result<Vec<Event>> {
    let sql = "SELECT position, tenant, at, connection, who, request, action, before, after, joined, left,
        password_set FROM events WHERE position > ?1 ORDER BY position LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
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
            action: match row.get(6)? {
                1 => Action::Created,
                2 => Action::Updated,
                _ => Action::Deleted,
            },
            before: optional(record(7))?.flatten(),
            after: optional(record(8))?.flatten(),
            joined: list(9)?,
            left: list(10)?,
            password_set: row.get(11)?,
        },
    })
}
