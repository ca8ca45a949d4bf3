//! Read-only connections, and the time limit of long reads.

use super::open;
use super::shared_state::{SharedState, obstacle_of};
use directory::{StoreError, UnwritableReason};
use parking_lot::Mutex;
use rusqlite::{Connection as Db, ErrorCode};
use std::sync::Arc;

/// Read-only connections. A read takes one and always returns it.
pub(super) struct Readers {
    // Dropped before the files: see `lock::StoreFiles`.
    idle: Mutex<Vec<Db>>,
    opened: Arc<SharedState>,
}

impl Readers {
    pub(super) fn new(opened: Arc<SharedState>) -> Self {
        Self { idle: Mutex::new(Vec::new()), opened }
    }

    pub(super) fn keep(&self, connection: Db) {
        self.idle.lock().push(connection);
    }

    /// Runs a read. It never waits for the caller inside, so that a canceled request keeps no connection.
    pub(super) fn with<T>(&self, f: impl FnOnce(&Db) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        self.run(|db| f(db))
    }

    /// Opens another connection.
    pub(super) fn connect(&self) -> Result<Db, StoreError> {
        let db = self.opened.connect_reader().map_err(|error| self.failed(&error))?;
        if self.opened.verify_files() { Ok(db) } else { Err(replaced()) }
    }

    fn run<T>(&self, f: impl FnOnce(&mut Db) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        if self.opened.is_replaced() {
            return Err(replaced());
        }
        let idle = self.idle.lock().pop();
        let mut db = if let Some(db) = idle { db } else { self.connect()? };
        let found = f(&mut db).map_err(|error| self.failed(&error));
        self.idle.lock().push(db);
        found
    }

    /// Runs a long read within the store's time limit.
    pub(super) fn with_time<T>(&self, f: impl FnOnce(&Db) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let Some(time) = self.opened.options().read_timeout else { return self.with(f) };
        self.run(|db| {
            open::set_read_timeout(db, time)?;
            let found = f(db);
            db.progress_handler(0, None::<fn() -> bool>)?;
            found
        })
    }

    pub(super) fn failed(&self, error: &rusqlite::Error) -> StoreError {
        match obstacle_of(error) {
            Some(UnwritableReason::Corrupt) => {
                self.opened.set_obstacle(UnwritableReason::Corrupt);
                StoreError::Internal(error.to_string())
            }
            Some(obstacle) => StoreError::Unavailable(format!("{obstacle} ({error})")),
            None if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                StoreError::Unavailable("a read exceeded the time limit".into())
            }
            None => StoreError::Internal(error.to_string()),
        }
    }

    pub(super) fn close(&self) {
        self.idle.lock().clear();
    }
}

fn replaced() -> StoreError {
    StoreError::Unavailable(UnwritableReason::FileReplaced.to_string())
}
