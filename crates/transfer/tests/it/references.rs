//! References of rows: members of groups, groups of users, and managers.

use crate::fixture::Fixture;
use crate::other_systems::import_text;
use directory::{Field, ItemKind};
use transfer::Format;

/// LDIF entries of users with these logins and organizational units.
fn ldif_users(names: &[(&str, &str)]) -> String {
    let user = |(login, ou): &(&str, &str)| {
        format!(
            "dn: uid={login},ou={ou},dc=x\nobjectClass: person\nuid: {login}\nsn: L\nmail: {login}@{ou}.example\n\n"
        )
    };
    names.iter().map(user).collect::<Vec<_>>().concat()
}

fn ldif_group(dn: &str, name: &str, members: &[&str]) -> String {
    let members: Vec<String> = members.iter().map(|member| format!("member: {member}\n")).collect();
    let members = members.concat();
    format!("dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
}

#[test]
fn distinguished_names_are_compared_in_full() {
    let text = ldif_users(&[("ann", "people"), ("staff", "people")])
        + &ldif_group("cn=staff,ou=groups,dc=x", "staff", &["uid=ann,ou=people,dc=x"])
        + &ldif_group("cn=all,ou=groups,dc=x", "all", &["cn=staff,ou=groups,dc=x", "uid=ann,ou=other,dc=x"]);
    let got = import_text("p.ldif", &text);
    assert_eq!((got.groups("ann"), got.groups("staff")), (vec!["staff".to_owned()], Vec::new()));
    assert_eq!(got.report.missing_reference_count, 2, "{:?}", got.report);
}

#[test]
fn references_to_rejected_entries_are_missing() {
    let text = ldif_users(&[("ann", "eu"), ("ann", "us")])
        + &ldif_group("cn=G,dc=x", "G", &["uid=ann,ou=us,dc=x"])
        + &ldif_group("cn=H,dc=x", "H", &["uid=ann,ou=eu,dc=x"]);
    let fixture = Fixture::new("sqlite");
    let report = fixture.import(&fixture.file("p.ldif", text));
    assert_eq!((report.users.rejected, report.missing_reference_count), (1, 1), "{report:?}");
    let members: Vec<usize> = fixture.users().iter().map(|user| user.groups.len()).collect();
    assert_eq!(members, [1], "{report:?}");
}

/// A reference that looks like Base64 or a distinguished name may be the key of a user.
#[test]
fn references_match_literally_first() {
    let text = "external id,email,manager\n\
                dGVzdDEyMzQ1Njc4OTA3Mw==,ann@x.example,\n\
                abc,bob@x.example,dGVzdDEyMzQ1Njc4OTA3Mw==\n\
                def,lists=bob@x.example,\n\
                ghi,cid@x.example,lists=bob@x.example\n";
    let got = import_text("p.csv", text);
    assert!(got.report.is_complete(), "{:?}", got.report);
    for (user, manager) in [("bob@x.example", "ann@x.example"), ("cid@x.example", "lists=bob@x.example")] {
        assert_eq!(got.text(user, Field::Manager), got.user(manager).id.to_string(), "{user}");
    }
}

#[test]
fn groups_with_the_same_name_stay_separate() {
    let (printers, domain) = ("cn=Admins,ou=printers,dc=x", "CN=Admins,ou=domain,dc=x");
    let of = |dn: &str, member: &str| ldif_group(dn, "Admins", &[&format!("uid={member},ou=p,dc=x")]);
    let groups = of(printers, "ann") + &of(domain, "bob");
    let plain = ldif_users(&[("ann", "p"), ("bob", "p")]);
    let naming = ldif_users(&[("ann", "p")]).trim_end().to_owned()
        + &format!("\nmemberOf: {printers}\n\n")
        + ldif_users(&[("bob", "p")]).trim_end()
        + &format!("\nmemberOf: {domain}\n\n");
    for text in [
        groups.clone() + &plain,
        plain + &groups,
        groups.clone() + &naming,
        naming.clone() + &groups,
        naming.clone() + &of(printers, "ann"),
        naming.clone(),
    ] {
        let got = import_text("p.ldif", &text);
        assert_eq!((got.groups("ann"), got.groups("bob")), (vec![printers.to_owned()], vec![domain.to_owned()]));
        assert_eq!(got.fixture.items(ItemKind::Group).len(), 2, "{text}");
        assert!(got.report.notes.iter().any(|note| note.contains("share one name")), "{:?}", got.report);
    }
}

#[test]
fn group_names_are_not_parsed_as_distinguished_names() {
    let fixture = Fixture::new("sqlite");
    fixture.import(
        &fixture.file("p.csv", "kind,name,email,groups\ngroup,\"CN=g,OU=z\",,\nuser,,a@x.y,\"\"\"CN=g,OU=z\"\"\"\n"),
    );
    let group =
        |fixture: &Fixture| fixture.items(ItemKind::Group).iter().map(|g| g.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(group(&fixture), ["CN=g,OU=z"]);
    assert_eq!(fixture.users()[0].groups.len(), 1);
    for format in [Format::Csv, Format::Ndjson, Format::Ldif, Format::Xlsx] {
        let file = fixture.export(format, false);
        let other = Fixture::new("sqlite");
        other.import(&file);
        assert_eq!(group(&other), ["CN=g,OU=z"], "{format:?}");
        assert_eq!(other.users()[0].groups.len(), 1, "{format:?}");
    }
}

#[test]
fn a_missing_reference_does_not_change_a_name() {
    let text = "email,Name,First Name,Last Name,manager\na@x.y,Ann Maria Lee,Ann,Maria Lee,b@x.y\n";
    let fixture = Fixture::new("sqlite");
    let rejected = fixture.folder.path().join("p.rejected.csv");
    let refused = Some(rejected.clone());
    fixture.import_with(&fixture.file("p.csv", text), |options| options.rejected_file = refused).expect("imported");
    fixture.import(&fixture.file("b.csv", "email\nb@x.y\n"));
    let report = fixture.import_with(&rejected, |options| options.update = true).expect("imported");
    assert!(report.is_complete(), "{report:?}");
    let user = fixture.users().into_iter().find(|user| user.email() == Some("a@x.y")).expect("a user");
    let texts = [Field::GivenName, Field::FamilyName, Field::FormattedName].map(|field| user.text(field));
    assert_eq!(texts, [Some("Ann"), Some("Maria Lee"), Some("Ann Maria Lee")]);
    assert!(user.text(Field::Manager).is_some());
}
