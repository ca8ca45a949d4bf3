//! The rows of a batch by table and tenant. All rows of a statement are sent as columns, and all statements of a batch
//! are pipelined.

use super::columns::{SqlType, Statement, columns_of};
use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use super::tables::TableWrites;
use directory::{ItemId, ItemKind, TenantNumber, Time, Value};
use futures_util::future::{MaybeDone, maybe_done};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use store::event_row::{ChangeContext, EncodedEvent, EventEntry};
use store::page_builder::block_of;
use store::sql::{self, Sql};
use store::translation::{Memberships, RemovedUser, Side, UserColumns, Write};
use store::unique_keys::UniqueKey;
use uuid::Uuid;

/// A kind of statement. They are sent in this order: what is released comes before what is claimed, and referenced rows
/// come before those that refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Users whose memberships change through items: other changes of them wait until this batch has ended.
    LockUsers,
    LockMembers,
    ChangeUsers,
    RemoveMemberships,
    RemoveExactMemberships,
    RemoveMembershipsOfItems,
    ChangeItems,
    MoveUsersToTombstones,
    RestoreUsers,
    RemoveTombstones,
    RemoveItems,
    RemoveUsers,
    TouchItems,
    RemoveKeys,
    AddKeys,
    RequireKeysAbsent,
    RequireNotDeleted,
    RemoveSecondaryEmails,
    AddUsers,
    AddTombstones,
    AddSecondaryEmails,
    AddItems,
    AddMemberships,
    AddExactMemberships,
    SetLastNumbers,
    AddEvents,
    AddEventSubjects,
    AddPendingCounts,
}

impl Step {
    /// The statement, and the types of its columns after the tenant.
    fn parts(self) -> (Sql, &'static [SqlType]) {
        use SqlType::{Bool, Bytes, Int2, Int4, Int8, Text, Uuid as Id};
        match self {
            Self::LockUsers => (sql::LOCK_USERS, &[Int4]),
            Self::LockMembers => (sql::LOCK_MEMBERS, &[Id]),
            Self::ChangeUsers => (sql::CHANGE_USERS, &[Int4, Int4, Int4, Int2, Int8, Text, Text, Text]),
            Self::RemoveMemberships => (sql::REMOVE_MEMBERSHIPS, &[Id, Int4]),
            Self::RemoveExactMemberships => (sql::REMOVE_EXACT_MEMBERSHIPS, &[Id, Int4]),
            Self::RemoveMembershipsOfItems => (sql::REMOVE_MEMBERSHIPS_OF_ITEM, &[Id]),
            Self::ChangeItems => (sql::CHANGE_ITEM, &[Id, Int4, Int4, Bytes, Text, Int8]),
            Self::MoveUsersToTombstones => (sql::ADD_TOMBSTONE, &[Int4, Int4, Int8, Bytes, Text]),
            Self::RestoreUsers => {
                (sql::ADD_USER_FROM_TOMBSTONE, &[Int4, Int8, Int4, Bool, Text, Text, Text, Int2, Int8])
            }
            Self::RemoveTombstones => (sql::REMOVE_TOMBSTONE, &[Int4, Int8]),
            Self::RemoveItems => (sql::REMOVE_ITEM, &[Id, Int4]),
            Self::RemoveUsers => (sql::REMOVE_USERS, &[Int4, Int4]),
            Self::TouchItems => (sql::BUMP_ITEM_VERSIONS, &[Id, Int4, Int8]),
            Self::RemoveKeys => (sql::REMOVE_UNIQUE_KEYS, &[Int2, Bytes, Int4]),
            Self::AddKeys => (sql::ADD_UNIQUE_KEYS, &[Int2, Bytes, Int4]),
            Self::RequireKeysAbsent => (sql::REQUIRE_KEYS_ABSENT, &[Int2, Bytes]),
            Self::RequireNotDeleted => (sql::REQUIRE_NOT_DELETED, &[Bytes]),
            Self::RemoveSecondaryEmails => (sql::REMOVE_SECONDARY_EMAILS, &[Bytes, Int4]),
            Self::AddUsers => (sql::ADD_USERS, &[Int4, Id, Int4, Int2, Int8, Text, Text, Text]),
            Self::AddTombstones => (sql::BULK_INSERT_TOMBSTONES, &[Int4, Id, Int8, Bytes, Text, Text]),
            Self::AddSecondaryEmails => (sql::ADD_SECONDARY_EMAILS, &[Bytes, Int4]),
            Self::AddItems => (sql::ADD_ITEM, &[Int2, Int4, Id, Int4, Bytes, Text, Int8]),
            Self::AddMemberships => (sql::ADD_MEMBERSHIPS, &[Id, Int4, Int2]),
            Self::AddExactMemberships => (sql::ADD_EXACT_MEMBERSHIPS, &[Id, Int4, Int2]),
            Self::SetLastNumbers => (sql::BULK_INSERT_COUNTER, &[Int2, Int4]),
            Self::AddEvents => (
                sql::ADD_EVENT,
                &[Id, Int4, Int8, Id, Text, Text, Int2, Text, Text, Text, Text, Bool, Text, Bytes, Int2],
            ),
            Self::AddEventSubjects => (sql::ADD_EVENT_SUBJECTS, &[Id, Id, Int4]),
            Self::AddPendingCounts => (sql::ADD_PENDING_COUNTS, &[Id, Int4, Int8]),
        }
    }

    /// Whether each bound row must change exactly one stored row; the statement fails if not.
    fn is_counted(self) -> bool {
        matches!(
            self,
            Self::ChangeUsers
                | Self::RemoveExactMemberships
                | Self::ChangeItems
                | Self::MoveUsersToTombstones
                | Self::RestoreUsers
                | Self::RemoveTombstones
                | Self::RemoveItems
        )
    }
}

/// Changed users, and the exact memberships that they must have.
#[derive(Default)]
struct ExpectedMemberships {
    users: Vec<i32>,
    items: Vec<Uuid>,
    members: Vec<i32>,
}

pub(super) struct BatchRows {
    id: Uuid,
    rows: BTreeMap<(Step, i32), Vec<Vec<Value>>>,
    tables: TableWrites,
    /// By tenant.
    expected_memberships: BTreeMap<i32, ExpectedMemberships>,
    locked_users: BTreeSet<(i32, u32)>,
    /// How often items are touched, and the last time.
    touched_items: BTreeMap<(i32, Uuid), (i64, Time)>,
    user_counts: BTreeMap<(i32, u32), i64>,
    event_count: i32,
    /// A write failed during planning, so the batch cannot commit.
    pub(super) has_failed: bool,
}

impl BatchRows {
    pub(super) fn new(id: Uuid) -> Self {
        Self {
            id,
            rows: BTreeMap::new(),
            tables: TableWrites::default(),
            expected_memberships: BTreeMap::new(),
            locked_users: BTreeSet::new(),
            touched_items: BTreeMap::new(),
            user_counts: BTreeMap::new(),
            event_count: 0,
            has_failed: false,
        }
    }

    fn add(&mut self, step: Step, tenant: i32, row: Vec<Value>) {
        self.rows.entry((step, tenant)).or_default().push(row);
    }

    #[expect(clippy::too_many_lines, reason = "one case for each kind of write")]
    pub(super) fn push(
        &mut self,
        tenant: TenantNumber,
        write: Write,
        context: Option<&ChangeContext>,
    ) -> Result<(), serde_json::Error> {
        let code = int(tenant.0);
        match write {
            Write::Fail(_) => self.has_failed = true,
            // The tenant was checked beforehand, and a restore adds keys itself.
            Write::RequireTenant | Write::AddKeyIfFree { .. } => {}
            Write::RequireKeyAbsent(key) => self.add(Step::RequireKeysAbsent, code, key_values(key)),
            Write::RequireNotDeleted(key) => self.add(Step::RequireNotDeleted, code, vec![key.into()]),
            Write::AddUser(columns) => {
                self.count_user(code, columns.number, 1);
                let UserColumns { id, number, version, active, updated, password, account, doc } = columns;
                let row = [Value::Int(number.into()), id.0.into(), version.into(), Value::Int(active.into())];
                let row = row.into_iter().chain([updated.0.into(), Value::optional(password)]);
                self.add(Step::AddUsers, code, row.chain([Value::optional(account), doc.into()]).collect());
            }
            Write::ChangeUser { before, columns, memberships } => {
                self.expect_memberships(code, columns.number, &memberships);
                let UserColumns { number, version, active, updated, password, account, doc, .. } = columns;
                let row = [number.into(), before.into(), version.into(), Value::Int(active.into())];
                let row = row.into_iter().chain([updated.0.into(), Value::optional(password)]);
                self.add(Step::ChangeUsers, code, row.chain([Value::optional(account), doc.into()]).collect());
            }
            Write::RemoveUser(removed) => {
                self.count_user(code, removed.number, -1);
                let RemovedUser { number, version, deleted, external_key, doc, .. } = removed;
                let key = Value::optional(external_key);
                let row = vec![number.into(), version.into(), deleted.0.into(), key, doc.into()];
                self.add(Step::MoveUsersToTombstones, code, row);
                self.add(Step::RemoveUsers, code, vec![number.into(), version.into()]);
            }
            Write::RestoreUser { deleted, keeps_password, columns } => {
                self.count_user(code, columns.number, 1);
                let UserColumns { number, version, active, updated, password, account, doc, .. } = columns;
                let row = [number.into(), deleted.0.into(), version.into(), Value::Int(keeps_password.into())];
                let row = row.into_iter().chain([Value::optional(password), Value::optional(account), doc.into()]);
                let row = row.chain([Value::Int(active.into()), updated.0.into()]).collect();
                self.add(Step::RestoreUsers, code, row);
                self.add(Step::RemoveTombstones, code, vec![number.into(), deleted.0.into()]);
            }
            Write::AddTombstone { removed, password } => {
                let RemovedUser { id, number, deleted, external_key, doc, .. } = removed;
                let row = [number.into(), id.0.into(), deleted.0.into(), Value::optional(external_key)];
                let row = row.into_iter().chain([Value::optional(password), doc.into()]).collect();
                self.add(Step::AddTombstones, code, row);
            }
            Write::RemoveTombstone { number, deleted } => {
                self.add(Step::RemoveTombstones, code, vec![number.into(), deleted.0.into()]);
            }
            Write::AddItem { columns, .. } => {
                let kind = Value::Int(kind_code(columns.kind).into());
                let row = [kind, columns.number.into(), columns.id.0.into(), columns.version.into()];
                let row =
                    row.into_iter().chain([columns.name_key.into(), columns.doc.into(), columns.updated.0.into()]);
                self.add(Step::AddItems, code, row.collect());
            }
            Write::ChangeItem { before, columns, .. } => {
                let row = [columns.id.0.into(), before.into(), columns.version.into(), columns.name_key.into()];
                let row = row.into_iter().chain([columns.doc.into(), columns.updated.0.into()]).collect();
                self.add(Step::ChangeItems, code, row);
            }
            Write::TouchItem(item, at) => {
                let (times, last) = self.touched_items.entry((code, item.0)).or_insert((0, at));
                *times += 1;
                *last = at.max(*last);
            }
            Write::RemoveItem { id, version } => {
                self.add(Step::LockMembers, code, vec![id.0.into()]);
                self.add(Step::RemoveMembershipsOfItems, code, vec![id.0.into()]);
                self.add(Step::RemoveItems, code, vec![id.0.into(), version.into()]);
            }
            Write::AddKey(key, owner) => {
                let row = key_values(key).into_iter().chain([owner.number().into()]).collect();
                self.add(Step::AddKeys, code, row);
            }
            Write::RemoveKey(key, owner) => {
                let row = key_values(key).into_iter().chain([owner.number().into()]).collect();
                self.add(Step::RemoveKeys, code, row);
            }
            Write::AddSecondaryEmail { text, number } => {
                self.add(Step::AddSecondaryEmails, code, vec![text.into(), number.into()]);
            }
            Write::RemoveSecondaryEmail { text, number } => {
                self.add(Step::RemoveSecondaryEmails, code, vec![text.into(), number.into()]);
            }
            Write::AddMemberships(added) => {
                let step = if added.is_exact { Step::AddExactMemberships } else { Step::AddMemberships };
                self.lock_members(code, &added);
                for (item, kind, number) in added.rows {
                    self.add(step, code, vec![item.0.into(), number.into(), Value::Int(kind_code(kind).into())]);
                }
            }
            Write::RemoveMemberships(removed) => {
                let step = if removed.is_exact { Step::RemoveExactMemberships } else { Step::RemoveMemberships };
                self.lock_members(code, &removed);
                for (item, _, number) in removed.rows {
                    self.add(step, code, vec![item.0.into(), number.into()]);
                }
            }
            Write::SetLastNumber(sequence, last) => {
                self.add(Step::SetLastNumbers, code, vec![Value::Int(sequence.code().into()), last.into()]);
            }
            Write::Row { write, .. } => self.tables.push(write),
            Write::Event(event) => {
                if let Some(context) = context {
                    self.add_event(context, event)?;
                }
            }
        }
        Ok(())
    }

    fn count_user(&mut self, tenant: i32, number: u32, by: i64) {
        *self.user_counts.entry((tenant, block_of(number))).or_default() += by;
    }

    fn expect_memberships(&mut self, tenant: i32, number: u32, memberships: &[(ItemId, ItemKind)]) {
        let ExpectedMemberships { users, items, members } = self.expected_memberships.entry(tenant).or_default();
        users.push(int(number));
        items.extend(memberships.iter().map(|(item, _)| item.0));
        members.resize(items.len(), int(number));
    }

    fn lock_members(&mut self, tenant: i32, changed: &Memberships) {
        if changed.side == Side::Item {
            self.locked_users.extend(changed.rows.iter().map(|(_, _, number)| (tenant, *number)));
        }
    }

    fn add_event(&mut self, context: &ChangeContext, event: EncodedEvent) -> Result<(), serde_json::Error> {
        let (kind, subjects) = (event.kind, event.subjects.clone());
        let entry = EventEntry::new(context, event)?;
        let (tenant, digest) = (int(entry.tenant), entry.digest().to_vec());
        let row = vec![
            self.id.into(),
            i64::from(self.event_count).into(),
            entry.at.into(),
            Value::optional(entry.connection.map(Uuid::from_bytes)),
            entry.actor.into(),
            entry.request_id.into(),
            i64::from(entry.action).into(),
            Value::optional(entry.before),
            Value::optional(entry.after),
            Value::optional(entry.members_added),
            Value::optional(entry.members_removed),
            i64::from(entry.password_set).into(),
            Value::optional(entry.notes),
            digest.into(),
            i64::from(kind.code()).into(),
        ];
        for subject in subjects {
            let row = vec![subject.into(), self.id.into(), i64::from(self.event_count).into()];
            self.add(Step::AddEventSubjects, tenant, row);
        }
        self.event_count += 1;
        self.add(Step::AddEvents, tenant, row);
        Ok(())
    }

    /// The approximate number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.values().map(Vec::len).sum::<usize>() + self.tables.len()
    }

    /// The statements in the order in which they must be sent.
    pub(super) fn into_statements(mut self) -> Vec<Statement> {
        for (tenant, number) in std::mem::take(&mut self.locked_users) {
            self.add(Step::LockUsers, tenant, vec![number.into()]);
        }
        for ((tenant, item), (times, at)) in std::mem::take(&mut self.touched_items) {
            self.add(Step::TouchItems, tenant, vec![item.into(), times.into(), at.0.into()]);
        }
        let id = self.id;
        for ((tenant, block), by) in std::mem::take(&mut self.user_counts) {
            if by != 0 {
                self.add(Step::AddPendingCounts, tenant, vec![id.into(), block.into(), by.into()]);
            }
        }
        let mut checks: Vec<Statement> = Vec::new();
        for (tenant, expected) in self.expected_memberships {
            let ExpectedMemberships { users, items, members } = expected;
            let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let params: Vec<Box<dyn Param>> =
                vec![Box::new(tenant), Box::new(users), Box::new(items), Box::new(members), Box::new(count)];
            checks.push(Statement { sql: sql::REQUIRE_EXACT_MEMBERSHIPS.postgres.into(), params });
        }
        let mut all = Vec::with_capacity(self.rows.len() + checks.len() + 1);
        for ((step, tenant), mut rows) in self.rows {
            // The users are locked by then.
            if step > Step::ChangeUsers {
                all.append(&mut checks);
            }
            if step == Step::AddKeys {
                // In one order, so that two batches cannot deadlock.
                rows.sort_unstable();
            }
            let (sql, types) = step.parts();
            let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
            let mut params: Vec<Box<dyn Param>> = vec![Box::new(tenant)];
            params.extend(columns_of(types.iter().copied(), rows));
            if step.is_counted() {
                params.push(Box::new(count));
            }
            all.push(Statement { sql: sql.postgres.into(), params });
        }
        all.append(&mut checks);
        all.extend(self.tables.into_statements());
        all
    }

    /// The last statement of a batch. A batch without events has a row, too: it shows whether the commit succeeded.
    pub(super) fn end(&self) -> Statement {
        let params: Vec<Box<dyn Param>> = vec![Box::new(self.id), Box::new(self.event_count)];
        Statement { sql: sql::ADD_BATCH.postgres.into(), params }
    }
}

fn key_values(key: UniqueKey) -> Vec<Value> {
    vec![Value::Int(key.namespace.into()), key.text.into()]
}

/// Why a transaction was not committed.
pub(super) enum SendError {
    /// The database has answered: it had no effect.
    RolledBack(PgError),
    /// It may have been committed.
    InDoubt(String),
}

/// Sends a transaction in one go, with its commit if `commits`. If a statement fails, the commit has no effect.
pub(super) async fn send(session: &Session, statements: &[Statement], commits: bool) -> Result<(), SendError> {
    let params: Vec<Vec<&dyn Param>> =
        statements.iter().map(|statement| statement.params.iter().map(|param| &**param).collect()).collect();
    for (statement, params) in statements.iter().zip(&params) {
        session.prepare(&statement.sql, params).await.map_err(SendError::RolledBack)?;
    }
    let simple = |sql: Sql| {
        let done = async move { session.batch_execute(sql.postgres).await.map(|()| 0_u64) };
        maybe_done(Box::pin(done) as PipelinedQuery<'_, u64>)
    };
    let sent = statements.iter().zip(&params).map(|(statement, params)| {
        maybe_done(Box::pin(session.execute(&statement.sql, params)) as PipelinedQuery<'_, u64>)
    });
    let all = std::iter::once(simple(sql::BEGIN_BATCH)).chain(sent).chain(commits.then(|| simple(sql::COMMIT)));
    let done = run_pipelined(all.collect()).await;
    let commit = commits.then(|| done.len() - 1);
    for (place, result) in done.into_iter().enumerate() {
        match result {
            Ok(_) => {}
            // The answer to the commit is lost, too.
            Err(PgError::Unavailable(text)) if commits => return Err(SendError::InDoubt(text)),
            Err(conflict @ PgError::Conflict(_)) => return Err(SendError::RolledBack(conflict)),
            Err(trouble) if Some(place) == commit => return Err(SendError::InDoubt(trouble.message().to_owned())),
            Err(trouble) => return Err(SendError::RolledBack(trouble)),
        }
    }
    Ok(())
}

/// A query that is sent when it is first polled.
pub(super) type PipelinedQuery<'a, T> = Pin<Box<dyn Future<Output = Result<T, PgError>> + Send + 'a>>;

/// Polls all queries in order, so that they are sent together, and returns their results.
pub(super) async fn run_pipelined<T>(mut all: Vec<MaybeDone<PipelinedQuery<'_, T>>>) -> Vec<Result<T, PgError>> {
    std::future::poll_fn(|context| {
        let mut is_done = true;
        for one in &mut all {
            is_done &= Pin::new(one).poll(context).is_ready();
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    all.iter_mut().filter_map(|one| Pin::new(one).take_output()).collect()
}
