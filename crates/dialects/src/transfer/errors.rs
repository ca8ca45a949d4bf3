//! From faults to an error for programs and a sentence for people.

use crate::answer;
use crate::kit::{Answer, Call, Fault};
use directory::DirectoryError;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

/// Says a fault.
pub(super) fn refuse(fault: &Fault, call: &Call) -> Answer {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &str, &str) = match fault {
        Fault::Own(own) => (own.status, own.code, own.text.as_str()),
        Fault::Unauthorised | Fault::Refused(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key opens nothing here")
        }
        Fault::Forbidden => {
            (StatusCode::FORBIDDEN, "forbidden", "The connection was not told that it may do this")
        }
        Fault::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many bad keys came from this address")
        }
        Fault::TooManyConcurrent { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "slow_down",
            "Too many concurrent requests for this connection or tenant",
        ),
        Fault::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such import, file or endpoint"),
        Fault::WrongMethod(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here")
        }
        Fault::BodyTooLarge(limit) => {
            let text = format!("The file is larger than {limit} bytes");
            return say(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &text);
        }
        Fault::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body is to be a file, and is empty")
        }
        Fault::WrongHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        Fault::BodyCut => {
            (StatusCode::REQUEST_TIMEOUT, "timeout", "The file did not arrive whole or in time")
        }
        Fault::TimedOut => (busy, "busy", "The request took too long"),
        Fault::Refused(
            DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict,
        ) => (busy, "busy", "The service is busy; try again in a moment"),
        Fault::Refused(
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
            let text = format!("Something went wrong on our side; it is logged under {}", call.request);
            return say(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        Fault::UnsupportedMedia(_) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_encoding",
            "The Content-Encoding must be gzip or deflate",
        ),
        Fault::Unparsable(_) => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body is not of its Content-Encoding")
        }
        Fault::Fields(_) | Fault::NotAcceptable => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The request makes no sense here")
        }
    };
    say(status, code, text)
}

fn say(status: StatusCode, code: &str, text: &str) -> Answer {
    let body = json!({"error": code, "message": text}).to_string();
    let mut answer = answer(status, "application/json", body);
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}
