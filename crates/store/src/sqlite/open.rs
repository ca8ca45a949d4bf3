//! Opening a file: ours and sound, or refused untouched.

use super::lock::{Access, StoreLock, write_back};
use super::migrations;
use super::open_error::{APPLICATION_ID, OpenError, classify};
use crate::sql;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::{Duration, Instant};

/// How to open a store.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The most memory the writer's page cache may take, in MiB.
    pub cache_mib: u32,
    /// The most pages of 4 KiB the file may have; `None` is no limit but the disk's.
    pub max_pages: Option<u32>,
    /// Whether reads go through mapped memory: faster where the same is read again and again, and what is mapped counts
    /// as this process's.
    pub maps_file: bool,
    /// How long one read may take, since the log grows meanwhile; `None` is no limit.
    pub longest_read: Option<Duration>,
    /// Whether a store of up to [`QUICKLY_CHECKED`] bytes is checked although it was closed.
    pub is_checked: bool,
}

/// The size of a store that is checked in about a second.
const QUICKLY_CHECKED: u64 = 1 << 30;

impl Default for Options {
    fn default() -> Self {
        Self { cache_mib: 128, max_pages: None, maps_file: true, longest_read: None, is_checked: false }
    }
}

/// The one connection that writes, on a store that is ours and up to date, and the lock that is shared with others.
pub(super) fn writing(path: &Path, options: &Options) -> Result<(Connection, Option<StoreLock>), OpenError> {
    private(path)?;
    let lock = StoreLock::acquire(path, Access::Shared)?;
    let opened = prepare(path, options, lock.as_ref()).and_then(|db| whole(&db, path).map(|()| db));
    shared(opened, lock)
}

/// A connection that can only read, on a store of ours that is there, complete and of this version, and the shared lock.
pub(super) fn sound(path: &Path) -> Result<(Connection, Option<StoreLock>), OpenError> {
    let lock = StoreLock::acquire(path, Access::Shared)?;
    let opened = complete(path, lock.as_ref());
    shared(opened, lock)
}

/// Lets others open a store that was opened, too.
fn shared(
    opened: Result<Connection, OpenError>,
    mut lock: Option<StoreLock>,
) -> Result<(Connection, Option<StoreLock>), OpenError> {
    match opened {
        Ok(db) => {
            lock.as_mut().map_or(Ok(()), StoreLock::share)?;
            Ok((db, lock))
        }
        Err(error) => Err(error),
    }
}

/// A connection that writes, on a store that is brought up to date. One of a process that is alone begins a new session.
pub(super) fn prepare(
    path: &Path,
    options: &Options,
    lock: Option<&StoreLock>,
) -> Result<Connection, OpenError> {
    let broken = |error: rusqlite::Error| classify(path, &error);
    let alone = lock.filter(|lock| lock.is_alone());
    let was_closed = alone.is_none_or(|lock| !lock.has_log());
    lock.map_or(Ok(()), StoreLock::check_store)?;
    let mut db = connect(path, options)?;
    let is_small = || std::fs::metadata(path).is_ok_and(|file| file.len() <= QUICKLY_CHECKED);
    if !was_closed || options.is_checked && alone.is_some() && is_small() {
        check_quickly(&db, path)?;
    }
    migrations::run(&mut db, path)?;
    // What was left in the log goes into the file first, so that the log begins anew with the session.
    if let Some(lock) = alone
        && write_back(&db).map_err(broken)?
    {
        // Without it, for want of room or rights, the session before goes on.
        if let Err(error) = lock.begin_session(&db) {
            tracing::warn!(%error, "no new session of the store can begin");
        }
    }
    Ok(db)
}

/// A connection that can write.
pub(super) fn connect(path: &Path, options: &Options) -> Result<Connection, OpenError> {
    let broken = |error: rusqlite::Error| classify(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut db = Connection::open_with_flags(path, flags).map_err(broken)?;
    wait_for_locks(&mut db).map_err(broken)?;
    if db.is_readonly(rusqlite::MAIN_DB).map_err(broken)? {
        return Err(OpenError::ReadOnly(path.into(), "the file or its folder is read-only".into()));
    }
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(broken)?;
    let tables: i64 = db.query_row(sql::COUNT_SCHEMA_OBJECTS.sqlite, [], |row| row.get(0)).map_err(broken)?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(OpenError::Foreign(path.into()));
    }
    db.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
    if id != APPLICATION_ID {
        db.pragma_update(None, "application_id", APPLICATION_ID).map_err(broken)?;
    }
    // Every acknowledged change survives the loss of power; grouped commits make that cheap.
    db.pragma_update(None, "synchronous", "FULL").map_err(broken)?;
    // On macOS, fsync alone leaves data in the drive's cache; elsewhere these do nothing.
    db.pragma_update(None, "fullfsync", true).map_err(broken)?;
    db.pragma_update(None, "checkpoint_fullfsync", true).map_err(broken)?;
    db.pragma_update(None, "foreign_keys", true).map_err(broken)?;
    // 4,000 pages: larger logs write a little faster and pause much longer.
    db.pragma_update(None, "wal_autocheckpoint", 4000).map_err(broken)?;
    db.pragma_update(None, "journal_size_limit", LOG_LIMIT).map_err(broken)?;
    db.pragma_update(None, "cache_size", -1024 * i64::from(options.cache_mib)).map_err(broken)?;
    if let Some(pages) = options.max_pages {
        db.pragma_update(None, "max_page_count", pages).map_err(broken)?;
    }
    keep_plans(&db).map_err(broken)?;
    Ok(db)
}

/// The size that a log is cut to when it begins anew, in bytes: four times what is written back at a time.
const LOG_LIMIT: i64 = 64 << 20;

/// Looks for damage in a store that was not closed.
fn check_quickly(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let found: rusqlite::Result<String> = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(OpenError::Damaged(path.into(), found.replace('\n', " "))),
        Err(error) => Err(classify(path, &error)),
    }
}

/// Interval at which a locked store is tried again. SQLite's own busy handler backs off to 100 ms and misses the pauses of a
/// process that writes constantly.
const WAIT: Duration = Duration::from_millis(1);
/// Number of tries: four seconds, as long as a change waits for a PostgreSQL database.
const TRIES: i32 = 4_000;

/// Lets a connection wait for the locks of others.
pub(super) fn wait_for_locks(db: &mut Connection) -> rusqlite::Result<()> {
    db.busy_handler(Some(|tries| {
        std::thread::sleep(WAIT);
        tries < TRIES
    }))
}

/// Refuses a store that holds only a part of what it is to hold.
pub(super) fn whole(db: &Connection, path: &Path) -> Result<(), OpenError> {
    match super::fill::under_way(db).map_err(|error| classify(path, &error))? {
        Some(filling) => Err(OpenError::Unfinished(path.into(), filling.origin)),
        None => Ok(()),
    }
}

/// Refuses to fill a store of an older version that holds something, before it is brought up to date.
pub(super) fn fillable(path: &Path) -> Result<(), OpenError> {
    let is_there = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    let Some(db) = is_there.then(|| reading(path, false)) else { return Ok(()) };
    let db = db.map_err(|error| classify(path, &error))?;
    // Where there is no such table, there is nothing in it.
    let many: i64 = db.query_row(sql::COUNT_TENANTS.sqlite, [], |row| row.get(0)).unwrap_or(0);
    if many > 0 { migrations::is_current(&db, path) } else { Ok(()) }
}

/// A connection that can only read, on a store of ours that is there, complete and of this version.
pub(super) fn complete(path: &Path, lock: Option<&StoreLock>) -> Result<Connection, OpenError> {
    let broken = |error: rusqlite::Error| classify(path, &error);
    lock.map_or(Ok(()), StoreLock::check_store)?;
    let db = reading(path, false).map_err(broken)?;
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(broken)?;
    if id != APPLICATION_ID {
        return Err(OpenError::Foreign(path.into()));
    }
    migrations::is_current(&db, path)?;
    whole(&db, path)?;
    Ok(db)
}

/// Makes a new store's file readable by its owner alone; the files that SQLite puts beside it follow suit. Where this
/// fails, opening says why.
pub(super) fn private(path: &Path) -> Result<(), OpenError> {
    if path.is_file() && std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly()) {
        return Err(OpenError::ReadOnly(path.into(), "the file is read-only".into()));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
    Ok(())
}

/// A connection that can only read.
pub(super) fn reading(path: &Path, maps_file: bool) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    wait_for_locks(&mut db)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -4096)?;
    if maps_file {
        db.pragma_update(None, "mmap_size", 1_i64 << 33)?;
    }
    keep_plans(&db)?;
    Ok(db)
}

/// Ends what a connection reads after a time; until the next call of this.
pub(super) fn limit_reads(db: &mut Connection, time: Duration) -> rusqlite::Result<()> {
    let begun = Instant::now();
    db.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || begun.elapsed() > time))
}

/// Steps of SQLite's virtual machine, less than a millisecond as a rule.
const STEPS_BETWEEN_LOOKS: i32 = 10_000;

/// Keeps prepared statements, and their plans with them: without the guarantee of stable plans, a statement whose
/// parameters could matter to its plan is parsed anew with every binding, which doubled the cost of a read.
fn keep_plans(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(64);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}
