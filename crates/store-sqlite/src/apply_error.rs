//! Why a change was not applied, and the mapping of SQLite errors.

use directory::{CommitError, Field};
use rusqlite::ErrorCode;

pub(super) enum ApplyError {
    /// The change is at fault; others in the transaction are not affected.
    Rejected(CommitError),
    /// The engine failed; the whole transaction is in doubt.
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ApplyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<serde_json::Error> for ApplyError {
    fn from(error: serde_json::Error) -> Self {
        Self::Rejected(CommitError::Internal(error.to_string()))
    }
}

pub(super) type ApplyResult<T = ()> = Result<T, ApplyError>;

pub(super) const STALE: ApplyError = ApplyError::Rejected(CommitError::Stale);

/// Maps a violated constraint to the conflict it stands for.
pub(super) fn map_constraint_error<T>(done: rusqlite::Result<T>, field: Field) -> ApplyResult<T> {
    use rusqlite::ffi;
    match done {
        Err(rusqlite::Error::SqliteFailure(error, _)) if error.code == ErrorCode::ConstraintViolation => {
            if error.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY {
                Err(ApplyError::Rejected(CommitError::MissingReference(Field::Number)))
            } else {
                Err(ApplyError::Rejected(CommitError::Taken(field)))
            }
        }
        other => Ok(other?),
    }
}
