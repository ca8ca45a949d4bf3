//! Resuming an interrupted import. Changes by others after its start are newer than its file, so they are kept.

use crate::import::report::RowOutcome;
use crate::user_row::UserRow;
use directory::{
    Caller, Directory, DirectoryError, EntitySnapshot, Event, Item, ItemId, ItemKey, ItemKind, Time, User, UserId,
    identifier_key,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum difference between the order of events and their timestamps, in seconds.
const CLOCK_TOLERANCE: i64 = 60;

/// Changes since the import first started.
#[derive(Default)]
pub(crate) struct ResumeState {
    by_import: ImportChanges,
    by_others: ConcurrentChanges,
    skipped: AtomicU64,
}

#[derive(Default)]
struct ImportChanges {
    created_users: HashSet<UserId>,
    created_items: HashSet<ItemId>,
    /// Created and changed users, and their keys at that time.
    users: HashSet<UserId>,
    identifiers: HashSet<Identifier>,
}

#[derive(Default)]
struct ConcurrentChanges {
    /// Created and changed users, including users with changed memberships only.
    users: HashSet<UserId>,
    deleted_users: HashSet<Identifier>,
    /// Created and changed items, excluding items with changed members only.
    items: HashSet<ItemId>,
    deleted_items: HashSet<(ItemKind, ItemKey)>,
    removed_members: HashSet<(ItemId, UserId)>,
}

#[derive(PartialEq, Eq, Hash)]
enum Identifier {
    Id(UserId),
    ExternalId(String),
    /// An email or user name in its normalized form.
    Login(String),
}

impl Identifier {
    fn of_user(user: &User) -> impl Iterator<Item = Self> {
        let names = user.email().into_iter().chain([user.user_name.as_str()]);
        let names = names.map(|name| Self::Login(identifier_key(name)));
        let external = user.external_id.clone().map(Self::ExternalId);
        names.chain(external).chain([Self::Id(user.id)])
    }
}

impl ResumeState {
    /// Reads the events since `started`. Those with the request id of `caller` are the import's own.
    pub(crate) async fn load(directory: &Directory, caller: &Caller, started: Time) -> Result<Self, DirectoryError> {
        let mut resumed = Self::default();
        let mut after = directory.position_before(caller, started.plus_seconds(-CLOCK_TOLERANCE)).await?;
        loop {
            let events = directory.import_events(caller, after).await?;
            let Some(last) = events.last() else { return Ok(resumed) };
            after = last.position;
            let is_relevant = |event: &&Event| event.data.at >= started;
            for event in events.iter().filter(is_relevant) {
                if event.data.request_id == caller.request_id {
                    resumed.by_import.add(event);
                } else {
                    resumed.by_others.add(event);
                }
            }
        }
    }

    pub(crate) fn has_created_user(&self, user: &User) -> bool {
        self.by_import.created_users.contains(&user.id)
    }

    /// Whether the import created or changed a user, and others did not.
    pub(crate) fn has_executed(&self, user: &User) -> bool {
        self.by_import.users.contains(&user.id) && !self.by_others.users.contains(&user.id)
    }

    pub(crate) fn has_created_item(&self, item: &Item) -> bool {
        self.by_import.created_items.contains(&item.id())
    }

    /// The outcome of a row that is not executed again, because it was executed or because others changed its user.
    pub(crate) fn skip_outcome(&self, user: &User) -> Option<RowOutcome> {
        if self.by_import.users.contains(&user.id) {
            let is_new = self.has_created_user(user);
            return Some(if is_new { RowOutcome::Created } else { RowOutcome::Changed(Vec::new()) });
        }
        self.by_others.users.contains(&user.id).then(|| {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            RowOutcome::Unchanged
        })
    }

    /// Why a row without an existing user must not create one.
    pub(crate) fn rejection_reason(&self, user_row: &UserRow) -> Option<&'static str> {
        let names = [&user_row.email, &user_row.user_name].into_iter().flatten();
        let names = names.map(|name| Identifier::Login(identifier_key(name)));
        let external = user_row.external_id.clone().map(Identifier::ExternalId);
        let identifiers: Vec<_> = names.chain(external).chain(user_row.id.map(Identifier::Id)).collect();
        let is_any_in = |set: &HashSet<Identifier>| identifiers.iter().any(|one| set.contains(one));
        if is_any_in(&self.by_others.deleted_users) {
            return Some("the user was deleted after this import started");
        }
        is_any_in(&self.by_import.identifiers)
            .then_some("others changed the user's email, user name or external id after this import started")
    }

    pub(crate) fn is_item_changed(&self, item: &Item) -> bool {
        self.by_others.items.contains(&item.id())
    }

    pub(crate) fn is_item_deleted(&self, kind: ItemKind, keys: Vec<ItemKey>) -> bool {
        keys.into_iter().any(|key| self.by_others.deleted_items.contains(&(kind, normalize_key(kind, key))))
    }

    /// A group or folder in the row of a user that others deleted.
    pub(crate) fn deleted_reference<'a>(&self, user_row: &'a UserRow) -> Option<&'a String> {
        let named = |kind, names: &'a Option<Vec<String>>| names.iter().flatten().map(move |name| (kind, name));
        let mut references = named(ItemKind::Group, &user_row.groups).chain(named(ItemKind::Folder, &user_row.folders));
        let is_deleted = |(kind, name): &(ItemKind, &String)| {
            let keys = vec![ItemKey::Name((*name).clone()), ItemKey::ExternalId((*name).clone())];
            self.is_item_deleted(*kind, keys)
        };
        references.find(is_deleted).map(|(_, name)| name)
    }

    pub(crate) fn is_member_removed(&self, group: ItemId, user: UserId) -> bool {
        self.by_others.removed_members.contains(&(group, user))
    }

    /// A note for the report if rows were skipped because others changed their users.
    pub(crate) fn skipped_note(&self) -> Option<String> {
        let (users, were) = match self.skipped.load(Ordering::Relaxed) {
            0 => return None,
            1 => ("1 user".to_owned(), "was"),
            many => (format!("{many} users"), "were"),
        };
        Some(format!("{users} {were} changed by others after this import started and {were} left unchanged."))
    }
}

impl ImportChanges {
    fn add(&mut self, Event { data: what, .. }: &Event) {
        match (&what.before, &what.after) {
            (before, Some(EntitySnapshot::User(user))) => {
                self.users.insert(user.id);
                self.identifiers.extend(Identifier::of_user(user));
                self.created_users.extend(before.is_none().then_some(user.id));
            }
            (None, Some(EntitySnapshot::Item(item))) => {
                self.created_items.insert(item.id());
            }
            _ => {}
        }
    }
}

impl ConcurrentChanges {
    fn add(&mut self, Event { data: what, .. }: &Event) {
        match (&what.before, &what.after) {
            (None, Some(EntitySnapshot::User(user))) => {
                self.users.insert(user.id);
            }
            // A sign-in does not change the version.
            (Some(EntitySnapshot::User(before)), Some(EntitySnapshot::User(after)))
                if before.version != after.version =>
            {
                self.users.insert(after.id);
                let left = before.groups.iter().filter(|group| !after.groups.contains(group));
                self.removed_members.extend(left.map(|group| (*group, after.id)));
            }
            (Some(EntitySnapshot::User(user)), None) => self.deleted_users.extend(Identifier::of_user(user)),
            (None, Some(EntitySnapshot::Item(item))) => {
                self.items.insert(item.id());
                for key in item_keys(item) {
                    self.deleted_items.remove(&(item.kind(), key));
                }
            }
            (Some(EntitySnapshot::Item(item)), None) => {
                self.deleted_items.extend(item_keys(item).into_iter().map(|key| (item.kind(), key)));
            }
            (Some(EntitySnapshot::Item(_)), Some(EntitySnapshot::Item(item))) => {
                if what.members_added.is_empty() && what.members_removed.is_empty() {
                    self.items.insert(item.id());
                }
                self.users.extend(what.members_added.iter().chain(&what.members_removed));
                self.removed_members.extend(what.members_removed.iter().map(|user| (item.id(), *user)));
                for user in &what.members_added {
                    self.removed_members.remove(&(item.id(), *user));
                }
            }
            _ => {}
        }
    }
}

/// The keys that rows may refer to an item by.
fn item_keys(item: &Item) -> Vec<ItemKey> {
    let external = item.external_id().map(|id| ItemKey::ExternalId(id.to_owned()));
    let keys = [ItemKey::Id(item.id()), ItemKey::Name(item.name().to_owned())];
    keys.into_iter().chain(external).map(|key| normalize_key(item.kind(), key)).collect()
}

fn normalize_key(kind: ItemKind, key: ItemKey) -> ItemKey {
    match key {
        ItemKey::Name(name) => ItemKey::Name(Item::name_key(kind, &name)),
        ItemKey::ExternalId(id) => ItemKey::ExternalId(identifier_key(&id)),
        key => key,
    }
}
