//! Renders errors as a code and a message.

use crate::kit::{DialectError, DialectRequest, DialectResponse, RequestError, own_api_errors};
use http::StatusCode;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let (status, code, text) = match error {
        RequestError::Forbidden => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "This connection is not enabled for this API (`--dialect transfer`), or is read-only",
        ),
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such import, file or endpoint"),
        RequestError::BodyTooLarge(limit) => {
            (StatusCode::PAYLOAD_TOO_LARGE, "too_large", &*format!("The file is larger than {limit} bytes"))
        }
        RequestError::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body is empty; it must be a file")
        }
        RequestError::BodyIncomplete => {
            (StatusCode::REQUEST_TIMEOUT, "timeout", "The file is incomplete or did not arrive in time")
        }
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "The Content-Encoding must be gzip or deflate")
        }
        RequestError::Unparsable(_) => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body does not match its Content-Encoding")
        }
        other => return own_api_errors::response(own_api_errors::describe(other, request)),
    };
    own_api_errors::response(DialectError::new(status, code, text))
}
