//! Everything that Muster sends to other systems: mails and HTTP requests, where they may go, when they are retried and
//! how fast.
//!
//! It does not depend on users, tenants or APIs: callers decide what to send and when.

mod address_guard;
mod http_client;
mod mail;
mod rate_control;
mod retry_policy;
mod send_window;

pub use address_guard::{AddressGuard, AllowedTarget, ForbiddenAddress, InvalidTarget};
pub use http_client::{HttpClient, HttpError, HttpLimits};
pub use mail::{MailConfigError, MailSender, MailSummary, MailTransport, NotAccepted, OutgoingMail, SendResult};
pub use rate_control::RateControl;
pub use retry_policy::RetryPolicy;
pub use send_window::SendWindow;
