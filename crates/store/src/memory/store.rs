//! Implements [`directory::Store`] for the reference engine, with full scans.

use super::Memory;
use crate::tenant_snapshot::{PageQuery, SnapshotCursor};
use directory::{
    Account, BoxFuture, ChainReport, Change, CommitError, Event, EventFilter, EventPosition, Health, Item, ItemId,
    ItemKey, ItemKind, ItemPageBoundary, ItemQuery, Members, Page, PageBoundary, PasswordHash, Receipt, Row, RowQuery,
    SnapshotPage, Store, StoreError, Table, TenantNumber, TenantSnapshot, Time, Tombstone, User, UserId, UserKey,
    UserQuery, nfc,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

struct MemorySnapshot {
    /// A store that nobody writes to.
    frozen: Memory,
    tenant: TenantNumber,
    cursor: SnapshotCursor,
}

impl TenantSnapshot for MemorySnapshot {
    fn position(&self) -> EventPosition {
        EventPosition(self.frozen.snapshot().events.len() as u64)
    }

    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<SnapshotPage>, StoreError>> {
        Box::pin(async move {
            Ok(match self.cursor.next_query() {
                None => None,
                Some(PageQuery::Items(query)) => {
                    Some(self.cursor.advance_items(self.frozen.find_items(self.tenant, query).await?.rows))
                }
                Some(PageQuery::Users(query)) => {
                    Some(self.cursor.advance_users(self.frozen.find_users(self.tenant, query).await?.rows))
                }
            })
        })
    }
}

enum PageSide<T> {
    After(T),
    Before(T),
}

/// Cuts a page from sorted rows; `is_within` returns whether a row is on the requested side of the boundary.
fn page<T>(mut all: Vec<T>, skip: u64, limit: u32, side: PageSide<impl Fn(&T) -> bool>) -> Page<T> {
    let (total, limit) = (all.len() as u64, limit as usize);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let before = match side {
        PageSide::After(is_within) => {
            let outside = all.iter().filter(|row| !is_within(row)).count();
            outside.saturating_add(skip).min(all.len())
        }
        PageSide::Before(is_within) => {
            all.retain(is_within);
            all.len().saturating_sub(limit)
        }
    };
    Page { rows: all.into_iter().skip(before).take(limit).collect(), total, offset: before as u64 }
}

impl Store for Memory {
    fn users(&self, tenant: TenantNumber, keys: Vec<UserKey>) -> BoxFuture<'_, Result<Vec<Option<User>>, StoreError>> {
        self.read(|state| {
            let data = state.tenant_data.get(&tenant);
            keys.iter().map(|key| data.and_then(|data| data.user(key))).collect()
        })
    }

    fn find_users(&self, tenant: TenantNumber, query: UserQuery) -> BoxFuture<'_, Result<Page<User>, StoreError>> {
        self.read(|state| {
            let empty = || Page { rows: Vec::new(), total: 0, offset: 0 };
            let Some(data) = state.tenant_data.get(&tenant) else { return empty() };
            let all = data.users.values().map(|user| data.with_memberships(user));
            let mut all: Vec<User> = all.filter(|user| query.predicates.iter().all(|t| t.matches(user))).collect();
            query.sort.apply(&mut all);
            let is_within = |user: &User| query.sort.is_within_boundary(user, query.boundary.as_ref());
            let is_backward = matches!(query.boundary, Some(PageBoundary::Before(_)));
            page(
                all,
                query.offset,
                query.limit,
                if is_backward { PageSide::Before(is_within) } else { PageSide::After(is_within) },
            )
        })
    }

    fn items(
        &self,
        tenant: TenantNumber,
        keys: Vec<(ItemKind, ItemKey)>,
    ) -> BoxFuture<'_, Result<Vec<Option<Item>>, StoreError>> {
        self.read(|state| {
            let data = state.tenant_data.get(&tenant);
            keys.iter().map(|(kind, key)| data.and_then(|data| data.item(*kind, key))).collect()
        })
    }

    fn find_items(&self, tenant: TenantNumber, query: ItemQuery) -> BoxFuture<'_, Result<Page<Item>, StoreError>> {
        self.read(|state| {
            let empty = || Page { rows: Vec::new(), total: 0, offset: 0 };
            let Some(data) = state.tenant_data.get(&tenant) else { return empty() };
            let all = data.items.range((query.kind, 0)..=(query.kind, u32::MAX)).map(|(_, item)| item);
            let all = all.filter(|item| query.predicates.iter().all(|t| t.matches(item))).cloned().collect();
            let is_within = |item: &Item| query.boundary.is_none_or(|bound| bound.contains(item.number()));
            let is_backward = matches!(query.boundary, Some(ItemPageBoundary::Before(_)));
            page(
                all,
                query.offset,
                query.limit,
                if is_backward { PageSide::Before(is_within) } else { PageSide::After(is_within) },
            )
        })
    }

    fn members_of(&self, tenant: TenantNumber, items: Vec<ItemId>) -> BoxFuture<'_, Result<Members, StoreError>> {
        self.read(|state| {
            let mut members = Members::new();
            let Some(data) = state.tenant_data.get(&tenant) else { return members };
            for user in data.users.values() {
                for item in items.iter().copied().collect::<BTreeSet<_>>() {
                    if data.members.contains(&(item, user.number)) {
                        members.entry(item).or_default().push((user.id, user.number));
                    }
                }
            }
            members
        })
    }

    fn tenant_snapshot(&self, tenant: TenantNumber) -> BoxFuture<'_, Result<Box<dyn TenantSnapshot>, StoreError>> {
        let frozen = Memory { state: parking_lot::Mutex::new(self.snapshot()), ..Memory::default() };
        let view = MemorySnapshot { frozen, tenant, cursor: SnapshotCursor::default() };
        Box::pin(std::future::ready(Ok(Box::new(view) as Box<dyn TenantSnapshot>)))
    }

    fn wait_for_events(&self, after: EventPosition) -> BoxFuture<'_, ()> {
        let exists = move || -> BoxFuture<'_, bool> {
            Box::pin(std::future::ready(self.snapshot().events.len() as u64 > after.0))
        };
        Box::pin(self.events.wait(after, exists))
    }

    fn last_event_position(&self) -> BoxFuture<'_, Result<EventPosition, StoreError>> {
        let last = self.snapshot().events.len() as u64;
        Box::pin(std::future::ready(Ok(EventPosition(last))))
    }

    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        self.read(|state| {
            let Some(data) = state.tenant_data.get(&tenant) else { return Vec::new() };
            let later = data.users.values().filter(|user| user.number > after);
            let members = later.filter(|user| data.members.contains(&(item, user.number)));
            members.take(limit as usize).map(|user| (user.id, user.number)).collect()
        })
    }

    fn rows(&self, query: RowQuery) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        self.read(|state| state.rows(&query))
    }

    fn rows_with_keys(&self, table: &'static Table, keys: Vec<Row>) -> BoxFuture<'_, Result<Vec<Row>, StoreError>> {
        self.read(|state| state.rows_with_keys(table, &keys))
    }

    fn count_rows(&self, query: RowQuery, by: &'static [usize]) -> BoxFuture<'_, Result<Vec<(Row, u64)>, StoreError>> {
        self.read(|state| {
            let mut counts = BTreeMap::new();
            for row in state.rows(&query) {
                *counts.entry(by.iter().map(|column| row[*column].clone()).collect()).or_default() += 1;
            }
            counts.into_iter().collect()
        })
    }

    fn commit(&self, change: Change) -> BoxFuture<'_, Result<Receipt, CommitError>> {
        let result = self.commit_change(change);
        Box::pin(std::future::ready(result))
    }

    fn events(
        &self,
        filter: EventFilter,
        after: EventPosition,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.read(|state| {
            let events = state.events.iter().skip(usize::try_from(after.0).unwrap_or(usize::MAX));
            let matching = events.filter(|event| filter.matches(&event.data));
            matching.take(limit as usize).map(|event| Event::clone(event)).collect()
        })
    }

    fn accounts(
        &self,
        tenant: TenantNumber,
        users: Vec<UserId>,
    ) -> BoxFuture<'_, Result<HashMap<UserId, Account>, StoreError>> {
        self.read(|state| {
            let Some(data) = state.tenant_data.get(&tenant) else { return HashMap::new() };
            let existing = data.users.values().map(|user| user.id).filter(|id| users.contains(id));
            existing.map(|id| (id, data.accounts.get(&id).cloned().unwrap_or_default())).collect()
        })
    }

    fn tombstone(&self, tenant: TenantNumber, by: UserKey) -> BoxFuture<'_, Result<Option<Tombstone>, StoreError>> {
        self.read(|state| {
            let tombstones = state.tenant_data.get(&tenant)?.tombstones.values().map(|(tombstone, _)| tombstone);
            let found = tombstones.filter(|tombstone| match &by {
                UserKey::Id(id) => tombstone.user.id == *id,
                UserKey::Number(number) => tombstone.user.number == *number,
                UserKey::ExternalId(id) => tombstone.user.external_id.as_deref().map(nfc) == Some(nfc(id)),
                UserKey::Email(_) | UserKey::Login(_) | UserKey::LoginConstantTime(_) => false,
            });
            found.max_by_key(|tombstone| (tombstone.deleted, tombstone.user.number)).cloned()
        })
    }

    fn password_hashes(
        &self,
        tenant: TenantNumber,
        numbers: RangeInclusive<u32>,
    ) -> BoxFuture<'_, Result<Vec<(u32, PasswordHash)>, StoreError>> {
        self.read(move |state| {
            let Some(data) = state.tenant_data.get(&tenant) else { return Vec::new() };
            let password = |user: &User| data.accounts.get(&user.id)?.password_hash.clone();
            let among = data.users.values().filter(|user| numbers.contains(&user.number));
            among.filter_map(|user| Some((user.number, password(user)?))).collect()
        })
    }

    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<Tombstone>, StoreError>> {
        self.read(|state| {
            let Some(data) = state.tenant_data.get(&tenant) else { return Vec::new() };
            let later = data.tombstones.iter().filter(|(number, _)| **number > after);
            later.map(|(_, (tombstone, _))| tombstone.clone()).take(limit as usize).collect()
        })
    }

    fn tombstones_between(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>> {
        self.read(|state| {
            let of = |(tenant, data): (&TenantNumber, &Arc<super::TenantData>)| {
                let tombstones = data.tombstones.values().map(|(tombstone, _)| (*tenant, tombstone.clone()));
                tombstones
                    .filter(|(_, tombstone)| (between.0..=between.1).contains(&tombstone.deleted))
                    .collect::<Vec<_>>()
            };
            let mut all: Vec<_> = state.tenant_data.iter().flat_map(of).collect();
            all.sort_by_key(|(tenant, tombstone)| (tombstone.deleted, *tenant, tombstone.user.number));
            all.truncate(limit as usize);
            all
        })
    }

    fn chain_hash_at(
        &self,
        tenant: TenantNumber,
        at: EventPosition,
    ) -> BoxFuture<'_, Result<Option<[u8; 32]>, StoreError>> {
        // This engine has no chain.
        let _ = (tenant, at);
        Box::pin(std::future::ready(Ok(None)))
    }

    fn verify_chain(
        &self,
        tenant: Option<TenantNumber>,
    ) -> BoxFuture<'_, Result<BTreeMap<TenantNumber, ChainReport>, StoreError>> {
        self.read(|state| {
            // No other process can change this memory.
            let mut found = BTreeMap::<TenantNumber, ChainReport>::new();
            for event in state.events.iter().filter(|event| tenant.is_none_or(|of| of == event.data.tenant)) {
                let chain = found.entry(event.data.tenant).or_default();
                chain.verified_events += 1;
                chain.last_position = event.position;
            }
            found
        })
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, StoreError>> {
        self.read(|state| Health {
            engine: "memory",
            commits: state.commits,
            changes: state.commits,
            ..Health::default()
        })
    }
}
