//! Opens a store file. Files that are not a valid store are rejected and left unchanged.

use super::lock::{LockMode, StoreLock, checkpoint, sibling_path};
use super::migrations;
use super::open_error::{APPLICATION_ID, SqliteOpenError, to_open_error};
use super::statement_count::count_statements;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use store::sql;

#[derive(Clone, Copy, Debug)]
pub struct SqliteOptions {
    /// Maximum size of the writer's page cache, in MiB.
    pub cache_mib: u32,
    /// Maximum size of the file, in pages of 4 KiB; `None` means no limit.
    pub max_pages: Option<u32>,
    /// Whether reads use memory-mapped I/O: faster for repeated reads, but mapped memory counts as memory of this
    /// process.
    pub memory_mapped: bool,
    /// Time limit of one read, since the log grows meanwhile; `None` means no limit.
    pub read_timeout: Option<Duration>,
    /// Whether a store of up to 1 GiB is checked even if it was closed properly.
    pub check_on_open: bool,
}

/// A store of this size is checked in about a second.
const QUICK_CHECK_LIMIT: u64 = 1 << 30;

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { cache_mib: 128, max_pages: None, memory_mapped: true, read_timeout: None, check_on_open: false }
    }
}

/// The writing connection to an upgraded, complete store, and the shared lock.
pub(super) fn open_writer(
    path: &Path,
    options: &SqliteOptions,
) -> Result<(Connection, Option<StoreLock>), SqliteOpenError> {
    create_private_file(path)?;
    let lock = StoreLock::acquire(path, LockMode::Shared)?;
    let opened =
        connect_and_migrate(path, options, lock.as_ref()).and_then(|db| ensure_complete(&db, path).map(|()| db));
    downgrade_lock(opened, lock)
}

/// A read-only connection to an existing, complete store of this version, and the shared lock.
pub(super) fn open_reader(path: &Path) -> Result<(Connection, Option<StoreLock>), SqliteOpenError> {
    let lock = StoreLock::acquire(path, LockMode::Shared)?;
    let opened = connect_complete(path, lock.as_ref());
    downgrade_lock(opened, lock)
}

fn downgrade_lock(
    opened: Result<Connection, SqliteOpenError>,
    mut lock: Option<StoreLock>,
) -> Result<(Connection, Option<StoreLock>), SqliteOpenError> {
    match opened {
        Ok(db) => {
            lock.as_mut().map_or(Ok(()), StoreLock::downgrade)?;
            Ok((db, lock))
        }
        Err(error) => Err(error),
    }
}

/// A writing connection to a store, which is upgraded. A process that is alone begins a new session.
pub(super) fn connect_and_migrate(
    path: &Path,
    options: &SqliteOptions,
    lock: Option<&StoreLock>,
) -> Result<Connection, SqliteOpenError> {
    let broken = |error: rusqlite::Error| to_open_error(path, &error);
    let alone = lock.filter(|lock| lock.is_exclusive());
    let was_closed = alone.is_none_or(|lock| !lock.has_wal());
    lock.map_or(Ok(()), StoreLock::check_store)?;
    let mut db = connect_read_write(path, options)?;
    let is_small = || std::fs::metadata(path).is_ok_and(|file| file.len() <= QUICK_CHECK_LIMIT);
    if !was_closed || options.check_on_open && alone.is_some() && is_small() {
        quick_check(&db, path)?;
    }
    if let Some(schema) = migrations::outdated_schema(&db) {
        // An older version could not use the store any more.
        if lock.is_some_and(|lock| !lock.is_exclusive()) || has_other_connections(&db).map_err(broken)? {
            return Err(SqliteOpenError::InUse(path.into()));
        }
        keep_copy(&db, path, schema)?;
    }
    migrations::run(&mut db, path)?;
    // No other process has the store open, so nobody can hold a lease.
    if alone.is_some() {
        db.execute(sql::END_LEASES.sqlite, []).map_err(broken)?;
    }
    // Write the log back first, so that it starts empty with the new session.
    if let Some(lock) = alone
        && checkpoint(&db).map_err(broken)?
    {
        // On failure (no space, no permission), the previous session continues.
        if let Err(error) = lock.begin_session(&db) {
            tracing::warn!(%error, "cannot begin a new session; the previous one continues");
        }
    }
    Ok(db)
}

/// Whether another process has the store open, also one of version 0.1.0, which does not use the lock file. Only the last
/// connection can leave WAL mode.
fn has_other_connections(db: &Connection) -> rusqlite::Result<bool> {
    match db.pragma_update(None, "journal_mode", "DELETE") {
        Ok(()) => db.pragma_update(None, "journal_mode", "WAL").map(|()| false),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Copies the store to a file beside it, named after its schema. Replaces the copy of an earlier attempt.
fn keep_copy(db: &Connection, path: &Path, schema: u32) -> Result<(), SqliteOpenError> {
    let copy = sibling_path(path, &format!(".schema-{schema}"));
    let part = sibling_path(&copy, ".part");
    let failed = |error: String| SqliteOpenError::Io(path.into(), format!("cannot keep a copy: {error}"));
    let name = part.to_str().ok_or_else(|| failed("its path is not UTF-8".into()))?;
    // Left by an attempt that was interrupted.
    drop(std::fs::remove_file(&part));
    create_private_file(&part)?;
    let copied = db.execute(sql::COPY_STORE.sqlite, [name]);
    copied.map_err(|error| {
        // The disk may be full.
        drop(std::fs::remove_file(&part));
        to_open_error(path, &error)
    })?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let sync = |path: &Path| std::fs::File::open(path).and_then(|file| file.sync_all());
    let kept = sync(&part).and_then(|()| std::fs::rename(&part, &copy)).and_then(|()| sync(folder));
    kept.map_err(|error| failed(error.to_string()))?;
    tracing::info!(copy = %copy.display(), "kept the store as it was before the upgrade");
    Ok(())
}

pub(super) fn connect_read_write(path: &Path, options: &SqliteOptions) -> Result<Connection, SqliteOpenError> {
    let broken = |error: rusqlite::Error| to_open_error(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let mut db = Connection::open_with_flags(path, flags).map_err(broken)?;
    set_busy_handler(&mut db).map_err(broken)?;
    if db.is_readonly(rusqlite::MAIN_DB).map_err(broken)? {
        return Err(SqliteOpenError::ReadOnly(path.into(), "the file or its folder is read-only".into()));
    }
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(broken)?;
    let tables: i64 = db.query_row(sql::COUNT_SCHEMA_OBJECTS.sqlite, [], |row| row.get(0)).map_err(broken)?;
    if id != APPLICATION_ID && (id != 0 || tables > 0) {
        return Err(SqliteOpenError::Foreign(path.into()));
    }
    db.pragma_update(None, "journal_mode", "WAL").map_err(broken)?;
    if id != APPLICATION_ID {
        db.pragma_update(None, "application_id", APPLICATION_ID).map_err(broken)?;
    }
    // Every acknowledged change survives a power loss; grouped commits make that cheap.
    db.pragma_update(None, "synchronous", "FULL").map_err(broken)?;
    // On macOS, fsync alone leaves data in the drive's cache; elsewhere these do nothing.
    db.pragma_update(None, "fullfsync", true).map_err(broken)?;
    db.pragma_update(None, "checkpoint_fullfsync", true).map_err(broken)?;
    db.pragma_update(None, "foreign_keys", true).map_err(broken)?;
    // 4,000 pages: larger logs write a little faster and pause much longer.
    db.pragma_update(None, "wal_autocheckpoint", 4000).map_err(broken)?;
    db.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT).map_err(broken)?;
    db.pragma_update(None, "cache_size", -1024 * i64::from(options.cache_mib)).map_err(broken)?;
    if let Some(pages) = options.max_pages {
        db.pragma_update(None, "max_page_count", pages).map_err(broken)?;
    }
    set_up_statements(&mut db).map_err(broken)?;
    Ok(db)
}

/// Size in bytes to which the log is truncated when it restarts: four times what is written back at a time.
const WAL_SIZE_LIMIT: i64 = 64 << 20;

/// Looks for damage in a store that was not closed properly.
fn quick_check(db: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    let found: rusqlite::Result<String> = db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
    match found {
        Ok(found) if found == "ok" => Ok(()),
        Ok(found) => Err(SqliteOpenError::Corrupt(path.into(), found.replace('\n', " "))),
        Err(error) => Err(to_open_error(path, &error)),
    }
}

/// Interval between attempts on a locked store. SQLite's own busy handler backs off to 100 ms and misses the pauses
/// of a process that writes constantly.
const BUSY_RETRY_INTERVAL: Duration = Duration::from_millis(1);
/// Number of attempts: four seconds, as long as a change waits for a PostgreSQL database.
const BUSY_RETRIES: i32 = 4_000;

/// Lets a connection wait for locks of other processes.
pub(super) fn set_busy_handler(db: &mut Connection) -> rusqlite::Result<()> {
    db.busy_handler(Some(|tries| {
        std::thread::sleep(BUSY_RETRY_INTERVAL);
        tries < BUSY_RETRIES
    }))
}

/// Rejects a store whose restore is incomplete.
pub(super) fn ensure_complete(db: &Connection, path: &Path) -> Result<(), SqliteOpenError> {
    match super::restore::restore_in_progress(db).map_err(|error| to_open_error(path, &error))? {
        Some(filling) => Err(SqliteOpenError::IncompleteRestore(path.into(), filling.origin)),
        None => Ok(()),
    }
}

/// Rejects a non-empty store of an older version as a target, before it is upgraded.
pub(super) fn ensure_restorable(path: &Path) -> Result<(), SqliteOpenError> {
    let is_there = std::fs::metadata(path).is_ok_and(|file| file.len() > 0);
    let Some(db) = is_there.then(|| connect_read_only(path, false)) else { return Ok(()) };
    let db = db.map_err(|error| to_open_error(path, &error))?;
    // Without the table, the store is empty.
    let many: i64 = db.query_row(sql::COUNT_TENANTS.sqlite, [], |row| row.get(0)).unwrap_or(0);
    if many > 0 { migrations::ensure_current(&db, path) } else { Ok(()) }
}

/// A read-only connection to an existing, complete store of this version.
pub(super) fn connect_complete(path: &Path, lock: Option<&StoreLock>) -> Result<Connection, SqliteOpenError> {
    let broken = |error: rusqlite::Error| to_open_error(path, &error);
    lock.map_or(Ok(()), StoreLock::check_store)?;
    let db = connect_read_only(path, false).map_err(broken)?;
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0)).map_err(broken)?;
    if id != APPLICATION_ID {
        return Err(SqliteOpenError::Foreign(path.into()));
    }
    migrations::ensure_current(&db, path)?;
    ensure_complete(&db, path)?;
    Ok(db)
}

/// Creates the file of a new store, readable by its owner only; SQLite gives the files beside it the same mode.
/// Other failures are reported when the store is opened.
pub(super) fn create_private_file(path: &Path) -> Result<(), SqliteOpenError> {
    if path.is_file() && std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly()) {
        return Err(SqliteOpenError::ReadOnly(path.into(), "the file is read-only".into()));
    }
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
    Ok(())
}

pub(super) fn connect_read_only(path: &Path, maps_file: bool) -> rusqlite::Result<Connection> {
    roll_back_journal(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    set_busy_handler(&mut db)?;
    db.pragma_update(None, "query_only", true)?;
    db.pragma_update(None, "cache_size", -4096)?;
    if maps_file {
        db.pragma_update(None, "mmap_size", 1_i64 << 33)?;
    }
    set_up_statements(&mut db)?;
    Ok(db)
}

/// Rolls back a hot journal, which a process leaves if it is killed before the store is in WAL mode or while an upgrade
/// has turned it off. A read-only connection cannot roll back, and would report a read-only store.
fn roll_back_journal(path: &Path) {
    if !sibling_path(path, "-journal").exists() || !may_be_store(path) {
        return;
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let rolled_back = Connection::open_with_flags(path, flags).and_then(|mut db| {
        set_busy_handler(&mut db)?;
        // Any read rolls back.
        db.query_row(sql::COUNT_SCHEMA_OBJECTS.sqlite, [], |_| Ok(()))
    });
    if let Err(error) = rolled_back {
        tracing::warn!(%error, "cannot roll back the interrupted transaction of another process");
    }
}

/// Whether a file has our id (<https://sqlite.org/fileformat.html>, 1.3), or one page at most, which has no table yet.
fn may_be_store(path: &Path) -> bool {
    let mut id = [0; 4];
    let Ok(file) = std::fs::File::open(path) else { return false };
    let has_id = file.read_exact_at(&mut id, 68).is_ok() && i32::from_be_bytes(id) == APPLICATION_ID;
    has_id || file.metadata().is_ok_and(|file| file.len() <= 4096)
}

/// Interrupts everything the connection reads after `time`, until the next call replaces the limit.
pub(super) fn set_read_timeout(db: &mut Connection, time: Duration) -> rusqlite::Result<()> {
    let begun = Instant::now();
    db.progress_handler(PROGRESS_HANDLER_STEPS, Some(move || begun.elapsed() > time))
}

/// Steps of SQLite's virtual machine between two checks, usually less than a millisecond.
const PROGRESS_HANDLER_STEPS: i32 = 10_000;

/// Caches prepared statements with their plans, and counts their executions. Without the stability guarantee (QPSG), a
/// statement whose parameters could affect its plan is parsed again for every binding, which doubled the cost of a read.
fn set_up_statements(db: &mut Connection) -> rusqlite::Result<()> {
    count_statements(db)?;
    db.set_prepared_statement_cache_capacity(64);
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(|_| ())
}
