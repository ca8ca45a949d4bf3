//! The reference engine as a store: questions answered by looking at everything.

use super::Memory;
use directory::{
    Account, Bound, Chain, Change, CommitError, Connection, ConnectionId, Event, Health, Item, ItemBound,
    ItemId, ItemKey, ItemKind, ItemQuery, Mail, Page, Pending, Position, Receipt, ServerSecret, Store,
    StoreError, StoredPassword, Tenant, TenantNumber, Time, Tombstone, User, UserId, UserKey, UserQuery, nfc,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The side of a bound that a page is on.
enum Side<T> {
    Behind(T),
    InFront(T),
}

/// A page of rows in order; `is_within` says which of them are on the right side of a bound.
fn page<T>(mut all: Vec<T>, skip: u64, limit: u32, side: Side<impl Fn(&T) -> bool>) -> Page<T> {
    let (total, limit) = (all.len() as u64, limit as usize);
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let before = match side {
        Side::Behind(is_within) => {
            let outside = all.iter().filter(|row| !is_within(row)).count();
            outside.saturating_add(skip).min(all.len())
        }
        Side::InFront(is_within) => {
            all.retain(is_within);
            all.len().saturating_sub(limit)
        }
    };
    Page { rows: all.into_iter().skip(before).take(limit).collect(), total, before: before as u64 }
}

impl Store for Memory {
    fn user(&self, tenant: TenantNumber, by: UserKey) -> Pending<'_, Result<Option<User>, StoreError>> {
        self.read(|state| state.shelves.get(&tenant).and_then(|shelf| shelf.user(&by)))
    }

    fn users(&self, tenant: TenantNumber, query: UserQuery) -> Pending<'_, Result<Page<User>, StoreError>> {
        self.read(|state| {
            let nobody = || Page { rows: Vec::new(), total: 0, before: 0 };
            let Some(shelf) = state.shelves.get(&tenant) else { return nobody() };
            let all = shelf.users.values().map(|user| shelf.whole(user));
            let mut all: Vec<User> = all.filter(|user| query.tests.iter().all(|t| t.matches(user))).collect();
            query.sort.apply(&mut all);
            let is_within = |user: &User| query.sort.is_within(user, query.bound.as_ref());
            let is_backward = matches!(query.bound, Some(Bound::Before(_)));
            page(
                all,
                query.skip,
                query.limit,
                if is_backward { Side::InFront(is_within) } else { Side::Behind(is_within) },
            )
        })
    }

    fn item(
        &self,
        tenant: TenantNumber,
        kind: ItemKind,
        by: ItemKey,
    ) -> Pending<'_, Result<Option<Item>, StoreError>> {
        self.read(|state| state.shelves.get(&tenant).and_then(|shelf| shelf.item(kind, &by)))
    }

    fn items(&self, tenant: TenantNumber, query: ItemQuery) -> Pending<'_, Result<Page<Item>, StoreError>> {
        self.read(|state| {
            let nothing = || Page { rows: Vec::new(), total: 0, before: 0 };
            let Some(shelf) = state.shelves.get(&tenant) else { return nothing() };
            let all = shelf.items.range((query.kind, 0)..=(query.kind, u32::MAX)).map(|(_, item)| item);
            let all = all.filter(|item| query.tests.iter().all(|t| t.matches(item))).cloned().collect();
            let is_within = |item: &Item| query.bound.is_none_or(|bound| bound.holds(item.number()));
            let is_backward = matches!(query.bound, Some(ItemBound::Before(_)));
            page(
                all,
                query.skip,
                query.limit,
                if is_backward { Side::InFront(is_within) } else { Side::Behind(is_within) },
            )
        })
    }

    fn members(
        &self,
        tenant: TenantNumber,
        item: ItemId,
    ) -> Pending<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        self.read(|state| {
            let Some(shelf) = state.shelves.get(&tenant) else { return Vec::new() };
            let members = shelf.users.values().filter(|user| shelf.members.contains(&(item, user.id)));
            members.map(|user| (user.id, user.number)).collect()
        })
    }

    fn members_after(
        &self,
        tenant: TenantNumber,
        item: ItemId,
        after: u32,
        limit: u32,
    ) -> Pending<'_, Result<Vec<(UserId, u32)>, StoreError>> {
        self.read(|state| {
            let Some(shelf) = state.shelves.get(&tenant) else { return Vec::new() };
            let later = shelf.users.values().filter(|user| user.number > after);
            let members = later.filter(|user| shelf.members.contains(&(item, user.id)));
            members.take(limit as usize).map(|user| (user.id, user.number)).collect()
        })
    }

    fn secret(&self, name: &'static str) -> Pending<'_, Result<Option<ServerSecret>, StoreError>> {
        self.read(|state| state.secrets.get(name).cloned())
    }

    fn tenant(&self, number: TenantNumber) -> Pending<'_, Result<Option<Tenant>, StoreError>> {
        self.read(|state| state.tenants.get(&number).cloned())
    }

    fn tenants(&self) -> Pending<'_, Result<Vec<Tenant>, StoreError>> {
        self.read(|state| state.tenants.values().cloned().collect())
    }

    fn connections_near(&self, prefix: [u8; 4]) -> Pending<'_, Result<Vec<Connection>, StoreError>> {
        self.read(|state| {
            let near = |c: &&Connection| c.keys.iter().any(|key| key.hash.prefix() == prefix);
            state.connections.iter().filter(near).cloned().collect()
        })
    }

    fn connections(&self, tenant: Option<TenantNumber>) -> Pending<'_, Result<Vec<Connection>, StoreError>> {
        self.read(|state| {
            let of_tenant = |c: &&Connection| tenant.is_none_or(|tenant| c.tenant == tenant);
            state.connections.iter().filter(of_tenant).cloned().collect()
        })
    }

    fn connection(&self, id: ConnectionId) -> Pending<'_, Result<Option<Connection>, StoreError>> {
        self.read(|state| state.connections.iter().find(|c| c.id == id).cloned())
    }

    fn commit(&self, change: Change) -> Pending<'_, Result<Receipt, CommitError>> {
        let done = self.write(change);
        Box::pin(std::future::ready(done))
    }

    fn events(&self, after: Position, limit: u32) -> Pending<'_, Result<Vec<Event>, StoreError>> {
        self.read(|state| {
            let skip = usize::try_from(after.0).unwrap_or(usize::MAX);
            state.events.iter().skip(skip).take(limit as usize).map(|event| Event::clone(event)).collect()
        })
    }

    fn account(
        &self,
        tenant: TenantNumber,
        user: UserId,
    ) -> Pending<'_, Result<Option<Account>, StoreError>> {
        self.read(|state| {
            let shelf = state.shelves.get(&tenant)?;
            shelf.users.values().find(|known| known.id == user)?;
            Some(shelf.accounts.get(&user).cloned().unwrap_or_default())
        })
    }

    fn tombstone(
        &self,
        tenant: TenantNumber,
        by: UserKey,
    ) -> Pending<'_, Result<Option<Tombstone>, StoreError>> {
        self.read(|state| {
            let stones = state.shelves.get(&tenant)?.tombstones.values().map(|(stone, _)| stone);
            let found = stones.filter(|stone| match &by {
                UserKey::Id(id) => stone.user.id == *id,
                UserKey::Number(number) => stone.user.number == *number,
                UserKey::ExternalId(id) => stone.user.external_id.as_deref().map(nfc) == Some(nfc(id)),
                UserKey::Email(_) | UserKey::Handle(_) | UserKey::SignIn(_) => false,
            });
            found.max_by_key(|stone| (stone.deleted, stone.user.number)).cloned()
        })
    }

    fn passwords(
        &self,
        tenant: TenantNumber,
        (first, last): (u32, u32),
    ) -> Pending<'_, Result<Vec<(u32, StoredPassword)>, StoreError>> {
        self.read(|state| {
            let Some(shelf) = state.shelves.get(&tenant) else { return Vec::new() };
            let password = |user: &User| shelf.accounts.get(&user.id)?.password.clone();
            let among = shelf.users.values().filter(|user| (first..=last).contains(&user.number));
            among.filter_map(|user| Some((user.number, password(user)?))).collect()
        })
    }

    fn tombstones(
        &self,
        tenant: TenantNumber,
        after: u32,
        limit: u32,
    ) -> Pending<'_, Result<Vec<Tombstone>, StoreError>> {
        self.read(|state| {
            let Some(shelf) = state.shelves.get(&tenant) else { return Vec::new() };
            let later = shelf.tombstones.iter().filter(|(number, _)| **number > after);
            later.map(|(_, (stone, _))| stone.clone()).take(limit as usize).collect()
        })
    }

    fn tombstones_before(
        &self,
        between: (Time, Time),
        limit: u32,
    ) -> Pending<'_, Result<Vec<(TenantNumber, Tombstone)>, StoreError>> {
        self.read(|state| {
            let of = |(tenant, shelf): (&TenantNumber, &Arc<super::Shelf>)| {
                let stones = shelf.tombstones.values().map(|(stone, _)| (*tenant, stone.clone()));
                stones
                    .filter(|(_, stone)| (between.0..=between.1).contains(&stone.deleted))
                    .collect::<Vec<_>>()
            };
            let mut all: Vec<_> = state.shelves.iter().flat_map(of).collect();
            all.sort_by_key(|(tenant, stone)| (stone.deleted, *tenant, stone.user.number));
            all.truncate(limit as usize);
            all
        })
    }

    fn mails_due(&self, now: Time, limit: u32) -> Pending<'_, Result<Vec<Mail>, StoreError>> {
        self.read(|state| {
            let mut due: Vec<Mail> =
                state.mails.values().filter(|mail| mail.due.is_some_and(|due| due <= now)).cloned().collect();
            due.sort_by_key(|mail| (mail.due, mail.id));
            due.truncate(limit as usize);
            due
        })
    }

    fn mails(
        &self,
        tenant: TenantNumber,
        user: Option<UserId>,
        after: (Time, Uuid),
        limit: u32,
    ) -> Pending<'_, Result<Vec<Mail>, StoreError>> {
        self.read(|state| {
            let is_asked = |mail: &&Mail| match user {
                Some(user) => mail.tenant == tenant && mail.user == user,
                None => mail.tenant == tenant && (mail.queued, mail.id) > after,
            };
            let mut all: Vec<Mail> = state.mails.values().filter(is_asked).cloned().collect();
            all.sort_by_key(|mail| (mail.queued, mail.id));
            all.truncate(limit as usize);
            all
        })
    }

    fn history(
        &self,
        tenant: TenantNumber,
        user: UserId,
        after: Position,
        limit: u32,
    ) -> Pending<'_, Result<Vec<Event>, StoreError>> {
        self.read(|state| {
            let id = user.to_string();
            let holds = |event: &&Arc<Event>| {
                let what = &event.what;
                let told = serde_json::to_string(&(&what.before, &what.after, &what.joined, &what.left));
                what.tenant == tenant && event.position > after && told.is_ok_and(|told| told.contains(&id))
            };
            state.events.iter().filter(holds).take(limit as usize).map(|event| Event::clone(event)).collect()
        })
    }

    fn link_at(
        &self,
        tenant: TenantNumber,
        at: Position,
    ) -> Pending<'_, Result<Option<[u8; 32]>, StoreError>> {
        // It chains nothing.
        let _ = (tenant, at);
        Box::pin(std::future::ready(Ok(None)))
    }

    fn verify(
        &self,
        tenant: Option<TenantNumber>,
    ) -> Pending<'_, Result<BTreeMap<TenantNumber, Chain>, StoreError>> {
        self.read(|state| {
            // What is in this memory cannot be changed by anybody else.
            let mut found = BTreeMap::<TenantNumber, Chain>::new();
            for event in state.events.iter().filter(|event| tenant.is_none_or(|of| of == event.what.tenant)) {
                let chain = found.entry(event.what.tenant).or_default();
                chain.events += 1;
                chain.last = event.position;
            }
            found
        })
    }

    fn health(&self) -> Pending<'_, Result<Health, StoreError>> {
        self.read(|state| Health {
            engine: "memory",
            commits: state.commits,
            changes: state.commits,
            ..Health::default()
        })
    }
}
