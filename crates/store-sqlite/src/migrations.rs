//! Schema migrations: ordered, embedded, checksummed, forward only.
//!
//! A released migration is never edited; a store that was migrated with another text is rejected.

use super::open_error::{SqliteOpenError, to_open_error};
use rusqlite::{Connection, TransactionBehavior};
use std::path::Path;
use store::sql;

/// Name and statements of each file of `migrations`, in order. [`super::identifier_migration`] completes
/// `identifiers`, [`super::event_subjects_migration`] `event subjects`.
const STEPS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

const IDENTIFIERS: &str = "identifiers";
const EVENT_SUBJECTS: &str = "event subjects";

/// Upgrades the store, each migration in its own transaction.
pub(super) fn run(db: &mut Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let broken = |error: rusqlite::Error| to_open_error(path, &error);
    if is_up_to_date(db) {
        return Ok(());
    }
    let table = sql::CREATE_MIGRATIONS_TABLE.sqlite;
    db.execute(table, []).map_err(broken)?;
    let latest = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    for (number, (name, sql)) in (1_u32..).zip(STEPS) {
        let step = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(broken)?;
        let newest: Option<u32> = step.query_row(sql::NEWEST_MIGRATION.sqlite, [], |row| row.get(0)).map_err(broken)?;
        if let Some(newest) = newest.filter(|newest| *newest > latest) {
            return Err(SqliteOpenError::Newer(path.into(), newest, latest));
        }
        let checksum = sql::checksum(sql);
        let applied = step.query_row(sql::MIGRATION_CHECKSUM.sqlite, [number], |row| row.get::<_, String>(0));
        match applied {
            Ok(before) if before == checksum => continue,
            Ok(_) => return Err(SqliteOpenError::MigrationMismatch(path.into(), number)),
            Err(rusqlite::Error::QueryReturnedNoRows) => {}
            Err(error) => return Err(broken(error)),
        }
        tracing::info!(step = number, of = latest, name, "upgrading the store");
        step.execute_batch(sql).map_err(broken)?;
        match *name {
            IDENTIFIERS => super::identifier_migration::migrate_identifiers(&step).map_err(broken)?,
            EVENT_SUBJECTS => super::event_subjects_migration::add_event_subjects(&step).map_err(broken)?,
            _ => {}
        }
        let insert = sql::ADD_MIGRATION.sqlite;
        step.execute(insert, (number, name, checksum)).map_err(broken)?;
        step.commit().map_err(broken)?;
    }
    Ok(())
}

/// The newest migration of a store that an older version has made; `None` if the store is new or current.
pub(super) fn outdated_schema(db: &Connection) -> Option<u32> {
    let newest = db.query_row(sql::NEWEST_MIGRATION.sqlite, [], |row| row.get::<_, Option<u32>>(0));
    newest.ok().flatten().filter(|newest| (*newest as usize) < STEPS.len())
}

/// Whether all migrations are applied. Then nothing is written, and no lock of another process delays opening.
fn is_up_to_date(db: &Connection) -> bool {
    let is_applied = |(number, (_, sql)): (u32, &(&str, &str))| {
        let applied = db.query_row(sql::MIGRATION_CHECKSUM.sqlite, [number], |row| row.get::<_, String>(0));
        applied.is_ok_and(|checksum| checksum == sql::checksum(sql))
    };
    let newest = db.query_row(sql::NEWEST_MIGRATION.sqlite, [], |row| row.get::<_, Option<u32>>(0));
    let is_latest = newest.is_ok_and(|newest| newest.map(|newest| newest as usize) == Some(STEPS.len()));
    is_latest && (1_u32..).zip(STEPS).all(is_applied)
}

/// Fails unless the store has the current schema. Upgrades nothing.
pub(super) fn ensure_current(db: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let latest = u32::try_from(STEPS.len()).unwrap_or(u32::MAX);
    let newest: Option<u32> = db
        .query_row(sql::NEWEST_MIGRATION.sqlite, [], |row| row.get(0))
        .map_err(|error| to_open_error(path, &error))?;
    match newest.unwrap_or(0) {
        newest if newest > latest => Err(SqliteOpenError::Newer(path.into(), newest, latest)),
        newest if newest < latest => Err(SqliteOpenError::Older(path.into(), newest, latest)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    /// If this fails, add a migration instead of editing a released one. New ones are listed when they are released.
    #[test]
    fn released_steps_are_never_edited() {
        let released: Vec<&str> = include_str!("../migrations/checksums.txt").lines().collect();
        let sums: Vec<String> = super::STEPS.iter().map(|(_, text)| store::sql::checksum(text)).collect();
        assert_eq!(sums[..released.len()], released);
    }
}
