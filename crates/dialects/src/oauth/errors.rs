//! From faults to the error document of RFC 6749 section 5.2.

use super::write;
use crate::kit::{Answer, Call, Fault, Out};
use directory::DirectoryError;
use http::{HeaderValue, StatusCode, header};

/// A fault in this language's own words.
pub(super) fn own(status: StatusCode, code: &'static str, text: &str) -> Fault {
    Fault::own(status, code, text)
}

/// Says a fault.
pub(super) fn refuse(fault: &Fault, call: &Call) -> Answer {
    let bad = StatusCode::BAD_REQUEST;
    let busy = StatusCode::SERVICE_UNAVAILABLE;
    let (status, code, text): (StatusCode, &'static str, &str) = match fault {
        Fault::Own(own) => (own.status, own.code, own.text.as_str()),
        Fault::Unauthorised => {
            (StatusCode::UNAUTHORIZED, "invalid_client", "The client is not known by this")
        }
        Fault::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "invalid_client", "Too many bad attempts came from this address")
        }
        Fault::TooManyConcurrent { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "temporarily_unavailable",
            "Too many concurrent requests for this connection or tenant",
        ),
        Fault::NoRoute => (StatusCode::NOT_FOUND, "invalid_request", "There is no such endpoint"),
        Fault::WrongMethod(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "invalid_request", "The method is not allowed here")
        }
        Fault::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", "The body is too large"),
        Fault::WrongHost => {
            (StatusCode::BAD_REQUEST, "invalid_request", "A request must have exactly one Host header")
        }
        Fault::BodyCut => (StatusCode::REQUEST_TIMEOUT, "invalid_request", "The body did not arrive in time"),
        Fault::TimedOut => (busy, "temporarily_unavailable", "The request took too long"),
        Fault::Refused(DirectoryError::Busy { .. } | DirectoryError::Unavailable(_)) => {
            (busy, "temporarily_unavailable", "The service is busy; try again in a moment")
        }
        Fault::Refused(
            DirectoryError::Invalid(_)
            | DirectoryError::NoSuchUser
            | DirectoryError::NoSuchItem(_)
            | DirectoryError::NoSuchTenant
            | DirectoryError::NoSuchConnection
            | DirectoryError::ConnectionEnded
            | DirectoryError::RoleTooHigh
            | DirectoryError::WrongStatus
            | DirectoryError::SignIn(_)
            | DirectoryError::VersionMismatch
            | DirectoryError::Conflict
            | DirectoryError::Internal(_),
        ) => {
            let text = format!("Something went wrong on our side; it is logged under {}", call.request);
            return say(StatusCode::INTERNAL_SERVER_ERROR, "server_error", &text);
        }
        Fault::Fields(_)
        | Fault::UnsupportedMedia(_)
        | Fault::NotAcceptable
        | Fault::Unparsable(_)
        | Fault::BodyMissing
        | Fault::Forbidden => (bad, "invalid_request", "The request is not valid"),
    };
    say(status, code, text)
}

fn say(status: StatusCode, code: &'static str, text: &str) -> Answer {
    let out = Out::object(vec![("error", Out::text(code)), ("error_description", Out::text(text))]);
    let mut answer = write::reply(status, &out);
    if status == StatusCode::UNAUTHORIZED {
        answer
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"muster\""));
    }
    answer
}
