//! The one writer: takes what is waiting, commits it as one transaction, answers everybody.
//!
//! A change that is queued is carried out whether or not its caller still waits; the answer is then dropped.

use super::apply::{self, Failure};
use super::tally::Tally;
use directory::{Change, CommitError, Health, Pending, Receipt};
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How many changes may wait; more are refused as busy.
const QUEUE: usize = 8192;
/// How many changes go into one transaction at the most.
const BATCH: usize = 256;

type Answer = Result<Receipt, CommitError>;

struct Job {
    change: Change,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct Figures {
    commits: AtomicU64,
    changes: AtomicU64,
}

/// The way to the writer's thread.
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    figures: Arc<Figures>,
}

impl Writer {
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let seen = Arc::clone(&figures);
        let thread = std::thread::Builder::new()
            .name("muster-writer".into())
            .spawn(move || run(&connection, receiver, &seen))?;
        Ok(Self { queue: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)), figures })
    }

    pub(super) fn commit(&self, change: Change) -> Pending<'static, Answer> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.lock();
        let sent = match queue.as_ref() {
            Some(queue) => queue.try_send(Job { change, answer }).map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => CommitError::Busy,
                mpsc::error::TrySendError::Closed(_) => closed(),
            }),
            None => Err(closed()),
        };
        drop(queue);
        match sent {
            Err(error) => Box::pin(std::future::ready(Err(error))),
            Ok(()) => Box::pin(async move { answered.await.unwrap_or_else(|_| Err(closed())) }),
        }
    }

    pub(super) fn health(&self) -> Health {
        let queue = self.queue.lock();
        let waiting = queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity());
        Health {
            engine: "sqlite",
            commits: self.figures.commits.load(Ordering::Relaxed),
            changes: self.figures.changes.load(Ordering::Relaxed),
            waiting: waiting as u64,
            is_balanced: false,
        }
    }

    /// Lets everything queued be committed, and waits for it.
    pub(super) fn stop(&self) {
        drop(self.queue.lock().take());
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer ended in a panic");
        }
    }
}

fn closed() -> CommitError {
    CommitError::Unavailable("the store is closed".into())
}

fn run(db: &Connection, mut queue: mpsc::Receiver<Job>, figures: &Figures) {
    let mut pauses = Pauses::default();
    while let Some(first) = pauses.around(|| queue.blocking_recv()) {
        let mut answers = Vec::with_capacity(BATCH);
        // A panic in one batch is a refusal of that batch and never the end of the writer.
        let written =
            std::panic::catch_unwind(AssertUnwindSafe(|| write(db, first, &mut queue, &mut answers)));
        match written.unwrap_or_else(|_| Err(CommitError::Broken("a write panicked".into()))) {
            Ok(results) => {
                figures.commits.fetch_add(1, Ordering::Relaxed);
                figures.changes.fetch_add(results.len() as u64, Ordering::Relaxed);
                for (answer, result) in answers.into_iter().zip(results) {
                    drop(answer.send(result));
                }
            }
            Err(error) => {
                tracing::error!(%error, changes = answers.len(), "a batch was not written");
                if !db.is_autocommit() && db.execute_batch("ROLLBACK").is_err() {
                    tracing::error!("a batch was not rolled back");
                }
                for answer in answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }
    // Leaves one tidy file behind; what this does not manage, the next start does.
    drop(db.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);"));
}

/// Pauses that let another process write, however long the queue is: an administrator must be able to revoke a connection
/// during an import.
struct Pauses {
    last: Instant,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { last: Instant::now() }
    }
}

impl Pauses {
    /// Time between two pauses.
    const EVERY: Duration = Duration::from_millis(250);
    /// Length of a pause: several times the interval at which other processes try (`open::WAIT`).
    const PAUSE: Duration = Duration::from_millis(3);

    /// Waits for the next change; pauses first if the queue has not been empty for a while.
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

/// One transaction: the first change, and whatever else arrives until nothing is waiting. Each change has a savepoint
/// of its own, so that one refusal spoils no neighbor. The answers' places are left in `answers`.
fn write(
    db: &Connection,
    first: Job,
    queue: &mut mpsc::Receiver<Job>,
    answers: &mut Vec<oneshot::Sender<Answer>>,
) -> Result<Vec<Answer>, CommitError> {
    let fatal = |error: rusqlite::Error| fatal(&error);
    let run = |sql: &str| db.prepare_cached(sql).and_then(|mut s| s.execute([])).map_err(fatal);
    let (mut results, mut tally) = (Vec::with_capacity(BATCH), Tally::default());
    let (mut next, mut has_begun) = (Some(first), false);
    while let Some(job) = next {
        answers.push(job.answer);
        if !has_begun {
            run("BEGIN IMMEDIATE")?;
            has_begun = true;
        }
        run("SAVEPOINT change")?;
        tally.begin();
        match apply::change(db, &mut tally, job.change) {
            Ok(receipt) => results.push(Ok(receipt)),
            Err(Failure::Refused(refusal)) => {
                run("ROLLBACK TO change")?;
                tally.undo();
                results.push(Err(refusal));
            }
            Err(Failure::Engine(error)) => return Err(fatal(error)),
        }
        run("RELEASE change")?;
        next = if results.len() < BATCH { waiting(queue) } else { None };
    }
    tally.write(db).map_err(fatal)?;
    run("COMMIT")?;
    Ok(results)
}

/// What is waiting now. Before it says nothing, others get the processor once: requests that are nearly here are
/// cheaper in this commit than in the next.
fn waiting(queue: &mut mpsc::Receiver<Job>) -> Option<Job> {
    queue.try_recv().ok().or_else(|| {
        std::thread::yield_now();
        queue.try_recv().ok()
    })
}

fn fatal(error: &rusqlite::Error) -> CommitError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked,
        ) => CommitError::Unavailable(error.to_string()),
        _ => CommitError::Broken(error.to_string()),
    }
}
