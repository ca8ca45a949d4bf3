//! The conformance suite for accounts: invitations, sign-ins, sessions, mails, and deleted, restored and purged users.
//! Each check takes an empty store, as in [`crate::conformance`].

use crate::conformance::{Check, create_tenant, new_user};
use crate::fakes::{self, CountingHasher, CountingIds, StepClock};
use directory::{
    AccountAction, Action, Caller, Change, Command, CommitError, Credentials, DeliveryOutcome, Directory,
    DirectoryError, EventNote, EventPosition, Field, FieldErrorKind, FieldUpdate, GroupEdit, ItemKey, ItemKind,
    KeyHash, LinkPurpose, Mutation, PasswordLink, SignInError, Status, StatusChange, Store, TenantEdit, Time, User,
    UserKey,
};
use std::sync::Arc;

pub const ALL: &[Check] = &[
    ("an invitation is a mail with a link that works once", |s| Box::pin(invitation(s))),
    ("sessions start and end, also by a status change", |s| Box::pin(sessions(s))),
    ("a rejected sign-in compares one password, also for unknown users", |s| Box::pin(rejected_sign_ins(s))),
    ("deleted users are hidden, restorable and found by external id", |s| Box::pin(deleted_users(s))),
    ("tombstones are purged permanently", |s| Box::pin(purged_users(s))),
    ("concurrent updates of a mail conflict", |s| Box::pin(mails(s))),
    ("tenant changes require the current version", |s| Box::pin(tenant_settings(s))),
    ("every event is part of its tenant's hash chain", |s| Box::pin(chain(s))),
];

async fn create_user(directory: &Directory, caller: &Caller, email: &str, invite: bool) -> User {
    let mut edit = new_user(email);
    edit.invite = invite;
    edit.set_text(Field::ExternalId, FieldUpdate::Set(format!("ext-{email}")));
    let receipt = directory.run(caller, Command::CreateUser(edit)).await.expect("created");
    receipt.users.into_iter().next().expect("a user")
}

fn credentials(handle: &str, password: &str) -> Credentials {
    Credentials { login: handle.into(), password: password.into(), client_ip: None, known_browser: None }
}

const REJECTED: DirectoryError = DirectoryError::SignIn(SignInError::InvalidCredentials);

async fn invitation(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let ann = create_user(&directory, &caller, "ann@x.y", true).await;
    assert!(ann.invited.is_some() && ann.status == Status::Invited);
    let mails = directory.mails(&caller, Some(ann.id), 10).await.expect("read");
    assert_eq!((mails.len(), mails[0].user, mails[0].purpose), (1, ann.id, LinkPurpose::Invitation));
    assert_eq!(directory.mails_due(&Caller::installation(), 10).await.expect("read"), mails);
    let link = PasswordLink { user: ann.id, id: mails[0].id, purpose: LinkPurpose::Invitation };
    assert_eq!(directory.user_by_link(&caller, &link).await.map(|user| user.id), Ok(ann.id));
    let other = PasswordLink { purpose: LinkPurpose::Reset, ..link };
    let gone = DirectoryError::SignIn(SignInError::LinkInvalid);
    assert_eq!(directory.user_by_link(&caller, &other).await.err(), Some(gone.clone()));
    for (bad, rule) in [
        ("short", FieldErrorKind::TooShort(12)),
        ("password2024!", FieldErrorKind::CommonPassword),
        ("iamann@x.y!!", FieldErrorKind::PersonalPassword),
    ] {
        let refused = directory.set_password_with_link(&caller, link, bad.into(), None).await;
        assert_eq!(refused.err(), Some(DirectoryError::for_field(Field::Password, rule)), "{bad}");
    }
    directory.set_password_with_link(&caller, link, "vier rote fische".into(), None).await.expect("chosen");
    let again = directory.set_password_with_link(&caller, link, "fünf rote fische".into(), None).await;
    assert_eq!(again.err(), Some(gone));
    assert_eq!(directory.sign_in(&caller, credentials("ann@x.y", "fünf rote fische"), None).await, Err(REJECTED));
    let key = KeyHash([1; 32]);
    let signed_in = directory.sign_in(&caller, credentials("ANN@x.y", "vier rote fische"), Some(key)).await;
    assert_eq!(signed_in.expect("signed in").status, Status::Active);
    assert!(directory.user_by_session(&caller, ann.id, &key).await.expect("read").is_some());
    let (history, _) = directory.user_history(&caller, ann.id, EventPosition(0)).await.expect("read");
    let notes: Vec<EventNote> = history.iter().flat_map(|event| event.data.notes.clone()).collect();
    assert_eq!(notes, [EventNote::LinkUsed, EventNote::SignInsEnded, EventNote::SignedIn]);
    let text = format!("{history:?}");
    assert!(!text.contains("fische") && !text.contains("plain$"), "{text}");
}

/// A rejected sign-in hashes one password whether the user exists or not, so its duration reveals nothing.
async fn rejected_sign_ins(store: Arc<dyn Store>) {
    let hasher = Arc::new(CountingHasher::default());
    let (clock, ids) = (Arc::new(StepClock::default()), Arc::new(CountingIds::default()));
    let directory = Directory::new(store, clock, ids, Arc::clone(&hasher) as _);
    let caller = create_tenant(&directory, "One").await;
    for email in ["ann@x.y", "suspended@x.y", "deleted@x.y"] {
        let mut edit = new_user(email);
        edit.password = Some("vier rote fische".into());
        directory.run(&caller, Command::CreateUser(edit)).await.expect("created");
    }
    create_user(&directory, &caller, "invited@x.y", false).await;
    let suspended = UserKey::Email("suspended@x.y".into());
    let off = StatusChange { users: vec![suspended], to: Status::Suspended, required_status: None };
    directory.run(&caller, Command::ChangeStatus(off)).await.expect("moved");
    let gone = Command::DeleteUser(UserKey::Email("deleted@x.y".into()));
    directory.run(&caller, gone).await.expect("deleted");
    for (handle, password) in [
        ("nobody@x.y", "vier rote fische"),
        ("ann@x.y", "not the password"),
        ("suspended@x.y", "vier rote fische"),
        ("suspended@x.y", "not the password"),
        ("deleted@x.y", "vier rote fische"),
        ("invited@x.y", "vier rote fische"),
    ] {
        let before = hasher.comparisons();
        let refused = directory.sign_in(&caller, credentials(handle, password), None).await;
        assert_eq!((refused, hasher.comparisons() - before), (Err(REJECTED), 1), "{handle}: {password}");
    }
}

async fn sessions(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let mut edit = new_user("bob@x.y");
    edit.password = Some("blau wie der himmel".into());
    let bob = directory.run(&caller, Command::CreateUser(edit)).await.expect("created").users.remove(0);
    let sign_in =
        async |key: KeyHash| directory.sign_in(&caller, credentials("bob@x.y", "blau wie der himmel"), Some(key)).await;
    let is_in = async |key: KeyHash| directory.user_by_session(&caller, bob.id, &key).await.expect("read").is_some();
    let (one, two) = (KeyHash([1; 32]), KeyHash([2; 32]));
    sign_in(one).await.expect("in");
    sign_in(two).await.expect("in");
    directory.run_account_action(&caller, bob.id, AccountAction::SignOut(one)).await.expect("out");
    assert!(!is_in(one).await && is_in(two).await);
    let suspend =
        |to| Command::ChangeStatus(StatusChange { users: vec![UserKey::Id(bob.id)], to, required_status: None });
    for to in [Status::Suspended, Status::Inactive, Status::Archived] {
        sign_in(two).await.expect("in");
        let moved = directory.run(&caller, suspend(to)).await.expect("moved");
        assert_eq!(moved.users[0].status, to);
        assert!(!is_in(two).await, "{to:?} ends sessions");
        assert_eq!(sign_in(two).await, Err(REJECTED), "{to:?}");
        let last = directory.user_history(&caller, bob.id, EventPosition(0)).await.expect("read").0;
        assert_eq!(last.last().expect("an event").data.notes, [EventNote::SignInsEnded], "{to:?}");
        directory.run(&caller, suspend(Status::Active)).await.expect("restored");
        assert!(!is_in(two).await, "reactivation does not restore sessions");
    }
    sign_in(two).await.expect("in");
    let mut moved = directory::UserEdit::default();
    moved.set_text(Field::Email, FieldUpdate::Set("robert@x.y".into()));
    let update = Command::UpdateUser { user: UserKey::Id(bob.id), edit: Box::new(moved) };
    directory.run(&caller, update).await.expect("moved");
    assert!(!is_in(two).await, "a changed email ends sessions");
    let forgot = async |handle: &str| directory.request_password_reset(&caller, handle, None).await;
    forgot("robert@x.y").await.expect("requested");
    forgot("robert@x.y").await.expect("requested");
    forgot("nobody@x.y").await.expect("requested");
    let mails = directory.mails(&caller, None, 10).await.expect("read");
    assert_eq!(mails.iter().map(|mail| (mail.user, mail.purpose)).collect::<Vec<_>>(), [(bob.id, LinkPurpose::Reset)]);
    let after = async |mail: &directory::Mail, id| {
        let query = directory::Mail::of_tenant(caller.tenant, (mail.queued, id), 10);
        directory::records::<directory::Mail>(&*store, query).await.expect("read")
    };
    assert_eq!(after(&mails[0], mails[0].id).await, [], "no mail follows the last one");
    assert_eq!(after(&mails[0], uuid::Uuid::nil()).await, mails);
}

async fn deleted_users(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let group = GroupEdit { name: FieldUpdate::Set("Team".into()), ..GroupEdit::default() };
    directory.run(&caller, Command::CreateGroup(group)).await.expect("a group");
    let mut edit = new_user("ann@x.y");
    edit.password = Some("vier rote fische".into());
    edit.groups = FieldUpdate::Set(vec![ItemKey::Name("Team".into())]);
    edit.set_text(Field::ExternalId, FieldUpdate::Set("E-1".into()));
    let ann = directory.run(&caller, Command::CreateUser(edit)).await.expect("created").users.remove(0);
    create_user(&directory, &caller, "bob@x.y", false).await;
    directory.run(&caller, Command::DeleteUser(UserKey::Id(ann.id))).await.expect("deleted");
    for key in
        [UserKey::Id(ann.id), UserKey::Number(1), UserKey::Login("ann@x.y".into()), UserKey::ExternalId("E-1".into())]
    {
        assert_eq!(directory.user(&caller, key).await, Err(DirectoryError::NoSuchUser));
    }
    let tombstone = directory.deleted_user(&caller, &[UserKey::Login("ANN@x.y".into())]).await.expect("a tombstone");
    assert_eq!((tombstone.user.id, tombstone.user.number), (ann.id, 1));
    // Restored with password and group.
    let back = directory.run(&caller, Command::RestoreUser(UserKey::Id(ann.id))).await.expect("restored");
    assert_eq!((back.users[0].number, &back.users[0].groups), (1, &ann.groups));
    assert_eq!(directory.members(&caller, ann.groups[0]).await.expect("read"), [(ann.id, 1)]);
    directory
        .sign_in(&caller, credentials("ann@x.y", "vier rote fische"), None)
        .await
        .expect("the password still works");
    let twice = directory.run(&caller, Command::RestoreUser(UserKey::Id(ann.id))).await;
    assert_eq!(twice, Err(DirectoryError::NoSuchUser));
    // Another user has the email meanwhile, and the group is deleted.
    directory.run(&caller, Command::DeleteUser(UserKey::Id(ann.id))).await.expect("deleted");
    let item = ItemKey::Id(ann.groups[0]);
    directory.run(&caller, Command::DeleteItem { kind: ItemKind::Group, item }).await.expect("deleted");
    let other =
        directory.run(&caller, Command::CreateUser(new_user("ann@x.y"))).await.expect("the email can be reused");
    assert_eq!(other.users[0].number, 3, "the number cannot be reused");
    let taken = directory.run(&caller, Command::RestoreUser(UserKey::Number(1))).await;
    assert_eq!(taken, Err(DirectoryError::for_field(Field::Email, FieldErrorKind::Taken)));
    directory.run(&caller, Command::DeleteUser(UserKey::Number(3))).await.expect("deleted");
    let back = directory.run(&caller, Command::RestoreUser(UserKey::Number(1))).await.expect("restored");
    assert_eq!(back.users[0].groups, []);
    // Creating a user with the same external id restores the deleted user with the new attributes.
    directory.run(&caller, Command::DeleteUser(UserKey::Id(ann.id))).await.expect("deleted");
    let mut again = new_user("ann.lee@x.y");
    again.set_text(Field::ExternalId, FieldUpdate::Set("E-1".into()));
    let again = directory.run(&caller, Command::CreateUser(again)).await.expect("created").users.remove(0);
    assert_eq!((again.id, again.number, again.email()), (ann.id, 1, Some("ann.lee@x.y")));
    let old = directory.sign_in(&caller, credentials("ann.lee@x.y", "vier rote fische"), None).await;
    assert_eq!(old, Err(REJECTED), "the old password is not restored");
    assert_eq!(directory.deleted_users(&caller, 0, 10).await.expect("read").len(), 1);
    let people = directory::UserQuery { limit: 10, ..directory::UserQuery::default() };
    let people = directory.find_users(&caller, people).await.expect("read");
    assert_eq!((people.total, people.rows[0].number, people.rows[1].number), (2, 1, 2));
}

async fn purged_users(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let ann = create_user(&directory, &caller, "ann@x.y", false).await;
    directory.run(&caller, Command::DeleteUser(UserKey::Id(ann.id))).await.expect("deleted");
    let early = directory.run(&caller, Command::PurgeUser(UserKey::Id(ann.id))).await;
    assert_eq!(early, Err(DirectoryError::WrongStatus), "the retention period has not ended");
    let tombstones = store.tombstones_between((Time(0), Time(i64::MAX)), 10).await.expect("read");
    assert_eq!(tombstones.len(), 1);
    assert_eq!(store.tombstones_between((Time(0), Time(0)), 10).await.expect("read"), []);
    let purge = Mutation::PurgeUser(Box::new(tombstones[0].1.clone()));
    let change = Change::new(caller.tenant, ann.created, "test", vec![purge]);
    store.commit(change.clone()).await.expect("purged");
    assert_eq!(store.commit(change).await.err(), Some(CommitError::Stale));
    assert_eq!(directory.deleted_users(&caller, 0, 10).await.expect("read"), []);
    let again = create_user(&directory, &caller, "ann@x.y", false).await;
    assert!(again.id != ann.id && again.number == 2, "a purged user is not restored");
    let (history, _) = directory.user_history(&caller, ann.id, EventPosition(0)).await.expect("read");
    assert_eq!(history.last().expect("an event").data.notes, [EventNote::Purged]);
}

async fn mails(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    create_user(&directory, &caller, "ann@x.y", true).await;
    let mail = directory.mails_due(&Caller::installation(), 10).await.expect("read").remove(0);
    let later = directory.now().plus_seconds(3600);
    let delayed = Some(DeliveryOutcome::Delayed("greylisted".into()));
    let moved = directory.update_mail(&caller, &mail, Some(later), delayed.clone(), true).await.expect("moved");
    let moved = moved.expect("the version matches");
    assert_eq!((moved.attempts, moved.version), (1, 2));
    assert_eq!(directory.update_mail(&caller, &mail, None, delayed, true).await, Ok(None), "the version is outdated");
    assert_eq!(directory.mails_due(&Caller::installation(), 10).await.expect("read"), [], "it is not due yet");
    let all = directory.mails(&caller, None, 10).await.expect("read");
    assert_eq!(all, std::slice::from_ref(&moved));
    let failed = Some(DeliveryOutcome::Failed("no such mailbox".into()));
    let failed =
        directory.update_mail(&caller, &moved, None, failed, false).await.expect("moved").expect("the version matches");
    assert!(failed.has_failed() && failed.due.is_none());
    assert_eq!(directory.mails_due(&Caller::installation(), 10).await.expect("read"), []);
    let sent = directory.update_mail(&caller, &failed, None, Some(DeliveryOutcome::Sent), false).await.expect("moved");
    assert!(sent.is_some());
    assert_eq!(directory.mails(&caller, None, 10).await.expect("read"), []);
    let events = directory.events(&Caller::installation(), EventPosition(0), 100).await.expect("read");
    let about_mail: Vec<_> = events
        .iter()
        .filter(|event| {
            let mut records = event.data.before.iter().chain(&event.data.after);
            records.any(|record| matches!(record, directory::EntitySnapshot::Mail(_)))
        })
        .map(|event| event.data.action)
        .collect();
    let wanted = [Action::Created, Action::Updated, Action::Deleted];
    assert_eq!(about_mail, wanted, "a delivery attempt alone writes no event");
}

async fn tenant_settings(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let caller = create_tenant(&directory, "One").await;
    let before = directory.tenant(&caller).await.expect("found");
    let edit = TenantEdit { min_password_chars: FieldUpdate::Set(16), ..TenantEdit::default() };
    let changed = directory.update_tenant(&caller, edit).await.expect("changed").tenant.expect("it");
    assert_eq!(changed.settings.min_password_chars, 16);
    assert_eq!(directory.tenant(&caller).await, Ok(changed.clone()));
    let bad = TenantEdit { min_password_chars: FieldUpdate::Set(3), ..TenantEdit::default() };
    assert!(matches!(directory.update_tenant(&caller, bad).await, Err(DirectoryError::Invalid(_))));
    let stale = Change::new(
        caller.tenant,
        before.created,
        "test",
        vec![Mutation::ChangeTenant { before: Box::new(before), after: Box::new(changed.clone()) }],
    );
    assert_eq!(store.commit(stale).await.err(), Some(CommitError::Stale));
    let nobody = Caller::operator(directory::TenantNumber(9));
    assert_eq!(directory.update_tenant(&nobody, TenantEdit::default()).await, Err(DirectoryError::NoSuchTenant));
}

async fn chain(store: Arc<dyn Store>) {
    let directory = fakes::directory(Arc::clone(&store));
    let (one, two) = (create_tenant(&directory, "One").await, create_tenant(&directory, "Two").await);
    for n in 0..20 {
        create_user(&directory, &one, &format!("{n}@x.y"), n % 3 == 0).await;
        create_user(&directory, &two, &format!("{n}@x.y"), false).await;
        // A rejected change leaves no gap in the chain.
        let conflict = directory.run(&one, Command::CreateUser(new_user("0@x.y"))).await;
        assert!(conflict.is_err());
    }
    let all = directory.events(&Caller::installation(), EventPosition(0), 1000).await.expect("read");
    for caller in [&one, &two] {
        let mut alone = directory.verify_chain(caller).await.expect("read");
        let chain = alone.remove(&caller.tenant).expect("events");
        assert_eq!(
            (alone.len(), directory.verify_chain(&Caller::installation()).await.expect("read").get(&caller.tenant)),
            (0, Some(&chain))
        );
        let mine = all.iter().filter(|event| event.data.tenant == caller.tenant);
        assert_eq!((chain.broken_at, chain.unchained_events, chain.verified_events), (None, 0, mine.count() as u64));
    }
}
