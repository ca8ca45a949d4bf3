//! What must be read before a batch can be planned, and the numbers it will assign. Writing checks what was
//! read: a batch that was planned from outdated data does not commit.

use super::managed_connection::Session;
use super::number_allocator::{NumberAllocator, SequenceKey};
use super::param::{int, kind_code, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::{connection_from_row, item_from_row};
use crate::sql;
use directory::{
    Change, CommitError, Connection, ConnectionId, Field, Item, ItemId, ItemKind, Mutation, TenantNumber, User, UserId,
};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Existing tenants. Tenants are never deleted.
#[derive(Default)]
pub(super) struct TenantCache(Mutex<HashSet<i32>>);

#[derive(Default)]
pub(super) struct Prefetched {
    numbers: HashMap<SequenceKey, ReservedNumbers>,
    users: HashMap<(i32, Uuid), u32>,
    membership_changes: HashMap<(TenantNumber, ItemId), MembershipChange>,
    connections: HashMap<ConnectionId, (String, Connection)>,
    /// Stored memberships of users; they may differ from those that the changes were decided from.
    memberships: HashMap<(i32, u32), (Vec<ItemId>, Vec<ItemId>)>,
    /// Whether to read memberships, too: a batch did not commit, perhaps because of them.
    pub(super) refresh_memberships: bool,
    pub(super) next_tenant: u32,
}

#[derive(Default)]
struct ReservedNumbers {
    all: Vec<u32>,
    used: usize,
}

/// An item, and the members that really change.
pub(super) struct MembershipChange {
    pub(super) item: Item,
    pub(super) members_added: Vec<(UserId, u32)>,
    pub(super) members_removed: Vec<(UserId, u32)>,
}

impl Prefetched {
    /// The next number; enough for the batch are reserved.
    pub(super) fn next_number(&mut self, tenant: TenantNumber, sort: i16) -> u32 {
        let reserved = self.numbers.entry((tenant_code(tenant), sort)).or_default();
        reserved.used += 1;
        reserved.all.get(reserved.used - 1).copied().unwrap_or(0)
    }

    pub(super) fn user_number(&self, tenant: i32, user: UserId) -> Option<u32> {
        self.users.get(&(tenant, user.0)).copied()
    }

    /// The user with the stored memberships, as far as they were read.
    pub(super) fn with_memberships(&self, tenant: i32, user: &User) -> User {
        let mut user = user.clone();
        if let Some((groups, folders)) = self.memberships.get(&(tenant, user.number)) {
            (user.groups, user.folders) = (groups.clone(), folders.clone());
        }
        user
    }

    pub(super) fn membership_change(&self, tenant: TenantNumber, item: ItemId) -> Option<&MembershipChange> {
        self.membership_changes.get(&(tenant, item))
    }

    pub(super) fn connection(&self, id: ConnectionId) -> Option<&(String, Connection)> {
        self.connections.get(&id)
    }

    /// Does not assign a number that a caller has requested explicitly.
    pub(super) fn exclude_number(&mut self, tenant: i32, kind: i16, number: u32) {
        if let Some(reserved) = self.numbers.get_mut(&(tenant, kind)) {
            reserved.all.retain(|one| *one != number);
        }
    }

    /// Releases the unused numbers, or all of them if the batch did not commit.
    pub(super) fn return_numbers(&mut self, numbers: &NumberAllocator, went_in: bool) {
        for (sort, reserved) in self.numbers.drain() {
            let used = if went_in { reserved.used } else { 0 };
            numbers.release(sort, reserved.all.into_iter().skip(used));
        }
    }

    /// Reads what the changes need, again where it may have changed. Returns the changes that cannot be carried out.
    pub(super) async fn prefetch(
        &mut self,
        session: &Session,
        changes: &[&Change],
        numbers: &NumberAllocator,
        tenants: &TenantCache,
    ) -> Result<Vec<(usize, CommitError)>, PgError> {
        let removed = tenants.missing_tenants(session, changes).await?;
        self.reserve(session, changes, numbers).await?;
        (self.users, self.membership_changes) = (HashMap::new(), HashMap::new());
        self.load_user_numbers(session, changes).await?;
        self.load_membership_changes(session, changes).await?;
        if self.refresh_memberships {
            self.load_memberships(session, changes).await?;
        }
        for change in changes {
            for edit in &change.mutations {
                match edit {
                    Mutation::ChangeConnection { after, .. } => {
                        if let Some(row) = session.query_opt(sql::CONNECTION.postgres, &[&after.id.0]).await? {
                            self.connections.insert(after.id, (row.try_get(0)?, connection_from_row(&row)?));
                        }
                    }
                    Mutation::AddTenant(tenant) if tenant.number.0 == 0 => {
                        let row = session.query_opt(sql::HIGHEST_TENANT.postgres, &[]).await?;
                        let highest: Option<i32> = row.map(|row| row.try_get(0)).transpose()?.flatten();
                        self.next_tenant = highest.map_or(1, |highest| unsigned(highest) + 1);
                    }
                    _ => {}
                }
            }
        }
        Ok(removed)
    }

    async fn reserve(
        &mut self,
        session: &Session,
        changes: &[&Change],
        numbers: &NumberAllocator,
    ) -> Result<(), PgError> {
        let mut wanted: HashMap<SequenceKey, usize> = HashMap::new();
        for change in changes {
            for edit in &change.mutations {
                let sort = match edit {
                    Mutation::AddUser { .. } => 0,
                    Mutation::AddItem { item, .. } if item.number() == 0 && item.kind() != ItemKind::Department => {
                        kind_code(item.kind())
                    }
                    _ => continue,
                };
                *wanted.entry((tenant_code(change.tenant), sort)).or_default() += 1;
            }
        }
        for reserved in self.numbers.values_mut() {
            reserved.used = 0;
        }
        for (sort, many) in wanted {
            let reserved = self.numbers.entry(sort).or_default();
            if let Some(missing) = many.checked_sub(reserved.all.len()).filter(|missing| *missing > 0) {
                reserved.all.extend(numbers.allocate(session, sort, missing).await?);
                reserved.all.sort_unstable();
            }
        }
        Ok(())
    }

    /// Numbers of the users that changes name by id.
    async fn load_user_numbers(&mut self, session: &Session, changes: &[&Change]) -> Result<(), PgError> {
        let (mut tenants, mut ids) = (Vec::new(), Vec::new());
        for change in changes {
            for edit in &change.mutations {
                let (members_added, members_removed): (&[UserId], &[UserId]) = match edit {
                    Mutation::AddItem { members, .. } => (members, &[]),
                    Mutation::ChangeItem { members_added, members_removed, .. }
                    | Mutation::ChangeMembers { members_added, members_removed, .. } => {
                        (members_added, members_removed)
                    }
                    _ => continue,
                };
                ids.extend(members_added.iter().chain(members_removed).map(|user| user.0));
                tenants.resize(ids.len(), tenant_code(change.tenant));
            }
        }
        if ids.is_empty() {
            return Ok(());
        }
        for row in session.query(sql::EXISTING_USERS.postgres, &[&tenants, &ids]).await? {
            self.users.insert((row.try_get(0)?, row.try_get(1)?), unsigned(row.try_get(2)?));
        }
        Ok(())
    }

    /// Memberships of the users that are changed or deleted.
    async fn load_memberships(&mut self, session: &Session, changes: &[&Change]) -> Result<(), PgError> {
        self.memberships.clear();
        for change in changes {
            for edit in &change.mutations {
                if let Mutation::ChangeUser { before: user, .. } | Mutation::RemoveUser(user) = edit {
                    let nothing = (Vec::new(), Vec::new());
                    self.memberships.insert((tenant_code(change.tenant), user.number), nothing);
                }
            }
        }
        let tenants: Vec<i32> = self.memberships.keys().map(|(tenant, _)| *tenant).collect();
        let numbers: Vec<i32> = self.memberships.keys().map(|(_, number)| int(*number)).collect();
        for row in session.query(sql::MEMBERSHIPS_OF_USERS.postgres, &[&tenants, &numbers]).await? {
            let (item, kind) = (ItemId(row.try_get(2)?), row.try_get::<_, i16>(3)?);
            let place = (row.try_get(0)?, unsigned(row.try_get(1)?));
            let Some((groups, folders)) = self.memberships.get_mut(&place) else { continue };
            if kind == kind_code(ItemKind::Group) {
                groups.push(item);
            } else if kind == kind_code(ItemKind::Folder) {
                folders.push(item);
            }
        }
        for (groups, folders) in self.memberships.values_mut() {
            groups.sort_unstable();
            folders.sort_unstable();
        }
        Ok(())
    }

    /// Items whose members change, and which of the users are members already.
    async fn load_membership_changes(&mut self, session: &Session, changes: &[&Change]) -> Result<(), PgError> {
        let edits = changes.iter().flat_map(|change| change.mutations.iter().map(|edit| (change.tenant, edit)));
        let asked: Vec<(TenantNumber, &Item, &[UserId], &[UserId])> = edits
            .filter_map(|(tenant, edit)| match edit {
                Mutation::ChangeMembers { item, members_added, members_removed } => {
                    Some((tenant, &**item, &members_added[..], &members_removed[..]))
                }
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return Ok(());
        }
        let places: Vec<i32> = (0..int(u32::try_from(asked.len()).unwrap_or(u32::MAX))).collect();
        let tenants: Vec<i32> = asked.iter().map(|(tenant, ..)| tenant_code(*tenant)).collect();
        let ids: Vec<Uuid> = asked.iter().map(|(_, item, ..)| item.id().0).collect();
        let mut stored: HashMap<usize, Item> = HashMap::new();
        for row in session.query(sql::ITEMS_BY_IDS.postgres, &[&places, &tenants, &ids]).await? {
            let place = usize::try_from(row.try_get::<_, i32>(3)?).unwrap_or(usize::MAX);
            stored.insert(place, item_from_row(&row)?);
        }
        let there = self.existing_members(session, &asked).await?;
        for (place, (tenant, item, members_added, members_removed)) in asked.into_iter().enumerate() {
            let Some(stored) = stored.remove(&place) else { continue };
            let (code, id) = (tenant_code(tenant), item.id());
            let is_there = |number: u32| there.contains(&(code, id.0, number));
            let (mut members_added, mut members_removed) =
                (self.with_numbers(code, members_added), self.with_numbers(code, members_removed));
            let mut seen = HashSet::new();
            members_added.retain(|(_, number)| !is_there(*number) && seen.insert(*number));
            let come = seen;
            let mut seen = HashSet::new();
            members_removed.retain(|(_, number)| is_there(*number) && !come.contains(number) && seen.insert(*number));
            self.membership_changes
                .insert((tenant, id), MembershipChange { item: stored, members_added, members_removed });
        }
        Ok(())
    }

    async fn existing_members(
        &self,
        session: &Session,
        asked: &[(TenantNumber, &Item, &[UserId], &[UserId])],
    ) -> Result<HashSet<(i32, Uuid, u32)>, PgError> {
        let (mut tenants, mut items, mut members) = (Vec::new(), Vec::new(), Vec::new());
        for (tenant, item, members_added, members_removed) in asked {
            let code = tenant_code(*tenant);
            for user in members_added.iter().chain(*members_removed) {
                if let Some(number) = self.user_number(code, *user) {
                    tenants.push(code);
                    items.push(item.id().0);
                    members.push(int(number));
                }
            }
        }
        let rows = session.query(sql::EXISTING_MEMBERSHIPS.postgres, &[&tenants, &items, &members]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, unsigned(row.try_get(2)?)))).collect()
    }

    /// A missing user gets number 0, which fails in the batch.
    fn with_numbers(&self, code: i32, users: &[UserId]) -> Vec<(UserId, u32)> {
        users.iter().map(|user| (*user, self.user_number(code, *user).unwrap_or(0))).collect()
    }
}

impl TenantCache {
    async fn missing_tenants(
        &self,
        session: &Session,
        changes: &[&Change],
    ) -> Result<Vec<(usize, CommitError)>, PgError> {
        let mut removed = Vec::new();
        for (place, change) in changes.iter().enumerate() {
            let is_inside = change.mutations.iter().any(|edit| {
                !matches!(
                    edit,
                    Mutation::AddTenant(_)
                        | Mutation::ChangeTenant { .. }
                        | Mutation::AddSecret(..)
                        | Mutation::RecordConnectionUse(..)
                        | Mutation::ChangeConnection { .. }
                )
            });
            let code = tenant_code(change.tenant);
            if is_inside && !self.is_known(code) {
                if session.query_opt(sql::TENANT.postgres, &[&code]).await?.is_some() {
                    self.0.lock().insert(code);
                } else {
                    removed.push((place, CommitError::MissingReference(Field::Number)));
                }
            }
        }
        Ok(removed)
    }

    fn is_known(&self, code: i32) -> bool {
        self.0.lock().contains(&code)
    }
}
