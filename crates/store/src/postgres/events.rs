//! The history as readers see it: events of batches that have their positions.

use super::line::Session;
use super::param::unsigned;
use super::read::{Reading, decode};
use super::trouble::Trouble;
use crate::sql;
use crate::told;
use directory::{ConnectionId, Event, EventDraft, Position, TenantNumber, Time};
use serde::de::DeserializeOwned;
use tokio_postgres::Row;

/// What happened after a position, oldest first.
pub(super) fn after(session: &Session, position: Position, limit: u32) -> Reading<'_, Vec<Event>> {
    Box::pin(async move {
        let from = i64::try_from(position.0).unwrap_or(i64::MAX);
        let rows = session.rows(sql::EVENTS_AFTER.postgres, &[&from, &i64::from(limit)]).await?;
        rows.iter().map(event).collect()
    })
}

fn event(row: &Row) -> Result<Event, Trouble> {
    Ok(Event {
        position: Position(row.try_get::<_, i64>(0)?.unsigned_abs()),
        what: EventDraft {
            tenant: TenantNumber(unsigned(row.try_get(1)?)),
            at: Time(row.try_get(2)?),
            connection: row.try_get::<_, Option<uuid::Uuid>>(3)?.map(ConnectionId),
            who: row.try_get(4)?,
            request: row.try_get(5)?,
            action: told::action(row.try_get(6)?),
            before: document(row, 7)?,
            after: document(row, 8)?,
            joined: document(row, 9)?.unwrap_or_default(),
            left: document(row, 10)?.unwrap_or_default(),
            password_set: row.try_get(11)?,
        },
    })
}

fn document<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, Trouble> {
    row.try_get::<_, Option<&str>>(column)?.map(decode).transpose()
}
