//! A consistent view of a whole store, which every engine gives to dumps and checks.

use super::ArchiveError;
use crate::event_chain::{ChainEnd, StoredEvent};
use crate::event_row::EventEntry;
use crate::unique_keys::UniqueKey;
use directory::{Item, ItemId, ItemKind, Row, RowQuery, TenantNumber, UserId};
use futures_util::future::join;
use std::collections::{BTreeMap, BTreeSet};

/// A view of a store at one moment, while others write. Methods with `after` return pages; an empty page is the last.
#[expect(async_fn_in_trait, reason = "polled where it is called, never sent to another thread")]
pub trait Snapshot {
    /// Rows of a declared table.
    async fn rows(&self, query: RowQuery) -> Result<Vec<Row>, ArchiveError>;
    /// Items of a kind, in order of number; the first page comes after `None`.
    async fn items(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        after: Option<u32>,
    ) -> Result<Vec<StoredItem>, ArchiveError>;
    /// Users and deleted users, in order of number.
    async fn users(&self, tenant: TenantNumber, after: u32) -> Result<Vec<StoredUser>, ArchiveError>;
    /// Members of groups and folders by number of the user, in this order.
    async fn members(&self, tenant: TenantNumber, after: (ItemId, u32)) -> Result<Vec<(ItemId, u32)>, ArchiveError>;
    /// Tenant, sequence and last number, in this order.
    async fn counters(&self) -> Result<Vec<(u32, u8, u32)>, ArchiveError>;
    /// Events in order of position.
    async fn events(&self, after: u64) -> Result<Vec<StoredEvent>, ArchiveError>;
    /// Committed events that have no position yet, in groups that will be linked together. They have no link either.
    async fn events_without_position(&self) -> Result<Vec<Vec<EventEntry>>, ArchiveError>;
    /// The number of subjects of events by tenant.
    async fn event_subject_counts(&self) -> Result<BTreeMap<u32, i64>, ArchiveError>;
    /// The ends of the chains by tenant.
    async fn chain_ends(&self) -> Result<BTreeMap<u32, ChainEnd>, ArchiveError>;

    /// The numbers of the owners of unique keys.
    async fn key_owners(&self, tenant: TenantNumber, keys: &[UniqueKey]) -> Result<Vec<Option<u32>>, ArchiveError>;
    /// The number of unique keys of a tenant, except former logins.
    async fn count_keys(&self, tenant: TenantNumber) -> Result<u64, ArchiveError>;
    /// Numbers of users with their secondary emails.
    async fn secondary_emails(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, String)>, ArchiveError>;
    /// Numbers of users with their organization.
    async fn organization_members(&self, tenant: TenantNumber) -> Result<BTreeSet<(u32, ItemId)>, ArchiveError>;
    /// Users by block of numbers.
    async fn user_counts(&self, tenant: TenantNumber) -> Result<BTreeMap<u32, i64>, ArchiveError>;
    /// Damage of the files, if the engine can find it.
    async fn damage(&self) -> Result<Vec<String>, ArchiveError>;
    /// Contradictions between rows that only this engine can have.
    async fn contradictions(&self) -> Result<Vec<String>, ArchiveError>;
}

/// An item with its columns.
pub struct StoredItem {
    pub item: Item,
    pub number: u32,
    pub id: ItemId,
    pub name_key: String,
}

/// A user or deleted user as a row.
pub struct StoredUser {
    pub number: u32,
    pub id: UserId,
    pub doc: String,
    pub password: Option<String>,
    pub state: StoredUserState,
}

pub enum StoredUserState {
    Live { version: u32, active: u8, updated: i64, account: Option<String> },
    Deleted { at: i64, external_key: Option<String> },
}

/// Processes the rows that a query finds.
pub async fn rows_by_page(
    from: &impl Snapshot,
    query: RowQuery,
    mut each: impl FnMut(Row) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    const PAGE: u32 = 2_000;
    let query = query.limit(PAGE);
    let in_table = |error| match error {
        ArchiveError::Store(text) => ArchiveError::Store(format!("table {}: {text}", query.table.name)),
        error => error,
    };
    let ask = async |after| from.rows(query.clone().after(after)).await.map_err(in_table);
    let key = |row: &Row| query.position(row).split_off(query.equal.len());
    for_each_page(Vec::new(), ask, key, async |rows| rows.into_iter().try_for_each(&mut each)).await
}

/// Processes all pages of a list. The next page is queried while one is processed, so that a database and this process
/// work in parallel.
pub async fn for_each_page<T, K: Clone>(
    first: K,
    query: impl AsyncFn(K) -> Result<Vec<T>, ArchiveError>,
    key: impl Fn(&T) -> K,
    mut each: impl AsyncFnMut(Vec<T>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut page = query(first).await?;
    while let Some(last) = page.last() {
        let next = query(key(last));
        let processed = async {
            // Lets the connection's task send the query first.
            tokio::task::yield_now().await;
            each(page).await
        };
        let (next, processed) = join(next, processed).await;
        processed?;
        page = next?;
    }
    Ok(())
}
