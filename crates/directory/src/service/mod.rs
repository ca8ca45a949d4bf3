//! The directory as its callers see it: questions, and commands that are looked up, decided and committed.

mod connection_check;
mod lookup;
mod negative_cache;
mod preview;
mod retention;
mod sign_in;
mod throttle;

use crate::decide::{DecisionContext, decide};
use crate::{
    ApiKey, Change, ClientProfile, Clock, Command, CommitError, Connection, ConnectionId, DirectoryError, Event,
    EventPosition, Field, FieldErrorKind, Health, IdGenerator, Item, ItemId, ItemKey, ItemKind, ItemQuery, Mutation,
    Page, PasswordHash, PasswordHasher, Receipt, ServerSecret, Store, StoreError, Tenant, TenantNumber, Time, User,
    UserId, UserKey, UserQuery,
};
use connection_check::ConnectionCache;
use negative_cache::NegativeCache;
pub use preview::Preview;
pub use sign_in::{Credentials, rate_limit_network};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use throttle::Throttle;

/// How often a command is decided when others keep changing the same thing. Of those that clash one gets through each
/// time, so this is how many may clash at once.
const MAX_ATTEMPTS: usize = 100;

/// How long readiness reports a store that rejected a change, in seconds; after that, requests try it again.
const UNWRITABLE_REPORT_SECONDS: i64 = 5;

/// Seconds after which a caller is told to come again.
const RETRY_AFTER_SECONDS: u32 = 1;

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that is asked about; no other can be seen.
    pub tenant: TenantNumber,
    /// The connection it came over; `None` for the person at the terminal.
    pub connection: Option<ConnectionId>,
    /// The connection's name, or `terminal`.
    pub actor: String,
    /// The highest built-in role the caller may give.
    pub highest_role: u32,
    /// Whose client it came from.
    pub profile: ClientProfile,
    /// The person whose own client it came from.
    pub user: Option<UserId>,
    /// The API it came over; `None` for the command line. The connection must keep this API while its work goes on.
    pub dialect: Option<String>,
    /// The request, for the record.
    pub request_id: String,
}

impl Caller {
    /// The person at the terminal, who may do everything in a tenant.
    pub fn operator(tenant: TenantNumber) -> Self {
        Self {
            tenant,
            connection: None,
            actor: "terminal".into(),
            highest_role: 6,
            profile: ClientProfile::Rfc,
            user: None,
            dialect: None,
            request_id: String::new(),
        }
    }
}

/// One user directory over one store.
pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdGenerator>,
    hasher: Arc<dyn PasswordHasher>,
    negative_cache: NegativeCache,
    throttle: Throttle,
    connection_cache: ConnectionCache,
    /// When the store last rejected a change as unavailable, in microseconds since 1970; 0 after a successful one.
    unwritable_since: AtomicI64,
}

impl Directory {
    /// A directory made of its ports.
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
            unwritable_since: AtomicI64::new(0),
        }
    }

    /// Does what is asked, wholly or not at all. What it acknowledges is on disk.
    pub async fn run(&self, caller: &Caller, command: Command) -> Result<Receipt, DirectoryError> {
        let mut hashed: Option<PasswordHash> = None;
        self.check_password_hash(&command)?;
        // Read-only connections may sign users in.
        let changes_directory = !matches!(command, Command::Account { .. });
        for attempt in 0..MAX_ATTEMPTS {
            let highest_role = self.check_connection(caller, changes_directory).await?;
            let input = self.load_input(caller, &command, attempt > 0).await?;
            let now = self.clock.now();
            let (ids, tenant) = (self.ids.as_ref(), caller.tenant);
            let context = DecisionContext { now, ids, highest_role, tenant };
            let mut decision = decide(&command, &input, &context)?;
            if let Some(password) = decision.password.take() {
                if hashed.is_none() {
                    let busy = |_| DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS };
                    hashed = Some(self.hasher.hash(tenant, password).await.map_err(busy)?);
                }
                set_password_hash(&mut decision.mutations, hashed.as_ref());
            }
            let mut receipt = Receipt::default();
            if !decision.mutations.is_empty() {
                let adds_items = decision.mutations.iter().any(Mutation::adds_or_changes_item);
                let change = Change {
                    tenant: caller.tenant,
                    at: now,
                    connection: caller.connection,
                    actor: caller.actor.clone(),
                    request_id: caller.request_id.clone(),
                    assumed_absent: input.assumed_absent.clone(),
                    assumed_not_deleted: input.assumed_not_deleted.clone(),
                    mutations: decision.mutations,
                };
                match self.store.commit(change).await {
                    Ok(done) => {
                        self.unwritable_since.store(0, Ordering::Relaxed);
                        receipt = done;
                        if adds_items {
                            self.negative_cache.clear_tenant(caller.tenant);
                        }
                    }
                    Err(error) if must_retry(&command, &error) => {
                        self.negative_cache.remove_all(caller.tenant, &input.assumed_absent);
                        continue;
                    }
                    Err(error) => {
                        if matches!(error, CommitError::Unavailable(_)) {
                            self.unwritable_since.store(self.clock.now().0, Ordering::Relaxed);
                        }
                        return Err(commit_error(error));
                    }
                }
            }
            receipt.users.extend(decision.unchanged_users);
            receipt.items.extend(decision.unchanged_items);
            return Ok(receipt);
        }
        Err(DirectoryError::Conflict)
    }

    /// Notes that a connection was used, and which of its keys. The change is queued; its result is not awaited.
    pub fn record_connection_use(&self, connection: &Connection, key: Option<&ApiKey>) {
        let now = self.clock.now();
        let change = Change {
            tenant: connection.tenant,
            at: now,
            connection: Some(connection.id),
            actor: connection.name.clone(),
            request_id: String::new(),
            assumed_absent: Vec::new(),
            assumed_not_deleted: None,
            mutations: vec![Mutation::RecordConnectionUse(connection.id, connection.key_uses(key, now))],
        };
        drop(self.store.commit(change));
    }

    /// One person.
    pub async fn user(&self, caller: &Caller, key: UserKey) -> Result<User, DirectoryError> {
        self.check_connection(caller, false).await?;
        self.store.user(caller.tenant, key).await.map_err(read_error)?.ok_or(DirectoryError::NoSuchUser)
    }

    /// Many people.
    pub async fn users(&self, caller: &Caller, query: UserQuery) -> Result<Page<User>, DirectoryError> {
        self.check_connection(caller, false).await?;
        self.store.users(caller.tenant, query).await.map_err(read_error)
    }

    /// The passwords of the people from one number to another, both included, as they are stored; by number, in order.
    /// They are as secret as any.
    pub async fn password_hashes(
        &self,
        caller: &Caller,
        numbers: (u32, u32),
    ) -> Result<Vec<(u32, PasswordHash)>, DirectoryError> {
        self.check_connection(caller, false).await?;
        self.store.password_hashes(caller.tenant, numbers).await.map_err(read_error)
    }

    /// One item.
    pub async fn item(&self, caller: &Caller, kind: ItemKind, key: ItemKey) -> Result<Item, DirectoryError> {
        self.check_connection(caller, false).await?;
        let found = self.store.item(caller.tenant, kind, key).await.map_err(read_error)?;
        found.ok_or(DirectoryError::NoSuchItem(kind))
    }

    /// Many items.
    pub async fn items(&self, caller: &Caller, query: ItemQuery) -> Result<Page<Item>, DirectoryError> {
        self.check_connection(caller, false).await?;
        self.store.items(caller.tenant, query).await.map_err(read_error)
    }

    /// Who belongs to a group or may see a folder: identities and numbers, in order of number.
    pub async fn members(&self, caller: &Caller, item: ItemId) -> Result<Vec<(UserId, u32)>, DirectoryError> {
        self.store.members(caller.tenant, item).await.map_err(read_error)
    }

    /// Some of those who belong to an item, in order of number: those with a higher number than `after`.
    pub async fn members_after(
        &self,
        caller: &Caller,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(UserId, u32)>, DirectoryError> {
        self.check_connection(caller, false).await?;
        self.store.members_after(caller.tenant, item, after, limit).await.map_err(read_error)
    }

    /// A secret of the installation, made when it is asked for the first time. All processes on one store share it.
    pub async fn server_secret(&self, name: &'static str) -> Result<ServerSecret, DirectoryError> {
        if let Some(secret) = self.store.server_secret(name).await.map_err(read_error)? {
            return Ok(secret);
        }
        let new = self.ids.random_secret().ok_or_else(|| DirectoryError::Internal("no randomness".into()))?;
        let change = Change {
            tenant: TenantNumber(0),
            at: self.clock.now(),
            connection: None,
            actor: "server".into(),
            request_id: String::new(),
            assumed_absent: Vec::new(),
            assumed_not_deleted: None,
            mutations: vec![Mutation::AddSecret(name, new)],
        };
        // Somebody else may have been first; whatever is stored is the secret.
        match self.store.commit(change).await {
            Ok(_) | Err(CommitError::Taken(_)) => {}
            Err(error) => return Err(commit_error(error)),
        }
        self.store
            .server_secret(name)
            .await
            .map_err(read_error)?
            .ok_or_else(|| DirectoryError::Internal("no secret".into()))
    }

    /// One connection.
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, DirectoryError> {
        self.store.connection(id).await.map_err(read_error)
    }

    /// All tenants but those that are removed.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, DirectoryError> {
        let mut all = self.store.tenants().await.map_err(read_error)?;
        all.retain(|tenant| tenant.removed.is_none());
        Ok(all)
    }

    /// The tenant of that number.
    pub async fn tenant(&self, number: TenantNumber) -> Result<Tenant, DirectoryError> {
        let found = self.store.tenant(number).await.map_err(read_error)?;
        found.filter(|tenant| tenant.removed.is_none()).ok_or(DirectoryError::NoSuchTenant)
    }

    /// The same, also if it is removed.
    pub async fn tenant_or_removed(&self, number: TenantNumber) -> Result<Tenant, DirectoryError> {
        self.store.tenant(number).await.map_err(read_error)?.ok_or(DirectoryError::NoSuchTenant)
    }

    /// Connections, of one tenant or of all.
    pub async fn connections(&self, tenant: Option<TenantNumber>) -> Result<Vec<Connection>, DirectoryError> {
        self.store.connections(tenant).await.map_err(read_error)
    }

    /// Connections that a key whose hash begins so may belong to.
    pub async fn connections_by_key_prefix(&self, prefix: [u8; 4]) -> Result<Vec<Connection>, DirectoryError> {
        self.store.connections_by_key_prefix(prefix).await.map_err(read_error)
    }

    /// What happened after a position.
    pub async fn events(&self, after: EventPosition, limit: u32) -> Result<Vec<Event>, DirectoryError> {
        self.store.events(after, limit).await.map_err(read_error)
    }

    /// How the store is doing.
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

    /// Now, as the directory knows it.
    pub fn now(&self) -> Time {
        self.clock.now()
    }
}

/// Whether what was decided is out of date: something changed meanwhile, or a department or organisation that was to
/// be made along with a person was made by somebody else first.
fn must_retry(command: &Command, error: &CommitError) -> bool {
    let command = command.split_version().0;
    let adds_affiliations = matches!(command, Command::CreateUser(_) | Command::UpdateUser { .. });
    let has_client_id = matches!(command, Command::CreateUser(edit) if edit.id.is_some());
    match error {
        // Somebody else has the mail in hand.
        CommitError::Stale => !matches!(command, Command::UpdateMail { .. }),
        CommitError::Taken(Field::Id) if has_client_id => false,
        CommitError::Taken(field) => {
            adds_affiliations && !matches!(field, Field::Email | Field::UserName | Field::ExternalId)
        }
        _ => false,
    }
}

fn set_password_hash(edits: &mut [Mutation], hashed: Option<&PasswordHash>) {
    for edit in edits {
        if let Mutation::AddUser { account, .. }
        | Mutation::ChangeUser { account, .. }
        | Mutation::RestoreUser { account, .. } = edit
        {
            account.password_hash = hashed.cloned();
        }
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
        CommitError::Stale => DirectoryError::Conflict,
        CommitError::Taken(field) => DirectoryError::for_field(field, FieldErrorKind::Taken),
        CommitError::MissingReference(field) => DirectoryError::for_field(field, FieldErrorKind::NotFound),
        CommitError::Busy => DirectoryError::Busy { retry_after: RETRY_AFTER_SECONDS },
        CommitError::Unavailable(text) => DirectoryError::Unavailable(text),
        CommitError::Internal(text) => DirectoryError::Internal(text),
    }
}
