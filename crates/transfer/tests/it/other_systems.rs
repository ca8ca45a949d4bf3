//! Files in the formats of other systems (`tests/files/other-systems`), and what is ignored in them.

use crate::fixture::Fixture;
use directory::{ExposeSecret, Field, ItemKind, Status, User, UserKey};
use std::path::{Path, PathBuf};
use transfer::ignored::{IgnoredPart, IgnoredReason};
use transfer::import::ImportReport;

pub(crate) struct Imported {
    pub(crate) fixture: Fixture,
    pub(crate) report: ImportReport,
}

/// Imports a file after a dry run, which must have the same report.
fn import(name: &str) -> Imported {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files/other-systems").join(name);
    let fixture = Fixture::new("sqlite");
    import_into(fixture, &path)
}

pub(crate) fn import_text(name: &str, text: &str) -> Imported {
    let fixture = Fixture::new("sqlite");
    let path = fixture.file(name, text);
    import_into(fixture, &path)
}

fn import_into(fixture: Fixture, path: &Path) -> Imported {
    let preview = fixture.import_with(path, |options| options.dry_run = true);
    let mut preview = preview.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(fixture.users().len(), 0, "a dry run changes nothing");
    let report = fixture.import(path);
    // A dry run does not know that these items are the same as those in rows of users.
    preview.items = report.items;
    (preview.created_items, preview.created, preview.unchanged) =
        (report.created_items, report.created.clone(), report.unchanged.clone());
    assert_eq!(preview, report, "{}", path.display());
    Imported { fixture, report }
}

impl Imported {
    pub(crate) fn user(&self, login: &str) -> User {
        let key = UserKey::Login(login.into());
        self.fixture
            .block_on(self.fixture.directory.user(&self.fixture.caller, key))
            .unwrap_or_else(|_| panic!("{login}: {:?}", self.report))
    }

    fn status(&self, login: &str) -> Status {
        self.user(login).status
    }

    pub(crate) fn text(&self, login: &str, field: Field) -> String {
        self.user(login).text(field).unwrap_or_default().to_owned()
    }

    pub(crate) fn groups(&self, login: &str) -> Vec<String> {
        let all = self.fixture.items(ItemKind::Group);
        let mut names: Vec<String> = self
            .user(login)
            .groups
            .iter()
            .filter_map(|id| all.iter().find(|group| group.id() == *id).map(|group| group.name().to_owned()))
            .collect();
        names.sort_unstable();
        names
    }

    fn ignored_count(&self, part: IgnoredPart, name: &str, reason: IgnoredReason) -> u64 {
        let is_it = |one: &&transfer::ignored::Ignored| one.part == part && one.name == name && one.reason == reason;
        self.report.ignored.iter().find(is_it).map_or(0, |one| one.count)
    }

    fn assert_created(&self, many: u64) {
        let report = &self.report;
        assert_eq!((report.users.created, report.rejected_count()), (many, 0), "{report:?}");
        assert_eq!(self.fixture.users().len() as u64, many, "{report:?}");
    }

    /// The note on passwords that were not imported.
    fn password_note(&self) -> &str {
        self.report.notes.iter().find(|note| note.contains("not imported: too short")).map_or("", String::as_str)
    }

    fn passwords(&self) -> Vec<(String, String)> {
        let stored =
            self.fixture.block_on(self.fixture.directory.password_hashes(&self.fixture.caller, 1..=99)).expect("read");
        let people = self.fixture.users();
        let name = |number: u32| people.iter().find(|user| user.number == number).expect("there").user_name.clone();
        stored.iter().map(|(number, hash)| (name(*number), hash.0.expose_secret().to_owned())).collect()
    }
}

#[test]
fn templates_of_entra() {
    for name in ["entra_create.csv", "entra_create_old.csv"] {
        let got = import(name);
        got.assert_created(2);
        assert_eq!((got.status("ann@example.com"), got.status("bob@example.com")), (Status::Active, Status::Inactive));
        assert_eq!(got.text("ann@example.com", Field::DisplayName), "Ann Lee");
        assert_eq!(got.text("bob@example.com", Field::FamilyName), "Off");
        assert_eq!(got.passwords().len(), 2, "initial passwords are hashed");
    }
    let got = import("entra_create.csv");
    assert_eq!(got.text("ann@example.com", Field::Region), "WA");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "Usage location [usageLocation]", IgnoredReason::Unknown), 2);
    let got = import("entra_download.csv");
    got.assert_created(3);
    assert_eq!(got.status("svc@example.onmicrosoft.com"), Status::Inactive);
    let ann = got.user("ann@example.com");
    assert_eq!(ann.email(), Some("ann.lee@example.com"));
    assert_eq!(ann.id.to_string(), "6ea91a8d-e32e-41a1-b7bd-d2d185eed0e0");
    assert_eq!(got.text("ann@example.com", Field::Region), "WA");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "alternateEmailAddress", IgnoredReason::Unknown), 1);
}

#[test]
fn okta_and_its_missing_manager() {
    let got = import("okta.csv");
    got.assert_created(1);
    assert_eq!(got.text("ann@example.com", Field::Region), "WA", "not a status");
    assert_eq!(got.text("ann@example.com", Field::Manager), "");
    assert_eq!((got.report.missing_reference_count, got.report.is_complete()), (1, false));
    assert_eq!(got.report.missing_references.messages[0].message, "manager 'bob@example.com' not found");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "manager", IgnoredReason::Duplicate), 1);
}

#[test]
fn google_workspace() {
    let got = import("google.csv");
    got.assert_created(3);
    assert_eq!(got.status("bob@example.com"), Status::Suspended);
    assert_eq!(got.status("ann@example.com"), Status::Active);
    assert_eq!(got.user("cy@example.com").force_password_change, Some(true));
    assert_eq!(got.passwords().len(), 1, "asterisks are not a password");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "Password [Required]", IgnoredReason::Hidden), 2);
    assert_eq!(got.text("ann@example.com", Field::Manager), got.user("bob@example.com").id.to_string());
    // A password with a hash function is a hash.
    let got =
        import_text("p.csv", "Email Address,Password,Password Hash Function\na@x.y,{SSHA}abcd,SHA-1\nb@x.y,0123,MD5\n");
    assert_eq!(got.report.users.created + got.report.users.rejected, 2);
    assert!(got.passwords().iter().all(|(_, hash)| !hash.starts_with("plain$")), "{:?}", got.passwords());
}

#[test]
fn other_tables() {
    let got = import("m365_template.csv");
    got.assert_created(1);
    assert_eq!(got.text("chris@example.com", Field::PostalCode), "98052");
    assert_eq!(got.text("chris@example.com", Field::Country), "United States");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "Fax", IgnoredReason::Unknown), 1);

    let got = import("moodle.csv");
    got.assert_created(2);
    assert_eq!((got.status("ann"), got.status("bob")), (Status::Active, Status::Suspended));
    assert_eq!(
        (got.ignored_count(IgnoredPart::User, "deleted", IgnoredReason::Deleted), got.report.users.unchanged),
        (1, 1)
    );

    let got = import("gitlab.csv");
    got.assert_created(2);
    assert_eq!((got.status("ann"), got.status("bob")), (Status::Active, Status::Inactive));
    assert_eq!(got.text("ann", Field::GivenName), "Ann");
    assert_eq!(got.text("ann", Field::FormattedName), "Ann Lee");
    assert_eq!(got.text("ann", Field::Region), "");

    let got = import("wordpress.csv");
    got.assert_created(2);
    assert_eq!(got.user("ann").external_id.as_deref(), Some("1002"));
    assert!(got.password_note().starts_with("2 passwords"), "{:?}", got.report);
    assert_eq!(got.ignored_count(IgnoredPart::Column, "user_status", IgnoredReason::Numbers), 2);
    assert_eq!(got.ignored_count(IgnoredPart::Column, "role", IgnoredReason::UnknownRoles), 2);
    assert_eq!(got.ignored_count(IgnoredPart::Column, "user_url", IgnoredReason::OtherKind), 1);

    let got = import("nextcloud.csv");
    got.assert_created(2);
    assert_eq!(got.status("bob@example.com"), Status::Inactive);
    assert_eq!(got.groups("ann@example.com"), ["admin", "staff"]);

    let got = import("personio.csv");
    got.assert_created(2);
    assert_eq!((got.status("juergen@example.com"), got.status("eva@example.com")), (Status::Active, Status::Inactive));
    assert_eq!(got.report.missing_references.messages[0].message, "manager 'Bob Off' not found");
    assert_eq!(got.text("juergen@example.com", Field::City), "Dresden");
}

/// A manager may be given by name if only one user of the file has it.
#[test]
fn managers_by_name_and_behind_their_reports() {
    let got = import_text(
        "p.csv",
        "email,first name,last name,supervisor\na@x.y,Ann,Lee,Bob Off\nb@x.y,Bob,Off,c@x.y\nc@x.y,Cy,Two,\nd@x.y,Cy,Two,Cy Two\n",
    );
    got.assert_created(4);
    assert_eq!(got.text("a@x.y", Field::Manager), got.user("b@x.y").id.to_string());
    assert_eq!(got.text("b@x.y", Field::Manager), got.user("c@x.y").id.to_string());
    assert_eq!(
        got.report.missing_references.messages[0].message, "manager 'Cy Two' not found",
        "two users have this name"
    );
    assert_eq!(got.report.missing_reference_count, 1);
}

#[test]
fn active_directory() {
    for name in ["csvde.csv", "ldifde.ldf"] {
        let got = import(name);
        let many = if name == "csvde.csv" { 2 } else { 3 };
        got.assert_created(many);
        assert_eq!((got.status("alee"), got.status("boff")), (Status::Active, Status::Inactive), "{name}");
        assert_eq!(got.text("alee", Field::Manager), got.user("boff").id.to_string(), "{name}");
        assert_eq!(got.report.missing_reference_count, 0, "{name}");
    }
    let got = import("csvde.csv");
    assert_eq!(got.groups("alee"), ["Sales", "VPN Users"]);
    assert_eq!(got.ignored_count(IgnoredPart::Entry, "computer", IgnoredReason::NotImported), 1);
    let got = import("ldifde.ldf");
    assert_eq!(got.groups("alee"), ["Sales", "VPN, Users"]);
    assert_eq!(got.text("jgross", Field::FamilyName), "Groß");
    assert_eq!(got.ignored_count(IgnoredPart::Attribute, "proxyAddresses", IgnoredReason::Unknown), 2);
}

#[test]
fn ldap() {
    let got = import("slapcat.ldif");
    got.assert_created(2);
    assert_eq!(got.status("jsmith"), Status::Inactive, "permanently locked");
    assert_eq!(got.user("jsmith").emails.len(), 2);
    assert_eq!(got.text("jsmith", Field::Manager), got.user("mgarcia").id.to_string());
    assert_eq!((got.groups("jsmith"), got.groups("mgarcia")), (vec!["devs".into(), "ops".into()], vec!["ops".into()]));
    assert_eq!(got.passwords(), [("mgarcia".into(), "plain$Aa12345".into())], "clear text is hashed");
    assert_eq!(got.ignored_count(IgnoredPart::Attribute, "entryUUID", IgnoredReason::Unknown), 3);

    let got = import("ldif_groupfirst.ldif");
    assert_eq!(got.groups("alee"), ["G"]);
    let got = import("ldif_dnspace.ldif");
    assert_eq!(got.groups("alee"), ["G", "G2"]);
    let got = import("ldif_esc.ldif");
    assert_eq!(got.groups("ann"), ["Jürgen", "R&D + x", "VPN, Admins", "VPN, Users"]);
    assert_eq!(got.fixture.items(ItemKind::Group).len(), 4);
    assert_eq!(got.report.missing_reference_count, 1);
    import("ldif_pagedctrl.ldif").assert_created(1);

    let got = import("ldif_multi.ldif");
    got.assert_created(1);
    assert_eq!(got.text("ann", Field::GivenName), "Ann", "not the French one");
    for (name, reason) in [
        ("uid", IgnoredReason::FurtherValue),
        ("telephoneNumber", IgnoredReason::FurtherValue),
        ("givenName;lang-fr", IgnoredReason::Duplicate),
        ("jpegPhoto", IgnoredReason::Binary),
        ("userCertificate;binary", IgnoredReason::Binary),
    ] {
        assert_eq!(got.ignored_count(IgnoredPart::Attribute, name, reason), 1, "{name}");
    }
}

#[test]
fn passwords_of_every_scheme() {
    let got = import("ldif_pw.ldif");
    got.assert_created(16);
    let passwords = got.passwords();
    let clear: Vec<&str> =
        passwords.iter().filter(|(_, hash)| hash.starts_with("plain$")).map(|(name, _)| name.as_str()).collect();
    assert_eq!(clear, ["u6", "u7"], "{passwords:?}");
}

#[test]
fn two_entries_without_an_empty_line() {
    let fixture = Fixture::new("memory");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files/other-systems/ldif_twodn.ldif");
    let error = fixture.import_with(&path, |_| {}).expect_err("rejected");
    assert!(error.to_string().starts_with("row 7: a second dn"), "{error}");
    let path = path.with_file_name("ldifde_modify.ldf");
    let error = fixture.import_with(&path, |_| {}).expect_err("rejected");
    assert!(error.to_string().contains("'changetype: modify'"), "{error}");
    assert!(fixture.users().is_empty());
}

/// Files in URLs are never opened. Opening this one would block.
#[test]
fn urls_are_not_opened() {
    import("ldif_url.ldif").assert_created(2);
    let fixture = Fixture::new("memory");
    let pipe = fixture.folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("run");
    assert!(made.success());
    let text = format!(
        "dn: uid=a,dc=x\nobjectClass: person\nuid: a\nsn: A\njpegPhoto:< file://{0}\ndescription:< file://{0}\n",
        pipe.display()
    );
    let path = fixture.file("p.ldif", text);
    let got = import_into(fixture, &path);
    got.assert_created(1);
    assert_eq!(got.ignored_count(IgnoredPart::Attribute, "jpegPhoto", IgnoredReason::Url), 1);
    assert_eq!(got.ignored_count(IgnoredPart::Attribute, "description", IgnoredReason::Url), 1);
}

#[test]
fn blanks_and_blank_rows() {
    for name in ["spaces.csv", "nbsp.csv", "trailing_blank_rows.csv"] {
        let got = import(name);
        got.assert_created(if name == "nbsp.csv" { 2 } else { 1 });
        assert_eq!(got.text("ann@example.com", Field::GivenName), "Ann", "{name}");
        assert_eq!(got.text("ann@example.com", Field::FamilyName), "Lee", "{name}");
    }
    let got = import("german_1252.csv");
    assert_eq!(got.text("juergen@example.com", Field::FamilyName), "Groß");
    assert_eq!(got.ignored_count(IgnoredPart::Column, "Anmerkung", IgnoredReason::Unknown), 2);
}

#[test]
fn workbooks() {
    let got = import("x_multi.xlsx");
    got.assert_created(1);
    assert_eq!(got.ignored_count(IgnoredPart::Sheet, "Read me", IgnoredReason::NotChosen), 1);
    let got = import("x_num.xlsx");
    got.assert_created(2);
    assert_eq!(got.text("ann@example.com", Field::EmployeeNumber), "0042");
    assert_eq!(got.text("ann@example.com", Field::PostalCode), "01067");
    assert_eq!(got.text("ann@example.com", Field::WorkPhone), "491712345678");
    assert_eq!(got.status("bob@example.com"), Status::Inactive);
}

#[test]
fn a_header_and_no_rows() {
    import("headeronly.csv").assert_created(0);
    let fixture = Fixture::new("memory");
    let error = fixture.import_with(&fixture.file("p.csv", "color,shape\n"), |_| {}).expect_err("rejected");
    assert!(error.to_string().starts_with("no column identifies users"), "{error}");
}

/// An unknown status is rejected with a hint; an unknown state is a region.
#[test]
fn states_of_accounts() {
    let got = import_text("p.csv", "email,status\na@x.y,Gesperrt\nb@x.y,gelöscht\n");
    assert_eq!(got.status("a@x.y"), Status::Inactive);
    assert_eq!(got.fixture.users().len(), 1, "deleted users are not created");
    let fixture = Fixture::new("memory");
    let report = fixture.import(&fixture.file("p.csv", "email,Status\na@x.y,Gold\n"));
    assert!(report.rejected.messages[0].message.contains("--map 'Status='"), "{report:?}");
    let got = import_text("p.csv", "email,state\na@x.y,active\nb@x.y,\nc@x.y,blocked\n");
    assert_eq!((got.status("c@x.y"), got.text("a@x.y", Field::Region)), (Status::Inactive, String::new()));
    let got = import_text("p.csv", "email,state\na@x.y,active\nb@x.y,WA\n");
    assert_eq!((got.text("a@x.y", Field::Region), got.text("b@x.y", Field::Region)), ("active".into(), "WA".into()));
    // Of several states, the most restrictive applies.
    let got = import_text("p.csv", "email,status,enabled,suspended\na@x.y,active,false,0\nb@x.y,active,true,1\n");
    assert_eq!((got.status("a@x.y"), got.status("b@x.y")), (Status::Inactive, Status::Suspended));
    let got =
        import_text("p.ndjson", "{\"email\":\"a@x.y\",\"suspended\":true}\n{\"email\":\"b@x.y\",\"archived\":true}\n");
    assert_eq!((got.status("a@x.y"), got.status("b@x.y")), (Status::Suspended, Status::Archived));
}

#[test]
fn a_state_beside_a_region_is_read_by_its_values() {
    for text in [
        "email,State,Region\na@x.y,active,Bavaria\nb@x.y,blocked,Hesse\n",
        "email,Region,State\na@x.y,Bavaria,active\nb@x.y,Hesse,blocked\n",
    ] {
        let got = import_text("p.csv", text);
        assert_eq!((got.status("a@x.y"), got.status("b@x.y")), (Status::Active, Status::Inactive));
        assert_eq!(got.text("b@x.y", Field::Region), "Hesse");
    }
    for text in ["email,State,Region\na@x.y,BY,Bavaria\n", "email,Region,State\na@x.y,Bavaria,BY\n"] {
        let got = import_text("p.csv", text);
        got.assert_created(1);
        assert_eq!(got.text("a@x.y", Field::Region), "Bavaria");
        assert_eq!(got.ignored_count(IgnoredPart::Column, "State", IgnoredReason::Duplicate), 1, "{:?}", got.report);
    }
    let got = import_text("p.csv", "email,State\na@x.y,active\nb@x.y,on holiday\n");
    assert!(got.report.notes.iter().any(|note| note.contains("--map 'State=status'")), "{:?}", got.report);
}

#[test]
fn status_words_of_other_languages_are_understood() {
    for (header, word, wanted) in [
        ("Konto deaktiviert", "ja", Status::Inactive),
        ("Anmeldung gesperrt", "ja", Status::Inactive),
        ("Deaktiviert am", "2020-01-31", Status::Inactive),
        ("Konto aktiviert", "nein", Status::Inactive),
        ("Account State", "Disabled", Status::Inactive),
        ("Estado", "Baja", Status::Inactive),
        ("Status", "beurlaubt", Status::Suspended),
    ] {
        let got = import_text("p.csv", &format!("Correo electrónico,{header}\na@x.y,{word}\n"));
        assert_eq!(got.status("a@x.y"), wanted, "{header}: {:?}", got.report);
    }
}

#[test]
fn messages_name_the_header_of_the_file() {
    let fixture = Fixture::new("sqlite");
    let rejected = fixture.folder.path().join("rejected.csv");
    let refused = Some(rejected.clone());
    let file = fixture.file("p.csv", "email,Konto-Status\na@x.y,perhaps\n");
    fixture.import_with(&file, |options| options.rejected_file = refused).expect("imported");
    let written = std::fs::read_to_string(&rejected).expect("written");
    assert!(written.contains("--map 'Konto-Status='"), "{written}");
}

#[test]
fn a_stored_hash_is_no_password() {
    let got = import_text("p.csv", "email,password\na@x.y,{SSHA}dGVzdHRlc3R0ZXN0dGVzdA==\nb@x.y,{brace} 123456\n");
    assert_eq!(got.passwords().len(), 1, "{:?}", got.password_note());
    assert!(got.password_note().contains("1 password was"), "{:?}", got.report);
    let short = "dn: uid=a,dc=x\nobjectClass: person\nuid: a\nsn: A\nuserPassword: abc\n";
    let got = import_text("p.ldif", short);
    got.assert_created(1);
    assert!(got.passwords().is_empty() && got.password_note().contains("1 password was"), "{:?}", got.report);
}

/// A missing reference is written as a row, which sets the reference once the user exists.
#[test]
fn missing_references_can_be_reimported() {
    for (name, text) in [
        ("p.csv", "kind,name,email,members,manager\ngroup,G,,a@x.y; b@x.y,\nuser,,a@x.y,,b@x.y\n"),
        (
            "p.ndjson",
            "{\"kind\":\"group\",\"name\":\"G\",\"members\":[\"a@x.y\",\"b@x.y\"]}\n{\"email\":\"a@x.y\",\"manager\":\"b@x.y\"}\n",
        ),
        (
            "p.ldif",
            "dn: cn=G\nobjectClass: groupOfNames\ncn: G\nmember: uid=a@x.y,dc=x\nmember: uid=b@x.y,dc=x\n\n\
             dn: uid=a@x.y,dc=x\nobjectClass: person\nuid: a@x.y\nsn: A\nmanager: uid=b@x.y,dc=x\n",
        ),
    ] {
        let fixture = Fixture::new("sqlite");
        let rejected = fixture.folder.path().join(name.replace("p.", "p.rejected."));
        let refused = Some(rejected.clone());
        let report = fixture.import_with(&fixture.file(name, text), |options| options.rejected_file = refused);
        let report = report.expect("imported");
        assert_eq!((report.missing_reference_count, report.rejected_count()), (2, 0), "{name} {report:?}");
        fixture.import(&fixture.file("b.csv", "user name,email\nb@x.y,b@x.y\n"));
        let report = fixture.import_with(&rejected, |options| options.update = true).expect("imported");
        assert!(report.is_complete(), "{name} {report:?}");
        let got = Imported { fixture, report };
        assert_eq!(got.text("a@x.y", Field::Manager), got.user("b@x.y").id.to_string(), "{name}");
        assert_eq!(got.groups("b@x.y"), ["G"], "{name}");
    }
}

/// Rejected rows are written unchanged, including ignored values, with the reason.
#[test]
fn rejected_rows_are_unchanged() {
    let ldif = "dn: uid=a,dc=x\nobjectClass: person\nuid: a\nsn:: w4Q=\nmail: no email\njpegPhoto:: /9j/4AAQ\n\
                description: folded\n  twice\nroomNumber;lang-de:  7 \n";
    let ndjson = "{\"email\" : \"no email\", \"name\": {\"givenName\": 1.50, \"x\": [1, {\"y\": null}]}}";
    for (name, text, wanted) in [
        ("p.csv", "email;first name;x\n no email ;' A; y\n", " no email ;' A; y;2;"),
        ("p.ndjson", ndjson, ndjson.strip_suffix('}').expect("an object")),
        ("p.ldif", ldif, ldif),
    ] {
        let fixture = Fixture::new("memory");
        let rejected = fixture.folder.path().join("rejected");
        let refused = Some(rejected.clone());
        let report = fixture.import_with(&fixture.file(name, text), |options| options.rejected_file = refused);
        assert_eq!(report.expect("imported").users.rejected, 1, "{name}");
        let written = std::fs::read_to_string(&rejected).expect("written");
        assert!(written.contains(wanted), "{name}: {written}");
        assert!(written.contains("is not a valid email address"), "the reason, {name}: {written}");
    }
}
