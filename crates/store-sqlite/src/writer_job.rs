//! Jobs of the writer thread, and its metrics.

use directory::{Change, CommitError, Receipt, UnwritableReason};
use std::sync::atomic::AtomicU64;
use tokio::sync::oneshot;

pub(super) type CommitResult = Result<Receipt, CommitError>;

pub(super) enum WriterJob {
    Change(Change, oneshot::Sender<CommitResult>),
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
