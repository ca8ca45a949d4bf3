//! Background tasks: one that panics is restarted after a while, counted, and shown in health checks and metrics.

use directory::TaskHealth;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The pause after the first panic; it doubles with each, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A task that has run for so long begins with the first pause again.
const WELL_AFTER: Duration = Duration::from_mins(5);

/// How tasks are doing, by name.
#[derive(Clone, Default)]
pub struct Tasks(Arc<Mutex<BTreeMap<&'static str, State>>>);

struct State {
    panics: u64,
    is_down: bool,
    pause: Duration,
    last: Instant,
}

impl Tasks {
    /// Notes that a task has panicked, and waits before it is restarted.
    pub async fn panicked(&self, name: &'static str) {
        let pause = self.note(name, true);
        tracing::error!(task = name, pause = ?pause, "a background task has panicked; it is restarted");
        tokio::time::sleep(pause).await;
        if let Some(state) = self.0.lock().get_mut(name) {
            state.is_down = false;
        }
    }

    /// Notes that a task has panicked and continues immediately.
    pub fn went_on(&self, name: &'static str) {
        self.note(name, false);
        tracing::error!(task = name, "a background task has panicked; it goes on");
    }

    fn note(&self, name: &'static str, is_down: bool) -> Duration {
        let mut all = self.0.lock();
        let new = || State { panics: 0, is_down, pause: FIRST_PAUSE, last: Instant::now() };
        let state = all.entry(name).or_insert_with(new);
        if state.last.elapsed() > WELL_AFTER {
            state.pause = FIRST_PAUSE;
        }
        (state.panics, state.is_down, state.last) = (state.panics + 1, is_down, Instant::now());
        let pause = state.pause;
        state.pause = (2 * pause).min(LONGEST_PAUSE);
        pause
    }

    /// Those that have panicked since the start.
    pub fn health(&self) -> Vec<TaskHealth> {
        let all = self.0.lock();
        let health = |(name, state): (&&'static str, &State)| TaskHealth {
            name,
            panics: state.panics,
            is_restarting: state.is_down,
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
    async fn a_task_that_panics_is_restarted_after_pauses_that_double() {
        let (tasks, begun) = (Tasks::default(), tokio::time::Instant::now());
        let mut runs = 0;
        let task = |run: u32| async move { assert!(run > 3, "run {run}") };
        loop {
            runs += 1;
            if AssertUnwindSafe(task(runs)).catch_unwind().await.is_ok() {
                break;
            }
            tasks.panicked("mails").await;
        }
        assert_eq!((runs, begun.elapsed().as_secs()), (4, 1 + 2 + 4));
        assert_eq!(tasks.health(), [TaskHealth { name: "mails", panics: 3, is_restarting: false }]);
        let waiting = tasks.panicked("mails");
        assert!(waiting.now_or_never().is_none());
        assert!(tasks.health()[0].is_restarting);
    }
}
