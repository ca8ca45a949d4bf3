//! Changes as rows: what each edit of a batch writes, what must be so for it, and what its caller is told.
//!
//! Nothing here waits. What has to be read beforehand is in [`Known`].

use super::gather::Known;
use super::needs::Need;
use super::param::{Param, int};
use super::rows::{Rows, Single, kind_code, tenant_code};
use crate::claims::{self, Claim};
use crate::plan::is_active;
use crate::sql::{self, Sql};
use crate::told::{Author, Told, encode};
use directory::{
    Action, Change, Connection, Edit, Field, Item, ItemId, ItemKind, Receipt, Record, StoredPassword, Tenant,
    TenantNumber, Time, User, UserId, fold,
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
    made: HashSet<Uuid>,
    given_up: HashSet<(i32, u8, String)>,
}

type Done<T = ()> = Result<T, serde_json::Error>;

/// Plans the changes of a batch, in order.
pub(super) fn plan<'a>(changes: impl Iterator<Item = &'a Change>, known: &mut Known) -> Done<Plan> {
    let mut plan = Plan::default();
    for (place, change) in changes.enumerate() {
        plan.place = place;
        plan.receipts.push(Receipt::default());
        plan.change(change, known)?;
    }
    Ok(plan)
}

impl Plan {
    fn change(&mut self, change: &Change, known: &mut Known) -> Done {
        let Change { tenant, at, connection, who, request, absent, edits } = change;
        for claim in absent.iter().filter_map(|(kind, key)| claims::of_key(*kind, key)) {
            self.rows.without(tenant_code(*tenant), &claim);
            self.need(Need::Absent(tenant_code(*tenant), claim));
        }
        let author = Author {
            tenant: *tenant,
            at: *at,
            connection: *connection,
            who: who.clone(),
            request: request.clone(),
        };
        for edit in edits {
            if let Some(told) = self.edit(*tenant, *at, edit, known)? {
                self.rows.tell(&author, told)?;
            }
        }
        Ok(())
    }

    fn edit(&mut self, tenant: TenantNumber, at: Time, edit: &Edit, known: &mut Known) -> Done<Option<Told>> {
        Ok(match edit {
            Edit::AddUser { user, password } => {
                Some(self.add_user(tenant, at, user, password.as_ref(), known)?)
            }
            Edit::ChangeUser { before, after, password } => {
                Some(self.change_user(tenant, at, (before, after), password.as_ref())?)
            }
            Edit::RemoveUser(user) => Some(self.remove_user(tenant, at, user)?),
            Edit::AddItem { item, members } => Some(self.add_item(tenant, item, members, known)?),
            Edit::ChangeItem { before, after, joined, left } => {
                Some(self.change_item(tenant, (before, after), joined, left, known)?)
            }
            Edit::ChangeMembers { item, .. } => self.change_members(tenant, at, item.id(), known)?,
            Edit::RemoveItem(item) => Some(self.remove_item(tenant, item)?),
            Edit::AddTenant(new) => Some(self.add_tenant(new, known)?),
            Edit::AddConnection(new) => Some(self.add_connection(new)?),
            Edit::ChangeConnection { before, after } => Some(self.change_connection(before, after, known)?),
            Edit::Touch(id) => {
                self.late(sql::TOUCH_CONNECTION, vec![Box::new(at.0), Box::new(id.0)], None);
                None
            }
            Edit::AddSecret(name, secret) => {
                self.need(Need::SecretFree(name));
                self.late(sql::ADD_SECRET, vec![Box::new(*name), Box::new(secret.0.to_vec())], Some(1));
                None
            }
        })
    }

    fn need(&mut self, need: Need) {
        let is_met = match &need {
            Need::ItemThere(_, id) | Need::UserThere(_, id) => self.made.contains(id),
            Need::Free(code, claim) => self.given_up.contains(&(*code, claim.space, claim.text.clone())),
            _ => false,
        };
        if !is_met {
            self.needs.push((self.place, need));
        }
    }

    fn early(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, must: Option<u64>) {
        self.rows.early.push(Single { sql, params, must });
    }

    fn late(&mut self, sql: Sql, params: Vec<Box<dyn Param>>, must: Option<u64>) {
        self.rows.late.push(Single { sql, params, must });
    }

    fn receipt(&mut self) -> &mut Receipt {
        &mut self.receipts[self.place]
    }

    fn add_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        user: &User,
        password: Option<&StoredPassword>,
        known: &mut Known,
    ) -> Done<Told> {
        let code = tenant_code(tenant);
        let mut user = user.clone();
        user.number = known.number(tenant, 0);
        self.need(Need::UserIdFree(code, user.id.0));
        self.made.insert(user.id.0);
        for claim in claims::of_user(&user) {
            self.take(code, claim, user.number);
        }
        for text in claims::mentions(&user) {
            self.rows.mention(code, &text, user.number);
        }
        for (item, kind) in belongings(&user) {
            self.need(Need::ItemThere(code, item.0));
            self.rows.join(code, item, user.number, kind);
        }
        for group in claims::only_in_one(&[], &user.groups) {
            self.rows.touch(code, group, at);
        }
        let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
        let doc = encode(&user)?;
        let after = if groups.is_empty() && folders.is_empty() {
            format!("{{\"user\":{doc}}}")
        } else {
            (user.groups, user.folders) = (groups, folders);
            encode(&Record::User(Box::new(user.clone())))?
        };
        self.rows.add_user(code, &user, is_active(&user), password, doc);
        self.receipt().users.push(user);
        Ok(Told { after: Some(after), password_set: password.is_some(), ..Told::new(Action::Created) })
    }

    fn change_user(
        &mut self,
        tenant: TenantNumber,
        at: Time,
        (before, after): (&User, &User),
        password: Option<&StoredPassword>,
    ) -> Done<Told> {
        let code = tenant_code(tenant);
        let mut after = after.clone();
        after.number = before.number;
        self.need(Need::UserAt(code, int(before.number), int(before.version)));
        self.swap(code, &claims::of_user(before), claims::of_user(&after), before.number);
        let (old, new) = (claims::mentions(before), claims::mentions(&after));
        for text in old.iter().filter(|text| !new.contains(text)) {
            self.rows.forget(code, text, before.number);
        }
        for text in new.iter().filter(|text| !old.contains(text)) {
            self.rows.mention(code, text, before.number);
        }
        let (old, new) = (belongings(before), belongings(&after));
        for (item, kind) in old.iter().filter(|one| !new.contains(one)) {
            self.rows.leave(code, *item, before.number, *kind);
        }
        for (item, kind) in new.iter().filter(|one| !old.contains(one)) {
            self.need(Need::ItemThere(code, item.0));
            self.rows.join(code, *item, before.number, *kind);
        }
        for group in claims::only_in_one(&before.groups, &after.groups) {
            self.rows.touch(code, group, at);
        }
        let told = Told {
            before: Some(encode(&Record::User(Box::new(before.clone())))?),
            after: Some(encode(&Record::User(Box::new(after.clone())))?),
            password_set: password.is_some(),
            ..Told::new(Action::Updated)
        };
        self.receipt().users.push(after.clone());
        (after.groups, after.folders) = (Vec::new(), Vec::new());
        let doc = encode(&after)?;
        self.rows.change_user(code, before.version, &after, is_active(&after), password, doc);
        Ok(told)
    }

    fn remove_user(&mut self, tenant: TenantNumber, at: Time, user: &User) -> Done<Told> {
        let code = tenant_code(tenant);
        self.need(Need::UserAt(code, int(user.number), int(user.version)));
        self.swap(code, &claims::of_user(user), Vec::new(), user.number);
        for text in claims::mentions(user) {
            self.rows.forget(code, &text, user.number);
        }
        for group in &user.groups {
            self.rows.touch(code, *group, at);
        }
        self.rows.remove_user(code, user);
        let before = Some(encode(&Record::User(Box::new(user.clone())))?);
        Ok(Told { before, ..Told::new(Action::Deleted) })
    }

    fn add_item(
        &mut self,
        tenant: TenantNumber,
        item: &Item,
        members: &[UserId],
        known: &mut Known,
    ) -> Done<Told> {
        let code = tenant_code(tenant);
        let mut item = item.clone();
        let kind = item.kind();
        let is_given = item.number() == 0 && kind != ItemKind::Department;
        if is_given {
            item.set_number(known.number(tenant, kind_code(kind)));
        }
        self.need(Need::NumberFree {
            tenant: code,
            kind: kind_code(kind),
            number: int(item.number()),
            is_given,
        });
        self.need(Need::ItemIdFree(code, item.id().0));
        self.made.insert(item.id().0);
        for claim in claims::of_item(&item) {
            self.take(code, claim, item.number());
        }
        let add: Vec<Box<dyn Param>> = vec![
            Box::new(code),
            Box::new(kind_code(kind)),
            Box::new(int(item.number())),
            Box::new(item.id().0),
            Box::new(int(item.version())),
            Box::new(Item::name_key(kind, item.name()).into_bytes()),
            Box::new(encode(&item)?),
            Box::new(item.updated().0),
        ];
        self.rows.middle.push(Single { sql: sql::ADD_ITEM, params: add, must: Some(1) });
        self.enrol(code, &item, members, &[], known);
        let after = Some(encode(&Record::Item(Box::new(item.clone())))?);
        self.receipt().items.push(item);
        Ok(Told { after, joined: members.to_vec(), ..Told::new(Action::Created) })
    }

    fn change_item(
        &mut self,
        tenant: TenantNumber,
        (before, after): (&Item, &Item),
        joined: &[UserId],
        left: &[UserId],
        known: &Known,
    ) -> Done<Told> {
        let code = tenant_code(tenant);
        self.swap(code, &claims::of_item(before), claims::of_item(after), before.number());
        self.need(Need::ItemAt(code, before.id().0, int(before.version())));
        self.save_item(code, before, after)?;
        self.enrol(code, after, joined, left, known);
        self.item_changed(before, after, joined.to_vec(), left.to_vec())
    }

    /// An item over what it was.
    fn save_item(&mut self, code: i32, before: &Item, after: &Item) -> Done {
        let change: Vec<Box<dyn Param>> = vec![
            Box::new(int(after.version())),
            Box::new(Item::name_key(after.kind(), after.name()).into_bytes()),
            Box::new(encode(after)?),
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
        joined: Vec<UserId>,
        left: Vec<UserId>,
    ) -> Done<Told> {
        let told = Told {
            before: Some(encode(&Record::Item(Box::new(before.clone())))?),
            after: Some(encode(&Record::Item(Box::new(after.clone())))?),
            joined,
            left,
            ..Told::new(Action::Updated)
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
    ) -> Done<Option<Told>> {
        let code = tenant_code(tenant);
        let Some(group) = known.group(tenant, id) else {
            self.need(Need::ItemThere(code, id.0));
            self.rows.is_hopeless = true;
            return Ok(None);
        };
        let before = &group.item;
        if group.joined.is_empty() && group.left.is_empty() {
            self.receipt().items.push(before.clone());
            return Ok(None);
        }
        let mut after = before.clone();
        after.touch(at);
        // Others may have touched it meanwhile; then all of this is read again.
        self.need(Need::ItemThere(code, id.0));
        self.save_item(code, before, &after)?;
        let kind = kind_code(after.kind());
        // What was looked up beforehand must still be so, to the last member.
        let numbers =
            |people: &[(UserId, u32)]| people.iter().map(|(_, number)| int(*number)).collect::<Vec<i32>>();
        let (come, go) = (numbers(&group.joined), numbers(&group.left));
        let many = |count: usize| (vec![code; count], vec![id.0; count]);
        if !go.is_empty() {
            let ((tenants, items), count) = (many(go.len()), go.len() as u64);
            self.early(sql::LEAVE, vec![Box::new(tenants), Box::new(items), Box::new(go)], Some(count));
        }
        if !come.is_empty() {
            let ((tenants, items), count) = (many(come.len()), come.len());
            for (user, _) in &group.joined {
                self.need(Need::UserThere(code, user.0));
            }
            let kinds = vec![kind; count];
            let params: Vec<Box<dyn Param>> =
                vec![Box::new(tenants), Box::new(items), Box::new(come), Box::new(kinds)];
            self.late(sql::JOIN, params, Some(count as u64));
        }
        let ids = |people: &[(UserId, u32)]| people.iter().map(|(id, _)| *id).collect::<Vec<UserId>>();
        self.item_changed(before, &after, ids(&group.joined), ids(&group.left)).map(Some)
    }

    fn remove_item(&mut self, tenant: TenantNumber, item: &Item) -> Done<Told> {
        let code = tenant_code(tenant);
        self.need(Need::ItemAt(code, item.id().0, int(item.version())));
        self.swap(code, &claims::of_item(item), Vec::new(), item.number());
        self.early(sql::DISBAND, vec![Box::new(code), Box::new(item.id().0)], None);
        let gone: Vec<Box<dyn Param>> =
            vec![Box::new(code), Box::new(item.id().0), Box::new(int(item.version()))];
        self.early(sql::REMOVE_ITEM, gone, Some(1));
        let before = Some(encode(&Record::Item(Box::new(item.clone())))?);
        Ok(Told { before, ..Told::new(Action::Deleted) })
    }

    fn add_tenant(&mut self, tenant: &Tenant, known: &Known) -> Done<Told> {
        let mut tenant = tenant.clone();
        let is_given = tenant.number.0 == 0;
        if is_given {
            tenant.number = TenantNumber(known.next_tenant);
        }
        self.need(Need::TenantFree { number: int(tenant.number.0), is_given });
        let add: Vec<Box<dyn Param>> = vec![Box::new(int(tenant.number.0)), Box::new(encode(&tenant)?)];
        self.late(sql::ADD_TENANT, add, Some(1));
        let after = Some(encode(&Record::Tenant(tenant.clone()))?);
        let told = Told { after, tenant: Some(tenant.number), ..Told::new(Action::Created) };
        self.receipt().tenant = Some(tenant);
        Ok(told)
    }

    fn add_connection(&mut self, new: &Connection) -> Done<Told> {
        let name = fold(&new.name).into_bytes();
        self.need(Need::ConnectionNameFree(int(new.tenant.0), name.clone()));
        let add: Vec<Box<dyn Param>> = vec![
            Box::new(new.id.0),
            Box::new(int(new.tenant.0)),
            Box::new(name),
            Box::new(new.created.0),
            Box::new(encode(new)?),
        ];
        self.late(sql::ADD_CONNECTION, add, Some(1));
        self.put_keys(new);
        Ok(Told { after: Some(encode(&Record::of_connection(new))?), ..Told::new(Action::Created) })
    }

    fn change_connection(&mut self, before: &Connection, new: &Connection, known: &Known) -> Done<Told> {
        let stored = known.connection(new.id).filter(|(_, stored)| stored.is_still(before));
        let Some((text, old)) = stored else {
            self.need(Need::Impossible);
            self.rows.is_hopeless = true;
            return Ok(Told::new(Action::Updated));
        };
        let change: Vec<Box<dyn Param>> =
            vec![Box::new(encode(new)?), Box::new(new.id.0), Box::new(text.clone())];
        let told = Told {
            before: Some(encode(&Record::of_connection(old))?),
            after: Some(encode(&Record::of_connection(new))?),
            ..Told::new(Action::Updated)
        };
        self.late(sql::CHANGE_CONNECTION, change, Some(1));
        self.late(sql::REMOVE_KEYS, vec![Box::new(new.id.0)], None);
        self.put_keys(new);
        Ok(told)
    }

    fn put_keys(&mut self, connection: &Connection) {
        for key in &connection.keys {
            let prefix = key.hash.prefix().to_vec();
            self.late(sql::ADD_KEY, vec![Box::new(prefix), Box::new(connection.id.0)], None);
        }
    }

    /// Puts people into an item and takes others out, whoever of them is there already.
    fn enrol(&mut self, code: i32, item: &Item, joined: &[UserId], left: &[UserId], known: &Known) {
        for user in joined {
            self.need(Need::UserThere(code, user.0));
            match known.user_number(code, *user) {
                Some(number) => self.rows.join(code, item.id(), number, item.kind()),
                None => self.rows.is_hopeless = true,
            }
        }
        for user in left {
            if let Some(number) = known.user_number(code, *user) {
                self.rows.leave(code, item.id(), number, item.kind());
            }
        }
    }

    /// Gives up the claims that are only in `old` and takes those that are only in `new`.
    fn swap(&mut self, code: i32, old: &[Claim], new: Vec<Claim>, owner: u32) {
        let same = |a: &Claim, b: &Claim| a.space == b.space && a.text == b.text;
        for gone in old.iter().filter(|o| !new.iter().any(|n| same(o, n))) {
            self.rows.release(code, gone, owner);
            self.given_up.insert((code, gone.space, gone.text.clone()));
        }
        for claim in new.into_iter().filter(|n| !old.iter().any(|o| same(o, n))) {
            self.take(code, claim, owner);
        }
    }

    fn take(&mut self, code: i32, claim: Claim, owner: u32) {
        self.rows.claim(code, &claim, owner);
        self.need(Need::Free(code, claim));
    }
}

/// Everything a person belongs to, and what kind it is, each once.
fn belongings(user: &User) -> Vec<(ItemId, ItemKind)> {
    let of = |ids: &[ItemId], kind| ids.iter().map(|id| (*id, kind)).collect::<Vec<_>>();
    let mut all = of(&user.groups, ItemKind::Group);
    all.extend(of(&user.folders, ItemKind::Folder));
    all.extend(user.organisation.map(|id| (id, ItemKind::Organisation)));
    all.sort_unstable();
    all.dedup();
    all
}

/// The field to blame when an identity or number is taken.
pub(super) const IDENTITY: Field = Field::Id;
