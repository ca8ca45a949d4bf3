//! The reference engine: everything in memory; each change is applied to a copy, which then replaces the state.
//!
//! It is slow and simple on purpose. The other engines must agree with it on every change and query.

mod store;
mod tables;

use crate::commit_time::commit_time;
use crate::event_row::{ChangeContext, EventEntry, decode_event};
use crate::event_signal::EventSignal;
use crate::translation::{ChangeTarget, Known, Memberships, Owner, Read, Sequence, UserColumns, Write, apply};
use crate::unique_keys::{self, LOGINS, USER_EXTERNAL_IDS, UniqueKey};
use directory::{
    Account, BoxFuture, Change, CommitError, Event, EventPosition, Field, Item, ItemId, ItemKey, ItemKind,
    PasswordHash, Receipt, Record, SecretString, StoreError, Tenant, TenantNumber, Time, Tombstone, User, UserId,
    UserKey, identifier_key,
};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use tables::Tables;

/// Its data is lost on drop.
#[derive(Default)]
pub struct Memory {
    state: Mutex<Arc<State>>,
    events: EventSignal,
}

#[derive(Clone, Default)]
struct State {
    tables: Tables,
    tenant_data: HashMap<TenantNumber, Arc<TenantData>>,
    events: Vec<Arc<Event>>,
    commits: u64,
}

#[derive(Clone, Default)]
struct TenantData {
    users: BTreeMap<u32, User>,
    accounts: HashMap<UserId, Account>,
    /// Deleted users by number, with the passwords they had.
    tombstones: BTreeMap<u32, (Tombstone, Option<PasswordHash>)>,
    items: BTreeMap<(ItemKind, u32), Item>,
    /// By number of the user.
    members: BTreeSet<(ItemId, u32)>,
    unique_keys: HashMap<(u8, String), Owner>,
    last_numbers: HashMap<Sequence, u32>,
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
        self.events.publish(EventPosition(next.events.len() as u64));
        *state = Arc::new(next);
        Ok(receipt)
    }
}

impl State {
    fn apply(&mut self, mut change: Change) -> Result<Receipt, CommitError> {
        let own = self.events.iter().filter(|event| event.data.tenant == change.tenant);
        change.set_time(commit_time(change.at, own.map(|event| event.data.at).max()));
        let context = ChangeContext::of(&change);
        apply(&mut Transaction { state: self, context: &context }, &context, change).map_err(|Failed(error)| error)
    }

    fn read(&mut self, tenant: TenantNumber, wanted: Read, known: &mut Known) {
        if let Read::HighestTenant = wanted {
            let last = self.rows(&Tenant::table().all()).pop();
            known.highest_tenant = last.and_then(|row| Tenant::from_row(&row).ok()).map_or(0, |last| last.number.0);
            return;
        }
        if let Read::Row(query) = &wanted {
            known.add_row(query, self.rows(query).pop());
            return;
        }
        let data = Arc::make_mut(self.tenant_data.entry(tenant).or_default());
        match wanted {
            Read::Number(sequence) => known.add_number(tenant, sequence, data.next_number(sequence)),
            Read::Memberships(number) => {
                let user = data.user(&UserKey::Number(number));
                known.memberships.extend(user.map(|user| ((tenant, number), (user.groups, user.folders))));
            }
            Read::Users(users) => data.read_numbers(tenant, &users, known),
            Read::Membership { item, kind, users } => {
                known.items.extend(data.item(kind, &ItemKey::Id(item)).map(|found| ((tenant, item), found)));
                data.read_numbers(tenant, &users, known);
                let members = data.members.iter().filter(|(of, _)| *of == item);
                known.members.extend(members.map(|(_, number)| (tenant, item, *number)));
            }
            Read::HighestTenant | Read::Row(_) => {}
        }
    }

    fn write(&mut self, context: &ChangeContext, write: Write) -> Result<(), CommitError> {
        match write {
            Write::Fail(error) => Err(error),
            Write::RequireTenant => {
                let found = self.rows(&Tenant::table().row(vec![context.tenant.0.into()]));
                if found.is_empty() { Err(CommitError::MissingReference(Field::Number)) } else { Ok(()) }
            }
            Write::Row { write, .. } => self.write_row(write),
            Write::Event(event) => {
                let position = self.events.len() as u64 + 1;
                let row = EventEntry { position, ..EventEntry::new(context, event).map_err(internal)? };
                self.events.push(Arc::new(decode_event(&row).map_err(internal)?));
                Ok(())
            }
            other => Arc::make_mut(self.tenant_data.entry(context.tenant).or_default()).write(other),
        }
    }
}

struct Transaction<'a> {
    state: &'a mut State,
    context: &'a ChangeContext,
}

struct Failed(CommitError);

impl From<serde_json::Error> for Failed {
    fn from(error: serde_json::Error) -> Self {
        Self(internal(error))
    }
}

impl ChangeTarget for Transaction<'_> {
    type Error = Failed;

    fn read(&mut self, wanted: Read, known: &mut Known) -> Result<(), Failed> {
        self.state.read(self.context.tenant, wanted, known);
        Ok(())
    }

    fn write(&mut self, write: Write) -> Result<(), Failed> {
        self.state.write(self.context, write).map_err(Failed)
    }
}

fn decode<T: DeserializeOwned>(text: &str) -> Result<T, CommitError> {
    serde_json::from_str(text).map_err(internal)
}

#[expect(clippy::needless_pass_by_value, reason = "passed to `map_err`")]
fn internal(error: serde_json::Error) -> CommitError {
    CommitError::Internal(error.to_string())
}

fn stale(is_met: bool) -> Result<(), CommitError> {
    if is_met { Ok(()) } else { Err(CommitError::Stale) }
}

fn free(is_free: bool, field: Field) -> Result<(), CommitError> {
    if is_free { Ok(()) } else { Err(CommitError::Taken(field)) }
}

impl TenantData {
    fn next_number(&mut self, sequence: Sequence) -> u32 {
        let last = self.last_numbers.entry(sequence).or_insert(sequence.first() - 1);
        *last += 1;
        if let Sequence::Items(kind) = sequence {
            // Skips numbers that were set explicitly.
            while self.items.contains_key(&(kind, *last)) {
                *last += 1;
            }
        }
        *last
    }

    fn read_numbers(&self, tenant: TenantNumber, users: &[UserId], known: &mut Known) {
        let wanted = self.users.values().filter(|user| users.contains(&user.id));
        known.users.extend(wanted.map(|user| ((tenant, user.id), user.number)));
    }

    #[expect(clippy::too_many_lines, reason = "one case for each kind of write")]
    fn write(&mut self, write: Write) -> Result<(), CommitError> {
        match write {
            Write::RequireKeyAbsent(key) => stale(!self.has_key(&key)),
            Write::RequireNotDeleted(key) => {
                let mut ids = self.tombstones.values().filter_map(|(tombstone, _)| tombstone.user.external_id.as_ref());
                stale(ids.all(|id| unique_keys::external_id_key(id) != key))
            }
            Write::AddUser(columns) => {
                free(self.users.values().all(|user| user.id != columns.id), Field::Id)?;
                self.put_user(columns)
            }
            Write::ChangeUser { before, columns, .. } => {
                stale(self.users.get(&columns.number).is_some_and(|user| user.version == before))?;
                self.put_user(columns)
            }
            Write::RemoveUser(removed) => {
                let version = self.users.get(&removed.number).map(|user| user.version);
                stale(version == Some(removed.version))?;
                let is_other = |(tombstone, _): &(Tombstone, _)| tombstone.user.id != removed.id;
                free(self.tombstones.values().all(is_other), Field::Id)?;
                self.users.remove(&removed.number);
                let password = self.accounts.remove(&removed.id).and_then(|account| account.password_hash);
                let tombstone = Tombstone { user: decode(&removed.doc)?, deleted: removed.deleted };
                self.tombstones.insert(removed.number, (tombstone, password));
                Ok(())
            }
            Write::RestoreUser { deleted, keeps_password, columns } => {
                let password = self.take_tombstone(columns.number, deleted)?;
                free(self.users.values().all(|user| user.id != columns.id), Field::Id)?;
                let id = columns.id;
                self.put_user(columns)?;
                if let Some(password) = password.filter(|_| keeps_password) {
                    self.accounts.entry(id).or_default().password_hash = Some(password);
                }
                Ok(())
            }
            Write::RemoveTombstone { number, deleted } => self.take_tombstone(number, deleted).map(drop),
            Write::AddItem { columns, .. } => {
                let is_same = |item: &Item| item.id() == columns.id;
                let key = (columns.kind, columns.number);
                free(!self.items.contains_key(&key) && !self.items.values().any(is_same), Field::Id)?;
                self.items.insert(key, decode(&columns.doc)?);
                Ok(())
            }
            Write::ChangeItem { before, columns, .. } => {
                let stored = self.items.get(&(columns.kind, columns.number));
                stale(stored.is_some_and(|item| item.id() == columns.id && item.version() == before))?;
                self.items.insert((columns.kind, columns.number), decode(&columns.doc)?);
                Ok(())
            }
            Write::TouchItem(id, at) => {
                self.touch_item(id, at);
                Ok(())
            }
            Write::RemoveItem { id, version } => {
                let before = self.items.len();
                self.items.retain(|_, item| item.id() != id || item.version() != version);
                self.members.retain(|(item, _)| *item != id);
                stale(self.items.len() < before)
            }
            Write::AddKey(key, owner) => {
                free(!self.has_key(&key), key.field)?;
                self.unique_keys.insert((key.namespace, key.text), owner);
                Ok(())
            }
            Write::RemoveKey(key, _) => {
                self.unique_keys.remove(&(key.namespace, key.text));
                Ok(())
            }
            Write::AddMemberships(Memberships { rows, .. }) => {
                for (id, _, number) in rows {
                    let has_item = self.items.values().any(|item| item.id() == id);
                    stale(has_item && self.users.contains_key(&number))?;
                    self.members.insert((id, number));
                }
                Ok(())
            }
            Write::RemoveMemberships(Memberships { rows, .. }) => {
                self.members.retain(|member| !rows.iter().any(|(item, _, number)| *member == (*item, *number)));
                Ok(())
            }
            Write::AddTombstone { removed, password } => {
                let tombstone = Tombstone { user: decode(&removed.doc)?, deleted: removed.deleted };
                let password = password.map(|password| PasswordHash(SecretString::from(password)));
                self.tombstones.insert(removed.number, (tombstone, password));
                Ok(())
            }
            Write::AddKeyIfFree { key, owner, otherwise } => {
                let keys = if self.has_key(&key) { otherwise } else { vec![key] };
                for key in keys {
                    self.unique_keys.entry((key.namespace, key.text)).or_insert(owner);
                }
                Ok(())
            }
            Write::SetLastNumber(sequence, last) => {
                self.last_numbers.insert(sequence, last);
                Ok(())
            }
            // Searches read the documents; the rest concerns the state as a whole.
            Write::AddSecondaryEmail { .. }
            | Write::RemoveSecondaryEmail { .. }
            | Write::Fail(_)
            | Write::RequireTenant
            | Write::Row { .. }
            | Write::Event(_) => Ok(()),
        }
    }

    fn put_user(&mut self, columns: UserColumns) -> Result<(), CommitError> {
        let account = self.accounts.entry(columns.id).or_default();
        if let Some(password) = columns.password {
            let password = PasswordHash(SecretString::from(password));
            account.password_hash = Some(password).filter(|password| !password.is_cleared());
        }
        if let Some(sign_ins) = columns.account {
            account.sign_in_state = decode(&sign_ins)?;
        }
        self.users.insert(columns.number, decode(&columns.doc)?);
        Ok(())
    }

    fn take_tombstone(&mut self, number: u32, deleted: Time) -> Result<Option<PasswordHash>, CommitError> {
        stale(self.tombstones.get(&number).is_some_and(|(tombstone, _)| tombstone.deleted == deleted))?;
        Ok(self.tombstones.remove(&number).and_then(|(_, password)| password))
    }

    fn touch_item(&mut self, id: ItemId, at: Time) {
        if let Some(item) = self.items.values_mut().find(|item| item.id() == id) {
            item.mark_updated(at);
        }
    }

    fn has_key(&self, key: &UniqueKey) -> bool {
        self.unique_keys.contains_key(&(key.namespace, key.text.clone()))
    }

    fn with_memberships(&self, user: &User) -> User {
        let mut user = user.clone();
        for item in self.items.values() {
            if self.members.contains(&(item.id(), user.number)) {
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
            Some(Owner::User(number)) => self.users.get(number),
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
                    Some(Owner::Item(kind, number)) => self.items.get(&(*kind, *number)),
                    _ => None,
                }
            }
        };
        found.cloned()
    }
}
