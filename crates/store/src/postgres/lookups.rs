//! Lookups of single users and items. Waiting lookups share one statement per kind of key, as changes share a batch. A
//! lookup never joins a statement that was sent before it arrived, so it sees everything committed before.

use super::batch_rows::{PipelinedQuery, run_pipelined};
use super::managed_connection::{ManagedConnection, Session};
use super::param::{Param, int, kind_code, tenant_code};
use super::pg_error::PgError;
use super::read::{SHORT_READ_TIMEOUT, item_from_row, user_from_row, with_retry};
use super::retry::RETRY_TIMEOUT;
use crate::sql::{self, Sql};
use crate::unique_keys::{self, FORMER_LOGINS, LOGINS, USER_EXTERNAL_IDS};
use directory::{Item, ItemKey, ItemKind, StoreError, TenantNumber, User, UserKey, identifier_key};
use futures_util::future::{join, maybe_done};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, oneshot};
use tokio_postgres::Row;
use uuid::Uuid;

const MAX_LOOKUP_BATCH: usize = 512;
/// Waiting lookups; more fail.
const CAPACITY: usize = 16_384;

#[derive(Clone)]
enum LookupKey {
    Id(i32, Uuid),
    Number(i32, i32),
    Claim(i32, i16, Vec<u8>),
    ItemId(i32, Uuid),
    ItemClaim(i32, i16, Vec<u8>, i16),
}

struct Lookup {
    key: LookupKey,
    answer: oneshot::Sender<Result<Option<Row>, StoreError>>,
    since: Instant,
}

#[derive(Default)]
pub(super) struct LookupQueue {
    waiting: Mutex<Vec<Lookup>>,
    wake: Notify,
}

impl LookupQueue {
    pub(super) async fn user(&self, tenant: TenantNumber, by: UserKey) -> Result<Option<User>, StoreError> {
        let code = tenant_code(tenant);
        if matches!(by, UserKey::Number(number) if i32::try_from(number).is_err()) {
            return Ok(None);
        }
        if let UserKey::Email(handle) | UserKey::Login(handle) | UserKey::LoginConstantTime(handle) = &by {
            let found = self.by_login(code, handle, matches!(by, UserKey::LoginConstantTime(_))).await?;
            // A user name is a login, but not an email.
            let has_email = |user: &User| user.email().is_some_and(|e| identifier_key(e) == identifier_key(handle));
            return Ok(found.filter(|user| !matches!(by, UserKey::Email(_)) || has_email(user)));
        }
        let key = match &by {
            UserKey::Id(id) => LookupKey::Id(code, id.0),
            UserKey::Number(number) => LookupKey::Number(code, int(*number)),
            UserKey::Email(_) | UserKey::Login(_) | UserKey::LoginConstantTime(_) => return Ok(None),
            UserKey::ExternalId(id) => {
                LookupKey::Claim(code, i16::from(USER_EXTERNAL_IDS), unique_keys::external_id_key(id).into_bytes())
            }
        };
        let Some(row) = self.lookup(key).await? else { return Ok(None) };
        Ok(Some(user_from_row(&row)?))
    }

    /// The user with this user name or email: the holder of its key, unless the spelling differs and is the former
    /// login of another user. A sign-in looks up both at once, so that its duration does not reveal which users exist.
    async fn by_login(&self, code: i32, handle: &str, is_sign_in: bool) -> Result<Option<User>, StoreError> {
        let ask = async |space, text: String| {
            let row = self.lookup(LookupKey::Claim(code, i16::from(space), text.into_bytes())).await?;
            Ok::<_, StoreError>(row.map(|row| user_from_row(&row)).transpose()?)
        };
        let holder = ask(LOGINS, identifier_key(handle));
        let former = ask(FORMER_LOGINS, unique_keys::former_login_key(handle));
        let is_spelled = |user: &User| unique_keys::has_login_spelling(user, handle);
        let (holder, former) = if is_sign_in {
            let (holder, former) = join(holder, former).await;
            (holder?, former?)
        } else {
            let holder = holder.await?;
            let former = if holder.as_ref().is_some_and(is_spelled) { None } else { former.await? };
            (holder, former)
        };
        if holder.as_ref().is_some_and(is_spelled) {
            return Ok(holder);
        }
        Ok(former.filter(is_spelled).or(holder))
    }

    /// An item by a unique key. `None` if `by` is not one.
    pub(super) async fn item(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        by: &ItemKey,
    ) -> Option<Result<Option<Item>, StoreError>> {
        let (code, sort) = (tenant_code(tenant), kind_code(kind));
        let key = match by {
            ItemKey::Id(id) => LookupKey::ItemId(code, id.0),
            ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => {
                let claim = unique_keys::of_key(kind, by)?;
                LookupKey::ItemClaim(code, i16::from(claim.namespace), claim.text.into_bytes(), sort)
            }
            ItemKey::Name(_) | ItemKey::Number(_) => return None,
        };
        let found = self.lookup(key).await;
        let item = found.and_then(|row| Ok(row.map(|row| item_from_row(&row)).transpose()?));
        Some(item.map(|item| item.filter(|item| item.kind() == kind)))
    }

    async fn lookup(&self, key: LookupKey) -> Result<Option<Row>, StoreError> {
        let (answer, answered) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= CAPACITY {
                return Err(StoreError::Unavailable("too many lookups are waiting".into()));
            }
            waiting.push(Lookup { key, answer, since: Instant::now() });
        }
        self.wake.notify_one();
        answered.await.map_err(|_| StoreError::Unavailable("the store is closed".into()))?
    }

    /// Answers lookups; never returns.
    pub(super) async fn run(&self, line: &ManagedConnection) {
        loop {
            let questions = self.take();
            if questions.is_empty() {
                self.wake.notified().await;
            } else {
                run_lookups(line, questions).await;
            }
        }
    }

    fn take(&self) -> Vec<Lookup> {
        let mut waiting = self.waiting.lock();
        let many = waiting.len().min(MAX_LOOKUP_BATCH);
        let taken: Vec<Lookup> = waiting.drain(..many).collect();
        if !waiting.is_empty() {
            self.wake.notify_one();
        }
        taken
    }

    /// Answers lookups that have waited too long with an error.
    pub(super) fn expire(&self) {
        let mut waiting = self.waiting.lock();
        let (old, young) = waiting.drain(..).partition(|question| question.since.elapsed() > RETRY_TIMEOUT);
        *waiting = young;
        drop(waiting);
        fail_all(old, &StoreError::Unavailable("the database does not answer".into()));
    }
}

fn fail_all(questions: Vec<Lookup>, error: &StoreError) {
    for question in questions {
        drop(question.answer.send(Err(error.clone())));
    }
}

async fn run_lookups(line: &ManagedConnection, questions: Vec<Lookup>) {
    let keys: Arc<[LookupKey]> = questions.iter().map(|question| question.key.clone()).collect();
    let found = with_retry(line, SHORT_READ_TIMEOUT, |session| Box::pin(query_all(session, Arc::clone(&keys)))).await;
    match found {
        Ok(rows) => {
            for (question, row) in questions.into_iter().zip(rows) {
                // The caller may have gone.
                drop(question.answer.send(Ok(row)));
            }
        }
        Err(error) => fail_all(questions, &error),
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

async fn query_all(session: &Session, keys: Arc<[LookupKey]>) -> Result<Vec<Option<Row>>, PgError> {
    let [mut ids, mut numbers, mut claims, mut items, mut item_claims] = [(); 5].map(|()| KeyColumns::default());
    for (place, key) in (0_i32..).zip(keys.iter()) {
        let (columns, tenant) = match key {
            LookupKey::Id(tenant, id) => {
                ids.id.push(*id);
                (&mut ids, tenant)
            }
            LookupKey::Number(tenant, number) => {
                numbers.number.push(*number);
                (&mut numbers, tenant)
            }
            LookupKey::Claim(tenant, space, text) => {
                claims.space.push(*space);
                claims.text.push(text.clone());
                (&mut claims, tenant)
            }
            LookupKey::ItemId(tenant, id) => {
                items.id.push(*id);
                (&mut items, tenant)
            }
            LookupKey::ItemClaim(tenant, space, text, kind) => {
                item_claims.space.push(*space);
                item_claims.text.push(text.clone());
                item_claims.kind.push(*kind);
                (&mut item_claims, tenant)
            }
        };
        columns.place.push(place);
        columns.tenant.push(*tenant);
    }
    let (c, i) = (&claims, &item_claims);
    let all: [(Sql, Vec<&dyn Param>, usize); 5] = [
        (sql::USERS_BY_IDS, vec![&ids.place, &ids.tenant, &ids.id], 2),
        (sql::USERS_BY_NUMBERS, vec![&numbers.place, &numbers.tenant, &numbers.number], 2),
        (sql::USERS_BY_UNIQUE_KEYS, vec![&c.place, &c.tenant, &c.space, &c.text], 2),
        (sql::ITEMS_BY_IDS, vec![&items.place, &items.tenant, &items.id], 3),
        (sql::ITEMS_BY_UNIQUE_KEYS, vec![&i.place, &i.tenant, &i.space, &i.text, &i.kind], 3),
    ];
    let many = [ids.place.len(), numbers.place.len(), c.place.len(), items.place.len(), i.place.len()];
    let asked = all.iter().zip(many).filter(|(_, many)| *many > 0).map(|((sql, params, column), _)| {
        let rows = async move { Ok((session.query(sql.postgres, params).await?, *column)) };
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
