//! One request and its response, independent of sockets.

mod error;
pub(crate) mod idempotency_key;
pub(crate) mod media_types;
pub(crate) mod own_api_errors;
mod query;
mod request;
mod response_body;
mod write_context;

pub use error::{DialectError, MemberError, RequestError};
pub(crate) use idempotency_key::OpenRequest;
pub use idempotency_key::{IdempotencyError, OpenRequests};
pub use query::Query;
pub use request::{BodyError, DialectRequest, DialectResponse};
pub use response_body::{Chunk, ChunkSource, IncompleteBody, ResponseBody};
pub use write_context::WriteContext;
