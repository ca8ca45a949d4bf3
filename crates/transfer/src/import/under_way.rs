//! Rows that are carried out at the same time.

use super::job::Done;
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, Either, select};
use futures_util::stream::FuturesOrdered;
use std::collections::VecDeque;

/// So many rows are under way at the same time.
const WIDTH: usize = 512;
/// Rows that are under way, and those that are done and were not looked at yet. All of them are kept going whatever is
/// waited for: a request to a database whose answer nobody takes holds up those behind it.
#[derive(Default)]
pub(super) struct UnderWay<'a> {
    pub(super) rows: FuturesOrdered<BoxFuture<'a, Done>>,
    done: VecDeque<Done>,
}

impl UnderWay<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.rows.len() + self.done.len() >= WIDTH
    }

    /// The next row that is done, in the order of the file.
    pub(super) async fn next(&mut self) -> Option<Done> {
        match self.done.pop_front() {
            Some(done) => Some(done),
            None => self.rows.next().await,
        }
    }

    /// Waits for something else meanwhile.
    pub(super) async fn beside<T>(&mut self, task: impl Future<Output = T>) -> T {
        let mut task = std::pin::pin!(task);
        loop {
            if self.rows.is_empty() {
                return task.await;
            }
            match select(task, self.rows.next()).await {
                Either::Left((done, _)) => return done,
                Either::Right((row, rest)) => {
                    self.done.extend(row);
                    task = rest;
                }
            }
        }
    }
}
