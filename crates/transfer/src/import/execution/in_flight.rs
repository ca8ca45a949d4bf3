//! Rows in execution.

use crate::import::execution::context::RowResult;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesOrdered;
use std::collections::VecDeque;

const MAX_IN_FLIGHT: usize = 512;

/// Rows in execution, and finished rows whose results were not collected yet. All of them are polled during every
/// wait: a database request whose response is not read blocks those after it.
#[derive(Default)]
pub(crate) struct InFlightRows<'a> {
    tasks: FuturesOrdered<BoxFuture<'a, Vec<RowResult>>>,
    completed: VecDeque<RowResult>,
    /// Rows of the tasks.
    running: usize,
}

impl<'a> InFlightRows<'a> {
    pub(crate) fn is_full(&self) -> bool {
        self.running + self.completed.len() >= MAX_IN_FLIGHT
    }

    /// Adds a task that executes this many rows.
    pub(crate) fn push(&mut self, rows: usize, task: BoxFuture<'a, Vec<RowResult>>) {
        self.running += rows;
        self.tasks.push_back(task);
    }

    /// The next finished row, in the order of the file.
    pub(crate) async fn next(&mut self) -> Option<RowResult> {
        while self.completed.is_empty() {
            let finished = self.tasks.next().await?;
            self.finish(finished);
        }
        self.completed.pop_front()
    }

    fn finish(&mut self, finished: Vec<RowResult>) {
        self.running -= finished.len();
        self.completed.extend(finished);
    }

    /// Awaits another task while rows continue.
    pub(crate) async fn run_alongside<T>(&mut self, task: impl Future<Output = T>) -> T {
        let mut task = std::pin::pin!(task);
        loop {
            if self.tasks.is_empty() {
                return task.await;
            }
            match select(task, self.tasks.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((finished, rest)) => {
                    self.finish(finished.unwrap_or_default());
                    task = rest;
                }
            }
        }
    }
}
