//! Reads by keys: of many users and items, in the order of the keys and only within the tenant; of deleted users and
//! chain hashes.

use crate::conflict_conformance::{add_user, change, tenant, user, user_id};
use crate::conformance::{Check, create_tenant, new_user};
use crate::fakes;
use directory::{
    Caller, Change, Command, Directory, EventFilter, EventPosition, Field, FieldUpdate, GroupEdit, Item, ItemId,
    ItemKey, ItemKind, MemberEdit, Mutation, OrganizationRef, Store, TenantNumber, Time, Tombstone, User, UserId,
    UserKey,
};
use std::sync::Arc;
use uuid::Uuid;

pub const ALL: &[Check] = &[
    ("users are found by many keys at once", |s| Box::pin(users(s))),
    ("items are found by many keys at once", |s| Box::pin(items(s))),
    ("members and accounts of many at once", |s| Box::pin(members_and_accounts(s))),
    ("more keys than share a statement", |s| Box::pin(many_keys(s))),
    ("deleted users are found", |s| Box::pin(deleted_users(s))),
    ("chain hashes are those of the tenant", |s| Box::pin(chain_hashes(s))),
    ("times ascend if a clock goes back", |s| Box::pin(ascending_times(s))),
];

async fn create_user(directory: &Directory, caller: &Caller, email: &str, user_name: &str) -> User {
    let mut edit = new_user(email);
    edit.set_text(Field::UserName, FieldUpdate::Set(user_name.into()));
    edit.set_text(Field::ExternalId, FieldUpdate::Set(format!("x-{user_name}")));
    directory.run(caller, Command::CreateUser(edit)).await.expect("created").users.remove(0)
}

async fn create_group(directory: &Directory, caller: &Caller, name: &str, members: Vec<UserId>) -> Item {
    let edit = GroupEdit {
        name: FieldUpdate::Set(name.into()),
        external_id: FieldUpdate::Set(format!("x-{name}")),
        members: Some(MemberEdit::Replace(members.into_iter().map(UserKey::Id).collect())),
        ..GroupEdit::default()
    };
    directory.run(caller, Command::CreateGroup(edit)).await.expect("created").items.remove(0)
}

async fn users(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let (one, two) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    let ann = create_user(&directory, &one, "ann@x.y", "ann").await;
    let bob = create_user(&directory, &one, "Bob@x.y", "bob").await;
    let other = create_user(&directory, &two, "other@x.y", "other").await;
    let (ann, bob) = (Some(ann), Some(bob));
    let id = |user: &Option<User>| UserKey::Id(user.as_ref().expect("a user").id);
    let asked: [(UserKey, &Option<User>); 15] = [
        (UserKey::LoginConstantTime("BOB".into()), &bob),
        (id(&bob), &bob),
        (UserKey::Id(other.id), &None),
        (id(&ann), &ann),
        (UserKey::Id(UserId(Uuid::nil())), &None),
        (UserKey::Number(2), &bob),
        (UserKey::Number(u32::MAX), &None),
        (UserKey::Number(1), &ann),
        (UserKey::Email("bob@X.y".into()), &bob),
        (UserKey::Email("ann".into()), &None),
        (UserKey::Login("ANN".into()), &ann),
        (UserKey::LoginConstantTime("nobody".into()), &None),
        (UserKey::ExternalId("x-ann".into()), &ann),
        (UserKey::ExternalId("x-other".into()), &None),
        (id(&bob), &bob),
    ];
    let (keys, expected): (Vec<UserKey>, Vec<&Option<User>>) = asked.into_iter().unzip();
    for (key, expected) in keys.iter().zip(&expected) {
        assert_eq!(store.user(one.tenant, key.clone()).await.expect("read"), **expected, "{key:?}");
    }
    let found = store.users(one.tenant, keys).await.expect("read");
    assert_eq!(found.iter().collect::<Vec<_>>(), expected);
    assert_eq!(store.users(one.tenant, Vec::new()).await.expect("read"), []);
}

async fn items(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let (one, two) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    let twins = [
        create_group(&directory, &one, "Twins", Vec::new()).await,
        create_group(&directory, &one, "other", Vec::new()).await,
    ];
    // Two groups may share a name; the older one is found by it.
    let rename = GroupEdit { name: FieldUpdate::Set("TWINS".into()), ..GroupEdit::default() };
    let group = ItemKey::Id(twins[1].id());
    let renamed =
        directory.run(&one, Command::UpdateGroup { group, edit: rename }).await.expect("renamed").items.remove(0);
    let elsewhere = create_group(&directory, &two, "Elsewhere", Vec::new()).await;
    let mut edit = new_user("ann@x.y");
    let highest = i32::MAX.unsigned_abs();
    let wanted = OrganizationRef { number: Some(highest), name: Some("Last".into()), office_number: Some(7) };
    edit.organization = FieldUpdate::Set(wanted);
    directory.run(&one, Command::CreateUser(edit)).await.expect("created");
    let organization =
        store.item(one.tenant, ItemKind::Organization, ItemKey::Name("last".into())).await.expect("read");
    assert_eq!(organization.as_ref().map(Item::number), Some(highest));
    let (oldest, renamed) = (Some(twins[0].clone()), Some(renamed));
    let asked: [(ItemKind, ItemKey, &Option<Item>); 11] = [
        (ItemKind::Group, ItemKey::Name("twins".into()), &oldest),
        (ItemKind::Organization, ItemKey::OfficeNumber(7), &organization),
        (ItemKind::Group, ItemKey::ExternalId("x-other".into()), &renamed),
        (ItemKind::Group, ItemKey::Id(elsewhere.id()), &None),
        (ItemKind::Folder, ItemKey::Id(twins[0].id()), &None),
        (ItemKind::Group, ItemKey::Domain("x.y".into()), &None),
        (ItemKind::Organization, ItemKey::Number(highest), &organization),
        (ItemKind::Organization, ItemKey::Number(highest + 1), &None),
        (ItemKind::Organization, ItemKey::Number(u32::MAX), &None),
        (ItemKind::Group, ItemKey::Number(twins[1].number()), &renamed),
        (ItemKind::Group, ItemKey::Id(twins[0].id()), &oldest),
    ];
    for (kind, key, expected) in &asked {
        assert_eq!(store.item(one.tenant, *kind, key.clone()).await.expect("read"), **expected, "{key:?}");
    }
    let keys = asked.iter().map(|(kind, key, _)| (*kind, key.clone())).collect();
    let found = store.items(one.tenant, keys).await.expect("read");
    assert_eq!(found.iter().collect::<Vec<_>>(), asked.iter().map(|(_, _, expected)| *expected).collect::<Vec<_>>());
}

async fn members_and_accounts(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let (one, two) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    let ann = create_user(&directory, &one, "ann@x.y", "ann").await;
    let bob = create_user(&directory, &one, "bob@x.y", "bob").await;
    let both = create_group(&directory, &one, "Both", vec![bob.id, ann.id]).await.id();
    let single = create_group(&directory, &one, "Single", vec![bob.id]).await.id();
    let empty = create_group(&directory, &one, "Empty", Vec::new()).await.id();
    let items = vec![single, both, empty, ItemId(Uuid::nil()), both];
    let found = store.members_of(one.tenant, items.clone()).await.expect("read");
    let expected = [(both, vec![(ann.id, 1), (bob.id, 2)]), (single, vec![(bob.id, 2)])];
    assert_eq!(found, expected.into());
    assert!(store.members_of(two.tenant, items).await.expect("read").is_empty());
    let users = vec![bob.id, UserId(Uuid::nil()), ann.id, bob.id];
    let found = store.accounts(one.tenant, users.clone()).await.expect("read");
    assert!(found.len() == 2 && found.contains_key(&ann.id) && found.contains_key(&bob.id));
    assert!(store.accounts(two.tenant, users).await.expect("read").is_empty());
}

async fn many_keys(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let ann = create_user(&directory, &caller, "ann@x.y", "ann").await;
    let group = create_group(&directory, &caller, "Group", vec![ann.id]).await;
    let nth_key = |n: u32| if n % 500 == 7 { UserKey::Login("ann".into()) } else { UserKey::Number(1_000 + n) };
    let found = store.users(caller.tenant, (0..3_000).map(nth_key).collect()).await.expect("read");
    assert_eq!(found.len(), 3_000);
    let places: Vec<usize> = found.iter().enumerate().filter(|(_, user)| user.is_some()).map(|(n, _)| n).collect();
    assert_eq!(places, [7, 507, 1_007, 1_507, 2_007, 2_507]);
    assert_eq!(found[7].as_ref().map(|user| (user.id, user.groups.clone())), Some((ann.id, vec![group.id()])));
}

async fn deleted_users(store: Arc<dyn Store>) {
    let one = TenantNumber(1);
    store.commit(change(vec![Mutation::AddTenant(tenant(1))])).await.expect("a tenant");
    // Two users had the same external id, one after the other.
    let user = |n| User { external_id: Some("E-1".into()), ..user(n) };
    for n in [2, 1] {
        let added = store.commit(change(vec![add_user(user(n))])).await.expect("added").users.remove(0);
        store.commit(change(vec![Mutation::RemoveUser(Box::new(added))])).await.expect("deleted");
    }
    let id_of = |found: Option<Tombstone>| found.map(|tombstone| tombstone.user.id);
    let by_external_id = store.tombstone(one, UserKey::ExternalId("E-1".into())).await.expect("read");
    assert_eq!(id_of(by_external_id), Some(user_id(1)), "the one deleted last");
    assert_eq!(id_of(store.tombstone(one, UserKey::Number(1)).await.expect("read")), Some(user_id(2)));
    assert_eq!(store.tombstone(TenantNumber(2), UserKey::Id(user_id(1))).await.expect("read"), None);
    let listed = async |after, limit| {
        let found = store.tombstones(one, after, limit).await.expect("read");
        found.into_iter().map(|tombstone| tombstone.user.number).collect::<Vec<_>>()
    };
    assert_eq!((listed(0, 10).await, listed(1, 10).await, listed(0, 1).await), (vec![1, 2], vec![2], vec![1]));
    // The bounds are inclusive.
    let deleted = store.tombstone(one, UserKey::Number(1)).await.expect("read").expect("deleted").deleted;
    let between = async |from: i64, to: i64| {
        let found = store.tombstones_between((Time(from), Time(to)), 10).await.expect("read");
        found.iter().filter(|(_, tombstone)| tombstone.user.number == 1).count()
    };
    let at = deleted.0;
    assert_eq!((between(at, at).await, between(at + 1, i64::MAX).await, between(0, at - 1).await), (1, 0, 0));
}

async fn chain_hashes(store: Arc<dyn Store>) {
    for n in [1, 2] {
        store.commit(change(vec![Mutation::AddTenant(tenant(n))])).await.expect("a tenant");
    }
    store.commit(change(vec![add_user(user(1))])).await.expect("added");
    let chains = loop {
        // A database assigns positions shortly after the commit.
        let chains = store.verify_chain(Some(TenantNumber(1))).await.expect("read");
        if chains.values().any(|chain| chain.verified_events > 1) || !store.reads_are_remote() {
            break chains;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    // The engine in memory has no chain.
    for chain in chains.values().filter(|chain| chain.head_hash.is_some()) {
        let hash_of =
            async |tenant| store.chain_hash_at(TenantNumber(tenant), chain.last_position).await.expect("read");
        assert_eq!((hash_of(1).await, hash_of(2).await), (chain.head_hash, None));
    }
}

/// An engine that writes one change after another. A database gives times by its own clock.
async fn ascending_times(store: Arc<dyn Store>) {
    if store.reads_are_remote() {
        return;
    }
    store.commit(change(vec![Mutation::AddTenant(tenant(1))])).await.expect("a tenant");
    store.commit(change(vec![add_user(user(1))])).await.expect("added");
    let earlier = change(vec![add_user(user(2))]);
    let (decided, earlier) = (earlier.at, Change { at: earlier.at.plus_seconds(-1), ..earlier });
    store.commit(earlier).await.expect("added");
    let events = store.events(EventFilter::of_tenant(TenantNumber(1)), EventPosition(0), 10).await.expect("read");
    let times: Vec<Time> = events.iter().map(|event| event.data.at).collect();
    assert!(times.is_sorted() && times[times.len() - 1] > decided, "{times:?}");
}
