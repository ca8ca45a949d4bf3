//! A thread that monitors an open store: whether its files are still in place, and how large its log is.

use super::shared_state::SharedState;
use super::writer_job::{WriterJob, WriterMetrics};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// Time between two checks.
const INTERVAL: Duration = Duration::from_millis(500);
/// A log above this size, in bytes, is written back even while changes arrive.
const CHECKPOINT_SIZE: u64 = 64 << 20;

pub(super) struct StoreMonitor {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl StoreMonitor {
    pub(super) fn start(
        opened: Arc<SharedState>,
        metrics: Arc<WriterMetrics>,
        queue: Arc<Mutex<Option<mpsc::Sender<WriterJob>>>>,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("muster-watch".into()).spawn(move || {
            let mut seen = 0;
            while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // Records by itself that files were replaced.
                let is_in_place = opened.verify_files();
                let (commits, size) = (metrics.commits.load(Ordering::Relaxed), opened.wal_size());
                let is_idle = std::mem::replace(&mut seen, commits) == commits;
                if is_in_place && size > 0 && (is_idle || size > CHECKPOINT_SIZE) {
                    let queue = queue.lock();
                    // A full queue means that the writer is not idle; the log can wait.
                    let _ = queue.as_ref().map(|queue| queue.try_send(WriterJob::Checkpoint).is_ok());
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the store monitor panicked");
        }
    }
}
