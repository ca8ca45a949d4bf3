//! Checks and dumps a database while others use it.

use super::managed_connection::{Connector, Session, first_session};
use super::migrations::{self, MigrationMode};
use super::snapshot::PostgresSnapshot;
use super::{DatabaseUrl, Postgres, PostgresOpenError, PostgresOptions, restore};
use std::sync::Arc;
use store::archive::{self, ArchiveError, EntrySink};
use store::{CheckReport, OpenError, check, sql};

impl Postgres {
    /// Checks a whole database. Changes nothing.
    pub fn check(address: &DatabaseUrl, options: &PostgresOptions) -> Result<CheckReport, OpenError> {
        let checked = with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            let mut tries = 0;
            loop {
                // One snapshot: changes made meanwhile would look like errors.
                let view = PostgresSnapshot::begin(session, sql::BEGIN_SERIALIZABLE_READ).await?;
                match check::check(&view).await {
                    // A serializable snapshot can conflict with writers.
                    Err(ArchiveError::Conflict) if tries < 20 => tries += 1,
                    done => {
                        view.end().await?;
                        return done;
                    }
                }
                view.end().await?;
            }
        });
        checked.map_err(|error| match error {
            ArchiveError::Open(reason) => reason,
            error => PostgresOpenError::Other(address.to_string(), error.to_string()).into(),
        })
    }

    /// Sends everything a database holds to `to`, from one snapshot. Changes nothing.
    pub fn dump(address: &DatabaseUrl, options: &PostgresOptions, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        with_session(address, options, MigrationMode::ReadOnly, async |session| {
            ensure_complete(session, address).await?;
            dump(session, to).await
        })
    }
}

/// Sends everything a database holds to `to`, from one snapshot.
pub(super) async fn dump(session: &Session, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let view = PostgresSnapshot::begin(session, sql::BEGIN_SNAPSHOT).await?;
    archive::dump(&view, to).await?;
    Ok(view.end().await?)
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
