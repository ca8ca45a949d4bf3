//! Leases of all processes that have the database open, and of the one that assigns event positions.

use super::managed_connection::Session;
use super::pg_error::PgError;
use super::retry::BACKOFF;
use super::{DatabaseUrl, PostgresOpenError};
use backon::Retryable;
use std::time::{Duration, Instant};
use store::sql;
use uuid::Uuid;

pub(super) const SEQUENCER_LEASE: &str = "sealer";

pub(super) const LEASE_DURATION_MILLIS: i64 = 5_000;

/// How often a holder renews a lease, and how often others try to take it.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_millis(1_500);

pub(super) fn lease_duration() -> Duration {
    Duration::from_millis(LEASE_DURATION_MILLIS.unsigned_abs())
}

pub(super) async fn release_exclusive(session: &Session, me: Uuid) -> Result<(), PgError> {
    session.execute(sql::RELEASE_LEASE.postgres, &[&SEQUENCER_LEASE, &me]).await?;
    session.execute(sql::RELEASE_EXCLUSIVE_LOCK.postgres, &[&me]).await.map(|_| ())
}

pub(super) async fn renew_process_lease(session: &Session, me: Uuid) -> Result<(), PgError> {
    let name = format!("process {me}");
    session.query_opt(sql::ACQUIRE_LEASE.postgres, &[&name, &me, &LEASE_DURATION_MILLIS]).await.map(|_| ())
}

/// Takes the process lease, and the sequencer lease if it is free. Returns when the latter expires.
///
/// # Errors
/// [`PostgresOpenError::InUse`] if a process holds the database exclusively.
pub(super) async fn register_process(
    session: &Session,
    address: &DatabaseUrl,
    me: Uuid,
) -> Result<Option<Instant>, PostgresOpenError> {
    let failed = |trouble| PostgresOpenError::from_pg(address, &trouble);
    let leases = || async {
        // Removes the leases of killed processes.
        session.execute(sql::REMOVE_PROCESS_LEASES.postgres, &[&me]).await?;
        renew_process_lease(session, me).await?;
        let begun = Instant::now();
        let taken =
            session.query_opt(sql::ACQUIRE_LEASE.postgres, &[&SEQUENCER_LEASE, &me, &LEASE_DURATION_MILLIS]).await?;
        Ok::<_, PgError>(taken.map(|_| begun + lease_duration()))
    };
    let conflicts = |trouble: &PgError| matches!(trouble, PgError::Conflict(_));
    let until = leases.retry(BACKOFF.with_max_times(50)).when(conflicts).await.map_err(failed)?;
    if session.query_opt(sql::EXCLUSIVE_LOCK_HOLDER.postgres, &[]).await.map_err(failed)?.is_some() {
        session.execute(sql::RELEASE_LEASE.postgres, &[&SEQUENCER_LEASE, &me]).await.map_err(failed)?;
        session.execute(sql::REMOVE_PROCESS_LEASES.postgres, &[&me]).await.map_err(failed)?;
        return Err(PostgresOpenError::InUse(address.to_string()));
    }
    Ok(until)
}
