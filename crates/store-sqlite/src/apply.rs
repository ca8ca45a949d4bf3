//! Carries out one change in the caller's transaction, write by write.

use super::apply_error::{ApplyError, ApplyResult, STALE, map_constraint_error};
use super::row_decode::{id, optional};
use super::tx_counters::TxCounters;
use super::{events, read, tables};
use directory::{Change, CommitError, Field, ItemId, ItemKey, ItemKind, Receipt, TenantNumber, Time, UserId, UserKey};
use rusqlite::{Connection as Db, params};
use store::event_row::{ChangeContext, to_json};
use store::page_builder::block_of;
use store::sql;
use store::translation::{
    ChangeTarget, ItemColumns, Known, Memberships, Owner, Read, RemovedUser, Sequence, UserColumns, Write, apply,
};
use store::unique_keys::kind_index;

pub(super) fn change(db: &Db, counters: &mut TxCounters, mut change: Change) -> ApplyResult<Receipt> {
    change.set_time(counters.effective_time(db, change.tenant.0, change.at)?);
    let (tenant, context) = (change.tenant, ChangeContext::of(&change));
    let mut writer = RowWriter { context: Some(&context), ..RowWriter::new(db, counters, tenant) };
    apply(&mut writer, &context, change)
}

impl ChangeTarget for RowWriter<'_> {
    type Error = ApplyError;

    fn read(&mut self, wanted: Read, known: &mut Known) -> ApplyResult {
        self.read_wanted(wanted, known)
    }

    fn write(&mut self, write: Write) -> ApplyResult {
        self.write_row(write)
    }
}

/// Writes rows of one tenant.
pub(super) struct RowWriter<'a> {
    db: &'a Db,
    counters: &'a mut TxCounters,
    tenant: TenantNumber,
    /// `None` for writes without events.
    context: Option<&'a ChangeContext>,
    /// The row id of the user and of the item that was used last.
    user: Option<(u32, i64)>,
    item: Option<(ItemId, i64)>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(db: &'a Db, counters: &'a mut TxCounters, tenant: TenantNumber) -> Self {
        Self { db, counters, tenant, context: None, user: None, item: None }
    }

    fn read_wanted(&mut self, wanted: Read, known: &mut Known) -> ApplyResult {
        let (db, tenant) = (self.db, self.tenant);
        match wanted {
            Read::Number(sequence) => {
                let number = self.next_number(sequence)?;
                known.add_number(tenant, sequence, number);
            }
            Read::Memberships(number) => {
                // A user who does not exist has no memberships; the write fails.
                let user = read::user(db, tenant, &UserKey::Number(number))?;
                known.memberships.extend(user.map(|user| ((tenant, number), (user.groups, user.folders))));
            }
            Read::Users(users) => self.read_numbers(users, known)?,
            Read::Membership { item, kind, users } => {
                let found = read::item(db, tenant, kind, &ItemKey::Id(item))?;
                known.items.extend(found.map(|found| ((tenant, item), found)));
                self.read_numbers(users.clone(), known)?;
                let numbers: Vec<u32> = users.iter().filter_map(|user| known.user_number(tenant, *user)).collect();
                for number in numbers {
                    let bound = params![tenant.0, item.0.as_bytes(), number];
                    if db.prepare_cached(sql::MEMBERSHIP_EXISTS.sqlite)?.query_row(bound, |row| row.get(0))? {
                        known.members.insert((tenant, item, number));
                    }
                }
            }
            Read::HighestTenant => {
                let highest: Option<u32> = db.query_row(sql::HIGHEST_TENANT.sqlite, [], |row| row.get(0))?;
                known.highest_tenant = highest.unwrap_or(0);
            }
            Read::Row(query) => {
                known.add_row(&query, tables::rows(db, &query)?.pop());
            }
        }
        Ok(())
    }

    fn read_numbers(&self, users: Vec<UserId>, known: &mut Known) -> ApplyResult {
        let mut statement = self.db.prepare_cached(sql::USER_NUMBERS_BY_ID.sqlite)?;
        for user in users {
            let bound = params![self.tenant.0, user.0.as_bytes()];
            if let Some(number) = optional(statement.query_row(bound, |row| row.get(0)))? {
                known.users.insert((self.tenant, user), number);
            }
        }
        Ok(())
    }

    fn next_number(&mut self, sequence: Sequence) -> ApplyResult<u32> {
        loop {
            let next = self.counters.next_number(self.db, self.tenant, sequence.code(), sequence.first())?;
            if next > i32::MAX.unsigned_abs() {
                let text = format!("tenant {} has no free numbers left", self.tenant);
                return Err(ApplyError::Rejected(CommitError::Unavailable(text)));
            }
            // Skips numbers that were set explicitly.
            let Sequence::Items(kind) = sequence else { return Ok(next) };
            if self.item_pk_by_number(kind, next)?.is_none() {
                return Ok(next);
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one case for each kind of write")]
    pub(super) fn write_row(&mut self, write: Write) -> ApplyResult {
        let (db, tenant) = (self.db, self.tenant.0);
        match write {
            Write::Fail(error) => return Err(ApplyError::Rejected(error)),
            Write::RequireTenant => {
                if !self.counters.tenant_exists(db, tenant)? {
                    return Err(ApplyError::Rejected(CommitError::MissingReference(Field::Number)));
                }
            }
            Write::RequireKeyAbsent(key) => {
                let bound = params![tenant, key.namespace, key.text];
                let found = db.prepare_cached(sql::UNIQUE_KEY_OWNER.sqlite)?.query_row(bound, |_| Ok(()));
                if optional(found)?.is_some() {
                    return Err(STALE);
                }
            }
            Write::RequireNotDeleted(key) => {
                let mut statement = db.prepare_cached(sql::DELETED_EXTERNAL_IDS.sqlite)?;
                if statement.query_row(params![tenant, key], |row| row.get(0))? {
                    return Err(STALE);
                }
            }
            Write::AddUser(columns) => self.add_user(&columns)?,
            Write::ChangeUser { before, columns, .. } => {
                let UserColumns { number, version, active, updated, password, account, doc, .. } = columns;
                let bound = params![version, doc, password, account, active, updated.0, tenant, number, before];
                expect_change(db.prepare_cached(sql::CHANGE_USERS.sqlite)?.execute(bound)?)?;
            }
            Write::RemoveUser(removed) => self.remove_user(&removed)?,
            Write::RestoreUser { deleted, keeps_password, columns } => {
                self.restore_user(deleted, keeps_password, &columns)?;
            }
            Write::RemoveTombstone { number, deleted } => self.remove_tombstone(number, deleted)?,
            Write::AddTombstone { removed, password } => {
                let RemovedUser { id, number, deleted, external_key, doc, .. } = removed;
                let id = id.0.as_bytes();
                let bound = params![tenant, number, id, deleted.0, external_key, password, doc];
                db.prepare_cached(sql::BULK_INSERT_TOMBSTONES.sqlite)?.execute(bound)?;
            }
            Write::AddItem { columns, .. } => self.add_item(&columns)?,
            Write::ChangeItem { before, columns, .. } => {
                let ItemColumns { id, version, name_key, doc, .. } = columns;
                let bound = params![version, name_key, doc, tenant, id.0.as_bytes(), before];
                expect_change(db.prepare_cached(sql::CHANGE_ITEM.sqlite)?.execute(bound)?)?;
            }
            Write::TouchItem(item, at) => self.touch_group(item, at)?,
            Write::RemoveItem { id, version } => {
                let pk = self.item_pk(id)?;
                db.prepare_cached(sql::REMOVE_MEMBERSHIPS_OF_ITEM.sqlite)?.execute([pk])?;
                expect_change(db.prepare_cached(sql::REMOVE_ITEM.sqlite)?.execute(params![pk, version])?)?;
                self.item = None;
            }
            Write::AddKey(key, owner) => {
                let bound = params![tenant, key.namespace, key.text, self.owner_pk(owner)?];
                let added = db.prepare_cached(sql::ADD_UNIQUE_KEYS.sqlite)?.execute(bound);
                map_constraint_error(added, key.field)?;
            }
            Write::RemoveKey(key, owner) => {
                // In a store of 0.1.0, an older owner may have the same key.
                let bound = params![tenant, key.namespace, key.text, self.owner_pk(owner)?];
                db.prepare_cached(sql::REMOVE_UNIQUE_KEYS.sqlite)?.execute(bound)?;
            }
            Write::AddKeyIfFree { key, owner, otherwise } => {
                let owner = self.owner_pk(owner)?;
                let mut statement = db.prepare_cached(sql::ADD_FREE_UNIQUE_KEYS.sqlite)?;
                if statement.execute(params![tenant, key.namespace, key.text, owner])? == 0 {
                    for key in otherwise {
                        statement.execute(params![tenant, key.namespace, key.text, owner])?;
                    }
                }
            }
            Write::AddSecondaryEmail { text, number } => {
                let bound = params![tenant, text, self.user_pk(number)?];
                db.prepare_cached(sql::ADD_SECONDARY_EMAILS.sqlite)?.execute(bound)?;
            }
            Write::RemoveSecondaryEmail { text, number } => {
                let bound = params![tenant, text, self.user_pk(number)?];
                db.prepare_cached(sql::REMOVE_SECONDARY_EMAILS.sqlite)?.execute(bound)?;
            }
            Write::AddMemberships(added) => self.change_memberships(&added, sql::ADD_MEMBERSHIPS.sqlite)?,
            Write::RemoveMemberships(removed) => self.change_memberships(&removed, sql::REMOVE_MEMBERSHIPS.sqlite)?,
            Write::Row { write, .. } => tables::write(db, write)?,
            Write::SetLastNumber(sequence, last) => {
                db.prepare_cached(sql::BULK_INSERT_COUNTER.sqlite)?.execute(params![tenant, sequence.code(), last])?;
            }
            Write::Event(event) => {
                if let Some(context) = self.context {
                    events::write(db, self.counters, context, event)?;
                }
            }
        }
        Ok(())
    }

    fn add_user(&mut self, columns: &UserColumns) -> ApplyResult {
        let UserColumns { id, number, version, active, updated, password, account, doc } = columns;
        let bound = params![self.tenant.0, number, id.0.as_bytes(), version, password, account, doc, active, updated.0];
        let inserted = self.db.prepare_cached(sql::ADD_USERS.sqlite)?.insert(bound);
        self.user = Some((*number, map_constraint_error(inserted, Field::Id)?));
        self.counters.add_to_block(self.tenant, block_of(*number), 1);
        Ok(())
    }

    fn remove_user(&mut self, removed: &RemovedUser) -> ApplyResult {
        let RemovedUser { number, version, deleted, external_key, doc, .. } = removed;
        let pk = self.user_pk(*number)?;
        let bound = params![pk, deleted.0, external_key, doc, version];
        let kept = self.db.prepare_cached(sql::ADD_TOMBSTONE.sqlite)?.execute(bound);
        expect_change(map_constraint_error(kept, Field::Id)?)?;
        self.db.prepare_cached(sql::REMOVE_USERS.sqlite)?.execute([pk])?;
        self.user = None;
        self.counters.add_to_block(self.tenant, block_of(*number), -1);
        Ok(())
    }

    /// Restores a user with the old row and number.
    fn restore_user(&mut self, deleted: Time, keeps_password: bool, columns: &UserColumns) -> ApplyResult {
        let UserColumns { number, version, active, updated, password, account, doc, .. } = columns;
        let restored = self.db.prepare_cached(sql::ADD_USER_FROM_TOMBSTONE.sqlite)?.execute(params![
            self.tenant.0,
            number,
            deleted.0,
            version,
            keeps_password,
            password,
            account,
            doc,
            active,
            updated.0
        ]);
        expect_change(map_constraint_error(restored, Field::Id)?)?;
        self.user = Some((*number, self.db.last_insert_rowid()));
        self.counters.add_to_block(self.tenant, block_of(*number), 1);
        self.remove_tombstone(*number, deleted)
    }

    fn remove_tombstone(&self, number: u32, deleted: Time) -> ApplyResult {
        let bound = params![self.tenant.0, number, deleted.0];
        expect_change(self.db.prepare_cached(sql::REMOVE_TOMBSTONE.sqlite)?.execute(bound)?)
    }

    fn add_item(&mut self, columns: &ItemColumns) -> ApplyResult {
        let ItemColumns { id, kind, number, version, name_key, doc, .. } = columns;
        let bound = params![self.tenant.0, 1 + kind_index(*kind), number, id.0.as_bytes(), version, name_key, doc];
        let inserted = self.db.prepare_cached(sql::ADD_ITEM.sqlite)?.insert(bound);
        self.item = Some((*id, map_constraint_error(inserted, Field::Id)?));
        Ok(())
    }

    fn touch_group(&mut self, group: ItemId, at: Time) -> ApplyResult {
        let Some(mut item) = read::item(self.db, self.tenant, ItemKind::Group, &ItemKey::Id(group))? else {
            return Ok(());
        };
        item.mark_updated(at);
        let bound = params![item.version(), to_json(&item)?, self.item_pk(group)?];
        self.db.prepare_cached(sql::BUMP_ITEM_VERSIONS.sqlite)?.execute(bound)?;
        Ok(())
    }

    fn change_memberships(&mut self, changed: &Memberships, sql: &str) -> ApplyResult {
        for (item, _, number) in &changed.rows {
            let bound = [self.item_pk(*item)?, self.user_pk(*number)?];
            self.db.prepare_cached(sql)?.execute(bound)?;
        }
        Ok(())
    }

    fn owner_pk(&mut self, owner: Owner) -> ApplyResult<i64> {
        match owner {
            Owner::User(number) => self.user_pk(number),
            Owner::Item(kind, number) => self.item_pk_by_number(kind, number)?.ok_or(STALE),
        }
    }

    fn user_pk(&mut self, number: u32) -> ApplyResult<i64> {
        if let Some((_, pk)) = self.user.filter(|(last, _)| *last == number) {
            return Ok(pk);
        }
        let mut statement = self.db.prepare_cached(sql::USER_PK_BY_NUMBER.sqlite)?;
        let pk = optional(statement.query_row([self.tenant.0, number], |row| row.get(0)))?.ok_or(STALE)?;
        self.user = Some((number, pk));
        Ok(pk)
    }

    fn item_pk(&mut self, item: ItemId) -> ApplyResult<i64> {
        if let Some((_, pk)) = self.item.filter(|(last, _)| *last == item) {
            return Ok(pk);
        }
        let mut statement = self.db.prepare_cached(sql::ITEM_PK.sqlite)?;
        let bound = params![self.tenant.0, item.0.as_bytes()];
        let pk = optional(statement.query_row(bound, |row| row.get(0)))?.ok_or(STALE)?;
        self.item = Some((item, pk));
        Ok(pk)
    }

    fn item_pk_by_number(&mut self, kind: ItemKind, number: u32) -> ApplyResult<Option<i64>> {
        let mut statement = self.db.prepare_cached(sql::ITEM_PK_BY_NUMBER.sqlite)?;
        let bound = params![self.tenant.0, 1 + kind_index(kind), number];
        let found = optional(statement.query_row(bound, |row| Ok((row.get(0)?, ItemId(id(1, row)?)))))?;
        let Some((pk, item)) = found else { return Ok(None) };
        self.item = Some((item, pk));
        Ok(Some(pk))
    }
}

/// The change is stale if a statement with its precondition changed no row.
fn expect_change(changed: usize) -> ApplyResult {
    if changed == 0 { Err(STALE) } else { Ok(()) }
}
