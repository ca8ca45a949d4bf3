//! An import that was interrupted and is executed again. What others have changed since it started is newer than its file, so
//! it is not undone.

use super::report::Outcome;
use crate::person::Said;
use directory::{
    Caller, Directory, Event, Item, ItemId, ItemKey, ItemKind, Position, Record, Refusal, Time, User, UserId,
    identifier_key,
};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events that are read at a time.
const PAGE: u32 = 1_000;
/// How far the order of events may differ from that of their times, in seconds.
const DISORDER: i64 = 60;

/// What has happened since an import started first.
#[derive(Default)]
pub(super) struct Resumed {
    started: Time,
    /// Users whose rows were executed, and what they were known by then.
    executed: HashSet<UserId>,
    /// Users whom it has created.
    created: HashSet<UserId>,
    known: HashSet<Identifier>,
    /// Users whom others have changed.
    changed: HashSet<UserId>,
    /// What users were known by whom others have deleted.
    deleted: HashSet<Identifier>,
    /// Items that others have changed, apart from their members.
    items: HashSet<ItemId>,
    deleted_items: HashSet<(ItemKind, ItemKey)>,
    /// Members whom others have removed.
    removed: HashSet<(ItemId, UserId)>,
    /// Rows that were skipped, since others have changed their users.
    skipped: AtomicU64,
}

/// What a user was known by.
#[derive(PartialEq, Eq, Hash)]
enum Identifier {
    Id(UserId),
    ExternalId(String),
    /// An email or user name, as it is compared.
    Name(String),
}

impl Identifier {
    fn all(user: &User) -> impl Iterator<Item = Self> {
        let names = user.email().into_iter().chain([user.user_name.as_str()]);
        let names = names.map(|name| Self::Name(identifier_key(name)));
        let external = user.external_id.clone().map(Self::ExternalId);
        names.chain(external).chain([Self::Id(user.id)])
    }
}

impl Resumed {
    /// Reads what has happened. `caller` has the request of the import, by which its own changes are known.
    pub(super) async fn load(directory: &Directory, caller: &Caller, started: Time) -> Result<Self, Refusal> {
        let mut resumed = Self { started, ..Self::default() };
        let mut after = last_before(directory, started.plus_seconds(-DISORDER)).await?;
        loop {
            let events = directory.events(after, PAGE).await?;
            let Some(last) = events.last() else { return Ok(resumed) };
            after = last.position;
            let is_ours = |event: &&Event| event.what.tenant == caller.tenant && event.what.at >= started;
            for event in events.iter().filter(is_ours) {
                if event.what.request == caller.request {
                    if let Some(Record::User(user)) = &event.what.after {
                        resumed.executed.insert(user.id);
                        if event.what.before.is_none() {
                            resumed.created.insert(user.id);
                        }
                        resumed.known.extend(Identifier::all(user));
                    }
                } else {
                    resumed.note(event);
                }
            }
        }
    }

    /// Notes what others have done.
    fn note(&mut self, Event { what, .. }: &Event) {
        match (&what.before, &what.after) {
            (Some(Record::User(before)), Some(Record::User(after))) if before.version != after.version => {
                self.changed.insert(after.id);
                let left = before.groups.iter().filter(|group| !after.groups.contains(group));
                self.removed.extend(left.map(|group| (*group, after.id)));
            }
            (Some(Record::User(gone)), None) => {
                self.deleted.extend(Identifier::all(gone));
            }
            (Some(Record::Item(before)), Some(Record::Item(_)))
                if what.joined.is_empty() && what.left.is_empty() =>
            {
                self.items.insert(before.id());
            }
            (Some(Record::Item(gone)), None) => {
                let external = gone.external_id().map(|id| ItemKey::ExternalId(id.to_owned()));
                let keys = [ItemKey::Id(gone.id()), ItemKey::Name(gone.name().to_owned())];
                self.deleted_items.extend(keys.into_iter().chain(external).map(|key| (gone.kind(), key)));
            }
            (Some(Record::Item(group)), Some(_)) => {
                // Somebody is left as they are whose memberships others have changed.
                self.changed.extend(what.joined.iter().chain(&what.left));
                self.removed.extend(what.left.iter().map(|user| (group.id(), *user)));
                for user in &what.joined {
                    self.removed.remove(&(group.id(), *user));
                }
            }
            _ => {}
        }
    }

    /// Whether something happened after the import started.
    pub(super) fn is_since(&self, time: Time) -> bool {
        time >= self.started
    }

    /// Why a row whose user is not found creates none: others have deleted the user, or changed what the row knows them by.
    pub(super) fn gone(&self, said: &Said) -> Option<&'static str> {
        let names = [&said.email, &said.user_name].into_iter().flatten();
        let names = names.map(|name| Identifier::Name(identifier_key(name)));
        let external = said.external_id.clone().map(Identifier::ExternalId);
        let identifiers: Vec<_> = names.chain(external).chain(said.id.map(Identifier::Id)).collect();
        if identifiers.iter().any(|identifier| self.deleted.contains(identifier)) {
            return Some("the user was deleted after this import started");
        }
        let is_known = identifiers.iter().any(|identifier| self.known.contains(identifier));
        is_known.then_some("others have changed what this import knew the user by")
    }

    /// What came of the row of a user if it is not to be executed: it was already, or others have changed the user.
    pub(super) fn skip(&self, user: &User) -> Option<Outcome> {
        if self.executed.contains(&user.id) {
            let is_new = self.created.contains(&user.id);
            return Some(if is_new { Outcome::Created } else { Outcome::Changed(Vec::new()) });
        }
        self.changed.contains(&user.id).then(|| {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            Outcome::Left
        })
    }

    /// Whether others have changed an item.
    pub(super) fn is_changed(&self, item: &Item) -> bool {
        self.items.contains(&item.id())
    }

    /// Whether others have deleted an item with one of these keys.
    pub(super) fn is_item_deleted(&self, kind: ItemKind, keys: Vec<ItemKey>) -> bool {
        keys.into_iter().any(|key| self.deleted_items.contains(&(kind, key)))
    }

    /// A group or folder of a row that others have deleted.
    pub(super) fn deleted_place<'a>(&self, said: &'a Said) -> Option<&'a String> {
        let of = |kind, names: &'a Option<Vec<String>>| names.iter().flatten().map(move |name| (kind, name));
        let mut places = of(ItemKind::Group, &said.groups).chain(of(ItemKind::Folder, &said.folders));
        let is_deleted = |(kind, name): &(ItemKind, &String)| {
            let keys = vec![ItemKey::Name((*name).clone()), ItemKey::ExternalId((*name).clone())];
            self.is_item_deleted(*kind, keys)
        };
        places.find(is_deleted).map(|(_, name)| name)
    }

    /// Whether others have removed a member.
    pub(super) fn is_removed(&self, group: ItemId, user: UserId) -> bool {
        self.removed.contains(&(group, user))
    }

    /// A sentence for the report, if rows were skipped since others had changed their users.
    pub(super) fn remark(&self) -> Option<String> {
        match self.skipped.load(Ordering::Relaxed) {
            0 => None,
            1 => Some("1 user was changed by others after this import started and was left as is.".into()),
            many => Some(format!(
                "{many} users were changed by others after this import started and were left as is."
            )),
        }
    }
}

/// The last position before the events of a time, by halving.
async fn last_before(directory: &Directory, time: Time) -> Result<Position, Refusal> {
    let is_older = async |position| {
        let next = directory.events(Position(position), 1).await?;
        Ok::<_, Refusal>(next.first().is_some_and(|event| event.what.at < time))
    };
    let (mut position, mut step) = (0, 1);
    while is_older(position + step).await? {
        position += step;
        step *= 2;
    }
    while step > 0 {
        if is_older(position + step).await? {
            position += step;
        }
        step /= 2;
    }
    Ok(Position(position))
}
