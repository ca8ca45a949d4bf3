//! A store that one process has alone: it is filled by a restore, or moved.

use super::fill;
use super::lock::{Access, StoreLock, write_back};
use super::open::{self, Options};
use super::open_error::OpenError;
use crate::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums, SumsBuilder};
use std::path::{Path, PathBuf};

/// A store that nobody else can open until this is dropped.
pub struct SqliteHold {
    path: PathBuf,
    lock: Option<StoreLock>,
}

impl SqliteHold {
    /// Takes the store at `path`.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn new(path: &Path) -> Result<Self, OpenError> {
        Ok(Self { path: path.into(), lock: StoreLock::acquire(path, Access::Exclusive)? })
    }

    /// Gives everything the store holds to `to`.
    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        super::dump::all(&open::complete(&self.path, self.lock.as_ref())?, to)
    }

    /// Fills an empty or new store from a stream. One that was cut off goes on where it stood. Until
    /// [`SqliteHold::finish`] nobody can open it.
    pub fn fill(&self, origin: &Origin, from: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        open::fillable(&self.path)?;
        open::private(&self.path)?;
        let mut db = open::prepare(&self.path, &Options::default(), self.lock.as_ref())?;
        fill::fill(&mut db, &self.path.display().to_string(), origin, from)
    }

    /// What is in a store that was filled, read back from it.
    pub fn filled(&self) -> Result<Sums, ArchiveError> {
        let mut running = SumsBuilder::default();
        super::dump::all(&open::reading(&self.path, false)?, &mut |entry| running.add(&entry))?;
        Ok(running.sums())
    }

    /// Marks a filled store as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        let db = open::prepare(&self.path, &Options::default(), self.lock.as_ref())?;
        fill::finish(&db)?;
        db.execute_batch("PRAGMA optimize")?;
        write_back(&db)?;
        Ok(())
    }
}
