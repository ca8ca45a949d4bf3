//! What a person meets: a few pages, and the mails whose links lead to them.
//!
//! Everything here is done through the directory, as over any dialect: a page decides nothing. This crate knows no SQL
//! and no dialect.

pub mod mail;
mod messages;
mod pages;
mod portal_keys;
mod templates;

pub use pages::{PageResponse, Portal, ROUTES, Route};
pub use templates::{TemplateError, check_template};
