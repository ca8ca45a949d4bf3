//! Plans a batch without I/O: the rows that each mutation writes, its preconditions, and the receipts. What
//! must be read beforehand is in [`Prefetched`].

use super::batch_rows::{BatchRows, OwnedStatement};
use super::param::{Param, int, kind_code, tenant_code};
use super::preconditions::Precondition;
use super::prefetch::Prefetched;
use super::table_rows::EncodedUser;
use crate::event_row::{ChangeContext, EncodedEvent, mail_event, to_json};
use crate::guards::{self, Guard};
use crate::memberships;
use crate::query_plan::active_code;
use crate::sql::{self, Sql};
use crate::unique_keys::{self, UniqueKey};
use directory::{
    AccountEdit, Action, Change, EntitySnapshot, Item, ItemId, ItemKind, Mutation, Receipt, TenantNumber, Time, User,
    UserId,
};
use std::collections::HashSet;
use uuid::Uuid;

#[derive(Default)]
pub(super) struct BatchPlan {
    pub(super) rows: BatchRows,
    /// In the order of evaluation, with the index of the change.
    pub(super) preconditions: Vec<(usize, Precondition)>,
    pub(super) receipts: Vec<Receipt>,
    /// The change being planned.
    change_index: usize,
    /// What the batch itself creates and releases; it need not exist or be free beforehand.
    pub(super) created: HashSet<Uuid>,
    released: HashSet<(i32, u8, String)>,
    /// Keys that the change being planned has claimed.
    claimed: HashSet<(i32, u8, String)>,
    /// Keys that it would claim twice.
    duplicates: HashSet<(i32, u8, String)>,
}

pub(super) type ApplyResult<T = ()> = Result<T, serde_json::Error>;

pub(super) fn plan_batch<'a>(
    changes: impl Iterator<Item = &'a Change>,
    known: &mut Prefetched,
) -> ApplyResult<BatchPlan> {
    let mut plan = BatchPlan::default();
    for (place, change) in changes.enumerate() {
        plan.change_index = place;
        plan.claimed.clear();
        plan.duplicates.clear();
        plan.receipts.push(Receipt::default());
        plan.change(change, known)?;
    }
    Ok(plan)
}

impl BatchPlan {
    fn change(&mut self, change: &Change, known: &mut Prefetched) -> ApplyResult {
        let Change { tenant, at, connection, actor, request_id, assumed_absent, assumed_not_deleted, mutations } =
            change;
        for claim in assumed_absent.iter().filter_map(|(kind, key)| unique_keys::of_key(*kind, key)) {
            self.rows.require_absent(tenant_code(*tenant), &claim);
            self.require(Precondition::KeyAssumedAbsent(tenant_code(*tenant), claim));
        }
        if let Some(id) = assumed_not_deleted {
            let (code, key) = (tenant_code(*tenant), unique_keys::external_id_key(id));
            self.rows.require_not_deleted(code, &key);
            self.require(Precondition::ExternalIdAssumedNotDeleted(code, key.into_bytes()));
        }
        let author = ChangeContext {
            tenant: *tenant,
            at: *at,
            connection: *connection,
            actor: actor.clone(),
            request_id: request_id.clone(),
        };
        for edit in mutations {
            for check in guards::guards_of(edit) {
                self.check(tenant_code(*tenant), check, known);
            }
            if let Some(event_row) = self.edit(*tenant, *at, edit, known)? {
                self.rows.push_event(&author, event_row)?;
            }
        }
        Ok(())
    }

    fn edit(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        edit: &Mutation,
        known: &mut Prefetched,
    ) -> ApplyResult<Option<EncodedEvent>> {
        Ok(match edit {
            Mutation::AddUser { user, account } => Some(self.add_user(tenant, at, user, account, known)?),
            Mutation::ChangeUser { before, after, account, notes } => {
                let event_row = self.change_user(tenant, at, (before, after), account, known)?;
                Some(EncodedEvent { notes: notes.clone(), ..event_row })
            }
            Mutation::RestoreUser { before, user, account, keeps_password } => {
                Some(self.restore_user(tenant, at, (before, user), (account, *keeps_password))?)
            }
            Mutation::PurgeUser(tombstone) => Some(self.purge_user(tenant, tombstone)?),
            Mutation::RemoveUser(user) => Some(self.remove_user(tenant, at, user, known)?),
            Mutation::AddItem { item, members } => Some(self.add_item(tenant, item, members, known)?),
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                Some(self.change_item(tenant, (before, after), members_added, members_removed, known)?)
            }
            Mutation::ChangeMembers { item, .. } => self.change_members(tenant, at, item.id(), known)?,
            Mutation::RemoveItem(item) => Some(self.remove_item(tenant, item)?),
            Mutation::AddTenant(new) => Some(self.add_tenant(new, known)?),
            Mutation::ChangeTenant { before, after } => Some(self.change_tenant(before, after)?),
            Mutation::AddMail(mail) => {
                self.rows.add_mail(mail)?;
                mail_event(None, Some(mail))?
            }
            Mutation::ChangeMail { before, after } => self.change_mail(before, Some(after))?,
            Mutation::RemoveMail(mail) => self.change_mail(mail, None)?,
            Mutation::AddConnection(new) => Some(self.add_connection(new)?),
            Mutation::ChangeConnection { before, after } => Some(self.change_connection(before, after, known)?),
            Mutation::RecordConnectionUse(id, uses) => {
                let bound: Vec<Box<dyn Param>> = vec![Box::new(at.0), Box::new(to_json(uses)?), Box::new(id.0)];
                self.push_late(sql::RECORD_CONNECTION_USE, bound, None);
                None
            }
            Mutation::AddSecret(name, secret) => {
                self.push_late(sql::ADD_SECRET, vec![Box::new(*name), Box::new(secret.0.to_vec())], Some(1));
                None
            }
        })
    }

    /// Adds the precondition of a guard. All engines check guards in the same order.
    fn check(&mut self, code: i32, check: Guard<'_>, known: &Prefetched) {
        if let Guard::ConnectionUnchanged(before) = check
            && known.connection(before.id).is_none_or(|(_, stored)| !stored.is_unchanged_since(before))
        {
            self.require(Precondition::KnownStale);
            self.rows.has_failed_precondition = true;
        }
        if let Guard::KeyFree(claim) | Guard::DuplicateKey(claim) = &check {
            let key = (code, claim.namespace, claim.text.clone());
            if self.claimed.contains(&key) {
                // The change itself uses the key twice.
                self.rows.has_failed_precondition = true;
                self.require(Precondition::DuplicateKey(claim.field));
                self.duplicates.insert(key);
                return;
            }
            self.claimed.insert(key);
        }
        if let Some(need) = Precondition::from_guard(code, check) {
            self.require(need);
        }
    }

    pub(super) fn require(&mut self, need: Precondition) {
        let is_met = match &need {
            Precondition::ItemExists(_, id) | Precondition::UserExists(_, id) => self.created.contains(id),
            Precondition::KeyFree(code, claim) => self.released.contains(&(*code, claim.namespace, claim.text.clone())),
            _ => false,
        };
        if !is_met {
            self.preconditions.push((self.change_index, need));
        }
    }

    pub(super) fn push_early(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, expected_rows: Option<u64>) {
        self.rows.early.push(OwnedStatement { sql, params, expected_rows });
    }

    pub(super) fn push_late(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, expected_rows: Option<u64>) {
        self.rows.late.push(OwnedStatement { sql, params, expected_rows });
    }

    pub(super) fn receipt(&mut self) -> &mut Receipt {
        &mut self.receipts[self.change_index]
    }

    fn add_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        user: &User,
        account: &AccountEdit,
        known: &mut Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        let mut user = user.clone();
        user.number = known.next_number(tenant, 0);
        self.created.insert(user.id.0);
        self.add_user_relations(code, at, &user);
        let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
        let doc = to_json(&user)?;
        let after = if groups.is_empty() && folders.is_empty() {
            format!("{{\"user\":{doc}}}")
        } else {
            (user.groups, user.folders) = (groups, folders);
            to_json(&EntitySnapshot::User(Box::new(user.clone())))?
        };
        self.rows.add_user(code, &user, EncodedUser::new(active_code(&user), account, doc)?);
        self.receipt().users.push(user);
        let password_set = account.sets_password();
        Ok(EncodedEvent { after: Some(after), password_set, ..EncodedEvent::new(Action::Created) })
    }

    /// Unique keys, secondary emails and memberships of a created or restored user.
    pub(super) fn add_user_relations(&mut self, code: i32, at: Time, user: &User) {
        for claim in unique_keys::of_user(user) {
            self.claim_key(code, &claim, user.number);
        }
        for text in unique_keys::secondary_emails(user) {
            self.rows.add_secondary_email(code, &text, user.number);
        }
        for (item, kind) in memberships_of(user) {
            self.rows.add_membership(code, item, user.number, kind);
        }
        for group in unique_keys::symmetric_difference(&[], &user.groups) {
            self.rows.bump_item_version(code, group, at);
        }
    }

    fn change_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        (before, after): (&User, &User),
        account: &AccountEdit,
        known: &Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        let (mut before, mut after) = (before.clone(), after.clone());
        after.number = before.number;
        let stored = known.with_memberships(code, &before);
        memberships::merge_into(&stored, &mut before, &mut after);
        let before = &before;
        self.rows.expect_memberships(code, before.number, &memberships_of(before));
        self.replace_unique_keys(code, &unique_keys::of_user(before), unique_keys::of_user(&after), before.number);
        let (old, new) = (unique_keys::secondary_emails(before), unique_keys::secondary_emails(&after));
        for text in old.iter().filter(|text| !new.contains(text)) {
            self.rows.remove_secondary_email(code, text, before.number);
        }
        for text in new.iter().filter(|text| !old.contains(text)) {
            self.rows.add_secondary_email(code, text, before.number);
        }
        let (old, new) = (memberships_of(before), memberships_of(&after));
        let members_removed: Vec<_> = old.iter().filter(|one| !new.contains(one)).copied().collect();
        self.rows.remove_expected_memberships(code, before.number, &members_removed);
        for (item, kind) in new.iter().filter(|one| !old.contains(one)) {
            self.rows.add_membership(code, *item, before.number, *kind);
        }
        for group in unique_keys::symmetric_difference(&before.groups, &after.groups) {
            self.rows.bump_item_version(code, group, at);
        }
        let event_row = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::User(Box::new(before.clone())))?),
            after: Some(to_json(&EntitySnapshot::User(Box::new(after.clone())))?),
            password_set: account.sets_password(),
            ..EncodedEvent::new(Action::Updated)
        };
        self.receipt().users.push(after.clone());
        (after.groups, after.folders) = (Vec::new(), Vec::new());
        let doc = to_json(&after)?;
        let columns = EncodedUser::new(active_code(&after), account, doc)?;
        self.rows.change_user(code, before.version, &after, columns);
        Ok(event_row)
    }

    fn add_item(
        &mut self,
        tenant: TenantNumber,
        item: &Item,
        members: &[UserId],
        known: &mut Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        let mut item = item.clone();
        let kind = item.kind();
        if item.number() == 0 && kind != ItemKind::Department {
            item.set_number(known.next_number(tenant, kind_code(kind)));
            let (kind, number) = (kind_code(kind), int(item.number()));
            self.require(Precondition::ItemNumberFree { tenant: code, kind, number, is_allocated: true });
        }
        self.created.insert(item.id().0);
        for claim in unique_keys::of_item(&item) {
            self.claim_key(code, &claim, item.number());
        }
        let add: Vec<Box<dyn Param>> = vec![
            Box::new(code),
            Box::new(kind_code(kind)),
            Box::new(int(item.number())),
            Box::new(item.id().0),
            Box::new(int(item.version())),
            Box::new(Item::name_key(kind, item.name()).into_bytes()),
            Box::new(to_json(&item)?),
            Box::new(item.updated().0),
        ];
        self.rows.middle.push(OwnedStatement { sql: sql::ADD_ITEM, params: add, expected_rows: Some(1) });
        self.update_members(code, &item, members, &[], known);
        let after = Some(to_json(&EntitySnapshot::Item(Box::new(item.clone())))?);
        self.receipt().items.push(item);
        Ok(EncodedEvent { after, members_added: members.to_vec(), ..EncodedEvent::new(Action::Created) })
    }

    fn change_item(
        &mut self,
        tenant: TenantNumber,
        (before, after): (&Item, &Item),
        members_added: &[UserId],
        members_removed: &[UserId],
        known: &Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        self.replace_unique_keys(code, &unique_keys::of_item(before), unique_keys::of_item(after), before.number());
        self.save_item(code, before, after)?;
        self.update_members(code, after, members_added, members_removed, known);
        self.item_changed(before, after, members_added.to_vec(), members_removed.to_vec())
    }

    fn save_item(&mut self, code: i32, before: &Item, after: &Item) -> ApplyResult {
        let change: Vec<Box<dyn Param>> = vec![
            Box::new(int(after.version())),
            Box::new(Item::name_key(after.kind(), after.name()).into_bytes()),
            Box::new(to_json(after)?),
            Box::new(after.updated().0),
            Box::new(code),
            Box::new(before.id().0),
            Box::new(int(before.version())),
        ];
        self.push_early(sql::CHANGE_ITEM, change, Some(1));
        Ok(())
    }

    fn item_changed(
        &mut self,
        before: &Item,
        after: &Item,
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    ) -> ApplyResult<EncodedEvent> {
        let event_row = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::Item(Box::new(before.clone())))?),
            after: Some(to_json(&EntitySnapshot::Item(Box::new(after.clone())))?),
            members_added,
            members_removed,
            ..EncodedEvent::new(Action::Updated)
        };
        self.receipt().items.push(after.clone());
        Ok(event_row)
    }

    /// Returns no event if nothing changes.
    fn change_members(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        id: ItemId,
        known: &Prefetched,
    ) -> ApplyResult<Option<EncodedEvent>> {
        let code = tenant_code(tenant);
        let Some(group) = known.membership_change(tenant, id) else {
            self.rows.has_failed_precondition = true;
            return Ok(None);
        };
        let before = &group.item;
        if group.members_added.is_empty() && group.members_removed.is_empty() {
            self.receipt().items.push(before.clone());
            return Ok(None);
        }
        let mut after = before.clone();
        after.mark_updated(at);
        // If the item has changed meanwhile, the batch is read and planned again.
        self.save_item(code, before, &after)?;
        let kind = kind_code(after.kind());
        // The prefetched memberships must still be exact, so the row counts are expected.
        let numbers = |people: &[(UserId, u32)]| people.iter().map(|(_, number)| int(*number)).collect::<Vec<i32>>();
        let (come, go) = (numbers(&group.members_added), numbers(&group.members_removed));
        group
            .members_added
            .iter()
            .chain(&group.members_removed)
            .for_each(|(_, number)| self.rows.lock_user(code, *number));
        let many = |count: usize| (vec![code; count], vec![id.0; count]);
        if !go.is_empty() {
            let ((tenants, items), count) = (many(go.len()), go.len() as u64);
            self.push_early(
                sql::REMOVE_MEMBERSHIPS,
                vec![Box::new(tenants), Box::new(items), Box::new(go)],
                Some(count),
            );
        }
        if !come.is_empty() {
            let ((tenants, items), count) = (many(come.len()), come.len());
            let kinds = vec![kind; count];
            let params: Vec<Box<dyn Param>> = vec![Box::new(tenants), Box::new(items), Box::new(come), Box::new(kinds)];
            self.push_late(sql::ADD_MEMBERSHIPS, params, Some(count as u64));
        }
        let ids = |people: &[(UserId, u32)]| people.iter().map(|(id, _)| *id).collect::<Vec<UserId>>();
        self.item_changed(before, &after, ids(&group.members_added), ids(&group.members_removed)).map(Some)
    }

    fn remove_item(&mut self, tenant: TenantNumber, item: &Item) -> ApplyResult<EncodedEvent> {
        let code = tenant_code(tenant);
        self.replace_unique_keys(code, &unique_keys::of_item(item), Vec::new(), item.number());
        self.push_early(sql::LOCK_MEMBERS, vec![Box::new(code), Box::new(item.id().0)], None);
        self.push_early(sql::REMOVE_MEMBERSHIPS_OF_ITEM, vec![Box::new(code), Box::new(item.id().0)], None);
        let removed: Vec<Box<dyn Param>> = vec![Box::new(code), Box::new(item.id().0), Box::new(int(item.version()))];
        self.push_early(sql::REMOVE_ITEM, removed, Some(1));
        let before = Some(to_json(&EntitySnapshot::Item(Box::new(item.clone())))?);
        Ok(EncodedEvent { before, ..EncodedEvent::new(Action::Deleted) })
    }

    /// Adds and removes members, whether or not they are members already.
    fn update_members(
        &mut self,
        code: i32,
        item: &Item,
        members_added: &[UserId],
        members_removed: &[UserId],
        known: &Prefetched,
    ) {
        for user in members_added {
            match known.user_number(code, *user) {
                Some(number) => {
                    self.rows.lock_user(code, number);
                    self.rows.add_membership(code, item.id(), number, item.kind());
                }
                None => self.rows.has_failed_precondition = true,
            }
        }
        for user in members_removed {
            if let Some(number) = known.user_number(code, *user) {
                self.rows.lock_user(code, number);
                self.rows.remove_membership(code, item.id(), number, item.kind());
            }
        }
    }

    /// Releases keys that are only in `old` and claims those that are only in `new`.
    pub(super) fn replace_unique_keys(&mut self, code: i32, old: &[UniqueKey], new: Vec<UniqueKey>, owner: u32) {
        for removed in old.iter().filter(|old| !new.iter().any(|new| new.has_same_key(old))) {
            self.rows.release_key(code, removed, owner);
            self.released.insert((code, removed.namespace, removed.text.clone()));
        }
        for claim in new.into_iter().filter(|new| !old.iter().any(|old| old.has_same_key(new))) {
            self.claim_key(code, &claim, owner);
        }
    }

    fn claim_key(&mut self, code: i32, claim: &UniqueKey, owner: u32) {
        // A duplicate would abort the transaction before the row of the batch is inserted.
        if self.duplicates.is_empty() || !self.duplicates.contains(&(code, claim.namespace, claim.text.clone())) {
            self.rows.claim_key(code, claim, owner);
        }
    }
}

/// All memberships of a user, sorted and without duplicates.
pub(super) fn memberships_of(user: &User) -> Vec<(ItemId, ItemKind)> {
    let of = |ids: &[ItemId], kind| ids.iter().map(|id| (*id, kind)).collect::<Vec<_>>();
    let mut all = of(&user.groups, ItemKind::Group);
    all.extend(of(&user.folders, ItemKind::Folder));
    all.extend(user.organization.map(|id| (id, ItemKind::Organization)));
    all.sort_unstable();
    all.dedup();
    all
}
