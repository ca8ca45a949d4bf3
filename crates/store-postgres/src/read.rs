//! Short reads, pipelined over a few shared connections, and long reads on connections of their own.

use super::managed_connection::{Connector, ManagedConnection, Session};
use super::param::{Param, int, tenant_code, unsigned};
use super::pg_error::PgError;
use super::retry::{BACKOFF, RETRY_TIMEOUT};
use backon::Retryable;
use directory::{BoxFuture, Item, ItemId, Members, StoreError, TenantNumber, Time, User, UserId};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use store::memberships;
use store::sql;
use tokio::sync::Semaphore;
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) const SHORT_READ_TIMEOUT: Duration = Duration::from_secs(4);
/// Longer than the response timeout of the server.
pub(super) const LONG_READ_TIMEOUT: Duration = Duration::from_secs(40);

pub(super) type ReadFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PgError>> + Send + 'a>>;

pub(super) struct ReadPool {
    shared: Vec<ManagedConnection>,
    next: AtomicUsize,
    long: Vec<ManagedConnection>,
    /// Indexes of the unused connections in `long`.
    free: Mutex<Vec<usize>>,
    permits: Semaphore,
}

impl ReadPool {
    pub(super) fn new(target: &Arc<Connector>, shared: usize, long: usize) -> Self {
        let lines = |count: usize| (0..count).map(|_| ManagedConnection::new(Arc::clone(target))).collect();
        Self {
            shared: lines(shared),
            next: AtomicUsize::new(0),
            long: lines(long),
            free: Mutex::new((0..long).collect()),
            permits: Semaphore::new(long),
        }
    }

    pub(super) async fn short<T>(
        &self,
        read: impl for<'a> Fn(&'a Session) -> ReadFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len();
        with_retry(&self.shared[place], SHORT_READ_TIMEOUT, read).await
    }

    /// Waits while all connections for long reads are in use.
    pub(super) async fn long<T>(
        &self,
        read: impl for<'a> Fn(&'a Session) -> ReadFuture<'a, T>,
    ) -> Result<T, StoreError> {
        let unavailable = |error: tokio::sync::AcquireError| StoreError::Unavailable(error.to_string());
        let _permit = self.permits.acquire().await.map_err(unavailable)?;
        let place = ReadSlot::take(self);
        with_retry(&self.long[place.index], LONG_READ_TIMEOUT, read).await
    }
}

/// A connection for a long read. Returned on drop, also when the caller is gone.
struct ReadSlot<'a> {
    readers: &'a ReadPool,
    index: usize,
}

impl<'a> ReadSlot<'a> {
    fn take(readers: &'a ReadPool) -> Self {
        let free = readers.free.lock().pop();
        Self { readers, index: free.unwrap_or(0) }
    }
}

impl Drop for ReadSlot<'_> {
    fn drop(&mut self) {
        self.readers.free.lock().push(self.index);
    }
}

/// Retries a read for [`RETRY_TIMEOUT`] while the database is unreachable or in conflict.
pub(super) async fn with_retry<T>(
    line: &ManagedConnection,
    time: Duration,
    read: impl for<'a> Fn(&'a Session) -> ReadFuture<'a, T>,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let attempt = || read_once(line, RETRY_TIMEOUT.saturating_sub(begun.elapsed()), time, &read);
    let may_pass = |trouble: &PgError| trouble.is_transient() && begun.elapsed() <= RETRY_TIMEOUT;
    Ok(attempt.retry(BACKOFF).when(may_pass).await?)
}

/// Discards the connection if it has become unusable.
async fn read_once<T>(
    line: &ManagedConnection,
    connect_time: Duration,
    time: Duration,
    read: &impl for<'a> Fn(&'a Session) -> ReadFuture<'a, T>,
) -> Result<T, PgError> {
    let lost = |text: &str| PgError::Unavailable(text.into());
    let session = tokio::time::timeout(connect_time, line.session()).await;
    let session = session.unwrap_or_else(|_| Err(lost("the database cannot be reached")))?;
    let found = tokio::time::timeout(time, read(&session)).await;
    let found = found.unwrap_or_else(|_| Err(lost("the database does not answer")));
    if let Err(trouble) = &found
        && (!matches!(trouble, PgError::Conflict(_) | PgError::Other(_)) || session.is_closed())
    {
        line.discard(&session, trouble).await;
    }
    found
}

pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, PgError> {
    serde_json::from_str(text).map_err(|error| PgError::Other(format!("cannot decode a document: {error}")))
}

/// Columns: the document, the memberships.
pub(super) fn user_from_row(row: &Row) -> Result<User, PgError> {
    let mut user: User = decode(row.try_get(0)?)?;
    let Some(memberships) = row.try_get::<_, Option<&str>>(1)? else { return Ok(user) };
    memberships::add_to_user(&mut user, memberships).map_err(|error| PgError::Other(error.to_string()))?;
    Ok(user)
}

/// Columns: the document, the version, the update time.
pub(super) fn item_from_row(row: &Row) -> Result<Item, PgError> {
    let mut item: Item = decode(row.try_get(0)?)?;
    item.set_version(unsigned(row.try_get(1)?), Time(row.try_get(2)?));
    Ok(item)
}

pub(super) fn members_of(session: &Session, tenant: TenantNumber, items: Vec<ItemId>) -> ReadFuture<'_, Members> {
    Box::pin(async move {
        let ids: Vec<Uuid> = items.iter().map(|item| item.0).collect();
        let mut members = Members::new();
        for row in session.query(sql::MEMBERS.postgres, &[&tenant_code(tenant), &ids]).await? {
            let member = (UserId(row.try_get(1)?), unsigned(row.try_get(2)?));
            members.entry(ItemId(row.try_get(0)?)).or_default().push(member);
        }
        Ok(members)
    })
}

/// Members with a number above `after`, in order of number.
pub(super) fn members_after(
    session: &Session,
    tenant: TenantNumber,
    item: ItemId,
    after: u32,
    limit: u32,
) -> ReadFuture<'_, Vec<(UserId, u32)>> {
    Box::pin(async move {
        let params: [&dyn Param; 4] = [&tenant_code(tenant), &item.0, &int(after), &i64::from(limit)];
        let rows = session.query(sql::MEMBERS_AFTER.postgres, &params).await?;
        rows.iter().map(|row| Ok((UserId(row.try_get(0)?), unsigned(row.try_get(1)?)))).collect()
    })
}

pub(super) fn pending<'a, T: Send + 'a>(
    read: impl Future<Output = Result<T, StoreError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(read)
}
