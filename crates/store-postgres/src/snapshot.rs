//! One view of the whole database, while others write.

use super::events;
use super::managed_connection::Session;
use super::param::{Param, int, kind_code, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::item_from_row;
use super::tables;
use directory::{ItemId, ItemKind, RowQuery, TenantNumber, UserId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use store::archive::{ArchiveError, Snapshot, StoredItem, StoredUser, StoredUserState};
use store::event_chain::{ChainEnd, StoredEvent};
use store::event_row::EventEntry;
use store::sql::{self, Sql};
use store::unique_keys::UniqueKey;
use tokio_postgres::Row;
use uuid::Uuid;

/// Rows of a page: users and events, which may be long, and members.
const PAGE: i64 = 2_000;
const MEMBERS_PAGE: i64 = 20_000;

impl From<PgError> for ArchiveError {
    fn from(trouble: PgError) -> Self {
        match trouble {
            PgError::Conflict(_) => Self::Conflict,
            other => Self::Store(other.message().to_owned()),
        }
    }
}

pub(super) struct PostgresSnapshot<'s>(&'s Session);

impl<'s> PostgresSnapshot<'s> {
    /// Begins with [`sql::BEGIN_SNAPSHOT`] or [`sql::BEGIN_SERIALIZABLE_READ`].
    pub(super) async fn begin(session: &'s Session, isolation: Sql) -> Result<Self, PgError> {
        session.batch_execute(isolation.postgres).await?;
        Ok(Self(session))
    }

    pub(super) async fn end(self) -> Result<(), PgError> {
        self.0.batch_execute(sql::ROLLBACK.postgres).await
    }

    async fn list<T, L: FromIterator<T>>(
        &self,
        sql: Sql,
        params: &[&dyn Param],
        read: impl Fn(&Row) -> Result<T, PgError>,
    ) -> Result<L, ArchiveError> {
        Ok(self.0.query(sql.postgres, params).await?.iter().map(read).collect::<Result<_, _>>()?)
    }

    async fn numbers<const N: usize>(&self, sql: Sql, params: &[&dyn Param]) -> Result<[i64; N], ArchiveError> {
        let mut numbers = [0; N];
        if let Some(row) = self.0.query(sql.postgres, params).await?.first() {
            for (place, number) in numbers.iter_mut().enumerate() {
                *number = row.try_get(place).map_err(PgError::from)?;
            }
        }
        Ok(numbers)
    }
}

impl Snapshot for PostgresSnapshot<'_> {
    async fn rows(&self, query: RowQuery) -> Result<Vec<directory::Row>, ArchiveError> {
        Ok(tables::rows(self.0, query).await?)
    }

    async fn items(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        after: Option<u32>,
    ) -> Result<Vec<StoredItem>, ArchiveError> {
        let params: [&dyn Param; 4] = [&tenant_code(tenant), &kind_code(kind), &after.map_or(-1, int), &PAGE];
        let read = |row: &Row| {
            let (item, number) = (item_from_row(row)?, unsigned(row.try_get(3)?));
            let name_key = String::from_utf8_lossy(row.try_get(5)?).into_owned();
            Ok(StoredItem { item, number, id: ItemId(row.try_get(4)?), name_key })
        };
        self.list(sql::ROWS_OF_ITEMS, &params, read).await
    }

    async fn users(&self, tenant: TenantNumber, after: u32) -> Result<Vec<StoredUser>, ArchiveError> {
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &int(after), &PAGE];
        let read = |row: &Row| {
            let state = match row.try_get(8)? {
                Some(at) => {
                    let key: Option<Vec<u8>> = row.try_get(9)?;
                    let external_key = key.map(|key| String::from_utf8_lossy(&key).into_owned());
                    StoredUserState::Deleted { at, external_key }
                }
                None => StoredUserState::Live {
                    version: unsigned(row.try_get(4)?),
                    active: u8::try_from(row.try_get::<_, i16>(5)?).unwrap_or(u8::MAX),
                    updated: row.try_get(6)?,
                    account: row.try_get(7)?,
                },
            };
            let (number, id) = (unsigned(row.try_get(0)?), UserId(row.try_get(1)?));
            Ok(StoredUser { number, id, doc: row.try_get(2)?, password: row.try_get(3)?, state })
        };
        self.list(sql::ALL_USERS, &params, read).await
    }

    async fn members(
        &self,
        tenant: TenantNumber,
        (item, number): (ItemId, u32),
    ) -> Result<Vec<(ItemId, u32)>, ArchiveError> {
        let params: [&dyn Param; 4] = [&tenant_code(tenant), &item.0, &int(number), &MEMBERS_PAGE];
        let read = |row: &Row| Ok((ItemId(row.try_get(0)?), unsigned(row.try_get(1)?)));
        self.list(sql::ALL_MEMBERSHIPS, &params, read).await
    }

    async fn counters(&self) -> Result<Vec<(u32, u8, u32)>, ArchiveError> {
        let read = |row: &Row| {
            let sequence = u8::try_from(row.try_get::<_, i16>(1)?).unwrap_or(u8::MAX);
            Ok((unsigned(row.try_get(0)?), sequence, unsigned(row.try_get(2)?)))
        };
        self.list(sql::ALL_COUNTERS, &[], read).await
    }

    async fn events(&self, after: u64) -> Result<Vec<StoredEvent>, ArchiveError> {
        Ok(events::stored_after(self.0, after, None, PAGE).await?)
    }

    async fn events_without_position(&self) -> Result<Vec<Vec<EventEntry>>, ArchiveError> {
        let read = |row: &Row| Ok((row.try_get(0)?, events::event_entry(row, 0)?));
        let found: Vec<(Uuid, EventEntry)> = self.list(sql::UNSEQUENCED_EVENTS, &[], read).await?;
        let mut batches: Vec<(Uuid, Vec<EventEntry>)> = Vec::new();
        for (batch, event) in found {
            match batches.last_mut() {
                Some((last, events)) if *last == batch => events.push(event),
                _ => batches.push((batch, vec![event])),
            }
        }
        Ok(batches.into_iter().map(|(_, events)| events).collect())
    }

    async fn event_subject_counts(&self) -> Result<BTreeMap<u32, i64>, ArchiveError> {
        self.list(sql::EVENT_SUBJECT_COUNTS, &[], |row| Ok((unsigned(row.try_get(0)?), row.try_get(1)?))).await
    }

    async fn chain_ends(&self) -> Result<BTreeMap<u32, ChainEnd>, ArchiveError> {
        Ok(events::chain_ends(self.0, None).await?)
    }

    async fn key_owners(&self, tenant: TenantNumber, keys: &[UniqueKey]) -> Result<Vec<Option<u32>>, ArchiveError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let spaces: Vec<i16> = keys.iter().map(|key| i16::from(key.namespace)).collect();
        let texts: Vec<Vec<u8>> = keys.iter().map(|key| key.text.clone().into_bytes()).collect();
        let read = |row: &Row| Ok(((row.try_get(0)?, row.try_get(1)?), unsigned(row.try_get(2)?)));
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &spaces, &texts];
        let owners: HashMap<(i16, Vec<u8>), u32> = self.list(sql::UNIQUE_KEY_OWNERS, &params, read).await?;
        Ok(spaces.into_iter().zip(texts).map(|key| owners.get(&key).copied()).collect())
    }

    async fn count_keys(&self, tenant: TenantNumber) -> Result<u64, ArchiveError> {
        let [count] = self.numbers(sql::COUNT_UNIQUE_KEYS, &[&tenant_code(tenant)]).await?;
        Ok(count.unsigned_abs())
    }

    async fn secondary_emails(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, String)>, ArchiveError> {
        let read = |row: &Row| Ok((unsigned(row.try_get(0)?), String::from_utf8_lossy(row.try_get(1)?).into_owned()));
        self.list(sql::ROWS_OF_SECONDARY_EMAILS, &[&tenant_code(tenant)], read).await
    }

    async fn organization_members(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, ItemId)>, ArchiveError> {
        let params: [&dyn Param; 2] = [&tenant_code(tenant), &kind_code(ItemKind::Organization)];
        let read = |row: &Row| Ok((unsigned(row.try_get(0)?), ItemId(row.try_get(1)?)));
        self.list(sql::MEMBERSHIPS_OF_KIND, &params, read).await
    }

    async fn user_counts(&self, tenant: TenantNumber) -> Result<BTreeMap<u32, i64>, ArchiveError> {
        Ok(super::user_pages::block_counts(self.0, tenant_code(tenant)).await?)
    }

    async fn damage(&self) -> Result<Vec<String>, ArchiveError> {
        Ok(Vec::new())
    }

    async fn contradictions(&self) -> Result<Vec<String>, ArchiveError> {
        let mut found = Vec::new();
        let [invalid] = self.numbers(sql::COUNT_INVALID_MEMBERSHIPS, &[]).await?;
        if invalid != 0 {
            found.push(format!("{invalid} memberships connect two tenants or differ in kind from their item"));
        }
        let [_, events, last] = self.numbers(sql::COUNT_BATCHES_AND_LAST_POSITION, &[]).await?;
        if events != last {
            found.push(format!("the event history ends at position {last}, but has {events} positions"));
        }
        let [stored] = self.numbers(sql::COUNT_EVENTS, &[]).await?;
        if stored != events {
            found.push(format!("the event history has {events} positions and {stored} events"));
        }
        let [strays] = self.numbers(sql::COUNT_ORPHANED_EVENTS, &[]).await?;
        if strays != 0 {
            found.push(format!("{strays} events belong to no batch"));
        }
        Ok(found)
    }
}
