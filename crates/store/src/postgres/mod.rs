//! The server engine: any database that speaks PostgreSQL's protocol, shared by as many processes as one likes.
//!
//! Changes go in over lanes, many in a transaction (`lanes`); reads are sent together over a few connections (`read`);
//! positions are given after the commit by one process (`sealer`). What was queued goes on whatever becomes of its
//! caller, until the store is closed. How to run it, and what was shown where: `docs/scaling.md`.

mod accounts;
mod address;
mod admin;
mod apply;
mod check;
mod columns;
mod deleted;
mod dump;
mod events;
mod fill;
mod gather;
mod hold;
mod items;
mod lanes;
mod lease;
mod line;
mod lookups;
mod migrations;
mod needs;
mod numbers;
mod options;
mod param;
mod queue;
mod read;
mod rekey;
mod retry;
mod rows;
mod scan;
mod sealer;
mod trouble;
mod whole;

pub use address::{Address, AddressError};
pub use hold::PostgresHold;
#[cfg(test)]
pub(crate) use migrations::statements;
pub use options::{OpenError, ServerOptions};

use crate::page_builder::is_short_read;
use directory::{
    Account, BoxFuture, ChainReport, Change, CommitError, Connection, ConnectionId, Event, EventPosition,
    Health, Item, ItemId, ItemKey, ItemKind, ItemQuery, Mail, Page, PasswordHash, Receipt, ServerSecret,
    Store, StoreError, Tenant, TenantNumber, Time, Tombstone, UnwritableReason, User, UserId, UserKey,
    UserQuery,
};
use futures_util::FutureExt;
use lanes::Lanes;
use line::{Line, Target, first_session};
use lookups::Lookups;
use parking_lot::Mutex;
use read::{Readers, Which, pending};
use retry::PATIENCE;
use sealer::{Sealer, Seals};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The engine over one database.
pub struct Postgres {
    lanes: Arc<Lanes>,
    lookups: Arc<Lookups>,
    readers: Readers,
    pulse: Line,
    seals: Seals,
    ending: Mutex<Option<Ending>>,
}

/// What runs in the background, until it is closed.
struct Ending {
    /// Where opening and closing are waited for.
    runtime: Runtime,
    tasks: Vec<JoinHandle<()>>,
    sealer: JoinHandle<()>,
    stop: Arc<Notify>,
    target: Arc<Target>,
}

/// How long closing may take. What is still in doubt then is settled by nobody; its callers were never answered.
const CLOSING_TIME: Duration = Duration::from_secs(10);

impl Postgres {
    /// Opens the database, making its tables where they are missing. Waits a few seconds for one that is starting.
    pub fn open(address: &Address, options: &ServerOptions) -> Result<Self, OpenError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("muster-store")
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        let place = options.runtime.clone().unwrap_or_else(|| runtime.handle().clone());
        let target = Arc::new(Target::new(address.clone(), place.clone(), options.named_statements, false));
        let (opening, me) = (Arc::clone(&target), options.ids.next_id());
        let (to, may_make) = (address.clone(), options.may_make);
        let opened = on(&runtime, async move {
            let session = first_session(&opening).await.map_err(|trouble| OpenError::of(&to, &trouble))?;
            let may = if may_make { migrations::May::Make } else { migrations::May::Update };
            migrations::run(&session, &to, me, may).await?;
            match fill::under_way(&session).await {
                Ok(None) => {
                    let lease_until = lease::join(&session, &to, me).await?;
                    opening.keep(session);
                    Ok(lease_until)
                }
                Ok(Some(filling)) => Err(OpenError::Unfinished(to.to_string(), filling.origin)),
                Err(trouble) => Err(OpenError::of(&to, &trouble)),
            }
        });
        let lease_until = match opened {
            Ok(lease_until) => lease_until,
            Err(error) => {
                runtime.shutdown_background();
                return Err(error);
            }
        };
        let lanes = Arc::new(Lanes::new(Arc::clone(&options.ids)));
        let mut tasks = Vec::new();
        for _ in 0..options.lanes.max(1) {
            let (lanes, line) = (Arc::clone(&lanes), Line::new(Arc::clone(&target)));
            tasks.push(place.spawn(async move { lanes.run(&line).await }));
        }
        let lookups = Arc::new(Lookups::default());
        for _ in 0..options.readers.max(1) {
            let (lookups, line) = (Arc::clone(&lookups), Line::new(Arc::clone(&target)));
            let tasks = lanes.tasks.clone();
            place.spawn(async move {
                while AssertUnwindSafe(lookups.run(&line)).catch_unwind().await.is_err() {
                    line.forget().await;
                    tasks.back_off_after_panic("look-ups").await;
                }
            });
        }
        let stop = Arc::new(Notify::new());
        let (sealer, seals) =
            Sealer::new(Line::new(Arc::clone(&target)), Arc::clone(&lanes), (me, lease_until));
        let sealer = place.spawn(sealer.run(Arc::clone(&stop)));
        let (changes, questions) = (Arc::clone(&lanes), Arc::clone(&lookups));
        place.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                changes.queue.expire(PATIENCE);
                questions.expire();
            }
        });
        Ok(Self {
            lanes,
            lookups,
            readers: Readers::new(&target, options.readers.max(1), options.long_reads.max(1)),
            pulse: Line::new(Arc::clone(&target)),
            seals,
            ending: Mutex::new(Some(Ending { runtime, tasks, sealer, stop, target })),
        })
    }

    /// Waits until everything queued is in the database, a bounded time, and lets go. Later writes are refused.
    pub fn close(&self) {
        let Some(ending) = self.ending.lock().take() else { return };
        self.lanes.queue.close();
        let (lanes, end) = (Arc::clone(&self.lanes), Instant::now() + CLOSING_TIME);
        let Ending { runtime, tasks, sealer, stop, target } = ending;
        on(&runtime, async move {
            let left = || end.saturating_duration_since(Instant::now());
            for task in tasks {
                if tokio::time::timeout(left(), task).await.is_err() {
                    tracing::warn!(
                        "the database did not answer in time; what was under way may or may not be in it"
                    );
                }
            }
            let returned = async {
                let session = target.connect().await?;
                lanes.numbers.return_all(&session).await
            };
            drop(tokio::time::timeout(left().min(Duration::from_secs(2)), returned).await);
            target.close_spare();
            stop.notify_one();
            drop(tokio::time::timeout(left().min(Duration::from_secs(2)), sealer).await);
        });
        runtime.shutdown_background();
    }
}

/// Waits for something on our own runtime, also from within another one.
fn on<T: Send + 'static>(runtime: &Runtime, task: impl Future<Output = T> + Send + 'static) -> T {
    std::thread::scope(|scope| {
        let handle = runtime.handle().clone();
        let waiting = scope.spawn(move || handle.block_on(task));
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Time after which a break of the history is read again before it is reported.
const TIME_FOR_LINKS: Duration = Duration::from_millis(50);

impl Store for Postgres {
    fn user(&self, tenant: TenantNumber, by: UserKey) -> BoxFuture<'_, Result<Option<User>, StoreError>> {
        pending(self.lookups.user(tenant, by))
    }

    fn users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>> {
        if is_short_read(&query) {
            pending(self.readers.short(move |session| scan::users(session, tenant, query.clone())))
        } else {
            pending(self.readers.long(move |session| scan::users(session, tenant, query.clone())))
        }
    }

    fn item(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        by: ItemKey,
    ) -> BoxFuture<'_, Result<Option<Item>, StoreError>> {
        pending(async move {
            match self.lookups.item(tenant, kind, &by).await {
                Some(found) => found,
                None => {
                    self.readers.short(move |session| read::item(session, tenant, kind, by.clone())).await
                }
            }
        })
    }

    fn items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        if crate::query_plan::is_short_item_read(&query) {
            pending(self.readers.short(move |session| items::items(session, tenant, query.clone())))
        } else {
            pending(self.readers.long(move |session| items::items(session, tenant, query.clone())))
        }
    }

    fn members(
        &self,
        tenant: TenantNumber,
        item: ItemId,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        pending(self.readers.long(move |session| read::members(session, tenant, item, None)))
    }

    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        pending(self.readers.short(move |session| read::members(session, tenant, item, Some((after, limit)))))
    }

    fn server_secret(&self, name: &'static str) -> BoxFuture<'_, Result<Option<ServerSecret>, StoreError>> {
        pending(self.readers.short(move |session| read::secret(session, name)))
    }

    fn tenant(&self, number: TenantNumber) -> BoxFuture<'_, Result<Option<Tenant>, StoreError>> {
        pending(async move {
            let found = self.readers.short(move |session| read::tenants(session, Some(number))).await?;
            Ok(found.into_iter().next())
        })
    }

    fn tenants(&self) -> BoxFuture<'_, Result<Vec<Tenant>, StoreError>> {
        pending(self.readers.short(|session| read::tenants(session, None)))
    }

    fn connections_by_key_prefix(
        &self,
        prefix: [u8; 4],
    ) -> BoxFuture<'_, Result<Vec<Connection>, StoreError>> {
        pending(self.readers.short(move |session| read::connections(session, Which::Near(prefix))))
    }

    fn connections(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<Vec<Connection>, StoreError>> {
        pending(self.readers.short(move |session| read::connections(session, Which::Of(tenant))))
    }

    fn connection(&self, id: ConnectionId) -> BoxFuture<'_, Result<Option<Connection>, StoreError>> {
        pending(async move {
            let found = self.readers.short(move |session| read::connections(session, Which::One(id))).await?;
            Ok(found.into_iter().next())
        })
    }

    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        // Queued at once: what follows is only the waiting.
        let queued = self.lanes.queue.push(change);
        Box::pin(async move {
            let closed = |_| CommitError::Unavailable("the store is closed".into());
            queued?.await.map_err(closed)?
        })
    }

    fn events(&self, after: EventPosition, limit: u32) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        pending(async move {
            // Whoever reads their own writes over this process finds them in the history, too.
            self.seals.now().await;
            self.readers.long(move |session| events::after(session, after, limit)).await
        })
    }

    fn account(
        &self,
        tenant: TenantNumber,
        user: UserId,
    ) -> BoxFuture<'_, Result<Option<Account>, StoreError>> {
        pending(self.readers.short(move |session| accounts::account(session, tenant, user)))
    }

    fn tombstone(
        &self,
        tenant: TenantNumber,
        by: UserKey,
    ) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>> {
        pending(self.readers.short(move |session| accounts::tombstone(session, tenant, by.clone())))
    }

    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: (u32, u32),
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>> {
        pending(self.readers.long(move |session| accounts::passwords(session, tenant, numbers)))
    }

    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>> {
        pending(async move {
            let found =
                self.readers.short(move |session| accounts::tombstones(session, tenant, after, limit));
            Ok(found.await?.into_iter().map(|(_, stone)| stone).collect())
        })
    }

    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>> {
        pending(self.readers.short(move |session| accounts::tombstones_before(session, between, limit)))
    }

    fn mails_due(&self, now: Time, limit: u32) -> BoxFuture<'_, Result<Vec<Mail>, StoreError>> {
        pending(self.readers.short(move |session| accounts::mails_due(session, now, limit)))
    }

    fn mails(
        &self,
        tenant: TenantNumber,
        user: Option<UserId>,
        after: (Time, Uuid),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Mail>, StoreError>> {
        pending(self.readers.short(move |session| accounts::mails(session, tenant, user, after, limit)))
    }

    fn user_history(
        &self,
        tenant: TenantNumber,
        user: UserId,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        pending(async move {
            self.seals.now().await;
            self.readers.long(move |session| events::history(session, (tenant, user), after, limit)).await
        })
    }

    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>> {
        pending(self.readers.short(move |session| events::link_at(session, tenant, at)))
    }

    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>> {
        pending(async move {
            self.seals.now().await;
            let look = || self.readers.long(move |session| events::verify(session, tenant));
            let mut chains = look().await?;
            // An engine without one view across its nodes can show an event before its link.
            if chains.values().any(|chain| chain.broken_at.is_some()) {
                tokio::time::sleep(TIME_FOR_LINKS).await;
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
            let is_closed = self.pulse.check().await?;
            Ok(Health {
                engine: "postgres",
                commits: self.lanes.commits.load(Ordering::Relaxed),
                changes: self.lanes.changes.load(Ordering::Relaxed),
                queued_changes: self.lanes.queue.waiting(),
                reads_may_use_standby: self.pulse.is_balanced(),
                unwritable_reason: is_closed.then_some(UnwritableReason::Restoring),
                wal_bytes: None,
                tasks: self.lanes.tasks.health(),
            })
        })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}
