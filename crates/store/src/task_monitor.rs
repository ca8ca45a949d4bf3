//! Monitors background tasks: one that panics is restarted after a pause, counted, and shown in health checks and
//! metrics.

use directory::TaskHealth;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pause after the first panic; it doubles with each panic, up to the maximum.
const INITIAL_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_mins(1);
/// A task that has run this long starts with the initial pause again.
const BACKOFF_RESET_AFTER: Duration = Duration::from_mins(5);

/// State of tasks that have panicked, by name.
#[derive(Clone, Default)]
pub struct TaskMonitor(Arc<Mutex<BTreeMap<&'static str, TaskState>>>);

struct TaskState {
    panics: u64,
    is_restarting: bool,
    backoff: Duration,
    last_panic: Instant,
}

impl TaskMonitor {
    /// Records a panic, and waits until the task can be restarted.
    pub async fn back_off_after_panic(&self, name: &'static str) {
        let pause = self.record(name, true);
        tracing::error!(task = name, pause = ?pause, "a background task panicked; restarting it after the pause");
        tokio::time::sleep(pause).await;
        if let Some(state) = self.0.lock().get_mut(name) {
            state.is_restarting = false;
        }
    }

    /// Records a panic of a task that continues immediately.
    pub fn record_panic(&self, name: &'static str) {
        self.record(name, false);
        tracing::error!(task = name, "a background task panicked; continuing");
    }

    fn record(&self, name: &'static str, is_down: bool) -> Duration {
        let mut all = self.0.lock();
        let new =
            || TaskState { panics: 0, is_restarting: is_down, backoff: INITIAL_BACKOFF, last_panic: Instant::now() };
        let state = all.entry(name).or_insert_with(new);
        if state.last_panic.elapsed() > BACKOFF_RESET_AFTER {
            state.backoff = INITIAL_BACKOFF;
        }
        (state.panics, state.is_restarting, state.last_panic) = (state.panics + 1, is_down, Instant::now());
        let pause = state.backoff;
        state.backoff = (2 * pause).min(MAX_BACKOFF);
        pause
    }

    /// Tasks that have panicked since the start.
    pub fn health(&self) -> Vec<TaskHealth> {
        let all = self.0.lock();
        let health = |(name, state): (&&'static str, &TaskState)| TaskHealth {
            name,
            panics: state.panics,
            is_restarting: state.is_restarting,
        };
        all.iter().map(health).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::panic::AssertUnwindSafe;

    #[tokio::test(start_paused = true)]
    async fn restart_backoff_doubles() {
        let (tasks, begun) = (TaskMonitor::default(), tokio::time::Instant::now());
        let mut runs = 0;
        let task = |run: u32| async move { assert!(run > 3, "run {run}") };
        loop {
            runs += 1;
            if AssertUnwindSafe(task(runs)).catch_unwind().await.is_ok() {
                break;
            }
            tasks.back_off_after_panic("mails").await;
        }
        assert_eq!((runs, begun.elapsed().as_secs()), (4, 1 + 2 + 4));
        assert_eq!(tasks.health(), [TaskHealth { name: "mails", panics: 3, is_restarting: false }]);
        let waiting = tasks.back_off_after_panic("mails");
        assert!(waiting.now_or_never().is_none());
        assert!(tasks.health()[0].is_restarting);
    }
}
