//! The rows of a batch by table and column. Each table takes one statement, and all statements are pipelined.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use super::table_rows::{BatchStatement, EncodedUser, EventRows, MailRows, UserRows};
use crate::event_row::{ChangeContext, EncodedEvent};
use crate::sql::{self, Sql};
use crate::unique_keys::UniqueKey;
use directory::{ItemId, ItemKind, Mail, Time, User};
use futures_util::future::{MaybeDone, maybe_done};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct BatchRows {
    new_users: UserRows,
    changed_users: UserRows,
    removed_users: UserRows,
    claimed: Vec<UniqueKeyRow>,
    released: UniqueKeyRows,
    added_emails: SecondaryEmailRows,
    removed_emails: SecondaryEmailRows,
    members_added: MembershipRows,
    members_removed: MembershipRows,
    /// Memberships that changed or deleted users leave. All of them must exist.
    removed_expected: MembershipRows,
    /// Changed users, and in `expected` the exact memberships they must have.
    checked_members: MemberRows,
    expected: MembershipRows,
    /// Users whose memberships change through items. Sorted, so that two batches cannot deadlock.
    locked: BTreeSet<(i32, i32)>,
    item_versions: HashMap<(i32, Uuid), (i32, i64)>,
    /// Other statements, sent before, between and after those by table.
    pub(super) early: Vec<OwnedStatement>,
    pub(super) middle: Vec<OwnedStatement>,
    pub(super) late: Vec<OwnedStatement>,
    events: EventRows,
    block_counts: HashMap<(i32, i32), i64>,
    /// A precondition failed during planning, so the batch cannot commit. It is sent anyway: waiting for its
    /// row resolves a commit in doubt.
    pub(super) has_failed_precondition: bool,
    /// Keys that must not exist.
    required_absent: HashSet<(i32, i16, Vec<u8>)>,
    /// External ids that no deleted user may have.
    required_not_deleted: (Vec<i32>, Vec<Vec<u8>>),
    mails: MailRows,
}

pub(super) struct OwnedStatement {
    pub(super) sql: Sql,
    pub(super) params: Vec<Box<dyn Param>>,
    /// Rows that it must change; `None` for any number.
    pub(super) expected_rows: Option<u64>,
}

#[derive(Default)]
struct UniqueKeyRows {
    tenant: Vec<i32>,
    space: Vec<i16>,
    text: Vec<Vec<u8>>,
    owner: Vec<i32>,
}

#[derive(Default)]
struct SecondaryEmailRows {
    tenant: Vec<i32>,
    text: Vec<Vec<u8>>,
    owner: Vec<i32>,
}

#[derive(Default)]
struct MembershipRows {
    tenant: Vec<i32>,
    item: Vec<Uuid>,
    member: Vec<i32>,
    kind: Vec<i16>,
}

#[derive(Default)]
struct MemberRows {
    tenant: Vec<i32>,
    member: Vec<i32>,
}

impl BatchRows {
    pub(super) fn add_user(&mut self, tenant: i32, user: &User, columns: EncodedUser) {
        self.new_users.push(tenant, user, 0, columns);
        self.add_to_block(tenant, user.number, 1);
    }

    pub(super) fn change_user(&mut self, tenant: i32, before: u32, user: &User, columns: EncodedUser) {
        self.changed_users.push(tenant, user, before, columns);
    }

    pub(super) fn remove_user(&mut self, tenant: i32, user: &User) {
        self.removed_users.push_removed(tenant, user);
        self.add_to_block(tenant, user.number, -1);
    }

    pub(super) fn add_mail(&mut self, mail: &Mail) -> Result<(), serde_json::Error> {
        self.mails.push(mail)
    }

    /// The batch commits only if no deleted user has this external id.
    pub(super) fn require_not_deleted(&mut self, tenant: i32, key: &str) {
        self.required_not_deleted.0.push(tenant);
        self.required_not_deleted.1.push(key.as_bytes().to_vec());
    }

    pub(super) fn add_to_block(&mut self, tenant: i32, number: u32, by: i64) {
        *self.block_counts.entry((tenant, int(crate::page_builder::block_of(number)))).or_default() += by;
    }

    pub(super) fn claim_key(&mut self, tenant: i32, claim: &UniqueKey, owner: u32) {
        self.claimed.push((tenant, i16::from(claim.namespace), claim.text.clone().into_bytes(), int(owner)));
    }

    /// The batch commits only if nobody holds this key.
    pub(super) fn require_absent(&mut self, tenant: i32, claim: &UniqueKey) {
        self.required_absent.insert((tenant, i16::from(claim.namespace), claim.text.clone().into_bytes()));
    }

    pub(super) fn release_key(&mut self, tenant: i32, claim: &UniqueKey, owner: u32) {
        self.released.push(tenant, claim, owner);
    }

    pub(super) fn add_secondary_email(&mut self, tenant: i32, text: &str, owner: u32) {
        self.added_emails.push(tenant, text, owner);
    }

    pub(super) fn remove_secondary_email(&mut self, tenant: i32, text: &str, owner: u32) {
        self.removed_emails.push(tenant, text, owner);
    }

    pub(super) fn add_membership(&mut self, tenant: i32, item: ItemId, member: u32, kind: ItemKind) {
        self.members_added.push(tenant, item, member, kind);
    }

    pub(super) fn remove_membership(&mut self, tenant: i32, item: ItemId, member: u32, kind: ItemKind) {
        self.members_removed.push(tenant, item, member, kind);
    }

    pub(super) fn remove_expected_memberships(&mut self, tenant: i32, member: u32, items: &[(ItemId, ItemKind)]) {
        for (item, kind) in items {
            self.removed_expected.push(tenant, *item, member, *kind);
        }
    }

    /// The batch commits only if the user has exactly these memberships.
    pub(super) fn expect_memberships(&mut self, tenant: i32, member: u32, items: &[(ItemId, ItemKind)]) {
        self.checked_members.tenant.push(tenant);
        self.checked_members.member.push(int(member));
        for (item, kind) in items {
            self.expected.push(tenant, *item, member, *kind);
        }
    }

    /// Blocks other changes of the user until this batch has ended.
    pub(super) fn lock_user(&mut self, tenant: i32, member: u32) {
        self.locked.insert((tenant, int(member)));
    }

    /// An item whose members change gets a new version.
    pub(super) fn bump_item_version(&mut self, tenant: i32, item: ItemId, at: Time) {
        let (times, last) = self.item_versions.entry((tenant, item.0)).or_insert((0, at.0));
        *times += 1;
        *last = at.0.max(*last);
    }

    pub(super) fn push_event(
        &mut self,
        author: &ChangeContext,
        event_row: EncodedEvent,
    ) -> Result<(), serde_json::Error> {
        self.events.push(author, event_row)
    }

    /// The approximate number of rows.
    pub(super) fn len(&self) -> usize {
        let singles = self.early.iter().chain(&self.middle).chain(&self.late);
        let singles: u64 = singles.map(|single| single.expected_rows.unwrap_or(1)).sum();
        let lists = self.new_users.tenant.len() + self.changed_users.tenant.len() + self.members_added.tenant.len();
        lists + self.members_removed.tenant.len() + usize::try_from(singles).unwrap_or(usize::MAX)
    }

    /// Begins a transaction and pipelines all statements. Returns whether each changed the expected number of
    /// rows. The last one inserts the row of the batch, which is invisible before the commit. If
    /// `is_contended`, conflicting unique keys are skipped and counted instead of aborting the transaction.
    pub(super) async fn send(&self, session: &Session, batch: Uuid, is_contended: bool) -> Result<bool, PgError> {
        let claimed = UniqueKeyRows::sorted(&self.claimed);
        let mut without = UniqueKeyRows::default();
        for (tenant, space, text) in &self.required_absent {
            without.tenant.push(*tenant);
            without.space.push(*space);
            without.text.push(text.clone());
        }
        let touched = ItemVersionRows::of(&self.item_versions);
        let counted = BlockCountRows::of(&self.block_counts);
        let mut locked = MemberRows::default();
        for (tenant, member) in &self.locked {
            locked.tenant.push(*tenant);
            locked.member.push(*member);
        }
        let events = int(u32::try_from(self.events.place.len()).unwrap_or(u32::MAX));
        let mut all: Vec<BatchStatement<'_>> = Vec::with_capacity(24);
        locked.lock(&mut all);
        self.changed_users.push_update(&mut all);
        self.checked_members.expect(&self.expected, &mut all);
        self.members_removed.leave(None, &mut all);
        self.removed_expected.leave(Some(self.removed_expected.tenant.len() as u64), &mut all);
        all.extend(self.early.iter().map(OwnedStatement::statement));
        self.removed_users.push_delete(&mut all);
        touched.touch(&mut all);
        self.released.put(sql::REMOVE_UNIQUE_KEYS, None, &mut all);
        let claim = if is_contended { sql::ADD_FREE_UNIQUE_KEYS } else { sql::ADD_UNIQUE_KEYS };
        claimed.put(claim, Some(claimed.tenant.len() as u64), &mut all);
        without.push_absence_check(&mut all);
        if !self.required_not_deleted.0.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.required_not_deleted.0, &self.required_not_deleted.1];
            all.push(BatchStatement { sql: sql::DELETED_EXTERNAL_IDS, params, expected_rows: Some(0) });
        }
        self.removed_emails.put(sql::REMOVE_SECONDARY_EMAILS, Some(self.removed_emails.tenant.len() as u64), &mut all);
        self.new_users.push_insert(&mut all);
        self.added_emails.put(sql::ADD_SECONDARY_EMAILS, None, &mut all);
        all.extend(self.middle.iter().map(OwnedStatement::statement));
        self.members_added.join(&mut all);
        all.extend(self.late.iter().map(OwnedStatement::statement));
        self.mails.push_insert(&mut all);
        if events > 0 {
            self.events.push_insert(&batch, &mut all);
        }
        counted.add(&batch, &mut all);
        // A batch without events has a row, too: it shows whether the commit succeeded.
        all.push(BatchStatement { sql: sql::ADD_BATCH, params: vec![&batch, &events], expected_rows: Some(1) });
        for statement in &all {
            session.prepare(statement.sql.postgres, &statement.params).await?;
        }
        let begun = async { session.batch_execute(sql::BEGIN_BATCH.postgres).await.map(|()| 0_u64) };
        let begun = std::iter::once(maybe_done(Box::pin(begun) as PipelinedQuery<'_, u64>));
        let sent = all.iter().map(|statement| {
            maybe_done(Box::pin(session.execute(statement.sql.postgres, &statement.params)) as PipelinedQuery<'_, u64>)
        });
        let mut done = run_pipelined(begun.chain(sent).collect()).await.into_iter();
        done.next().transpose()?;
        let mut is_complete = !self.has_failed_precondition;
        for (done, statement) in done.zip(&all) {
            let changed = done?;
            is_complete &= statement.expected_rows.is_none_or(|must| must == changed);
        }
        Ok(is_complete)
    }
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

impl OwnedStatement {
    fn statement(&self) -> BatchStatement<'_> {
        BatchStatement {
            sql: self.sql,
            params: self.params.iter().map(|param| &**param).collect(),
            expected_rows: self.expected_rows,
        }
    }
}

/// Tenant, namespace, text, owner.
type UniqueKeyRow = (i32, i16, Vec<u8>, i32);

impl UniqueKeyRows {
    /// Sorted, so that two batches cannot deadlock.
    fn sorted(claimed: &[UniqueKeyRow]) -> Self {
        let mut sorted: Vec<&UniqueKeyRow> = claimed.iter().collect();
        sorted.sort_unstable();
        let mut claims = Self::default();
        for (tenant, space, text, owner) in sorted {
            claims.tenant.push(*tenant);
            claims.space.push(*space);
            claims.text.push(text.clone());
            claims.owner.push(*owner);
        }
        claims
    }

    fn push(&mut self, tenant: i32, claim: &UniqueKey, owner: u32) {
        self.tenant.push(tenant);
        self.space.push(i16::from(claim.namespace));
        self.text.push(claim.text.clone().into_bytes());
        self.owner.push(int(owner));
    }

    fn put<'a>(&'a self, sql: Sql, must: Option<u64>, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            all.push(BatchStatement {
                sql,
                params: vec![&self.tenant, &self.space, &self.text, &self.owner],
                expected_rows: must,
            });
        }
    }
}

impl UniqueKeyRows {
    fn push_absence_check<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.space, &self.text];
            all.push(BatchStatement { sql: sql::EXISTING_UNIQUE_KEYS, params, expected_rows: Some(0) });
        }
    }
}

impl SecondaryEmailRows {
    fn push(&mut self, tenant: i32, text: &str, owner: u32) {
        self.tenant.push(tenant);
        self.text.push(text.as_bytes().to_vec());
        self.owner.push(int(owner));
    }

    fn put<'a>(&'a self, sql: Sql, must: Option<u64>, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            all.push(BatchStatement { sql, params: vec![&self.tenant, &self.text, &self.owner], expected_rows: must });
        }
    }
}

impl MembershipRows {
    fn push(&mut self, tenant: i32, item: ItemId, member: u32, kind: ItemKind) {
        self.tenant.push(tenant);
        self.item.push(item.0);
        self.member.push(int(member));
        self.kind.push(kind_code(kind));
    }

    fn join<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.item, &self.member, &self.kind];
            all.push(BatchStatement { sql: sql::ADD_MEMBERSHIPS, params, expected_rows: None });
        }
    }

    fn leave<'a>(&'a self, must: Option<u64>, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.item, &self.member];
            all.push(BatchStatement { sql: sql::REMOVE_MEMBERSHIPS, params, expected_rows: must });
        }
    }
}

impl MemberRows {
    fn lock<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.member];
            all.push(BatchStatement { sql: sql::LOCK_USERS, params, expected_rows: None });
        }
    }

    /// Requires that these users have exactly the expected memberships.
    fn expect<'a>(&'a self, expected: &'a MembershipRows, all: &mut Vec<BatchStatement<'a>>) {
        if self.tenant.is_empty() {
            return;
        }
        let MembershipRows { tenant, item, member, .. } = expected;
        let params: Vec<&dyn Param> = vec![&self.tenant, &self.member, tenant, item, member];
        all.push(BatchStatement { sql: sql::UNEXPECTED_MEMBERSHIPS, params, expected_rows: Some(0) });
        if !tenant.is_empty() {
            let must = Some(tenant.len() as u64);
            all.push(BatchStatement {
                sql: sql::EXISTING_MEMBERSHIPS,
                params: vec![tenant, item, member],
                expected_rows: must,
            });
        }
    }
}

/// Sorted, so that two batches cannot deadlock.
struct ItemVersionRows(Vec<i32>, Vec<Uuid>, Vec<i32>, Vec<i64>);

impl ItemVersionRows {
    fn of(touched: &HashMap<(i32, Uuid), (i32, i64)>) -> Self {
        let mut sorted: Vec<_> = touched.iter().collect();
        sorted.sort_unstable();
        let mut columns = Self(Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((tenant, item), (times, at)) in sorted {
            columns.0.push(*tenant);
            columns.1.push(*item);
            columns.2.push(*times);
            columns.3.push(*at);
        }
        columns
    }

    fn touch<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        if !self.0.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.0, &self.1, &self.2, &self.3];
            all.push(BatchStatement { sql: sql::BUMP_ITEM_VERSIONS, params, expected_rows: None });
        }
    }
}

struct BlockCountRows(Vec<i32>, Vec<i32>, Vec<i64>);

impl BlockCountRows {
    fn of(counted: &HashMap<(i32, i32), i64>) -> Self {
        let mut columns = Self(Vec::new(), Vec::new(), Vec::new());
        for ((tenant, block), by) in counted.iter().filter(|(_, by)| **by != 0) {
            columns.0.push(*tenant);
            columns.1.push(*block);
            columns.2.push(*by);
        }
        columns
    }

    fn add<'a>(&'a self, batch: &'a Uuid, all: &mut Vec<BatchStatement<'a>>) {
        if !self.0.is_empty() {
            let params: Vec<&dyn Param> = vec![batch, &self.0, &self.1, &self.2];
            all.push(BatchStatement { sql: sql::ADD_PENDING_COUNTS, params, expected_rows: None });
        }
    }
}
