//! Reads what must be known before the changes of a batch are translated. Their writes check it: a batch that was
//! planned from outdated data does not commit.

use super::managed_connection::Session;
use super::number_allocator::{NumberAllocator, SequenceKey};
use super::param::{int, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::item_from_row;
use super::tables;
use directory::{Change, CommitError, Field, ItemId, ItemKind, Record, Tenant, TenantNumber, UserId};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use store::sql;
use store::translation::{Known, Read, Sequence, reads_of};
use store::unique_keys::kind_index;
use uuid::Uuid;

/// Existing tenants. Tenants are never deleted.
#[derive(Default)]
pub(super) struct TenantCache(Mutex<HashSet<TenantNumber>>);

#[derive(Default)]
pub(super) struct Prefetched {
    /// Reserved for the batch, ascending.
    reserved: HashMap<(TenantNumber, Sequence), Vec<u32>>,
    /// Whether to read memberships, too: a batch did not commit, perhaps because of them.
    pub(super) refresh_memberships: bool,
}

/// What the changes of one tenant need.
#[derive(Default)]
struct Wanted {
    numbers: HashMap<Sequence, usize>,
    /// Numbers of users whose memberships are needed.
    memberships: Vec<i32>,
    users: Vec<Uuid>,
    /// Items and the users who may be their members.
    members: Vec<(ItemId, Vec<UserId>)>,
}

impl Prefetched {
    /// Never assigns a number that a caller has requested explicitly.
    pub(super) fn exclude_number(&mut self, tenant: TenantNumber, sequence: Sequence, number: u32) {
        if let Some(reserved) = self.reserved.get_mut(&(tenant, sequence)) {
            reserved.retain(|one| *one != number);
        }
    }

    /// Releases the numbers that a committed batch has left in `known`, or all of them if it did not commit.
    pub(super) fn return_numbers(&mut self, numbers: &NumberAllocator, known: Option<&Known>) {
        for (key, reserved) in self.reserved.drain() {
            let unused = match known {
                Some(known) => known.numbers.get(&key).into_iter().flatten().copied().collect(),
                None => reserved,
            };
            numbers.release(sequence_key(key), unused);
        }
    }

    /// Reads what the changes need. Returns the changes that cannot be carried out.
    pub(super) async fn prefetch(
        &mut self,
        session: &Session,
        changes: &[&Change],
        numbers: &NumberAllocator,
        tenants: &TenantCache,
    ) -> Result<(Known, Vec<(usize, CommitError)>), PgError> {
        let mut known = Known::default();
        let mut wanted: BTreeMap<TenantNumber, Wanted> = BTreeMap::new();
        for change in changes {
            let own = wanted.entry(change.tenant).or_default();
            for read in change.mutations.iter().flat_map(reads_of) {
                match read {
                    Read::Number(sequence) => *own.numbers.entry(sequence).or_default() += 1,
                    Read::Memberships(number) if self.refresh_memberships => own.memberships.push(int(number)),
                    // Assumed to be as decided, until a batch fails.
                    Read::Memberships(_) => {}
                    Read::Users(users) => own.users.extend(users.iter().map(|user| user.0)),
                    Read::Membership { item, users, .. } => {
                        own.users.extend(users.iter().map(|user| user.0));
                        own.members.push((item, users));
                    }
                    Read::HighestTenant => {
                        let row = session.query_opt(sql::HIGHEST_TENANT.postgres, &[]).await?;
                        let highest: Option<i32> = row.map(|row| row.try_get(0)).transpose()?.flatten();
                        known.highest_tenant = highest.map_or(0, unsigned);
                    }
                    Read::Row(query) => {
                        known.add_row(&query, tables::rows(session, query.clone()).await?.pop());
                    }
                }
            }
        }
        let rejected = tenants.missing_tenants(session, changes).await?;
        for (tenant, own) in wanted {
            self.reserve(session, tenant, &own.numbers, numbers, &mut known).await?;
            read_users(session, tenant, &own.users, &mut known).await?;
            read_members(session, tenant, own.members, &mut known).await?;
            read_memberships(session, tenant, &own.memberships, &mut known).await?;
        }
        Ok((known, rejected))
    }

    async fn reserve(
        &mut self,
        session: &Session,
        tenant: TenantNumber,
        wanted: &HashMap<Sequence, usize>,
        numbers: &NumberAllocator,
        known: &mut Known,
    ) -> Result<(), PgError> {
        for (sequence, count) in wanted {
            let key = (tenant, *sequence);
            let reserved = self.reserved.entry(key).or_default();
            if let Some(missing) = count.checked_sub(reserved.len()).filter(|missing| *missing > 0) {
                reserved.extend(numbers.allocate(session, sequence_key(key), missing).await?);
                reserved.sort_unstable();
            }
            known.numbers.insert(key, VecDeque::from(reserved.clone()));
        }
        Ok(())
    }
}

async fn read_users(
    session: &Session,
    tenant: TenantNumber,
    users: &Vec<Uuid>,
    known: &mut Known,
) -> Result<(), PgError> {
    if users.is_empty() {
        return Ok(());
    }
    for row in session.query(sql::EXISTING_USERS.postgres, &[&tenant_code(tenant), users]).await? {
        known.users.insert((tenant, UserId(row.try_get(0)?)), unsigned(row.try_get(1)?));
    }
    Ok(())
}

/// Items whose members change, and which of the users are members already.
async fn read_members(
    session: &Session,
    tenant: TenantNumber,
    wanted: Vec<(ItemId, Vec<UserId>)>,
    known: &mut Known,
) -> Result<(), PgError> {
    if wanted.is_empty() {
        return Ok(());
    }
    let code = tenant_code(tenant);
    let ids: Vec<Uuid> = wanted.iter().map(|(item, _)| item.0).collect();
    for row in session.query(sql::ITEMS_TO_CHANGE.postgres, &[&code, &ids]).await? {
        let item = item_from_row(&row)?;
        known.items.insert((tenant, item.id()), item);
    }
    let (mut items, mut members) = (Vec::new(), Vec::new());
    for (item, users) in wanted {
        for number in users.into_iter().filter_map(|user| known.user_number(tenant, user)) {
            items.push(item.0);
            members.push(int(number));
        }
    }
    for row in session.query(sql::EXISTING_MEMBERSHIPS.postgres, &[&code, &items, &members]).await? {
        known.members.insert((tenant, ItemId(row.try_get(0)?), unsigned(row.try_get(1)?)));
    }
    Ok(())
}

async fn read_memberships(
    session: &Session,
    tenant: TenantNumber,
    numbers: &Vec<i32>,
    known: &mut Known,
) -> Result<(), PgError> {
    if numbers.is_empty() {
        return Ok(());
    }
    let none = || (Vec::new(), Vec::new());
    known.memberships.extend(numbers.iter().map(|number| ((tenant, unsigned(*number)), none())));
    for row in session.query(sql::MEMBERSHIPS_OF_USERS.postgres, &[&tenant_code(tenant), numbers]).await? {
        let (item, kind) = (ItemId(row.try_get(1)?), row.try_get::<_, i16>(2)?);
        let (groups, folders) = known.memberships.entry((tenant, unsigned(row.try_get(0)?))).or_insert_with(none);
        match ItemKind::ALL.into_iter().find(|one| i16::from(1 + kind_index(*one)) == kind) {
            Some(ItemKind::Group) => groups.push(item),
            Some(ItemKind::Folder) => folders.push(item),
            _ => {}
        }
    }
    for (groups, folders) in known.memberships.values_mut() {
        groups.sort_unstable();
        folders.sort_unstable();
    }
    Ok(())
}

fn sequence_key((tenant, sequence): (TenantNumber, Sequence)) -> SequenceKey {
    (tenant_code(tenant), i16::from(sequence.code()))
}

impl TenantCache {
    async fn missing_tenants(
        &self,
        session: &Session,
        changes: &[&Change],
    ) -> Result<Vec<(usize, CommitError)>, PgError> {
        let mut rejected = Vec::new();
        for (place, change) in changes.iter().enumerate() {
            let is_inside = change.mutations.iter().any(store::translation::is_within_tenant);
            if !is_inside || self.0.lock().contains(&change.tenant) {
                continue;
            }
            if tables::rows(session, Tenant::table().row(vec![change.tenant.0.into()])).await?.is_empty() {
                rejected.push((place, CommitError::MissingReference(Field::Number)));
            } else {
                self.0.lock().insert(change.tenant);
            }
        }
        Ok(rejected)
    }
}
