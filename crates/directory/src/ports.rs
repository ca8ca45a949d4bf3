//! The ports of the core: storage, time, ids and password hashing.

use crate::{
    Account, Change, Event, EventFilter, EventPosition, Field, Item, ItemId, ItemKey, ItemKind, ItemQuery, Page,
    PasswordHash, Receipt, Record, Row, RowQuery, Table, TenantNumber, Time, Tombstone, User, UserChange, UserId,
    UserKey, UserQuery,
};
use secrecy::SecretString;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;
use uuid::Uuid;

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The result of a queued change.
pub type Committing<'a> = BoxFuture<'a, Result<Receipt, CommitError>>;

/// Id and number of each member, by item.
pub type Members = HashMap<ItemId, Vec<(UserId, u32)>>;

/// The storage. Reads see everything committed before they began. A write is a [`Change`], and an acknowledged one
/// survives a power loss.
pub trait Store: Send + Sync {
    /// The users with these keys, in the order of the keys.
    fn users(&self, tenant: TenantNumber, keys: Vec<UserKey>) -> BoxFuture<'_, Result<Vec<Option<User>>, StoreError>>;
    fn user(&self, tenant: TenantNumber, key: UserKey) -> BoxFuture<'_, Result<Option<User>, StoreError>> {
        let found = self.users(tenant, vec![key]);
        Box::pin(async move { Ok(found.await?.pop().flatten()) })
    }
    fn find_users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>>;
    /// The items with these keys, in the order of the keys.
    fn items(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
    ) -> BoxFuture<'_, Result<Vec<Option<Item>>, StoreError>>;
    fn item(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        key: ItemKey,
    ) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        let found = self.items(tenant, vec![(kind, key)]);
        Box::pin(async move { Ok(found.await?.pop().flatten()) })
    }
    /// In order of number.
    fn find_items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>>;
    /// Ids and numbers of the members of each group or organization, or of the users who may see a folder, in order of
    /// number. Items without members are left out.
    fn members_of(&self, tenant: TenantNumber, items: Vec<ItemId>) -> BoxFuture<'_, Result<Members, StoreError>>;
    /// Rows of a declared table.
    fn rows(&self, query: RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;
    /// The rows of a declared table with these keys, in any order. Those that do not exist are left out.
    fn rows_with_keys(&self, table: &'static Table, keys: Vec<Row>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>>;
    /// How many rows a query finds, by the values of some columns.
    fn count_rows(&self, query: RowQuery, by: &'static [usize]) -> BoxFuture<'_, Result<Vec<(Row, u64)>, StoreError>>;
    /// Carries out a change atomically. It continues when the caller stops waiting.
    fn commit(&self, change: Change) -> Committing<'_>;
    /// Like [`Store::commit`] for each change, in order. The engine sees all of them at once, so that they share as few
    /// transactions as possible.
    fn commit_all(&self, changes: Vec<Change>) -> Vec<Committing<'_>> {
        changes.into_iter().map(|change| self.commit(change)).collect()
    }
    /// Events after a position, oldest first. There are no gaps: an event becomes visible after all its
    /// predecessors. An event may get its position shortly after its change was committed.
    fn events(
        &self,
        filter: EventFilter,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;
    /// Like [`Store::events`], but only what a task that follows users needs.
    fn user_changes(
        &self,
        tenant: TenantNumber,
        with_groups: bool,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<UserChange>, StoreError>> {
        let events = self.events(EventFilter::of_users(tenant, with_groups), after, limit);
        Box::pin(async move { Ok(events.await?.iter().map(UserChange::from).collect()) })
    }
    /// All items and users of a tenant at one moment, for a task that then follows the events.
    fn tenant_snapshot(&self, tenant: TenantNumber) -> BoxFuture<'_, Result<Box<dyn TenantSnapshot>, StoreError>>;
    /// Waits for an event after a position: at once if this process has assigned the position, within 200 ms if another
    /// has. May return early, such as after a read error: read the events to find out.
    fn wait_for_events(&self, after: EventPosition) -> BoxFuture<'_, ()>;
    /// The position of the newest event of all tenants. Events that get a position later have higher ones.
    fn last_event_position(&self) -> BoxFuture<'_, Result<EventPosition, StoreError>>;
    /// The clock of the server that several processes share; `None` if the engine runs in the process.
    fn server_time(&self) -> BoxFuture<'_, Result<Option<Time>, StoreError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
    /// Like [`Store::members_of`] for one item, but only numbers above `after`.
    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>>;
    /// Users that do not exist are left out.
    fn accounts(
        &self,
        tenant: TenantNumber,
        users: Vec<UserId>,
    ) -> BoxFuture<'_, Result<HashMap<UserId, Account>, StoreError>>;
    /// `None` if there is no such user.
    fn account(&self, tenant: TenantNumber, user: UserId) -> BoxFuture<'_, Result<Option<Account>, StoreError>> {
        let found = self.accounts(tenant, vec![user]);
        Box::pin(async move { Ok(found.await?.remove(&user)) })
    }
    /// Password hashes by user number, in order, of the users within an inclusive range who have one.
    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: RangeInclusive<u32>,
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>>;
    /// A deleted user by id, number or external id (the one deleted last); other keys find nothing.
    fn tombstone(&self, tenant: TenantNumber, key: UserKey) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>>;
    /// Deleted users of a tenant with a number above `after`, in order of number.
    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>>;
    /// Users of all tenants deleted between two times (inclusive), earliest first.
    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>>;
    /// The hash in a tenant's event chain at a position.
    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>>;
    /// Verifies the event chain of one tenant, or of all in one pass; results by tenant.
    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>>;
    /// Whether reads cross a network, so that a lookup costs more than a precondition that is checked at commit.
    fn reads_are_remote(&self) -> bool {
        false
    }
    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>>;
}

/// A view of a tenant at one moment, while others write. It ends when it is dropped; until then, the files of SQLite grow
/// with every change.
pub trait TenantSnapshot: Send {
    /// The last event that the snapshot includes. Later events may be included, too, if several processes write; a task that
    /// follows the events sees them again.
    fn position(&self) -> EventPosition;
    /// Items by kind, then users, in order of number; `None` after the last page.
    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<SnapshotPage>, StoreError>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotPage {
    Items(Vec<Item>),
    Users(Vec<User>),
}

/// The records that a query of their table finds.
pub async fn records<T: Record>(store: &dyn Store, query: RowQuery) -> Result<Vec<T>, StoreError> {
    let rows = store.rows(query).await?;
    Ok(rows.iter().map(|row| T::from_row(row)).collect::<Result<_, _>>()?)
}

/// The record with this key.
pub async fn record<T: Record>(store: &dyn Store, key: Row) -> Result<Option<T>, StoreError> {
    Ok(records(store, T::table().row(key)).await?.pop())
}

/// The result of verifying a tenant's event chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// Events in the chain, up to the first broken one.
    pub verified_events: u64,
    /// Events from before there was a chain, which cannot be verified.
    pub unchained_events: u64,
    pub last_position: EventPosition,
    /// Hash of the last event. A copy kept elsewhere can prove later that nothing before it has changed.
    pub head_hash: Option<[u8; 32]>,
    /// The first broken position: the event differs from what was stored, or events are missing.
    pub broken_at: Option<EventPosition>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    pub engine: &'static str,
    /// Transactions committed since the store was opened.
    pub commits: u64,
    /// Changes in these transactions.
    pub changes: u64,
    /// Transactions that were rolled back and tried again, after a conflict with other transactions or an error.
    pub retries: u64,
    pub queued_changes: u64,
    /// SQL statements of requests since the store was opened; on SQLite, of all stores since the process started.
    /// `None` if the engine has no statements.
    pub statements: Option<u64>,
    /// Whether a pooler in front of the database would send reads to a standby; the engine marks its reads to go to the
    /// primary.
    pub is_behind_load_balancer: bool,
    /// `None` if the store accepts changes.
    pub unwritable_reason: Option<UnwritableReason>,
    /// Size of the embedded engine's write-ahead log.
    pub wal_bytes: Option<u64>,
    /// Background tasks that have panicked.
    pub tasks: Vec<TaskHealth>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHealth {
    pub name: &'static str,
    /// Since the start.
    pub panics: u64,
    pub is_restarting: bool,
}

/// Why a store accepts no changes. The texts name no path, host or user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwritableReason {
    /// Another process holds the write lock for longer than a change waits.
    #[error("another process holds the store's write lock: stop or resume it")]
    Locked,
    /// A write has taken longer than a change waits.
    #[error("writes do not complete: another process holds the write lock, or the disk does not respond")]
    Stalled,
    #[error("the disk is full: free some space")]
    DiskFull,
    /// Writing or synchronizing a file failed.
    #[error("the last write failed: check the disk and the log")]
    WriteFailed,
    /// The paths of the store's files lead to other files than those that are open.
    #[error("the store's file was replaced while it was in use: restart the server")]
    FileReplaced,
    #[error("the store is damaged: stop the server, run `muster check` and restore a backup")]
    Corrupt,
    #[error("the store is held by a restore or move: wait, or run it again if it was interrupted")]
    Restoring,
}

/// Why a read failed. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// The state it was decided from has changed: decide again.
    #[error("the change is stale")]
    Stale,
    #[error("{0:?} is already taken")]
    Taken(Field),
    #[error("{0:?} refers to something that does not exist")]
    MissingReference(Field),
    #[error("too many changes are waiting")]
    Busy,
    /// The store rejects writes at the moment: full disk, read-only file. The text is for the log.
    #[error("the store rejects writes: {0}")]
    Unavailable(String),
    /// The text is for the log.
    #[error("{0}")]
    Internal(String),
}

pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

pub trait IdGenerator: Send + Sync {
    /// Never returns the same id twice.
    fn next_id(&self) -> Uuid;
    /// Unpredictable bytes; `None` if the machine cannot provide any.
    fn random_secret(&self) -> Option<[u8; 32]>;
}

/// Slow hashing of passwords, in a bounded pool that tenants share fairly.
pub trait PasswordHasher: Send + Sync {
    fn hash(&self, tenant: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>>;
    /// Whether a password matches its stored hash. Without a stored hash it does not, and the check takes as long.
    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>>;
    /// Whether a hash from another system can be verified here at acceptable cost.
    fn can_verify(&self, stored: &PasswordHash) -> bool;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordVerification {
    Failed,
    Success,
    /// The password matches, but its hash is weaker than it should be and must be replaced.
    SuccessRehashNeeded,
}

/// Too many passwords are waiting to be hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;
