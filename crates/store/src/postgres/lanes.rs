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
use super::trouble::Trouble;
use crate::sql;
use directory::{Change, CommitError, Ids, Receipt};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// How long a change waits for a database that does not take it, before its caller is told so.
pub(super) const PATIENCE: Duration = Duration::from_secs(4);
/// How long the database may take for one step.
const STEP_TIME: Duration = Duration::from_secs(4);
/// How often a batch meets others before its callers are told to come again.
const TRIES: u32 = 40;

/// For how many batches a lane expects clashes after it has met one.
const WARY: u32 = 64;

/// What all lanes share.
pub(super) struct Lanes {
    pub(super) queue: Queue,
    pub(super) numbers: Numbers,
    pub(super) tenants: Tenants,
    pub(super) ids: Arc<dyn Ids>,
    /// Something new is there to be sealed.
    pub(super) news: Notify,
    pub(super) commits: AtomicU64,
    pub(super) changes: AtomicU64,
    /// Batches that went again.
    pub(super) retries: AtomicU64,
}

impl Lanes {
    pub(super) fn new(ids: Arc<dyn Ids>) -> Self {
        Self {
            queue: Queue::default(),
            numbers: Numbers::default(),
            tenants: Tenants::default(),
            ids,
            news: Notify::new(),
            commits: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            retries: AtomicU64::new(0),
        }
    }

    /// Runs one lane until the queue is closed and empty.
    pub(super) async fn run(&self, line: &Line) {
        let mut wary = 0;
        while let Some(jobs) = self.queue.next().await {
            let taken = jobs.len();
            self.write(line, jobs, &mut wary).await;
            wary = wary.saturating_sub(1);
            self.queue.answered(taken);
        }
    }

    /// Writes a batch and answers everybody in it.
    async fn write(&self, line: &Line, jobs: Vec<Job>, wary: &mut u32) {
        let mut batch = Batch { id: self.ids.next(), jobs, known: Known::default(), doubt: None };
        let (mut tries, mut fruitless) = (0, 0);
        while !batch.jobs.is_empty() {
            let ended = match self.attempt(line, &mut batch, wary).await {
                Ok(Outcome::Done(receipts)) => return self.done(batch, receipts),
                Ok(Outcome::Refused(refused)) => {
                    fruitless = if refused.is_empty() { fruitless + 1 } else { 0 };
                    batch.refuse(refused);
                    // Nothing stands in the way any more, or something does that is not understood.
                    (fruitless > 3).then_some(CommitError::Stale)
                }
                Err(trouble) => {
                    tries += 1;
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    tracing::debug!(%trouble, tries, changes = batch.jobs.len(), in_doubt = batch.doubt.is_some(), "a batch goes again");
                    rest(tries).await;
                    batch.ends_with(&trouble, tries)
                }
            };
            let Some(error) = ended else { continue };
            batch.known.settle(&self.numbers, false);
            if batch.jobs.len() == 1 {
                tracing::error!(%error, "a change was not written");
                batch.jobs.into_iter().for_each(|job| job.answer(Err(error.clone())));
                return;
            }
            if matches!(error, CommitError::Unavailable(_) | CommitError::Busy) {
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
        let changes: Vec<&Change> = batch.jobs.iter().map(|job| &job.change).collect();
        let gone = within(batch.known.gather(session, &changes, &self.numbers, &self.tenants)).await?;
        if !gone.is_empty() {
            return Ok(Outcome::Refused(gone));
        }
        let Plan { rows, needs, receipts, .. } = apply::plan(changes.into_iter(), &mut batch.known)
            .map_err(|error| Trouble::Broken(error.to_string()))?;
        match within(rows.send(session, batch.id, *wary > 0)).await {
            Ok(true) => {}
            // In doubt, this may be the row of the batch itself; it is looked for first in either case.
            Ok(false) | Err(Trouble::Dangling(_) | Trouble::Taken(_)) => {
                *wary = WARY;
                within(session.say(sql::ROLLBACK.postgres)).await?;
                if let Some(receipts) = batch.settled(session).await? {
                    return Ok(Outcome::Done(receipts));
                }
                // What this try met was not held by a lost commit any more: that one has ended without effect.
                batch.doubt = None;
                let refused = within(unmet(session, &needs)).await?;
                if refused.is_empty() {
                    self.pass_over(session, batch, &needs).await?;
                }
                return Ok(Outcome::Refused(refused));
            }
            Err(trouble) => return Err(trouble),
        }
        // The row of the batch went in, so the lost commit before this one was never carried out.
        batch.doubt = Some(receipts);
        match within(session.say(sql::COMMIT.postgres)).await {
            Ok(()) => Ok(Outcome::Done(batch.doubt.take().unwrap_or_default())),
            Err(Trouble::Lost(text)) => Err(Trouble::Lost(text)),
            Err(trouble) => {
                // The database has answered: it was not carried out.
                batch.doubt = None;
                Err(trouble)
            }
        }
    }

    /// Numbers that were given here and that somebody else has wished for are not given again.
    async fn pass_over(
        &self,
        session: &Session,
        batch: &mut Batch,
        needs: &[(usize, Need)],
    ) -> Result<(), Trouble> {
        for (_, need) in needs {
            if let Need::NumberFree { tenant, kind, number, is_given: true } = need {
                let params: [&dyn super::param::Param; 3] = [tenant, kind, number];
                if within(session.row(sql::ITEM_BY_NUMBER.postgres, &params)).await?.is_some() {
                    batch.known.pass_over(*tenant, *kind, unsigned(*number));
                }
            }
        }
        Ok(())
    }
}

enum Outcome {
    /// It is in, and this is what came of each change.
    Done(Vec<Receipt>),
    /// These cannot be carried out; the others may go again.
    Refused(Vec<(usize, CommitError)>),
}

/// Changes on their way.
struct Batch {
    id: Uuid,
    jobs: Vec<Job>,
    known: Known,
    /// What comes of each change if the commit whose answer was lost was carried out.
    doubt: Option<Vec<Receipt>>,
}

impl Batch {
    /// What came of a batch that was in doubt, if its commit was carried out.
    async fn settled(&mut self, session: &Session) -> Result<Option<Vec<Receipt>>, Trouble> {
        if self.doubt.is_none()
            || within(session.row(sql::BATCH_THERE.postgres, &[&self.id])).await?.is_none()
        {
            return Ok(None);
        }
        Ok(self.doubt.take())
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

/// A pause that grows with each try, and is never the same in two processes.
pub(super) async fn rest(tries: u32) {
    let mut byte = [0];
    // Without randomness everybody pauses alike, which is no worse than not pausing.
    let _ = getrandom::fill(&mut byte);
    let longest = 4_u64 << tries.min(6);
    let millis = 1 + longest * u64::from(byte[0]) / 255;
    tokio::time::sleep(Duration::from_millis(millis)).await;
}
