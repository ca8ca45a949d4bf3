//! Events keep the names of what they refer to.

use crate::actors::Fixture;
use directory::{
    Command, EntitySnapshot, Event, EventFilter, EventLabels, EventPosition, FieldUpdate, FolderEdit, GroupEdit,
    ItemId, ItemKey, ItemKind, MemberEdit, OrganizationRef, RoleRef, Store, UserEdit, UserKey,
};
use std::future::Future;
use testkit::conformance::new_user;

fn block_on<T>(task: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
}

async fn run(fixture: &Fixture, command: Command) -> directory::Receipt {
    fixture.directory.run(&fixture.operator, command).await.expect("carried out")
}

async fn newest_event(fixture: &Fixture) -> Event {
    let events = fixture.store.events(EventFilter::default(), EventPosition(0), 1_000).await.expect("read");
    events.into_iter().next_back().expect("an event")
}

async fn newest_labels(fixture: &Fixture) -> EventLabels {
    newest_event(fixture).await.data.labels
}

fn names(labels: &EventLabels) -> Vec<&str> {
    let mut names: Vec<&str> = labels.names.values().map(String::as_str).collect();
    names.sort_unstable();
    names
}

fn named_group(name: &str) -> GroupEdit {
    GroupEdit { name: FieldUpdate::Set(name.into()), ..GroupEdit::default() }
}

async fn add_group(fixture: &Fixture, name: &str) -> ItemId {
    run(fixture, Command::CreateGroup(named_group(name))).await.items[0].id()
}

fn groups_of(ids: &[ItemId]) -> UserEdit {
    let keys = ids.iter().map(|id| ItemKey::Id(*id)).collect();
    UserEdit { groups: FieldUpdate::Set(keys), ..UserEdit::default() }
}

fn update_ann(fixture: &Fixture, edit: UserEdit) -> Command {
    Command::UpdateUser { user: UserKey::Id(fixture.ann.id), edit: Box::new(edit) }
}

#[test]
fn events_of_users_name_what_was_added_and_removed() {
    block_on(async {
        let fixture = Fixture::new().await;
        let (sales, support) = (add_group(&fixture, "Sales").await, add_group(&fixture, "Support").await);
        let mut new = new_user("cid@example.com");
        new.groups = groups_of(&[sales]).groups;
        new.organization = FieldUpdate::Set(OrganizationRef { name: Some("Org".into()), ..OrganizationRef::default() });
        let cid = run(&fixture, Command::CreateUser(new)).await.users.remove(0);
        assert_eq!(names(&newest_labels(&fixture).await), ["Org", "Sales"]);

        run(&fixture, Command::UpdateUser { user: UserKey::Id(cid.id), edit: Box::new(groups_of(&[sales, support])) })
            .await;
        assert_eq!(names(&newest_labels(&fixture).await), ["Support"], "what stays needs no name");
        run(&fixture, Command::UpdateUser { user: UserKey::Id(cid.id), edit: Box::new(groups_of(&[support])) }).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["Sales"]);

        run(&fixture, Command::AddRole { name: "Auditor".into(), rank: 1 }).await;
        let role = UserEdit { role: FieldUpdate::Set(RoleRef::Name("Auditor".into())), ..UserEdit::default() };
        run(&fixture, update_ann(&fixture, role)).await;
        assert_eq!(newest_labels(&fixture).await.roles.into_values().collect::<Vec<_>>(), ["Auditor"]);
        let mut managed = UserEdit::default();
        managed.set_text(directory::Field::Manager, FieldUpdate::Set(cid.id.to_string()));
        run(&fixture, update_ann(&fixture, managed)).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["cid@example.com"]);

        // Later names do not replace those in the history.
        let rename = Command::UpdateGroup { group: ItemKey::Id(support), edit: named_group("Helpdesk") };
        run(&fixture, rename).await;
        assert!(newest_labels(&fixture).await.is_empty());
        run(&fixture, Command::DeleteUser(UserKey::Id(cid.id))).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["Helpdesk", "Org"]);
        run(&fixture, Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Id(support) }).await;
        let history =
            fixture.directory.user_history(&fixture.operator, cid.id, EventPosition(0)).await.expect("read").0;
        let labels: Vec<_> = history.iter().map(|event| names(&event.data.labels)).collect();
        assert_eq!(labels, [vec!["Org", "Sales"], vec!["Support"], vec!["Sales"], vec!["Helpdesk", "Org"]]);
        run(&fixture, Command::RestoreUser(UserKey::Id(cid.id))).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["Org"], "the group no longer exists");
    });
}

#[test]
fn events_of_groups_name_at_most_100_members() {
    block_on(async {
        let fixture = Fixture::new().await;
        let mut users = Vec::new();
        for n in 0..120 {
            users.extend(run(&fixture, Command::CreateUser(new_user(&format!("u{n}@example.com")))).await.users);
        }
        let group = add_group(&fixture, "All").await;
        let change = |members| {
            let edit = GroupEdit { members: Some(members), ..GroupEdit::default() };
            Command::UpdateGroup { group: ItemKey::Id(group), edit }
        };
        let keys = |count: usize| users[..count].iter().map(|user| UserKey::Id(user.id)).collect::<Vec<_>>();
        run(&fixture, change(MemberEdit::Change { add: keys(2), remove: Vec::new() })).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["u0@example.com", "u1@example.com"]);
        run(&fixture, change(MemberEdit::Replace(keys(1)))).await;
        assert_eq!(names(&newest_labels(&fixture).await), ["u1@example.com"]);
        run(&fixture, change(MemberEdit::Replace(keys(120)))).await;
        let event = newest_event(&fixture).await.data;
        assert_eq!((event.members_added.len(), event.labels.names.len()), (119, 100));
        let folder = FolderEdit { restricted_to: FieldUpdate::Set(group), ..FolderEdit::default() };
        let folder = FolderEdit { name: FieldUpdate::Set("Plans".into()), ..folder };
        run(&fixture, Command::CreateFolder(folder)).await;
        let EventLabels { names: labels, .. } = newest_labels(&fixture).await;
        assert_eq!(labels.get(&group.0).map(String::as_str), Some("All"));
        assert!(matches!(newest_event(&fixture).await.data.after, Some(EntitySnapshot::Item(_))));
    });
}

#[test]
fn names_of_another_tenant_are_never_kept() {
    block_on(async {
        let fixture = Fixture::new().await;
        let other = testkit::conformance::create_tenant(&fixture.directory, "Two").await;
        let stranger = fixture.directory.run(&other, Command::CreateUser(new_user("stranger@example.com"))).await;
        let stranger = stranger.expect("a user").users.remove(0);
        let mut managed = UserEdit::default();
        managed.set_text(directory::Field::Manager, FieldUpdate::Set(stranger.id.to_string()));
        run(&fixture, update_ann(&fixture, managed)).await;
        assert!(newest_labels(&fixture).await.is_empty());
    });
}
