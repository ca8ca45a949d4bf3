//! Checks that every engine reports the same conflict when a change has several. Each check lists the unique keys of
//! one entity type in report order and commits an edit for every combination of taken keys.

use crate::conformance::Check;
use directory::{
    Access, AccountEdit, Change, ClientProfile, CommitError, Connection, ConnectionId, Department, EventPosition,
    Field, Folder, Group, Item, ItemId, ItemKey, ItemKind, LinkPurpose, Mail, Mutation, Organization,
    OrganizationStatus, Receipt, Role, ServerSecret, Store, Tenant, TenantNumber, TenantSettings, Time, Tombstone,
    TypedValue, User, UserId, UserKey,
};
use std::sync::Arc;
use uuid::Uuid;

pub const ALL: &[Check] = &[
    ("conflicts of new users", |s| Box::pin(new_users(s))),
    ("conflicts of changed users", |s| Box::pin(changed_users(s))),
    ("conflicts of deleted and restored users", |s| Box::pin(deleted_users(s))),
    ("conflicts of items of every kind", |s| Box::pin(items(s))),
    ("conflicts of tenants, connections, mails and secrets", |s| Box::pin(other_entities(s))),
    ("conflicts of several mutations", |s| Box::pin(several_edits(s))),
];

const TENANT: TenantNumber = TenantNumber(1);
const NOW: Time = Time(1_600_000_000_000_000);
const STALE: CommitError = CommitError::Stale;

/// A kind of conflict and the error it reports.
type ExpectedConflict = (&'static str, CommitError);

fn expected_conflict(name: &'static str, field: Field) -> ExpectedConflict {
    (name, CommitError::Taken(field))
}

struct Fixture {
    store: Arc<dyn Store>,
}

impl Fixture {
    /// A tenant with a group and, for each unique key of users, one user who has it.
    async fn new(store: Arc<dyn Store>) -> Self {
        let world = Self { store };
        world.commit_ok(vec![Mutation::AddTenant(tenant(1))]).await;
        let holders = [
            User { id: user_id(1), ..user(101) },
            User { emails: vec![TypedValue::new("work", "Taken@x.y")], ..user(102) },
            User { user_name: "Taken Name".into(), ..user(103) },
            User { external_id: Some("Taken".into()), ..user(104) },
        ];
        world.commit_ok(holders.into_iter().map(add_user).collect()).await;
        world.commit_ok(vec![add_item(item(ItemKind::Group, (0, 200), &[200]))]).await;
        world
    }

    async fn commit(&self, mutations: Vec<Mutation>) -> Result<Receipt, CommitError> {
        self.store.commit(change(mutations)).await
    }

    async fn commit_ok(&self, mutations: Vec<Mutation>) -> Receipt {
        self.commit(mutations).await.expect("no conflict")
    }

    async fn events(&self) -> usize {
        self.store.events(directory::EventFilter::default(), EventPosition(0), 10_000).await.expect("read").len()
    }

    /// Asserts that every combination of taken keys reports the first of them and stores nothing.
    async fn check_combinations(&self, what: &str, keys: &[ExpectedConflict], make: impl Fn(&[bool]) -> Vec<Mutation>) {
        let before = self.events().await;
        for combination in 1_u32..1 << keys.len() {
            let is_taken: Vec<bool> = (0..keys.len()).map(|key| combination & 1 << key != 0).collect();
            let all: Vec<_> = keys.iter().zip(&is_taken).filter(|(_, is)| **is).map(|(key, _)| key).collect();
            let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
            let reported = self.commit(make(&is_taken)).await.map(|_| ());
            assert_eq!(reported, Err(all[0].1.clone()), "{what}: {names:?}");
        }
        assert_eq!(self.events().await, before, "{what}: no event of a rejected change");
        self.commit_ok(make(&vec![false; keys.len()])).await;
    }
}

pub fn change(mutations: Vec<Mutation>) -> Change {
    Change::new(TENANT, NOW, "test", mutations)
}

pub(crate) fn user_id(n: u128) -> UserId {
    UserId(Uuid::from_u128(n))
}

pub(crate) fn item_id(n: u128) -> ItemId {
    ItemId(Uuid::from_u128(n))
}

/// A user whose unique keys differ from those of all other `n`.
pub(crate) fn user(n: u128) -> User {
    let (emails, external_id) = (vec![TypedValue::new("work", format!("{n}@x.y"))], Some(format!("ext {n}")));
    User { user_name: format!("user {n}"), emails, external_id, ..User::new(user_id(n), NOW) }
}

pub(crate) fn add_user(user: User) -> Mutation {
    Mutation::AddUser { user: Box::new(user), account: AccountEdit::default() }
}

pub(crate) fn add_item(item: Item) -> Mutation {
    Mutation::AddItem { item: Box::new(item), members: Vec::new() }
}

pub(crate) fn tenant(number: u32) -> Tenant {
    Tenant {
        number: TenantNumber(number),
        name: "T".into(),
        created: NOW,
        version: 0,
        settings: TenantSettings::default(),
        removed: None,
    }
}

/// The unique keys of users except the id, and a missing group.
fn user_keys() -> [ExpectedConflict; 4] {
    [
        expected_conflict("email", Field::Email),
        expected_conflict("user name", Field::UserName),
        expected_conflict("external id", Field::ExternalId),
        ("group", STALE),
    ]
}

/// The same user with keys that other users have, in different case where case is ignored.
fn with_conflicts(mut user: User, is_taken: &[bool]) -> User {
    if is_taken[0] {
        user.emails = vec![TypedValue::new("work", "tAKEN@x.y")];
    }
    if is_taken[1] {
        user.user_name = "tAKEN nAME".into();
    }
    if is_taken[2] {
        user.external_id = Some("Taken".into());
    }
    user.groups = vec![item_id(if is_taken[3] { 999 } else { 200 })];
    user
}

async fn new_users(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let mut keys = vec![expected_conflict("id", Field::Id)];
    keys.extend(user_keys());
    let make = |is_taken: &[bool]| {
        let id = user_id(if is_taken[0] { 1 } else { 110 });
        vec![add_user(User { id, ..with_conflicts(user(110), &is_taken[1..]) })]
    };
    world.check_combinations("a new user", &keys, make).await;
    // User names and emails are one namespace; the new user's field is reported.
    let email = User { emails: vec![TypedValue::new("work", "taken name")], ..user(111) };
    assert_eq!(world.commit(vec![add_user(email)]).await, Err(CommitError::Taken(Field::Email)));
    let name = User { user_name: "taken@X.Y".into(), ..user(111) };
    assert_eq!(world.commit(vec![add_user(name)]).await, Err(CommitError::Taken(Field::UserName)));
}

async fn changed_users(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let before = world.commit_ok(vec![add_user(user(120))]).await.users.remove(0);
    let mut keys = vec![("version", STALE)];
    keys.extend(user_keys());
    let make = |is_taken: &[bool]| {
        let version = before.version + u32::from(is_taken[0]);
        let after = User { version: before.version + 1, ..with_conflicts(before.clone(), &is_taken[1..]) };
        vec![Mutation::ChangeUser {
            before: Box::new(User { version, ..before.clone() }),
            after: Box::new(after),
            account: AccountEdit::default(),
            notes: Vec::new(),
        }]
    };
    world.check_combinations("a changed user", &keys, make).await;
}

async fn deleted_users(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let mut tombstones = Vec::new();
    for n in [130, 131] {
        let user = world.commit_ok(vec![add_user(user(n))]).await.users.remove(0);
        let number = UserKey::Number(user.number);
        world.commit_ok(vec![Mutation::RemoveUser(Box::new(user))]).await;
        let found = world.store.tombstone(TENANT, number).await.expect("read");
        tombstones.push(found.expect("a tombstone"));
    }
    // Another user takes the id of the first tombstone.
    let other = User { id: user_id(130), ..user(132) };
    let other = world.commit_ok(vec![add_user(other)]).await.users.remove(0);
    let mut keys = vec![("tombstone", STALE), expected_conflict("id", Field::Id)];
    keys.extend(user_keys());
    let make = |is_taken: &[bool]| {
        let before = &tombstones[usize::from(!is_taken[1])];
        let deleted = Time(before.deleted.0 + i64::from(is_taken[0]));
        vec![Mutation::RestoreUser {
            before: Box::new(Tombstone { deleted, ..before.clone() }),
            user: Box::new(with_conflicts(before.user.clone(), &is_taken[2..])),
            account: AccountEdit::default(),
            keeps_password: true,
        }]
    };
    world.check_combinations("a restored user", &keys, make).await;
    let fresh = world.store.user(TENANT, UserKey::Id(user_id(102))).await.expect("read").expect("found");
    let make = |is_taken: &[bool]| {
        let user = if is_taken[1] { &other } else { &fresh };
        let version = user.version + u32::from(is_taken[0]);
        vec![Mutation::RemoveUser(Box::new(User { version, ..user.clone() }))]
    };
    world.check_combinations("a deleted user", &[("version", STALE), expected_conflict("id", Field::Id)], make).await;
}

/// An item whose unique keys are derived from `keys`, in report order.
pub(crate) fn item(kind: ItemKind, (number, id): (u32, u128), keys: &[u128]) -> Item {
    let (id, version, created, updated) = (item_id(id), 1, NOW, NOW);
    let name = format!("Item {}", keys[0]);
    let external_id = Some(format!("ext {}", keys[0]));
    match kind {
        ItemKind::Group => Item::Group(Group { id, number, version, name: "G".into(), external_id, created, updated }),
        ItemKind::Folder => Item::Folder(Folder {
            id,
            number,
            version,
            name: "F".into(),
            external_id,
            description: None,
            is_restricted: false,
            restricted_to: None,
            entries: Vec::new(),
            created,
            updated,
        }),
        ItemKind::Organization => Item::Organization(Organization {
            id,
            number,
            version,
            name,
            status: OrganizationStatus::Active,
            domains: vec![format!("fixed{id}.example"), format!("{}.example", keys[1])],
            office_numbers: vec![u32::try_from(keys[2]).expect("small")],
            url: None,
            photo: None,
            auto_login: false,
            homepage: None,
            guid: None,
            industry: None,
            category: None,
            key_contacts: Vec::new(),
            created,
            updated,
        }),
        ItemKind::Role => Item::Role(Role { id, number, version, name, rank: 1, created, updated }),
        ItemKind::Department => Item::Department(Department { id, number, version, name, created, updated }),
    }
}

fn item_keys(kind: ItemKind) -> Vec<ExpectedConflict> {
    match kind {
        ItemKind::Group | ItemKind::Folder => vec![expected_conflict("external id", Field::ExternalId)],
        ItemKind::Organization => vec![
            expected_conflict("name", Field::Name),
            expected_conflict("domain", Field::Domains),
            expected_conflict("address", Field::OfficeNumbers),
        ],
        ItemKind::Role | ItemKind::Department => vec![expected_conflict("name", Field::Name)],
    }
}

async fn items(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    for (kind, first) in ItemKind::ALL.into_iter().zip([1000_u128, 2000, 3000, 4000, 5000]) {
        let own = item_keys(kind);
        // One item per key, so that no item holds two of the taken keys.
        for holder in 0..5_u32 {
            let keys: Vec<u128> = (0..3).map(|key| first + 10 * u128::from(holder) + key).collect();
            let new = item(kind, (20 + holder, first + u128::from(holder)), &keys);
            world.commit_ok(vec![add_item(new)]).await;
        }
        // A taken key has the value of the holder with the same index.
        let values = |is_taken: &[bool], free: u128| -> Vec<u128> {
            let held = |key: u128| first + 10 * (key + 2) + key;
            let is = |key: usize| is_taken.get(key).copied().unwrap_or(false);
            (0..3_u8).map(|key| if is(key.into()) { held(key.into()) } else { free + u128::from(key) }).collect()
        };
        let mut keys = vec![expected_conflict("number", Field::Id), expected_conflict("id", Field::Id)];
        keys.extend(own.clone());
        keys.push(("member", STALE));
        let make = |is_taken: &[bool]| {
            let number = if is_taken[0] { 20 } else { 30 };
            let id = if is_taken[1] { first + 1 } else { first + 100 };
            let new = item(kind, (number, id), &values(&is_taken[2..2 + own.len()], first + 500));
            let member = user_id(if is_taken[2 + own.len()] { 999 } else { 102 });
            vec![Mutation::AddItem { item: Box::new(new), members: vec![member] }]
        };
        world.check_combinations(&format!("a new {kind:?}"), &keys, make).await;
        let before = item(kind, (30, first + 100), &values(&[], first + 500));
        let mut keys = vec![("version", STALE)];
        keys.extend(own.clone());
        keys.push(("member", STALE));
        let make = |is_taken: &[bool]| {
            let mut stored = before.clone();
            if is_taken[0] {
                stored.mark_updated(NOW);
            }
            let mut after = item(kind, (30, first + 100), &values(&is_taken[1..=own.len()], first + 600));
            after.mark_updated(NOW);
            let members_added = vec![user_id(if is_taken[1 + own.len()] { 998 } else { 103 })];
            vec![Mutation::ChangeItem {
                before: Box::new(stored),
                after: Box::new(after),
                members_added,
                members_removed: Vec::new(),
            }]
        };
        world.check_combinations(&format!("a changed {kind:?}"), &keys, make).await;
    }
}

fn connection(id: u128, name: &str) -> Mutation {
    Mutation::AddConnection(Box::new(Connection {
        id: ConnectionId(Uuid::from_u128(id)),
        tenant: TENANT,
        name: name.into(),
        dialects: Vec::new(),
        access: Access::ReadWrite,
        permissions: None,
        highest_role: 6,
        profile: ClientProfile::Rfc,
        user: None,
        public_keys: Vec::new(),
        keys: Vec::new(),
        expires: None,
        revoked: false,
        created: NOW,
        last_use: None,
    }))
}

async fn other_entities(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    world.commit_ok(vec![connection(1, "One"), connection(2, "Two")]).await;
    let make = |is_taken: &[bool]| {
        vec![connection(if is_taken[0] { 1 } else { 3 }, if is_taken[1] { "tWO" } else { "Three" })]
    };
    let keys = [expected_conflict("id", Field::Id), expected_conflict("name", Field::Name)];
    world.check_combinations("a new connection", &keys, make).await;
    let make = |is_taken: &[bool]| vec![Mutation::AddTenant(tenant(if is_taken[0] { 1 } else { 2 }))];
    world.check_combinations("a new tenant", &[expected_conflict("number", Field::Number)], make).await;
    let mail = |id: u128| {
        let mail = Mail::new(Uuid::from_u128(id), TENANT, user_id(1), LinkPurpose::Reset, NOW);
        vec![Mutation::AddMail(Box::new(mail))]
    };
    world.commit_ok(mail(1)).await;
    let make = |is_taken: &[bool]| mail(if is_taken[0] { 1 } else { 2 });
    world.check_combinations("a new mail", &[expected_conflict("id", Field::Id)], make).await;
    let secret = |name: &str| vec![Mutation::AddSecret(ServerSecret { name: name.to_owned(), bytes: [1; 32] })];
    world.commit_ok(secret("one")).await;
    let make = |is_taken: &[bool]| secret(if is_taken[0] { "one" } else { "two" });
    world.check_combinations("a new secret", &[expected_conflict("name", Field::Name)], make).await;
}

/// Mutations are checked in order, each against the result of those before it; assumptions are checked first.
async fn several_edits(store: Arc<dyn Store>) {
    let world = Fixture::new(store).await;
    let organization = |keys: &[u128]| item(ItemKind::Organization, (0, 300 + keys[0]), keys);
    world.commit_ok(vec![add_item(organization(&[1, 2, 3]))]).await;
    let make = |is_taken: &[bool]| {
        let keys = if is_taken[0] { [20, 2, 20] } else { [21, 21, 21] };
        let id = user_id(if is_taken[1] { 1 } else { 140 });
        // The third user of the change has the email of the second.
        let emails = if is_taken[2] { user(140).emails } else { user(141).emails };
        let external_id = if is_taken[3] { Some("Taken".into()) } else { None };
        vec![
            add_item(organization(&keys)),
            add_user(User { id, ..user(140) }),
            add_user(User { emails, external_id, ..user(141) }),
        ]
    };
    let keys = [
        expected_conflict("domain of the first", Field::Domains),
        expected_conflict("id of the second", Field::Id),
        expected_conflict("email of the third", Field::Email),
        expected_conflict("external id of the third", Field::ExternalId),
    ];
    world.check_combinations("several mutations", &keys, make).await;
    // One edit that takes the same key twice.
    let twice = |address: u128| {
        let Item::Organization(mut new) = organization(&[40, 40, address]) else { unreachable!() };
        new.domains = vec!["same.example".into(), "SAME.example".into()];
        vec![add_item(Item::Organization(new))]
    };
    for address in [3, 40] {
        assert_eq!(world.commit(twice(address)).await, Err(CommitError::Taken(Field::Domains)));
    }
    let gone = world.commit_ok(vec![add_user(user(150))]).await.users.remove(0);
    world.commit_ok(vec![Mutation::RemoveUser(Box::new(gone))]).await;
    let conflict = || change(vec![add_user(User { id: user_id(1), ..user(151) })]);
    let absent = vec![(ItemKind::Organization, ItemKey::Domain("2.example".into()))];
    assert_eq!(world.store.commit(Change { assumed_absent: absent, ..conflict() }).await, Err(STALE));
    let not_deleted = Some("ext 150".into());
    assert_eq!(world.store.commit(Change { assumed_not_deleted: not_deleted, ..conflict() }).await, Err(STALE));
    assert_eq!(world.store.commit(conflict()).await, Err(CommitError::Taken(Field::Id)));
}
