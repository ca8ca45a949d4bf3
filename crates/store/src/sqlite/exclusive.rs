//! A store that one process has alone: it is filled by a restore, or moved.

use super::lock::{LockMode, StoreLock, checkpoint};
use super::open::{self, SqliteOptions};
use super::open_error::SqliteOpenError;
use super::restore;
use crate::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums, SumsBuilder};
use std::path::{Path, PathBuf};

/// A store that nobody else can open until this is dropped.
pub struct ExclusiveSqlite {
    path: PathBuf,
    lock: Option<StoreLock>,
}

impl ExclusiveSqlite {
    /// Takes the store at `path`.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn acquire(path: &Path) -> Result<Self, SqliteOpenError> {
        Ok(Self { path: path.into(), lock: StoreLock::acquire(path, LockMode::Exclusive)? })
    }

    /// Gives everything the store holds to `to`.
    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        super::dump::all(&open::connect_complete(&self.path, self.lock.as_ref())?, to)
    }

    /// Fills an empty or new store from a stream. One that was cut off goes on where it stood. Until
    /// [`ExclusiveSqlite::finish`] nobody can open it.
    pub fn restore(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        open::ensure_restorable(&self.path)?;
        open::create_private_file(&self.path)?;
        let mut db = open::connect_and_migrate(&self.path, &SqliteOptions::default(), self.lock.as_ref())?;
        restore::restore(&mut db, &self.path.display().to_string(), origin, from)
    }

    /// What is in a store that was filled, read back from it.
    pub fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        let mut running = SumsBuilder::default();
        super::dump::all(&open::connect_read_only(&self.path, false)?, &mut |entry| running.add(&entry))?;
        Ok(running.sums())
    }

    /// Marks a filled store as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        let db = open::connect_and_migrate(&self.path, &SqliteOptions::default(), self.lock.as_ref())?;
        restore::finish(&db)?;
        db.execute_batch("PRAGMA optimize")?;
        checkpoint(&db)?;
        Ok(())
    }
}
