//! Renders errors as a code and a message.

use crate::kit::{DialectRequest, DialectResponse, RequestError};
use crate::text_response;
use directory::DirectoryError;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &str, &str) = match error {
        RequestError::DialectSpecific(own) => (own.status, own.code, own.message.as_str()),
        RequestError::Unauthorized | RequestError::Directory(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key is missing or invalid")
        }
        RequestError::Forbidden => (
            StatusCode::FORBIDDEN,
            "forbidden",
            "This connection is not enabled for this API (`--dialect transfer`), or is read-only",
        ),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many invalid keys from this address; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many concurrent requests for this connection or tenant")
        }
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such import, file or endpoint"),
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here; see Allow")
        }
        RequestError::BodyTooLarge(limit) => {
            let text = format!("The file is larger than {limit} bytes");
            return json_error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &text);
        }
        RequestError::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body is empty; it must be a file")
        }
        RequestError::InvalidHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        RequestError::BodyIncomplete => {
            (StatusCode::REQUEST_TIMEOUT, "timeout", "The file is incomplete or did not arrive in time")
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
            return json_error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "The Content-Encoding must be gzip or deflate")
        }
        RequestError::Unparsable(_) => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body does not match its Content-Encoding")
        }
        RequestError::InvalidMembers(_) | RequestError::NotAcceptable => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid")
        }
    };
    json_error(status, code, text)
}

fn json_error(status: StatusCode, code: &str, text: &str) -> DialectResponse {
    let body = json!({"error": code, "message": text}).to_string();
    let mut response = text_response(status, "application/json", body);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
