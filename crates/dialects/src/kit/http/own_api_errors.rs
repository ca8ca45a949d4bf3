//! Errors of Muster's own APIs, imports and sign-in: a code and a message as JSON.

use crate::json_response;
use crate::kit::{DialectError, DialectRequest, DialectResponse, OutputValue, RequestError, json};
use directory::DirectoryError;
use http::StatusCode;

/// Describes an error that has no other text in the dialect.
pub(crate) fn describe(error: &RequestError, request: &DialectRequest) -> DialectError {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text) = match error {
        RequestError::DialectSpecific(own) => return DialectError::clone(own),
        RequestError::Unauthorized | RequestError::Directory(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key is missing or invalid")
        }
        RequestError::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This connection is not enabled for this API"),
        RequestError::Directory(DirectoryError::Forbidden) => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "This connection lacks a permission that the request needs (`muster connection set NAME --permission`)",
        ),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many invalid keys from this address; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many concurrent requests for this connection or tenant")
        }
        RequestError::Idempotency(problem) => (problem.status(), problem.code(), problem.message()),
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such endpoint"),
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here; see Allow")
        }
        RequestError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
        RequestError::InvalidHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        RequestError::BodyIncomplete => {
            (StatusCode::REQUEST_TIMEOUT, "timeout", "The body is incomplete or did not arrive in time")
        }
        RequestError::TimedOut => (busy, "busy", "The request took too long"),
        RequestError::Directory(
            DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict,
        ) => (busy, "busy", "The service is busy; try again in a moment"),
        RequestError::Directory(
            DirectoryError::Invalid(_)
            | DirectoryError::NoSuchUser
            | DirectoryError::NoSuchItem(_)
            | DirectoryError::NoSuchTenant
            | DirectoryError::NoSuchConnection
            | DirectoryError::RoleTooHigh
            | DirectoryError::WrongStatus
            | DirectoryError::SignIn(_)
            | DirectoryError::VersionMismatch
            | DirectoryError::Internal(_),
        ) => {
            let text = format!("Internal error; the server log has details under request id {}", request.request_id);
            return DialectError::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", text);
        }
        RequestError::UnsupportedMediaType(_)
        | RequestError::InvalidMembers(_)
        | RequestError::NotAcceptable
        | RequestError::Unparsable(_)
        | RequestError::BodyMissing => (StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid"),
    };
    DialectError::new(status, code, text)
}

pub(crate) fn response(error: DialectError) -> DialectResponse {
    let DialectError { status, code, message } = error;
    let out = OutputValue::object(vec![("error", OutputValue::text(code)), ("message", OutputValue::Text(message))]);
    json_response(status, json::write(&out))
}
