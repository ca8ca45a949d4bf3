//! Group memberships that change between a decision and its commit: events, tombstones and receipts must show what was
//! stored at commit time. Labels of events.

use crate::conflict_conformance::{add_item, add_user, change, item, item_id, tenant, user, user_id};
use crate::conformance::Check;
use directory::{
    AccountEdit, Change, EntitySnapshot, EventData, EventFilter, EventLabels, EventNote, EventPosition, Item, ItemId,
    ItemKind, Mutation, Receipt, Store, TenantNumber, User, UserKey,
};
use std::sync::Arc;

pub const ALL: &[Check] = &[
    ("memberships of deleted users", |s| Box::pin(deleted_users(s))),
    ("memberships of changed users", |s| Box::pin(changed_users(s))),
    ("labels of events", |s| Box::pin(labels(s))),
];

/// Groups A to D; the user is in A and B.
const GROUPS: [u128; 4] = [11, 12, 13, 14];

struct Fixture(Arc<dyn Store>);

impl Fixture {
    async fn new(store: Arc<dyn Store>) -> Self {
        let world = Self(store);
        world.commit_ok(vec![Mutation::AddTenant(tenant(1))]).await;
        for group in GROUPS {
            world.commit_ok(vec![add_item(item(ItemKind::Group, (0, group), &[group]))]).await;
        }
        let groups = [GROUPS[0], GROUPS[1]].map(item_id).to_vec();
        world.commit_ok(vec![add_user(User { groups, ..user(1) })]).await;
        world
    }

    async fn commit_ok(&self, edits: Vec<Mutation>) -> Receipt {
        self.0.commit(change(edits)).await.expect("no conflict")
    }

    async fn user(&self) -> User {
        let found = self.0.user(TenantNumber(1), UserKey::Id(user_id(1))).await.expect("read");
        found.expect("the user")
    }

    async fn group(&self, group: u128) -> Item {
        let found = self.0.item(TenantNumber(1), ItemKind::Group, directory::ItemKey::Id(item_id(group))).await;
        found.expect("read").expect("the group")
    }

    /// Adds or removes the user through a change of the group.
    async fn set_membership(&self, group: u128, joins: bool) {
        let item = Box::new(self.group(group).await);
        let (members_added, members_removed) =
            if joins { (vec![user_id(1)], vec![]) } else { (vec![], vec![user_id(1)]) };
        self.commit_ok(vec![Mutation::ChangeMembers { item, members_added, members_removed }]).await;
    }

    async fn newest_event(&self) -> EventData {
        let events = self.0.events(EventFilter::default(), EventPosition(0), 1_000).await.expect("read");
        events.into_iter().next_back().expect("an event").data
    }

    /// The memberships before and after in the newest event.
    async fn memberships_in_event(&self) -> [Option<Vec<ItemId>>; 2] {
        let event = self.newest_event().await;
        [event.before, event.after].map(|record| match record {
            Some(EntitySnapshot::User(user)) => Some(user.groups),
            _ => None,
        })
    }
}

fn group_ids<const N: usize>(groups: [usize; N]) -> Vec<ItemId> {
    groups.map(|group| item_id(GROUPS[group])).to_vec()
}

async fn deleted_users(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let before = world.user().await;
    assert_eq!(before.groups, group_ids([0, 1]));
    world.set_membership(GROUPS[0], false).await;
    world.set_membership(GROUPS[2], true).await;
    let versions = [world.group(GROUPS[0]).await.version(), world.group(GROUPS[2]).await.version()];
    world.commit_ok(vec![Mutation::RemoveUser(Box::new(before))]).await;
    assert_eq!(world.memberships_in_event().await, [Some(group_ids([1, 2])), None]);
    let tombstone = world.0.tombstone(TenantNumber(1), UserKey::Id(user_id(1))).await.expect("read");
    assert_eq!(tombstone.expect("a tombstone").user.groups, group_ids([1, 2]));
    let now = [world.group(GROUPS[0]).await.version(), world.group(GROUPS[2]).await.version()];
    assert_eq!(now, [versions[0], versions[1] + 1], "only the user's current groups change");
}

async fn changed_users(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let before = Box::new(world.user().await);
    // Decided: leave A, join D. Meanwhile: leave B, join C.
    let mut after = before.clone();
    (after.groups, after.version) = (group_ids([1, 3]), before.version + 1);
    world.set_membership(GROUPS[1], false).await;
    world.set_membership(GROUPS[2], true).await;
    let account = AccountEdit::default();
    let receipt = world.commit_ok(vec![Mutation::ChangeUser { before, after, account, notes: Vec::new() }]).await;
    assert_eq!(receipt.users[0].groups, group_ids([2, 3]));
    assert_eq!(world.user().await.groups, group_ids([2, 3]));
    assert_eq!(world.memberships_in_event().await, [Some(group_ids([0, 2])), Some(group_ids([2, 3]))]);
}

async fn labels(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let labels = EventLabels {
        names: GROUPS.map(|group| (item_id(group).0, format!("\"{group}\" é"))).into(),
        roles: [(1_000, "Clerk".to_owned())].into(),
    };
    let before = Box::new(world.user().await);
    let after = Box::new(User { version: before.version + 1, ..*before.clone() });
    let (account, notes) = (AccountEdit::default(), vec![EventNote::SignInsEnded]);
    let edit = Mutation::ChangeUser { before, after, account, notes: notes.clone() };
    let change = Change { labels: labels.clone(), ..change(vec![edit]) };
    world.0.commit(change).await.expect("no conflict");
    let event = world.newest_event().await;
    assert_eq!((event.notes, event.labels), (notes, labels.clone()));
    let change = Change { labels: labels.clone(), ..crate::conflict_conformance::change(vec![add_user(user(2))]) };
    world.0.commit(change).await.expect("no conflict");
    let event = world.newest_event().await;
    assert_eq!((event.notes, event.labels), (vec![], labels));
    let chain = world.0.verify_chain(Some(TenantNumber(1))).await.expect("verified");
    assert!(chain.values().all(|report| report.broken_at.is_none()), "{chain:?}");
}
