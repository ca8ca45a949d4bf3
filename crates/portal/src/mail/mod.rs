//! Mails: their content, and the worker that has them sent and records the outcome.

mod compose;
mod worker;

pub use worker::{DEFAULT_RETRY_POLICY, OutcomeListener, Worker};
