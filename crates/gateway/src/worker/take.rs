//! Takes due rows, stores that they are being pushed, and begins pushes.

use super::{Done, IDLE, MAX_BATCH, MIN_BATCH, PUSH_SLACK, Queued, Run, STORE_DELAY};
use crate::push::{PushContext, push, unchanged};
use crate::results::Finished;
use crate::source_user::load_source_users;
use directory::{DirectoryError, PushPriority, RemoteState, RemoteUser, Time, UserId};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// At most `capacity` of the rows that this process does not push already, and whether there are others.
fn free_rows(due: Vec<RemoteUser>, held: &HashSet<UserId>, capacity: usize) -> (Vec<RemoteUser>, bool) {
    let mut free: Vec<RemoteUser> = due.into_iter().filter(|row| !held.contains(&row.user)).collect();
    let has_others = free.len() > capacity;
    free.truncate(capacity);
    (free, has_others)
}

impl Run<'_> {
    /// Takes due rows, those with the highest priority first.
    pub(super) async fn take(&mut self) -> Result<(), DirectoryError> {
        let directory = &self.worker.shared.directory;
        let key = (self.caller.tenant, self.worker.target.number);
        let wanted = self.wanted();
        let queued: usize = self.queue.values().map(VecDeque::len).sum();
        (self.look, self.has_more) = (false, false);
        // A row that is due again before that keeps its time.
        if self.next_look <= Instant::now() {
            self.next_look = Instant::now() + IDLE;
        }
        let (mut rows, now): (Vec<RemoteUser>, Time) = (Vec::new(), directory.now());
        for priority in PushPriority::ALL {
            // Removals do not wait for others.
            let capacity =
                if priority == PushPriority::Removal { wanted } else { wanted.saturating_sub(queued + rows.len()) };
            // As few as are queued when rows are taken again.
            if capacity < wanted / 2 && priority != PushPriority::Removal {
                self.has_more = true;
                break;
            }
            // Rows that this process pushes can be due again.
            let limit = u32::try_from(capacity + self.held.len().min(MAX_BATCH)).unwrap_or(u32::MAX);
            let query = RemoteUser::due(key, self.worker.shard, priority, now, limit);
            let due: Vec<RemoteUser> = directory.target_records(&self.caller, query).await?;
            let may_be_more = due.len() >= limit as usize;
            let lag = due.first().and_then(|row| row.due).map_or(0, |due| now.0.saturating_sub(due.0));
            self.worker.shared.metrics.set_lag(&self.worker.target, priority, lag);
            let (free, has_others) = free_rows(due, &self.held, capacity);
            self.has_more |= may_be_more || has_others;
            rows.extend(free);
        }
        if rows.is_empty() {
            self.next_look = self.next_look.min(self.next_due().await?);
            return Ok(());
        }
        self.prepare(rows).await
    }

    /// Whether users are due that were marked by a command.
    pub(super) async fn has_on_demand(&self) -> Result<bool, DirectoryError> {
        let directory = &self.worker.shared.directory;
        let key = (self.caller.tenant, self.worker.target.number);
        let query = RemoteUser::due(key, self.worker.shard, PushPriority::OnDemand, directory.now(), 1);
        Ok(!directory.target_records::<RemoteUser>(&self.caller, query).await?.is_empty())
    }

    /// How many rows are taken in advance: as many as can be pushed in about a second.
    pub(super) fn wanted(&self) -> usize {
        let per_second = f64::from(self.worker.target.limits.requests_per_minute) / 60.0;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let per_second = per_second.ceil() as usize;
        let twice = self.concurrency() * 2;
        if self.rate.is_none() { MIN_BATCH.max(twice) } else { per_second.max(twice).min(MAX_BATCH) }
    }

    /// When the next row is due. Also updates the lag.
    pub(super) async fn next_due(&mut self) -> Result<Instant, DirectoryError> {
        let directory = &self.worker.shared.directory;
        let key = (self.caller.tenant, self.worker.target.number);
        let mut next = Instant::now() + IDLE;
        for priority in PushPriority::ALL {
            let query = RemoteUser::next_due(key, self.worker.shard, priority);
            let row: Vec<RemoteUser> = directory.target_records(&self.caller, query).await?;
            let wait = row.first().and_then(|row| row.due).map(|due| due.0.saturating_sub(directory.now().0));
            let lag = wait.map_or(0, |wait| 0.max(-wait));
            self.worker.shared.metrics.set_lag(&self.worker.target, priority, lag);
            // If there are more rows that are due, they are taken once fewer are queued.
            if let Some(wait) = wait.filter(|wait| *wait > 0 || !self.has_more) {
                next = next.min(Instant::now() + Duration::from_micros(wait.max(50_000).unsigned_abs()));
            }
        }
        Ok(next)
    }

    /// Stores that the rows are being pushed, and queues them.
    pub(super) async fn prepare(&mut self, rows: Vec<RemoteUser>) -> Result<(), DirectoryError> {
        let shared = &self.worker.shared;
        let directory = &shared.directory;
        let ids: Vec<UserId> = rows.iter().map(|row| row.user).collect();
        let target = (self.worker.target.number, self.sender.rules().uses_groups());
        let mut sources = load_source_users(directory, &self.caller, target, &ids).await?;
        // A push is at most the searches, reading the account, and two requests that change it.
        let searches = if self.must_search { self.sender.rules().capabilities.finds_by.len() } else { 0 };
        let requests = u32::try_from(searches).unwrap_or(u32::MAX).saturating_add(3);
        let time = self.sender.timeout() * requests + PUSH_SLACK;
        let (start, now) = (Instant::now(), directory.now());
        let until = now.plus_seconds(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        let (mut writes, mut taken) = (vec![self.lease.guard()], Vec::new());
        for mut row in rows {
            if row.in_flight_until.is_some() {
                // It is not known which of the requests of the last push were carried out.
                row.digest = None;
            }
            let Some(source) = sources.remove(&row.user) else { continue };
            if let Some(pushed) = unchanged(&self.context(now), &row, &source) {
                // It stays due until the result is stored.
                self.held.insert(row.user);
                self.finished.push(Finished { taken: row, pushed });
                continue;
            }
            let mut intent = row.clone();
            if intent.state == RemoteState::Absent && self.sender.rules().is_to_be_created(&source) {
                intent.state = RemoteState::Creating;
                intent.attempts = 0;
                // What the account has if the response is lost.
                intent.applied_position = row.target_position;
            }
            intent.in_flight_until = Some(until);
            intent.due = Some(until);
            let write = intent.replace(&row).map_err(|error| DirectoryError::Internal(error.to_string()))?;
            writes.push(write);
            intent.version = row.next_version();
            taken.push(Queued { taken: intent, row, source, deadline: start + time });
        }
        if !self.finished.is_empty() && self.flush.is_none() {
            self.flush = Some(start + STORE_DELAY);
        }
        if taken.is_empty() {
            return Ok(());
        }
        match directory.commit_task_rows(&self.caller, writes).await {
            Ok(()) => {}
            // The rows were marked meanwhile, or the lease is lost.
            Err(DirectoryError::Conflict) => {
                self.look = true;
                if !self.lease.renew(directory, &self.caller).await {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        for queued in taken {
            self.held.insert(queued.row.user);
            self.queue.entry(queued.row.priority).or_default().push_back(queued);
        }
        Ok(())
    }

    pub(super) fn context(&self, now: Time) -> PushContext<'_> {
        PushContext { sender: &self.sender, must_search: self.must_search, now, deadline: Instant::now(), jitter: 0 }
    }

    /// Begins as many pushes as the target's limits allow.
    pub(super) fn begin_pushes(&mut self) {
        while self.pushes.len() < self.concurrency() {
            let first =
                PushPriority::ALL.into_iter().find(|it| self.queue.get(it).is_some_and(|queue| !queue.is_empty()));
            let Some(first) = first else { return };
            let timeout = self.sender.timeout();
            let is_late = self
                .queue
                .get(&first)
                .and_then(VecDeque::front)
                .is_some_and(|queued| queued.deadline.saturating_duration_since(Instant::now()) < timeout);
            if !is_late
                && let Some(rate) = &mut self.rate
                && rate.permit(Instant::now()).is_err()
            {
                return;
            }
            let Some(queued) = self.queue.get_mut(&first).and_then(VecDeque::pop_front) else { return };
            if is_late {
                // It has waited too long. Nothing was sent.
                self.release(queued);
                continue;
            }
            let sender = Arc::clone(&self.sender);
            let (must_search, shared) = (self.must_search, Arc::clone(&self.worker.shared));
            self.pushes.spawn(async move {
                let Queued { taken, row, source, deadline } = queued;
                let now = shared.directory.now();
                let jitter = row.user.0.as_bytes()[15] ^ u8::try_from(row.attempts & 0xff).unwrap_or(0);
                let context = PushContext { sender: &sender, must_search, now, deadline, jitter };
                let pushed = tokio::time::timeout_at(deadline.into(), push(&context, row, &source)).await;
                Done { taken, pushed: pushed.ok() }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::TenantNumber;

    #[test]
    fn rows_beyond_the_capacity_are_reported() {
        let user = |byte| UserId(uuid::Uuid::from_bytes([byte; 16]));
        let due = || (0..5).map(|byte| RemoteUser::new((TenantNumber(1), 1), user(byte), 0)).collect();
        let users = |rows: Vec<RemoteUser>| rows.iter().map(|row| row.user).collect::<Vec<_>>();
        let held = HashSet::from([user(0), user(9)]);
        let (free, has_others) = free_rows(due(), &held, 3);
        assert_eq!((users(free), has_others), (vec![user(1), user(2), user(3)], true));
        let (free, has_others) = free_rows(due(), &held, 4);
        assert_eq!((users(free), has_others), ((1..5).map(user).collect(), false));
    }
}
