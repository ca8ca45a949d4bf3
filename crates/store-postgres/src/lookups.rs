//! Lookups of users and items by their keys. Waiting lookups share one statement per kind of key and tenant, as changes
//! share a batch. A lookup never joins a statement that was sent before it arrived, so it sees everything committed
//! before.

use super::batch_rows::{PipelinedQuery, run_pipelined};
use super::columns::{SqlType, columns_of};
use super::managed_connection::{ManagedConnection, Session};
use super::param::{Param, kind_code, tenant_code};
use super::pg_error::PgError;
use super::read::{ReadPool, SHORT_READ_TIMEOUT, item_from_row, user_from_row, with_retry};
use super::retry::RETRY_TIMEOUT;
use directory::{Item, ItemKey, ItemKind, StoreError, TenantNumber, User, UserKey, Value, identifier_key};
use futures_util::future::maybe_done;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use store::sql::{self, Sql};
use store::unique_keys::{self, FORMER_LOGINS, LOGINS, USER_EXTERNAL_IDS};
use tokio::sync::{Notify, oneshot};
use tokio_postgres::Row;

/// Keys that share a statement.
const MAX_LOOKUP_BATCH: usize = 512;
/// Waiting lookups, each of at most [`MAX_LOOKUP_BATCH`] keys; more fail.
const CAPACITY: usize = 16_384;

/// What a key identifies. Each kind and tenant is one statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum LookupKind {
    UserId,
    UserNumber,
    UserKey,
    ItemId,
    ItemNumber,
    ItemName,
    ItemKey,
}

impl LookupKind {
    /// The statement, the types of the key's parts, and the column of the result that has the place.
    fn parts(self) -> (Sql, &'static [SqlType], usize) {
        use SqlType::{Bytes, Int2, Int4, Uuid as Id};
        match self {
            Self::UserId => (sql::USERS_BY_IDS, &[Int4, Id], 2),
            Self::UserNumber => (sql::USERS_BY_NUMBERS, &[Int4, Int4], 2),
            Self::UserKey => (sql::USERS_BY_UNIQUE_KEYS, &[Int4, Int2, Bytes], 2),
            Self::ItemId => (sql::ITEMS_BY_IDS, &[Int4, Id], 3),
            Self::ItemNumber => (sql::ITEMS_BY_NUMBERS, &[Int4, Int2, Int4], 3),
            Self::ItemName => (sql::ITEMS_BY_NAMES, &[Int4, Int2, Bytes], 3),
            Self::ItemKey => (sql::ITEMS_BY_UNIQUE_KEYS, &[Int4, Int2, Bytes, Int2], 3),
        }
    }
}

#[derive(Clone)]
struct LookupKey {
    tenant: i32,
    kind: LookupKind,
    parts: Vec<Value>,
}

/// The keys that one caller looks up, and where the rows go, in the order of the keys.
struct Lookup {
    keys: Vec<LookupKey>,
    answer: oneshot::Sender<Result<Vec<Option<Row>>, StoreError>>,
    since: Instant,
}

pub(super) struct LookupQueue {
    waiting: Mutex<Vec<Lookup>>,
    wake: Notify,
    /// For lookups of more than [`MAX_LOOKUP_BATCH`] keys.
    large_lookups: ReadPool,
}

impl LookupQueue {
    pub(super) fn new(large_lookups: ReadPool) -> Self {
        Self { waiting: Mutex::default(), wake: Notify::new(), large_lookups }
    }

    /// The users with these keys, in the order of the keys. A login takes up to two lookups: the holder of its unique
    /// key is the user, unless its spelling differs and is the former login of another user. A sign-in looks up both
    /// at once, so that its duration does not reveal which users exist.
    pub(super) async fn users(
        &self,
        tenant: TenantNumber,
        keys: Vec<UserKey>,
    ) -> Result<Vec<Option<User>>, StoreError> {
        let code = tenant_code(tenant);
        let former_key = |login: &str| unique_key(code, FORMER_LOGINS, unique_keys::former_login_key(login));
        let mut first: Vec<LookupKey> = keys.iter().map(|key| user_lookup_key(code, key)).collect();
        let constant_time = |key: &UserKey| match key {
            UserKey::LoginConstantTime(login) => Some(former_key(login)),
            _ => None,
        };
        first.extend(keys.iter().filter_map(constant_time));
        let mut rows = self.lookup(first).await?;
        let mut former_rows = rows.split_off(keys.len()).into_iter();
        let mut users = decode_all(rows, user_from_row).await?;
        let mut undecided = Vec::new();
        for (place, (key, user)) in keys.iter().zip(&mut users).enumerate() {
            let Some(login) = login_of(key) else { continue };
            let former = constant_time(key).and_then(|_| former_rows.next()).flatten();
            if user.as_ref().is_some_and(|user| unique_keys::has_login_spelling(user, login)) {
                continue;
            }
            match former.map(|row| user_from_row(&row)).transpose()? {
                Some(former) if unique_keys::has_login_spelling(&former, login) => *user = Some(former),
                _ if constant_time(key).is_none() => undecided.push((place, login)),
                _ => {}
            }
        }
        if !undecided.is_empty() {
            let rows = self.lookup(undecided.iter().map(|(_, login)| former_key(login)).collect()).await?;
            for ((place, login), row) in undecided.into_iter().zip(rows) {
                let former = row.map(|row| user_from_row(&row)).transpose()?;
                if let Some(former) = former.filter(|user| unique_keys::has_login_spelling(user, login)) {
                    users[place] = Some(former);
                }
            }
        }
        for (key, user) in keys.iter().zip(&mut users) {
            // A user name is a login, but not an email.
            let has_email = |email: &str, user: &User| {
                user.email().is_some_and(|of_user| identifier_key(of_user) == identifier_key(email))
            };
            if let UserKey::Email(email) = key
                && user.as_ref().is_some_and(|user| !has_email(email, user))
            {
                *user = None;
            }
        }
        Ok(users)
    }

    /// The items with these keys, in the order of the keys.
    pub(super) async fn items(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
    ) -> Result<Vec<Option<Item>>, StoreError> {
        let code = tenant_code(tenant);
        let rows = self.lookup(keys.iter().map(|(kind, key)| item_lookup_key(code, *kind, key)).collect()).await?;
        let mut items = decode_all(rows, item_from_row).await?;
        for ((kind, _), item) in keys.iter().zip(&mut items) {
            if item.as_ref().is_some_and(|item| item.kind() != *kind) {
                *item = None;
            }
        }
        Ok(items)
    }

    async fn lookup(&self, keys: Vec<LookupKey>) -> Result<Vec<Option<Row>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        if keys.len() > MAX_LOOKUP_BATCH {
            let keys: Arc<[LookupKey]> = keys.into();
            return self.large_lookups.long(|session| Box::pin(query_all(session, Arc::clone(&keys)))).await;
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= CAPACITY {
                return Err(StoreError::Unavailable("too many lookups are waiting".into()));
            }
            waiting.push(Lookup { keys, answer, since: Instant::now() });
        }
        self.wake.notify_one();
        answered.await.map_err(|_| StoreError::Unavailable("the store is closed".into()))?
    }

    /// Answers lookups; never returns.
    pub(super) async fn run(&self, line: &ManagedConnection) {
        loop {
            let lookups = self.take();
            if lookups.is_empty() {
                self.wake.notified().await;
            } else {
                run_lookups(line, lookups).await;
            }
        }
    }

    fn take(&self) -> Vec<Lookup> {
        let mut waiting = self.waiting.lock();
        let mut key_count = 0;
        let fitting = waiting.iter().take_while(|lookup| {
            key_count += lookup.keys.len();
            key_count <= MAX_LOOKUP_BATCH
        });
        let many = fitting.count();
        let taken: Vec<Lookup> = waiting.drain(..many).collect();
        if !waiting.is_empty() {
            self.wake.notify_one();
        }
        taken
    }

    /// Answers lookups that have waited too long with an error.
    pub(super) fn expire(&self) {
        let mut waiting = self.waiting.lock();
        let (old, young) = waiting.drain(..).partition(|lookup| lookup.since.elapsed() > RETRY_TIMEOUT);
        *waiting = young;
        drop(waiting);
        fail_all(old, &StoreError::Unavailable("the database does not answer".into()));
    }
}

fn login_of(key: &UserKey) -> Option<&str> {
    match key {
        UserKey::Email(login) | UserKey::Login(login) | UserKey::LoginConstantTime(login) => Some(login),
        UserKey::Id(_) | UserKey::Number(_) | UserKey::ExternalId(_) => None,
    }
}

/// No row has a negative number.
const ABSENT_NUMBER: Value = Value::Int(-1);

fn stored_number(number: u32) -> Value {
    i32::try_from(number).map_or(ABSENT_NUMBER, |number| Value::Int(number.into()))
}

fn unique_key(tenant: i32, namespace: u8, text: String) -> LookupKey {
    LookupKey { tenant, kind: LookupKind::UserKey, parts: vec![Value::Int(namespace.into()), text.into()] }
}

fn user_lookup_key(tenant: i32, key: &UserKey) -> LookupKey {
    match key {
        UserKey::Id(id) => LookupKey { tenant, kind: LookupKind::UserId, parts: vec![id.0.into()] },
        UserKey::Number(number) => {
            LookupKey { tenant, kind: LookupKind::UserNumber, parts: vec![stored_number(*number)] }
        }
        UserKey::Email(login) | UserKey::Login(login) | UserKey::LoginConstantTime(login) => {
            unique_key(tenant, LOGINS, identifier_key(login))
        }
        UserKey::ExternalId(id) => unique_key(tenant, USER_EXTERNAL_IDS, unique_keys::external_id_key(id)),
    }
}

fn item_lookup_key(tenant: i32, item_kind: ItemKind, key: &ItemKey) -> LookupKey {
    let kind_code = Value::Int(kind_code(item_kind).into());
    let (kind, parts) = match key {
        ItemKey::Id(id) => (LookupKind::ItemId, vec![id.0.into()]),
        ItemKey::Number(number) => (LookupKind::ItemNumber, vec![kind_code, stored_number(*number)]),
        ItemKey::Name(name) => (LookupKind::ItemName, vec![kind_code, Item::name_key(item_kind, name).into()]),
        ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => {
            match unique_keys::of_key(item_kind, key) {
                Some(key) => (LookupKind::ItemKey, vec![Value::Int(key.namespace.into()), key.text.into(), kind_code]),
                // Items of this kind have no such key.
                None => (LookupKind::ItemNumber, vec![kind_code, ABSENT_NUMBER]),
            }
        }
    };
    LookupKey { tenant, kind, parts }
}

/// Yields now and then, because decoding thousands of documents takes a while. Drops each row once it is decoded.
async fn decode_all<T>(
    rows: Vec<Option<Row>>,
    decode: impl Fn(&Row) -> Result<T, PgError>,
) -> Result<Vec<Option<T>>, StoreError> {
    let mut decoded = Vec::with_capacity(rows.len());
    for row in rows {
        if decoded.len() % 256 == 255 {
            tokio::task::yield_now().await;
        }
        decoded.push(row.map(|row| decode(&row)).transpose()?);
    }
    Ok(decoded)
}

fn fail_all(lookups: Vec<Lookup>, error: &StoreError) {
    for lookup in lookups {
        drop(lookup.answer.send(Err(error.clone())));
    }
}

async fn run_lookups(line: &ManagedConnection, lookups: Vec<Lookup>) {
    let keys: Arc<[LookupKey]> = lookups.iter().flat_map(|lookup| lookup.keys.iter().cloned()).collect();
    let found = with_retry(line, SHORT_READ_TIMEOUT, |session| Box::pin(query_all(session, Arc::clone(&keys)))).await;
    match found {
        Ok(rows) => {
            let mut rows = rows.into_iter();
            for lookup in lookups {
                // The caller may have gone.
                drop(lookup.answer.send(Ok(rows.by_ref().take(lookup.keys.len()).collect())));
            }
        }
        Err(error) => fail_all(lookups, &error),
    }
}

async fn query_all(session: &Session, keys: Arc<[LookupKey]>) -> Result<Vec<Option<Row>>, PgError> {
    let mut rows: BTreeMap<(LookupKind, i32), Vec<Vec<Value>>> = BTreeMap::new();
    for (place, key) in keys.iter().enumerate() {
        let place = Value::Int(i64::try_from(place).unwrap_or(i64::MAX));
        let row = std::iter::once(place).chain(key.parts.iter().cloned()).collect();
        rows.entry((key.kind, key.tenant)).or_default().push(row);
    }
    let asked = rows.into_iter().map(|((kind, tenant), rows)| {
        let (sql, types, column) = kind.parts();
        let columns = columns_of(types.iter().copied(), rows);
        let rows = async move {
            let tenant: &dyn Param = &tenant;
            let params: Vec<&dyn Param> =
                std::iter::once(tenant).chain(columns.iter().map(|column| &**column)).collect();
            Ok((session.query(sql.postgres, &params).await?, column))
        };
        maybe_done(Box::pin(rows) as PipelinedQuery<'_, (Vec<Row>, usize)>)
    });
    let mut found: Vec<Option<Row>> = keys.iter().map(|_| None).collect();
    for answer in run_pipelined(asked.collect()).await {
        let (rows, column) = answer?;
        for row in rows {
            if row.try_get::<_, Option<&str>>(0)?.is_none() {
                continue;
            }
            let place: i32 = row.try_get(column)?;
            if let Some(place) = usize::try_from(place).ok().and_then(|place| found.get_mut(place)) {
                *place = Some(row);
            }
        }
    }
    Ok(found)
}
