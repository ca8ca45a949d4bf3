//! Leases, followers, snapshots and waiting for events, as every engine must support them.

use crate::conflict_conformance::{add_item, add_user, change, item, item_id, tenant, user, user_id};
use crate::conformance::{Check, create_tenant, new_user};
use crate::fakes::{self, CountingIds, ManualClock, PlainHasher};
use directory::{
    AccountEdit, Caller, Command, Directory, DirectoryError, EventFilter, EventPosition, Item, ItemKind, Lease,
    Mutation, Purpose, RowWrite, SnapshotPage, Store, TenantNumber, User, UserChange, UserKey,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub const ALL: &[Check] = &[
    ("leases", |store| Box::pin(leases(store))),
    ("groups", |store| Box::pin(groups(store))),
    ("followers", |store| Box::pin(followers(store))),
    ("snapshots", |store| Box::pin(snapshots(store))),
    ("waiting for events", |store| Box::pin(waiting_for_events(store))),
];

const TASK: &str = "test task";
const SECONDS: i64 = 60;
const YEAR: i64 = 365 * 24 * 60 * 60;

async fn acquire(directory: &Directory, holder: Uuid) -> Option<Lease> {
    let caller = Caller::task(Purpose::Retention);
    directory.acquire_lease(&caller, (TASK, holder), SECONDS).await.expect("no error")
}

/// Processes see each other until their announcement ends or is withdrawn.
async fn groups(store: Arc<dyn Store>) {
    let clock = Arc::new(ManualClock::default());
    let ids = Arc::new(CountingIds::default());
    let directory = &Directory::new(store, Arc::clone(&clock) as _, ids, Arc::new(PlainHasher));
    let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let caller = Caller::task(Purpose::Retention);
    let join = async |group: &str, member| {
        let mut members = directory.join_group(&caller, group, member, SECONDS).await.expect("joined");
        members.sort_unstable();
        members
    };
    assert_eq!(join("test group", one).await, [one]);
    assert_eq!(join("test group of others", other).await, [other]);
    assert_eq!(join("test group", other).await, [one, other]);
    clock.advance_seconds(SECONDS - 1);
    assert_eq!(join("test group", one).await, [one, other]);
    clock.advance_seconds(1);
    assert_eq!(join("test group", one).await, [one]);
    assert_eq!(join("test group", other).await, [one, other]);
    directory.leave_group(&caller, "test group", one).await.expect("left");
    assert_eq!(join("test group", other).await, [other]);
    directory.leave_group(&caller, "test group", one).await.expect("ignored");
}

/// One process holds a lease at a time, and each holder has its own epoch.
async fn leases(store: Arc<dyn Store>) {
    let clock = Arc::new(ManualClock::default());
    let ids = Arc::new(CountingIds::default());
    let directory = &Directory::new(store, Arc::clone(&clock) as _, ids, Arc::new(PlainHasher));
    let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
    let caller = Caller::task(Purpose::Retention);
    let first = acquire(directory, one).await.expect("free");
    assert_eq!((first.epoch, acquire(directory, other).await), (1, None));
    clock.advance_seconds(SECONDS - 1);
    let renewed = acquire(directory, one).await.expect("its own");
    assert_eq!((renewed.epoch, renewed.until > first.until), (1, true));
    clock.advance_seconds(SECONDS - 1);
    assert_eq!(acquire(directory, other).await, None, "it was renewed");
    clock.advance_seconds(1);
    let second = acquire(directory, other).await.expect("it has ended");
    assert_eq!((second.epoch, acquire(directory, one).await), (2, None));
    // Writes with the guard of the first lease fail; those with the second succeed.
    let follower = directory.follower(&caller, "guarded", EventPosition(0)).await.expect("made");
    let advance = async |lease: &Lease, to| {
        directory.advance_follower(&caller, &follower, EventPosition(to), vec![lease.guard()]).await
    };
    assert_eq!(advance(&renewed, 1).await, Err(DirectoryError::Conflict));
    assert_eq!(advance(&second, 2).await.expect("guarded").position, EventPosition(2));
    // A released lease can be acquired at once; releasing a lost one does nothing.
    directory.release_lease(&caller, &second).await.expect("released");
    directory.release_lease(&caller, &renewed).await.expect("ignored");
    let third = acquire(directory, one).await.expect("released");
    assert_eq!((third.epoch, acquire(directory, other).await), (3, None));
    directory.release_lease(&caller, &third).await.expect("released");
    // A process whose clock was a year ahead does not hold the task up for a year.
    clock.advance_seconds(YEAR);
    let early = acquire(directory, one).await.expect("released");
    clock.advance_seconds(-YEAR);
    let fourth = acquire(directory, other).await.expect("the earlier one is ignored");
    assert_eq!(fourth.epoch, early.epoch + 1);
    directory.release_lease(&caller, &fourth).await.expect("released");
    // Of many concurrent requests, one succeeds.
    let all = (10..20).map(|holder| acquire(directory, Uuid::from_u128(holder)));
    let got = futures_util::future::join_all(all).await;
    assert_eq!(got.into_iter().flatten().count(), 1);
}

/// A follower handles each event once, also if two processes try.
async fn followers(store: Arc<dyn Store>) {
    let directory = &fakes::directory(store);
    let task = Caller::task(Purpose::Retention);
    let tenant = create_tenant(directory, "Followed").await;
    let start = last_position(directory, tenant.tenant).await;
    let follower = directory.follower(&task, "test", start).await.expect("made");
    assert_eq!(directory.follower(&task, "test", EventPosition(0)).await.expect("known"), follower);
    directory.run(&tenant, Command::CreateUser(new_user("followed@example.com"))).await.expect("created");
    let position = last_position(directory, tenant.tenant).await;
    let advance = async || directory.advance_follower(&task, &follower, position, Vec::<RowWrite>::new()).await;
    let moved = advance().await.expect("moved");
    assert_eq!((moved.position, advance().await), (position, Err(DirectoryError::Conflict)));
    assert_eq!(directory.follower(&task, "test", start).await.expect("known"), moved);
}

/// A snapshot has the state at its start, in several pages; the events after its position have the later changes.
async fn snapshots(store: Arc<dyn Store>) {
    const USERS: u128 = 2_100;
    let commit = async |mutations| store.commit(change(mutations)).await.expect("no conflict");
    let group = item(ItemKind::Group, (0, 1), &[1]);
    commit(vec![Mutation::AddTenant(tenant(1))]).await;
    commit(vec![add_item(group)]).await;
    let member = |n| User { groups: vec![item_id(1)], ..user(n) };
    commit((1..=USERS).map(|n| add_user(if n == 7 { member(n) } else { user(n) })).collect()).await;
    let user_now = async |n| store.user(TenantNumber(1), UserKey::Id(user_id(n))).await.expect("read").expect("a user");
    let mut expected = Vec::new();
    for n in 1..=USERS {
        expected.push(user_now(n).await);
    }
    let mut snapshot = store.tenant_snapshot(TenantNumber(1)).await.expect("begun");
    // Changed after it began, and while it is read.
    commit(vec![Mutation::RemoveUser(Box::new(user_now(7).await))]).await;
    let (mut items, mut users) = (Vec::new(), Vec::new());
    while let Some(page) = snapshot.next_page().await.expect("read") {
        match page {
            SnapshotPage::Items(page) => items.extend(page),
            SnapshotPage::Users(page) => {
                if users.is_empty() {
                    let before = user_now(USERS).await;
                    let after =
                        User { version: before.version + 1, external_id: Some("late".into()), ..before.clone() };
                    let (account, notes) = (AccountEdit::default(), Vec::new());
                    let (before, after) = (Box::new(before), Box::new(after));
                    commit(vec![Mutation::ChangeUser { before, after, account, notes }]).await;
                    commit(vec![add_user(user(USERS + 1))]).await;
                }
                users.extend(page);
            }
        }
    }
    assert_eq!(items.iter().map(Item::id).collect::<Vec<_>>(), [item_id(1)]);
    assert!(users == expected, "{} users", users.len());
    let position = snapshot.position();
    drop(snapshot);
    let events = async || {
        loop {
            let later = store.events(EventFilter::of_tenant(TenantNumber(1)), position, 1_000).await.expect("read");
            // A database assigns positions shortly after the commit.
            if later.len() >= 3 {
                return later;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let later = tokio::time::timeout(Duration::from_secs(30), events()).await.expect("three events");
    let brief = store.user_changes(TenantNumber(1), true, position, 1_000).await.expect("read");
    assert_eq!(brief, later.iter().map(UserChange::from).collect::<Vec<_>>());
    let subjects: Vec<_> = later.iter().flat_map(|event| event.data.subjects()).collect();
    assert_eq!(subjects, [7, USERS, USERS + 1].map(|n| user_id(n).0));
}

/// A task that waits for events wakes up.
async fn waiting_for_events(store: Arc<dyn Store>) {
    let directory = &fakes::directory(store);
    let tenant = create_tenant(directory, "Waiting").await;
    let last = last_position(directory, tenant.tenant).await;
    let waiting = async |after| tokio::time::timeout(Duration::from_secs(30), directory.wait_for_events(after)).await;
    waiting(EventPosition(last.0 - 1)).await.expect("there is one");
    let short = tokio::time::timeout(Duration::from_millis(300), directory.wait_for_events(last)).await;
    assert!(short.is_err(), "there is none yet");
    let create = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        directory.run(&tenant, Command::CreateUser(new_user("awaited@example.com"))).await.expect("created");
    };
    let (woken, ()) = tokio::join!(waiting(last), create);
    woken.expect("woken");
    assert!(last_position(directory, tenant.tenant).await > last);
}

async fn last_position(directory: &Directory, tenant: TenantNumber) -> EventPosition {
    let (caller, mut last) = (Caller::operator(tenant), EventPosition(0));
    loop {
        let events = directory.events(&caller, last, 1_000).await.expect("read");
        let Some(newest) = events.last() else {
            // A database assigns positions shortly after the commit.
            if last.0 > 0 {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        last = newest.position;
    }
}
