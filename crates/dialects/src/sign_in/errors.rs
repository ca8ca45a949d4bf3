//! Renders errors as a code and a message.

use crate::kit::{DialectError, DialectRequest, DialectResponse, RequestError, own_api_errors};
use directory::{DirectoryError, SignInError};
use http::StatusCode;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let (status, code, text) = match error {
        RequestError::Directory(DirectoryError::SignIn(SignInError::TooManyAttempts { .. })) => {
            (StatusCode::TOO_MANY_REQUESTS, "slow_down", "Too many failed attempts; try again later")
        }
        RequestError::Directory(DirectoryError::SignIn(_) | DirectoryError::NoSuchUser) => {
            (StatusCode::UNAUTHORIZED, "sign_in_refused", "Incorrect user or password")
        }
        RequestError::Forbidden => {
            (StatusCode::FORBIDDEN, "forbidden", "This connection is not enabled for this API (`--dialect sign-in`)")
        }
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be application/json")
        }
        RequestError::InvalidMembers(errors) => {
            let names: Vec<&str> = errors.iter().map(|error| error.name.as_str()).collect();
            (StatusCode::BAD_REQUEST, "invalid_request", &*format!("Missing or malformed: {}", names.join(", ")))
        }
        RequestError::NotAcceptable | RequestError::Unparsable(_) | RequestError::BodyMissing => {
            (StatusCode::BAD_REQUEST, "invalid_request", "The body must be a JSON object")
        }
        other => return own_api_errors::response(own_api_errors::describe(other, request)),
    };
    own_api_errors::response(DialectError::new(status, code, text))
}
