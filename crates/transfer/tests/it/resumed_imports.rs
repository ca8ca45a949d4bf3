//! Imports that are run again after an interruption.

use crate::fixture::{ENGINES, Fixture};
use directory::{
    Command, Field, FieldUpdate, GroupEdit, ItemKey, ItemKind, MemberEdit, RequestedStatus, Status, UserEdit, UserKey,
};
use transfer::import::ImportError;

/// Rows that were imported before the interruption are not imported twice.
#[test]
fn an_interrupted_import_resumes() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let row = |n: u32| format!("p{n}@x.y,\"G{}; all\"\n", n % 7);
        let rows = (0..500).map(row).collect::<Vec<_>>().concat();
        let file = fixture.file("p.csv", format!("email,groups\n{rows}"));
        let begun = fixture.directory.now();
        for stop in [50, 180, 400] {
            let mut options = transfer::import::ImportOptions::new(
                &file,
                transfer::Format::Csv,
                transfer::ColumnMapping::new(dialects::kit::field_aliases()),
            );
            options.request = "import p.csv".into();
            let found = transfer::import::scan(&options).expect("sound");
            let mut seen = 0;
            let mut go_on = |more| {
                seen += more;
                seen < stop
            };
            let done = fixture.block_on(transfer::import::run(
                &fixture.directory,
                &fixture.caller,
                &options,
                &found,
                &mut go_on,
            ));
            assert!(matches!(done, Err(ImportError::Canceled)));
        }
        // A resumed import counts the users it created before as created.
        let resumed = |options: &mut transfer::import::ImportOptions| {
            options.request = "import p.csv".into();
            options.first_started = Some(begun);
        };
        let report = fixture.import_with(&file, resumed).expect("imported");
        assert_eq!((report.users.created, report.users.unchanged), (500, 0), "{report:?}");
        let report = fixture.import(&file);
        assert_eq!(report.users.created + report.users.unchanged, 500);
        assert_eq!(report.users.unchanged, 500, "{report:?}");
        assert_eq!(fixture.users().len(), 500);
        assert_eq!(fixture.items(ItemKind::Group).len(), 8, "no duplicate groups");
        assert!(fixture.users().iter().all(|user| user.groups.len() == 2));
    }
}

/// A resumed import keeps the changes that others made after it started.
#[test]
fn a_resumed_import_keeps_newer_changes() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let name = |email: &str, name: &str| {
            let edit = UserEdit {
                texts: vec![(Field::DisplayName, FieldUpdate::Set(name.to_owned()))],
                ..UserEdit::default()
            };
            fixture.run(Command::UpdateUser { user: UserKey::Email(email.into()), edit: Box::new(edit) });
        };
        let before = fixture.file("before.csv", "email\na@x.y\nb@x.y\nc@x.y\nold@x.y\nback@x.y\n");
        fixture.import(&before);
        let begun = fixture.directory.now();
        let rows = "a@x.y,From the file\nb@x.y,From the file\nc@x.y,From the file\nnew@x.y,From the file\n";
        let file = fixture.file("p.csv", format!("email,display name\n{rows}"));
        let with = |options: &mut transfer::import::ImportOptions| {
            options.update = true;
            options.deactivate_missing = true;
            options.deactivation_limit = 100;
            options.deactivate_despite_rejected_rows = true;
            options.first_started = Some(begun);
        };
        let report = fixture.import_with(&file, with).expect("imported");
        assert_eq!((report.users.created, report.users.changed, report.deactivated), (1, 3, 2));
        // The import finished, but its end was not recorded. Others make changes in the meantime.
        name("a@x.y", "Newer");
        fixture.run(Command::DeleteUser(UserKey::Email("new@x.y".into())));
        let active = UserEdit { status: FieldUpdate::Set(RequestedStatus::Active), ..UserEdit::default() };
        let user = UserKey::Email("back@x.y".into());
        fixture.run(Command::UpdateUser { user, edit: Box::new(active) });
        fixture.import(&fixture.file("later.csv", "email\nlater@x.y\n"));
        let report = fixture.import_with(&file, with).expect("imported");
        assert_eq!(
            (report.users.created, report.users.changed, report.users.rejected, report.deactivated),
            (0, 3, 1, 0),
            "{report:?}"
        );
        assert!(report.rejected.messages[0].message.contains("deleted after this import started"));
        let shown = |email: &str| fixture.user(email).text(Field::DisplayName).map(str::to_owned);
        assert_eq!(shown("a@x.y").as_deref(), Some("Newer"));
        assert_eq!(shown("b@x.y").as_deref(), Some("From the file"));
        assert_eq!(fixture.user("back@x.y").status, Status::Active);
        assert_eq!(fixture.user("later@x.y").status, Status::Active);
        assert_eq!(fixture.user("old@x.y").status, Status::Inactive);
        assert!(fixture.users().iter().all(|user| user.email() != Some("new@x.y")));
        // Users that others changed before their rows were executed are kept, too, and the report has a note.
        let begun = fixture.directory.now();
        name("b@x.y", "Newer");
        let with = |options: &mut transfer::import::ImportOptions| {
            options.update = true;
            options.request = "another".into();
            options.first_started = Some(begun);
        };
        let report = fixture.import_with(&file, with).expect("imported");
        assert_eq!(shown("b@x.y").as_deref(), Some("Newer"));
        assert!(report.notes.iter().any(|note| note.contains("1 user was changed by others")), "{report:?}");
    }
}

/// The same for memberships and groups that others change.
#[test]
fn a_resumed_import_keeps_newer_memberships_and_groups() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let users = "email,groups\na@x.y,Red\nb@x.y,Blue\nc@x.y,\n";
        let users = fixture.file("users.csv", users);
        let groups = fixture.file("groups.csv", "kind,name,members\ngroup,Red,a@x.y; c@x.y\ngroup,Green,\n");
        let update = |options: &mut transfer::import::ImportOptions| options.update = true;
        for file in [&users, &groups] {
            fixture.import_with(file, update).expect("imported");
        }
        let begun = fixture.directory.now();
        let resumed = |options: &mut transfer::import::ImportOptions| {
            options.update = true;
            options.request = "resumed".into();
            options.first_started = Some(begun);
        };
        let key = |name: &str| ItemKey::Name(name.into());
        let leave = ["a@x.y", "c@x.y"].map(|email| UserKey::Email(email.into())).to_vec();
        let members = Some(MemberEdit::Change { add: Vec::new(), remove: leave });
        let edit = GroupEdit { members, ..GroupEdit::default() };
        fixture.run(Command::UpdateGroup { group: key("Red"), edit });
        fixture.run(Command::DeleteItem { kind: ItemKind::Group, item: key("Blue") });
        fixture.run(Command::DeleteItem { kind: ItemKind::Group, item: key("Green") });
        let report = fixture.import_with(&users, resumed).expect("imported");
        let tally = report.users;
        assert_eq!((tally.changed, tally.unchanged, tally.rejected), (0, 2, 1), "{engine}: {report:?}");
        assert!(report.rejected.messages[0].message.contains("'Blue' was deleted after"), "{report:?}");
        let report = fixture.import_with(&groups, resumed).expect("imported");
        assert_eq!((report.items.unchanged, report.items.rejected), (1, 1), "{engine}: {report:?}");
        assert!(fixture.users().iter().all(|user| user.groups.is_empty()), "{engine}");
        let names: Vec<String> = fixture.items(ItemKind::Group).iter().map(|group| group.name().to_owned()).collect();
        assert_eq!(names, ["Red"], "{engine}");
    }
}

/// Users and groups that others created after the import started are kept, also where they replace deleted ones.
#[test]
fn a_resumed_import_keeps_what_others_created() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let before = fixture.file("before.csv", "email,groups\na@x.y,Red\n");
        fixture.import(&before);
        let begun = fixture.directory.now();
        fixture.run(Command::DeleteUser(UserKey::Email("a@x.y".into())));
        fixture.run(Command::DeleteItem { kind: ItemKind::Group, item: ItemKey::Name("red".into()) });
        let others = fixture.file("others.csv", "email,display name,groups\na@x.y,Newer,Red\n");
        fixture.import(&others);
        let file = fixture.file("p.csv", "email,display name,groups\na@x.y,From the file,\nb@x.y,B,RED\n");
        let with = |options: &mut transfer::import::ImportOptions| {
            options.update = true;
            options.request = "resumed".into();
            options.first_started = Some(begun);
        };
        let report = fixture.import_with(&file, with).expect("imported");
        let tally = report.users;
        assert_eq!((tally.created, tally.unchanged, tally.rejected), (1, 1, 0), "{engine}: {report:?}");
        assert_eq!(fixture.user("a@x.y").text(Field::DisplayName), Some("Newer"), "{engine}");
        assert_eq!(fixture.user("b@x.y").groups, fixture.user("a@x.y").groups, "{engine}");
    }
}

/// Managers are set when all rows are done, so a resumed import sets those of users it had created.
#[test]
fn a_resumed_import_sets_managers() {
    for updates in [false, true] {
        let fixture = Fixture::new("sqlite");
        let rows = (0..300).map(|n| format!("p{n}@x.y,last@x.y\n")).collect::<Vec<_>>().concat();
        let file = fixture.file("p.csv", format!("email,manager\n{rows}last@x.y,\n"));
        let begun = fixture.directory.now();
        let mut options = transfer::import::ImportOptions::new(
            &file,
            transfer::Format::Csv,
            transfer::ColumnMapping::new(dialects::kit::field_aliases()),
        );
        (options.request, options.update) = ("import p.csv".into(), updates);
        let found = transfer::import::scan(&options).expect("sound");
        let mut seen = 0;
        let mut go_on = |more| {
            seen += more;
            seen < 200
        };
        let done =
            fixture.block_on(transfer::import::run(&fixture.directory, &fixture.caller, &options, &found, &mut go_on));
        assert!(matches!(done, Err(ImportError::Canceled)));
        let some = fixture.users();
        assert!(some.len() >= 200 && some.iter().all(|user| user.text(Field::Manager).is_none()));
        let report = fixture
            .import_with(&file, |options| {
                (options.request, options.update) = ("import p.csv".into(), updates);
                options.first_started = Some(begun);
            })
            .expect("imported");
        assert!(report.is_complete(), "{report:?}");
        let without = fixture.users().iter().filter(|user| user.text(Field::Manager).is_none()).count();
        assert_eq!(without, 1, "only the last user has no manager; updates: {updates}");
    }
}
