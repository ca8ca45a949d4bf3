//! Stores the results of pushes.

use crate::Shared;
use crate::held_lease::HeldLease;
use crate::push::Pushed;
use directory::{
    Caller, DirectoryError, PushAttempt, PushFault, RemoteState, RemoteUser, RowWrite, Target, Time, UserId,
};
use std::collections::{HashMap, HashSet};

/// A push, with the row as the store has had it since it was taken.
pub(crate) struct Finished {
    pub(crate) taken: RemoteUser,
    pub(crate) pushed: Pushed,
}

/// How often a result is stored again after others have changed the row.
const ATTEMPTS: u32 = 10;
/// Seconds until a search after a response with the id of another user's account.
const SEARCH_SECONDS: i64 = 5;

/// Stores results and attempts. Returns when the first of the rows is due again.
pub(crate) async fn store_results(
    shared: &Shared,
    caller: &Caller,
    target: &Target,
    lease: &HeldLease,
    finished: Vec<Finished>,
) -> Result<Option<Time>, DirectoryError> {
    let now = shared.directory.now();
    let attempts: Vec<PushAttempt> = finished.iter().flat_map(|it| attempts_of(shared, target, it, now)).collect();
    let mut attempt_writes = Vec::new();
    for attempt in &attempts {
        attempt_writes.push(attempt.insert().map_err(|error| DirectoryError::Internal(error.to_string()))?);
    }
    if has_same_accounts(&finished) {
        return store_one_by_one(shared, caller, target, lease, finished, attempt_writes).await;
    }
    let mut fresh: HashMap<UserId, RemoteUser> = HashMap::new();
    for attempt in 0..ATTEMPTS {
        let mut writes = vec![lease.guard()];
        let mut next: Option<Time> = None;
        for it in &finished {
            let (write, due) = write_of(it, fresh.get(&it.taken.user), attempt > 0, now)?;
            writes.extend(write);
            next = next.into_iter().chain(due).min();
        }
        writes.extend(attempt_writes.iter().cloned());
        match shared.directory.commit_task_rows(caller, writes).await {
            Ok(()) => return Ok(next),
            Err(DirectoryError::Conflict) if lease.is_held() => {
                let users: Vec<UserId> = finished.iter().map(|it| it.taken.user).collect();
                fresh = shared.directory.remote_users(caller, target.number, &users).await?;
            }
            Err(error) if is_taken_account(&error) => {
                return store_one_by_one(shared, caller, target, lease, finished, attempt_writes).await;
            }
            Err(error) => return Err(error),
        }
    }
    Err(DirectoryError::Conflict)
}

/// Whether the target has shown one id for two users.
fn has_same_accounts(finished: &[Finished]) -> bool {
    let ids = finished.iter().filter_map(|it| it.pushed.row.as_ref()?.remote_id.as_deref());
    let mut seen = HashSet::new();
    !ids.into_iter().all(|id| seen.insert(id))
}

fn is_taken_account(error: &DirectoryError) -> bool {
    matches!(error, DirectoryError::Invalid(_))
}

/// The target has shown the id of another user's account: that user keeps it, and the account is searched for.
async fn store_one_by_one(
    shared: &Shared,
    caller: &Caller,
    target: &Target,
    lease: &HeldLease,
    finished: Vec<Finished>,
    attempts: Vec<RowWrite>,
) -> Result<Option<Time>, DirectoryError> {
    let now = shared.directory.now();
    let mut next: Option<Time> = None;
    let writes = std::iter::once(lease.guard()).chain(attempts).collect();
    shared.directory.commit_task_rows(caller, writes).await?;
    for mut it in finished {
        for _ in 0..ATTEMPTS {
            let users = [it.taken.user];
            let fresh = shared.directory.remote_users(caller, target.number, &users).await?;
            let (write, due) = write_of(&it, fresh.get(&it.taken.user), true, now)?;
            let writes = std::iter::once(lease.guard()).chain(write).collect();
            match shared.directory.commit_task_rows(caller, writes).await {
                Ok(()) => {
                    next = next.into_iter().chain(due).min();
                    break;
                }
                Err(error) if is_taken_account(&error) => {
                    let Some(row) = it.pushed.row.take() else { break };
                    let is_proven = row.state == RemoteState::Linked;
                    let is_released = is_proven && release_unproven(shared, caller, lease, &row, now).await?;
                    it.pushed.row = Some(if is_released { row } else { in_doubt(&row, now) });
                    next = next.into_iter().chain([now.plus_seconds(SEARCH_SECONDS)]).min();
                }
                Err(DirectoryError::Conflict) if lease.is_held() => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(next)
}

/// The account is to be searched for.
fn in_doubt(row: &RemoteUser, now: Time) -> RemoteUser {
    RemoteUser {
        state: RemoteState::Creating,
        remote_id: None,
        digest: None,
        attempts: 0,
        due: Some(now.plus_seconds(SEARCH_SECONDS)),
        fault: PushFault::Temporary,
        fault_detail: Some("the target has shown the id of another user's account".into()),
        ..row.clone()
    }
}

/// Takes the account of a row from another row that got it without proof. Returns whether it is free.
async fn release_unproven(
    shared: &Shared,
    caller: &Caller,
    lease: &HeldLease,
    row: &RemoteUser,
    now: Time,
) -> Result<bool, DirectoryError> {
    let Some(id) = row.remote_id.clone() else { return Ok(true) };
    let query = RemoteUser::with_remote_id((row.tenant, row.target), id);
    let holders: Vec<RemoteUser> = shared.directory.target_records(caller, query).await?;
    let Some(holder) = holders.first() else { return Ok(true) };
    if holder.state != RemoteState::Unverified || holder.user == row.user {
        return Ok(false);
    }
    let write = in_doubt(holder, now).replace(holder);
    let write = write.map_err(|error| DirectoryError::Internal(error.to_string()))?;
    match shared.directory.commit_task_rows(caller, vec![lease.guard(), write]).await {
        Ok(()) => Ok(true),
        Err(DirectoryError::Conflict) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The write for a result, and when the row is due. `fresh` is the row as stored, if it was read again.
fn write_of(
    finished: &Finished,
    fresh: Option<&RemoteUser>,
    was_read: bool,
    now: Time,
) -> Result<(Option<RowWrite>, Option<Time>), DirectoryError> {
    let Finished { taken, pushed, .. } = finished;
    let stored = match (fresh, was_read) {
        (Some(fresh), _) => fresh,
        (None, false) => taken,
        // Another process has deleted it, such as after the removal of the target.
        (None, true) => return Ok((None, None)),
    };
    let is_marked = stored.target_position > taken.target_position || stored.priority < taken.priority;
    let encode = |result: Result<RowWrite, serde_json::Error>| {
        result.map(Some).map_err(|error| DirectoryError::Internal(error.to_string()))
    };
    let is_excluded = stored.fault == PushFault::Excluded;
    let mut row = match &pushed.row {
        Some(row) => row.clone(),
        None if !is_marked && !is_excluded => return Ok((Some(stored.delete()), None)),
        None => RemoteUser { due: None, ..RemoteUser::new((taken.tenant, taken.target), taken.user, taken.shard) },
    };
    if is_excluded {
        row.fault = PushFault::Excluded;
        row.due = None;
    } else if is_marked {
        row.mark(stored.target_position, stored.priority, now);
    }
    if stored.digest.is_none() && taken.digest.is_some() {
        // Everything is to be sent again.
        row.digest = None;
        row.mark(stored.target_position, stored.priority, now);
    }
    Ok((encode(row.replace(stored))?, row.due))
}

fn attempts_of<'a>(
    shared: &'a Shared,
    target: &'a Target,
    finished: &'a Finished,
    now: Time,
) -> impl Iterator<Item = PushAttempt> + 'a {
    let allowed = finished.pushed.exchanges.iter().filter(move |exchange| shared.attempts.allow(target, exchange, now));
    allowed.zip(0..).map(move |(exchange, place)| PushAttempt {
        id: exchange.id,
        tenant: target.tenant,
        target: target.number,
        user: finished.taken.user,
        // In their order.
        at: Time(now.0 + place),
        action: exchange.action.to_owned(),
        outcome: exchange.outcome_name().to_owned(),
        status: exchange.status.map(u32::from),
        milliseconds: u32::try_from(exchange.duration.as_millis()).unwrap_or(u32::MAX) & 0x7fff_ffff,
        detail: exchange.detail(),
    })
}
