//! The reference engine: everything in memory; each change is applied to a copy, which then replaces the state.
//!
//! It is slow and simple on purpose. The other engines must agree with it on every change and query.

mod guard_checks;
mod mails;
mod store;

use crate::guards;
use crate::memberships;
use crate::unique_keys::{self, LOGINS, USER_EXTERNAL_IDS, UniqueKey};
use directory::{
    Account, AccountEdit, Action, BoxFuture, Change, CommitError, Connection, EntitySnapshot, Event, EventData,
    EventNote, EventPosition, Item, ItemId, ItemKey, ItemKind, Mail, Mutation, PasswordHash, Receipt, ServerSecret,
    StoreError, Tenant, TenantNumber, Time, Tombstone, User, UserId, UserKey, identifier_key,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Its data is lost on drop.
#[derive(Default)]
pub struct Memory {
    state: Mutex<Arc<State>>,
}

#[derive(Clone, Default)]
struct State {
    tenants: BTreeMap<TenantNumber, Tenant>,
    connections: Vec<Connection>,
    tenant_data: HashMap<TenantNumber, Arc<TenantData>>,
    events: Vec<Arc<Event>>,
    secrets: HashMap<&'static str, ServerSecret>,
    mails: HashMap<Uuid, Mail>,
    commits: u64,
}

#[derive(Clone, Default)]
struct TenantData {
    users: BTreeMap<u32, User>,
    accounts: HashMap<UserId, Account>,
    /// Deleted users by number, with the passwords they had.
    tombstones: BTreeMap<u32, (Tombstone, Option<PasswordHash>)>,
    items: BTreeMap<(ItemKind, u32), Item>,
    members: BTreeSet<(ItemId, UserId)>,
    unique_keys: HashMap<(u8, String), KeyOwner>,
    last_user: u32,
    last_item: HashMap<ItemKind, u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyOwner {
    User(u32),
    Item(ItemKind, u32),
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    fn snapshot(&self) -> Arc<State> {
        Arc::clone(&self.state.lock())
    }

    fn read<'a, T: Send + 'a>(&self, f: impl FnOnce(&State) -> T) -> BoxFuture<'a, Result<T, StoreError>> {
        let found = f(&self.snapshot());
        Box::pin(std::future::ready(Ok(found)))
    }

    fn commit_change(&self, change: Change) -> Result<Receipt, CommitError> {
        let mut state = self.state.lock();
        let mut next = State::clone(&state);
        let receipt = next.apply(change)?;
        next.commits += 1;
        *state = Arc::new(next);
        Ok(receipt)
    }
}

impl State {
    fn apply(&mut self, mut change: Change) -> Result<Receipt, CommitError> {
        let own = self.events.iter().filter(|event| event.data.tenant == change.tenant);
        change.set_time(guards::commit_time(change.at, own.map(|event| event.data.at).max()));
        let Change { tenant, at, connection, actor, request_id, assumed_absent, assumed_not_deleted, mutations } =
            change;
        let exists = |(kind, key): &(ItemKind, ItemKey)| {
            self.tenant_data.get(&tenant).is_some_and(|data| data.item(*kind, key).is_some())
        };
        if assumed_absent.iter().any(exists) {
            return Err(CommitError::Stale);
        }
        let is_deleted = |id: &String| {
            let data = self.tenant_data.get(&tenant);
            let mut tombstones = data.into_iter().flat_map(|data| data.tombstones.values());
            tombstones.any(|(tombstone, _)| tombstone.user.external_id.as_ref() == Some(id))
        };
        if assumed_not_deleted.as_ref().is_some_and(is_deleted) {
            return Err(CommitError::Stale);
        }
        let mut receipt = Receipt::default();
        for mutation in mutations {
            self.check_guards(tenant, &mutation)?;
            let draft = EventData {
                tenant,
                at,
                connection,
                actor: actor.clone(),
                request_id: request_id.clone(),
                action: Action::Updated,
                before: None,
                after: None,
                members_added: Vec::new(),
                members_removed: Vec::new(),
                password_set: false,
                notes: Vec::new(),
            };
            if let Some(data) = self.apply_mutation(tenant, mutation, draft, &mut receipt)? {
                let position = EventPosition(self.events.len() as u64 + 1);
                self.events.push(Arc::new(Event { position, data }));
            }
        }
        Ok(receipt)
    }

    fn apply_mutation(
        &mut self,
        tenant: TenantNumber,
        mutation: Mutation,
        mut event: EventData,
        receipt: &mut Receipt,
    ) -> Result<Option<EventData>, CommitError> {
        match mutation {
            Mutation::AddTenant(mut new) => {
                if new.number.0 == 0 {
                    new.number = TenantNumber(self.tenants.last_key_value().map_or(0, |(n, _)| n.0) + 1);
                }
                self.tenants.insert(new.number, new.clone());
                event.tenant = new.number;
                event.action = Action::Created;
                event.after = Some(EntitySnapshot::Tenant(new.clone()));
                receipt.tenant = Some(new);
            }
            Mutation::ChangeTenant { before, after } => {
                self.tenants.insert(after.number, (*after).clone());
                event.before = Some(EntitySnapshot::Tenant(*before));
                event.after = Some(EntitySnapshot::Tenant((*after).clone()));
                receipt.tenant = Some(*after);
            }
            Mutation::AddMail(_) | Mutation::ChangeMail { .. } | Mutation::RemoveMail(_) => {
                if !self.apply_mail_mutation(mutation, &mut event) {
                    return Ok(None);
                }
            }
            Mutation::AddConnection(new) => {
                event.action = Action::Created;
                event.after = Some(EntitySnapshot::redacted_connection(&new));
                self.connections.push(*new);
            }
            Mutation::ChangeConnection { after: new, .. } => {
                let old = self.connections.iter_mut().find(|c| c.id == new.id).ok_or(CommitError::Stale)?;
                event.before = Some(EntitySnapshot::redacted_connection(old));
                event.after = Some(EntitySnapshot::redacted_connection(&new));
                *old = *new;
            }
            Mutation::RecordConnectionUse(id, uses) => {
                if let Some(found) = self.connections.iter_mut().find(|c| c.id == id) {
                    found.last_use = Some(event.at);
                    found.apply_key_uses(&uses);
                }
                return Ok(None);
            }
            Mutation::AddSecret(name, secret) => {
                self.secrets.insert(name, secret);
                return Ok(None);
            }
            other => {
                let data = Arc::make_mut(self.tenant_data.entry(tenant).or_default());
                if !data.apply_mutation(other, &mut event, receipt)? {
                    return Ok(None);
                }
            }
        }
        Ok(Some(event))
    }
}

impl TenantData {
    #[expect(clippy::too_many_lines, reason = "one arm for each mutation")]
    /// Returns whether the mutation produces an event.
    fn apply_mutation(
        &mut self,
        mutation: Mutation,
        event: &mut EventData,
        receipt: &mut Receipt,
    ) -> Result<bool, CommitError> {
        match mutation {
            Mutation::AddUser { mut user, account } => {
                self.last_user += 1;
                user.number = self.last_user;
                self.add_keys(&unique_keys::of_user(&user), KeyOwner::User(user.number));
                self.upsert_user(&user, &[], account, event);
                self.bump_group_versions(&[], &user.groups, event.at);
                event.action = Action::Created;
                event.after = Some(EntitySnapshot::User(user.clone()));
                receipt.users.push(*user);
            }
            Mutation::ChangeUser { mut before, mut after, account, notes } => {
                event.notes = notes;
                after.number = before.number;
                let stored = self.user(&UserKey::Number(before.number)).ok_or(CommitError::Stale)?;
                memberships::merge_into(&stored, &mut before, &mut after);
                self.release_keys(&unique_keys::of_user(&before));
                self.add_keys(&unique_keys::of_user(&after), KeyOwner::User(after.number));
                let old = memberships_of(&before);
                self.upsert_user(&after, &old, account, event);
                self.bump_group_versions(&before.groups, &after.groups, event.at);
                event.before = Some(EntitySnapshot::User(before));
                event.after = Some(EntitySnapshot::User(after.clone()));
                receipt.users.push(*after);
            }
            Mutation::RemoveUser(user) => {
                let user = Box::new(self.user(&UserKey::Number(user.number)).ok_or(CommitError::Stale)?);
                self.release_keys(&unique_keys::of_user(&user));
                self.users.remove(&user.number);
                let password = self.accounts.remove(&user.id).and_then(|account| account.password_hash);
                let tombstone = Tombstone { user: (*user).clone(), deleted: event.at };
                self.tombstones.insert(user.number, (tombstone, password));
                event.notes = vec![EventNote::SignInsEnded];
                self.members.retain(|(_, member)| *member != user.id);
                self.bump_group_versions(&user.groups, &[], event.at);
                event.action = Action::Deleted;
                event.before = Some(EntitySnapshot::User(user));
            }
            Mutation::RestoreUser { before, mut user, account, keeps_password } => {
                let old = self.tombstones.remove(&before.user.number).and_then(|(_, password)| password);
                (user.id, user.number) = (before.user.id, before.user.number);
                self.add_keys(&unique_keys::of_user(&user), KeyOwner::User(user.number));
                self.accounts.remove(&user.id);
                self.upsert_user(&user, &[], account, event);
                if let Some(old) = old.filter(|_| keeps_password) {
                    self.accounts.entry(user.id).or_default().password_hash = Some(old);
                }
                self.bump_group_versions(&[], &user.groups, event.at);
                event.action = Action::Created;
                event.notes = vec![EventNote::Restored];
                event.after = Some(EntitySnapshot::User(user.clone()));
                receipt.users.push(*user);
            }
            Mutation::PurgeUser(tombstone) => {
                self.tombstones.remove(&tombstone.user.number);
                event.action = Action::Deleted;
                event.notes = vec![EventNote::Purged];
                event.before = Some(EntitySnapshot::User(Box::new(tombstone.user)));
            }
            Mutation::AddItem { mut item, members } => {
                let kind = item.kind();
                let last = self.last_item.entry(kind).or_insert(unique_keys::first_item_number(kind) - 1);
                if item.number() == 0 && kind != ItemKind::Department {
                    *last += 1;
                    // Skip numbers that were set explicitly.
                    while self.items.contains_key(&(kind, *last)) {
                        *last += 1;
                    }
                    item.set_number(*last);
                }
                self.add_keys(&unique_keys::of_item(&item), KeyOwner::Item(kind, item.number()));
                self.items.insert((kind, item.number()), (*item).clone());
                self.add_members(item.id(), &members);
                event.action = Action::Created;
                event.after = Some(EntitySnapshot::Item(item.clone()));
                event.members_added = members;
                receipt.items.push(*item);
            }
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                let key = (before.kind(), before.number());
                self.release_keys(&unique_keys::of_item(&before));
                self.add_keys(&unique_keys::of_item(&after), KeyOwner::Item(key.0, key.1));
                self.items.insert(key, (*after).clone());
                self.add_members(after.id(), &members_added);
                self.members.retain(|(item, user)| *item != after.id() || !members_removed.contains(user));
                event.before = Some(EntitySnapshot::Item(before));
                event.after = Some(EntitySnapshot::Item(after.clone()));
                (event.members_added, event.members_removed) = (members_added, members_removed);
                receipt.items.push(*after);
            }
            Mutation::ChangeMembers { item, mut members_added, mut members_removed } => {
                let stored = self.items.get_mut(&(item.kind(), item.number()));
                let stored = stored.filter(|stored| stored.id() == item.id()).ok_or(CommitError::Stale)?;
                members_added.retain(|user| !self.members.contains(&(item.id(), *user)));
                members_removed
                    .retain(|user| self.members.contains(&(item.id(), *user)) && !members_added.contains(user));
                if members_added.is_empty() && members_removed.is_empty() {
                    receipt.items.push(stored.clone());
                    return Ok(false);
                }
                event.before = Some(EntitySnapshot::Item(Box::new(stored.clone())));
                stored.mark_updated(event.at);
                event.after = Some(EntitySnapshot::Item(Box::new(stored.clone())));
                receipt.items.push(stored.clone());
                self.add_members(item.id(), &members_added);
                self.members.retain(|(group, user)| *group != item.id() || !members_removed.contains(user));
                (event.members_added, event.members_removed) = (members_added, members_removed);
            }
            Mutation::RemoveItem(item) => {
                let key = (item.kind(), item.number());
                self.release_keys(&unique_keys::of_item(&item));
                self.items.remove(&key);
                self.members.retain(|(group, _)| *group != item.id());
                event.action = Action::Deleted;
                event.before = Some(EntitySnapshot::Item(item));
            }
            Mutation::AddTenant(_)
            | Mutation::ChangeTenant { .. }
            | Mutation::AddMail(_)
            | Mutation::ChangeMail { .. }
            | Mutation::RemoveMail(_)
            | Mutation::AddConnection(_)
            | Mutation::ChangeConnection { .. }
            | Mutation::AddSecret(..)
            | Mutation::RecordConnectionUse(..) => {}
        }
        Ok(true)
    }

    /// A group includes its members: joining and leaving from the user's side changes its version, too.
    fn bump_group_versions(&mut self, old: &[ItemId], new: &[ItemId], at: Time) {
        let affected = unique_keys::symmetric_difference(old, new);
        for item in self.items.values_mut().filter(|item| affected.contains(&item.id())) {
            item.mark_updated(at);
        }
    }

    fn upsert_user(&mut self, user: &User, old: &[ItemId], edit: AccountEdit, event: &mut EventData) {
        let new = memberships_of(user);
        for item in old.iter().filter(|item| !new.contains(item)) {
            self.members.remove(&(*item, user.id));
        }
        for item in new.iter().filter(|item| !old.contains(item)) {
            self.members.insert((*item, user.id));
        }
        let account = self.accounts.entry(user.id).or_default();
        event.password_set = edit.sets_password();
        if let Some(password) = edit.password_hash {
            account.password_hash = Some(password).filter(|password| !password.is_cleared());
        }
        if let Some(sign_ins) = edit.sign_in_state {
            account.sign_in_state = sign_ins;
        }
        let stored = User { groups: Vec::new(), folders: Vec::new(), ..user.clone() };
        self.users.insert(user.number, stored);
    }

    fn add_members(&mut self, item: ItemId, members: &[UserId]) {
        self.members.extend(members.iter().map(|member| (item, *member)));
    }

    fn add_keys(&mut self, keys: &[UniqueKey], owner: KeyOwner) {
        self.unique_keys.extend(keys.iter().map(|key| ((key.namespace, key.text.clone()), owner)));
    }

    fn release_keys(&mut self, keys: &[UniqueKey]) {
        for key in keys {
            self.unique_keys.remove(&(key.namespace, key.text.clone()));
        }
    }

    fn with_memberships(&self, user: &User) -> User {
        let mut user = user.clone();
        for item in self.items.values() {
            if self.members.contains(&(item.id(), user.id)) {
                match item.kind() {
                    ItemKind::Folder => user.folders.push(item.id()),
                    ItemKind::Group => user.groups.push(item.id()),
                    ItemKind::Organization | ItemKind::Role | ItemKind::Department => {}
                }
            }
        }
        user.groups.sort_unstable();
        user.folders.sort_unstable();
        user
    }

    fn user(&self, by: &UserKey) -> Option<User> {
        let user_by_key = |space: u8, text: String| match self.unique_keys.get(&(space, text)) {
            Some(KeyOwner::User(number)) => self.users.get(number),
            _ => None,
        };
        let found = match by {
            UserKey::Id(id) => self.users.values().find(|user| user.id == *id),
            UserKey::Number(number) => self.users.get(number),
            UserKey::Login(login) | UserKey::LoginConstantTime(login) => user_by_key(LOGINS, identifier_key(login)),
            UserKey::ExternalId(id) => user_by_key(USER_EXTERNAL_IDS, unique_keys::external_id_key(id)),
            UserKey::Email(email) => user_by_key(LOGINS, identifier_key(email))
                .filter(|user| user.email().is_some_and(|e| identifier_key(e) == identifier_key(email))),
        };
        found.map(|user| self.with_memberships(user))
    }

    fn item(&self, kind: ItemKind, by: &ItemKey) -> Option<Item> {
        let of_kind = || self.items.range((kind, 0)..=(kind, u32::MAX)).map(|(_, item)| item);
        let found = match by {
            ItemKey::Id(id) => of_kind().find(|item| item.id() == *id),
            ItemKey::Number(number) => self.items.get(&(kind, *number)),
            ItemKey::Name(name) => {
                let key = Item::name_key(kind, name);
                of_kind().find(|item| Item::name_key(kind, item.name()) == key)
            }
            ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => {
                let key = unique_keys::of_key(kind, by)?;
                match self.unique_keys.get(&(key.namespace, key.text)) {
                    Some(KeyOwner::Item(kind, number)) => self.items.get(&(*kind, *number)),
                    _ => None,
                }
            }
        };
        found.cloned()
    }
}

fn memberships_of(user: &User) -> Vec<ItemId> {
    memberships::item_ids(user).collect()
}
