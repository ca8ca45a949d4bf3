//! Schema migrations for engines that speak the PostgreSQL protocol: ordered, embedded, checksummed, forward only.
//!
//! Each statement runs on its own and may run twice, so an interrupted step simply runs again. The migrating
//! process holds a lease row, and processes that start meanwhile wait for it. A current database is only read.

use super::PostgresOpenError;
use super::database_url::DatabaseUrl;
use super::lease::{LEASE_DURATION, acquire_lease, other_process_exists, release_lease};
use super::managed_connection::Session;
use super::pg_error::PgError;
use super::retry::BACKOFF;
use backon::{ConstantBuilder, Retryable};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use store::sql;
use uuid::Uuid;

/// Name and statements of each file of `migrations`, in order. [`super::identifier_migration`] completes
/// `identifiers`, [`super::event_subjects_migration`] `event subjects`.
pub(crate) const STEPS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

const IDENTIFIERS: &str = "identifiers";
const EVENT_SUBJECTS: &str = "event subjects";

const MIGRATION_LEASE: &str = "migrations";
const MIGRATION_LEASE_DURATION: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MigrationMode {
    CreateAndUpgrade,
    Upgrade,
    /// Creates the tables, or upgrades them if they hold no tenants.
    CreateOrUpgradeEmpty,
    ReadOnly,
}

/// Migrates the database as far as `mode` allows, and fails if it is not current then.
pub(super) async fn run(
    session: &Session,
    address: &DatabaseUrl,
    me: Uuid,
    mode: MigrationMode,
) -> Result<(), PostgresOpenError> {
    let to_open_error = |error: PgError| PostgresOpenError::from_pg(address, &error);
    // Checked first: a role that may not create tables can use a current database.
    match applied(session).await {
        Ok(done) if is_current(&done, address)? => return Ok(()),
        // Undefined table.
        Err(PgError::Other(text))
            if text.starts_with("42P01") && matches!(mode, MigrationMode::Upgrade | MigrationMode::ReadOnly) =>
        {
            return Err(PostgresOpenError::NoSchema(address.to_string()));
        }
        Ok(done)
            if mode == MigrationMode::ReadOnly
                || mode == MigrationMode::CreateOrUpgradeEmpty && has_tenants(session).await =>
        {
            let (newest, latest) = (done.keys().max().copied().unwrap_or(0), STEPS.len());
            return Err(PostgresOpenError::Older(address.to_string(), newest.unsigned_abs(), latest));
        }
        Ok(_) | Err(_) => {}
    }
    execute_ddl(session, sql::CREATE_LEASES_TABLE.postgres).await.map_err(to_open_error)?;
    while !acquire_migration_lease(session, me).await.map_err(to_open_error)? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let done = migrate(session, address, me).await;
    retry_conflicts(|| release_lease(session, MIGRATION_LEASE, me)).await.map_err(to_open_error)?;
    done
}

async fn has_tenants(session: &Session) -> bool {
    let found = session.query_opt(sql::COUNT_TENANTS.postgres, &[]).await;
    // A missing table counts as empty.
    found.is_ok_and(|row| row.is_some_and(|row| row.try_get::<_, i64>(0).is_ok_and(|many| many > 0)))
}

async fn migrate(session: &Session, address: &DatabaseUrl, me: Uuid) -> Result<(), PostgresOpenError> {
    let to_open_error = |error: PgError| PostgresOpenError::from_pg(address, &error);
    execute_ddl(session, sql::CREATE_MIGRATIONS_TABLE.postgres).await.map_err(to_open_error)?;
    let done = applied(session).await.map_err(to_open_error)?;
    is_current(&done, address)?;
    for (number, (name, text)) in (1_i32..).zip(STEPS) {
        if done.contains_key(&number) {
            continue;
        }
        // Before each step: an older one may have been started meanwhile.
        if !done.is_empty() {
            wait_for_older_processes(session, address, me).await?;
        }
        tracing::info!(step = number, of = STEPS.len(), name, "upgrading the store");
        for statement in split_statements(text) {
            execute_ddl(session, &statement).await.map_err(to_open_error)?;
        }
        let renew_lease = || async {
            if acquire_migration_lease(session, me).await? {
                return Ok(());
            }
            Err(PgError::Unavailable("another process is migrating the store".into()))
        };
        let completed = match *name {
            IDENTIFIERS => super::identifier_migration::migrate_identifiers(session, renew_lease).await,
            EVENT_SUBJECTS => super::event_subjects_migration::add_event_subjects(session, renew_lease).await,
            _ => Ok(()),
        };
        completed.map_err(to_open_error)?;
        let sum = sql::checksum(text);
        let add = async || session.execute(sql::ADD_MIGRATION.postgres, &[&number, name, &sum]).await;
        retry_conflicts(add).await.map_err(to_open_error)?;
    }
    Ok(())
}

/// Waits until no other process has the database open: an older version could not use it any more. The lease of a
/// process that was killed expires soon.
async fn wait_for_older_processes(session: &Session, address: &DatabaseUrl, me: Uuid) -> Result<(), PostgresOpenError> {
    let begun = Instant::now();
    loop {
        let other = other_process_exists(session, me).await;
        if !other.map_err(|error| PostgresOpenError::from_pg(address, &error))? {
            return Ok(());
        }
        if begun.elapsed() > LEASE_DURATION {
            return Err(PostgresOpenError::InUse(address.to_string()));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn applied(session: &Session) -> Result<HashMap<i32, String>, PgError> {
    let rows = session.query(sql::APPLIED_MIGRATIONS.postgres, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Whether all steps are applied. Fails if a newer or a different step was applied.
fn is_current(done: &HashMap<i32, String>, address: &DatabaseUrl) -> Result<bool, PostgresOpenError> {
    let latest = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
    if let Some(newest) = done.keys().max().filter(|newest| **newest > latest) {
        return Err(PostgresOpenError::Newer(address.to_string(), newest.unsigned_abs(), latest.unsigned_abs()));
    }
    for (number, (_, text)) in (1_i32..).zip(STEPS) {
        match done.get(&number) {
            Some(sum) if *sum == sql::checksum(text) => {}
            Some(_) => {
                return Err(PostgresOpenError::MigrationMismatch(address.to_string(), number.unsigned_abs()));
            }
            None => return Ok(false),
        }
    }
    Ok(true)
}

async fn acquire_migration_lease(session: &Session, me: Uuid) -> Result<bool, PgError> {
    retry_conflicts(|| acquire_lease(session, MIGRATION_LEASE, me, MIGRATION_LEASE_DURATION)).await
}

/// Repeats a task after conflicts with other processes.
async fn retry_conflicts<T, F: Future<Output = Result<T, PgError>>>(task: impl FnMut() -> F) -> Result<T, PgError> {
    let is_conflict = |trouble: &PgError| matches!(trouble, PgError::Conflict(_));
    task.retry(BACKOFF.with_max_times(200)).when(is_conflict).await
}

/// Retries if another process creates the same object: despite `IF NOT EXISTS`, concurrent creates can conflict
/// in the catalog.
async fn execute_ddl(session: &Session, statement: &str) -> Result<(), PgError> {
    let delays = ConstantBuilder::new().with_delay(Duration::from_millis(25)).with_max_times(20);
    let is_collision = |trouble: &PgError| match trouble {
        PgError::UniqueViolation(_) | PgError::Conflict(_) => true,
        // "Already exists", despite `IF NOT EXISTS`.
        PgError::Other(text) => ["42P07", "42710"].iter().any(|code| text.starts_with(code)),
        _ => false,
    };
    let done = (|| session.batch_execute(statement)).retry(delays).when(is_collision).await;
    match done {
        // The table has its new primary key already: the step runs again.
        Err(PgError::Other(text)) if text.starts_with("42P16") && statement.contains("PRIMARY KEY") => Ok(()),
        done => done,
    }
}

/// The statements of a step. None of ours contains a semicolon.
pub(crate) fn split_statements(step: &str) -> Vec<String> {
    let plain: Vec<&str> = step.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let plain = plain.join("\n");
    plain.split(';').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
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
