//! Renders errors as RFC 6749 section 5.2.

use crate::json_response;
use crate::kit::{DialectRequest, DialectResponse, OutputValue, RequestError, json};
use directory::DirectoryError;
use http::{HeaderValue, StatusCode, header};

pub(super) fn oauth_error(status: StatusCode, code: &'static str, text: &str) -> RequestError {
    RequestError::dialect_specific(status, code, text)
}

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let bad_request = StatusCode::BAD_REQUEST;
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &'static str, &str) = match error {
        RequestError::DialectSpecific(own) => (own.status, own.code, own.message.as_str()),
        RequestError::Unauthorized => (StatusCode::UNAUTHORIZED, "invalid_client", "Client authentication failed"),
        RequestError::TooManyAttempts { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "invalid_client",
            "Too many failed attempts from this address; try again later",
        ),
        RequestError::TooManyConcurrentRequests { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            "Too many concurrent requests for this connection or tenant",
        ),
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "invalid_request", "There is no such endpoint"),
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "The method is not allowed here; see Allow")
        }
        RequestError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large"),
        RequestError::InvalidHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        RequestError::BodyIncomplete => {
            (StatusCode::REQUEST_TIMEOUT, "invalid_request", "The body is incomplete or did not arrive in time")
        }
        RequestError::TimedOut => (busy, "temporarily_unavailable", "The request took too long"),
        RequestError::Directory(DirectoryError::Busy { .. } | DirectoryError::Unavailable(_)) => {
            (busy, "temporarily_unavailable", "The service is busy; try again in a moment")
        }
        RequestError::Directory(
            DirectoryError::Invalid(_)
            | DirectoryError::NoSuchUser
            | DirectoryError::NoSuchItem(_)
            | DirectoryError::NoSuchTenant
            | DirectoryError::NoSuchConnection
            | DirectoryError::ConnectionEnded
            | DirectoryError::Forbidden
            | DirectoryError::RoleTooHigh
            | DirectoryError::WrongStatus
            | DirectoryError::SignIn(_)
            | DirectoryError::VersionMismatch
            | DirectoryError::Conflict
            | DirectoryError::Internal(_),
        ) => {
            let text = format!("Internal error; the server log has details under request id {}", request.request_id);
            return json_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        RequestError::InvalidMembers(_)
        | RequestError::UnsupportedMediaType(_)
        | RequestError::NotAcceptable
        | RequestError::Unparsable(_)
        | RequestError::BodyMissing
        | RequestError::Idempotency(_)
        | RequestError::Forbidden => (bad_request, "invalid_request", "The request is not valid"),
    };
    json_error(status, code, text)
}

fn json_error(status: StatusCode, code: &'static str, text: &str) -> DialectResponse {
    let out =
        OutputValue::object(vec![("error", OutputValue::text(code)), ("error_description", OutputValue::text(text))]);
    let mut response = json_response(status, json::write(&out));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"muster\""));
    }
    response
}
