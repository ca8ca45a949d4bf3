//! A store with delays, errors and lost replies, determined by a seed.

use directory::{
    Account, BoxFuture, ChainReport, Change, CommitError, Event, EventPosition, Health, Item, ItemId, ItemKey,
    ItemKind, ItemQuery, Members, Page, PasswordHash, Receipt, Row, RowQuery, Store, StoreError, TenantNumber, Time,
    Tombstone, User, UserId, UserKey, UserQuery,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use testkit::generators::Rng;

/// Faults per 100 calls.
const LOST_REPLIES_PERCENT: u64 = 3;
const REJECTED: u64 = 3;

/// A store behind a slow and unreliable connection.
pub(super) struct UnreliableStore {
    inner: Arc<dyn Store>,
    rng: Arc<Mutex<Rng>>,
}

impl UnreliableStore {
    pub(super) fn new(inner: Arc<dyn Store>, rng: Arc<Mutex<Rng>>) -> Self {
        Self { inner, rng }
    }

    /// Yields to other tasks for a random number of steps or a random time.
    async fn yield_randomly(&self) {
        let (steps, millis) = {
            let mut rng = self.rng.lock();
            (rng.below(4), if rng.below(10) == 0 { rng.below(200) } else { 0 })
        };
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }

    fn fails(&self, in_hundred: u64) -> bool {
        self.rng.lock().below(100) < in_hundred
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&'a dyn Store) -> BoxFuture<'a, Result<T, StoreError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            self.yield_randomly().await;
            if self.fails(REJECTED) {
                return Err(StoreError::Unavailable("simulated".into()));
            }
            let found = block_on(ask(&*self.inner));
            self.yield_randomly().await;
            found
        })
    }
}

/// Runs a future on this thread; no simulated time passes and no other task runs meanwhile.
pub(super) fn block_on<T>(pending: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let (mut context, mut pending) = (Context::from_waker(&waker), pin!(pending));
    loop {
        match pending.as_mut().poll(&mut context) {
            Poll::Ready(done) => return done,
            Poll::Pending => std::thread::park(),
        }
    }
}

macro_rules! reads {
    ($($name:ident ($($arg:ident: $type:ty),*) -> $found:ty;)*) => {$(
        fn $name(&self, $($arg: $type),*) -> BoxFuture<'_, Result<$found, StoreError>> {
            self.read(move |inner| inner.$name($($arg),*))
        }
    )*};
}

impl Store for UnreliableStore {
    reads! {
        users(tenant: TenantNumber, keys: Vec<UserKey>) -> Vec<Option<User>>;
        find_users(tenant: TenantNumber, query: UserQuery) -> Page<User>;
        items(tenant: TenantNumber, keys: Vec<(ItemKind, ItemKey)>) -> Vec<Option<Item>>;
        find_items(tenant: TenantNumber, query: ItemQuery) -> Page<Item>;
        members_of(tenant: TenantNumber, items: Vec<ItemId>) -> Members;
        members_after(tenant: TenantNumber, item: ItemId, after: u32, limit: u32) -> Vec<(UserId, u32)>;
        rows(query: RowQuery) -> Vec<Row>;
        rows_with_keys(table: &'static directory::Table, keys: Vec<Row>) -> Vec<Row>;
        count_rows(query: RowQuery, by: &'static [usize]) -> Vec<(Row, u64)>;
        tenant_snapshot(tenant: TenantNumber) -> Box<dyn directory::TenantSnapshot>;
        events(filter: directory::EventFilter, after: EventPosition, limit: u32) -> Vec<Event>;
        accounts(tenant: TenantNumber, users: Vec<UserId>) -> HashMap<UserId, Account>;
        password_hashes(tenant: TenantNumber, numbers: std::ops::RangeInclusive<u32>) -> Vec<(u32, PasswordHash)>;
        tombstone(tenant: TenantNumber, by: UserKey) -> Option<Tombstone>;
        tombstones(tenant: TenantNumber, after: u32, limit: u32) -> Vec<Tombstone>;
        tombstones_between(between: (Time, Time), limit: u32) -> Vec<(TenantNumber, Tombstone)>;
        chain_hash_at(tenant: TenantNumber, at: EventPosition) -> Option<[u8; 32]>;
        verify_chain(tenant: Option<TenantNumber>) -> BTreeMap<TenantNumber, ChainReport>;
        last_event_position() -> EventPosition;
        health() -> Health;
    }

    fn wait_for_events(&self, after: EventPosition) -> BoxFuture<'_, ()> {
        self.inner.wait_for_events(after)
    }

    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        Box::pin(async move {
            self.yield_randomly().await;
            let unavailable = || CommitError::Unavailable("simulated".into());
            if self.fails(REJECTED) {
                return Err(unavailable());
            }
            // From here on the commit happens, even if the caller is dropped.
            let done = block_on(self.inner.commit(change));
            self.yield_randomly().await;
            if self.fails(LOST_REPLIES_PERCENT) { Err(unavailable()) } else { done }
        })
    }
}
