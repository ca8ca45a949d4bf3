//! The directory as its callers see it: queries, and commands that are loaded, decided and committed.

mod authority;
mod event_labels;
mod follow;
mod history;
mod idempotency;
mod lookup;
mod negative_cache;
mod preview;
mod removed_members;
mod retention;
mod run;
mod security_log;
mod sign_in;
mod targets;
mod throttle;

use crate::authorization::Query;
use crate::{
    Actor, ApiKey, Change, ClientProfile, Clock, CommitError, Connection, ConnectionId, ConnectionKey, DirectoryError,
    Field, FieldErrorKind, Health, IdGenerator, Item, ItemId, ItemKey, ItemKind, ItemQuery, Members, Mutation, Page,
    PasswordHash, PasswordHasher, Purpose, Record, Row, RowQuery, ServerSecret, Store, StoreError, Tenant,
    TenantNumber, Time, User, UserId, UserKey, UserQuery, record, records,
};
use authority::ConnectionCache;
pub use idempotency::{IdempotencyLookup, IdempotencyScope};
use negative_cache::NegativeCache;
pub use preview::Preview;
use security_log::SecurityLog;
pub use sign_in::{Credentials, rate_limit_network};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
pub use targets::{TargetRecord, gateway_lease_name};
use throttle::Throttle;

const ITEMS_PER_READ: usize = 512;
/// A folder can be as large as a request body.
const FOLDERS_PER_READ: usize = 16;

/// How long readiness reports a store that rejected a change, in seconds; after that, requests try it again.
const UNWRITABLE_REPORT_SECONDS: i64 = 5;

/// Seconds after which a caller should try again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// Who sends a request, and for which tenant.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The only tenant that it can see; 0 for the whole installation.
    pub tenant: TenantNumber,
    pub actor: Actor,
    /// The client profile of the connection.
    pub profile: ClientProfile,
    /// For the event log.
    pub request_id: String,
    /// The number of the command, if the request has an `Idempotency-Key`. It allows one command.
    pub idempotency: Option<IdempotencyScope>,
}

impl Caller {
    pub fn new(tenant: TenantNumber, actor: Actor) -> Self {
        Self { tenant, actor, profile: ClientProfile::Rfc, request_id: String::new(), idempotency: None }
    }

    /// For another command of the request, which has this number if the request has an `Idempotency-Key`.
    #[must_use]
    pub fn at_step(&self, step: u32) -> Self {
        Self { idempotency: self.idempotency.as_ref().map(|scope| scope.at_step(step)), ..self.clone() }
    }

    /// The command line, which may do everything in a tenant.
    pub fn operator(tenant: TenantNumber) -> Self {
        Self::new(tenant, Actor::Operator { name: None })
    }

    /// The command line, for what belongs to no tenant or to all.
    pub fn installation() -> Self {
        Self::operator(Self::NO_TENANT)
    }

    /// A task of the server in a tenant.
    pub fn system(purpose: Purpose, tenant: TenantNumber) -> Self {
        Self::new(tenant, Actor::System(purpose))
    }

    /// A task of the server in the whole installation.
    pub fn task(purpose: Purpose) -> Self {
        Self::system(purpose, Self::NO_TENANT)
    }

    /// Stands for the whole installation.
    pub const NO_TENANT: TenantNumber = TenantNumber(0);
}

pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    hasher: Arc<dyn PasswordHasher>,
    negative_cache: NegativeCache,
    throttle: Throttle,
    connection_cache: ConnectionCache,
    security_log: SecurityLog,
    /// When the store last rejected a change as unavailable, in microseconds since 1970; 0 after a successful one.
    unwritable_since: AtomicI64,
}

impl Directory {
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdGenerator>,
        hasher: Arc<dyn PasswordHasher>,
    ) -> Self {
        Self {
            store,
            clock,
            ids,
            hasher,
            negative_cache: NegativeCache::default(),
            throttle: Throttle::default(),
            connection_cache: ConnectionCache::default(),
            security_log: SecurityLog::default(),
            unwritable_since: AtomicI64::new(0),
        }
    }

    /// Records the use of a connection and of one of its keys. The change is queued; its result is not awaited.
    pub fn record_connection_use(&self, connection: &Connection, key: Option<&ApiKey>) {
        let now = self.clock.now();
        let uses = vec![Mutation::RecordConnectionUse(connection.id, connection.key_uses(key, now))];
        let change = Change::new(connection.tenant, now, connection.name.as_str(), uses);
        drop(self.store.commit(change));
    }

    pub async fn user(&self, caller: &Caller, key: UserKey) -> Result<User, DirectoryError> {
        self.authorize(caller, Query::Users).await?;
        self.store.user(caller.tenant, key).await.map_err(read_error)?.ok_or(DirectoryError::NoSuchUser)
    }

    /// The users with these keys, in the order of the keys.
    pub async fn users(&self, caller: &Caller, keys: Vec<UserKey>) -> Result<Vec<Option<User>>, DirectoryError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.authorize(caller, Query::Users).await?;
        self.store.users(caller.tenant, keys).await.map_err(read_error)
    }

    pub async fn find_users(&self, caller: &Caller, query: UserQuery) -> Result<Page<User>, DirectoryError> {
        self.authorize(caller, Query::Users).await?;
        self.store.find_users(caller.tenant, query).await.map_err(read_error)
    }

    /// Password hashes by user number, in order, of the users within an inclusive range who have one. They are as
    /// secret as passwords.
    pub async fn password_hashes(
        &self,
        caller: &Caller,
        numbers: RangeInclusive<u32>,
    ) -> Result<Vec<(u32, PasswordHash)>, DirectoryError> {
        self.authorize(caller, Query::PasswordHashes).await?;
        self.store.password_hashes(caller.tenant, numbers).await.map_err(read_error)
    }

    pub async fn item(&self, caller: &Caller, kind: ItemKind, key: ItemKey) -> Result<Item, DirectoryError> {
        self.authorize(caller, Query::Items).await?;
        let found = self.store.item(caller.tenant, kind, key).await.map_err(read_error)?;
        found.ok_or(DirectoryError::NoSuchItem(kind))
    }

    /// What `map` makes of the items with these keys, in the order of the keys. Items are read in parts, since they can
    /// be large: `map` keeps only what is needed.
    pub async fn map_items<T>(
        &self,
        caller: &Caller,
        keys: &[(ItemKind, ItemKey)],
        map: impl Fn(Item) -> T,
    ) -> Result<Vec<Option<T>>, DirectoryError> {
        if !keys.is_empty() {
            self.authorize(caller, Query::Items).await?;
        }
        self.map_stored_items(caller.tenant, keys, map).await
    }

    /// See [`Directory::map_items`].
    async fn map_stored_items<T>(
        &self,
        tenant: TenantNumber,
        keys: &[(ItemKind, ItemKey)],
        map: impl Fn(Item) -> T,
    ) -> Result<Vec<Option<T>>, DirectoryError> {
        let (mut mapped, mut rest) = (Vec::with_capacity(keys.len()), keys);
        while !rest.is_empty() {
            let mut folders = 0;
            let part = rest.iter().take(ITEMS_PER_READ).take_while(|(kind, _)| {
                folders += usize::from(*kind == ItemKind::Folder);
                folders <= FOLDERS_PER_READ
            });
            let (part, later) = rest.split_at(part.count());
            let found = self.store.items(tenant, part.to_vec()).await.map_err(read_error)?;
            mapped.extend(found.into_iter().map(|item| item.map(&map)));
            rest = later;
        }
        Ok(mapped)
    }

    pub async fn find_items(&self, caller: &Caller, query: ItemQuery) -> Result<Page<Item>, DirectoryError> {
        self.authorize(caller, Query::Items).await?;
        self.store.find_items(caller.tenant, query).await.map_err(read_error)
    }

    /// Ids and numbers of the members of a group or organization, or of the users who may see a folder, in order of
    /// number.
    pub async fn members(&self, caller: &Caller, item: ItemId) -> Result<Vec<(UserId, u32)>, DirectoryError> {
        Ok(self.members_of(caller, vec![item]).await?.remove(&item).unwrap_or_default())
    }

    /// Like [`Directory::members`], of several items; those without members are left out. The connection is not checked
    /// again: the response to a completed change must not fail.
    pub async fn members_of(&self, caller: &Caller, items: Vec<ItemId>) -> Result<Members, DirectoryError> {
        if items.is_empty() {
            return Ok(Members::new());
        }
        self.store.members_of(caller.tenant, items).await.map_err(read_error)
    }

    /// Like [`Directory::members`], but only numbers above `after`.
    pub async fn members_after(
        &self,
        caller: &Caller,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(UserId, u32)>, DirectoryError> {
        self.authorize(caller, Query::Items).await?;
        self.store.members_after(caller.tenant, item, after, limit).await.map_err(read_error)
    }

    /// A secret of the installation, which is created on first use and shared by all processes on one store.
    pub async fn server_secret(&self, caller: &Caller, name: &'static str) -> Result<ServerSecret, DirectoryError> {
        self.authorize(caller, Query::ServerSecret).await?;
        let key = || vec![name.to_owned().into()];
        if let Some(secret) = self.record(key()).await? {
            return Ok(secret);
        }
        let bytes = self.ids.random_secret().ok_or_else(|| DirectoryError::Internal("no random bytes".into()))?;
        let change = Change::new(
            Caller::NO_TENANT,
            self.clock.now(),
            "server",
            vec![Mutation::AddSecret(ServerSecret { name: name.to_owned(), bytes })],
        );
        // Another process may have been first: the stored secret is the valid one.
        match self.store.commit(change).await {
            Ok(_) | Err(CommitError::Taken(_)) => {}
            Err(error) => return Err(commit_error(error)),
        }
        self.record(key()).await?.ok_or_else(|| DirectoryError::Internal(format!("secret '{name}' is missing")))
    }

    /// A connection of any tenant.
    pub async fn connection(&self, caller: &Caller, id: ConnectionId) -> Result<Option<Connection>, DirectoryError> {
        self.authorize(caller, Query::ConnectionOfKey).await?;
        self.record(vec![id.0.into()]).await
    }

    /// Leaves out removed tenants.
    pub async fn tenants(&self, caller: &Caller) -> Result<Vec<Tenant>, DirectoryError> {
        self.authorize(caller, Query::Tenants).await?;
        let mut all: Vec<Tenant> = self.records(Tenant::table().all()).await?;
        all.retain(|tenant| tenant.removed.is_none());
        Ok(all)
    }

    /// The caller's tenant. Does not find a removed one.
    pub async fn tenant(&self, caller: &Caller) -> Result<Tenant, DirectoryError> {
        let tenant = self.tenant_or_removed(caller).await?;
        if tenant.removed.is_none() { Ok(tenant) } else { Err(DirectoryError::NoSuchTenant) }
    }

    /// Also finds a removed tenant.
    pub async fn tenant_or_removed(&self, caller: &Caller) -> Result<Tenant, DirectoryError> {
        self.authorize(caller, Query::Tenant).await?;
        self.record(vec![caller.tenant.0.into()]).await?.ok_or(DirectoryError::NoSuchTenant)
    }

    /// The connections of the caller's tenant.
    pub async fn connections(&self, caller: &Caller) -> Result<Vec<Connection>, DirectoryError> {
        self.authorize(caller, Query::Connections).await?;
        self.records(Connection::listed(Some(caller.tenant))).await
    }

    /// The connections of all tenants.
    pub async fn all_connections(&self, caller: &Caller) -> Result<Vec<Connection>, DirectoryError> {
        self.authorize(caller, Query::AllConnections).await?;
        self.records(Connection::listed(None)).await
    }

    /// The connections that a key with this hash prefix may belong to. The caller must compare the whole hash in
    /// constant time.
    pub async fn connections_by_key_prefix(
        &self,
        caller: &Caller,
        prefix: [u8; 4],
    ) -> Result<Vec<Connection>, DirectoryError> {
        self.authorize(caller, Query::ConnectionOfKey).await?;
        let mut found = Vec::new();
        for key in self.records::<ConnectionKey>(ConnectionKey::with_prefix(prefix)).await? {
            found.extend(self.record(vec![key.connection.0.into()]).await?);
        }
        Ok(found)
    }

    async fn record<T: Record>(&self, key: Row) -> Result<Option<T>, DirectoryError> {
        record(&*self.store, key).await.map_err(read_error)
    }

    async fn records<T: Record>(&self, query: RowQuery) -> Result<Vec<T>, DirectoryError> {
        records(&*self.store, query).await.map_err(read_error)
    }

    /// # Errors
    /// [`DirectoryError::Unavailable`], also for a few seconds after the store has rejected a change.
    pub async fn health(&self) -> Result<Health, DirectoryError> {
        let health = self.store.health().await.map_err(read_error)?;
        let since = self.unwritable_since.load(Ordering::Relaxed);
        if health.unwritable_reason.is_none()
            && since != 0
            && self.clock.now() < Time(since).plus_seconds(UNWRITABLE_REPORT_SECONDS)
        {
            return Err(DirectoryError::Unavailable("the store rejects changes".into()));
        }
        Ok(health)
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

fn read_error(error: StoreError) -> DirectoryError {
    match error {
        StoreError::Unavailable(text) => DirectoryError::Unavailable(text),
        StoreError::Internal(text) => DirectoryError::Internal(text),
    }
}

fn commit_error(error: CommitError) -> DirectoryError {
    match error {
        // Another request with the same key is being carried out.
        CommitError::Stale | CommitError::Taken(Field::IdempotencyKey) => DirectoryError::Conflict,
        CommitError::Taken(field) => DirectoryError::for_field(field, FieldErrorKind::Taken),
        CommitError::MissingReference(field) => DirectoryError::for_field(field, FieldErrorKind::NotFound),
        CommitError::Busy => DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS },
        CommitError::Unavailable(text) => DirectoryError::Unavailable(text),
        CommitError::Internal(text) => DirectoryError::Internal(text),
    }
}
