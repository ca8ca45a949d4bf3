//! What a person meets: a few pages, and the mails whose links lead to them.
//!
//! Everything here is done through the directory, as over any dialect: a page decides nothing. This crate knows no SQL
//! and no dialect.

mod keys;
pub mod mail;
mod pages;
mod templates;
mod words;

pub use pages::{Answered, Portal, ROUTES, Route};
pub use templates::{TemplateError, check_template};
