//! The conformance suite of storage engines. Each check takes an empty store; an engine's tests run [`ALL`].

use crate::fakes;
use directory::{
    AccountEdit, Action, BoxFuture, Caller, Change, Command, CommitError, ConnectionEdit, Directory, DirectoryError,
    EntitySnapshot, EventPosition, Field, FieldErrorKind, FieldUpdate, GroupEdit, Item, ItemKey, ItemKind, KeyHash,
    MemberEdit, Mutation, NewConnection, OrganizationRef, Sort, SortKey, Store, TenantNumber, UserEdit, UserKey,
    UserPredicate, UserQuery,
};
use std::sync::Arc;

/// A name and a check.
pub type Check = (&'static str, fn(Arc<dyn Store>) -> BoxFuture<'static, ()>);

pub const ALL: &[Check] = &[
    ("tenants are numbered and isolated", |s| Box::pin(tenants(s))),
    ("numbers increase and are never reused", |s| Box::pin(numbers(s))),
    ("logins are one namespace, ignoring case", |s| Box::pin(logins(s))),
    ("changes are atomic", |s| Box::pin(atomicity(s))),
    ("pages are in creation order, with totals", |s| Box::pin(pages(s))),
    ("sorting and predicates", |s| Box::pin(sorting(s))),
    ("members and users' groups agree", |s| Box::pin(members(s))),
    ("every change writes an event, without secrets", |s| Box::pin(events(s))),
    ("keys are found, rotated and revoked", |s| Box::pin(keys(s))),
    ("changes decided on outdated data are stale", |s| Box::pin(stale(s))),
    ("number assignment skips any count of used numbers", |s| Box::pin(used_numbers_are_skipped(s))),
];

/// An edit that creates a user with this email.
pub fn new_user(email: &str) -> Box<UserEdit> {
    let mut edit = UserEdit::default();
    edit.set_text(Field::Email, FieldUpdate::Set(email.to_owned()));
    Box::new(edit)
}

/// Creates a tenant and returns a caller in it.
///
/// # Panics
/// If the store rejects it.
pub async fn create_tenant(directory: &Directory, name: &str) -> Caller {
    let installation = Caller::installation();
    let command = Command::AddTenant { name: name.into(), number: None };
    let receipt = directory.run(&installation, command).await.expect("a tenant");
    Caller::operator(receipt.tenant.expect("a tenant").number)
}

async fn create_user(directory: &Directory, caller: &Caller, email: &str) -> Result<u32, DirectoryError> {
    directory.run(caller, Command::CreateUser(new_user(email))).await.map(|receipt| receipt.users[0].number)
}

async fn tenants(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let (one, two) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    assert_eq!((one.tenant, two.tenant), (TenantNumber(1), TenantNumber(2)));
    let installation = Caller::installation();
    let again = Command::AddTenant { name: "x".into(), number: Some(TenantNumber(2)) };
    assert_eq!(
        directory.run(&installation, again).await,
        Err(DirectoryError::for_field(Field::Number, FieldErrorKind::Taken))
    );
    create_user(&directory, &one, "a@x.y").await.expect("added");
    assert_eq!(
        create_user(&directory, &two, "a@x.y").await,
        Ok(1),
        "emails are unique per tenant, and numbers start at 1 in each"
    );
    let user = directory.user(&one, UserKey::Number(1)).await.expect("found");
    assert_eq!(directory.user(&two, UserKey::Id(user.id)).await, Err(DirectoryError::NoSuchUser));
    let elsewhere = Caller::operator(TenantNumber(9));
    assert!(create_user(&directory, &elsewhere, "a@x.y").await.is_err());
    assert_eq!(directory.tenants(&Caller::installation()).await.expect("listed").len(), 2);
}

async fn numbers(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for n in 1..=3 {
        assert_eq!(create_user(&directory, &caller, &format!("{n}@x.y")).await, Ok(n));
    }
    directory.run(&caller, Command::DeleteUser(UserKey::Number(3))).await.expect("deleted");
    assert_eq!(directory.user(&caller, UserKey::Number(3)).await, Err(DirectoryError::NoSuchUser));
    assert_eq!(create_user(&directory, &caller, "3@x.y").await, Ok(4), "the email can be reused, the number cannot");
}

async fn logins(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    create_user(&directory, &caller, "Ann@X.y").await.expect("added");
    let taken = Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Taken));
    assert_eq!(create_user(&directory, &caller, "aNN@x.Y").await, taken);
    let user = directory.user(&caller, UserKey::Email("ann@x.y".into())).await.expect("found ignoring case");
    assert_eq!(user.email(), Some("Ann@X.y"), "the original case is kept");
    let mut edit = new_user("bob@x.y");
    edit.set_text(Field::UserName, FieldUpdate::Set("ANN@x.y".into()));
    let refused = directory.run(&caller, Command::CreateUser(edit)).await;
    assert_eq!(
        refused,
        Err(DirectoryError::for_field(Field::UserName, FieldErrorKind::Taken)),
        "user names and emails are one namespace"
    );
    let mut named = new_user("eve@x.y");
    named.set_text(Field::UserName, FieldUpdate::Set("eve".into()));
    named.set_text(Field::ExternalId, FieldUpdate::Set("E-7".into()));
    directory.run(&caller, Command::CreateUser(named)).await.expect("added");
    assert_eq!(directory.user(&caller, UserKey::Email("eve".into())).await, Err(DirectoryError::NoSuchUser));
    assert!(directory.user(&caller, UserKey::Login("EVE".into())).await.is_ok());
    assert!(directory.user(&caller, UserKey::ExternalId("E-7".into())).await.is_ok());
    assert_eq!(directory.user(&caller, UserKey::ExternalId("e-7".into())).await, Err(DirectoryError::NoSuchUser));
    let found = directory
        .find_users(&caller, user_query(vec![UserPredicate::ExternalId("e-7".into())]))
        .await
        .expect("searched");
    assert_eq!(found.total, 1, "searches ignore case");
    let swap = Command::UpdateUser { user: UserKey::Number(1), edit: new_user("ann2@x.y") };
    directory.run(&caller, swap).await.expect("changed");
    assert_eq!(create_user(&directory, &caller, "ann@x.y").await, Ok(3), "the released email can be reused");
}

fn user_query(tests: Vec<UserPredicate>) -> UserQuery {
    UserQuery { predicates: tests, limit: 100, ..UserQuery::default() }
}

async fn atomicity(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    create_user(&directory, &caller, "a@x.y").await.expect("added");
    let before = directory.events(&Caller::installation(), EventPosition(0), 100).await.expect("read");
    // The new organization would be added first; the email is taken, so neither may be stored.
    let mut edit = new_user("A@x.y");
    edit.organization = FieldUpdate::Set(directory::OrganizationRef {
        name: Some("New".into()),
        ..directory::OrganizationRef::default()
    });
    assert!(directory.run(&caller, Command::CreateUser(edit)).await.is_err());
    let organization = ItemKey::Name("New".into());
    assert!(directory.item(&caller, ItemKind::Organization, organization).await.is_err());
    assert_eq!(
        directory.events(&Caller::installation(), EventPosition(0), 100).await.expect("read"),
        before,
        "no event of the rejected change"
    );
}

async fn pages(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for n in 0..2_500 {
        create_user(&directory, &caller, &format!("{n}@x.y")).await.expect("added");
    }
    for n in [1, 2, 999, 1000, 1001, 2500] {
        directory.run(&caller, Command::DeleteUser(UserKey::Number(n))).await.expect("deleted");
    }
    let mut walked = Vec::new();
    for page in 0..26 {
        let query = UserQuery { offset: page * 100, limit: 100, ..UserQuery::default() };
        let page = directory.find_users(&caller, query).await.expect("read");
        assert_eq!(page.total, 2_494);
        walked.extend(page.rows.iter().map(|user| user.number));
    }
    let alive: Vec<u32> = (3..2_500).filter(|n| ![999, 1000, 1001].contains(n)).collect();
    assert_eq!(walked, alive);
}

async fn sorting(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for (email, name, city) in [("c@x.y", "Bea", "Rome"), ("a@x.y", "ärger", "Oslo"), ("b@x.y", "bea", "Rome")] {
        let mut edit = new_user(email);
        edit.set_text(Field::GivenName, FieldUpdate::Set(name.into()));
        edit.set_text(Field::City, FieldUpdate::Set(city.into()));
        directory.run(&caller, Command::CreateUser(edit)).await.expect("added");
    }
    let order = async |key: SortKey, descending: bool| {
        let query = UserQuery { sort: Sort { key, descending, nulls_last: false }, limit: 10, ..UserQuery::default() };
        let page = directory.find_users(&caller, query).await.expect("read");
        page.rows.iter().map(|user| user.number).collect::<Vec<_>>()
    };
    assert_eq!(order(SortKey::Text(Field::Email), false).await, [2, 3, 1]);
    assert_eq!(order(SortKey::Text(Field::GivenName), false).await, [1, 3, 2], "equal keys keep creation order");
    assert_eq!(order(SortKey::Text(Field::GivenName), true).await, [2, 1, 3]);
    assert_eq!(order(SortKey::Number, true).await, [3, 2, 1]);
    assert_eq!(order(SortKey::Created, true).await, [3, 2, 1]);
    let in_rome = user_query(vec![UserPredicate::AddressContains(vec!["rom".into()])]);
    let page = directory.find_users(&caller, UserQuery { offset: 1, limit: 1, ..in_rome }).await.expect("read");
    assert_eq!((page.total, page.rows[0].number), (2, 3));
}

async fn members(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for email in ["a@x.y", "b@x.y"] {
        create_user(&directory, &caller, email).await.expect("added");
    }
    let edit = GroupEdit {
        name: FieldUpdate::Set("Staff".into()),
        members: Some(MemberEdit::Replace(vec![UserKey::Number(1), UserKey::Number(2)])),
        ..GroupEdit::default()
    };
    let receipt = directory.run(&caller, Command::CreateGroup(edit)).await.expect("added");
    let group = receipt.items[0].id();
    let user = directory.user(&caller, UserKey::Number(1)).await.expect("found");
    assert_eq!(user.groups, [group]);
    let leave = UserEdit { groups: FieldUpdate::Set(Vec::new()), ..UserEdit::default() };
    let leave = Command::UpdateUser { user: UserKey::Number(1), edit: Box::new(leave) };
    directory.run(&caller, leave).await.expect("changed");
    let remaining = directory.members(&caller, group).await.expect("read");
    assert_eq!(remaining.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [2]);
    let gone = Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Id(group) };
    directory.run(&caller, gone).await.expect("deleted");
    assert!(directory.user(&caller, UserKey::Number(2)).await.expect("found").groups.is_empty());
    let unknown = UserEdit { groups: FieldUpdate::Set(vec![ItemKey::Id(group)]), ..UserEdit::default() };
    let unknown = Command::UpdateUser { user: UserKey::Number(1), edit: Box::new(unknown) };
    assert_eq!(
        directory.run(&caller, unknown).await,
        Err(DirectoryError::for_field(Field::Groups, FieldErrorKind::NotFound))
    );
}

async fn events(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let mut caller = create_tenant(&directory, "One").await;
    caller.request_id = "req-1".into();
    let mut edit = new_user("a@x.y");
    edit.password = Some("top-secret".into());
    directory.run(&caller, Command::CreateUser(edit)).await.expect("added");
    let change = Command::UpdateUser { user: UserKey::Number(1), edit: new_user("b@x.y") };
    directory.run(&caller, change).await.expect("changed");
    directory.run(&caller, Command::DeleteUser(UserKey::Number(1))).await.expect("deleted");
    let events = directory.events(&Caller::installation(), EventPosition(1), 10).await.expect("read");
    let actions: Vec<Action> = events.iter().map(|event| event.data.action).collect();
    assert_eq!(actions, [Action::Created, Action::Updated, Action::Deleted]);
    assert_eq!(events.iter().map(|e| e.position.0).collect::<Vec<_>>(), [2, 3, 4]);
    assert!(events.iter().all(|event| event.data.request_id == "req-1" && event.data.actor == "terminal"));
    assert!(events[0].data.password_set && !events[1].data.password_set);
    let emails = |record: &Option<EntitySnapshot>| match record {
        Some(EntitySnapshot::User(user)) => user.email().map(str::to_owned),
        _ => None,
    };
    let update = &events[1].data;
    assert_eq!((emails(&update.before), emails(&update.after)), (Some("a@x.y".into()), Some("b@x.y".into())));
    assert!(!format!("{events:?}").contains("top-secret"));
}

async fn keys(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    let hash = |n: u8| KeyHash([n; 32]);
    let add = |name: &str, n: u8| Command::AddConnection(NewConnection::new(name, vec!["scim".into()], hash(n)));
    directory.run(&caller, add("crm", 1)).await.expect("added");
    assert_eq!(
        directory.run(&caller, add("CRM", 2)).await,
        Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Taken))
    );
    let id = directory.all_connections(&Caller::installation()).await.expect("listed")[0].id;
    for n in [2, 3] {
        directory
            .run(&caller, Command::AddKey { connection: id, key_hash: hash(n), revoke_others: false })
            .await
            .expect("rotated");
    }
    let connections_with_key = async |n: u8| {
        directory.connections_by_key_prefix(&Caller::installation(), hash(n).prefix()).await.expect("read").len()
    };
    assert_eq!(
        (connections_with_key(1).await, connections_with_key(2).await, connections_with_key(3).await),
        (0, 1, 1),
        "two keys are valid, the oldest is not"
    );
    let connection = directory.all_connections(&Caller::installation()).await.expect("listed").remove(0);
    directory.record_connection_use(&connection, connection.keys.first());
    directory.run(&caller, Command::RevokeConnection(id)).await.expect("revoked");
    assert_eq!(connections_with_key(3).await, 1, "a revoked connection keeps its keys");
    let after = async || directory.connections(&caller).await.expect("listed").remove(0);
    assert!(after().await.revoked);
    // Uses are recorded in the background, so the record may follow the revocation and must not undo it.
    for _ in 0..10_000 {
        if after().await.last_use.is_some() {
            break;
        }
    }
    let after = after().await;
    assert!(after.revoked && after.last_use.is_some());
    let uses: Vec<bool> = after.keys.iter().map(|key| key.last_use.is_some()).collect();
    assert_eq!(uses, [true, false], "the first key was used");
    // The name can be reused after each revocation.
    for n in 5..8 {
        directory.run(&caller, add("Crm", n)).await.expect("added");
        assert_eq!(
            directory.run(&caller, add("crm", 9)).await,
            Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Taken))
        );
        let all = directory.connections(&caller).await.expect("listed");
        let live = all.iter().find(|connection| !connection.revoked).expect("found").clone();
        let edit = ConnectionEdit { highest_role: FieldUpdate::Set(3), ..ConnectionEdit::default() };
        let command = Command::UpdateConnection { connection: live.id, edit };
        directory.run(&caller, command).await.expect("changed");
        let only = Command::AddKey { connection: live.id, key_hash: hash(n + 10), revoke_others: true };
        directory.run(&caller, only).await.expect("rotated");
        let all = directory.connections(&caller).await.expect("listed");
        let now = all.iter().find(|connection| connection.id == live.id).expect("found");
        assert_eq!((now.highest_role, now.keys.len(), now.keys[0].hash), (3, 1, hash(n + 10)));
        directory.run(&caller, Command::RevokeConnection(live.id)).await.expect("revoked");
    }
    let edit = Command::UpdateConnection { connection: id, edit: ConnectionEdit::default() };
    assert_eq!(directory.run(&caller, edit).await, Err(DirectoryError::NoSuchConnection));
    let again = Command::AddKey { connection: id, key_hash: hash(4), revoke_others: false };
    assert_eq!(directory.run(&caller, again).await, Err(DirectoryError::NoSuchConnection));
}

/// Every edit based on an outdated version is rejected and stores neither a row nor an event.
#[expect(clippy::too_many_lines, reason = "one list of edits and their setup")]
async fn stale(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    for n in 1..=3 {
        create_user(&directory, &caller, &format!("{n}@x.y")).await.expect("added");
    }
    let group = GroupEdit { name: FieldUpdate::Set("Staff".into()), ..GroupEdit::default() };
    let group = directory.run(&caller, Command::CreateGroup(group.clone())).await.expect("added").items.remove(0);
    let gone = GroupEdit { name: FieldUpdate::Set("Gone".into()), ..GroupEdit::default() };
    let gone = directory.run(&caller, Command::CreateGroup(gone)).await.expect("added").items.remove(0);
    let hash = |n: u8| KeyHash([n; 32]);
    let new = Command::AddConnection(NewConnection::new("crm", vec!["scim".into()], hash(1)));
    directory.run(&caller, new).await.expect("added");
    let connection = directory.all_connections(&Caller::installation()).await.expect("listed").remove(0);
    let people: Vec<_> = [1, 2, 3].map(|n| directory.user(&caller, UserKey::Number(n))).into_iter().collect();
    let mut known = Vec::new();
    for person in people {
        known.push(person.await.expect("found"));
    }
    // Change everything read above.
    directory.run(&caller, Command::RevokeConnection(connection.id)).await.expect("revoked");
    directory.run(&caller, Command::DeleteUser(UserKey::Number(1))).await.expect("deleted");
    let edit = Command::UpdateUser { user: UserKey::Number(2), edit: new_user("new@x.y") };
    directory.run(&caller, edit).await.expect("changed");
    let delete = Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Id(gone.id()) };
    directory.run(&caller, delete).await.expect("deleted");
    let before = directory.events(&Caller::installation(), EventPosition(0), 1000).await.expect("read");
    let [first, second, third] = [0, 1, 2].map(|n| known[n].clone());
    let mut renamed = group.clone();
    renamed.mark_updated(third.updated);
    let group_of = |members_added: Vec<directory::UserId>| Mutation::ChangeItem {
        before: Box::new(group.clone()),
        after: Box::new(renamed.clone()),
        members_added,
        members_removed: Vec::new(),
    };
    let members = |item: &Item, members_added| Mutation::ChangeMembers {
        item: Box::new(item.clone()),
        members_added,
        members_removed: Vec::new(),
    };
    let mut opened = connection.clone();
    opened.keys.clear();
    let mut changed = second.clone();
    changed.version += 1;
    let edits = [
        Mutation::ChangeConnection { before: Box::new(connection), after: Box::new(opened) },
        Mutation::RemoveUser(Box::new(first.clone())),
        Mutation::ChangeUser {
            before: Box::new(second),
            after: Box::new(changed),
            account: AccountEdit::default(),
            notes: Vec::new(),
        },
        Mutation::RemoveItem(Box::new(gone.clone())),
        members(&gone, vec![third.id]),
        members(&gone, Vec::new()),
        members(&group, vec![first.id]),
        members(&group, vec![third.id, first.id]),
        group_of(vec![first.id]),
        group_of(vec![third.id, first.id]),
    ];
    for edit in edits {
        let what = format!("{edit:?}");
        let change = Change::new(caller.tenant, third.updated, "test", vec![edit]);
        assert_eq!(store.commit(change).await.err(), Some(CommitError::Stale), "{what}");
        assert_eq!(
            directory.events(&Caller::installation(), EventPosition(0), 1000).await.expect("read"),
            before,
            "{what}"
        );
    }
    assert_eq!(directory.members(&caller, group.id()).await.expect("read"), []);
    let revoked = directory.all_connections(&Caller::installation()).await.expect("listed").remove(0);
    assert!(revoked.revoked, "the revocation stays");
}

async fn used_numbers_are_skipped(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    let make = async |number: Option<u32>, name: String| {
        let mut edit = new_user(&format!("{}@x.y", name.replace(' ', "")));
        let wanted = OrganizationRef { number, name: Some(name.clone()), office_number: None };
        edit.organization = FieldUpdate::Set(wanted);
        directory.run(&caller, Command::CreateUser(edit)).await.map(|_| ())?;
        directory.item(&caller, ItemKind::Organization, ItemKey::Name(name)).await.map(|item| item.number())
    };
    for n in 1..=60 {
        assert_eq!(make(Some(n), format!("Wished {n}")).await, Ok(n));
    }
    assert_eq!(make(None, "Ann".into()).await, Ok(61));
    assert!(make(Some(4_000_000_000), "Far".into()).await.is_err(), "the number exceeds the limit");
    assert_eq!(make(None, "Next".into()).await, Ok(62));
}
