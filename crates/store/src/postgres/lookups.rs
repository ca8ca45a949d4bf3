//! Lookups of users and items by their keys. Waiting lookups share one statement per kind of key, as changes share a batch. A
//! lookup never joins a statement that was sent before it arrived, so it sees everything committed before.

use super::batch_rows::{PipelinedQuery, run_pipelined};
use super::managed_connection::{ManagedConnection, Session};
use super::param::{Param, kind_code, tenant_code};
use super::pg_error::PgError;
use super::read::{ReadPool, SHORT_READ_TIMEOUT, item_from_row, user_from_row, with_retry};
use super::retry::RETRY_TIMEOUT;
use crate::sql::{self, Sql};
use crate::unique_keys::{self, FORMER_LOGINS, LOGINS, USER_EXTERNAL_IDS};
use directory::{Item, ItemKey, ItemKind, StoreError, TenantNumber, User, UserKey, identifier_key};
use futures_util::future::maybe_done;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, oneshot};
use tokio_postgres::Row;
use uuid::Uuid;

/// Keys that share a statement.
const MAX_LOOKUP_BATCH: usize = 512;
/// Waiting lookups, each of at most [`MAX_LOOKUP_BATCH`] keys; more fail.
const CAPACITY: usize = 16_384;

#[derive(Clone)]
enum LookupKey {
    Id(i32, Uuid),
    Number(i32, i32),
    Claim(i32, i16, Vec<u8>),
    ItemId(i32, Uuid),
    ItemNumber(i32, i16, i32),
    ItemName(i32, i16, Vec<u8>),
    ItemClaim(i32, i16, Vec<u8>, i16),
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
        let former_key =
            |login: &str| LookupKey::Claim(code, i16::from(FORMER_LOGINS), unique_keys::former_login_key(login).into());
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
const ABSENT_NUMBER: i32 = -1;

fn stored_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(ABSENT_NUMBER)
}

fn user_lookup_key(code: i32, key: &UserKey) -> LookupKey {
    match key {
        UserKey::Id(id) => LookupKey::Id(code, id.0),
        UserKey::Number(number) => LookupKey::Number(code, stored_number(*number)),
        UserKey::Email(login) | UserKey::Login(login) | UserKey::LoginConstantTime(login) => {
            LookupKey::Claim(code, i16::from(LOGINS), identifier_key(login).into())
        }
        UserKey::ExternalId(id) => {
            LookupKey::Claim(code, i16::from(USER_EXTERNAL_IDS), unique_keys::external_id_key(id).into())
        }
    }
}

fn item_lookup_key(code: i32, kind: ItemKind, key: &ItemKey) -> LookupKey {
    let kind_code = kind_code(kind);
    match key {
        ItemKey::Id(id) => LookupKey::ItemId(code, id.0),
        ItemKey::Number(number) => LookupKey::ItemNumber(code, kind_code, stored_number(*number)),
        ItemKey::Name(name) => LookupKey::ItemName(code, kind_code, Item::name_key(kind, name).into()),
        ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => {
            match unique_keys::of_key(kind, key) {
                Some(claim) => LookupKey::ItemClaim(code, i16::from(claim.namespace), claim.text.into(), kind_code),
                // Items of this kind have no such key.
                None => LookupKey::ItemNumber(code, kind_code, ABSENT_NUMBER),
            }
        }
    }
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

/// The lookups by one kind of key, as columns.
#[derive(Default)]
struct KeyColumns {
    place: Vec<i32>,
    tenant: Vec<i32>,
    id: Vec<Uuid>,
    number: Vec<i32>,
    space: Vec<i16>,
    text: Vec<Vec<u8>>,
    kind: Vec<i16>,
}

/// The lookups of a batch by kind of key.
#[derive(Default)]
struct BatchColumns {
    ids: KeyColumns,
    numbers: KeyColumns,
    claims: KeyColumns,
    item_ids: KeyColumns,
    item_numbers: KeyColumns,
    item_names: KeyColumns,
    item_claims: KeyColumns,
}

impl BatchColumns {
    fn of(keys: &[LookupKey]) -> Self {
        let mut all = Self::default();
        for (place, key) in (0_i32..).zip(keys) {
            let (columns, tenant) = match key {
                LookupKey::Id(tenant, id) => {
                    all.ids.id.push(*id);
                    (&mut all.ids, tenant)
                }
                LookupKey::Number(tenant, number) => {
                    all.numbers.number.push(*number);
                    (&mut all.numbers, tenant)
                }
                LookupKey::Claim(tenant, space, text) => {
                    all.claims.space.push(*space);
                    all.claims.text.push(text.clone());
                    (&mut all.claims, tenant)
                }
                LookupKey::ItemId(tenant, id) => {
                    all.item_ids.id.push(*id);
                    (&mut all.item_ids, tenant)
                }
                LookupKey::ItemNumber(tenant, kind, number) => {
                    all.item_numbers.kind.push(*kind);
                    all.item_numbers.number.push(*number);
                    (&mut all.item_numbers, tenant)
                }
                LookupKey::ItemName(tenant, kind, name) => {
                    all.item_names.kind.push(*kind);
                    all.item_names.text.push(name.clone());
                    (&mut all.item_names, tenant)
                }
                LookupKey::ItemClaim(tenant, space, text, kind) => {
                    all.item_claims.space.push(*space);
                    all.item_claims.text.push(text.clone());
                    all.item_claims.kind.push(*kind);
                    (&mut all.item_claims, tenant)
                }
            };
            columns.place.push(place);
            columns.tenant.push(*tenant);
        }
        all
    }

    /// One statement for each kind of key that occurs, its parameters, and the column of the result that has `place`.
    fn statements(&self) -> impl Iterator<Item = (Sql, Vec<&dyn Param>, usize)> {
        let (claims, numbers, names) = (&self.claims, &self.item_numbers, &self.item_names);
        let (users, items) = (2, 3);
        let all: [(Sql, &KeyColumns, Vec<&dyn Param>, usize); 7] = [
            (sql::USERS_BY_IDS, &self.ids, vec![&self.ids.id], users),
            (sql::USERS_BY_NUMBERS, &self.numbers, vec![&self.numbers.number], users),
            (sql::USERS_BY_UNIQUE_KEYS, claims, vec![&claims.space, &claims.text], users),
            (sql::ITEMS_BY_IDS, &self.item_ids, vec![&self.item_ids.id], items),
            (sql::ITEMS_BY_NUMBERS, numbers, vec![&numbers.kind, &numbers.number], items),
            (sql::ITEMS_BY_NAMES, names, vec![&names.kind, &names.text], items),
            (
                sql::ITEMS_BY_UNIQUE_KEYS,
                &self.item_claims,
                vec![&self.item_claims.space, &self.item_claims.text, &self.item_claims.kind],
                items,
            ),
        ];
        all.into_iter().filter(|(_, columns, ..)| !columns.place.is_empty()).map(|(sql, columns, key, place)| {
            let mut params: Vec<&dyn Param> = vec![&columns.place, &columns.tenant];
            params.extend(key);
            (sql, params, place)
        })
    }
}

async fn query_all(session: &Session, keys: Arc<[LookupKey]>) -> Result<Vec<Option<Row>>, PgError> {
    let columns = BatchColumns::of(&keys);
    let asked = columns.statements().map(|(sql, params, column)| {
        let rows = async move { Ok((session.query(sql.postgres, &params).await?, column)) };
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
