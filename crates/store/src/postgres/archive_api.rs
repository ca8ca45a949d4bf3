//! Checks and dumps of a database, while others work with it.

use super::managed_connection::{Connector, Session, first_session};
use super::migrations::{self, MigrationMode};
use super::pg_error::PgError;
use super::{DatabaseUrl, Postgres, PostgresOpenError, PostgresOptions, check, dump, restore};
use crate::archive::{ArchiveError, EntrySink};
use crate::{CheckReport, sql};
use std::sync::Arc;

impl Postgres {
    /// What is wrong in a database: it is read whole, and nothing is changed.
    pub fn check(address: &DatabaseUrl, options: &PostgresOptions) -> Result<CheckReport, PostgresOpenError> {
        let checked = with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            let mut tries = 0;
            loop {
                match check::check(session).await {
                    // A view of everything can meet writers, and is then taken anew.
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

    /// Gives everything a database holds to `to`, as it is now, also while others work with it. Nothing is written.
    pub fn dump(address: &DatabaseUrl, options: &PostgresOptions, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            dump::all(session, to).await
        })
    }
}

/// Refuses a database that holds only a part of what it is to hold.
pub(super) async fn ensure_complete(session: &Session, address: &DatabaseUrl) -> Result<(), ArchiveError> {
    match restore::restore_in_progress(session).await? {
        Some(filling) => Err(PostgresOpenError::IncompleteRestore(address.to_string(), filling.origin).into()),
        None => Ok(()),
    }
}

/// Does something over one connection to a database that is up to date, and waits for it.
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
