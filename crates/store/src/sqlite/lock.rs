//! The lock on a store, and whether the write-ahead log beside a store belongs to it.
//!
//! Every process that has a store open holds a lock on the file `NAME-lock` beside it: a shared one to use the store, an
//! exclusive one to fill or move it. SQLite's own locks do not show this: they are held only during a transaction.
//!
//! The lock file contains the id of the *session*, which is also in the header of the store (`PRAGMA user_version`). A process
//! that is alone with the store begins a new session. SQLite applies any log it finds to any file of that name; a log that was
//! left behind by a crash is used only if the ids agree, because otherwise the store was replaced by another file or by an
//! older copy of itself.

use super::open::OpenError;
use crate::sql;
use rusqlite::Connection;
use std::fs::{File, TryLockError};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a store is locked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Beside others that use it.
    Shared,
    /// With nobody beside.
    Exclusive,
}

/// Time between two tries to get a lock.
const RETRY: Duration = Duration::from_millis(20);
/// Tries to get a shared lock: five seconds. A process that opens the store alone holds the exclusive one meanwhile.
const SHARED_TRIES: u32 = 250;
/// Tries to get an exclusive lock: half a second, for a command that is just ending.
const EXCLUSIVE_TRIES: u32 = 25;

/// A lock on a store, held until it is dropped.
pub(super) struct StoreLock {
    file: File,
    store: PathBuf,
    /// Whether no other process has the store open.
    is_alone: bool,
    is_new: bool,
}

impl StoreLock {
    /// Locks the store at `path`. `None` where that cannot be done: the folder is read-only, or it is on a file system
    /// without locks.
    pub(super) fn acquire(path: &Path, access: Access) -> Result<Option<Self>, OpenError> {
        // Two names of one store share its lock, as they share its log.
        let store = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let name = beside(&store, "-lock");
        let mut options = File::options();
        options.read(true).write(true).mode(0o600);
        let new = options.clone().create_new(true).open(&name);
        let is_new = new.is_ok();
        let Ok(file) = new.or_else(|_| options.open(&name)) else { return Ok(None) };
        let tries = if access == Access::Shared { SHARED_TRIES } else { EXCLUSIVE_TRIES };
        for _ in 0..tries {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { file, store, is_alone: true, is_new })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "the store cannot be locked: do not restore or move it while it is in use");
                    return Ok(None);
                }
            }
            if access == Access::Shared && file.try_lock_shared().is_ok() {
                return Ok(Some(Self { file, store, is_alone: false, is_new }));
            }
            std::thread::sleep(RETRY);
        }
        Err(OpenError::InUse(path.into()))
    }

    /// Gives the lock up, and removes its file if it was not there before: the store could not be opened.
    pub(super) fn discard(self) {
        if self.is_new {
            drop(std::fs::remove_file(beside(&self.store, "-lock")));
        }
    }

    pub(super) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Lets others use the store, too.
    pub(super) fn share(&mut self) -> Result<(), OpenError> {
        // The change of an exclusive lock into a shared one is not atomic: another process can get in between.
        if self.is_alone && self.file.try_lock_shared().is_err() {
            return Err(OpenError::InUse(self.store.clone()));
        }
        self.is_alone = false;
        Ok(())
    }

    /// Whether a log is left, from a process that has not closed the store.
    pub(super) fn has_log(&self) -> bool {
        std::fs::metadata(beside(&self.store, "-wal")).is_ok_and(|log| log.len() > 0)
    }

    /// Rejects a log that belongs to another file. For a process that is alone, before it opens the store.
    pub(super) fn check_log(&self) -> Result<(), OpenError> {
        let known = self.sessions();
        let stored = stored_without_log(&self.store);
        if !self.has_log() {
            // The store was closed, and may have been replaced since. Who comes next compares with this.
            if let Some(id) = stored.filter(|id| !known.contains(id)) {
                // A file that cannot be written now cannot be written by whoever comes next, either.
                drop(self.write(id, id));
            }
            return Ok(());
        }
        let is_own = known.is_empty() || stored.is_some_and(|id| known.contains(&id));
        if is_own { Ok(()) } else { Err(OpenError::ForeignLog(self.store.clone())) }
    }

    /// Whether the store that was opened is the one that the others have open.
    pub(super) fn check_session(&self, db: &Connection) -> Result<(), OpenError> {
        let (known, stored) = (self.sessions(), stored(db));
        let is_same = known.is_empty() || stored.is_none_or(|id| known.contains(&id));
        if is_same { Ok(()) } else { Err(OpenError::Replaced(self.store.clone())) }
    }

    /// Begins a new session. For a process that is alone, after it has written the log back.
    pub(super) fn begin_session(&self, db: &Connection) -> rusqlite::Result<()> {
        let random: i64 = db.query_row(sql::RANDOM.sqlite, [], |row| row.get(0))?;
        let new = Session(u32::try_from(random & 0x7fff_ffff).unwrap_or_default().max(1));
        let old = stored(db).unwrap_or(new);
        let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        // Both count until the new one is in the file itself and no longer in its log.
        self.write(old, new).map_err(failed)?;
        db.pragma_update(None, "user_version", new.0)?;
        if write_back(db)? { self.write(new, new).map_err(failed) } else { Ok(()) }
    }

    /// The ids in the lock file.
    fn sessions(&self) -> Vec<Session> {
        let mut text = [0; 2 * LINE];
        if self.file.read_exact_at(&mut text, 0).is_err() {
            return Vec::new();
        }
        let text = String::from_utf8_lossy(&text);
        text.lines().filter_map(|line| u32::from_str_radix(line, 16).ok().map(Session)).collect()
    }

    /// Always of the same length, so that a crash leaves the old ids or the new ones.
    fn write(&self, old: Session, new: Session) -> std::io::Result<()> {
        self.file.write_all_at(format!("{:08x}\n{:08x}\n", old.0, new.0).as_bytes(), 0)?;
        self.file.sync_all()
    }
}

/// The id of a session; not 0.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Session(u32);

/// Length of a line of the lock file, in bytes.
const LINE: usize = 9;

/// A file beside the store, as SQLite names its own.
fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The size of the log beside a store, in bytes.
pub(super) fn log_size(store: &Path) -> u64 {
    let store = std::fs::canonicalize(store).unwrap_or_else(|_| store.into());
    std::fs::metadata(beside(&store, "-wal")).map_or(0, |log| log.len())
}

/// Writes the log back into the file and empties it; whether all of it was.
pub(super) fn write_back(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// Writes something that changes nothing, in the caller's transaction.
pub(super) fn try_write(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", stored(db).map_or(0, |session| session.0))
}

fn stored(db: &Connection) -> Option<Session> {
    let id: rusqlite::Result<u32> = db.pragma_query_value(None, "user_version", |row| row.get(0));
    id.ok().filter(|id| *id != 0).map(Session)
}

/// The session in the file itself, without its log. Read from the header (<https://sqlite.org/fileformat.html>, 1.3): a file
/// whose log was not written back completely cannot be opened without it.
fn stored_without_log(store: &Path) -> Option<Session> {
    let mut id = [0; 4];
    File::open(store).ok()?.read_exact_at(&mut id, 60).ok()?;
    Some(u32::from_be_bytes(id)).filter(|id| *id != 0).map(Session)
}

/// The files of an open store, as the file system knows them.
pub(super) struct Files(Vec<(PathBuf, Option<(u64, u64)>)>);

impl Files {
    /// As they are now.
    pub(super) fn of(path: &Path) -> Self {
        let store = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        // The name as it was given: a symbolic link can be replaced, too.
        let names = [path.into(), beside(&store, "-wal"), beside(&store, "-shm")];
        let seen = names.into_iter().map(|name| {
            let identity = identity(&name);
            (name, identity)
        });
        Self(seen.filter(|(_, identity)| identity.is_some()).collect())
    }

    /// Whether each name still stands for the same file.
    pub(super) fn are_same(&self) -> bool {
        self.0.iter().all(|(name, seen)| identity(name) == *seen)
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}
