//! Why a store cannot be opened.

use rusqlite::ErrorCode;
use std::path::{Path, PathBuf};

/// "MUST" in the header of every store of ours.
pub(super) const APPLICATION_ID: i32 = 0x4D55_5354;

/// Why a store could not be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// It belongs to another program.
    #[error("{0} is not a Muster store; it was left as it is")]
    Foreign(PathBuf),
    /// It was made by a later version.
    #[error("{0} was made by a newer Muster (schema {1}); use that version, this one knows up to {2}")]
    Newer(PathBuf, u32, u32),
    /// It was made by an earlier version and is only to be read.
    #[error(
        "{0} is of an older Muster (schema {1}, this one has {2}); any command that writes to it, such as `muster serve`, brings it up to date"
    )]
    Older(PathBuf, u32, u32),
    /// A migration that was applied is not the one this version has.
    #[error("{0} was migrated differently from what this version knows (step {1}); it was left as it is")]
    MigrationMismatch(PathBuf, u32),
    /// It may not be written.
    #[error("{0} cannot be written: {1}")]
    ReadOnly(PathBuf, String),
    /// It holds a part of what it is being filled with.
    #[error("{0} holds only a part of {1}: what fills it was cut off, and goes on when it is run again")]
    IncompleteRestore(PathBuf, String),
    /// It cannot be read, or there is no room for the files beside it.
    #[error(
        "{0} cannot be opened: {1}. Check the free space and the health of the disk; even commands that only read create a small \
         index of the log (-shm)"
    )]
    Io(PathBuf, String),
    /// Anything else SQLite says of it.
    #[error("{0} cannot be opened: {1}")]
    Other(PathBuf, String),
    /// Another process has it open and this one needs it alone, or the reverse.
    #[error(
        "{0} is in use by another process: stop `muster serve` and every command that works with it, or wait for the check after \
         a crash, and try again"
    )]
    InUse(PathBuf),
    /// Beside it lies a log of another file.
    #[error(
        "{0}-wal does not belong to {0}: the file was replaced after a process that used its predecessor was cut off. If the \
         new file is the right one, delete {0}-wal and {0}-shm; if not, put the old file back; if all files of the store were \
         copied here together, delete {0}-lock"
    )]
    ForeignWal(PathBuf),
    /// Other processes have another file of that name open.
    #[error("{0} was replaced while another process had it open: stop that process first")]
    FileReplaced(PathBuf),
    /// It was not closed the last time, and is damaged.
    #[error("{0} is damaged ({1}): nothing was changed; run `muster check` and restore a backup")]
    Corrupt(PathBuf, String),
    /// No thread could be started.
    #[error("the writer could not be started: {0}")]
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
