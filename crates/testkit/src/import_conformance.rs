//! The conformance suite for imports: commands that bring ids, numbers and password hashes from another directory, and
//! previews of commands.

use crate::conformance::{Check, create_tenant, new_user};
use crate::fakes;
use directory::{
    Command, Directory, DirectoryError, ExposeSecret, Field, FieldErrorKind, FieldUpdate, GroupEdit, ItemId, ItemKey,
    ItemKind, OrganizationEdit, PasswordHash, Preview, Store, UserEdit, UserId, UserKey,
};
use std::sync::Arc;
use uuid::Uuid;

pub const ALL: &[Check] = &[
    ("imported users keep their ids", |s| Box::pin(user_ids(s))),
    ("imported items keep their ids and numbers", |s| Box::pin(item_ids(s))),
    ("two items of one change cannot share a name", |s| Box::pin(duplicate_names(s))),
    ("a preview returns the result of the command", |s| Box::pin(preview_results(s))),
    ("password hashes are read by user number", |s| Box::pin(passwords(s))),
];

const USER_ID: UserId = UserId(Uuid::from_u128(0xA11CE));

fn create_with_id(email: &str, id: UserId) -> Command {
    Command::CreateUser(Box::new(UserEdit { id: Some(id), ..*new_user(email) }))
}

async fn user_ids(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    let made = directory.run(&caller, create_with_id("a@x.y", USER_ID)).await.expect("made").users.remove(0);
    assert_eq!((made.id, made.number), (USER_ID, 1));
    let again = directory.run(&caller, create_with_id("b@x.y", USER_ID)).await;
    assert_eq!(again, Err(DirectoryError::for_field(Field::Id, FieldErrorKind::Taken)));
    // Importing a deleted user restores it.
    directory.run(&caller, Command::DeleteUser(UserKey::Id(USER_ID))).await.expect("deleted");
    let back = directory.run(&caller, create_with_id("c@x.y", USER_ID)).await.expect("restored").users.remove(0);
    assert_eq!((back.id, back.number, back.email()), (USER_ID, 1, Some("c@x.y")));
    assert_eq!(back.version, made.version + 1);
}

async fn item_ids(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    let id = Some(ItemId(Uuid::from_u128(7)));
    let group = GroupEdit { id, name: FieldUpdate::Set("G".into()), ..GroupEdit::default() };
    let made = directory.run(&caller, Command::CreateGroup(group.clone())).await.expect("made");
    assert_eq!(Some(made.items[0].id()), id);
    let again = directory.run(&caller, Command::CreateGroup(group)).await;
    assert_eq!(again, Err(DirectoryError::for_field(Field::Id, FieldErrorKind::Taken)));
    let organization = |name: &str, number: u32| {
        Command::CreateOrganization(OrganizationEdit {
            number: Some(number),
            name: FieldUpdate::Set(name.into()),
            ..OrganizationEdit::default()
        })
    };
    let made = directory.run(&caller, organization("O", 5)).await.expect("made");
    assert_eq!(made.items[0].number(), 5);
    assert!(directory.run(&caller, organization("P", 5)).await.is_err(), "the number is taken");
    let zero = directory.run(&caller, organization("P", 0)).await;
    assert_eq!(zero, Err(DirectoryError::for_field(Field::Number, FieldErrorKind::Malformed)));
    let department = |name: &str, number| Command::AddDepartment { name: name.into(), number };
    directory.run(&caller, department("D", Some(9))).await.expect("made");
    let next = directory.run(&caller, department("E", None)).await.expect("made");
    assert_eq!(next.items[0].number(), 1, "the first free number");
    for (name, number) in [("D", None), ("F", Some(9))] {
        let taken = directory.run(&caller, department(name, number)).await;
        assert_eq!(taken, Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Taken)));
    }
}

/// Regression: one engine reported a taken name, another a stale change.
async fn duplicate_names(store: Arc<dyn Store>) {
    let directory = fakes::directory(store);
    let caller = create_tenant(&directory, "One").await;
    for name in ["A", "B"] {
        let new = OrganizationEdit { name: FieldUpdate::Set(name.into()), ..OrganizationEdit::default() };
        directory.run(&caller, Command::CreateOrganization(new)).await.expect("made");
    }
    let both = Command::UpdateOrganizations {
        organizations: vec![ItemKey::Name("A".into()), ItemKey::Name("B".into())],
        edit: OrganizationEdit { name: FieldUpdate::Set("C".into()), ..OrganizationEdit::default() },
    };
    assert_eq!(directory.run(&caller, both).await, Err(DirectoryError::for_field(Field::Name, FieldErrorKind::Taken)));
    let a = ItemKey::Name("A".into());
    assert!(directory.item(&caller, ItemKind::Organization, a).await.is_ok(), "nothing was changed");
}

async fn preview_results(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let new = Command::CreateUser(new_user("a@x.y"));
    let would = directory.preview(&caller, &new).await.expect("the command would succeed");
    assert!(matches!(would, Preview::User(user) if user.email() == Some("a@x.y")));
    assert_eq!(
        directory.user(&caller, UserKey::Number(1)).await,
        Err(DirectoryError::NoSuchUser),
        "nothing was changed"
    );
    directory.run(&caller, new.clone()).await.expect("made");
    assert_eq!(
        directory.preview(&caller, &new).await,
        Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Taken))
    );
    let same = |email: &str| Command::UpdateUser { user: UserKey::Number(1), edit: new_user(email) };
    assert_eq!(directory.preview(&caller, &same("a@x.y")).await, Ok(Preview::Unchanged));
    let would = directory.preview(&caller, &same("b@x.y")).await.expect("the command would succeed");
    assert!(matches!(would, Preview::User(user) if user.email() == Some("b@x.y")));
    directory.run(&caller, Command::CreateUser(new_user("b@x.y"))).await.expect("made");
    assert_eq!(
        directory.preview(&caller, &same("b@x.y")).await,
        Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Taken))
    );
    let broken = directory.preview(&caller, &same("no e-mail")).await;
    assert_eq!(broken, Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Malformed)));
    // The command itself fails in the same way.
    assert_eq!(
        directory.run(&caller, same("b@x.y")).await,
        Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Taken))
    );
    let gone = Command::UpdateUser { user: UserKey::Number(9), edit: new_user("c@x.y") };
    assert_eq!(directory.preview(&caller, &gone).await, Err(DirectoryError::NoSuchUser));
    let events = directory
        .events(&directory::Caller::installation(), directory::EventPosition(0), 100)
        .await
        .expect("read")
        .len();
    assert!(events <= 3, "previews write no events");
}

async fn passwords(store: Arc<dyn Store>) {
    let directory: Directory = fakes::directory(store);
    let (caller, other) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    for n in 1..=4_u32 {
        let hash = (n != 2).then(|| PasswordHash(format!("plain$long enough {n}").into()));
        let edit = UserEdit { password_hash: hash, ..*new_user(&format!("{n}@x.y")) };
        directory.run(&caller, Command::CreateUser(Box::new(edit))).await.expect("made");
    }
    let found = directory.password_hashes(&caller, 1..=3).await.expect("read");
    let found: Vec<(u32, &str)> = found.iter().map(|(n, stored)| (*n, stored.0.expose_secret())).collect();
    assert_eq!(found, [(1, "plain$long enough 1"), (3, "plain$long enough 3")]);
    assert_eq!(directory.password_hashes(&other, 1..=3).await.expect("read").len(), 0);
}
