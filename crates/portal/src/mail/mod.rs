//! Mails: their content, their delivery, and the worker that sends them and records the outcome.

mod compose;
mod sender;
mod worker;

pub use compose::MailSummary;
pub use sender::{MailConfigError, MailSender, MailTransport, NotAccepted};
pub use worker::{OutcomeListener, RetryPolicy, Worker};
