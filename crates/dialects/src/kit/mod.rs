//! What all dialects share: parsers for hostile input, writers, routing, authentication, and the OpenAPI document.
//!
//! It must not name a dialect (`cargo xtask tidy` checks that).

mod auth;
mod formats;
mod http;
pub(crate) mod openapi;
mod routing;

pub use auth::*;
pub(crate) use auth::{Denial, bearer, bearer_scheme, jwt};
pub use formats::*;
pub(crate) use formats::{form, json, lenient_json, timestamps, validate_members, xml};
pub(crate) use http::media_types;
pub use http::*;
pub use openapi::{EMAIL, Examples, FOLDER_ID, GROUP_ID, USER_ID, XmlNames};
pub(crate) use routing::ListKey;
pub use routing::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    Xml,
    /// `application/x-www-form-urlencoded`; requests only.
    Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFormat {
    pub format: Format,
    /// The `Content-Type` with its parameters.
    pub content_type: &'static str,
}
