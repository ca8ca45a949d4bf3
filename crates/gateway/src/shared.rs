//! What all tasks of the gateway share.

use crate::attempt_limit::AttemptLimit;
use crate::held_lease::HeldLease;
use crate::master_key::MasterKeySource;
use crate::metrics::GatewayMetrics;
use crate::signals::Signals;
use directory::{
    Caller, Directory, DirectoryError, PushFault, PushPriority, RemoteState, RemoteUser, RowWrite, Target, Time, UserId,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub(crate) struct Shared {
    pub(crate) directory: Arc<Directory>,
    /// This process, as the holder of leases.
    pub(crate) holder: Uuid,
    pub(crate) keys: MasterKeySource,
    pub(crate) signals: Signals,
    pub(crate) metrics: Arc<GatewayMetrics>,
    pub(crate) attempts: AttemptLimit,
}

/// Rows that are marked at a time.
const BATCH: u32 = 250;
/// Rows that are moved at a time: more than can have the same time.
const SHIFT_BATCH: u32 = 1_000;

impl Shared {
    /// Makes the rows due that have failed for reasons that did not depend on the user.
    pub(crate) async fn retry_temporary(
        &self,
        caller: &Caller,
        target: &Target,
        lease: &HeldLease,
    ) -> Result<(), DirectoryError> {
        let mut query = RemoteUser::with_fault((caller.tenant, target.number), PushFault::Temporary, BATCH);
        loop {
            let rows: Vec<RemoteUser> = self.directory.target_records(caller, query).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            query = last.after_same_fault(BATCH);
            let now = self.directory.now();
            let is_later = |row: &&RemoteUser| {
                // Some time must pass between two searches for an account that may have been created.
                row.state != RemoteState::Creating
                    && row.due.is_some_and(|due| now < due)
                    && row.in_flight_until.is_none_or(|until| until <= now)
            };
            let mut writes = vec![lease.guard()];
            for row in rows.iter().filter(is_later) {
                writes.push(encoded(RemoteUser { due: Some(now), ..row.clone() }.replace(row))?);
            }
            match self.directory.commit_task_rows(caller, writes).await {
                // Another process has changed one of the rows: they are due later by themselves.
                Ok(()) | Err(DirectoryError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves what is due later to an earlier time, after the clock was set back.
    pub(crate) async fn shift_due(
        &self,
        caller: &Caller,
        target: &Target,
        lease: &HeldLease,
        by: Duration,
    ) -> Result<(), DirectoryError> {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let key = (caller.tenant, target.number);
        for (shard, priority) in (0..target.limits.shards).flat_map(|it| PushPriority::ALL.map(|other| (it, other))) {
            let mut after = self.directory.now();
            loop {
                let query = RemoteUser::due_after(key, shard, priority, after, SHIFT_BATCH);
                let rows: Vec<RemoteUser> = self.directory.target_records(caller, query).await?;
                let Some(last) = rows.last().and_then(|row| row.due) else { break };
                let now = self.directory.now();
                let earlier = |time: Time| Time(time.0.saturating_sub(by).max(now.0));
                let mut writes = vec![lease.guard()];
                for row in &rows {
                    let moved = RemoteUser {
                        due: row.due.map(earlier),
                        in_flight_until: row.in_flight_until.map(earlier),
                        ..row.clone()
                    };
                    writes.push(encoded(moved.replace(row))?);
                }
                match self.directory.commit_task_rows(caller, writes).await {
                    Ok(()) => after = last,
                    // A worker has stored results: read again.
                    Err(DirectoryError::Conflict) if lease.is_held() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Marks users whose manager was missing in the target and is there now. Returns whether others still wait.
    pub(crate) async fn wake_waiting(
        &self,
        caller: &Caller,
        target: &Target,
        lease: &HeldLease,
    ) -> Result<bool, DirectoryError> {
        let mut query = RemoteUser::waiting((caller.tenant, target.number), BATCH);
        let mut still_waiting = false;
        loop {
            let rows: Vec<RemoteUser> = self.directory.target_records(caller, query).await?;
            let Some(last) = rows.last() else { return Ok(still_waiting) };
            query = last.after_waiting(BATCH);
            let mut awaited: Vec<UserId> = rows.iter().filter_map(|row| row.waits_for).collect();
            awaited.dedup();
            let accounts = self.directory.remote_users(caller, target.number, &awaited).await?;
            let has_arrived = |row: &RemoteUser| {
                let account = row.waits_for.and_then(|manager| accounts.get(&manager));
                account.is_some_and(|it| matches!(it.state, RemoteState::Linked | RemoteState::Unverified))
            };
            let now = self.directory.now();
            let mut writes = vec![lease.guard()];
            for row in &rows {
                if !has_arrived(row) {
                    still_waiting = true;
                    continue;
                }
                let mut marked = RemoteUser { waits_for: None, ..row.clone() };
                marked.mark(row.target_position, PushPriority::Change, now);
                writes.push(encoded(marked.replace(row))?);
            }
            if writes.len() == 1 {
                continue;
            }
            match self.directory.commit_task_rows(caller, writes).await {
                Ok(()) => {}
                Err(DirectoryError::Conflict) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

fn encoded(write: Result<RowWrite, serde_json::Error>) -> Result<RowWrite, DirectoryError> {
    write.map_err(|error| DirectoryError::Internal(error.to_string()))
}
