//! From faults to an error for programs and a sentence for people.

use super::write;
use crate::kit::{Answer, Call, Fault, Out};
use directory::{DirectoryError, SignInError};
use http::{HeaderValue, StatusCode, header};

/// Says a fault.
pub(super) fn refuse(fault: &Fault, call: &Call) -> Answer {
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &'static str, &str) = match fault {
        Fault::Own(own) => (own.status, own.code, own.text.as_str()),
        Fault::Refused(DirectoryError::SignIn(SignInError::TooManyAttempts { .. })) => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many attempts have failed; try again later")
        }
        Fault::Refused(DirectoryError::SignIn(_) | DirectoryError::NoSuchUser) => {
            (StatusCode::UNAUTHORIZED, "sign_in_refused", "The user or the password is wrong")
        }
        Fault::Unauthorised | Fault::Refused(DirectoryError::ConnectionEnded) => {
            (StatusCode::UNAUTHORIZED, "invalid_key", "The key opens nothing here")
        }
        Fault::Forbidden => {
            (StatusCode::FORBIDDEN, "forbidden", "The connection was not told that it may sign people in")
        }
        Fault::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many bad keys came from this address")
        }
        Fault::TooManyConcurrent { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "slow_down",
            "Too many concurrent requests for this connection or tenant",
        ),
        Fault::NoRoute => (StatusCode::NOT_FOUND, "not_found", "There is no such endpoint"),
        Fault::WrongMethod(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not allowed here")
        }
        Fault::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", "The body is too large"),
        Fault::WrongHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        Fault::BodyCut => (StatusCode::REQUEST_TIMEOUT, "timeout", "The body did not arrive in time"),
        Fault::TimedOut => (busy, "busy", "The request took too long"),
        Fault::Refused(
            DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict,
        ) => (busy, "busy", "The service is busy; try again in a moment"),
        Fault::Refused(
            DirectoryError::Invalid(_)
            | DirectoryError::NoSuchItem(_)
            | DirectoryError::NoSuchTenant
            | DirectoryError::NoSuchConnection
            | DirectoryError::RoleTooHigh
            | DirectoryError::WrongStatus
            | DirectoryError::VersionMismatch
            | DirectoryError::Internal(_),
        ) => {
            let text = format!("Something went wrong on our side; it is logged under {}", call.request);
            return say(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        Fault::UnsupportedMedia(_) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "The body must be application/json",
        ),
        Fault::Fields(faults) => {
            let names: Vec<&str> = faults.iter().map(|fault| fault.name.as_str()).collect();
            let text = format!("Missing or not of the right form: {}", names.join(", "));
            return say(StatusCode::BAD_REQUEST, "invalid_request", &text);
        }
        Fault::NotAcceptable | Fault::Unparsable(_) | Fault::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body must be a JSON object")
        }
    };
    say(status, code, text)
}

fn say(status: StatusCode, code: &'static str, text: &str) -> Answer {
    let out = Out::object(vec![("error", Out::text(code)), ("message", Out::text(text))]);
    let mut answer = write::reply(status, &out);
    if status == StatusCode::UNAUTHORIZED && code == "invalid_key" {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}
