//! Files written by other programs (see `tests/files/README.md`).

use crate::fixture::Fixture;
use directory::{Field, ItemKind, User};
use std::path::PathBuf;
use transfer::formats::ReadOptions;

fn sample_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name)
}

fn text(user: &User, field: Field) -> &str {
    user.text(field).unwrap_or_default()
}

/// Asserts that the users of the samples were imported.
fn assert_users(fixture: &Fixture, many: u64, is_table: bool) {
    assert_eq!(fixture.users().len() as u64, many);
    let of = |email: &str| fixture.user(&format!("{email}@example.com"));
    let juergen = of("juergen");
    assert_eq!((text(&juergen, Field::GivenName), text(&juergen, Field::FamilyName)), ("Jürgen", "Größe"));
    assert_eq!(text(&juergen, Field::Title), "The \"boss\"");
    assert_eq!(text(&juergen, Field::PostalCode), "01067", "leading zeros are kept");
    assert_eq!(text(&juergen, Field::EmployeeNumber), "00042");
    assert_eq!(text(&juergen, Field::WorkPhone), "+49 30 1234");
    let zoe = of("zoe");
    assert_eq!(text(&zoe, Field::FamilyName), "Ångström");
    assert_eq!(text(&zoe, Field::Title), "Head of\nSales");
    assert_eq!(zoe.department.as_deref(), Some("=1+1"), "not a formula");
    let francois = of("francois");
    assert_eq!((text(&francois, Field::GivenName), text(&francois, Field::FamilyName)), ("François", "O'Neill"));
    assert_eq!(francois.department.as_deref(), Some("-R&D"));
    assert_eq!(text(&francois, Field::WorkPhone), "");
    assert_eq!(text(&of("john"), Field::FamilyName), "Smith, Jr.");
    assert_eq!(text(&of("anna"), Field::EmployeeNumber), "1234", "a number without a fraction");
    assert_eq!(of("max").department.as_deref(), Some("Straße & Bau"));
    // Cells of tables are trimmed. In LDIF, a leading blank is Base64-encoded, so it is part of the value.
    let blank = if is_table { "" } else { " " };
    assert_eq!(text(&of("max"), Field::Title), format!("{blank}Accountant"));
    if many == 7 {
        let avi = of("avi");
        assert_eq!((text(&avi, Field::GivenName), text(&avi, Field::FamilyName)), ("אבי 🙂", "כהן"));
        assert_eq!(text(&avi, Field::Title), "מנהל");
    }
}

fn group_names(fixture: &Fixture, email: &str) -> Vec<String> {
    let groups = fixture.items(ItemKind::Group);
    let user = fixture.user(&format!("{email}@example.com"));
    let name = |id| groups.iter().find(|group| group.id() == id).map(|group| group.name().to_owned());
    let mut names: Vec<String> = user.groups.iter().filter_map(|id| name(*id)).collect();
    names.sort_unstable();
    names
}

#[test]
fn tables_of_other_programs_are_imported() {
    for (name, many) in [
        ("people-libreoffice.xlsx", 7),
        ("people-libreoffice-formula.xlsx", 7),
        ("people-gnumeric.xlsx", 7),
        ("people-gnumeric.csv", 7),
        ("people-utf8-comma.csv", 7),
        ("people-utf8-bom-semicolon.csv", 7),
        ("people-utf16.txt", 7),
        ("people-windows-1252-semicolon.csv", 6),
    ] {
        let fixture = Fixture::new("sqlite");
        let report = fixture.import(&sample_path(name));
        assert_eq!((report.users.created, report.rejected_count()), (many, 0), "{name}: {report:?}");
        assert_users(&fixture, many, true);
        assert_eq!(group_names(&fixture, "juergen"), ["Sales", "Support"], "{name}");
        assert_eq!(group_names(&fixture, "max"), Vec::<String>::new(), "{name}");
        assert_eq!(report.created_items, 2, "{name}");
        // A second import changes nothing.
        let again = fixture.import_with(&sample_path(name), |options| options.update = true).expect("imported");
        assert_eq!((again.users.unchanged, again.users.changed), (many, 0), "{name}");
    }
}

#[test]
fn ldapsearch_output_is_imported() {
    for name in ["people-ldapsearch.ldif", "people-ldapsearch-plain.ldif"] {
        let fixture = Fixture::new("sqlite");
        let report = fixture.import(&sample_path(name));
        assert_eq!((report.users.created, report.rejected_count()), (7, 0), "{name}: {report:?}");
        assert_users(&fixture, 7, false);
        let john = fixture.user("john@example.com");
        let mails: Vec<&str> = john.emails.iter().map(|entry| entry.value.as_str()).collect();
        assert_eq!(mails, ["john@example.com", "john.smith@example.com"], "{name}");
        assert_eq!(john.user_name, "john");
        let bio = fixture.user("juergen@example.com").bio.expect("a folded description");
        assert!(bio.len() > 150 && !bio.contains('\n'), "{bio}");
        assert!(report.notes.iter().any(|note| note.starts_with("1 password was not imported")), "{:?}", report.notes);
        if name == "people-ldapsearch.ldif" {
            assert_eq!(report.items.created, 2);
            assert_eq!(group_names(&fixture, "juergen"), ["Sales", "Support"]);
            assert_eq!(group_names(&fixture, "zoe"), ["Sales"]);
            assert_eq!(group_names(&fixture, "max"), Vec::<String>::new());
        }
    }
}

#[test]
fn encodings_and_delimiters_can_be_specified() {
    let fixture = Fixture::new("memory");
    let text = "e-mail|first name\r\nann@x.y|Ζωή\r\n";
    let (bytes, ..) = encoding_rs::Encoding::for_label(b"windows-1253").expect("known").encode(text);
    let file = fixture.file("greek.csv", &bytes);
    let reading =
        ReadOptions { delimiter: Some(b'|'), encoding: Some("windows-1253".into()), ..ReadOptions::default() };
    fixture.import_with(&file, |options| options.read_options = reading).expect("imported");
    assert_eq!(fixture.user("ann@x.y").name.given.as_deref(), Some("Ζωή"));
    // UTF-16 without a byte order mark, as some databases write it.
    let wide: Vec<u8> = "email,first\nbob@x.y,Bob\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    fixture.import(&fixture.file("wide.csv", wide));
    assert_eq!(fixture.user("bob@x.y").name.given.as_deref(), Some("Bob"));
    let said = fixture.file("sep.csv", "sep=;\r\nemail;last\r\ncarl@x.y;Carl\r\n");
    fixture.import(&said);
    assert_eq!(fixture.user("carl@x.y").name.family.as_deref(), Some("Carl"));
}

/// One user per line, as in requests of the APIs.
#[test]
fn objects_of_every_dialect_are_imported() {
    let fixture = Fixture::new("memory");
    let lines = [
        r#"{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"scim@x.y","name":{"givenName":"S","familyName":"C"},"emails":[{"value":"scim@x.y","type":"work","primary":true}],"phoneNumbers":[{"value":"1","type":"work"}],"active":true,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D","employeeNumber":"7"},"groups":[{"value":"","display":"G"}]}"#,
        r#"{"Email":"onfire@x.y","FirstName":"O","LastName":"F","WebsiteRole":"Admin","ExternalId":"e1","Metadata":[{"Key":"k","Value":"v"}]}"#,
        r#"{"user":{"email":"publisher@x.y","name":{"firstname":"P","lastname":"B"},"externalid":"e2"}}"#,
        r#"{"email":"ccs@x.y","firstname":"C","lastname":"S"}"#,
    ];
    // An empty value names no group.
    let report = fixture.import(&fixture.file("all.ndjson", lines.join("\n").replace(r#""value":"","#, "")));
    assert_eq!((report.users.created, report.rejected_count()), (4, 0), "{report:?}");
    let scim = fixture.user("scim@x.y");
    assert_eq!((scim.name.given.as_deref(), scim.department.as_deref()), (Some("S"), Some("D")));
    assert_eq!(scim.employment.employee_number.as_deref(), Some("7"));
    assert_eq!(scim.phones.len(), 1);
    let onfire = fixture.user("onfire@x.y");
    assert_eq!((onfire.name.family.as_deref(), onfire.role), (Some("F"), Some(3)));
    assert_eq!(onfire.external_id.as_deref(), Some("e1"));
    assert_eq!(fixture.user("publisher@x.y").name.given.as_deref(), Some("P"));
    assert_eq!(fixture.user("ccs@x.y").name.family.as_deref(), Some("S"));
}

/// Active Directory entries have redundant and irrelevant attributes.
#[test]
fn active_directory_entries_are_imported() {
    let fixture = Fixture::new("memory");
    let ldif = "dn: CN=Ann Lee,OU=People,DC=x,DC=y\nobjectClass: top\nobjectClass: person\n\
        objectClass: organizationalPerson\nobjectClass: user\ncn: Ann Lee\nsn: Lee\nsn;lang-de: Leh\ngivenName: Ann\n\
        sAMAccountName: alee\nuserPrincipalName: ann@example.com\nmail: ann@example.com\nc: DE\nco: Germany\ncountryCode: 276\n\
        memberOf: CN=Sales,OU=Groups,DC=x,DC=y\nuserPassword: {CRYPT}$6$abc$def\n\n\
        dn: CN=PC7,OU=Machines,DC=x,DC=y\nobjectClass: person\nobjectClass: user\nobjectClass: computer\ncn: PC7\n\
        sAMAccountName: PC7$\n\n\
        dn: CN=Sales,OU=Groups,DC=x,DC=y\nobjectClass: top\nobjectClass: group\ncn: Sales\nname: Sales\n\
        description: Those who sell\nsAMAccountName: Sales\nmember: CN=Ann Lee,OU=People,DC=x,DC=y\n";
    let report = fixture.import(&fixture.file("ad.ldif", ldif));
    assert_eq!((report.users.created, report.rejected_count()), (1, 0), "{report:?}");
    let ann = fixture.user("ann@example.com");
    assert_eq!((ann.user_name.as_str(), text(&ann, Field::FamilyName)), ("alee", "Lee"));
    assert_eq!(text(&ann, Field::Country), "DE");
    assert_eq!(group_names(&fixture, "ann"), ["Sales"]);
    assert_eq!(report.notes.len(), 1, "a note on the password: {:?}", report.notes);
}

/// The number of an entry is that of its first line.
#[test]
fn entries_are_identified_by_line_number() {
    let fixture = Fixture::new("memory");
    let ldif = "version: 1\n\ndn: cn=a\nobjectClass: person\nmail: nobody\n at all\n\ndn: cn=b\nobjectClass: person\n\
        mail: b@x.y\n\n";
    let report = fixture.import(&fixture.file("p.ldif", ldif));
    assert_eq!((report.rejected.messages[0].row, report.created.ranges.clone()), (3, vec![(8, 8)]), "{report:?}");
}
