//! The directory as its callers see it: questions, and commands that are looked up, decided and committed.

mod absences;
mod accounts;
mod connection_check;
mod keeping;
mod lookup;
mod preview;
mod throttle;

use crate::decide::{Stamp, decide};
use crate::{
    Change, ClientProfile, Clock, Command, CommitError, Connection, ConnectionId, Edit, Event, Field, Hasher,
    Health, Ids, Item, ItemId, ItemKey, ItemKind, ItemQuery, Key, Page, Position, Receipt, Refusal, Rule,
    ServerSecret, Store, StoreError, StoredPassword, Tenant, TenantNumber, Time, User, UserId, UserKey,
    UserQuery,
};
use absences::Absences;
pub use accounts::{Guess, network};
use connection_check::RecentConnections;
pub use preview::Preview;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use throttle::Throttle;

/// How often a command is decided when others keep changing the same thing. Of those that clash one gets through each
/// time, so this is how many may clash at once.
const TRIES: usize = 100;

/// How long readiness reports a store that rejected a change, in seconds; after that, requests try it again.
const UNWRITABLE_SECONDS: i64 = 5;

/// Seconds after which a caller is told to come again.
const RETRY_AFTER: u32 = 1;

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that is asked about; no other can be seen.
    pub tenant: TenantNumber,
    /// The connection it came over; `None` for the person at the terminal.
    pub connection: Option<ConnectionId>,
    /// The connection's name, or `terminal`.
    pub who: String,
    /// The highest built-in role the caller may give.
    pub highest_role: u32,
    /// Whose client it came from.
    pub profile: ClientProfile,
    /// The person whose own client it came from.
    pub user: Option<UserId>,
    /// The API it came over; `None` for the command line. The connection must keep this API while its work goes on.
    pub dialect: Option<String>,
    /// The request, for the record.
    pub request: String,
}

impl Caller {
    /// The person at the terminal, who may do everything in a tenant.
    pub fn terminal(tenant: TenantNumber) -> Self {
        Self {
            tenant,
            connection: None,
            who: "terminal".into(),
            highest_role: 6,
            profile: ClientProfile::Rfc,
            user: None,
            dialect: None,
            request: String::new(),
        }
    }
}

/// One user directory over one store.
pub struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    hasher: Arc<dyn Hasher>,
    absences: Absences,
    throttle: Throttle,
    standing: RecentConnections,
    /// When the store last rejected a change as unavailable, in microseconds since 1970; 0 after a successful one.
    unwritable_since: AtomicI64,
}

impl Directory {
    /// A directory made of its ports.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn Ids>,
        hasher: Arc<dyn Hasher>,
    ) -> Self {
        Self {
            store,
            clock,
            ids,
            hasher,
            absences: Absences::default(),
            throttle: Throttle::default(),
            standing: RecentConnections::default(),
            unwritable_since: AtomicI64::new(0),
        }
    }

    /// Does what is asked, wholly or not at all. What it acknowledges is on disk.
    pub async fn run(&self, caller: &Caller, command: Command) -> Result<Receipt, Refusal> {
        let mut hashed: Option<StoredPassword> = None;
        self.check_hash(&command)?;
        // Read-only connections may sign users in.
        let changes_directory = !matches!(command, Command::Account { .. });
        for attempt in 0..TRIES {
            let highest_role = self.check_connection(caller, changes_directory).await?;
            let known = self.look_up(caller, &command, attempt > 0).await?;
            let now = self.clock.now();
            let (ids, tenant) = (self.ids.as_ref(), caller.tenant);
            let stamp = Stamp { now, ids, highest_role, tenant };
            let mut decision = decide(&command, &known, &stamp)?;
            if let Some(password) = decision.password.take() {
                if hashed.is_none() {
                    let busy = |_| Refusal::Busy { retry_after: RETRY_AFTER };
                    hashed = Some(self.hasher.hash(tenant, password).await.map_err(busy)?);
                }
                put_password(&mut decision.edits, hashed.as_ref());
            }
            let mut receipt = Receipt::default();
            if !decision.edits.is_empty() {
                let adds_items = decision.edits.iter().any(Edit::brings_item);
                let change = Change {
                    tenant: caller.tenant,
                    at: now,
                    connection: caller.connection,
                    who: caller.who.clone(),
                    request: caller.request.clone(),
                    absent: known.absent.clone(),
                    not_deleted: known.not_deleted.clone(),
                    edits: decision.edits,
                };
                match self.store.commit(change).await {
                    Ok(done) => {
                        self.unwritable_since.store(0, Ordering::Relaxed);
                        receipt = done;
                        if adds_items {
                            self.absences.forget_all_of(caller.tenant);
                        }
                    }
                    Err(error) if must_decide_again(&command, &error) => {
                        self.absences.forget(caller.tenant, &known.absent);
                        continue;
                    }
                    Err(error) => {
                        if matches!(error, CommitError::Unavailable(_)) {
                            self.unwritable_since.store(self.clock.now().0, Ordering::Relaxed);
                        }
                        return Err(refused(error));
                    }
                }
            }
            receipt.users.extend(decision.unchanged_users);
            receipt.items.extend(decision.unchanged_items);
            return Ok(receipt);
        }
        Err(Refusal::Conflict)
    }

    /// Notes that a connection was used, and which of its keys. The change is queued; its result is not awaited.
    pub fn touch(&self, connection: &Connection, key: Option<&Key>) {
        let now = self.clock.now();
        let change = Change {
            tenant: connection.tenant,
            at: now,
            connection: Some(connection.id),
            who: connection.name.clone(),
            request: String::new(),
            absent: Vec::new(),
            not_deleted: None,
            edits: vec![Edit::Touch(connection.id, connection.key_uses(key, now))],
        };
        drop(self.store.commit(change));
    }

    /// One person.
    pub async fn user(&self, caller: &Caller, by: UserKey) -> Result<User, Refusal> {
        self.check_connection(caller, false).await?;
        self.store.user(caller.tenant, by).await.map_err(unread)?.ok_or(Refusal::NoSuchUser)
    }

    /// Many people.
    pub async fn users(&self, caller: &Caller, query: UserQuery) -> Result<Page<User>, Refusal> {
        self.check_connection(caller, false).await?;
        self.store.users(caller.tenant, query).await.map_err(unread)
    }

    /// The passwords of the people from one number to another, both included, as they are stored; by number, in order.
    /// They are as secret as any.
    pub async fn passwords(
        &self,
        caller: &Caller,
        numbers: (u32, u32),
    ) -> Result<Vec<(u32, StoredPassword)>, Refusal> {
        self.check_connection(caller, false).await?;
        self.store.passwords(caller.tenant, numbers).await.map_err(unread)
    }

    /// One item.
    pub async fn item(&self, caller: &Caller, kind: ItemKind, by: ItemKey) -> Result<Item, Refusal> {
        self.check_connection(caller, false).await?;
        let found = self.store.item(caller.tenant, kind, by).await.map_err(unread)?;
        found.ok_or(Refusal::NoSuchItem(kind))
    }

    /// Many items.
    pub async fn items(&self, caller: &Caller, query: ItemQuery) -> Result<Page<Item>, Refusal> {
        self.check_connection(caller, false).await?;
        self.store.items(caller.tenant, query).await.map_err(unread)
    }

    /// Who belongs to a group or may see a folder: identities and numbers, in order of number.
    pub async fn members(&self, caller: &Caller, item: ItemId) -> Result<Vec<(UserId, u32)>, Refusal> {
        self.store.members(caller.tenant, item).await.map_err(unread)
    }

    /// Some of those who belong to an item, in order of number: those with a higher number than `after`.
    pub async fn members_after(
        &self,
        caller: &Caller,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> Result<Vec<(UserId, u32)>, Refusal> {
        self.check_connection(caller, false).await?;
        self.store.members_after(caller.tenant, item, after, limit).await.map_err(unread)
    }

    /// A secret of the installation, made when it is asked for the first time. All processes on one store share it.
    pub async fn secret(&self, name: &'static str) -> Result<ServerSecret, Refusal> {
        if let Some(secret) = self.store.secret(name).await.map_err(unread)? {
            return Ok(secret);
        }
        let new = self.ids.secret().ok_or_else(|| Refusal::Broken("no randomness".into()))?;
        let change = Change {
            tenant: TenantNumber(0),
            at: self.clock.now(),
            connection: None,
            who: "server".into(),
            request: String::new(),
            absent: Vec::new(),
            not_deleted: None,
            edits: vec![Edit::AddSecret(name, new)],
        };
        // Somebody else may have been first; whatever is stored is the secret.
        match self.store.commit(change).await {
            Ok(_) | Err(CommitError::Taken(_)) => {}
            Err(error) => return Err(refused(error)),
        }
        self.store.secret(name).await.map_err(unread)?.ok_or_else(|| Refusal::Broken("no secret".into()))
    }

    /// One connection.
    pub async fn connection(&self, id: ConnectionId) -> Result<Option<Connection>, Refusal> {
        self.store.connection(id).await.map_err(unread)
    }

    /// All tenants but those that are removed.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, Refusal> {
        let mut all = self.store.tenants().await.map_err(unread)?;
        all.retain(|tenant| tenant.removed.is_none());
        Ok(all)
    }

    /// The tenant of that number.
    pub async fn tenant(&self, number: TenantNumber) -> Result<Tenant, Refusal> {
        let found = self.store.tenant(number).await.map_err(unread)?;
        found.filter(|tenant| tenant.removed.is_none()).ok_or(Refusal::NoSuchTenant)
    }

    /// The same, also if it is removed.
    pub async fn tenant_or_removed(&self, number: TenantNumber) -> Result<Tenant, Refusal> {
        self.store.tenant(number).await.map_err(unread)?.ok_or(Refusal::NoSuchTenant)
    }

    /// Connections, of one tenant or of all.
    pub async fn connections(&self, tenant: Option<TenantNumber>) -> Result<Vec<Connection>, Refusal> {
        self.store.connections(tenant).await.map_err(unread)
    }

    /// Connections that a key whose hash begins so may belong to.
    pub async fn connections_near(&self, prefix: [u8; 4]) -> Result<Vec<Connection>, Refusal> {
        self.store.connections_near(prefix).await.map_err(unread)
    }

    /// What happened after a position.
    pub async fn events(&self, after: Position, limit: u32) -> Result<Vec<Event>, Refusal> {
        self.store.events(after, limit).await.map_err(unread)
    }

    /// How the store is doing.
    pub async fn health(&self) -> Result<Health, Refusal> {
        let health = self.store.health().await.map_err(unread)?;
        let since = self.unwritable_since.load(Ordering::Relaxed);
        if health.obstacle.is_none()
            && since != 0
            && self.clock.now() < Time(since).plus_seconds(UNWRITABLE_SECONDS)
        {
            return Err(Refusal::Unavailable("the store rejects changes".into()));
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
fn must_decide_again(command: &Command, error: &CommitError) -> bool {
    let command = command.bare().0;
    let makes_places = matches!(command, Command::CreateUser(_) | Command::UpdateUser { .. });
    let brings_id = matches!(command, Command::CreateUser(edit) if edit.id.is_some());
    match error {
        // Somebody else has the mail in hand.
        CommitError::Stale => !matches!(command, Command::MoveMail { .. }),
        CommitError::Taken(Field::Id) if brings_id => false,
        CommitError::Taken(field) => {
            makes_places && !matches!(field, Field::Email | Field::UserName | Field::ExternalId)
        }
        _ => false,
    }
}

fn put_password(edits: &mut [Edit], hashed: Option<&StoredPassword>) {
    for edit in edits {
        if let Edit::AddUser { account, .. }
        | Edit::ChangeUser { account, .. }
        | Edit::RestoreUser { account, .. } = edit
        {
            account.password = hashed.cloned();
        }
    }
}

fn unread(error: StoreError) -> Refusal {
    match error {
        StoreError::Unavailable(text) => Refusal::Unavailable(text),
        StoreError::Broken(text) => Refusal::Broken(text),
    }
}

fn refused(error: CommitError) -> Refusal {
    match error {
        CommitError::Stale => Refusal::Conflict,
        CommitError::Taken(field) => Refusal::field(field, Rule::Taken),
        CommitError::Gone(field) => Refusal::field(field, Rule::Unknown),
        CommitError::Busy => Refusal::Busy { retry_after: RETRY_AFTER },
        CommitError::Unavailable(text) => Refusal::Unavailable(text),
        CommitError::Broken(text) => Refusal::Broken(text),
    }
}
