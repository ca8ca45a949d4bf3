//! The lock on a store, and whether the write-ahead log beside a store belongs to it.
//!
//! Every process that has a store open holds a lock on the file `NAME-lock` beside it: a shared one to use the
//! store, an exclusive one to restore or move it. SQLite's own locks do not show this, since they are held only
//! during a transaction.
//!
//! The lock file contains the id of the *session*, which is also in the header of the store (`PRAGMA user_version`). A
//! process that is alone with the store begins a new session. SQLite applies any log it finds to any file of that name.
//! The log of a crashed process is therefore used only if the ids agree and the store is the same file (device and
//! inode) as in that session. Otherwise the store was replaced by another one or by an older copy of itself.

use super::open_error::{APPLICATION_ID, SqliteOpenError};
use rusqlite::Connection;
use std::fs::{File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use store::sql;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum LockMode {
    Shared,
    Exclusive,
}

/// Time between two attempts to get a lock.
const RETRY: Duration = Duration::from_millis(20);
/// Attempts to get a shared lock: five seconds. A process that opens the store alone holds the exclusive one meanwhile.
const SHARED_TRIES: u32 = 250;
/// Attempts to get an exclusive lock: half a second, for a command that is just ending.
const EXCLUSIVE_TRIES: u32 = 25;

/// A lock on a store, held until it is dropped.
pub(super) struct StoreLock {
    file: File,
    store: PathBuf,
    /// Whether no other process has the store open.
    is_exclusive: bool,
}

impl StoreLock {
    /// Locks the store at `path`. Returns `None` if that is impossible: the folder is read-only, the file system
    /// has no locks, or the file belongs to another program.
    ///
    /// # Errors
    /// Another process has a lock that excludes this one, or the lock file cannot be opened.
    pub(super) fn acquire(path: &Path, access: LockMode) -> Result<Option<Self>, SqliteOpenError> {
        // Two paths of one store share its lock, as they share its log.
        let store = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        let name = sibling_path(&store, "-lock");
        let tries = if access == LockMode::Shared { SHARED_TRIES } else { EXCLUSIVE_TRIES };
        for _ in 0..tries {
            let Some(file) = open_lock(&store, &name)? else { return Ok(None) };
            let is_alone = match file.try_lock() {
                Ok(()) => Some(true),
                Err(TryLockError::WouldBlock) if access == LockMode::Shared => {
                    file.try_lock_shared().ok().map(|()| false)
                }
                Err(TryLockError::WouldBlock) => None,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "the store cannot be locked: do not restore or move it while it is in use");
                    return Ok(None);
                }
            };
            // The file may have been removed in between: then it locks nothing.
            let is_named = || file.metadata().is_ok_and(|file| Some((file.dev(), file.ino())) == identity(&name));
            if let Some(is_alone) = is_alone.filter(|_| is_named()) {
                return Ok(Some(Self { file, store, is_exclusive: is_alone }));
            }
            std::thread::sleep(RETRY);
        }
        Err(SqliteOpenError::InUse(path.into()))
    }

    pub(super) fn is_exclusive(&self) -> bool {
        self.is_exclusive
    }

    /// Downgrades the lock to a shared one.
    pub(super) fn downgrade(&mut self) -> Result<(), SqliteOpenError> {
        if !std::mem::replace(&mut self.is_exclusive, false) {
            return Ok(());
        }
        // Downgrading is not atomic: another process that opens the store can get the lock in between.
        for _ in 0..SHARED_TRIES {
            if self.file.try_lock_shared().is_ok() {
                return Ok(());
            }
            std::thread::sleep(RETRY);
        }
        Err(SqliteOpenError::InUse(self.store.clone()))
    }

    /// Whether there is a log of a process that did not close the store.
    pub(super) fn has_wal(&self) -> bool {
        std::fs::metadata(sibling_path(&self.store, "-wal")).is_ok_and(|log| log.len() > 0)
    }

    /// Rejects a store that this lock does not belong to: one whose log belongs to another file, or a file that was
    /// replaced while another process has it open. Must be called before SQLite opens the store, since opening
    /// alone can write the log of one file into another.
    pub(super) fn check_store(&self) -> Result<(), SqliteOpenError> {
        let known = self.read();
        if !self.is_exclusive {
            let is_same = known.is_none_or(|known| Some(known.file) == identity(&self.store));
            return if is_same { Ok(()) } else { Err(SqliteOpenError::FileReplaced(self.store.clone())) };
        }
        let stored = session_without_wal(&self.store);
        let is_own =
            known.is_none_or(|known| Some(known.file) == identity(&self.store) && known.sessions.contains(&stored));
        if self.has_wal() && !is_own {
            return Err(SqliteOpenError::ForeignWal(self.store.clone()));
        }
        if stored != SessionId::default() && !self.has_wal() {
            // The store was closed and may have been replaced since; the next process compares with this. If the
            // write fails, that process cannot open the store either.
            drop(self.write(stored, stored));
        }
        Ok(())
    }

    /// Begins a new session. Only for a process that is alone, after it has written the log back.
    pub(super) fn begin_session(&self, db: &Connection) -> rusqlite::Result<()> {
        let random: i64 = db.query_row(sql::RANDOM.sqlite, [], |row| row.get(0))?;
        let new = SessionId(u32::try_from(random & 0x7fff_ffff).unwrap_or_default().max(1));
        let old = session_of(db);
        let failed = |error: std::io::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(error));
        // Both ids are valid until the new one is in the file itself and no longer in its log.
        self.write(old, new).map_err(failed)?;
        db.pragma_update(None, "user_version", new.0)?;
        if checkpoint(db)? { self.write(new, new).map_err(failed) } else { Ok(()) }
    }

    /// The sessions that the store can be in: two if a new one was not written completely.
    fn sessions(&self) -> Vec<SessionId> {
        self.read().map_or_else(Vec::new, |known| known.sessions.to_vec())
    }

    fn read(&self) -> Option<LockFileContent> {
        let mut text = [0; LENGTH];
        self.file.read_exact_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(&text).ok()?;
        let mut numbers = text.split_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
        let mut next = || numbers.next().flatten();
        let mut session = || next().and_then(|id| u32::try_from(id).ok()).map(SessionId);
        let sessions = [session()?, session()?];
        Some(LockFileContent { sessions, file: (next()?, next()?) })
    }

    /// Always of the same length, so that a crash leaves the old text or the new one.
    fn write(&self, old: SessionId, new: SessionId) -> std::io::Result<()> {
        let (device, inode) = identity(&self.store).unwrap_or_default();
        let text = format!("{:08x} {:08x} {device:016x} {inode:016x}\n", old.0, new.0);
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.sync_all()
    }
}

struct LockFileContent {
    /// Two while a new session begins.
    sessions: [SessionId; 2],
    /// Device and inode of the store.
    file: (u64, u64),
}

/// Length of the lock file, in bytes.
const LENGTH: usize = 2 * 9 + 2 * 17;

/// The id of a session; 0 in a new store and in one of 0.1.0, which have none.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct SessionId(u32);

/// Opens the lock file. Creates it with the owner and the mode of the store, so that every process that can open
/// the store can lock it. Returns `None` if it cannot be created, and for files of other programs.
fn open_lock(store: &Path, name: &Path) -> Result<Option<File>, SqliteOpenError> {
    let mut options = File::options();
    options.read(true).write(true);
    match options.open(name) {
        Ok(file) => return Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        // Locking needs no write access; only the session cannot be updated.
        Err(error) => {
            let failed = |_| SqliteOpenError::Other(name.into(), error.to_string());
            return File::open(name).map(Some).map_err(failed);
        }
    }
    if is_foreign(store) {
        return Ok(None);
    }
    let Ok(file) = options.clone().create_new(true).mode(0o600).open(name) else { return Ok(None) };
    if let Ok(store) = std::fs::metadata(store) {
        // Either both calls work, or the owner is the same anyway.
        drop(std::os::unix::fs::fchown(&file, Some(store.uid()), Some(store.gid())));
        drop(file.set_permissions(Permissions::from_mode(store.mode() & 0o666)));
    }
    Ok(Some(file))
}

/// Whether a file that is not empty lacks the application id of a store in its header.
fn is_foreign(store: &Path) -> bool {
    let Ok(file) = File::open(store) else { return false };
    let mut id = [0; 4];
    let is_empty = file.metadata().is_ok_and(|file| file.len() == 0);
    !is_empty && (file.read_exact_at(&mut id, 68).is_err() || i32::from_be_bytes(id) != APPLICATION_ID)
}

/// A file beside the store, named as SQLite names its own.
pub(super) fn sibling_path(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The size of the log beside a store, in bytes.
pub(super) fn wal_size(store: &Path) -> u64 {
    let store = std::fs::canonicalize(store).unwrap_or_else(|_| store.into());
    std::fs::metadata(sibling_path(&store, "-wal")).map_or(0, |log| log.len())
}

/// Writes the log back into the file and empties it. Returns whether that is complete.
pub(super) fn checkpoint(db: &Connection) -> rusqlite::Result<bool> {
    db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).map(|busy| busy == 0)
}

/// Writes in the caller's transaction without changing anything.
pub(super) fn probe_write(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "user_version", session_of(db).0)
}

fn session_of(db: &Connection) -> SessionId {
    let id = db.pragma_query_value(None, "user_version", |row| row.get(0));
    id.map(SessionId).unwrap_or_default()
}

/// The session in the file itself, without its log. Read from the header (<https://sqlite.org/fileformat.html>,
/// 1.3): a file whose log was not written back completely cannot be opened without it.
fn session_without_wal(store: &Path) -> SessionId {
    File::open(store).map(|store| session_in(&store)).unwrap_or_default()
}

fn session_in(store: &File) -> SessionId {
    let mut id = [0; 4];
    store.read_exact_at(&mut id, 60).map(|()| SessionId(u32::from_be_bytes(id))).unwrap_or_default()
}

/// The files of an open store, by device and inode.
pub(super) struct StoreFiles {
    names: Vec<(PathBuf, Option<(u64, u64)>)>,
    /// The store, whose content can be replaced, too. Must not be closed before SQLite has closed it: closing it
    /// would release SQLite's locks.
    store: Option<File>,
    /// Sessions that the header may show; a session that has just begun can reach it later, with the log.
    sessions: Vec<SessionId>,
}

impl StoreFiles {
    pub(super) fn of(path: &Path, lock: Option<&StoreLock>) -> Self {
        let store = std::fs::canonicalize(path).unwrap_or_else(|_| path.into());
        // The path as given: a symbolic link can be replaced, too.
        let names = [path.into(), sibling_path(&store, "-wal"), sibling_path(&store, "-shm")];
        let seen = names.into_iter().map(|name| {
            let identity = identity(&name);
            (name, identity)
        });
        let names = seen.filter(|(_, identity)| identity.is_some()).collect();
        let store = File::open(&store).ok();
        let known = lock.map_or_else(Vec::new, StoreLock::sessions).into_iter();
        let sessions = known.chain([store.as_ref().map(session_in).unwrap_or_default()]).collect();
        Self { names, store, sessions }
    }

    /// Whether each path still leads to the same file, and the session of the store is the same.
    pub(super) fn are_unchanged(&self) -> bool {
        // A failed read does not mean that the store was replaced.
        let is_same_session = self.store.as_ref().is_none_or(|store| {
            let mut header = [0; 4];
            match store.read_exact_at(&mut header, 60) {
                Ok(()) => self.sessions.contains(&session_in(store)),
                Err(error) => error.kind() != ErrorKind::UnexpectedEof,
            }
        });
        let is_same = |(name, seen): &(PathBuf, Option<(u64, u64)>)| match std::fs::metadata(name) {
            Ok(file) => Some((file.dev(), file.ino())) == *seen,
            Err(error) => error.kind() != ErrorKind::NotFound,
        };
        is_same_session && self.names.iter().all(is_same)
    }
}

/// Device and inode.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first session of a new store may be only in the log: the log is accepted as long as the file is the same.
    #[test]
    fn the_log_of_a_first_session_is_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("new.db");
        let db = Connection::open(&store).expect("opened");
        db.pragma_update(None, "application_id", APPLICATION_ID).expect("written");
        db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE things (id INTEGER)").expect("written");
        let acquire = || StoreLock::acquire(&store, LockMode::Exclusive).expect("locked").expect("a lock");
        let lock = acquire();
        assert!(lock.has_wal() && session_without_wal(&store) == SessionId::default());
        lock.write(session_of(&db), SessionId(7)).expect("written");
        drop(lock);
        assert!(acquire().check_store().is_ok());
        let copy = folder.path().join("copy.db");
        std::fs::copy(&store, &copy).expect("copied");
        std::fs::rename(&copy, &store).expect("renamed");
        assert!(matches!(acquire().check_store(), Err(SqliteOpenError::ForeignWal(_))));
    }
}
