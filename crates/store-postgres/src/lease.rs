//! Leases of all processes that have the database open, of the one that assigns event positions and of the one that
//! migrates; and the exclusive lock. The time is that of the database, whatever the clocks of the processes show.

use super::managed_connection::Session;
use super::pg_error::PgError;
use super::retry::BACKOFF;
use super::{DatabaseUrl, PostgresOpenError};
use backon::Retryable;
use std::time::{Duration, Instant, SystemTime};
use store::sql;
use uuid::Uuid;

pub(super) const SEQUENCER_LEASE: &str = "sealer";

pub(super) const LEASE_DURATION: Duration = Duration::from_secs(5);

/// How often a holder renews a lease, and how often others try to take it.
pub(super) const RENEW_INTERVAL: Duration = Duration::from_millis(1_500);

/// The database's time, a parameter of the statements below. It is slightly in the past when they run: leases of other
/// processes seem to last longer, and new ones end earlier.
pub(super) async fn database_time(session: &Session) -> Result<SystemTime, PgError> {
    match session.query_opt(sql::DATABASE_TIME.postgres, &[]).await? {
        Some(row) => row.try_get(0).map_err(PgError::from),
        None => Err(PgError::Other("the database returned no time".into())),
    }
}

/// Acquires or renews a lease. Returns `false` if another process holds it.
pub(super) async fn acquire_lease(
    session: &Session,
    name: &str,
    holder: Uuid,
    duration: Duration,
) -> Result<bool, PgError> {
    let now = database_time(session).await?;
    let row = session.query_opt(sql::ACQUIRE_LEASE.postgres, &[&name, &holder, &now, &(now + duration)]).await?;
    Ok(row.is_some())
}

pub(super) async fn release_lease(session: &Session, name: &str, holder: Uuid) -> Result<(), PgError> {
    let now = database_time(session).await?;
    session.execute(sql::RELEASE_LEASE.postgres, &[&name, &holder, &now]).await.map(drop)
}

/// Acquires or renews the lock on the whole database. Returns `false` if another process holds it.
pub(super) async fn acquire_exclusive_lock(session: &Session, holder: Uuid) -> Result<bool, PgError> {
    let now = database_time(session).await?;
    let row =
        session.query_opt(sql::ACQUIRE_EXCLUSIVE_LOCK.postgres, &[&holder, &now, &(now + LEASE_DURATION)]).await?;
    Ok(row.is_some())
}

/// Releases the lock on the whole database, and the sequencer lease.
pub(super) async fn release_exclusive(session: &Session, holder: Uuid) -> Result<(), PgError> {
    release_lease(session, SEQUENCER_LEASE, holder).await?;
    let now = database_time(session).await?;
    session.execute(sql::RELEASE_EXCLUSIVE_LOCK.postgres, &[&holder, &now]).await.map(drop)
}

pub(super) async fn renew_process_lease(session: &Session, holder: Uuid) -> Result<(), PgError> {
    acquire_lease(session, &format!("process {holder}"), holder, LEASE_DURATION).await.map(drop)
}

/// Removes the lease of this process, and those of killed processes.
pub(super) async fn remove_process_leases(session: &Session, holder: Uuid) -> Result<(), PgError> {
    let now = database_time(session).await?;
    session.execute(sql::REMOVE_PROCESS_LEASES.postgres, &[&holder, &now]).await.map(drop)
}

/// Whether another process has the database open.
pub(super) async fn other_process_exists(session: &Session, holder: Uuid) -> Result<bool, PgError> {
    let now = database_time(session).await?;
    Ok(session.query_opt(sql::OTHER_PROCESS_LEASES.postgres, &[&holder, &now]).await?.is_some())
}

/// Acquires the process lease, and the sequencer lease if it is free. Returns when the latter expires.
///
/// # Errors
/// [`PostgresOpenError::InUse`] if a process holds the database exclusively.
pub(super) async fn register_process(
    session: &Session,
    address: &DatabaseUrl,
    holder: Uuid,
) -> Result<Option<Instant>, PostgresOpenError> {
    let failed = |error| PostgresOpenError::from_pg(address, &error);
    let leases = || async {
        remove_process_leases(session, holder).await?;
        renew_process_lease(session, holder).await?;
        let started = Instant::now();
        let is_acquired = acquire_lease(session, SEQUENCER_LEASE, holder, LEASE_DURATION).await?;
        Ok::<_, PgError>(is_acquired.then_some(started + LEASE_DURATION))
    };
    let conflicts = |error: &PgError| matches!(error, PgError::Conflict(_));
    let until = leases.retry(BACKOFF.with_max_times(50)).when(conflicts).await.map_err(failed)?;
    let is_locked = async {
        let now = database_time(session).await?;
        Ok::<_, PgError>(session.query_opt(sql::EXCLUSIVE_LOCK_HOLDER.postgres, &[&now]).await?.is_some())
    };
    if is_locked.await.map_err(failed)? {
        release_lease(session, SEQUENCER_LEASE, holder).await.map_err(failed)?;
        remove_process_leases(session, holder).await.map_err(failed)?;
        return Err(PostgresOpenError::InUse(address.to_string()));
    }
    Ok(until)
}
