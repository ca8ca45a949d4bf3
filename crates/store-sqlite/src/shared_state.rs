//! State shared by the parts of an open store: its files, its lock, and why it cannot be written.

use super::lock::{StoreFiles, StoreLock, wal_size};
use super::open::{self, SqliteOptions};
use super::open_error::SqliteOpenError;
use directory::UnwritableReason;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use store::event_signal::EventSignal;

pub(super) struct SharedState {
    path: PathBuf,
    options: SqliteOptions,
    files: StoreFiles,
    /// Held until the store is closed.
    lock: Mutex<Option<StoreLock>>,
    obstacle: Mutex<Option<UnwritableReason>>,
    pub(super) events: EventSignal,
    is_replaced: AtomicBool,
}

impl SharedState {
    pub(super) fn new(path: &Path, options: &SqliteOptions, lock: Option<StoreLock>) -> Self {
        Self {
            path: path.into(),
            options: *options,
            files: StoreFiles::of(path, lock.as_ref()),
            lock: Mutex::new(lock),
            obstacle: Mutex::default(),
            events: EventSignal::default(),
            is_replaced: AtomicBool::new(false),
        }
    }

    pub(super) fn options(&self) -> &SqliteOptions {
        &self.options
    }

    /// Why the store cannot be written, as far as known.
    pub(super) fn obstacle(&self) -> Option<UnwritableReason> {
        *self.obstacle.lock()
    }

    /// Records an obstacle. One that only a restart removes is kept.
    pub(super) fn set_obstacle(&self, obstacle: UnwritableReason) {
        let mut known = self.obstacle.lock();
        if *known == Some(obstacle) || known.is_some_and(is_final) {
            return;
        }
        tracing::error!("{obstacle}");
        *known = Some(obstacle);
        self.is_replaced.store(obstacle == UnwritableReason::FileReplaced, Ordering::Release);
    }

    /// Called after a change was written.
    pub(super) fn clear_obstacle(&self) {
        let mut known = self.obstacle.lock();
        if known.is_some_and(|known| !is_final(known)) {
            *known = None;
        }
    }

    /// The obstacle that only a restart removes.
    pub(super) fn final_obstacle(&self) -> Option<UnwritableReason> {
        self.obstacle().filter(|known| is_final(*known))
    }

    /// Whether the files are those that were opened. If not, nothing is read or written any more: some connections
    /// would use one store and some the other.
    pub(super) fn verify_files(&self) -> bool {
        if self.is_replaced.load(Ordering::Acquire) {
            return false;
        }
        let is_same = self.files.are_unchanged();
        if !is_same {
            self.set_obstacle(UnwritableReason::FileReplaced);
        }
        is_same
    }

    /// Whether the files were found replaced. Makes no system call.
    pub(super) fn is_replaced(&self) -> bool {
        self.is_replaced.load(Ordering::Acquire)
    }

    pub(super) fn connect_reader(&self) -> rusqlite::Result<Connection> {
        open::connect_read_only(&self.path, self.options.memory_mapped)
    }

    pub(super) fn connect_writer(&self) -> Result<Connection, SqliteOpenError> {
        open::connect_read_write(&self.path, &self.options)
    }

    /// In bytes.
    pub(super) fn wal_size(&self) -> u64 {
        wal_size(&self.path)
    }

    /// Releases the lock, so that others can restore or move the store.
    pub(super) fn unlock(&self) {
        drop(self.lock.lock().take());
    }
}

fn is_final(obstacle: UnwritableReason) -> bool {
    matches!(obstacle, UnwritableReason::FileReplaced | UnwritableReason::Corrupt)
}

/// What an error of SQLite means for the store; `None` if it concerns only one statement.
pub(super) fn obstacle_of(error: &rusqlite::Error) -> Option<UnwritableReason> {
    match error.sqlite_error_code()? {
        ErrorCode::DiskFull => Some(UnwritableReason::DiskFull),
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Some(UnwritableReason::Locked),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Some(UnwritableReason::Corrupt),
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::OutOfMemory
        | ErrorCode::FileLockingProtocolFailed => Some(UnwritableReason::WriteFailed),
        _ => None,
    }
}
