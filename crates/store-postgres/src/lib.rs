//! The server engine: any database that speaks the PostgreSQL protocol, shared by any number of processes.
//!
//! Writer tasks commit many changes per transaction (`batch_writer`), reads are pipelined over a few connections
//! (`read`), and one process assigns event positions after the commit (`event_sequencer`). A queued change is committed
//! even if its caller is gone, until the store is closed. Operation and tested setups: `docs/scaling.md`.

mod accounts;
mod archive_api;
mod batch_plan;
mod batch_rows;
mod batch_writer;
mod change_queue;
mod columns;
mod database_url;
mod engine;
mod event_sequencer;
mod event_subjects_migration;
mod events;
mod exclusive;
mod identifier_migration;
mod item_pages;
mod lease;
mod lookups;
mod managed_connection;
mod migrations;
mod number_allocator;
mod options;
mod param;
mod pg_error;
mod preconditions;
mod prefetch;
mod read;
mod restore;
mod retry;
mod snapshot;
mod tables;
mod tenant_snapshot;
mod user_pages;

pub use database_url::{DatabaseUrl, DatabaseUrlError};
pub use engine::PostgresEngine;
pub use exclusive::ExclusivePostgres;
pub use options::{PostgresOpenError, PostgresOptions};

use crate::migrations::MigrationMode;
use batch_writer::BatchWriter;
use directory::{
    Account, BoxFuture, ChainReport, Change, CommitError, Committing, Event, EventFilter, EventPosition, Health, Item,
    ItemId, ItemKey, ItemKind, ItemQuery, Members, Page, PasswordHash, Row, RowQuery, Store, StoreError, Table,
    TenantNumber, TenantSnapshot, Time, Tombstone, UnwritableReason, User, UserChange, UserId, UserKey, UserQuery,
};
use event_sequencer::{EventSequencer, SequencerHandle};
use futures_util::FutureExt;
use lookups::LookupQueue;
use managed_connection::{Connector, ManagedConnection, first_session};
use parking_lot::Mutex;
use read::{ReadPool, pending};
use retry::RETRY_TIMEOUT;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, UNIX_EPOCH};
use store::OpenStore;
use store::page_builder::is_short_read;
use tenant_snapshot::PostgresTenantSnapshot;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

pub struct Postgres {
    batch_writer: Arc<BatchWriter>,
    lookups: Arc<LookupQueue>,
    readers: ReadPool,
    health_connection: ManagedConnection,
    connector: Arc<Connector>,
    sequencer: SequencerHandle,
    background: Mutex<Option<BackgroundTasks>>,
}

struct BackgroundTasks {
    /// Runs opening and closing, which block their caller.
    runtime: Runtime,
    writers: Vec<JoinHandle<()>>,
    sequencer: JoinHandle<()>,
    stop: Arc<Notify>,
    connector: Arc<Connector>,
}

/// Concurrent lookups of more keys than share a statement. Each has a connection of its own, so that they neither hold up
/// other lookups nor wait for scans.
const LARGE_LOOKUPS: usize = 2;

/// Limit for closing. Batches still in doubt then stay in doubt; their callers never get an answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);

/// Migrates the schema and takes the process lease. Returns when the sequencer lease expires, if it was free.
async fn register(
    connector: &Arc<Connector>,
    url: &DatabaseUrl,
    process_id: Uuid,
    mode: MigrationMode,
) -> Result<Option<Instant>, PostgresOpenError> {
    let failed = |error| PostgresOpenError::from_pg(url, &error);
    let session = first_session(connector).await.map_err(failed)?;
    migrations::run(&session, url, process_id, mode).await?;
    if let Some(restore) = restore::restore_in_progress(&session).await.map_err(failed)? {
        return Err(PostgresOpenError::IncompleteRestore(url.to_string(), restore.origin));
    }
    let sequencer_lease = lease::register_process(&session, url, process_id).await?;
    connector.keep_spare(session);
    Ok(sequencer_lease)
}

impl Postgres {
    /// Opens and migrates the database. Waits a few seconds for a server that is starting.
    pub fn open(address: &DatabaseUrl, options: &PostgresOptions) -> Result<Self, PostgresOpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("muster-store")
            .enable_all()
            .build()
            .map_err(PostgresOpenError::Thread)?;
        let runtime_handle = options.runtime.clone().unwrap_or_else(|| runtime.handle().clone());
        let target = Arc::new(Connector::new(address.clone(), runtime_handle.clone(), options.named_statements, false));
        let (opening, process_id) = (Arc::clone(&target), options.ids.next_id());
        let (to, create_schema) = (address.clone(), options.create_schema);
        let opened = block_on(&runtime, async move {
            let mode = if create_schema { MigrationMode::CreateAndUpgrade } else { MigrationMode::Upgrade };
            register(&opening, &to, process_id, mode).await
        });
        let lease_until = match opened {
            Ok(lease_until) => lease_until,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let background = Arc::new(target.for_background());
        let batch_writer = Arc::new(BatchWriter::new(Arc::clone(&options.ids)));
        let mut tasks = Vec::new();
        for _ in 0..options.writers.max(1) {
            let (batch_writer, line) = (Arc::clone(&batch_writer), ManagedConnection::new(Arc::clone(&target)));
            tasks.push(runtime_handle.spawn(async move { batch_writer.run(&line).await }));
        }
        let readers = ReadPool::new(&target, options.readers.max(1), options.long_reads.max(1));
        let lookups = Arc::new(LookupQueue::new(ReadPool::new(&target, 0, LARGE_LOOKUPS)));
        for _ in 0..options.readers.max(1) {
            let (lookups, line) = (Arc::clone(&lookups), ManagedConnection::new(Arc::clone(&target)));
            let tasks = batch_writer.tasks.clone();
            runtime_handle.spawn(async move {
                while AssertUnwindSafe(lookups.run(&line)).catch_unwind().await.is_err() {
                    line.abort().await;
                    tasks.back_off_after_panic("look-ups").await;
                }
            });
        }
        let stop = Arc::new(Notify::new());
        let (sequencer, seals) = EventSequencer::new(
            ManagedConnection::new(Arc::clone(&background)),
            Arc::clone(&batch_writer),
            (process_id, lease_until),
        );
        let sequencer = runtime_handle.spawn(sequencer.run(Arc::clone(&stop)));
        let (changes, questions) = (Arc::clone(&batch_writer), Arc::clone(&lookups));
        runtime_handle.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                changes.queue.expire(RETRY_TIMEOUT);
                questions.expire();
            }
        });
        Ok(Self {
            batch_writer,
            lookups,
            readers,
            health_connection: ManagedConnection::new(background),
            connector: Arc::clone(&target),
            sequencer: seals,
            background: Mutex::new(Some(BackgroundTasks {
                runtime,
                writers: tasks,
                sequencer,
                stop,
                connector: target,
            })),
        })
    }
}

/// Blocks on a task of our runtime, in a thread of its own: blocking within a runtime would panic.
fn block_on<T: Send + 'static>(runtime: &Runtime, task: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::scope(|scope| {
        let handle = runtime.handle().clone();
        let waiting = scope.spawn(move || handle.block_on(task));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Delay before a broken chain is verified again.
const LINK_DELAY: Duration = Duration::from_millis(50);

impl Store for Postgres {
    fn users(&self, tenant: TenantNumber, keys: Vec<UserKey>) -> BoxFuture<'_, Result<Vec<Option<User>>, StoreError>> {
        pending(self.lookups.users(tenant, keys))
    }

    fn find_users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>> {
        if is_short_read(&query) {
            pending(self.readers.short(move |session| user_pages::users(session, tenant, query.clone())))
        } else {
            pending(self.readers.long(move |session| user_pages::users(session, tenant, query.clone())))
        }
    }

    fn items(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
    ) -> BoxFuture<'_, Result<Vec<Option<Item>>, StoreError>> {
        pending(self.lookups.items(tenant, keys))
    }

    fn find_items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        if store::query_plan::is_short_item_read(&query) {
            pending(self.readers.short(move |session| item_pages::items(session, tenant, query.clone())))
        } else {
            pending(self.readers.long(move |session| item_pages::items(session, tenant, query.clone())))
        }
    }

    fn members_of(&self, tenant: TenantNumber, items: Vec<ItemId>) -> BoxFuture<'_, Result<Members, StoreError>> {
        pending(self.readers.long(move |session| read::members_of(session, tenant, items.clone())))
    }

    fn user_changes(
        &self,
        tenant: TenantNumber,
        with_groups: bool,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<UserChange>, StoreError>> {
        pending(self.readers.long(move |session| events::user_changes(session, tenant, with_groups, after, limit)))
    }

    fn tenant_snapshot(&self, tenant: TenantNumber) -> BoxFuture<'_, Result<Box<dyn TenantSnapshot>, StoreError>> {
        Box::pin(async move {
            // Events without a position can be in the snapshot and follow it again, so assign positions first.
            self.sequencer.sequence_now().await;
            let begun = PostgresTenantSnapshot::begin(&self.connector, tenant).await;
            Ok(Box::new(begun?) as Box<dyn TenantSnapshot>)
        })
    }

    fn wait_for_events(&self, after: EventPosition) -> BoxFuture<'_, ()> {
        // After an error, return: the caller's own read reports it.
        let exists = move || -> BoxFuture<'_, bool> {
            let found = self.readers.short(move |session| events::exist_after(session, after));
            Box::pin(async { found.await.unwrap_or(true) })
        };
        Box::pin(self.sequencer.events().wait(after, exists))
    }

    fn last_event_position(&self) -> BoxFuture<'_, Result<EventPosition, StoreError>> {
        pending(self.readers.short(events::last_position))
    }

    fn server_time(&self) -> BoxFuture<'_, Result<Option<Time>, StoreError>> {
        let read = self.readers.short(|session| Box::pin(lease::database_time(session)));
        pending(async move {
            let since = read.await?.duration_since(UNIX_EPOCH).unwrap_or_default();
            Ok(Some(Time(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))))
        })
    }

    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        pending(self.readers.short(move |session| read::members_after(session, tenant, item, after, limit)))
    }

    fn rows(&self, query: RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        if query.is_short() {
            pending(self.readers.short(move |session| tables::rows(session, query.clone())))
        } else {
            pending(self.readers.long(move |session| tables::rows(session, query.clone())))
        }
    }

    fn rows_with_keys(&self, table: &'static Table, keys: Vec<Row>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        if keys.len() <= RowQuery::FEW as usize {
            pending(self.readers.short(move |session| tables::rows_with_keys(session, table, keys.clone())))
        } else {
            pending(self.readers.long(move |session| tables::rows_with_keys(session, table, keys.clone())))
        }
    }

    fn count_rows(&self, query: RowQuery, by: &'static [usize]) -> BoxFuture<'_, Result<Vec<(Row, u64)>, StoreError>> {
        pending(self.readers.long(move |session| tables::count_rows(session, &query, by)))
    }

    fn commit(&self, change: Change) -> Committing<'_> {
        let closed = || CommitError::Unavailable("the store is closed".into());
        let queued = self.commit_all(vec![change]).pop();
        queued.unwrap_or_else(|| Box::pin(std::future::ready(Err(closed()))))
    }

    fn commit_all(&self, changes: Vec<Change>) -> Vec<Committing<'_>> {
        // Queued before the first poll: dropping a future does not cancel its change.
        let queued = self.batch_writer.queue.push(changes).into_iter();
        let committing = queued.map(|queued| {
            Box::pin(async move {
                let closed = |_| CommitError::Unavailable("the store is closed".into());
                queued?.await.map_err(closed)?
            }) as Committing<'_>
        });
        committing.collect()
    }

    fn events(
        &self,
        filter: EventFilter,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        pending(async move {
            // Callers of this process must see their own changes in the history.
            self.sequencer.sequence_now().await;
            self.readers.long(move |session| events::after(session, filter.clone(), after, limit)).await
        })
    }

    fn accounts(
        &self,
        tenant: TenantNumber,
        users: Vec<UserId>,
    ) -> BoxFuture<'_, Result<HashMap<UserId, Account>, StoreError>> {
        pending(self.readers.short(move |session| accounts::accounts(session, tenant, users.clone())))
    }

    fn tombstone(&self, tenant: TenantNumber, by: UserKey) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>> {
        pending(self.readers.short(move |session| accounts::tombstone(session, tenant, by.clone())))
    }

    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: RangeInclusive<u32>,
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>> {
        pending(self.readers.long(move |session| accounts::password_hashes(session, tenant, numbers.clone())))
    }

    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>> {
        pending(async move {
            let found = self.readers.short(move |session| accounts::tombstones(session, tenant, after, limit));
            Ok(found.await?.into_iter().map(|(_, tombstone)| tombstone).collect())
        })
    }

    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>> {
        pending(self.readers.short(move |session| accounts::tombstones_between(session, between, limit)))
    }

    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>> {
        pending(self.readers.short(move |session| events::chain_hash_at(session, tenant, at)))
    }

    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>> {
        pending(async move {
            self.sequencer.sequence_now().await;
            let look = || self.readers.long(move |session| events::verify_chain(session, tenant));
            let mut chains = look().await?;
            // Without one snapshot for all nodes, an engine can show an event before its chain hash.
            if chains.values().any(|chain| chain.broken_at.is_some()) {
                tokio::time::sleep(LINK_DELAY).await;
                chains = look().await?;
            }
            Ok(chains)
        })
    }

    fn reads_are_remote(&self) -> bool {
        true
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        pending(async move {
            let is_closed = self.health_connection.check_health().await?;
            Ok(Health {
                engine: "postgres",
                commits: self.batch_writer.commits.load(Ordering::Relaxed),
                changes: self.batch_writer.changes.load(Ordering::Relaxed),
                retries: self.batch_writer.retries.load(Ordering::Relaxed),
                queued_changes: self.batch_writer.queue.depth(),
                statements: Some(self.connector.statement_count()),
                is_behind_load_balancer: self.health_connection.is_load_balanced(),
                unwritable_reason: is_closed.then_some(UnwritableReason::Restoring),
                wal_bytes: None,
                tasks: self.batch_writer.tasks.health(),
            })
        })
    }
}

impl OpenStore for Postgres {
    /// Waits for 10 s at most.
    fn close(&self) {
        let Some(ending) = self.background.lock().take() else { return };
        self.batch_writer.queue.close();
        let (batch_writer, end) = (Arc::clone(&self.batch_writer), Instant::now() + CLOSE_TIMEOUT);
        let BackgroundTasks { runtime, writers: tasks, sequencer, stop, connector: target } = ending;
        block_on(&runtime, async move {
            let left = || end.saturating_duration_since(Instant::now());
            for task in tasks {
                if tokio::time::timeout(left(), task).await.is_err() {
                    tracing::warn!("the database did not answer in time; changes in progress may or may not be stored");
                }
            }
            let returned = async {
                let session = target.connect().await?;
                batch_writer.numbers.return_unused(&session).await
            };
            drop(tokio::time::timeout(left().min(Duration::from_secs(2)), returned).await);
            target.close_spare();
            stop.notify_one();
            drop(tokio::time::timeout(left().min(Duration::from_secs(2)), sequencer).await);
        });
        runtime.shutdown_background();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}
