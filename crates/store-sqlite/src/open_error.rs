//! Why a store cannot be opened.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};
use store::OpenError;
use store::archive::ArchiveError;

/// `MUST` in the header of every store.
pub(super) const APPLICATION_ID: i32 = 0x4D55_5354;

/// As in the origin of a stream.
pub(super) const ENGINE_NAME: &str = "sqlite";

/// Why a store was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    #[error("there is no store at {0}; create one with `muster tenant add` or `muster serve`")]
    Missing(PathBuf),
    #[error("{0} is not a Muster store; nothing was changed")]
    Foreign(PathBuf),
    #[error("{0} was made by a newer version of Muster (schema {1}, supported up to {2}); use that version")]
    Newer(PathBuf, u32, u32),
    /// Only when opened for reading only.
    #[error(
        "{0} was made by an older version of Muster (schema {1}, current {2}); any command that writes to it, \
         such as `muster serve`, upgrades it"
    )]
    Older(PathBuf, u32, u32),
    /// An applied migration differs from the one of this version.
    #[error(
        "{0} has an unknown schema (migration {1} differs); nothing was changed. Use the version that last opened it"
    )]
    MigrationMismatch(PathBuf, u32),
    #[error("{0} cannot be written: {1}")]
    ReadOnly(PathBuf, String),
    #[error("{0} contains only a part of {1}: run the interrupted restore or move again to resume")]
    IncompleteRestore(PathBuf, String),
    /// It cannot be read, or there is no space for the files beside it.
    #[error(
        "{0} cannot be opened: {1}. Check the free space and the health of the disk; even commands that only read \
         create the file {0}-shm"
    )]
    Io(PathBuf, String),
    /// Any other error of SQLite.
    #[error("{0} cannot be opened: {1}")]
    Other(PathBuf, String),
    /// Another process has it open, and one of the two needs it alone.
    #[error(
        "{0} is in use by another process: stop `muster serve` and every command that uses it, and try again; \
         after a crash, a server that starts checks the store first"
    )]
    InUse(PathBuf),
    /// The log beside it belongs to another file.
    #[error(
        "{0}-wal does not belong to {0}, because the file was replaced after a crash. Do one of these: (a) to use the \
         new file, delete {0}-wal and {0}-shm; (b) to use the old file, put it back; (c) if all files of the store were \
         copied here together, delete {0}-lock"
    )]
    ForeignWal(PathBuf),
    #[error("{0} was replaced while another process had it open: stop that process first")]
    FileReplaced(PathBuf),
    /// Found by the check after the store was not closed properly.
    #[error("{0} is damaged ({1}); nothing was changed. Run `muster check` and restore a backup")]
    Corrupt(PathBuf, String),
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

pub(super) fn to_open_error(path: &Path, error: &rusqlite::Error) -> SqliteOpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => SqliteOpenError::Foreign(path.into()),
        Some(ErrorCode::DatabaseCorrupt) => SqliteOpenError::Corrupt(path.into(), error.to_string()),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            SqliteOpenError::ReadOnly(path.into(), error.to_string())
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DiskFull) => SqliteOpenError::Io(path.into(), error.to_string()),
        _ => SqliteOpenError::Other(path.into(), error.to_string()),
    }
}

impl From<SqliteOpenError> for OpenError {
    fn from(error: SqliteOpenError) -> Self {
        Self::new(error)
    }
}

impl From<SqliteOpenError> for ArchiveError {
    fn from(error: SqliteOpenError) -> Self {
        Self::Open(error.into())
    }
}
