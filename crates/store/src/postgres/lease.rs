//! Leases: that of the one process that gives events their positions, and those of all processes that have the database open.

use super::line::Session;
use super::retry::DELAYS;
use super::trouble::Trouble;
use super::{Address, OpenError};
use crate::sql;
use backon::Retryable;
use std::time::{Duration, Instant};
use uuid::Uuid;

pub(super) const LEASE: &str = "sealer";

/// How long the lease is good for without being kept.
pub(super) const LEASE_MILLIS: i64 = 5_000;

/// How often it is kept, and how often others look whether it is free.
pub(super) const KEEP: Duration = Duration::from_millis(1_500);

pub(super) fn lease() -> Duration {
    Duration::from_millis(LEASE_MILLIS.unsigned_abs())
}

/// Gives the database back.
pub(super) async fn end(session: &Session, me: Uuid) -> Result<(), Trouble> {
    session.change(sql::RELEASE_LEASE.postgres, &[&LEASE, &me]).await?;
    session.change(sql::RELEASE_EXCLUSIVE_LOCK.postgres, &[&me]).await.map(|_| ())
}

/// Takes or keeps the lease of a process that has the database open.
pub(super) async fn keep_process(session: &Session, me: Uuid) -> Result<(), Trouble> {
    let name = format!("process {me}");
    session.row(sql::ACQUIRE_LEASE.postgres, &[&name, &me, &LEASE_MILLIS]).await.map(|_| ())
}

/// Takes the leases of a process that opens a database; until when it has that of the sequencer, unless another process
/// has it.
///
/// # Errors
/// Another process holds the database.
pub(super) async fn join(
    session: &Session,
    address: &Address,
    me: Uuid,
) -> Result<Option<Instant>, OpenError> {
    let failed = |trouble| OpenError::of(address, &trouble);
    let leases = || async {
        // Removes the leases of killed processes.
        session.change(sql::REMOVE_PROCESS_LEASES.postgres, &[&me]).await?;
        keep_process(session, me).await?;
        let begun = Instant::now();
        let taken = session.row(sql::ACQUIRE_LEASE.postgres, &[&LEASE, &me, &LEASE_MILLIS]).await?;
        Ok::<_, Trouble>(taken.map(|_| begun + lease()))
    };
    let conflicts = |trouble: &Trouble| matches!(trouble, Trouble::Again(_));
    let until = leases.retry(DELAYS.with_max_times(50)).when(conflicts).await.map_err(failed)?;
    if session.row(sql::EXCLUSIVE_LOCK_HOLDER.postgres, &[]).await.map_err(failed)?.is_some() {
        session.change(sql::RELEASE_LEASE.postgres, &[&LEASE, &me]).await.map_err(failed)?;
        session.change(sql::REMOVE_PROCESS_LEASES.postgres, &[&me]).await.map_err(failed)?;
        return Err(OpenError::InUse(address.to_string()));
    }
    Ok(until)
}
