//! Parses the options of imports and exports.

use crate::kit::transfers::{Params, Rejected};
use crate::kit::{DialectRequest, Parameter, RequestError};
use directory::DirectoryError;
use http::StatusCode;
use uuid::Uuid;

/// Unknown parameters are rejected, so that a typo such as `dryrn` cannot turn a dry run into an import.
pub(super) fn params(request: &DialectRequest, known: &[Parameter]) -> Result<Params, RequestError> {
    let mut params = Params::new();
    for (name, value) in request.query.pairs() {
        let parameter = known
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
            .ok_or_else(|| invalid_request(format!("Unknown parameter '{name}'")))?;
        params.push((parameter.name.to_owned(), value.to_owned()));
    }
    Ok(params)
}

pub(super) fn import_id(request: &DialectRequest) -> Result<Uuid, RequestError> {
    Uuid::try_parse(request.path_param(0)).map_err(|_| RequestError::NoRoute)
}

fn invalid_request(message: String) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalid_request", message)
}

pub(super) fn insufficient_storage(message: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", message)
}

pub(super) fn rejection_error(rejected: Rejected) -> RequestError {
    match rejected {
        Rejected::InvalidRequest(message) => invalid_request(message),
        Rejected::InsufficientStorage(message) => insufficient_storage(message),
        Rejected::NotFound => RequestError::NoRoute,
        Rejected::Temporary(message) => RequestError::Directory(DirectoryError::Unavailable(message)),
    }
}
