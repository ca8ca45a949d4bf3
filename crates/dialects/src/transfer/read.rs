//! From a query to what is wished.

use crate::kit::transfers::{NotTaken, Wishes};
use crate::kit::{Call, Fault, Kind};
use directory::DirectoryError;
use http::StatusCode;
use uuid::Uuid;

/// What the query says. A name that means nothing is told: whoever writes `dryrun` means that nothing be done.
pub(super) fn wishes(call: &Call, known: &[(&str, Kind, &str)]) -> Result<Wishes, Fault> {
    let mut wishes = Wishes::new();
    for (name, value) in call.query.pairs() {
        let (name, ..) = known
            .iter()
            .find(|(known, ..)| known.eq_ignore_ascii_case(name))
            .ok_or_else(|| wrong(format!("there is no parameter {name}")))?;
        wishes.push(((*name).to_owned(), value.to_owned()));
    }
    Ok(wishes)
}

/// The import that the path names.
pub(super) fn id(call: &Call) -> Result<Uuid, Fault> {
    Uuid::try_parse(call.named(0)).map_err(|_| Fault::NoRoute)
}

/// Something was wished that cannot be.
fn wrong(what: String) -> Fault {
    Fault::own(StatusCode::BAD_REQUEST, "invalid_request", what)
}

/// A 507.
pub(super) fn insufficient_storage(what: &str) -> Fault {
    Fault::own(StatusCode::INSUFFICIENT_STORAGE, "insufficient_storage", what)
}

/// Why nothing is done.
pub(super) fn fault(why: NotTaken) -> Fault {
    match why {
        NotTaken::Wrong(what) => wrong(what),
        NotTaken::InsufficientStorage(what) => insufficient_storage(what),
        NotTaken::NotNow(what) => Fault::Refused(DirectoryError::Unavailable(what)),
    }
}
