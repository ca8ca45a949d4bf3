//! The embedded engine: SQLite in WAL mode with full durability.
//!
//! One thread owns the only writing connection. It commits all waiting changes as one transaction, each in its own
//! savepoint, and answers every caller after that commit is on disk. Readers have their own read-only connections.
//! Reasons and measurements: `docs/performance.md`.
//!
//! ```
//! use directory::Store;
//! use store::OpenStore;
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let folder = tempfile::tempdir().unwrap();
//! let options = store_sqlite::SqliteOptions::default();
//! let store = store_sqlite::Sqlite::open(&folder.path().join("muster.db"), &options).unwrap();
//! assert_eq!(store.health().await.unwrap().engine, "sqlite");
//! store.close();
//! # });
//! ```

mod apply;
mod apply_error;
mod engine;
mod event_subjects_migration;
mod events;
mod exclusive;
mod identifier_migration;
mod index_lookup;
mod item_pages;
mod lock;
mod migrations;
mod monitor;
mod open;
mod open_error;
mod read;
mod readers;
mod restore;
mod row_decode;
mod shared_state;
mod snapshot;
mod statement_count;
mod tables;
mod tenant_snapshot;
mod tx_counters;
mod user_pages;
mod writer;
mod writer_job;

pub use engine::SqliteEngine;
pub use exclusive::ExclusiveSqlite;
pub use open::SqliteOptions;
pub use open_error::SqliteOpenError;

use directory::{
    Account, BoxFuture, ChainReport, Change, CommitError, Committing, Event, EventFilter, EventPosition, Health, Item,
    ItemId, ItemKey, ItemKind, ItemQuery, Members, Page, PasswordHash, Receipt, Row, RowQuery, Store, StoreError,
    Table, TenantNumber, TenantSnapshot, Time, Tombstone, UnwritableReason, User, UserChange, UserId, UserKey,
    UserQuery,
};
use open_error::to_open_error;
use readers::Readers;
use shared_state::SharedState;
use snapshot::SqliteSnapshot;
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::archive::{self, ArchiveError, EntrySink};
use store::page_builder::{MAX_SHORT_READ_ROWS, is_short_read};
use store::query_plan::is_short_item_read;
use store::{CheckReport, OpenError, OpenStore, check, sql};
use tenant_snapshot::SqliteTenantSnapshot;
use tokio::sync::Semaphore;
use writer::Writer;

/// Concurrent scans of all users. Each takes a thread.
const MAX_CONCURRENT_SCANS: usize = 2;
/// Concurrent lists of other things, which are shorter and must not wait for scans.
const MAX_CONCURRENT_LISTS: usize = 4;

/// Time that a health check waits for the writer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub struct Sqlite {
    shared: Arc<SharedState>,
    readers: Arc<Readers>,
    /// `None` if the store was opened for reading only.
    writer: Option<Writer>,
    scan_permits: Arc<Semaphore>,
    list_permits: Arc<Semaphore>,
}

impl Sqlite {
    /// Opens the store at `path` and creates it if it does not exist. Rejects files of other programs, damaged
    /// files and files that cannot be written, and leaves them unchanged.
    pub fn open(path: &Path, options: &SqliteOptions) -> Result<Self, SqliteOpenError> {
        let (connection, lock) = open::open_writer(path, options)?;
        let opened = Arc::new(SharedState::new(path, options, lock));
        let writer = Writer::start(connection, &opened).map_err(SqliteOpenError::Thread)?;
        Ok(Self::from_parts(opened, Some(writer)))
    }

    /// Opens the store at `path` for reading only. It does not block writers and is not blocked by them.
    pub fn open_read_only(path: &Path, options: &SqliteOptions) -> Result<Self, SqliteOpenError> {
        let (connection, lock) = open::open_reader(path)?;
        let opened = Arc::new(SharedState::new(path, options, lock));
        let store = Self::from_parts(opened, None);
        // While a connection is open, the log stays the same file.
        store.readers.keep(connection);
        Ok(store)
    }

    fn from_parts(opened: Arc<SharedState>, writer: Option<Writer>) -> Self {
        Self {
            readers: Arc::new(Readers::new(Arc::clone(&opened))),
            shared: opened,
            writer,
            scan_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_SCANS)),
            list_permits: Arc::new(Semaphore::new(MAX_CONCURRENT_LISTS)),
        }
    }

    /// Sends every entry of a snapshot to `to`, while other processes can write. Writes nothing.
    ///
    /// # Errors
    /// The store cannot be read, or the dump takes longer than `longest`.
    pub fn dump(path: &Path, longest: Option<Duration>, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        let (mut db, _lock) = open::open_reader(path)?;
        if let Some(longest) = longest {
            open::set_read_timeout(&mut db, longest).map_err(|error| to_open_error(path, &error))?;
        }
        snapshot::run(archive::dump(&SqliteSnapshot::new(&db, path)?, to))
    }

    /// Checks the whole file. Changes nothing.
    pub fn check(path: &Path) -> Result<CheckReport, OpenError> {
        let (db, _lock) = open::open_reader(path)?;
        Ok(snapshot::run(check::check(&SqliteSnapshot::new(&db, path)?))?)
    }

    /// Runs a short read on the calling thread: it takes tens of microseconds, less than handing it to another thread.
    fn read<'a, T: Send + 'a>(
        &self,
        f: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T>,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let found = self.readers.with(f);
        Box::pin(std::future::ready(found))
    }

    /// Reads many rows by their keys: a few on the calling thread, more on a thread of their own.
    fn read_many<T: Send + 'static>(
        &self,
        count: usize,
        f: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        if count <= MAX_SHORT_READ_ROWS as usize { self.read(f) } else { self.scan(&self.list_permits, f) }
    }

    /// Runs a long read on its own thread. The permit moves with it, so that a canceled request frees nothing that
    /// is still in use.
    fn scan<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        f: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, StoreError>> {
        let (readers, scans) = (Arc::clone(&self.readers), Arc::clone(places));
        Box::pin(async move {
            let unavailable =
                |error: &dyn std::fmt::Display| StoreError::Internal(format!("a read task failed: {error}"));
            let permit = scans.acquire_owned().await.map_err(|e| unavailable(&e))?;
            #[expect(clippy::disallowed_methods, reason = "bounded by the permit that moves into it")]
            let task = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                readers.with_time(f)
            });
            task.await.map_err(|e| unavailable(&e))?
        })
    }
}

impl Store for Sqlite {
    fn users(&self, tenant: TenantNumber, keys: Vec<UserKey>) -> BoxFuture<'_, Result<Vec<Option<User>>, StoreError>> {
        self.read_many(keys.len(), move |db| keys.iter().map(|key| read::user(db, tenant, key)).collect())
    }

    fn find_users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>> {
        if is_short_read(&query) {
            self.read(|db| user_pages::users(db, tenant, &query))
        } else {
            self.scan(&self.scan_permits, move |db| user_pages::users(db, tenant, &query))
        }
    }

    fn items(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
    ) -> BoxFuture<'_, Result<Vec<Option<Item>>, StoreError>> {
        self.read_many(keys.len(), move |db| {
            keys.iter().map(|(kind, key)| read::item(db, tenant, *kind, key)).collect()
        })
    }

    fn find_items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        if is_short_item_read(&query) {
            self.read(|db| item_pages::items(db, tenant, &query))
        } else {
            self.scan(&self.list_permits, move |db| item_pages::items(db, tenant, &query))
        }
    }

    fn members_of(&self, tenant: TenantNumber, items: Vec<ItemId>) -> BoxFuture<'_, Result<Members, StoreError>> {
        self.scan(&self.list_permits, move |db| read::members_of(db, tenant, &items))
    }

    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        self.read(|db| read::members_after(db, tenant, item, after, limit))
    }

    fn rows(&self, query: RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        if query.is_short() {
            self.read(|db| tables::rows(db, &query))
        } else {
            self.scan(&self.list_permits, move |db| tables::rows(db, &query))
        }
    }

    fn rows_with_keys(&self, table: &'static Table, keys: Vec<Row>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        if keys.len() <= RowQuery::FEW as usize {
            self.read(|db| tables::rows_with_keys(db, table, keys))
        } else {
            self.scan(&self.list_permits, move |db| tables::rows_with_keys(db, table, keys))
        }
    }

    fn count_rows(&self, query: RowQuery, by: &'static [usize]) -> BoxFuture<'_, Result<Vec<(Row, u64)>, StoreError>> {
        self.scan(&self.list_permits, move |db| tables::count_rows(db, &query, by))
    }

    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        match &self.writer {
            Some(writer) => writer.commit(change),
            None => Box::pin(std::future::ready(Err(CommitError::Internal("the store is open read-only".into())))),
        }
    }

    fn commit_all(&self, changes: Vec<Change>) -> Vec<Committing<'_>> {
        match &self.writer {
            Some(writer) => writer.commit_all(changes),
            None => changes.into_iter().map(|change| self.commit(change)).collect(),
        }
    }

    fn events(
        &self,
        filter: EventFilter,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.scan(&self.list_permits, move |db| events::after(db, &filter, after, limit))
    }

    fn user_changes(
        &self,
        tenant: TenantNumber,
        with_groups: bool,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<UserChange>, StoreError>> {
        self.scan(&self.list_permits, move |db| events::user_changes(db, tenant, with_groups, after, limit))
    }

    fn tenant_snapshot(&self, tenant: TenantNumber) -> BoxFuture<'_, Result<Box<dyn TenantSnapshot>, StoreError>> {
        let begun = self.readers.connect().and_then(|db| {
            let begun =
                SqliteTenantSnapshot::begin(db, &self.shared, tenant).map_err(|error| self.readers.failed(&error))?;
            Ok(Box::new(begun) as Box<dyn TenantSnapshot>)
        });
        Box::pin(std::future::ready(begun))
    }

    fn wait_for_events(&self, after: EventPosition) -> BoxFuture<'_, ()> {
        // After an error, return: the caller's own read reports it.
        let exists = move || -> BoxFuture<'_, bool> {
            let last = self.read(|db| db.query_row(sql::LAST_POSITION.sqlite, [], |row| row.get::<_, i64>(0)));
            Box::pin(async move { last.await.map_or(true, |last| last.unsigned_abs() > after.0) })
        };
        Box::pin(self.shared.events.wait(after, exists))
    }

    fn last_event_position(&self) -> BoxFuture<'_, Result<EventPosition, StoreError>> {
        self.read(|db| {
            let last = db.prepare_cached(sql::LAST_POSITION.sqlite)?.query_row([], |row| row.get::<_, i64>(0))?;
            Ok(EventPosition(last.unsigned_abs()))
        })
    }

    fn accounts(
        &self,
        tenant: TenantNumber,
        users: Vec<UserId>,
    ) -> BoxFuture<'_, Result<HashMap<UserId, Account>, StoreError>> {
        self.read_many(users.len(), move |db| read::accounts(db, tenant, &users))
    }

    fn tombstone(&self, tenant: TenantNumber, by: UserKey) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>> {
        self.read(|db| read::tombstone(db, tenant, &by))
    }

    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: RangeInclusive<u32>,
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>> {
        self.scan(&self.list_permits, move |db| read::password_hashes(db, tenant, numbers))
    }

    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>> {
        self.read(|db| read::tombstones(db, tenant, after, limit))
    }

    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>> {
        self.read(|db| read::tombstones_between(db, between, limit))
    }

    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>> {
        self.read(|db| events::chain_hash_at(db, tenant, at))
    }

    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>> {
        self.scan(&self.scan_permits, move |db| events::verify_chain(db, tenant))
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        Box::pin(async move {
            let log_bytes = Some(self.shared.wal_size());
            let read = self.readers.with(|db| db.query_row(sql::PING.sqlite, [], |_| Ok(())));
            if let Some(obstacle) = self.shared.final_obstacle() {
                let health = self.writer.as_ref().map(Writer::health).unwrap_or_default();
                return Ok(Health { unwritable_reason: Some(obstacle), wal_bytes: log_bytes, ..health });
            }
            read?;
            let Some(writer) = &self.writer else {
                return Ok(Health { engine: "sqlite", wal_bytes: log_bytes, ..Health::default() });
            };
            let obstacle = match self.shared.verify_files().then(|| writer.probe()) {
                None => Some(UnwritableReason::FileReplaced),
                Some(probe) => {
                    let probed = tokio::time::timeout(PROBE_TIMEOUT, probe).await;
                    probed.unwrap_or_else(|_| self.shared.obstacle().or(Some(UnwritableReason::Stalled)))
                }
            };
            Ok(Health { unwritable_reason: obstacle, wal_bytes: log_bytes, ..writer.health() })
        })
    }
}

impl OpenStore for Sqlite {
    fn close(&self) {
        if let Some(writer) = &self.writer {
            writer.stop();
        }
        self.readers.close();
        self.shared.unlock();
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
