//! What all dialects share: parsers for hostile input, writers, routing, authentication, and the OpenAPI document.
//!
//! It must not name a dialect (`cargo xtask tidy` checks that).

mod auth;
mod client;
mod formats;
mod http;
pub(crate) mod openapi;
mod routing;
mod target_document;

pub use auth::*;
pub(crate) use auth::{AuthenticatedClient, Denial, DerivedKeys, bearer, bearer_scheme, jwt};
pub use client::*;
pub use formats::*;
pub(crate) use formats::{BodyUse, check_members, form, json, lenient_json, timestamps, validate_members, xml};
pub use http::*;
pub(crate) use http::{OpenRequest, idempotency_key, media_types, own_api_errors};
pub use openapi::{EMAIL, EXTERNAL_ID, Examples, FOLDER_ID, GROUP_ID, USER_ID, XmlNames};
pub use routing::*;
pub(crate) use routing::{
    ListKey, TemporaryResponse, idempotency_header, is_temporary_error, is_temporary_status, param, route_method,
    takes_key, upload_key,
};
pub use target_document::*;

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
