//! The tools every dialect uses: readers built for hostile input, exact writers, routing, credentials.
//!
//! No dialect is named in here.

mod authentication;
mod authenticator;
mod body;
mod concurrency;
pub(crate) mod dispatch;
mod error;
mod examples;
mod field_aliases;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod jwt;
pub(crate) mod lenient_json;
pub(crate) mod media_types;
mod node;
pub(crate) mod openapi;
mod operation;
mod output_value;
mod page_positions;
mod query;
mod request;
mod response_body;
mod route;
mod schema;
pub(crate) mod timestamps;
mod token_keys;
pub mod transfers;
pub(crate) mod xml;

pub use authentication::{ApiCredential, challenge, hash_key};
pub(crate) use authentication::{bearer, bearer_scheme};
pub(crate) use authenticator::Denial;
pub use authenticator::{Authenticator, RateLimiter};
pub(crate) use body::validate_members;
pub use body::{ParsedBody, boolean_of, child_nodes, integer_of, pairs_of, text_of};
pub use concurrency::{ConcurrencyLimiter, ConcurrencyLimits, LARGE_RESPONSE, Permit};
pub use dispatch::{HandledRequest, PendingRequest, aborted_response, receive_head};
pub use error::{DialectError, MemberError, RequestError};
pub use examples::{EMAIL, Examples, FOLDER_ID, GROUP_ID, USER_ID};
pub use field_aliases::field_aliases;
pub use jwt::check_public_key;
pub use node::{Duplicates, Node, Object};
pub use openapi::XmlNames;
pub use operation::{MethodSpec, RequiredAccess, SuccessResponse};
pub use output_value::OutputValue;
pub(crate) use page_positions::ListKey;
pub use page_positions::PagePositions;
pub use query::Query;
pub use request::{BodyError, DialectRequest, DialectResponse};
pub use response_body::{Chunk, ChunkSource, IncompleteBody, ResponseBody};
pub use route::{
    AppState, Handler, MatchedRoute, Route, RouteMatch, RouteMethod, RoutePath, RouteTable, claiming_dialect,
    route_paths,
};
pub use schema::{Direction, FILE, ObjectSchema, Property, ValueType};
pub use timestamps::{parse_timestamp as parse_time, rfc3339};
pub use token_keys::TokenKeys;

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
