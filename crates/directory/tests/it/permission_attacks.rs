//! Attempts to gain permissions.

use crate::actors::Fixture;
use directory::{
    Access, Actor, Administrator, Caller, Change, Command, ConnectionEdit, DirectoryError, Field, FieldUpdate, Grants,
    ItemKey, ItemKind, KeyHash, Mutation, NewConnection, Permission, Status, StatusChange, Store, TenantNumber, User,
    UserId, UserKey, UserQuery,
};
use std::future::Future;
use testkit::conformance::{create_tenant, new_user};

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
}

fn administrator(permissions: &[Permission]) -> Caller {
    let grants = Grants { permissions: permissions.to_vec(), all_tenants: false };
    let (user, home) = (UserId(uuid::Uuid::from_u128(50)), TenantNumber(1));
    Caller::new(home, Actor::Administrator(Administrator { user, home, user_name: "admin".into(), grants }))
}

/// Makes a stored user an administrator.
async fn grant(fixture: &Fixture, user: &User, permissions: &[Permission]) -> User {
    let grants = Some(Grants { permissions: permissions.to_vec(), all_tenants: false });
    let after = User { grants, version: user.version + 1, ..user.clone() };
    let mutation = Mutation::ChangeUser {
        before: Box::new(user.clone()),
        after: Box::new(after.clone()),
        account: directory::AccountEdit::default(),
        notes: Vec::new(),
    };
    let change = Change::new(fixture.operator.tenant, fixture.directory.now(), "test", vec![mutation]);
    fixture.store.commit(change).await.expect("granted");
    after
}

#[test]
fn nobody_creates_or_changes_a_connection_that_may_do_more() {
    block_on(async {
        let fixture = Fixture::new().await;
        let strong = fixture.connection("strong", |_| {}).await;
        let caller = administrator(&[Permission::Connections, Permission::ReadUsers]);
        let run = async |command| fixture.directory.run(&caller, command).await.map(drop);
        let new = |access| NewConnection { access, ..NewConnection::new("new", Vec::new(), KeyHash([1; 32])) };
        let forbidden = Err(DirectoryError::Forbidden);
        assert_eq!(run(Command::AddConnection(new(Access::ReadWrite))).await, forbidden);
        assert_eq!(run(Command::AddConnection(new(Access::ReadOnly))).await, Ok(()));
        let key = Command::AddKey { connection: strong.id, key_hash: KeyHash([2; 32]), revoke_others: false };
        assert_eq!(run(key).await, forbidden, "its key would do what the administrator may not");
        let weak = fixture.connection("weak", |new| new.access = Access::ReadOnly).await;
        let widen = ConnectionEdit { access: FieldUpdate::Set(Access::ReadWrite), ..ConnectionEdit::default() };
        let update = |connection, edit| Command::UpdateConnection { connection, edit };
        assert_eq!(run(update(weak.id, widen)).await, forbidden);
        let permissions = FieldUpdate::Set(vec![Permission::Groups]);
        let widen = ConnectionEdit { permissions, ..ConnectionEdit::default() };
        assert_eq!(run(update(weak.id, widen)).await, forbidden);
        assert_eq!(run(update(strong.id, ConnectionEdit::default())).await, forbidden);
        let key = Command::AddKey { connection: weak.id, key_hash: KeyHash([2; 32]), revoke_others: false };
        assert_eq!(run(key).await, Ok(()));
        assert_eq!(run(Command::RevokeConnection(strong.id)).await, Ok(()), "revoking gives nothing");
        // A connection has only permissions that an API uses.
        let permissions = FieldUpdate::Set(vec![Permission::Installation]);
        let widen = update(weak.id, ConnectionEdit { permissions, ..ConnectionEdit::default() });
        let result = fixture.directory.run(&fixture.operator, widen).await;
        assert!(matches!(result, Err(DirectoryError::Invalid(_))), "{result:?}");
    });
}

/// A file can have two columns of one meaning: what is checked is what is stored.
#[test]
fn an_invitation_is_not_hidden_behind_an_earlier_value() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture
            .client("files", |new| new.permissions = Some(vec![Permission::ReadUsers, Permission::WriteUsers]))
            .await;
        let edit = |values: &[bool]| {
            let mut edit = new_user("invited@example.com");
            edit.invite = true;
            for value in values {
                edit.set_boolean(Field::DoNotEmail, FieldUpdate::Set(*value));
            }
            edit
        };
        let create =
            async |values: &[bool]| fixture.directory.run(&client, Command::CreateUser(edit(values))).await.map(drop);
        assert_eq!(create(&[true, false]).await, Err(DirectoryError::Forbidden));
        assert_eq!(create(&[]).await, Err(DirectoryError::Forbidden));
        assert_eq!(create(&[false, true]).await, Ok(()));
    });
}

#[test]
fn a_user_with_a_grant_ranks_above_every_connection() {
    block_on(async {
        let fixture = Fixture::new().await;
        let ann = grant(&fixture, &fixture.ann, &[Permission::Audit]).await;
        let client = fixture.client("top", |new| new.highest_role = 6).await;
        let user = || UserKey::Id(ann.id);
        let password =
            directory::UserEdit { password: Some("vier rote fische".to_owned().into()), ..Default::default() };
        let status = StatusChange { users: vec![user()], to: Status::Suspended, required_status: None };
        let attacks = || {
            vec![
                Command::UpdateUser { user: user(), edit: Box::new(password.clone()) },
                Command::UpdateUser { user: user(), edit: new_user("taken-over@example.com") },
                Command::ChangeStatus(status.clone()),
                Command::DeleteUser(user()),
                Command::Invite(vec![user()]),
                Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Number(1) },
            ]
        };
        let weaker = administrator(&[Permission::WriteUsers, Permission::Credentials, Permission::Groups]);
        for caller in [&client, &weaker] {
            for command in attacks() {
                let text = format!("{command:?} by {:?}", caller.actor);
                let result = fixture.directory.run(caller, command).await.map(drop);
                assert_eq!(result, Err(DirectoryError::RoleTooHigh), "{text}");
            }
        }
        // An administrator with the same grants may.
        let equal = administrator(&[Permission::WriteUsers, Permission::Audit]);
        fixture.directory.run(&equal, Command::ChangeStatus(status.clone())).await.expect("suspended");
        fixture.directory.run(&fixture.operator, Command::DeleteUser(user())).await.expect("deleted");
        // A deleted administrator would come back as one.
        let again = fixture.directory.run(&client, Command::RestoreUser(user())).await.map(drop);
        assert_eq!(again, Err(DirectoryError::RoleTooHigh));
        let mut edit = new_user("ann@example.com");
        edit.id = Some(ann.id);
        let again = fixture.directory.run(&client, Command::CreateUser(edit)).await.map(drop);
        assert_eq!(again, Err(DirectoryError::RoleTooHigh));
    });
}

#[test]
fn permissions_are_those_that_the_connection_has_now() {
    block_on(async {
        let fixture = Fixture::new().await;
        let client = fixture.client("client", |_| {}).await;
        let add = |name: &str| Command::AddDepartment { name: name.into(), number: None };
        fixture.directory.run(&client, add("Sales")).await.expect("permitted");
        let Actor::Connection(connection) = &client.actor else { unreachable!("a connection") };
        let edit =
            ConnectionEdit { permissions: FieldUpdate::Set(vec![Permission::WriteUsers]), ..ConnectionEdit::default() };
        let update = Command::UpdateConnection { connection: connection.id, edit };
        fixture.directory.run(&fixture.operator, update).await.expect("restricted");
        // The clock of the tests advances by a second with each reading, and a connection is cached for half of one.
        assert_eq!(fixture.directory.run(&client, add("Staff")).await.map(drop), Err(DirectoryError::Forbidden));
        let created = fixture.directory.run(&client, Command::CreateUser(new_user("eve@example.com"))).await;
        assert!(created.is_ok(), "{created:?}");
    });
}

#[test]
fn a_connection_has_no_access_to_another_tenant() {
    block_on(async {
        let fixture = Fixture::new().await;
        let two = create_tenant(&fixture.directory, "Two").await;
        let client = fixture.client("client", |new| new.highest_role = 6).await;
        let other_tenant = Caller { tenant: two.tenant, ..client };
        let ended = Err(DirectoryError::ConnectionEnded);
        assert_eq!(fixture.directory.find_users(&other_tenant, UserQuery::default()).await.map(drop), ended);
        let create = Command::CreateUser(new_user("eve@example.com"));
        assert_eq!(fixture.directory.run(&other_tenant, create).await.map(drop), ended);
    });
}
