//! The writer: takes all waiting changes, commits them as one transaction, answers each.
//!
//! A queued change is applied even if its caller is gone.

use super::apply;
use super::apply_error::ApplyError;
use super::lock::{checkpoint, probe_write};
use super::monitor::StoreMonitor;
use super::shared_state::{SharedState, obstacle_of};
use super::statement_count;
use super::tx_counters::TxCounters;
use super::writer_job::{CommitResult, WriterJob, WriterMetrics};
use directory::{BoxFuture, Change, CommitError, Health, UnwritableReason};
use parking_lot::Mutex;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// Maximum number of waiting changes; more are rejected as busy.
const QUEUE: usize = 8192;
/// Maximum number of changes in one transaction.
const BATCH: usize = 256;

/// Handle of the writer thread.
pub(super) struct Writer {
    queue: Arc<Mutex<Option<mpsc::Sender<WriterJob>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    monitor: Mutex<Option<StoreMonitor>>,
    metrics: Arc<WriterMetrics>,
}

impl Writer {
    pub(super) fn start(connection: Connection, opened: &Arc<SharedState>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let metrics = Arc::new(WriterMetrics::default());
        let queue = Arc::new(Mutex::new(Some(sender)));
        let writing = WriterThread { db: connection, opened: Arc::clone(opened), metrics: Arc::clone(&metrics) };
        let thread = std::thread::Builder::new().name("muster-writer".into()).spawn(move || writing.run(receiver))?;
        let watch = StoreMonitor::start(Arc::clone(opened), Arc::clone(&metrics), Arc::clone(&queue))?;
        let (thread, watch) = (Mutex::new(Some(thread)), Mutex::new(Some(watch)));
        Ok(Self { queue, thread, monitor: watch, metrics })
    }

    pub(super) fn commit(&self, change: Change) -> BoxFuture<'static, CommitResult> {
        let (answer, answered) = oneshot::channel();
        match self.send(WriterJob::Change { change: Box::new(change), answer, is_followed: false }) {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(()) => committing(answered),
        }
    }

    /// Queues up to [`BATCH`] changes at once: they share a transaction.
    pub(super) fn commit_all(&self, mut changes: Vec<Change>) -> Vec<BoxFuture<'static, CommitResult>> {
        let mut results: Vec<BoxFuture<'static, CommitResult>> = Vec::with_capacity(changes.len());
        let queue = self.queue.lock();
        while !changes.is_empty() {
            let rest = changes.split_off(changes.len().min(BATCH));
            let count = changes.len();
            let permits = queue.as_ref().ok_or_else(closed).and_then(|queue| {
                queue.try_reserve_many(count).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(()) => CommitError::Busy,
                    mpsc::error::TrySendError::Closed(()) => closed(),
                })
            });
            match permits {
                Ok(permits) => {
                    for (place, (permit, change)) in permits.zip(changes).enumerate() {
                        let (answer, answered) = oneshot::channel();
                        let (change, is_followed) = (Box::new(change), place + 1 < count);
                        permit.send(WriterJob::Change { change, answer, is_followed });
                        results.push(committing(answered));
                    }
                }
                Err(error) => results.extend((0..count).map(|_| {
                    let error = error.clone();
                    Box::pin(std::future::ready(Err(error))) as BoxFuture<'static, CommitResult>
                })),
            }
            changes = rest;
        }
        results
    }

    /// Whether a change could be written now; queued behind other jobs.
    pub(super) fn probe(&self) -> BoxFuture<'static, Option<UnwritableReason>> {
        let (answer, answered) = oneshot::channel();
        match self.send(WriterJob::Probe(answer)) {
            // The queue is full.
            Err(_) => Box::pin(std::future::ready(Some(UnwritableReason::Stalled))),
            Ok(()) => Box::pin(async move { answered.await.unwrap_or(Some(UnwritableReason::WriteFailed)) }),
        }
    }

    fn send(&self, job: WriterJob) -> Result<(), CommitError> {
        let queue = self.queue.lock();
        let Some(queue) = queue.as_ref() else { return Err(closed()) };
        queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CommitError::Busy,
            mpsc::error::TrySendError::Closed(_) => closed(),
        })
    }

    pub(super) fn health(&self) -> Health {
        let queue = self.queue.lock();
        let waiting = queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity());
        Health {
            engine: "sqlite",
            commits: self.metrics.commits.load(Ordering::Relaxed),
            changes: self.metrics.changes.load(Ordering::Relaxed),
            queued_changes: waiting as u64,
            statements: Some(statement_count::executed()),
            ..Health::default()
        }
    }

    /// Waits until all queued changes are committed.
    pub(super) fn stop(&self) {
        drop(self.queue.lock().take());
        if let Some(watch) = self.monitor.lock().take() {
            watch.stop();
        }
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer thread panicked");
        }
    }
}

fn committing(answered: oneshot::Receiver<CommitResult>) -> BoxFuture<'static, CommitResult> {
    Box::pin(async move { answered.await.unwrap_or_else(|_| Err(closed())) })
}

fn closed() -> CommitError {
    CommitError::Unavailable("the store is closed".into())
}

fn unavailable(obstacle: UnwritableReason) -> CommitError {
    CommitError::Unavailable(obstacle.to_string())
}

struct WriterThread {
    db: Connection,
    opened: Arc<SharedState>,
    metrics: Arc<WriterMetrics>,
}

/// The changes of one transaction, and their callers.
#[derive(Default)]
struct WriteBatch {
    answers: Vec<oneshot::Sender<CommitResult>>,
    results: Vec<CommitResult>,
    probes: Vec<oneshot::Sender<Option<UnwritableReason>>>,
    counters: TxCounters,
    has_begun: bool,
    is_committed: bool,
    checkpoint_requested: bool,
}

impl WriteBatch {
    /// Takes all waiting jobs, to answer them.
    fn take_all(&mut self, queue: &mut mpsc::Receiver<WriterJob>) {
        while let Ok(job) = queue.try_recv() {
            match job {
                WriterJob::Change { answer, .. } => self.answers.push(answer),
                WriterJob::Probe(probe) => self.probes.push(probe),
                WriterJob::Checkpoint => {}
            }
        }
    }
}

enum BatchError {
    RolledBack(CommitError, Option<UnwritableReason>),
    /// The commit failed: what is on disk is unknown.
    InDoubt(rusqlite::Error),
}

impl From<rusqlite::Error> for BatchError {
    fn from(error: rusqlite::Error) -> Self {
        let obstacle = obstacle_of(&error);
        let text = |obstacle: UnwritableReason| CommitError::Unavailable(format!("{obstacle} ({error})"));
        Self::RolledBack(obstacle.map_or_else(|| CommitError::Internal(error.to_string()), text), obstacle)
    }
}

impl From<UnwritableReason> for BatchError {
    fn from(obstacle: UnwritableReason) -> Self {
        Self::RolledBack(unavailable(obstacle), Some(obstacle))
    }
}

impl WriterThread {
    fn run(mut self, mut queue: mpsc::Receiver<WriterJob>) {
        self.keep_savepoints_in_memory();
        let mut pauses = WritePauses::default();
        while let Some(first) = pauses.around(|| queue.blocking_recv()) {
            let mut batch = WriteBatch::default();
            // A panic fails its batch, but does not end the writer.
            let caught = AssertUnwindSafe(|| self.write(first, &mut queue, &mut batch));
            let panicked = |_| Err(BatchError::RolledBack(CommitError::Internal("a write panicked".into()), None));
            let written = std::panic::catch_unwind(caught).unwrap_or_else(panicked);
            if written.is_err() && !batch.has_begun {
                // No transaction can begin: all waiting jobs get the same error now.
                batch.take_all(&mut queue);
            }
            self.answer(batch, written);
        }
        // Leave one compact file; if this fails, the next start does it.
        let is_sound = self.opened.final_obstacle().is_none() && self.opened.verify_files();
        // The log must not go into another file, nor damaged pages into an intact one.
        drop(self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !is_sound));
        if is_sound {
            drop(self.db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"));
        }
    }

    fn answer(&mut self, mut batch: WriteBatch, written: Result<(), BatchError>) {
        let written = match written {
            Err(BatchError::InDoubt(error)) => {
                let resolved = self.resolve_in_doubt(&batch, error);
                batch.is_committed = resolved.is_ok();
                resolved
            }
            Err(failed) => {
                self.roll_back();
                if matches!(failed, BatchError::RolledBack(_, Some(UnwritableReason::WriteFailed))) {
                    self.reopen();
                }
                Err(failed)
            }
            Ok(()) => Ok(()),
        };
        // What was written to a file that was replaced cannot be found later.
        let written = written.and_then(|()| self.check_files());
        let obstacle = match written {
            Ok(()) => {
                if batch.is_committed {
                    self.opened.clear_obstacle();
                    self.metrics.commits.fetch_add(u64::from(!batch.results.is_empty()), Ordering::Relaxed);
                    self.metrics.changes.fetch_add(batch.results.len() as u64, Ordering::Relaxed);
                }
                for (answer, result) in batch.answers.into_iter().zip(batch.results) {
                    drop(answer.send(result));
                }
                None
            }
            Err(BatchError::InDoubt(_)) => None,
            Err(BatchError::RolledBack(error, obstacle)) => {
                if !batch.answers.is_empty() {
                    tracing::error!(%error, changes = batch.answers.len(), "a batch was not written");
                }
                if let Some(obstacle) = obstacle {
                    self.opened.set_obstacle(obstacle);
                }
                for answer in batch.answers {
                    drop(answer.send(Err(error.clone())));
                }
                obstacle
            }
        };
        for probe in batch.probes.drain(..) {
            let _ = probe.send(obstacle);
        }
        if batch.checkpoint_requested {
            self.checkpoint();
        }
    }

    /// Finds out whether a batch whose commit failed is stored: with a new connection, since the old one may have
    /// cached what never reached the disk.
    fn resolve_in_doubt(&mut self, batch: &WriteBatch, error: rusqlite::Error) -> Result<(), BatchError> {
        tracing::error!(%error, changes = batch.answers.len(), "a commit failed; reopening the store");
        let is_reopened = self.reopen();
        if !is_reopened {
            self.roll_back();
        }
        let is_stored = |(tenant, position, link): (u32, i64, _)| {
            let found = super::events::find_chain_hash(&self.db, tenant, position);
            found.is_ok_and(|found| found == Some(link))
        };
        if is_reopened && batch.counters.any_new_hash().is_some_and(is_stored) {
            return Ok(());
        }
        Err(error.into())
    }

    fn roll_back(&self) {
        if !self.db.is_autocommit() && self.db.execute_batch("ROLLBACK").is_err() {
            tracing::error!("cannot roll back a batch");
        }
    }

    /// Once a savepoint has changed 16 pages (64 KiB), SQLite would write the old pages of every later one to a temporary file,
    /// too. Not for upgrades, which sort whole tables.
    fn keep_savepoints_in_memory(&self) {
        if let Err(error) = self.db.pragma_update(None, "temp_store", "MEMORY") {
            tracing::warn!(%error, "savepoints are written to a file");
        }
    }

    /// Replaces the connection. Returns whether that worked.
    fn reopen(&mut self) -> bool {
        // Open first: closing the last connection removes the log.
        match self.opened.connect_writer() {
            Ok(db) => {
                self.db = db;
                self.keep_savepoints_in_memory();
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot reopen the store");
                false
            }
        }
    }

    fn check_files(&self) -> Result<(), BatchError> {
        match self.opened.final_obstacle() {
            Some(obstacle) => Err(obstacle.into()),
            None if self.opened.verify_files() => Ok(()),
            None => Err(UnwritableReason::FileReplaced.into()),
        }
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<usize> {
        self.db.prepare_cached(sql)?.execute([])
    }

    /// Writes one transaction: the first job, and whatever else arrives until nothing is waiting.
    fn write(
        &self,
        first: WriterJob,
        queue: &mut mpsc::Receiver<WriterJob>,
        batch: &mut WriteBatch,
    ) -> Result<(), BatchError> {
        let mut next = Some(first);
        while let Some(job) = next {
            let mut is_followed = false;
            match job {
                WriterJob::Checkpoint => batch.checkpoint_requested = true,
                WriterJob::Probe(probe) => {
                    batch.probes.push(probe);
                    self.begin_once(&mut batch.has_begun)?;
                    // That a transaction can begin does not prove that writes work again.
                    if self.opened.obstacle().is_some() {
                        probe_write(&self.db)?;
                    }
                }
                WriterJob::Change { change, answer, is_followed: has_next } => {
                    is_followed = has_next;
                    batch.answers.push(answer);
                    self.begin_once(&mut batch.has_begun)?;
                    batch.results.push(self.apply_change(&mut batch.counters, *change)?);
                }
            }
            next = match is_followed {
                // It is being queued.
                true => queue.blocking_recv(),
                false if batch.results.len() < BATCH => next_waiting(queue),
                false => None,
            };
        }
        if batch.has_begun {
            batch.counters.write(&self.db)?;
            self.execute("COMMIT").map_err(BatchError::InDoubt)?;
            batch.is_committed = true;
            if let Some(position) = batch.counters.last_position() {
                self.opened.events.publish(position);
            }
        }
        Ok(())
    }

    fn begin_once(&self, has_begun: &mut bool) -> Result<(), BatchError> {
        if *has_begun {
            return Ok(());
        }
        self.check_files()?;
        self.execute("BEGIN IMMEDIATE")?;
        *has_begun = true;
        let is_filling = super::restore::restore_in_progress(&self.db)?.is_some();
        if is_filling { Err(UnwritableReason::Restoring.into()) } else { Ok(()) }
    }

    /// Applies a change in its own savepoint, so that its errors do not affect other changes of the batch. Only an
    /// error that concerns the store ends the transaction.
    fn apply_change(&self, counters: &mut TxCounters, change: Change) -> Result<CommitResult, BatchError> {
        self.execute("SAVEPOINT change")?;
        counters.savepoint();
        let caught = AssertUnwindSafe(|| apply::change(&self.db, counters, change));
        let applied = std::panic::catch_unwind(caught)
            .unwrap_or_else(|_| Err(ApplyError::Rejected(CommitError::Internal("a change panicked".into()))));
        let refusal = match applied {
            Ok(receipt) => {
                self.execute("RELEASE change")?;
                return Ok(Ok(receipt));
            }
            Err(ApplyError::Rejected(refusal)) => refusal,
            // SQLite itself ends the transaction on some errors.
            Err(ApplyError::Sqlite(error)) if obstacle_of(&error).is_some() || self.db.is_autocommit() => {
                return Err(error.into());
            }
            Err(ApplyError::Sqlite(error)) => {
                tracing::error!(%error, "a change was not written");
                CommitError::Internal(error.to_string())
            }
        };
        self.execute("ROLLBACK TO change")?;
        self.execute("RELEASE change")?;
        counters.rollback_to_savepoint();
        Ok(Err(refusal))
    }

    /// Empties the log. Does not wait for readers that still need it: writes would be blocked meanwhile.
    fn checkpoint(&mut self) {
        if self.opened.final_obstacle().is_some() {
            return;
        }
        let emptied = self.db.busy_handler(None::<fn(i32) -> bool>).and_then(|()| checkpoint(&self.db));
        if let Err(error) = emptied
            && let Some(obstacle) = obstacle_of(&error).filter(|obstacle| *obstacle != UnwritableReason::Locked)
        {
            tracing::error!(%error, "cannot write the log back");
            self.opened.set_obstacle(obstacle);
        }
        if let Err(error) = super::open::set_busy_handler(&mut self.db) {
            tracing::error!(%error, "cannot set the busy handler; writes do not wait for locks");
        }
    }
}

/// Pauses that let another process write, however long the queue is: an administrator must be able to revoke a
/// connection during an import.
struct WritePauses {
    last: Instant,
}

impl Default for WritePauses {
    fn default() -> Self {
        Self { last: Instant::now() }
    }
}

impl WritePauses {
    /// Time between two pauses.
    const EVERY: Duration = Duration::from_millis(250);
    /// Several times the interval at which other processes try (`open::BUSY_RETRY_INTERVAL`).
    const PAUSE: Duration = Duration::from_millis(3);

    /// Waits for the next job. Pauses first if the queue has not been empty for a while.
    fn around<T>(&mut self, wait: impl FnOnce() -> T) -> T {
        if self.last.elapsed() >= Self::EVERY {
            std::thread::sleep(Self::PAUSE);
            self.last = Instant::now();
        }
        let begun = Instant::now();
        let next = wait();
        if begun.elapsed() >= Self::PAUSE {
            self.last = Instant::now();
        }
        next
    }
}

/// The next waiting job. Yields once before giving up: requests that are about to arrive are cheaper in this commit
/// than in the next.
fn next_waiting(queue: &mut mpsc::Receiver<WriterJob>) -> Option<WriterJob> {
    queue.try_recv().ok().or_else(|| {
        std::thread::yield_now();
        queue.try_recv().ok()
    })
}
