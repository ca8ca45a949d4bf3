//! The tools every dialect uses: readers built for hostile input, exact writers, routing, credentials.
//!
//! No dialect is named in here.

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

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
    /// `application/x-www-form-urlencoded`; only ever read.
    Form,
}

/// In which format and under which media type an answer goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseFormat {
    /// The format.
    pub format: Format,
    /// The `ResponseBody-Type`, whole.
    pub content_type: &'static str,
}
