//! Replays the history of a store: each event must start from the result of the events before it, and the final result
//! must equal the stored state.

use directory::{
    EntitySnapshot, Event, EventNote, EventPosition, Item, ItemId, ItemKind, Store, TenantNumber, Time, User, UserId,
    UserQuery,
};
use std::collections::BTreeMap;

/// The state after the events so far.
#[derive(Default)]
pub(super) struct ReplayedState {
    pub(super) users: BTreeMap<UserId, User>,
    items: BTreeMap<ItemId, Item>,
}

/// Replays the history of a tenant.
///
/// # Errors
/// If an event does not follow from those before it, or the stored state differs.
pub(super) async fn replay(store: &dyn Store, tenant: TenantNumber) -> Result<ReplayedState, String> {
    let mut replayed = ReplayedState::default();
    let mut newest = Time(0);
    let events = store
        .events(directory::EventFilter::default(), EventPosition(0), 1_000_000)
        .await
        .map_err(|error| error.to_string())?;
    for (number, event) in (1..).zip(&events) {
        if event.position != EventPosition(number) {
            return Err(format!("position {:?} is event number {number}", event.position));
        }
        if event.data.tenant == tenant {
            replayed.apply(event).map_err(|what| format!("event {number}: {what}: {event:?}"))?;
            newest = newest.max(event.data.at);
        }
    }
    let everybody = UserQuery { limit: 100_000, ..UserQuery::default() };
    let stored = store.find_users(tenant, everybody).await.map_err(|error| error.to_string())?.rows;
    let stored: BTreeMap<UserId, User> = stored.into_iter().map(|user| (user.id, sorted(user))).collect();
    if stored != replayed.users {
        let differs = |id: &&UserId| stored.get(*id) != replayed.users.get(*id);
        let id = stored.keys().chain(replayed.users.keys()).find(differs);
        let (left, right) = (id.and_then(|id| stored.get(id)), id.and_then(|id| replayed.users.get(id)));
        return Err(format!("stored: {left:?}\nreplayed: {right:?}"));
    }
    Ok(replayed)
}

fn sorted(mut user: User) -> User {
    user.groups.sort_unstable();
    user.folders.sort_unstable();
    user
}

impl ReplayedState {
    fn apply(&mut self, event: &Event) -> Result<(), String> {
        let what = &event.data;
        if what.notes.contains(&EventNote::Purged) {
            return Ok(());
        }
        match (&what.before, &what.after) {
            (before, Some(EntitySnapshot::User(after))) => {
                let stored = self.users.insert(after.id, sorted((**after).clone()));
                match (before, stored) {
                    (None, None) => Ok(()),
                    (Some(EntitySnapshot::User(before)), Some(stored)) => check_same(&stored, before),
                    (None, Some(_)) => Err("it existed".into()),
                    _ => Err("it did not exist".into()),
                }
            }
            (Some(EntitySnapshot::User(before)), None) => match self.users.remove(&before.id) {
                Some(stored) => check_same(&stored, before),
                None => Err("it did not exist".into()),
            },
            (before, Some(EntitySnapshot::Item(after))) => {
                let stored = self.items.insert(after.id(), (**after).clone());
                if before.is_some() != stored.is_some() {
                    return Err("its existence differs".into());
                }
                for user in &what.members_added {
                    self.set_membership(*user, after, true)?;
                }
                for user in &what.members_removed {
                    self.set_membership(*user, after, false)?;
                }
                Ok(())
            }
            (Some(EntitySnapshot::Item(before)), None) => {
                self.items.remove(&before.id());
                for user in self.users.values_mut() {
                    user.groups.retain(|id| *id != before.id());
                    user.folders.retain(|id| *id != before.id());
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn set_membership(&mut self, user: UserId, item: &Item, joins: bool) -> Result<(), String> {
        let user = self.users.get_mut(&user).ok_or("a member does not exist")?;
        let list = match item.kind() {
            ItemKind::Group => &mut user.groups,
            ItemKind::Folder => &mut user.folders,
            _ => return Ok(()),
        };
        list.retain(|id| *id != item.id());
        if joins {
            list.push(item.id());
            list.sort_unstable();
        }
        Ok(())
    }
}

fn check_same(stored: &User, before: &User) -> Result<(), String> {
    if *stored == sorted(before.clone()) { Ok(()) } else { Err(format!("it was {stored:?}")) }
}
