//! The Rust part of the migration `event subjects`.

use super::events::{add_subjects, event_entry};
use rusqlite::{Connection as Db, params};
use store::event_row::kind_and_known_subjects;
use store::sql;

/// Events read at a time.
const PAGE: i64 = 10_000;

pub(super) fn add_event_subjects(db: &Db) -> rusqlite::Result<()> {
    let (mut last, mut count) = (0, 0);
    loop {
        let mut statement = db.prepare_cached(sql::EVENTS_WITHOUT_KIND.sqlite)?;
        let rows = statement.query_map(params![last, PAGE], event_entry)?.collect::<rusqlite::Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(());
        }
        count += rows.len();
        tracing::info!(events = count, "upgrading the history");
        for row in rows {
            let (kind, subjects) = kind_and_known_subjects(&row);
            last = i64::try_from(row.position).unwrap_or(i64::MAX);
            db.prepare_cached(sql::SET_EVENT_KIND.sqlite)?.execute(params![kind.code(), last])?;
            add_subjects(db, row.tenant, &subjects, last)?;
        }
    }
}
