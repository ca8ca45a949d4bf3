//! Writer tasks, each with its own connection, that commit batches of changes.
//!
//! A batch is one transaction. Its statements and its commit are sent together; a statement whose precondition does not
//! hold fails, so that the commit does nothing. Then the violated preconditions are looked up, the changes concerned are
//! rejected, and the others are retried. After a conflict with another process or a lost connection, the whole batch is
//! retried.
//!
//! A commit whose answer was lost is *in doubt*: it may even reach the database later. The row of the batch decides. The
//! retry uses the same batch id: if the row exists, the commit succeeded and its results stand; if the retry can insert it,
//! the lost commit never takes effect. A retry that fails inserts a row that stands for nothing, and goes on with another
//! id. While the lost commit is in progress, the database makes the retry wait.

use super::batch_plan::{self, BatchPlan};
use super::batch_rows::{SendError, send};
use super::change_queue::{ChangeQueue, QueuedChange};
use super::managed_connection::{ManagedConnection, Session};
use super::number_allocator::NumberAllocator;
use super::param::{int, tenant_code, unsigned};
use super::pg_error::PgError;
use super::preconditions::{ChangePrecondition, Precondition, diagnose};
use super::prefetch::{Prefetched, TenantCache};
use super::retry::{BACKOFF, RETRY_TIMEOUT, sleep_for_next};
use backon::BackoffBuilder;
use directory::{Change, CommitError, IdGenerator, ItemKind, Receipt};
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use store::translation::{Known, Sequence};
use store::unique_keys::kind_index;
use store::{TaskMonitor, sql};
use tokio::sync::Notify;
use uuid::Uuid;

/// Limit for one step.
const STEP_TIMEOUT: Duration = Duration::from_secs(4);
const TIMEOUT_PER_ROW: Duration = Duration::from_millis(1);
/// Retries of a batch although no violated precondition was found.
const MAX_EMPTY_RETRIES: u32 = 20;
/// Failed attempts of a batch before its callers get [`CommitError::Busy`].
const MAX_CONFLICT_RETRIES: u32 = 40;

/// Shared by all writer tasks.
pub(super) struct BatchWriter {
    pub(super) queue: ChangeQueue,
    pub(super) numbers: NumberAllocator,
    pub(super) tenants: TenantCache,
    pub(super) ids: Arc<dyn IdGenerator>,
    /// Tells the event sequencer about new commits.
    pub(super) commit_notify: Notify,
    pub(super) commits: AtomicU64,
    pub(super) changes: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) tasks: TaskMonitor,
}

impl BatchWriter {
    pub(super) fn new(ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            queue: ChangeQueue::default(),
            numbers: NumberAllocator::default(),
            tenants: TenantCache::default(),
            ids,
            commit_notify: Notify::new(),
            commits: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            tasks: TaskMonitor::default(),
        }
    }

    /// Runs one writer until the queue is closed and empty.
    pub(super) async fn run(&self, connection: &ManagedConnection) {
        while let Some(jobs) = self.queue.next_batch().await {
            let taken = jobs.len();
            // After a panic, the callers of this batch get an error: their changes may or may not be stored.
            let written = AssertUnwindSafe(self.write(connection, jobs)).catch_unwind().await;
            if written.is_err() {
                // The connection may be in a transaction.
                connection.abort().await;
                self.tasks.record_panic("batch writer");
            }
            self.queue.complete(taken);
        }
    }

    /// Writes a batch and answers all its callers.
    async fn write(&self, connection: &ManagedConnection, jobs: Vec<QueuedChange>) {
        let mut batch = InFlightBatch {
            id: self.ids.next_id(),
            jobs,
            prefetched: Prefetched::default(),
            known: Known::default(),
            in_doubt_receipts: None,
            is_full: false,
        };
        let (mut tries, mut empty_retries) = (0, 0);
        let mut delays = BACKOFF.build();
        while !batch.jobs.is_empty() {
            let ended = match self.attempt(connection, &mut batch).await {
                Ok(AttemptOutcome::Committed(receipts)) => return self.finish_batch(batch, receipts),
                Ok(AttemptOutcome::Rejected(rejected)) => {
                    empty_retries = if rejected.is_empty() { empty_retries + 1 } else { 0 };
                    batch.reject(rejected);
                    // Nothing is violated any more, or the cause is unknown.
                    (empty_retries > MAX_EMPTY_RETRIES).then_some(CommitError::Stale)
                }
                Ok(AttemptOutcome::NumbersTaken) => None,
                Err(trouble) => {
                    tries += 1;
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(
                        %trouble, tries, changes = batch.jobs.len(), in_doubt = batch.in_doubt_receipts.is_some(),
                        "retrying a batch"
                    );
                    sleep_for_next(&mut delays).await;
                    batch.is_full = matches!(trouble, PgError::InsufficientResources(_));
                    batch.give_up_error(&trouble, tries)
                }
            };
            let Some(error) = ended else { continue };
            if error == CommitError::Stale {
                // The numbers may be the cause; do not assign them again.
                batch.prefetched = Prefetched::default();
            }
            batch.prefetched.return_numbers(&self.numbers, None);
            let affects_all = matches!(error, CommitError::Unavailable(_) | CommitError::Busy) && !batch.is_full;
            if batch.jobs.len() == 1 || affects_all {
                tracing::error!(%error, changes = batch.jobs.len(), "a batch was not written");
                batch.jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
                return;
            }
            // One change makes the batch fail: write each on its own.
            for job in std::mem::take(&mut batch.jobs) {
                Box::pin(self.write(connection, vec![job])).await;
            }
        }
        batch.prefetched.return_numbers(&self.numbers, None);
    }

    fn finish_batch(&self, mut batch: InFlightBatch, receipts: Vec<Receipt>) {
        batch.prefetched.return_numbers(&self.numbers, Some(&batch.known));
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(batch.jobs.len() as u64, Ordering::Relaxed);
        for (job, receipt) in batch.jobs.into_iter().zip(receipts) {
            job.answer(Ok(receipt));
        }
        self.commit_notify.notify_one();
    }

    async fn attempt(
        &self,
        connection: &ManagedConnection,
        batch: &mut InFlightBatch,
    ) -> Result<AttemptOutcome, PgError> {
        let session = with_step_timeout(connection.session()).await?;
        let outcome = self.attempt_on(&session, batch).await;
        match &outcome {
            Ok(_) => {}
            // The transaction has ended; the connection stays usable.
            Err(PgError::Conflict(_)) if !session.is_closed() => {
                if with_step_timeout(session.batch_execute(sql::ROLLBACK.postgres)).await.is_err() {
                    connection.discard(&session, &PgError::Unavailable(String::new())).await;
                }
            }
            Err(trouble) => connection.discard(&session, trouble).await,
        }
        outcome
    }

    async fn attempt_on(&self, session: &Arc<Session>, batch: &mut InFlightBatch) -> Result<AttemptOutcome, PgError> {
        if let Some(receipts) = batch.confirmed_receipts(session).await? {
            return Ok(AttemptOutcome::Committed(receipts));
        }
        batch.jobs.iter_mut().for_each(QueuedChange::advance_time);
        let changes: Vec<&Change> = batch.jobs.iter().map(|job| &job.change).collect();
        let prefetch = batch.prefetched.prefetch(session, &changes, &self.numbers, &self.tenants);
        let (known, rejected) = with_step_timeout(prefetch).await?;
        if !rejected.is_empty() {
            return Ok(AttemptOutcome::Rejected(rejected));
        }
        let was_in_doubt = batch.in_doubt_receipts.is_some();
        batch.known = known;
        let BatchPlan { rows, preconditions, receipts, .. } =
            batch_plan::plan_batch(batch.id, changes.into_iter(), &mut batch.known)
                .map_err(|error| PgError::Other(error.to_string()))?;
        let (has_failed, end) = (rows.has_failed, rows.end());
        let time = STEP_TIMEOUT + TIMEOUT_PER_ROW * u32::try_from(rows.len()).unwrap_or(u32::MAX);
        if has_failed && !was_in_doubt {
            return self.find_conflicts(session, batch, &preconditions).await;
        }
        let mut statements = rows.into_statements();
        statements.push(end);
        // While an earlier commit is in doubt, the row of the batch must be inserted first: it tells which commit counts.
        let mut receipts = Some(receipts);
        if !was_in_doubt {
            batch.in_doubt_receipts = receipts.take();
        }
        let sent = tokio::time::timeout(time, send(session, &statements, !was_in_doubt)).await;
        match sent.unwrap_or_else(|_| Err(SendError::InDoubt("the database does not answer".into()))) {
            Ok(()) if !was_in_doubt => {
                Ok(AttemptOutcome::Committed(batch.in_doubt_receipts.take().unwrap_or_default()))
            }
            Ok(()) if !has_failed => {
                // The row of the batch was inserted, so the earlier lost commit never takes effect.
                batch.in_doubt_receipts = receipts;
                self.commit(session, batch).await
            }
            Err(SendError::RolledBack(PgError::Conflict(text))) => {
                if !was_in_doubt {
                    batch.in_doubt_receipts = None;
                }
                Err(PgError::Conflict(text))
            }
            Ok(())
            | Err(SendError::RolledBack(
                PgError::PreconditionFailed | PgError::ForeignKeyViolation(_) | PgError::UniqueViolation(_),
            )) => {
                with_step_timeout(session.batch_execute(sql::ROLLBACK.postgres)).await?;
                if was_in_doubt {
                    // The conflict may be the row of the earlier commit.
                    with_step_timeout(batch.fence(session)).await?;
                    if let Some(receipts) = batch.confirmed_receipts(session).await? {
                        return Ok(AttemptOutcome::Committed(receipts));
                    }
                    batch.id = self.ids.next_id();
                }
                // The lost commit never takes effect.
                batch.in_doubt_receipts = None;
                self.find_conflicts(session, batch, &preconditions).await
            }
            Err(SendError::RolledBack(trouble)) => {
                if !was_in_doubt {
                    batch.in_doubt_receipts = None;
                }
                Err(trouble)
            }
            Err(SendError::InDoubt(text)) => Err(PgError::Unavailable(text)),
        }
    }

    /// Commits a transaction whose statements have succeeded.
    async fn commit(&self, session: &Session, batch: &mut InFlightBatch) -> Result<AttemptOutcome, PgError> {
        match with_step_timeout(session.batch_execute(sql::COMMIT.postgres)).await {
            Ok(()) => Ok(AttemptOutcome::Committed(batch.in_doubt_receipts.take().unwrap_or_default())),
            Err(PgError::Conflict(text)) => {
                // The database has answered: the commit failed.
                batch.in_doubt_receipts = None;
                Err(PgError::Conflict(text))
            }
            // After any other error, the result is unknown.
            Err(trouble) => Err(PgError::Unavailable(trouble.message().to_owned())),
        }
    }

    /// Finds out why a batch did not commit.
    async fn find_conflicts(
        &self,
        session: &Session,
        batch: &mut InFlightBatch,
        preconditions: &[ChangePrecondition],
    ) -> Result<AttemptOutcome, PgError> {
        // Memberships may have changed since the decision.
        batch.prefetched.refresh_memberships = true;
        let rejected = with_step_timeout(diagnose(session, preconditions)).await?;
        if rejected.is_empty() && self.exclude_taken_numbers(session, batch, preconditions).await? {
            return Ok(AttemptOutcome::NumbersTaken);
        }
        if rejected.is_empty()
            && with_step_timeout(session.query_opt(sql::WRITE_BLOCKERS.postgres, &[])).await?.is_some()
        {
            return Err(PgError::Restoring);
        }
        Ok(AttemptOutcome::Rejected(rejected))
    }

    /// Excludes assigned numbers that other callers have requested explicitly, and the requested numbers after
    /// them. Returns whether there were any.
    async fn exclude_taken_numbers(
        &self,
        session: &Session,
        batch: &mut InFlightBatch,
        preconditions: &[ChangePrecondition],
    ) -> Result<bool, PgError> {
        let mut has_any = false;
        for ChangePrecondition { tenant, precondition, .. } in preconditions {
            let Precondition::AllocatedItemNumber(kind, number) = precondition else { continue };
            let code = tenant_code(*tenant);
            let params: [&dyn super::param::Param; 3] = [&code, kind, &int(*number)];
            let sequence = ItemKind::ALL.into_iter().find(|one| i16::from(1 + kind_index(*one)) == *kind);
            for row in with_step_timeout(session.query(sql::ITEM_NUMBERS_FROM.postgres, &params)).await? {
                let taken = unsigned(row.try_get(0)?);
                has_any |= taken == *number;
                if let Some(sequence) = sequence.map(Sequence::Items) {
                    batch.prefetched.exclude_number(*tenant, sequence, taken);
                }
                self.numbers.exclude((code, *kind), taken);
            }
        }
        Ok(has_any)
    }
}

enum AttemptOutcome {
    /// The receipt of each change.
    Committed(Vec<Receipt>),
    /// These changes cannot be carried out; the others can be retried.
    Rejected(Vec<(usize, CommitError)>),
    /// Assigned numbers are taken; retry with other ones.
    NumbersTaken,
}

struct InFlightBatch {
    id: Uuid,
    jobs: Vec<QueuedChange>,
    prefetched: Prefetched,
    /// What the last attempt was planned from.
    known: Known,
    /// The receipts in case the commit whose answer was lost has succeeded.
    in_doubt_receipts: Option<Vec<Receipt>>,
    /// Resources were insufficient, perhaps only for one tenant.
    is_full: bool,
}

impl InFlightBatch {
    /// The receipts of a batch in doubt, if its commit has succeeded.
    async fn confirmed_receipts(&mut self, session: &Session) -> Result<Option<Vec<Receipt>>, PgError> {
        if self.in_doubt_receipts.is_none()
            || with_step_timeout(session.execute(sql::CONFIRM_BATCH_COMMIT.postgres, &[&self.id])).await? == 0
        {
            return Ok(None);
        }
        Ok(self.in_doubt_receipts.take())
    }

    /// Ends the doubt: afterwards the lost commit has taken effect, or never will.
    async fn fence(&self, session: &Session) -> Result<(), PgError> {
        match session.execute(sql::FENCE_BATCH.postgres, &[&self.id]).await {
            Ok(_) | Err(PgError::UniqueViolation(_)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Answers changes that cannot be carried out and removes them from the batch.
    fn reject(&mut self, rejected: Vec<(usize, CommitError)>) {
        for (place, error) in rejected.into_iter().rev() {
            if place < self.jobs.len() {
                self.jobs.remove(place).answer(Err(error));
            }
        }
    }

    /// The error to give up with; `None` to retry. A batch in doubt is always retried, because an error could be wrong.
    fn give_up_error(&self, trouble: &PgError, tries: u32) -> Option<CommitError> {
        if self.in_doubt_receipts.is_some() {
            return None;
        }
        match trouble {
            PgError::Conflict(_) if tries >= MAX_CONFLICT_RETRIES => Some(CommitError::Busy),
            PgError::Conflict(_) => None,
            trouble if trouble.is_transient() => {
                let oldest = self.jobs.iter().map(QueuedChange::age).max().unwrap_or_default();
                (oldest > RETRY_TIMEOUT).then(|| trouble.clone().into())
            }
            trouble => Some(trouble.clone().into()),
        }
    }
}

/// A step that times out counts as a lost connection.
async fn with_step_timeout<T>(step: impl Future<Output = Result<T, PgError>>) -> Result<T, PgError> {
    match tokio::time::timeout(STEP_TIMEOUT, step).await {
        Ok(done) => done,
        Err(_) => Err(PgError::Unavailable("the database does not answer".into())),
    }
}
