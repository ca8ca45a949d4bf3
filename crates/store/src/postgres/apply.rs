//! Changes as rows: what each edit of a batch writes, what must be so for it, and what its caller is told.
//!
//! Nothing here waits. What has to be read beforehand is in [`Known`].

use super::columns::UserColumns;
use super::gather::Known;
use super::needs::Need;
use super::param::{Param, int, kind_code, tenant_code};
use super::rows::{Rows, Single};
use crate::event_row::{ChangeContext, EncodedEvent, mail_event, to_json};
use crate::guards::{self, Guard};
use crate::memberships;
use crate::query_plan::active_code;
use crate::sql::{self, Sql};
use crate::unique_keys::{self, UniqueKey};
use directory::{
    AccountEdit, Action, Change, EntitySnapshot, Item, ItemId, ItemKind, Mutation, Receipt, TenantNumber,
    Time, User, UserId,
};
use std::collections::HashSet;
use uuid::Uuid;

/// A batch, planned.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) rows: Rows,
    /// What must be so, in the order in which it is looked at, and for which change.
    pub(super) needs: Vec<(usize, Need)>,
    pub(super) receipts: Vec<Receipt>,
    /// The change that is being planned.
    place: usize,
    /// What the batch itself makes and gives up; nobody needs to have that there or free beforehand.
    pub(super) made: HashSet<Uuid>,
    given_up: HashSet<(i32, u8, String)>,
    /// What the change that is being planned has taken so far.
    taken: HashSet<(i32, u8, String)>,
    /// What it would take twice.
    twice: HashSet<(i32, u8, String)>,
}

pub(super) type Done<T = ()> = Result<T, serde_json::Error>;

/// Plans the changes of a batch, in order.
pub(super) fn plan<'a>(changes: impl Iterator<Item = &'a Change>, known: &mut Known) -> Done<Plan> {
    let mut plan = Plan::default();
    for (place, change) in changes.enumerate() {
        plan.place = place;
        plan.taken.clear();
        plan.twice.clear();
        plan.receipts.push(Receipt::default());
        plan.change(change, known)?;
    }
    Ok(plan)
}

impl Plan {
    fn change(&mut self, change: &Change, known: &mut Known) -> Done {
        let Change {
            tenant,
            at,
            connection,
            actor: who,
            request_id: request,
            assumed_absent: absent,
            assumed_not_deleted: not_deleted,
            mutations: edits,
        } = change;
        for claim in absent.iter().filter_map(|(kind, key)| unique_keys::of_key(*kind, key)) {
            self.rows.without(tenant_code(*tenant), &claim);
            self.need(Need::Absent(tenant_code(*tenant), claim));
        }
        if let Some(id) = not_deleted {
            let (code, key) = (tenant_code(*tenant), unique_keys::external_id_key(id));
            self.rows.not_buried(code, &key);
            self.need(Need::NotBuried(code, key.into_bytes()));
        }
        let author = ChangeContext {
            tenant: *tenant,
            at: *at,
            connection: *connection,
            actor: who.clone(),
            request_id: request.clone(),
        };
        for edit in edits {
            for check in guards::guards_of(edit) {
                self.check(tenant_code(*tenant), check, known);
            }
            if let Some(told) = self.edit(*tenant, *at, edit, known)? {
                self.rows.tell(&author, told)?;
            }
        }
        Ok(())
    }

    fn edit(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        edit: &Mutation,
        known: &mut Known,
    ) -> Done<Option<EncodedEvent>> {
        Ok(match edit {
            Mutation::AddUser { user, account } => Some(self.add_user(tenant, at, user, account, known)?),
            Mutation::ChangeUser { before, after, account, notes } => {
                let told = self.change_user(tenant, at, (before, after), account, known)?;
                Some(EncodedEvent { notes: notes.clone(), ..told })
            }
            Mutation::RestoreUser { before, user, account, keeps_password } => {
                Some(self.restore_user(tenant, at, (before, user), (account, *keeps_password))?)
            }
            Mutation::PurgeUser(stone) => Some(self.purge_user(tenant, stone)?),
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
            Mutation::ChangeConnection { before, after } => {
                Some(self.change_connection(before, after, known)?)
            }
            Mutation::RecordConnectionUse(id, uses) => {
                let bound: Vec<Box<dyn Param>> =
                    vec![Box::new(at.0), Box::new(to_json(uses)?), Box::new(id.0)];
                self.late(sql::RECORD_CONNECTION_USE, bound, None);
                None
            }
            Mutation::AddSecret(name, secret) => {
                self.late(sql::ADD_SECRET, vec![Box::new(*name), Box::new(secret.0.to_vec())], Some(1));
                None
            }
        })
    }

    /// Needs what an edit needs, in the order that all engines share.
    fn check(&mut self, code: i32, check: Guard<'_>, known: &Known) {
        if let Guard::ConnectionUnchanged(before) = check
            && known.connection(before.id).is_none_or(|(_, stored)| !stored.is_unchanged_since(before))
        {
            self.need(Need::Impossible);
            self.rows.is_hopeless = true;
        }
        if let Guard::KeyFree(claim) | Guard::DuplicateKey(claim) = &check {
            let key = (code, claim.namespace, claim.text.clone());
            if self.taken.contains(&key) {
                // Two of what one change makes would have the same; nobody else is to blame.
                self.rows.is_hopeless = true;
                self.need(Need::Twice(claim.field));
                self.twice.insert(key);
                return;
            }
            self.taken.insert(key);
        }
        if let Some(need) = Need::of(code, check) {
            self.need(need);
        }
    }

    pub(super) fn need(&mut self, need: Need) {
        let is_met = match &need {
            Need::ItemThere(_, id) | Need::UserThere(_, id) => self.made.contains(id),
            Need::Free(code, claim) => self.given_up.contains(&(*code, claim.namespace, claim.text.clone())),
            _ => false,
        };
        if !is_met {
            self.needs.push((self.place, need));
        }
    }

    pub(super) fn early(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, must: Option<u64>) {
        self.rows.early.push(Single { sql, params, must });
    }

    pub(super) fn late(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, must: Option<u64>) {
        self.rows.late.push(Single { sql, params, must });
    }

    pub(super) fn receipt(&mut self) -> &mut Receipt {
        &mut self.receipts[self.place]
    }

    fn add_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        user: &User,
        account: &AccountEdit,
        known: &mut Known,
    ) -> Done<EncodedEvent> {
        let code = tenant_code(tenant);
        let mut user = user.clone();
        user.number = known.number(tenant, 0);
        self.made.insert(user.id.0);
        self.settle(code, at, &user);
        let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
        let doc = to_json(&user)?;
        let after = if groups.is_empty() && folders.is_empty() {
            format!("{{\"user\":{doc}}}")
        } else {
            (user.groups, user.folders) = (groups, folders);
            to_json(&EntitySnapshot::User(Box::new(user.clone())))?
        };
        self.rows.add_user(code, &user, UserColumns::new(active_code(&user), account, doc)?);
        self.receipt().users.push(user);
        let password_set = account.sets_password();
        Ok(EncodedEvent { after: Some(after), password_set, ..EncodedEvent::new(Action::Created) })
    }

    /// What a person's row has around it from when it is there.
    pub(super) fn settle(&mut self, code: i32, at: Time, user: &User) {
        for claim in unique_keys::of_user(user) {
            self.take(code, &claim, user.number);
        }
        for text in unique_keys::secondary_emails(user) {
            self.rows.mention(code, &text, user.number);
        }
        for (item, kind) in belongings(user) {
            self.rows.join(code, item, user.number, kind);
        }
        for group in unique_keys::symmetric_difference(&[], &user.groups) {
            self.rows.touch(code, group, at);
        }
    }

    fn change_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        (before, after): (&User, &User),
        account: &AccountEdit,
        known: &Known,
    ) -> Done<EncodedEvent> {
        let code = tenant_code(tenant);
        let (mut before, mut after) = (before.clone(), after.clone());
        after.number = before.number;
        let stored = known.with_memberships(code, &before);
        memberships::merge_into(&stored, &mut before, &mut after);
        let before = &before;
        self.rows.expect_memberships(code, before.number, &belongings(before));
        self.swap(code, &unique_keys::of_user(before), unique_keys::of_user(&after), before.number);
        let (old, new) = (unique_keys::secondary_emails(before), unique_keys::secondary_emails(&after));
        for text in old.iter().filter(|text| !new.contains(text)) {
            self.rows.forget(code, text, before.number);
        }
        for text in new.iter().filter(|text| !old.contains(text)) {
            self.rows.mention(code, text, before.number);
        }
        let (old, new) = (belongings(before), belongings(&after));
        let members_removed: Vec<_> = old.iter().filter(|one| !new.contains(one)).copied().collect();
        self.rows.leave_exactly(code, before.number, &members_removed);
        for (item, kind) in new.iter().filter(|one| !old.contains(one)) {
            self.rows.join(code, *item, before.number, *kind);
        }
        for group in unique_keys::symmetric_difference(&before.groups, &after.groups) {
            self.rows.touch(code, group, at);
        }
        let told = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::User(Box::new(before.clone())))?),
            after: Some(to_json(&EntitySnapshot::User(Box::new(after.clone())))?),
            password_set: account.sets_password(),
            ..EncodedEvent::new(Action::Updated)
        };
        self.receipt().users.push(after.clone());
        (after.groups, after.folders) = (Vec::new(), Vec::new());
        let doc = to_json(&after)?;
        let columns = UserColumns::new(active_code(&after), account, doc)?;
        self.rows.change_user(code, before.version, &after, columns);
        Ok(told)
    }

    fn add_item(
        &mut self,
        tenant: TenantNumber,
        item: &Item,
        members: &[UserId],
        known: &mut Known,
    ) -> Done<EncodedEvent> {
        let code = tenant_code(tenant);
        let mut item = item.clone();
        let kind = item.kind();
        if item.number() == 0 && kind != ItemKind::Department {
            item.set_number(known.number(tenant, kind_code(kind)));
            let (kind, number) = (kind_code(kind), int(item.number()));
            self.need(Need::NumberFree { tenant: code, kind, number, is_given: true });
        }
        self.made.insert(item.id().0);
        for claim in unique_keys::of_item(&item) {
            self.take(code, &claim, item.number());
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
        self.rows.middle.push(Single { sql: sql::ADD_ITEM, params: add, must: Some(1) });
        self.enrol(code, &item, members, &[], known);
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
        known: &Known,
    ) -> Done<EncodedEvent> {
        let code = tenant_code(tenant);
        self.swap(code, &unique_keys::of_item(before), unique_keys::of_item(after), before.number());
        self.save_item(code, before, after)?;
        self.enrol(code, after, members_added, members_removed, known);
        self.item_changed(before, after, members_added.to_vec(), members_removed.to_vec())
    }

    /// An item over what it was.
    fn save_item(&mut self, code: i32, before: &Item, after: &Item) -> Done {
        let change: Vec<Box<dyn Param>> = vec![
            Box::new(int(after.version())),
            Box::new(Item::name_key(after.kind(), after.name()).into_bytes()),
            Box::new(to_json(after)?),
            Box::new(after.updated().0),
            Box::new(code),
            Box::new(before.id().0),
            Box::new(int(before.version())),
        ];
        self.early(sql::CHANGE_ITEM, change, Some(1));
        Ok(())
    }

    fn item_changed(
        &mut self,
        before: &Item,
        after: &Item,
        members_added: Vec<UserId>,
        members_removed: Vec<UserId>,
    ) -> Done<EncodedEvent> {
        let told = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::Item(Box::new(before.clone())))?),
            after: Some(to_json(&EntitySnapshot::Item(Box::new(after.clone())))?),
            members_added,
            members_removed,
            ..EncodedEvent::new(Action::Updated)
        };
        self.receipt().items.push(after.clone());
        Ok(told)
    }

    /// Nothing to tell when all was so already.
    fn change_members(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        id: ItemId,
        known: &Known,
    ) -> Done<Option<EncodedEvent>> {
        let code = tenant_code(tenant);
        let Some(group) = known.group(tenant, id) else {
            self.rows.is_hopeless = true;
            return Ok(None);
        };
        let before = &group.item;
        if group.members_added.is_empty() && group.members_removed.is_empty() {
            self.receipt().items.push(before.clone());
            return Ok(None);
        }
        let mut after = before.clone();
        after.mark_updated(at);
        // Others may have touched it meanwhile; then all of this is read again.
        self.save_item(code, before, &after)?;
        let kind = kind_code(after.kind());
        // What was looked up beforehand must still be so, to the last member.
        let numbers =
            |people: &[(UserId, u32)]| people.iter().map(|(_, number)| int(*number)).collect::<Vec<i32>>();
        let (come, go) = (numbers(&group.members_added), numbers(&group.members_removed));
        group
            .members_added
            .iter()
            .chain(&group.members_removed)
            .for_each(|(_, number)| self.rows.lock(code, *number));
        let many = |count: usize| (vec![code; count], vec![id.0; count]);
        if !go.is_empty() {
            let ((tenants, items), count) = (many(go.len()), go.len() as u64);
            self.early(
                sql::REMOVE_MEMBERSHIPS,
                vec![Box::new(tenants), Box::new(items), Box::new(go)],
                Some(count),
            );
        }
        if !come.is_empty() {
            let ((tenants, items), count) = (many(come.len()), come.len());
            let kinds = vec![kind; count];
            let params: Vec<Box<dyn Param>> =
                vec![Box::new(tenants), Box::new(items), Box::new(come), Box::new(kinds)];
            self.late(sql::ADD_MEMBERSHIPS, params, Some(count as u64));
        }
        let ids = |people: &[(UserId, u32)]| people.iter().map(|(id, _)| *id).collect::<Vec<UserId>>();
        self.item_changed(before, &after, ids(&group.members_added), ids(&group.members_removed)).map(Some)
    }

    fn remove_item(&mut self, tenant: TenantNumber, item: &Item) -> Done<EncodedEvent> {
        let code = tenant_code(tenant);
        self.swap(code, &unique_keys::of_item(item), Vec::new(), item.number());
        self.early(sql::LOCK_MEMBERS, vec![Box::new(code), Box::new(item.id().0)], None);
        self.early(sql::REMOVE_MEMBERSHIPS_OF_ITEM, vec![Box::new(code), Box::new(item.id().0)], None);
        let gone: Vec<Box<dyn Param>> =
            vec![Box::new(code), Box::new(item.id().0), Box::new(int(item.version()))];
        self.early(sql::REMOVE_ITEM, gone, Some(1));
        let before = Some(to_json(&EntitySnapshot::Item(Box::new(item.clone())))?);
        Ok(EncodedEvent { before, ..EncodedEvent::new(Action::Deleted) })
    }

    /// Puts people into an item and takes others out, whoever of them is there already.
    fn enrol(
        &mut self,
        code: i32,
        item: &Item,
        members_added: &[UserId],
        members_removed: &[UserId],
        known: &Known,
    ) {
        for user in members_added {
            match known.user_number(code, *user) {
                Some(number) => {
                    self.rows.lock(code, number);
                    self.rows.join(code, item.id(), number, item.kind());
                }
                None => self.rows.is_hopeless = true,
            }
        }
        for user in members_removed {
            if let Some(number) = known.user_number(code, *user) {
                self.rows.lock(code, number);
                self.rows.leave(code, item.id(), number, item.kind());
            }
        }
    }

    /// Gives up the claims that are only in `old` and takes those that are only in `new`.
    pub(super) fn swap(&mut self, code: i32, old: &[UniqueKey], new: Vec<UniqueKey>, owner: u32) {
        for gone in old.iter().filter(|old| !new.iter().any(|new| new.has_same_key(old))) {
            self.rows.release(code, gone, owner);
            self.given_up.insert((code, gone.namespace, gone.text.clone()));
        }
        for claim in new.into_iter().filter(|new| !old.iter().any(|old| old.has_same_key(new))) {
            self.take(code, &claim, owner);
        }
    }

    fn take(&mut self, code: i32, claim: &UniqueKey, owner: u32) {
        // What is taken twice would end the transaction before the batch has its row.
        if self.twice.is_empty() || !self.twice.contains(&(code, claim.namespace, claim.text.clone())) {
            self.rows.claim(code, claim, owner);
        }
    }
}

/// Everything a person belongs to, and what kind it is, each once.
pub(super) fn belongings(user: &User) -> Vec<(ItemId, ItemKind)> {
    let of = |ids: &[ItemId], kind| ids.iter().map(|id| (*id, kind)).collect::<Vec<_>>();
    let mut all = of(&user.groups, ItemKind::Group);
    all.extend(of(&user.folders, ItemKind::Folder));
    all.extend(user.organization.map(|id| (id, ItemKind::Organization)));
    all.sort_unstable();
    all.dedup();
    all
}
