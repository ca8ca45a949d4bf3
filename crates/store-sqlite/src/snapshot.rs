//! One view of the whole file, while other processes can write.

use super::open_error::{SqliteOpenError, to_open_error};
use super::row_decode::{id, optional};
use super::{events, read, tables};
use directory::{ItemId, ItemKind, Row, RowQuery, TenantNumber, UserId};
use futures_util::FutureExt;
use rusqlite::{Connection as Db, ErrorCode, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use store::archive::{ArchiveError, Snapshot, StoredItem, StoredUser, StoredUserState};
use store::event_chain::{ChainEnd, StoredEvent};
use store::event_row::EventEntry;
use store::sql;
use store::unique_keys::{UniqueKey, kind_index};

/// Rows of a page.
const PAGE: u32 = 2_000;
const MEMBERS_PAGE: u32 = 20_000;

pub(super) struct SqliteSnapshot<'d> {
    transaction: Transaction<'d>,
    path: &'d Path,
}

impl<'d> SqliteSnapshot<'d> {
    pub(super) fn new(db: &'d Db, path: &'d Path) -> Result<Self, SqliteOpenError> {
        let begun = db.unchecked_transaction();
        Ok(Self { transaction: begun.map_err(|error| to_open_error(path, &error))?, path })
    }

    fn read<T>(&self, f: impl FnOnce(&Db) -> rusqlite::Result<T>) -> Result<T, ArchiveError> {
        f(&self.transaction).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::OperationInterrupted) => ArchiveError::TimedOut,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => to_open_error(self.path, &error).into(),
            _ => ArchiveError::Store(error.to_string()),
        })
    }
}

/// Polls a task until it ends. It may yield, but never waits for another task.
pub(super) fn run<T>(task: impl Future<Output = Result<T, ArchiveError>>) -> Result<T, ArchiveError> {
    let mut task = std::pin::pin!(task);
    loop {
        if let Some(done) = task.as_mut().now_or_never() {
            return done;
        }
    }
}

impl Snapshot for SqliteSnapshot<'_> {
    async fn rows(&self, query: RowQuery) -> Result<Vec<Row>, ArchiveError> {
        self.read(|db| tables::rows(db, &query))
    }

    async fn items(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        after: Option<u32>,
    ) -> Result<Vec<StoredItem>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::ROWS_OF_ITEMS.sqlite)?;
            let after = after.map_or(-1, i64::from);
            let rows = statement.query_map(params![tenant.0, 1 + kind_index(kind), after, PAGE], |row| {
                let (item, number) = (read::item_from_row(row)?, row.get(1)?);
                Ok(StoredItem { item, number, id: ItemId(id(2, row)?), name_key: row.get(3)? })
            })?;
            rows.collect()
        })
    }

    async fn users(&self, tenant: TenantNumber, after: u32) -> Result<Vec<StoredUser>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::ALL_USERS.sqlite)?;
            let rows = statement.query_map(params![tenant.0, after, PAGE], |row| {
                let state = match row.get(8)? {
                    Some(at) => StoredUserState::Deleted { at, external_key: row.get(9)? },
                    None => StoredUserState::Live {
                        version: row.get(4)?,
                        active: row.get(5)?,
                        updated: row.get(6)?,
                        account: row.get(7)?,
                    },
                };
                let (number, doc, password) = (row.get(0)?, row.get(2)?, row.get(3)?);
                Ok(StoredUser { number, id: UserId(id(1, row)?), doc, password, state })
            })?;
            rows.collect()
        })
    }

    async fn members(
        &self,
        tenant: TenantNumber,
        (item, number): (ItemId, u32),
    ) -> Result<Vec<(ItemId, u32)>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::ALL_MEMBERSHIPS.sqlite)?;
            let bound = params![tenant.0, item.0.as_bytes(), number, MEMBERS_PAGE];
            let rows = statement.query_map(bound, |row| Ok((ItemId(id(0, row)?), row.get(1)?)))?;
            rows.collect()
        })
    }

    async fn counters(&self) -> Result<Vec<(u32, u8, u32)>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::ALL_COUNTERS.sqlite)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect()
        })
    }

    async fn events(&self, after: u64) -> Result<Vec<StoredEvent>, ArchiveError> {
        self.read(|db| events::stored_after(db, after, PAGE))
    }

    async fn events_without_position(&self) -> Result<Vec<Vec<EventEntry>>, ArchiveError> {
        Ok(Vec::new())
    }

    async fn event_subject_counts(&self) -> Result<BTreeMap<u32, i64>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::EVENT_SUBJECT_COUNTS.sqlite)?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    async fn chain_ends(&self) -> Result<BTreeMap<u32, ChainEnd>, ArchiveError> {
        self.read(|db| events::chain_ends(db, None))
    }

    async fn key_owners(&self, tenant: TenantNumber, keys: &[UniqueKey]) -> Result<Vec<Option<u32>>, ArchiveError> {
        self.read(|db| {
            let mut of_users = db.prepare_cached(sql::USER_WITH_UNIQUE_KEY.sqlite)?;
            let mut of_items = db.prepare_cached(sql::ITEM_WITH_UNIQUE_KEY.sqlite)?;
            let owners = keys.iter().map(|key| {
                let statement = if key.is_of_user() { &mut of_users } else { &mut of_items };
                optional(statement.query_row(params![tenant.0, key.namespace, key.text], |row| row.get(0)))
            });
            owners.collect()
        })
    }

    async fn count_keys(&self, tenant: TenantNumber) -> Result<u64, ArchiveError> {
        self.read(|db| {
            let count: i64 = db.query_row(sql::COUNT_UNIQUE_KEYS.sqlite, [tenant.0], |row| row.get(0))?;
            Ok(count.unsigned_abs())
        })
    }

    async fn secondary_emails(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, String)>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::ROWS_OF_SECONDARY_EMAILS.sqlite)?;
            let rows = statement.query_map([tenant.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    async fn organization_members(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, ItemId)>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::MEMBERSHIPS_OF_KIND.sqlite)?;
            let bound = params![tenant.0, 1 + kind_index(ItemKind::Organization)];
            let rows = statement.query_map(bound, |row| Ok((row.get(0)?, ItemId(id(1, row)?))))?;
            rows.collect()
        })
    }

    async fn user_counts(&self, tenant: TenantNumber) -> Result<BTreeMap<u32, i64>, ArchiveError> {
        self.read(|db| {
            let mut statement = db.prepare_cached(sql::BLOCK_COUNTS.sqlite)?;
            let rows = statement.query_map([tenant.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    async fn damage(&self) -> Result<Vec<String>, ArchiveError> {
        self.read(|db| {
            let mut found: Vec<String> = Vec::new();
            for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
                let mut statement = db.prepare(pragma)?;
                let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
                found.extend(lines.collect::<Result<Vec<_>, _>>()?);
            }
            found.retain(|line| line != "ok");
            Ok(found)
        })
    }

    async fn contradictions(&self) -> Result<Vec<String>, ArchiveError> {
        self.read(|db| {
            let mut found = Vec::new();
            // Pages and members rely on the order of rows.
            let mut unsorted = db.prepare(sql::UNSORTED_USERS.sqlite)?;
            let lines = unsorted.query_map([], |row| {
                let (tenant, number): (u32, u32) = (row.get(0)?, row.get(1)?);
                Ok(format!("tenant {tenant}: user {number} is not in the order of numbers"))
            })?;
            found.extend(lines.collect::<Result<Vec<_>, _>>()?);
            let invalid: i64 = db.query_row(sql::COUNT_INVALID_MEMBERSHIPS.sqlite, [], |row| row.get(0))?;
            if invalid != 0 {
                found.push(format!("{invalid} memberships connect two tenants or differ in kind from their item"));
            }
            let (events, last): (i64, i64) =
                db.query_row(sql::COUNT_EVENTS_AND_LAST_POSITION.sqlite, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if events != last {
                found.push(format!("the event history ends at position {last}, but has {events} events"));
            }
            Ok(found)
        })
    }
}
