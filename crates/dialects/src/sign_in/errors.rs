//! Renders errors as a code and a message.

use super::write;
use crate::kit::{DialectRequest, DialectResponse, OutputValue, RequestError};
use directory::{DirectoryError, SignInError};
use http::{HeaderValue, StatusCode, header};

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &'static str, &str) = match error {
        RequestError::DialectSpecific(own) => (own.status, own.code, own.message.as_str()),
        RequestError::Directory(DirectoryError::SignIn(SignInError::TooManyAttempts { .. })) => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many failed attempts; try again later")
        }
        RequestError::Directory(DirectoryError::SignIn(_) | DirectoryError::NoSuchUser) => {
            (StatusCode::UNAUTHORIZED, "sign_in_refused", "Incorrect user or password")
        }
        RequestError::Unauthorized | RequestError::Directory(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key is missing or invalid")
        }
        RequestError::Forbidden => {
            (StatusCode::FORBIDDEN, "forbidden", "This connection is not enabled for this API (`--dialect sign-in`)")
        }
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many invalid keys from this address; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many concurrent requests for this connection or tenant")
        }
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
            | DirectoryError::NoSuchItem(_)
            | DirectoryError::NoSuchTenant
            | DirectoryError::NoSuchConnection
            | DirectoryError::RoleTooHigh
            | DirectoryError::WrongStatus
            | DirectoryError::VersionMismatch
            | DirectoryError::Internal(_),
        ) => {
            let text = format!("Internal error; the server log has details under request id {}", request.request_id);
            return json_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be application/json")
        }
        RequestError::InvalidMembers(errors) => {
            let names: Vec<&str> = errors.iter().map(|error| error.name.as_str()).collect();
            let text = format!("Missing or malformed: {}", names.join(", "));
            return json_error(StatusCode::BAD_REQUEST, "invalid_request", &text);
        }
        RequestError::NotAcceptable | RequestError::Unparsable(_) | RequestError::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body must be a JSON object")
        }
    };
    json_error(status, code, text)
}

fn json_error(status: StatusCode, code: &'static str, text: &str) -> DialectResponse {
    let out = OutputValue::object(vec![("error", OutputValue::text(code)), ("message", OutputValue::text(text))]);
    let mut response = write::response(status, &out);
    if status == StatusCode::UNAUTHORIZED && code == "invalid_key" {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
