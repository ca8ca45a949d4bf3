//! Two processes on one database change the same data at the same time.

use crate::test_stores::postgres;
use directory::{
    Command, Directory, EntitySnapshot, Event, EventPosition, Field, FieldUpdate, GroupEdit, ItemId, ItemKey,
    MemberEdit, Store, UserEdit, UserId, UserKey,
};
use std::sync::Arc;
use std::time::Duration;
use testkit::conformance::{create_tenant, new_user};
use testkit::fakes::{PlainHasher, StepClock, UniqueIds};
use testkit::postgres::create_database;

const ROUNDS: u32 = 300;

/// One process changes a user while another adds the user to a group and removes them again. Each event must
/// show the memberships that the events before it produced.
#[test]
fn events_agree_about_memberships() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let url = create_database();
    let stores = [Arc::new(postgres(&url)), Arc::new(postgres(&url))];
    let [one, other] = stores
        .clone()
        .map(|store| Directory::new(store, Arc::new(StepClock::default()), Arc::new(UniqueIds), Arc::new(PlainHasher)));
    runtime.expect("a runtime").block_on(async {
        let caller = create_tenant(&one, "One").await;
        let edit = GroupEdit { name: FieldUpdate::Set("Red".into()), ..GroupEdit::default() };
        let group = one.run(&caller, Command::CreateGroup(edit)).await.expect("added").items[0].id();
        let user = one.run(&caller, Command::CreateUser(new_user("ann@x.y"))).await.expect("added").users[0].id;
        for round in 0..ROUNDS {
            let changed = one.run(&caller, rename(user, round));
            let moved = other.run(&caller, set_membership(group, user, round % 2 == 0));
            let (changed, moved) = futures_util::future::join(changed, moved).await;
            changed.expect("changed");
            moved.expect("moved");
        }
        let events = loop {
            let events =
                stores[0].events(directory::EventFilter::default(), EventPosition(0), 100_000).await.expect("read");
            if events.len() >= 3 + 2 * ROUNDS as usize {
                break events;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        assert_memberships_agree(&events, user);
    });
}

fn rename(user: UserId, round: u32) -> Command {
    let mut edit = UserEdit::default();
    edit.set_text(Field::DisplayName, FieldUpdate::Set(round.to_string()));
    Command::UpdateUser { user: UserKey::Id(user), edit: Box::new(edit) }
}

fn set_membership(group: ItemId, user: UserId, joins: bool) -> Command {
    let users = vec![UserKey::Id(user)];
    let (join, leave) = if joins { (users, Vec::new()) } else { (Vec::new(), users) };
    let members = Some(MemberEdit::Change { add: join, remove: leave });
    Command::UpdateGroup { group: ItemKey::Id(group), edit: GroupEdit { members, ..GroupEdit::default() } }
}

fn assert_memberships_agree(events: &[Event], user: UserId) {
    let mut groups = Vec::new();
    for Event { position, data: what } in events {
        match (&what.before, &what.after) {
            (Some(EntitySnapshot::User(before)), Some(EntitySnapshot::User(after))) => {
                assert_eq!((&before.groups, &after.groups), (&groups, &groups), "at {position:?}");
            }
            (Some(EntitySnapshot::Item(_)), Some(EntitySnapshot::Item(group))) => {
                groups.retain(|id| *id != group.id() || !what.members_removed.contains(&user));
                groups.extend(what.members_added.contains(&user).then_some(group.id()));
            }
            _ => {}
        }
    }
}
