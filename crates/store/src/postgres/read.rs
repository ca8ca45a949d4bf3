//! Short reads, sent together over a few shared connections, and long ones over connections of their own.

use super::line::{Line, Session, Target};
use super::param::{Param, int, kind_code, tenant_code, unsigned};
use super::retry::{DELAYS, PATIENCE};
use super::trouble::Trouble;
use crate::memberships;
use crate::sql::{self, Sql};
use backon::Retryable;
use directory::{
    BoxFuture, Connection, ConnectionId, Item, ItemId, ItemKey, ItemKind, ServerSecret, StoreError, Tenant,
    TenantNumber, Time, User, UserId,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_postgres::Row;

/// How long one short read may take.
pub(super) const SHORT_TIME: Duration = Duration::from_secs(4);
/// How long one long read may take. Whoever asked has been told to come again by then.
const LONG_TIME: Duration = Duration::from_secs(40);

/// A read under way.
pub(super) type Reading<'a, T> = Pin<Box<dyn Future<Output = Result<T, Trouble>> + Send + 'a>>;

/// The connections that reads go over.
pub(super) struct Readers {
    shared: Vec<Line>,
    next: AtomicUsize,
    long: Vec<Line>,
    /// Which of the long ones are free.
    free: Mutex<Vec<usize>>,
    places: Semaphore,
}

impl Readers {
    pub(super) fn new(target: &Arc<Target>, shared: usize, long: usize) -> Self {
        let lines = |count: usize| (0..count).map(|_| Line::new(Arc::clone(target))).collect();
        Self {
            shared: lines(shared),
            next: AtomicUsize::new(0),
            long: lines(long),
            free: Mutex::new((0..long).collect()),
            places: Semaphore::new(long),
        }
    }

    /// A short read, tried again while the database is out of reach or in conflict, for a bounded time.
    pub(super) async fn short<T>(
        &self,
        read: impl for<'a> Fn(&'a Session) -> Reading<'a, T>,
    ) -> Result<T, StoreError> {
        let place = self.next.fetch_add(1, Ordering::Relaxed) % self.shared.len();
        again(&self.shared[place], SHORT_TIME, read).await
    }

    /// A long read. There are so many places for them; more wait.
    pub(super) async fn long<T>(
        &self,
        read: impl for<'a> Fn(&'a Session) -> Reading<'a, T>,
    ) -> Result<T, StoreError> {
        let gone = |error: tokio::sync::AcquireError| StoreError::Unavailable(error.to_string());
        let _permit = self.places.acquire().await.map_err(gone)?;
        let place = Place::take(self);
        again(&self.long[place.index], LONG_TIME, read).await
    }
}

/// A long line that goes back when this is dropped, also when the caller has gone.
struct Place<'a> {
    readers: &'a Readers,
    index: usize,
}

impl<'a> Place<'a> {
    fn take(readers: &'a Readers) -> Self {
        let free = readers.free.lock().pop();
        Self { readers, index: free.unwrap_or(0) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.readers.free.lock().push(self.index);
    }
}

/// A read on a line, tried again while the database is out of reach or in conflict.
pub(super) async fn again<T>(
    line: &Line,
    time: Duration,
    read: impl for<'a> Fn(&'a Session) -> Reading<'a, T>,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let attempt = || once(line, PATIENCE.saturating_sub(begun.elapsed()), time, &read);
    let may_pass = |trouble: &Trouble| trouble.passes() && begun.elapsed() <= PATIENCE;
    Ok(attempt.retry(DELAYS).when(may_pass).await?)
}

/// A read on a line, which is let go if it is of no use any more.
async fn once<T>(
    line: &Line,
    connect_time: Duration,
    time: Duration,
    read: &impl for<'a> Fn(&'a Session) -> Reading<'a, T>,
) -> Result<T, Trouble> {
    let lost = |text: &str| Trouble::Lost(text.into());
    let session = tokio::time::timeout(connect_time, line.session()).await;
    let session = session.unwrap_or_else(|_| Err(lost("the database cannot be reached")))?;
    let found = tokio::time::timeout(time, read(&session)).await;
    let found = found.unwrap_or_else(|_| Err(lost("the database does not answer")));
    if let Err(trouble) = &found
        && (!matches!(trouble, Trouble::Again(_) | Trouble::Broken(_)) || session.is_closed())
    {
        line.leave(&session, trouble).await;
    }
    found
}

/// A document.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Trouble> {
    serde_json::from_str(text).map_err(|error| Trouble::Broken(format!("a document cannot be read: {error}")))
}

/// A row with a person: the document, and what they belong to.
pub(super) fn stored_user(row: &Row) -> Result<User, Trouble> {
    let mut user: User = decode(row.try_get(0)?)?;
    let Some(memberships) = row.try_get::<_, Option<&str>>(1)? else { return Ok(user) };
    memberships::add_to_user(&mut user, memberships).map_err(|error| Trouble::Broken(error.to_string()))?;
    Ok(user)
}

/// One item by its name or number; for others see [`super::lookups`].
pub(super) fn item(
    session: &Session,
    tenant: TenantNumber,
    kind: ItemKind,
    by: ItemKey,
) -> Reading<'_, Option<Item>> {
    Box::pin(async move {
        let (code, sort) = (tenant_code(tenant), kind_code(kind));
        let row = match &by {
            ItemKey::Number(number) if i32::try_from(*number).is_err() => None,
            ItemKey::Number(number) => {
                session.row(sql::ITEM_BY_NUMBER.postgres, &[&code, &sort, &int(*number)]).await?
            }
            ItemKey::Name(name) => {
                let name = Item::name_key(kind, name).into_bytes();
                session.row(sql::ITEM_BY_NAME.postgres, &[&code, &sort, &name]).await?
            }
            ItemKey::Id(_) | ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => None,
        };
        row.map(|row| stored_item(&row)).transpose()
    })
}

/// A row with an item: the document, and what stands beside it.
pub(super) fn stored_item(row: &Row) -> Result<Item, Trouble> {
    let mut item: Item = decode(row.try_get(0)?)?;
    item.set_version(unsigned(row.try_get(1)?), Time(row.try_get(2)?));
    Ok(item)
}

/// Who belongs to an item, in order of number; from behind a number on, where one is given.
pub(super) fn members(
    session: &Session,
    tenant: TenantNumber,
    item: ItemId,
    after: Option<(u32, u32)>,
) -> Reading<'_, Vec<(UserId, u32)>> {
    Box::pin(async move {
        let code = tenant_code(tenant);
        let rows = match after {
            None => session.rows(sql::MEMBERS.postgres, &[&code, &item.0]).await?,
            Some((after, limit)) => {
                let params: [&dyn Param; 4] = [&code, &item.0, &int(after), &i64::from(limit)];
                session.rows(sql::MEMBERS_AFTER.postgres, &params).await?
            }
        };
        rows.iter().map(|row| Ok((UserId(row.try_get(0)?), unsigned(row.try_get(1)?)))).collect()
    })
}

pub(super) fn secret<'a>(session: &'a Session, name: &'static str) -> Reading<'a, Option<ServerSecret>> {
    Box::pin(async move {
        let Some(row) = session.row(sql::SECRET.postgres, &[&name]).await? else { return Ok(None) };
        let bytes: &[u8] = row.try_get(0)?;
        let bytes = bytes.try_into().map_err(|_| Trouble::Broken("a secret is not of its length".into()))?;
        Ok(Some(ServerSecret(bytes)))
    })
}

pub(super) fn tenants(session: &Session, number: Option<TenantNumber>) -> Reading<'_, Vec<Tenant>> {
    Box::pin(async move {
        let rows = match number {
            Some(number) => session.rows(sql::TENANT.postgres, &[&tenant_code(number)]).await?,
            None => session.rows(sql::TENANTS.postgres, &[]).await?,
        };
        rows.iter().map(|row| decode(row.try_get(0)?)).collect()
    })
}

/// A row with a connection: the document, and when it was last used.
pub(super) fn stored_connection(row: &Row) -> Result<Connection, Trouble> {
    let mut connection: Connection = decode(row.try_get(0)?)?;
    connection.last_use = row.try_get::<_, Option<i64>>(1)?.map(Time);
    if let Some(uses) = row.try_get::<_, Option<&str>>(2)? {
        connection.apply_key_uses(&decode(uses)?);
    }
    Ok(connection)
}

/// Which connections are meant.
#[derive(Clone, Copy)]
pub(super) enum Which {
    Near([u8; 4]),
    Of(Option<TenantNumber>),
    One(ConnectionId),
}

pub(super) fn connections(session: &Session, which: Which) -> Reading<'_, Vec<Connection>> {
    Box::pin(async move {
        let ask = |sql: Sql| sql.postgres;
        let rows = match which {
            Which::Near(prefix) => {
                session.rows(ask(sql::CONNECTIONS_BY_KEY_PREFIX), &[&prefix.to_vec()]).await?
            }
            Which::Of(tenant) => session.rows(ask(sql::CONNECTIONS), &[&tenant.map(tenant_code)]).await?,
            Which::One(id) => session.rows(ask(sql::CONNECTION), &[&id.0]).await?,
        };
        rows.iter().map(stored_connection).collect()
    })
}

/// A read that a request waits for.
pub(super) fn pending<'a, T: Send + 'a>(
    read: impl Future<Output = Result<T, StoreError>> + Send + 'a,
) -> BoxFuture<'a, Result<T, StoreError>> {
    Box::pin(read)
}
