//! Checks and dumps a database while others use it.

use super::managed_connection::{Connector, Session, first_session};
use super::migrations::{self, MigrationMode};
use super::pg_error::PgError;
use super::{DatabaseUrl, Postgres, PostgresOpenError, PostgresOptions, check, dump, restore};
use crate::archive::{ArchiveError, EntrySink};
use crate::{CheckReport, sql};
use std::sync::Arc;

impl Postgres {
    /// Checks a whole database. Changes nothing.
    pub fn check(address: &DatabaseUrl, options: &PostgresOptions) -> Result<CheckReport, PostgresOpenError> {
        let checked = with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            let mut tries = 0;
            loop {
                match check::check(session).await {
                    // A serializable snapshot can conflict with writers.
                    Err(PgError::Conflict(_)) if tries < 20 => {
                        tries += 1;
                        session.batch_execute(sql::ROLLBACK.postgres).await?;
                    }
                    done => return Ok(done?),
                }
            }
        });
        checked.map_err(|error| match error {
            ArchiveError::Server(error) => error,
            error => PostgresOpenError::Other(address.to_string(), error.to_string()),
        })
    }

    /// Sends everything a database holds to `to`, from one snapshot. Changes nothing.
    pub fn dump(address: &DatabaseUrl, options: &PostgresOptions, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            dump::all(session, to).await
        })
    }
}

/// Rejects a database whose restore is not complete.
pub(super) async fn ensure_complete(session: &Session, address: &DatabaseUrl) -> Result<(), ArchiveError> {
    match restore::restore_in_progress(session).await? {
        Some(filling) => Err(PostgresOpenError::IncompleteRestore(address.to_string(), filling.origin).into()),
        None => Ok(()),
    }
}

/// Opens one connection, runs a task on it, and blocks until it ends.
fn with_session<T>(
    address: &DatabaseUrl,
    options: &PostgresOptions,
    may: MigrationMode,
    task: impl AsyncFnOnce(&Session) -> Result<T, ArchiveError>,
) -> Result<T, ArchiveError> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(PostgresOpenError::Thread)?;
    let (place, names) = (runtime.handle().clone(), options.named_statements);
    let target = Arc::new(Connector::new(address.clone(), place, names, may == MigrationMode::ReadOnly));
    let me = options.ids.next_id();
    runtime.block_on(async {
        let session = first_session(&target).await.map_err(|trouble| PostgresOpenError::from_pg(address, &trouble))?;
        migrations::run(&session, address, me, may).await?;
        task(&session).await
    })
}
