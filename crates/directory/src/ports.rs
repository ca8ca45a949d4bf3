//! What the core needs from outside: storage, time, ids and password hashing.

use crate::{
    Account, Change, Connection, ConnectionId, Event, EventPosition, Field, Item, ItemId, ItemKey, ItemKind, ItemQuery,
    Mail, Page, PasswordHash, Receipt, ServerSecret, Tenant, TenantNumber, Time, Tombstone, User, UserId, UserKey,
    UserQuery,
};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use uuid::Uuid;

/// A result that is on its way.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where everything is kept. Reads see what was committed before they began; a write is a [`UserDiff`], and an
/// acknowledged one survives the loss of power.
pub trait Store: Send + Sync {
    /// One person.
    fn user(&self, tenant: TenantNumber, key: UserKey) -> BoxFuture<'_, Result<Option<User>, StoreError>>;
    /// Many people.
    fn users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>>;
    /// One item.
    fn item(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        key: ItemKey,
    ) -> BoxFuture<'_, Result<Option<Item>, StoreError>>;
    /// Many items, in order of number.
    fn items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>>;
    /// The members of a group or those who may see a folder: identity and number, in order of number.
    fn members(&self, tenant: TenantNumber, item: ItemId) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>>;
    /// One tenant.
    fn tenant(&self, number: TenantNumber) -> BoxFuture<'_, Result<Option<Tenant>, StoreError>>;
    /// All tenants, in order of number.
    fn tenants(&self) -> BoxFuture<'_, Result<Vec<Tenant>, StoreError>>;
    /// The connections whose keys' hashes begin with these four bytes. The caller compares the whole hash, in
    /// constant time.
    fn connections_by_key_prefix(&self, prefix: [u8; 4]) -> BoxFuture<'_, Result<Vec<Connection>, StoreError>>;
    /// All connections, of one tenant or of all, in the order they were added.
    fn connections(&self, tenant: Option<TenantNumber>) -> BoxFuture<'_, Result<Vec<Connection>, StoreError>>;
    /// One connection.
    fn connection(&self, id: ConnectionId) -> BoxFuture<'_, Result<Option<Connection>, StoreError>>;
    /// Carries out a change, all of it or nothing. It goes on when the caller stops waiting.
    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>>;
    /// What happened after a position, oldest first. Whoever follows the positions misses nothing: an event that is
    /// there has all its predecessors there. An event may get its position a moment after its change was committed.
    fn events(&self, after: EventPosition, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;
    /// Some of those who belong to an item, in order of number: those with a higher number than `after`.
    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>>;
    /// A secret of the installation.
    fn server_secret(&self, name: &'static str) -> BoxFuture<'_, Result<Option<ServerSecret>, StoreError>>;
    /// How a person signs in; `None` when there is no such person.
    fn account(&self, tenant: TenantNumber, user: UserId) -> BoxFuture<'_, Result<Option<Account>, StoreError>>;
    /// The passwords of the people from one number to another, both included, who have one; by number, in order.
    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: (u32, u32),
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>>;
    /// What is left of somebody who was deleted, by id, number or external id; other keys find nothing.
    fn tombstone(&self, tenant: TenantNumber, key: UserKey) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>>;
    /// The deleted of a tenant, in order of number: those with a higher number than `after`.
    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>>;
    /// Those of all tenants who were deleted between two times, both included, the earliest first.
    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>>;
    /// Mails that are to be tried by `now`, those first that have waited longest.
    fn mails_due(&self, now: Time, limit: u32) -> BoxFuture<'_, Result<Vec<Mail>, StoreError>>;
    /// Mails of a tenant, or of one of its people, that wait or have failed; the oldest first. Of a tenant, those behind the one
    /// that was queued at `after` with that id.
    fn mails(
        &self,
        tenant: TenantNumber,
        user: Option<UserId>,
        after: (Time, Uuid),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Mail>, StoreError>>;
    /// What happened to a person after a position, oldest first. Some of it may be about others: the caller looks again.
    fn user_history(
        &self,
        tenant: TenantNumber,
        user: UserId,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;
    /// The link of a tenant's chain at a position, if there is one.
    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>>;
    /// Goes through the chain of a tenant's events, or once through all; what it found, by tenant.
    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>>;
    /// Whether a look-up costs more than a guard that is checked when a change is carried out.
    fn reads_are_remote(&self) -> bool {
        false
    }
    /// Whether it works, and its own figures.
    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>>;
}

/// What a look at a tenant's chain of events has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainReport {
    /// Events that are links of it, up to the first that is broken.
    pub verified_events: u64,
    /// Events from before there was a chain; nothing can be said of them.
    pub unchained_events: u64,
    /// The position of its last link.
    pub last_position: EventPosition,
    /// The last link: whoever keeps it can tell later that nothing before it has changed.
    pub head_hash: Option<[u8; 32]>,
    /// Where it is broken first: the event there is not what was stored, or events are missing.
    pub broken_at: Option<EventPosition>,
}

/// How a store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Its name.
    pub engine: &'static str,
    /// Transactions committed since it was opened.
    pub commits: u64,
    /// Changes carried out in them.
    pub changes: u64,
    /// Changes waiting.
    pub queued_changes: u64,
    /// Whether a pooler in front of the database sends reads to a standby unless they are marked.
    pub reads_may_use_standby: bool,
    /// Why it takes no changes; `None` if it takes them.
    pub unwritable_reason: Option<UnwritableReason>,
    /// Size of the embedded engine's write-ahead log, in bytes.
    pub wal_bytes: Option<u64>,
    /// Background tasks that have panicked.
    pub tasks: Vec<TaskHealth>,
}

/// How a background task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskHealth {
    /// Its name.
    pub name: &'static str,
    /// How often it has panicked since the start.
    pub panics: u64,
    /// Whether it waits to be restarted.
    pub is_restarting: bool,
}

/// Why a store takes no changes. The texts name no path, host or user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnwritableReason {
    /// Another process holds the write lock for longer than a change waits.
    #[error("another process holds the store's write lock: end or continue it")]
    Locked,
    /// A write has not ended for longer than a change waits.
    #[error("writes do not end: another process holds the write lock, or the disk does not answer")]
    Stalled,
    /// There is no room.
    #[error("the disk is full: free some space")]
    DiskFull,
    /// Writing or synchronizing a file failed.
    #[error("the last write failed: check the disk and the log")]
    WriteFailed,
    /// The names of the store's files stand for other files than those that are open.
    #[error("the store's file was replaced while it was in use: restart the server")]
    FileReplaced,
    /// The file contradicts itself.
    #[error("the store is damaged: stop the server, run `muster check` and restore a backup")]
    Corrupt,
    /// A restore or move has not ended.
    #[error("the store is held by a restore or move: wait, or run it again if it was cut off")]
    Restoring,
}

/// Why a read did not work. The texts are for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store does not answer at the moment.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// Anything else.
    #[error("{0}")]
    Internal(String),
}

/// Why a change was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// What it was decided from has changed meanwhile: decide again.
    #[error("the change is stale")]
    Stale,
    /// Something that must be unique is taken.
    #[error("{0:?} is taken")]
    Taken(Field),
    /// A person or item it names is not there.
    #[error("{0:?} names something that is not there")]
    MissingReference(Field),
    /// Too many changes are waiting.
    #[error("too many changes are waiting")]
    Busy,
    /// The store takes no writes at the moment: full disk, read-only file. The text is for the log.
    #[error("the store takes no writes: {0}")]
    Unavailable(String),
    /// Anything else. The text is for the log.
    #[error("{0}")]
    Internal(String),
}

/// The time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Time;
}

/// New identities.
pub trait IdGenerator: Send + Sync {
    /// One that was never given before.
    fn next_id(&self) -> Uuid;
    /// Bytes that nobody can guess; `None` when the machine has none to give.
    fn random_secret(&self) -> Option<ServerSecret>;
}

/// Slow hashing of passwords, in a bounded pool that tenants share fairly.
pub trait PasswordHasher: Send + Sync {
    /// The stored form of a password.
    fn hash(&self, tenant: TenantNumber, password: SecretString) -> BoxFuture<'_, Result<PasswordHash, Overloaded>>;
    /// Whether a password is the one that was stored. Where nothing was stored it is not, and that takes as long.
    fn verify(
        &self,
        tenant: TenantNumber,
        password: SecretString,
        stored: Option<PasswordHash>,
    ) -> BoxFuture<'_, Result<PasswordVerification, Overloaded>>;
    /// Whether a stored form that was made elsewhere can be verified here, at a bearable cost.
    fn can_verify(&self, stored: &PasswordHash) -> bool;
}

/// What came of comparing a password with a stored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordVerification {
    /// It is another.
    Failed,
    /// It is the same, stored as it should be.
    Success,
    /// It is the same, but was stored in a way that is easier to guess from than it should be: it is to be hashed anew.
    SuccessRehashNeeded,
}

/// More passwords are waiting to be hashed than can be in reasonable time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;
