//! Mails: what they say, how they go out, and the worker that sees to it that each does, or says why not.

mod compose;
mod sender;
mod worker;

pub use compose::Sent;
pub use sender::{Sender, SenderError, Transport};
pub use worker::{Noted, Pace, Worker};
