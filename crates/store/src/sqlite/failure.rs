//! Why a change was not carried out, and errors of SQLite turned into that.

use directory::{CommitError, Field};
use rusqlite::ErrorCode;

/// Why a change did not go in.
pub(super) enum Failure {
    /// The change's own fault: its neighbors are not concerned.
    Refused(CommitError),
    /// The engine's: the whole transaction is in doubt.
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Refused(CommitError::Internal(error.to_string()))
    }
}

pub(super) type Done<T = ()> = Result<T, Failure>;

pub(super) const STALE: Failure = Failure::Refused(CommitError::Stale);

/// Rejects a change whose statement did not change the one row that it is about: what is stored contradicts itself.
pub(super) fn one(changed: usize) -> Done {
    if changed == 1 {
        return Ok(());
    }
    let text = format!("a statement changed {changed} rows instead of one: run `muster check`");
    Err(Failure::Refused(CommitError::Internal(text)))
}

/// Turns a clash of unique rows into the refusal it is.
pub(super) fn unique(inserted: rusqlite::Result<i64>, field: Field) -> Done<i64> {
    use rusqlite::ffi;
    match inserted {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
            if error.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY {
                Err(Failure::Refused(CommitError::MissingReference(Field::Number)))
            } else {
                Err(Failure::Refused(CommitError::Taken(field)))
            }
        }
        other => Ok(other?),
    }
}
