//! From faults to an error for programs and a sentence for people.

use super::write;
use crate::kit::{DialectRequest, DialectResponse, OutputValue, RequestError};
use directory::{DirectoryError, SignInError};
use http::{HeaderValue, StatusCode, header};

/// Says a fault.
pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &'static str, &str) = match error {
        RequestError::DialectSpecific(own) => (own.status, own.code, own.message.as_str()),
        RequestError::Directory(DirectoryError::SignIn(SignInError::TooManyAttempts { .. })) => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many attempts have failed; try again later")
        }
        RequestError::Directory(DirectoryError::SignIn(_) | DirectoryError::NoSuchUser) => {
            (StatusCode::UNAUTHORIZED, "sign_in_refused", "The user or the password is wrong")
        }
        RequestError::Unauthorized | RequestError::Directory(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key opens nothing here")
        }
        RequestError::Forbidden => {
            (StatusCode::FORBIDDEN, "forbidden", "The connection was not told that it may sign people in")
        }
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many bad keys came from this address")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many concurrent requests for this connection or tenant")
        }
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such endpoint"),
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here")
        }
        RequestError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
        RequestError::InvalidHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        RequestError::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, "timeout", "The body did not arrive in time"),
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
            let text = format!("Something went wrong on our side; it is logged under {}", request.request_id);
            return json_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be application/json")
        }
        RequestError::InvalidMembers(faults) => {
            let names: Vec<&str> = faults.iter().map(|error| error.name.as_str()).collect();
            let text = format!("Missing or not of the right form: {}", names.join(", "));
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
