//! The web pages for users (sign-in, account, passwords) and the mails with links to them.
//!
//! All changes go through the directory, as in every dialect. This crate contains no SQL and no dialect.
//!
//! ```
//! assert!(portal::Portal::claims_path("/t/1/sign-in"));
//! ```

pub mod mail;
mod messages;
mod pages;
mod portal_keys;
mod templates;

pub use pages::{PageResponse, Portal, ROUTES, Route};
pub use templates::{TemplateError, check_template};
