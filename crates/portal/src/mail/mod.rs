//! Mails: what they say, how they go out, and the worker that sees to it that each does, or says why not.

mod compose;
mod sender;
mod worker;

pub use compose::SentMail;
pub use sender::{MailConfigError, MailSender, MailTransport};
pub use worker::{OutcomeListener, RetryPolicy, Worker};
