//! Jobs of the writer thread, and its metrics.

use directory::{Change, CommitError, Receipt, UnwritableReason};
use std::sync::atomic::AtomicU64;
use tokio::sync::oneshot;

pub(super) type CommitResult = Result<Receipt, CommitError>;

pub(super) enum WriterJob {
    Change {
        change: Box<Change>,
        answer: oneshot::Sender<CommitResult>,
        /// Whether the next job was queued together with this one, so that it belongs into the same transaction.
        is_followed: bool,
    },
    /// Asks whether a change could be written now.
    Probe(oneshot::Sender<Option<UnwritableReason>>),
    /// Writes the log back and empties it, if no reader needs it.
    Checkpoint,
}

#[derive(Default)]
pub(super) struct WriterMetrics {
    pub(super) commits: AtomicU64,
    pub(super) changes: AtomicU64,
}
