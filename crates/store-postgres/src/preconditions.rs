//! What must hold for the writes of a batch, and which of it does not when a batch did not commit.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use super::tables;
use directory::{CommitError, Expected, Field, Row, RowQuery, RowWrite, Table, TenantNumber, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use store::sql::{self, Sql};
use store::translation::Write;
use store::unique_keys::UniqueKey;
use uuid::Uuid;

/// A precondition within a tenant.
#[derive(Clone, Debug)]
pub(super) enum Precondition {
    /// Always violated.
    Fails(CommitError),
    /// Number and version of a user.
    UserVersion(u32, u32),
    UserIdFree(Uuid),
    /// Id and version of an item.
    ItemVersion(Uuid, u32),
    ItemExists(Uuid),
    ItemIdFree(Uuid),
    /// Kind and number.
    ItemNumberFree(i16, u32),
    /// Kind and number. A taken one is skipped instead of rejected.
    AllocatedItemNumber(i16, u32),
    KeyFree(UniqueKey),
    /// The change was decided on the assumption that nobody has the key.
    KeyAssumedAbsent(UniqueKey),
    /// The change was decided on the assumption that no deleted user has the external id.
    NotDeleted(String),
    TombstoneIdFree(Uuid),
    /// Number and time of deletion.
    TombstoneExists(u32, i64),
    /// No row has these unique values.
    RowFree(RowQuery, Field),
    /// No other row than the one with this key has these unique values.
    RowFreeExcept(RowQuery, Row, Field),
    /// A row with this key has these values.
    RowHas(RowQuery, Vec<(usize, Value)>),
}

/// The preconditions of a write, in the order in which their violation is reported. Memberships and allocated
/// numbers have none: a retry reads them again.
pub(super) fn preconditions_of(write: &Write) -> Vec<Precondition> {
    match write {
        Write::Fail(error) => vec![Precondition::Fails(error.clone())],
        Write::RequireKeyAbsent(key) => vec![Precondition::KeyAssumedAbsent(key.clone())],
        Write::RequireNotDeleted(key) => vec![Precondition::NotDeleted(key.clone())],
        Write::AddUser(columns) => vec![Precondition::UserIdFree(columns.id.0)],
        Write::ChangeUser { before, columns, .. } => vec![Precondition::UserVersion(columns.number, *before)],
        Write::RemoveUser(removed) => vec![
            Precondition::UserVersion(removed.number, removed.version),
            Precondition::TombstoneIdFree(removed.id.0),
        ],
        Write::RestoreUser { deleted, columns, .. } => {
            vec![Precondition::TombstoneExists(columns.number, deleted.0), Precondition::UserIdFree(columns.id.0)]
        }
        Write::RemoveTombstone { number, deleted } => vec![Precondition::TombstoneExists(*number, deleted.0)],
        Write::AddItem { columns, is_allocated } => {
            let (kind, number) = (kind_code(columns.kind), columns.number);
            let number = if *is_allocated {
                Precondition::AllocatedItemNumber(kind, number)
            } else {
                Precondition::ItemNumberFree(kind, number)
            };
            vec![number, Precondition::ItemIdFree(columns.id.0)]
        }
        Write::ChangeItem { columns, is_reread: true, .. } => vec![Precondition::ItemExists(columns.id.0)],
        Write::ChangeItem { before, columns, .. } => vec![Precondition::ItemVersion(columns.id.0, *before)],
        Write::RemoveItem { id, version } => vec![Precondition::ItemVersion(id.0, *version)],
        Write::AddKey(key, _) => vec![Precondition::KeyFree(key.clone())],
        Write::AddMemberships(added) => {
            let mut items: Vec<Uuid> = added.rows.iter().map(|(item, ..)| item.0).collect();
            items.dedup();
            items.into_iter().map(Precondition::ItemExists).collect()
        }
        Write::Row { write, is_allocated: false } => row_preconditions(write),
        Write::Row { .. }
        | Write::RequireTenant
        | Write::AddTombstone { .. }
        | Write::TouchItem(..)
        | Write::RemoveKey(..)
        | Write::AddKeyIfFree { .. }
        | Write::AddSecondaryEmail { .. }
        | Write::RemoveSecondaryEmail { .. }
        | Write::RemoveMemberships(_)
        | Write::Event(_)
        | Write::SetLastNumber(..) => Vec::new(),
    }
}

fn row_preconditions(write: &RowWrite) -> Vec<Precondition> {
    match write {
        RowWrite::Insert(table, row) => {
            let free = |(columns, values, field)| {
                Precondition::RowFree(table.ordered_by(columns).equal(values).limit(1), field)
            };
            table.unique_values(row).map(free).collect()
        }
        RowWrite::Update { table, key, values, expected } => {
            let mut all = Vec::new();
            if let Expected::Row(old) = expected {
                all.push(Precondition::RowHas(table.row(key.clone()), old.clone()));
            }
            all.extend(changed_unique_values(table, key, values));
            all
        }
        RowWrite::Delete { table, key, expected: Expected::Row(values) } => {
            vec![Precondition::RowHas(table.row(key.clone()), values.clone())]
        }
        RowWrite::Put(..) | RowWrite::Delete { .. } => Vec::new(),
    }
}

/// The unique values that an update sets, as far as it has all of them.
fn changed_unique_values(
    table: &'static Table,
    key: &[Value],
    values: &[(usize, Value)],
) -> impl Iterator<Item = Precondition> {
    let value_of = |column: &usize| {
        let changed = values.iter().find(|(changed, _)| changed == column).map(|(_, value)| value);
        changed.or_else(|| key.get(*column)).filter(|value| **value != Value::Null).cloned()
    };
    let is_changed = |columns: &[usize]| values.iter().any(|(column, _)| columns.contains(column));
    table.unique.iter().filter(move |(columns, _)| is_changed(columns)).filter_map(move |(columns, field)| {
        let unique: Row = columns.iter().map(value_of).collect::<Option<_>>()?;
        Some(Precondition::RowFreeExcept(table.ordered_by(columns).equal(unique).limit(1), key.to_vec(), *field))
    })
}

/// A precondition of a change in a batch.
pub(super) struct ChangePrecondition {
    /// The index of the change.
    pub(super) change: usize,
    pub(super) tenant: TenantNumber,
    pub(super) precondition: Precondition,
}

/// The first violated precondition of each change, with the index of the change. If there is none, the batch can be
/// retried.
pub(super) async fn diagnose(
    session: &Session,
    preconditions: &[ChangePrecondition],
) -> Result<Vec<(usize, CommitError)>, PgError> {
    let mut stored: BTreeMap<TenantNumber, StoredState> = BTreeMap::new();
    for tenant in preconditions.iter().map(|one| one.tenant).collect::<BTreeSet<_>>() {
        let own = preconditions.iter().filter(|one| one.tenant == tenant).map(|one| &one.precondition);
        stored.insert(tenant, StoredState::read(session, int(tenant.0), own).await?);
    }
    let mut violations: Vec<(usize, CommitError)> = Vec::new();
    for ChangePrecondition { change, tenant, precondition } in preconditions {
        if violations.last().is_none_or(|(last, _)| last != change) {
            let error = stored.get(tenant).and_then(|stored| stored.violation(precondition));
            violations.extend(error.map(|error| (*change, error)));
        }
    }
    Ok(violations)
}

/// The stored data of a tenant that preconditions are about.
#[derive(Default)]
struct StoredState {
    user_versions: HashMap<u32, u32>,
    user_ids: HashSet<Uuid>,
    item_versions: HashMap<Uuid, u32>,
    item_numbers: HashSet<(i16, u32)>,
    unique_keys: HashSet<(u8, String)>,
    deleted_external_ids: HashSet<String>,
    tombstone_ids: HashSet<Uuid>,
    tombstones: HashSet<(u32, i64)>,
    /// By table and the values of the query.
    rows: HashMap<(&'static str, Vec<usize>, Row), Row>,
}

impl StoredState {
    fn violation(&self, precondition: &Precondition) -> Option<CommitError> {
        let stale = |is_met: bool| (!is_met).then_some(CommitError::Stale);
        let free = |is_free: bool, field: Field| (!is_free).then_some(CommitError::Taken(field));
        let has_key = |key: &UniqueKey| self.unique_keys.contains(&(key.namespace, key.text.clone()));
        match precondition {
            Precondition::Fails(error) => Some(error.clone()),
            Precondition::UserVersion(number, version) => stale(self.user_versions.get(number) == Some(version)),
            Precondition::UserIdFree(id) => free(!self.user_ids.contains(id), Field::Id),
            Precondition::ItemVersion(id, version) => stale(self.item_versions.get(id) == Some(version)),
            Precondition::ItemExists(id) => stale(self.item_versions.contains_key(id)),
            Precondition::ItemIdFree(id) => free(!self.item_versions.contains_key(id), Field::Id),
            Precondition::ItemNumberFree(kind, number) => {
                free(!self.item_numbers.contains(&(*kind, *number)), Field::Id)
            }
            Precondition::AllocatedItemNumber(..) => None,
            Precondition::KeyFree(key) => free(!has_key(key), key.field),
            Precondition::KeyAssumedAbsent(key) => stale(!has_key(key)),
            Precondition::NotDeleted(key) => stale(!self.deleted_external_ids.contains(key)),
            Precondition::TombstoneIdFree(id) => free(!self.tombstone_ids.contains(id), Field::Id),
            Precondition::TombstoneExists(number, deleted) => stale(self.tombstones.contains(&(*number, *deleted))),
            Precondition::RowFree(query, field) => free(!self.rows.contains_key(&row_key(query)), *field),
            Precondition::RowFreeExcept(query, key, field) => {
                let other = self.rows.get(&row_key(query)).filter(|row| query.table.key_of(row) != key);
                free(other.is_none(), *field)
            }
            Precondition::RowHas(query, values) => {
                let row = self.rows.get(&row_key(query));
                stale(row.is_some_and(|row| values.iter().all(|(column, value)| row[*column] == *value)))
            }
        }
    }

    async fn read(
        session: &Session,
        tenant: i32,
        preconditions: impl Iterator<Item = &Precondition>,
    ) -> Result<Self, PgError> {
        let mut state = Self::default();
        let (mut users, mut user_ids, mut items) = (Vec::new(), Vec::new(), Vec::new());
        let (mut spaces, mut texts, mut kinds, mut numbers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut external_ids, mut tombstone_ids, mut tombstones) = (Vec::new(), Vec::new(), Vec::new());
        for precondition in preconditions {
            match precondition {
                Precondition::UserVersion(number, _) => users.push(int(*number)),
                Precondition::UserIdFree(id) => user_ids.push(*id),
                Precondition::ItemVersion(id, _) | Precondition::ItemExists(id) | Precondition::ItemIdFree(id) => {
                    items.push(*id);
                }
                Precondition::ItemNumberFree(kind, number) => {
                    kinds.push(*kind);
                    numbers.push(int(*number));
                }
                Precondition::KeyFree(key) | Precondition::KeyAssumedAbsent(key) => {
                    spaces.push(i16::from(key.namespace));
                    texts.push(key.text.clone().into_bytes());
                }
                Precondition::NotDeleted(key) => external_ids.push(key.clone().into_bytes()),
                Precondition::TombstoneIdFree(id) => tombstone_ids.push(*id),
                Precondition::TombstoneExists(number, _) => tombstones.push(int(*number)),
                Precondition::RowFree(query, _)
                | Precondition::RowFreeExcept(query, ..)
                | Precondition::RowHas(query, _) => {
                    let found = tables::rows(session, query.clone()).await?.pop();
                    state.rows.extend(found.map(|row| (row_key(query), row)));
                }
                Precondition::Fails(_) | Precondition::AllocatedItemNumber(..) => {}
            }
        }
        let ask = async |sql: Sql, count: usize, params: &[&dyn Param]| {
            if count == 0 { Ok(Vec::new()) } else { session.query(sql.postgres, params).await }
        };
        for row in ask(sql::USER_VERSIONS, users.len(), &[&tenant, &users]).await? {
            state.user_versions.insert(number(&row, 0)?, number(&row, 1)?);
        }
        for row in ask(sql::EXISTING_USERS, user_ids.len(), &[&tenant, &user_ids]).await? {
            state.user_ids.insert(row.try_get(0)?);
        }
        for row in ask(sql::ITEM_VERSIONS, items.len(), &[&tenant, &items]).await? {
            state.item_versions.insert(row.try_get(0)?, number(&row, 1)?);
        }
        for row in ask(sql::EXISTING_ITEM_NUMBERS, numbers.len(), &[&tenant, &kinds, &numbers]).await? {
            state.item_numbers.insert((row.try_get(0)?, number(&row, 1)?));
        }
        for row in ask(sql::EXISTING_UNIQUE_KEYS, texts.len(), &[&tenant, &spaces, &texts]).await? {
            let namespace = u8::try_from(row.try_get::<_, i16>(0)?).unwrap_or(u8::MAX);
            state.unique_keys.insert((namespace, text(&row, 1)?));
        }
        for row in ask(sql::DELETED_EXTERNAL_IDS, external_ids.len(), &[&tenant, &external_ids]).await? {
            state.deleted_external_ids.insert(text(&row, 0)?);
        }
        for row in ask(sql::EXISTING_TOMBSTONES, tombstone_ids.len(), &[&tenant, &tombstone_ids]).await? {
            state.tombstone_ids.insert(row.try_get(0)?);
        }
        for row in ask(sql::TOMBSTONE_TIMES, tombstones.len(), &[&tenant, &tombstones]).await? {
            state.tombstones.insert((number(&row, 0)?, row.try_get(1)?));
        }
        Ok(state)
    }
}

fn row_key(query: &RowQuery) -> (&'static str, Vec<usize>, Row) {
    (query.table.name, query.order.to_vec(), query.equal.clone())
}

fn number(row: &tokio_postgres::Row, place: usize) -> Result<u32, PgError> {
    Ok(row.try_get::<_, i32>(place)?.unsigned_abs())
}

/// A text that is stored as bytes.
fn text(row: &tokio_postgres::Row, place: usize) -> Result<String, PgError> {
    Ok(String::from_utf8_lossy(row.try_get(place)?).into_owned())
}
