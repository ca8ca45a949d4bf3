//! Why a change was not carried out, and errors of SQLite turned into that.

use directory::{CommitError, Field};
use rusqlite::ErrorCode;

/// Why a change did not go in.
pub(super) enum ApplyError {
    /// The change's own fault: its neighbors are not concerned.
    Rejected(CommitError),
    /// The engine's: the whole transaction is in doubt.
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

/// Rejects a change whose statement did not change the one row that it is about: what is stored contradicts itself.
pub(super) fn expect_one_row(changed: usize) -> ApplyResult {
    if changed == 1 {
        return Ok(());
    }
    let text = format!("a statement changed {changed} rows instead of one: run `muster check`");
    Err(ApplyError::Rejected(CommitError::Internal(text)))
}

/// Turns a clash of unique rows into the refusal it is.
pub(super) fn map_constraint_error(inserted: rusqlite::Result<i64>, field: Field) -> ApplyResult<i64> {
    use rusqlite::ffi;
    match inserted {
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
