//! A store that one process has open alone, for restore and move.

use super::lock::{LockMode, StoreLock, checkpoint};
use super::open::{self, SqliteOptions};
use super::open_error::SqliteOpenError;
use super::restore::{self, SqliteTarget, failed};
use super::snapshot::{SqliteSnapshot, run};
use std::path::{Path, PathBuf};
use store::ExclusiveStore;
use store::archive::{self, ArchiveError, EntrySink, EntrySource, Origin, Sums, SumsBuilder};

/// No other process can open the store until this is dropped.
pub struct ExclusiveSqlite {
    path: PathBuf,
    lock: Option<StoreLock>,
}

impl ExclusiveSqlite {
    /// Acquires the store at `path`.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn acquire(path: &Path) -> Result<Self, SqliteOpenError> {
        Ok(Self { path: path.into(), lock: StoreLock::acquire(path, LockMode::Exclusive)? })
    }
}

impl ExclusiveStore for ExclusiveSqlite {
    fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        let db = open::connect_complete(&self.path, self.lock.as_ref())?;
        run(archive::dump(&SqliteSnapshot::new(&db, &self.path)?, to))
    }

    fn restore(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        open::ensure_restorable(&self.path)?;
        open::create_private_file(&self.path)?;
        let mut db = open::connect_and_migrate(&self.path, &SqliteOptions::default(), self.lock.as_ref())?;
        let place = self.path.display().to_string();
        run(archive::restore(&mut SqliteTarget::new(&mut db), place, origin, from))
    }

    fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        let mut running = SumsBuilder::default();
        let db = open::connect_read_only(&self.path, false).map_err(failed)?;
        run(archive::dump(&SqliteSnapshot::new(&db, &self.path)?, &mut |entry| running.add(&entry)))?;
        Ok(running.sums())
    }

    fn finish_restore(&self) -> Result<(), ArchiveError> {
        let db = open::connect_and_migrate(&self.path, &SqliteOptions::default(), self.lock.as_ref())?;
        restore::finish(&db).and_then(|()| checkpoint(&db)).map(drop).map_err(failed)
    }
}
