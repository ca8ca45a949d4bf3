//! The lanes on which batches of changes go into the database, each over a connection of its own.
//!
//! A batch is one transaction: its statements are sent together, and when each of them has changed what it must, the
//! commit follows. Where one has not, what stands in the way is looked up, the changes concerned are refused, and the
//! others go again. A conflict with another process, or a lost connection, and the whole batch goes again.
//!
//! A commit whose answer was lost is *in doubt*. The batch's own row tells: trying again under the same identity, either
//! it is there (then the commit was carried out and its results stand), or ours goes in (then it never will be), and
//! while the lost one is still under way the database makes us wait for it.

use super::apply::{self, Plan};
use super::gather::{Known, Tenants};
use super::line::{Line, Session};
use super::needs::{Need, unmet};
use super::numbers::Numbers;
use super::param::unsigned;
use super::queue::{Job, Queue};
use super::retry::{DELAYS, PATIENCE, wait};
use super::trouble::Trouble;
use crate::{TaskMonitor, sql};
use backon::BackoffBuilder;
use directory::{Change, CommitError, IdGenerator, Receipt};
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// How long the database may take for one step.
const STEP_TIME: Duration = Duration::from_secs(4);
/// How much longer for each row.
const ROW_TIME: Duration = Duration::from_millis(1);
/// How often a batch goes again though nothing is found to stand in its way.
const FRUITLESS: u32 = 20;
/// How often a batch meets others before its callers are told to come again.
const TRIES: u32 = 40;

/// For how many batches a lane expects clashes after it has met one.
const WARY: u32 = 64;

/// What all lanes share.
pub(super) struct Lanes {
    pub(super) queue: Queue,
    pub(super) numbers: Numbers,
    pub(super) tenants: Tenants,
    pub(super) ids: Arc<dyn IdGenerator>,
    /// Something new is there to be sealed.
    pub(super) news: Notify,
    pub(super) commits: AtomicU64,
    pub(super) changes: AtomicU64,
    /// Batches that went again.
    pub(super) retries: AtomicU64,
    pub(super) tasks: TaskMonitor,
}

impl Lanes {
    pub(super) fn new(ids: Arc<dyn IdGenerator>) -> Self {
        Self {
            queue: Queue::default(),
            numbers: Numbers::default(),
            tenants: Tenants::default(),
            ids,
            news: Notify::new(),
            commits: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            tasks: TaskMonitor::default(),
        }
    }

    /// Runs one lane until the queue is closed and empty.
    pub(super) async fn run(&self, line: &Line) {
        let mut wary = 0;
        while let Some(jobs) = self.queue.next().await {
            let taken = jobs.len();
            // The callers of this batch get an error: their changes may or may not be stored.
            let written = AssertUnwindSafe(self.write(line, jobs, &mut wary)).catch_unwind().await;
            if written.is_err() {
                // The connection may stand in the middle of a transaction.
                line.forget().await;
                self.tasks.record_panic("batch writer");
            }
            wary = wary.saturating_sub(1);
            self.queue.answered(taken);
        }
    }

    /// Writes a batch and answers everybody in it.
    async fn write(&self, line: &Line, jobs: Vec<Job>, wary: &mut u32) {
        let mut batch =
            Batch { id: self.ids.next_id(), jobs, known: Known::default(), doubt: None, is_full: false };
        let (mut tries, mut fruitless) = (0, 0);
        let mut delays = DELAYS.build();
        while !batch.jobs.is_empty() {
            let ended = match self.attempt(line, &mut batch, wary).await {
                Ok(Outcome::Done(receipts)) => return self.done(batch, receipts),
                Ok(Outcome::Refused(refused)) => {
                    fruitless = if refused.is_empty() { fruitless + 1 } else { 0 };
                    batch.refuse(refused);
                    // Nothing stands in the way any more, or something does that is not understood.
                    (fruitless > FRUITLESS).then_some(CommitError::Stale)
                }
                Ok(Outcome::PassedOver) => None,
                Err(trouble) => {
                    tries += 1;
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%trouble, tries, changes = batch.jobs.len(), in_doubt = batch.doubt.is_some(), "a batch goes again");
                    wait(&mut delays).await;
                    batch.is_full = matches!(trouble, Trouble::Full(_));
                    batch.ends_with(&trouble, tries)
                }
            };
            let Some(error) = ended else { continue };
            if error == CommitError::Stale {
                // Perhaps it was the numbers; they are not given again.
                batch.known = Known::default();
            }
            batch.known.settle(&self.numbers, false);
            let is_everybodys =
                matches!(error, CommitError::Unavailable(_) | CommitError::Busy) && !batch.is_full;
            if batch.jobs.len() == 1 || is_everybodys {
                tracing::error!(%error, changes = batch.jobs.len(), "a batch was not written");
                batch.jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
                return;
            }
            // One of them spoils it; alone, it spoils no other.
            for job in std::mem::take(&mut batch.jobs) {
                Box::pin(self.write(line, vec![job], wary)).await;
            }
        }
        batch.known.settle(&self.numbers, false);
    }

    fn done(&self, mut batch: Batch, receipts: Vec<Receipt>) {
        batch.known.settle(&self.numbers, true);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(batch.jobs.len() as u64, Ordering::Relaxed);
        for (job, receipt) in batch.jobs.into_iter().zip(receipts) {
            job.answer(Ok(receipt));
        }
        self.news.notify_one();
    }

    async fn attempt(&self, line: &Line, batch: &mut Batch, wary: &mut u32) -> Result<Outcome, Trouble> {
        let session = within(line.session()).await?;
        let outcome = self.try_on(&session, batch, wary).await;
        match &outcome {
            Ok(_) => {}
            // The transaction has ended, and the connection is as good as before.
            Err(Trouble::Again(_) | Trouble::Taken(_) | Trouble::Dangling(_)) if !session.is_closed() => {
                if within(session.say(sql::ROLLBACK.postgres)).await.is_err() {
                    line.leave(&session, &Trouble::Lost(String::new())).await;
                }
            }
            Err(trouble) => line.leave(&session, trouble).await,
        }
        outcome
    }

    async fn try_on(
        &self,
        session: &Arc<Session>,
        batch: &mut Batch,
        wary: &mut u32,
    ) -> Result<Outcome, Trouble> {
        if let Some(receipts) = batch.settled(session).await? {
            return Ok(Outcome::Done(receipts));
        }
        batch.jobs.iter_mut().for_each(Job::stamp);
        let changes: Vec<&Change> = batch.jobs.iter().map(|job| &job.change).collect();
        let gone = within(batch.known.gather(session, &changes, &self.numbers, &self.tenants)).await?;
        if !gone.is_empty() {
            return Ok(Outcome::Refused(gone));
        }
        let Plan { rows, needs, receipts, .. } = apply::plan(changes.into_iter(), &mut batch.known)
            .map_err(|error| Trouble::Broken(error.to_string()))?;
        let time = STEP_TIME + ROW_TIME * u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let sent = tokio::time::timeout(time, rows.send(session, batch.id, *wary > 0)).await;
        match sent.unwrap_or_else(|_| Err(Trouble::Lost("the database does not answer".into()))) {
            Ok(true) => {}
            // In doubt, this may be the row of the batch itself; it is looked for first in either case.
            Ok(false) | Err(Trouble::Dangling(_) | Trouble::Taken(_)) => {
                *wary = WARY;
                within(session.say(sql::ROLLBACK.postgres)).await?;
                if batch.doubt.is_some() {
                    within(batch.await_lost(session)).await?;
                }
                if let Some(receipts) = batch.settled(session).await? {
                    return Ok(Outcome::Done(receipts));
                }
                // The lost commit has ended without effect.
                batch.doubt = None;
                // Memberships may have changed since it was decided.
                batch.known.reads_memberships = true;
                let refused = within(unmet(session, &needs)).await?;
                if refused.is_empty() && self.pass_over(session, batch, &needs).await? {
                    return Ok(Outcome::PassedOver);
                }
                if refused.is_empty()
                    && within(session.row(sql::WRITE_BLOCKERS.postgres, &[])).await?.is_some()
                {
                    return Err(Trouble::Filling);
                }
                return Ok(Outcome::Refused(refused));
            }
            Err(trouble) => return Err(trouble),
        }
        // The row of the batch went in, so the lost commit before this one was never carried out.
        batch.doubt = Some(receipts);
        match within(session.say(sql::COMMIT.postgres)).await {
            Ok(()) => Ok(Outcome::Done(batch.doubt.take().unwrap_or_default())),
            Err(trouble @ (Trouble::Again(_) | Trouble::Taken(_) | Trouble::Dangling(_))) => {
                // The database has answered: it was not carried out.
                batch.doubt = None;
                Err(trouble)
            }
            // Whatever else it says, nobody knows.
            Err(trouble) => Err(Trouble::Lost(trouble.text().to_owned())),
        }
    }

    /// Numbers that were given here and that somebody else has wished for are not given again, nor are those behind them
    /// that were wished for, too. Whether there were any.
    async fn pass_over(
        &self,
        session: &Session,
        batch: &mut Batch,
        needs: &[(usize, Need)],
    ) -> Result<bool, Trouble> {
        let mut has_any = false;
        for (_, need) in needs {
            let Need::NumberFree { tenant, kind, number, is_given: true } = need else { continue };
            let params: [&dyn super::param::Param; 3] = [tenant, kind, number];
            for row in within(session.rows(sql::ITEM_NUMBERS_FROM.postgres, &params)).await? {
                let taken = unsigned(row.try_get(0)?);
                has_any |= taken == unsigned(*number);
                batch.known.pass_over(*tenant, *kind, taken);
                self.numbers.pass_over((*tenant, *kind), taken);
            }
        }
        Ok(has_any)
    }
}

enum Outcome {
    /// It is in, and this is what came of each change.
    Done(Vec<Receipt>),
    /// These cannot be carried out; the others may go again.
    Refused(Vec<(usize, CommitError)>),
    /// Numbers that were given are taken; it goes again with others.
    PassedOver,
}

/// Changes on their way.
struct Batch {
    id: Uuid,
    jobs: Vec<Job>,
    known: Known,
    /// What comes of each change if the commit whose answer was lost was carried out.
    doubt: Option<Vec<Receipt>>,
    /// The database had no room for it, which may be one tenant's matter.
    is_full: bool,
}

impl Batch {
    /// What came of a batch that was in doubt, if its commit was carried out.
    async fn settled(&mut self, session: &Session) -> Result<Option<Vec<Receipt>>, Trouble> {
        if self.doubt.is_none()
            || within(session.change(sql::CONFIRM_BATCH_COMMIT.postgres, &[&self.id])).await? == 0
        {
            return Ok(None);
        }
        Ok(self.doubt.take())
    }

    /// Waits until a lost commit has ended one way or the other: as long as it is under way, its row keeps ours out.
    async fn await_lost(&self, session: &Session) -> Result<(), Trouble> {
        session.say(sql::BEGIN_BATCH.postgres).await?;
        let ours = session.change(sql::WAIT_FOR_BATCH.postgres, &[&self.id]).await;
        session.say(sql::ROLLBACK.postgres).await?;
        match ours {
            // Either it never was, or it is there.
            Ok(_) | Err(Trouble::Taken(_)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Answers those that cannot be carried out and goes on without them.
    fn refuse(&mut self, refused: Vec<(usize, CommitError)>) {
        for (place, error) in refused.into_iter().rev() {
            if place < self.jobs.len() {
                self.jobs.remove(place).answer(Err(error));
            }
        }
    }

    /// Whether to give up, and what to say. A batch in doubt never does: its callers would be told something that may
    /// not be so.
    fn ends_with(&self, trouble: &Trouble, tries: u32) -> Option<CommitError> {
        if self.doubt.is_some() {
            return None;
        }
        match trouble {
            Trouble::Again(_) if tries >= TRIES => Some(CommitError::Busy),
            Trouble::Again(_) => None,
            trouble if trouble.passes() => {
                let oldest = self.jobs.iter().map(Job::age).max().unwrap_or_default();
                (oldest > PATIENCE).then(|| trouble.clone().into())
            }
            trouble => Some(trouble.clone().into()),
        }
    }
}

/// A step within its time. One that takes longer has lost its connection, for all we know.
async fn within<T>(step: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    match tokio::time::timeout(STEP_TIME, step).await {
        Ok(done) => done,
        Err(_) => Err(Trouble::Lost("the database does not answer".into())),
    }
}
