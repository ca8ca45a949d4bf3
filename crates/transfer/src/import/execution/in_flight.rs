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
    pub(crate) rows: FuturesOrdered<BoxFuture<'a, RowResult>>,
    completed: VecDeque<RowResult>,
}

impl InFlightRows<'_> {
    pub(crate) fn is_full(&self) -> bool {
        self.rows.len() + self.completed.len() >= MAX_IN_FLIGHT
    }

    /// The next finished row, in the order of the file.
    pub(crate) async fn next(&mut self) -> Option<RowResult> {
        match self.completed.pop_front() {
            Some(done) => Some(done),
            None => self.rows.next().await,
        }
    }

    /// Awaits another task while rows continue.
    pub(crate) async fn run_alongside<T>(&mut self, task: impl Future<Output = T>) -> T {
        let mut task = std::pin::pin!(task);
        loop {
            if self.rows.is_empty() {
                return task.await;
            }
            match select(task, self.rows.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((row, rest)) => {
                    self.completed.extend(row);
                    task = rest;
                }
            }
        }
    }
}
