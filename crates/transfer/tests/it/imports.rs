//! Outcomes of imports: created, changed, unchanged and rejected rows, and deactivated users.

use crate::fixture::{ENGINES, Fixture};
use directory::{ExposeSecret, Field, ItemKind, Status};
use transfer::import::{ImportError, MatchKey};

const THREE_USERS: &str = "id,external id,e-mail,first name,groups,status\n\
    ,x1,ann@x.y,Ann,Sales; \"R; D\",active\n\
    ,x2,bob@x.y,Bob,Sales,suspended\n\
    ,,carl@x.y,Carl,,\n";

#[test]
fn rows_create_change_and_keep_users() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let file = fixture.file("p.csv", THREE_USERS);
        let looked = fixture.import_with(&file, |options| options.dry_run = true).expect("a dry run");
        assert_eq!((looked.users.created, looked.created_items), (3, 2));
        assert_eq!(fixture.users().len(), 0, "a dry run changes nothing");
        let report = fixture.import(&file);
        assert_eq!((report.users.created, report.created_items, report.created.ranges.clone()), (3, 2, vec![(2, 4)]));
        assert_eq!(looked, report, "the dry run has the same report");
        let ann = fixture.user("ann@x.y");
        assert_eq!((ann.status, ann.groups.len()), (Status::Active, 2));
        assert_eq!(fixture.user("bob@x.y").status, Status::Suspended);
        assert_eq!(fixture.user("carl@x.y").status, Status::Active);

        // Users are matched by external id, and the email changes. Without `update`, existing users are unchanged.
        let file = fixture.file("q.csv", "external id,e-mail,first name\nx1,anna@x.y,\nx2,bob@x.y,Bob\n,new@x.y,New\n");
        let left = fixture.import(&file);
        assert_eq!((left.users.unchanged, left.users.created), (2, 1));
        let looked =
            fixture.import_with(&file, |options| (options.update, options.dry_run) = (true, true)).expect("a dry run");
        assert_eq!((looked.users.changed, looked.users.unchanged), (1, 2));
        assert_eq!(looked.changed.messages[0].message, "userName, email");
        let report = fixture.import_with(&file, |options| options.update = true).expect("imported");
        assert_eq!((report.users.changed, report.users.unchanged), (1, 2));
        let anna = fixture.user("anna@x.y");
        assert_eq!((anna.id, anna.name.given.as_deref()), (ann.id, Some("Ann")), "an empty cell keeps the value");
        fixture
            .import_with(&file, |options| (options.update, options.read_options.empty_clears) = (true, true))
            .expect("imported");
        assert_eq!(fixture.user("anna@x.y").name.given, None, "with `empty_clears`, it clears the value");
    }
}

#[test]
fn rejected_rows_have_reasons_and_can_be_reimported() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        fixture.import(&fixture.file("first.csv", "e-mail,user name\nann@x.y,ann\n"));
        let file = fixture.file(
            "p.csv",
            "E-Mail,First,Role,User Name,Password Hash,Note\n\
            no e-mail,A,,,,n1\n\
            bob@x.y,B,No such role,,,n2\n\
            carl@x.y,C,,,md5$abc,n3\n\
            dora@x.y,D,,ANN@x.y,,n4\n\
            eve@x.y,E,,,,n5\n\
            EVE@x.y,F,,,,n6\n\
            ,G,,,,n7\n",
        );
        let path = fixture.folder.path().join("refused.csv");
        let configure = |is_preview| {
            let path = path.clone();
            move |options: &mut transfer::import::ImportOptions| {
                options.rejected_file = Some(path);
                options.dry_run = is_preview;
                options.match_by = vec![MatchKey::Email];
            }
        };
        let looked = fixture.import_with(&file, configure(true)).expect("a dry run");
        let report = fixture.import_with(&file, configure(false)).expect("imported");
        let reasons = |report: &transfer::import::ImportReport| {
            report.rejected.messages.iter().map(|line| (line.row, line.message.clone())).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&looked), reasons(&report), "the dry run has the same report");
        let wanted = [
            (2, "'E-Mail' is not a valid email address"),
            (3, "'Role' refers to something that does not exist"),
            (4, "'Password Hash' has an invalid format"),
            (5, "'User Name' is already in use"),
            (7, "same email as row 6"),
            (8, "'E-Mail' is required"),
        ];
        for (row, what) in wanted {
            assert!(reasons(&report).contains(&(row, what.to_owned())), "{row}: {:?}", reasons(&report));
        }
        assert_eq!(report.users.created, 1);
        // Dora has Ann's user name, but is not matched to Ann.
        assert_eq!((report.users.unchanged, report.users.rejected), (0, 6));
        assert_eq!(report.rejected.messages.len(), 6);
        let text = std::fs::read_to_string(&path).expect("written");
        assert!(
            text.starts_with("E-Mail,First,Role,User Name,Password Hash,Note,importRow,importReason\r\n"),
            "{text}"
        );
        assert!(text.contains("bob@x.y,B,No such role,,,n2,3,'Role' refers to something"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "the file contains personal data");
        }
        // The corrected file can be imported.
        let corrected = text
            .replace("no e-mail", "a@x.y")
            .replace("No such role", "Admin")
            .replace("md5$abc", "plain$password")
            .replace("ANN@x.y", "dora")
            .replace("EVE@x.y", "f@x.y")
            .replace(",G,", "g@x.y,G,");
        let again = fixture.import(&fixture.file("fixed.csv", corrected));
        assert_eq!((again.users.created, again.rejected_count()), (6, 0), "{again:?}");
        assert_eq!(fixture.user("bob@x.y").role, Some(3));
    }
}

/// Rejected rows of every format can be imported again repeatedly, and keep their kinds.
#[test]
fn rejected_rows_keep_their_format() {
    let fixture = Fixture::new("memory");
    fixture.import(&fixture.file("p.csv", THREE_USERS));
    let restricted = "kind,name,id,restrictedTo\n\
        group,Board,00000000-0000-4000-8000-000000000001,\nfolder,Minutes,,Board\nfolder,'=SUM(A1),,\n";
    fixture.import(&fixture.file("f.csv", restricted));
    for format in transfer::Format::ALL {
        let kinds = [transfer::column::RecordKind::User, transfer::column::RecordKind::Item(ItemKind::Folder)];
        let out = fixture.export_only(format, false, &kinds);
        let other = Fixture::new("memory");
        // Other users sign in with these emails, and the group of the folder does not exist.
        other.import(&other.file("taken.csv", "user name,e-mail\nann@x.y,1@x.y\nbob@x.y,2@x.y\ncarl@x.y,3@x.y\n"));
        let mut file = out;
        for round in 1..4 {
            let path = other.folder.path().join(format!("refused{round}.{}", format.as_str()));
            let refused = path.clone();
            let report = other.import_with(&file, |options| {
                options.rejected_file = Some(refused);
                options.match_by = vec![MatchKey::Id];
            });
            let report = report.unwrap_or_else(|error| panic!("{format:?}, round {round}: {error}"));
            assert_eq!((report.users.rejected, report.items.rejected), (3, 1), "{format:?} {report:?}");
            file = path;
        }
        let last = Fixture::new("memory");
        last.import(&last.file("g.csv", "kind,name,id\ngroup,Board,00000000-0000-4000-8000-000000000001\n"));
        let again = last.import(&file);
        assert_eq!((again.users.created, again.items.created), (3, 1), "{format:?} {again:?}");
        assert_eq!(last.items(ItemKind::Folder).len(), 1, "{format:?}");
    }
}

/// A sheet with the kind of its rows in a column of another name.
#[test]
fn rejected_rows_of_a_sheet_keep_its_columns() {
    let fixture = Fixture::new("memory");
    let path = fixture.folder.path().join("p.xlsx");
    let mut book = rust_xlsxwriter::Workbook::new();
    let sheet = book.add_worksheet();
    let rows = [["Object Type", "Name", "E-Mail"], ["group", "", ""], ["user", "", "nobody"], ["", "", "a@x.y"]];
    for (row, cells) in (0..).zip(rows) {
        for (column, cell) in (0..).zip(cells).filter(|(_, cell)| !cell.is_empty()) {
            sheet.write_string(row, column, cell).expect("written");
        }
    }
    book.save(&path).expect("saved");
    let mut file = path;
    for (round, created) in [(1, 1), (2, 0), (3, 0)] {
        let refused = fixture.folder.path().join(format!("refused{round}.xlsx"));
        let next = refused.clone();
        let report = fixture.import_with(&file, |options| options.rejected_file = Some(refused)).expect("imported");
        assert_eq!((report.users.created, report.users.rejected), (created, 1), "{round}: {report:?}");
        assert_eq!(report.items.rejected, 1, "{round}: {report:?}");
        file = next;
    }
}

/// Formulas in rejected rows are escaped, and imported unchanged.
#[test]
fn rejected_rows_run_no_formulas() {
    let fixture = Fixture::new("memory");
    let file = fixture.file("p.csv", "email,first name\nnobody,'=1+1\n");
    let path = fixture.folder.path().join("refused.csv");
    let refused = path.clone();
    fixture.import_with(&file, |options| options.rejected_file = Some(refused)).expect("imported");
    let text = std::fs::read_to_string(&path).expect("written");
    assert!(text.contains("nobody,'=1+1,2,"), "{text}");
    fixture.import(&fixture.file("fixed.csv", text.replace("nobody", "a@x.y")));
    assert_eq!(fixture.user("a@x.y").name.given.as_deref(), Some("=1+1"));
}

/// A row is not matched to a user by an email that belonged to another user.
#[test]
fn users_are_not_confused() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        fixture.import(&fixture.file("p.csv", "external id,email,user name\nE1,ann@x.y,ann\nE2,bob@x.y,bob\n"));
        let file = fixture.file("q.csv", "external id,email,first name\nE9,ann@x.y,Other\nE2,,Bob\n");
        let update = |options: &mut transfer::import::ImportOptions| options.update = true;
        let report = fixture.import_with(&file, update).expect("imported");
        assert_eq!((report.users.rejected, report.users.changed), (1, 1), "{report:?}");
        assert!(report.rejected.messages[0].message.starts_with("'email' belongs to a user with another external id"));
        assert_eq!(fixture.user("ann@x.y").external_id.as_deref(), Some("E1"));
        let report = fixture
            .import_with(&file, |options| (options.update, options.match_by) = (true, vec![MatchKey::Email]))
            .expect("imported");
        assert_eq!(report.users.rejected, 1, "the row of E2 has no email");
        assert_eq!(fixture.user("ann@x.y").external_id.as_deref(), Some("E9"), "matched by email as requested");
        // Two rows match the same user by different keys.
        let file = fixture.file("r.csv", "external id,email,first name\nE2,new@x.y,Once\n,bob@x.y,Twice\n");
        let report = fixture.import_with(&file, update).expect("imported");
        assert_eq!((report.users.changed, report.users.rejected), (1, 1), "{report:?}");
        assert_eq!(report.rejected.messages[0].message, "matches the same user as an earlier row");
        assert_eq!(fixture.user("new@x.y").name.given.as_deref(), Some("Once"));
    }
}

/// A file that changes between scan and import is an error, and no users are deactivated.
#[test]
fn a_file_that_changes_is_an_error() {
    let fixture = Fixture::new("sqlite");
    let all = (0..40).map(|n| format!("p{n}@x.y\n")).collect::<Vec<_>>();
    let file = fixture.file("all.csv", format!("email\n{}", all.concat()));
    fixture.import(&file);
    let mut options = transfer::import::ImportOptions::new(
        &file,
        transfer::Format::Csv,
        transfer::ColumnMapping::new(dialects::kit::field_aliases()),
    );
    options.deactivate_missing = true;
    let found = transfer::import::scan(&options).expect("sound");
    let (path, mut passed) = (file.clone(), 0);
    let mut seen = |more| {
        passed += more;
        // The dry run is over once rows are finished.
        if passed == 1 {
            std::fs::write(&path, format!("email\n{}", all[..5].concat())).expect("written");
        }
        true
    };
    let run = transfer::import::run(&fixture.directory, &fixture.caller, &options, &found, &mut seen);
    let ended = fixture.block_on(run);
    assert!(matches!(ended, Err(ImportError::FileChanged { expected: 40, .. })), "{ended:?}");
    assert_eq!(fixture.user("p39@x.y").status, Status::Active);
    let file = fixture.file("five.csv", format!("email\n{}", five_users(&fixture)));
    assert!(matches!(
        fixture.import_with(&file, |options| options.deactivate_missing = true),
        Err(ImportError::TooManyMissing { .. })
    ));
}

fn five_users(fixture: &Fixture) -> String {
    fixture.users().iter().take(5).map(|user| user.user_name.clone() + "\n").collect()
}

#[test]
fn missing_users_are_deactivated_up_to_the_limit() {
    for engine in ENGINES {
        let fixture = Fixture::new(engine);
        let row = |n: u32| format!("p{n}@x.y\n");
        let all = |many: u32| {
            let rows = (0..many).map(row).collect::<Vec<_>>().concat();
            fixture.file("all.csv", format!("email\n{rows}"))
        };
        fixture.import(&all(40));
        let missing = |options: &mut transfer::import::ImportOptions| options.deactivate_missing = true;
        // The limit is a tenth: four of forty.
        let events = fixture.event_count();
        match fixture.import_with(&all(35), missing) {
            Err(ImportError::TooManyMissing { missing: 5, total: 40, limit: 10 }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(fixture.event_count(), events, "no changes");
        let report = fixture.import_with(&all(36), missing).expect("imported");
        assert_eq!((report.deactivated, report.users.unchanged), (4, 36));
        assert_eq!(fixture.user("p38@x.y").status, Status::Inactive);
        let report = fixture
            .import_with(&all(10), |options| {
                options.deactivate_missing = true;
                options.deactivation_limit = 75;
            })
            .expect("imported");
        assert_eq!(report.deactivated, 26);
        // A rejected row may belong to any user.
        let file = fixture.file("some.csv", "email\np0@x.y\nno e-mail\n");
        let report = fixture.import_with(&file, |options| options.deactivate_missing = true);
        assert!(matches!(report, Err(ImportError::TooManyMissing { .. })), "{report:?}");
        let rows = (0..10).map(row).collect::<Vec<_>>().concat();
        let file = fixture.file("some.csv", format!("email\n{rows}no e-mail\n"));
        let report = fixture.import_with(&file, missing).expect("imported");
        assert_eq!(report.deactivated, 0);
        // Users of rejected rows count as present, whichever key identifies them.
        let rows = (1..8).map(|n| format!("{},\n", row(n).trim())).collect::<Vec<_>>().concat();
        let file = fixture.file("some.csv", format!("email,status\np0@x.y,perhaps\n{rows}p8@x.y,off and on\n"));
        let report = fixture
            .import_with(&file, |options| {
                options.deactivate_missing = true;
                options.deactivate_despite_rejected_rows = true;
            })
            .expect("imported");
        assert_eq!((report.users.rejected, report.deactivated), (2, 1), "{report:?}");
        assert_eq!(fixture.user("p0@x.y").status, Status::Active);
        assert_eq!(fixture.user("p8@x.y").status, Status::Active);
        assert_eq!(fixture.user("p9@x.y").status, Status::Inactive);
        // A file without users would deactivate all users.
        let none = fixture.file("none.csv", "email\n");
        let error = fixture.import_with(&none, missing).expect_err("rejected");
        assert!(error.to_string().contains("contains no user"), "{error}");
        assert_eq!(fixture.import(&none).users.created, 0);
        let deleted = fixture.file("deleted.csv", "email,deleted\nzz@x.y,yes\n");
        let error = fixture.import_with(&deleted, missing).expect_err("rejected");
        assert!(error.to_string().contains("contains no user"), "{error}");
    }
}

#[test]
fn passwords_are_imported() {
    let fixture = Fixture::new("sqlite");
    let file =
        fixture.file("p.csv", "email,password,password hash\na@x.y,long enough,\nb@x.y,,plain$stored\nc@x.y,short,\n");
    let report = fixture.import(&file);
    assert_eq!((report.users.created, report.users.rejected), (2, 1));
    let stored = fixture.block_on(fixture.directory.password_hashes(&fixture.caller, 1..=9)).expect("read");
    let stored: Vec<&str> = stored.iter().map(|(_, stored)| stored.0.expose_secret()).collect();
    assert_eq!(stored, ["plain$long enough", "plain$stored"]);
    assert!(!format!("{report:?}").contains("long enough"));
    // Importing the same hash again changes nothing and ends no sessions.
    let version = fixture.user("b@x.y").version;
    let file = fixture.file("q.csv", "email,password hash\nb@x.y,plain$stored\n");
    let report = fixture.import_with(&file, |options| options.update = true).expect("imported");
    assert_eq!((report.users.unchanged, fixture.user("b@x.y").version), (1, version));
}

#[test]
fn headers_can_be_mapped() {
    let fixture = Fixture::new("memory");
    let file = fixture.file("p.csv", "Who,Mail,Remark,First\nw1,a@x.y,r,A\n");
    let report = fixture.import_with(&file, |options| {
        options.column_mapping.map_header("Who", "externalId").expect("a column");
        options.column_mapping.map_header("First", "").expect("none");
        assert!(options.column_mapping.map_header("Who", "no such column").is_err());
    });
    assert_eq!(report.expect("imported").users.created, 1);
    let user = fixture.user("a@x.y");
    assert_eq!((user.external_id.as_deref(), user.text(Field::GivenName)), (Some("w1"), None));
}
