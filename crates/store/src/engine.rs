//! What an engine provides: a store that serves the directory, and whole stores for backup, move and check.

use crate::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums};
use crate::{CheckReport, OpenError};
use directory::Store;
use std::sync::Arc;

/// The store at one location. Each method opens it anew.
pub trait Engine: Send + Sync {
    /// As in [`Origin::engine`].
    fn name(&self) -> &'static str;
    /// Opens the store, and upgrades a store of an older version.
    ///
    /// # Errors
    /// The store does not exist and may not be created, is damaged or incomplete, or belongs to a newer version.
    fn open(&self, mode: OpenMode) -> Result<Arc<dyn OpenStore>, OpenError>;
    /// Checks the whole store for contradictions. Changes nothing.
    fn check(&self) -> Result<CheckReport, OpenError>;
    /// Prepares a dump of the snapshot at the time the returned function starts. Other processes can write meanwhile.
    ///
    /// # Errors
    /// There is no store, if that is known without connecting to it.
    fn prepare_dump(&self) -> Result<DumpFn, OpenError>;
    /// Locks the store until the result is dropped. [`OpenMode::Create`] is for the target of a restore.
    ///
    /// # Errors
    /// Another process has it open.
    fn acquire(&self, mode: OpenMode) -> Result<Box<dyn ExclusiveStore>, ArchiveError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Creates a store that does not exist.
    Create,
    /// Fails if the store does not exist, which reveals mistyped locations.
    Existing,
    /// Like `Existing`, for reading only if the engine supports that and the store has the current version.
    ReadOnly,
}

pub trait OpenStore: Store {
    /// Waits until all queued changes are stored, then closes the store. Later changes are rejected.
    fn close(&self);
}

/// A store that no other process can open, for restore and move.
pub trait ExclusiveStore: Send + Sync {
    fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError>;
    /// Fills an empty or new store from a stream; an interrupted restore resumes. The store cannot be opened until
    /// [`ExclusiveStore::finish_restore`].
    fn restore(&self, origin: &Origin, entries: &mut EntrySource<'_>) -> Result<Sums, ArchiveError>;
    /// Reads a restored store back and computes its sums.
    fn read_back_sums(&self) -> Result<Sums, ArchiveError>;
    /// Marks a restored store as complete, so that it can be opened.
    fn finish_restore(&self) -> Result<(), ArchiveError>;
}

/// Sends every entry of a store to a sink.
pub type DumpFn = Box<dyn FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError> + Send>;
