//! From a query to what is wished.

use crate::kit::transfers::{Params, Rejected};
use crate::kit::{DialectRequest, RequestError, ValueType};
use directory::DirectoryError;
use http::StatusCode;
use uuid::Uuid;

/// What the query says. A name that means nothing is told: whoever writes `dryrun` means that nothing be done.
pub(super) fn params(request: &DialectRequest, known: &[(&str, ValueType, &str)]) -> Result<Params, RequestError> {
    let mut wishes = Params::new();
    for (name, value) in request.query.pairs() {
        let (name, ..) = known
            .iter()
            .find(|(known, ..)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| invalid_request(format!("there is no parameter {name}")))?;
        wishes.push(((*name).to_owned(), value.to_owned()));
    }
    Ok(wishes)
}

/// The import that the path names.
pub(super) fn import_id(request: &DialectRequest) -> Result<Uuid, RequestError> {
    Uuid::try_parse(request.path_param(0)).map_err(|_| RequestError::NoRoute)
}

/// Something was wished that cannot be.
fn invalid_request(message: String) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalid_request", message)
}

/// A 507.
pub(super) fn insufficient_storage(message: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", message)
}

/// Why nothing is done.
pub(super) fn rejection_error(rejected: Rejected) -> RequestError {
    match rejected {
        Rejected::InvalidRequest(message) => invalid_request(message),
        Rejected::InsufficientStorage(message) => insufficient_storage(message),
        Rejected::Temporary(message) => RequestError::Directory(DirectoryError::Unavailable(message)),
    }
}
