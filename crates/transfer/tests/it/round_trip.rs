//! Exported data is imported unchanged: every field, with unusual texts, in every format, on both engines.

use crate::fixture::{ENGINES, Fixture};
use directory::{
    ATTRIBUTES, Address, Command, DepartmentRef, ExposeSecret, Field, FieldUpdate, FolderEdit, FolderEntry, GroupEdit,
    Item, ItemKey, ItemKind, MetadataEntry, OrganizationEdit, OrganizationRef, OrganizationStatus, PasswordHash,
    ProfileLink, ProfileLinkKind, RequestedStatus, RoleRef, Slot, Status, Time, TypedValue, User, UserEdit, UserKey,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use testkit::assert_eq_diff;
use testkit::generators::Rng;
use transfer::formats::Format;

const UNUSUAL_TEXTS: [&str; 30] = [
    "plain",
    "O'Neill",
    "the \"boss\"",
    "semi;colon, comma",
    "two\nlines",
    "carriage\r\nreturn",
    "tab\there",
    "  spaced  ",
    "日本語",
    "אבי 🙂 כהן",
    "𝒳 4-byte 𠮷",
    "007",
    "00042",
    "1e10",
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-R&D",
    "@import",
    "'=quoted",
    "''twice",
    "<b>&amp;</b>",
    "[1, 2]",
    "{\"a\":1}",
    "null",
    "true",
    "#comment",
    ": colon",
    "a\\b_x000D_c",
    "\u{FEFF}mark",
    "e\u{301} combining",
];

fn text(rng: &mut Rng) -> String {
    (*rng.choose(&UNUSUAL_TEXTS)).to_owned()
}

/// A text that can be part of an identifier: no invisible characters, and no white space around it.
fn identifier(rng: &mut Rng, number: impl std::fmt::Display) -> String {
    let is_hidden =
        |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
    format!("{} {number}", text(rng).replace(is_hidden, "")).trim().to_owned()
}

fn optional_text(rng: &mut Rng, in_ten: u64) -> Option<String> {
    (rng.below(10) < in_ten).then(|| text(rng))
}

/// Every text attribute, without the identifiers.
fn texts() -> impl Iterator<Item = Field> {
    let identifiers = [Field::Email, Field::UserName, Field::ExternalId];
    let texts = ATTRIBUTES.iter().filter(|attribute| matches!(attribute.slot, Slot::Text(_)));
    texts.map(|attribute| attribute.field).filter(move |field| !identifiers.contains(field))
}

fn entry(rng: &mut Rng, value: String) -> TypedValue {
    TypedValue {
        value,
        kind: optional_text(rng, 6),
        display: optional_text(rng, 3),
        primary: (rng.below(10) < 2).then_some(false),
    }
}

fn random_user(rng: &mut Rng, n: u64, fixture: &Fixture) -> UserEdit {
    let mut edit = UserEdit::default();
    if rng.below(10) < 9 {
        edit.set_text(Field::Email, FieldUpdate::Set(format!("P{n}@Example.com")));
    }
    if edit.texts.is_empty() || rng.below(3) == 0 {
        edit.set_text(Field::UserName, FieldUpdate::Set(format!("user {n} =1")));
    }
    if rng.below(2) == 0 {
        edit.set_text(Field::ExternalId, FieldUpdate::Set(identifier(rng, n)));
    }
    for field in texts() {
        if let Some(text) = optional_text(rng, 4) {
            edit.set_text(field, FieldUpdate::Set(text));
        }
    }
    add_multi_valued(rng, &mut edit, n);
    if rng.below(2) == 0 {
        edit.department = FieldUpdate::Set(DepartmentRef::Name(text(rng)));
    }
    let organisations = fixture.items(ItemKind::Organization);
    edit.organization = if rng.below(2) == 0 && !organisations.is_empty() {
        let name = rng.choose(&organisations).name().to_owned();
        FieldUpdate::Set(OrganizationRef { name: Some(name), ..OrganizationRef::default() })
    } else {
        FieldUpdate::Clear
    };
    if rng.below(4) == 0 {
        edit.office = FieldUpdate::Set(u32::try_from(rng.below(9)).expect("small"));
    }
    for kind in [ItemKind::Group, ItemKind::Folder] {
        let all = fixture.items(kind);
        let some = (0..rng.below(4)).map(|_| ItemKey::Id(rng.choose(&all).id())).collect();
        if kind == ItemKind::Group {
            edit.groups = FieldUpdate::Set(some);
        } else {
            edit.folders = FieldUpdate::Set(some);
        }
    }
    match rng.below(4) {
        0 => edit.role = FieldUpdate::Set(RoleRef::Name("Admin".into())),
        1 => edit.role = FieldUpdate::Set(RoleRef::Name("Tenant's own; \"role\"".into())),
        2 => {
            let roles = ["User", "Admin", "something else", "=role"];
            let all = (0..=rng.below(3)).map(|place| TypedValue {
                value: roles[usize::try_from(place).expect("small")].into(),
                kind: optional_text(rng, 2),
                ..TypedValue::default()
            });
            let all = all.collect();
            edit.multi_valued.push((Field::Roles, FieldUpdate::Set(all)));
        }
        _ => {}
    }
    edit.status = FieldUpdate::Set(RequestedStatus::Exact(*rng.choose(&Status::ALL)));
    for attribute in ATTRIBUTES.iter().filter(|attribute| matches!(attribute.slot, Slot::Boolean(_))) {
        edit.set_boolean(attribute.field, random_flag(rng));
    }
    if rng.below(3) == 0 {
        edit.password_hash = Some(PasswordHash(format!("plain$password {n}").into()));
    }
    edit
}

fn random_flag(rng: &mut Rng) -> FieldUpdate<bool> {
    match rng.below(3) {
        0 => FieldUpdate::Keep,
        1 => FieldUpdate::Set(false),
        _ => FieldUpdate::Set(true),
    }
}

fn add_multi_valued(rng: &mut Rng, edit: &mut UserEdit, n: u64) {
    if rng.below(3) == 0 && edit.text_update(Field::Email).is_some() {
        let mut emails: Vec<TypedValue> =
            (0..=rng.below(3)).map(|m| entry(rng, format!("p{n}x{m}@example.com"))).collect();
        emails[0].primary = (rng.below(2) == 0).then_some(true);
        edit.multi_valued.push((Field::Emails, FieldUpdate::Set(emails)));
    }
    for field in [Field::Phones, Field::Photos, Field::Entitlements, Field::Certificates] {
        if rng.below(4) == 0 {
            let list = (0..rng.below(4))
                .map(|_| {
                    let value = text(rng);
                    entry(rng, value)
                })
                .collect();
            edit.multi_valued.push((field, FieldUpdate::Set(list)));
        }
    }
    for kind in [ProfileLinkKind::Social, ProfileLinkKind::Custom, ProfileLinkKind::Messaging] {
        if rng.below(4) == 0 {
            let link = |rng: &mut Rng| {
                let (name, value) = (text(rng), text(rng));
                ProfileLink {
                    display: optional_text(rng, 3),
                    primary: (rng.below(4) == 0).then_some(true),
                    ..ProfileLink::new(kind, name, value)
                }
            };
            edit.links.push((kind, FieldUpdate::Set((0..rng.below(3)).map(|_| link(rng)).collect())));
        }
    }
    if rng.below(4) == 0 {
        let pair = |rng: &mut Rng| MetadataEntry { key: text(rng), value: text(rng) };
        edit.metadata = FieldUpdate::Set((0..rng.below(4)).map(|_| pair(rng)).collect());
    }
    if rng.below(4) == 0 {
        let address = |rng: &mut Rng| Address {
            line1: optional_text(rng, 6),
            line2: Some(String::new()).filter(|_| rng.below(4) == 0),
            city: optional_text(rng, 6),
            country: optional_text(rng, 6),
            formatted: optional_text(rng, 3),
            kind: optional_text(rng, 7).map(|_| "work".to_owned()).or(optional_text(rng, 5)),
            ..Address::default()
        };
        edit.addresses = FieldUpdate::Set((0..rng.below(3)).map(|_| address(rng)).collect());
    }
}

/// Fills a directory with random data in every field.
fn fill_directory(fixture: &Fixture, seed: u64) {
    let mut rng = Rng::new(seed);
    let d = &mut rng;
    fixture.run(Command::AddRole { name: "Tenant's own; \"role\"".into(), rank: 2 });
    fixture.run(Command::AddDepartment { name: "=Dept".into(), number: Some(200) });
    for n in 0..4_u32 {
        let organisation = OrganizationEdit {
            name: FieldUpdate::Set(format!("{} {n}", text(d))),
            number: (n == 2).then_some(77),
            status: Some(*d.choose(&[OrganizationStatus::Active, OrganizationStatus::Suspended])),
            domains: FieldUpdate::Set(
                vec![format!("d{n}.example"), "example.com".into()][..=usize::from(n == 0)].to_vec(),
            ),
            office_numbers: FieldUpdate::Set(vec![10 * n, 10 * n + 1]),
            url: optional_text(d, 5).map_or(FieldUpdate::Keep, FieldUpdate::Set),
            auto_login: FieldUpdate::Set(n == 1),
            homepage: FieldUpdate::Set(n),
            industry: FieldUpdate::Set(7),
            key_contacts: FieldUpdate::Set(vec![1, 2]),
            ..OrganizationEdit::default()
        };
        fixture.run(Command::CreateOrganization(organisation));
    }
    for n in 0..5 {
        // Two groups share a name, and the name of one is the external id of another.
        let name = if n < 2 { "Twins".to_owned() } else { text(d) };
        let external_id = match n {
            0 => FieldUpdate::Keep,
            4 => FieldUpdate::Set("Twins".into()),
            n => FieldUpdate::Set(identifier(&mut *d, n)),
        };
        fixture.run(Command::CreateGroup(GroupEdit {
            name: FieldUpdate::Set(name),
            external_id,
            ..GroupEdit::default()
        }));
    }
    let groups = fixture.items(ItemKind::Group);
    for n in 0..3 {
        let folder = FolderEdit {
            name: FieldUpdate::Set(text(d)),
            external_id: FieldUpdate::Set(format!("folder {n}")),
            description: optional_text(d, 5).map_or(FieldUpdate::Keep, FieldUpdate::Set),
            is_restricted: FieldUpdate::Set(n == 1),
            restricted_to: if n == 1 { FieldUpdate::Set(d.choose(&groups).id()) } else { FieldUpdate::Keep },
            entries: FieldUpdate::Set(vec![FolderEntry { key: text(d), kind: "Doc".into() }]),
            ..FolderEdit::default()
        };
        fixture.run(Command::CreateFolder(folder));
    }
    for n in 0..25 {
        let edit = random_user(d, n, fixture);
        let made = fixture.run(Command::CreateUser(Box::new(edit)));
        if d.below(8) == 0 {
            let cleared = UserEdit { status: FieldUpdate::Clear, ..UserEdit::default() };
            fixture.run(Command::UpdateUser { user: UserKey::Id(made.users[0].id), edit: Box::new(cleared) });
        }
    }
}

/// Users without the fields that the store sets: number, version and timestamps.
fn comparable_users(fixture: &Fixture) -> BTreeMap<String, User> {
    let bare = |user: User| User { number: 0, version: 0, created: Time(0), updated: Time(0), invited: None, ..user };
    fixture.users().into_iter().map(|user| (user.id.to_string(), bare(user))).collect()
}

fn comparable_items(fixture: &Fixture, kind: ItemKind) -> Vec<Item> {
    let mut items = fixture.items(kind);
    for item in &mut items {
        item.set_version(0, Time(0));
        match item {
            // The store sets their numbers.
            Item::Group(it) => (it.created, it.number) = (Time(0), 0),
            Item::Folder(it) => (it.created, it.number) = (Time(0), 0),
            Item::Organization(it) => it.created = Time(0),
            // Their ids are internal.
            Item::Role(it) => (it.created, it.id) = (Time(0), directory::ItemId(uuid::Uuid::nil())),
            Item::Department(it) => (it.created, it.id) = (Time(0), directory::ItemId(uuid::Uuid::nil())),
        }
    }
    items.sort_by_key(|item| (item.number(), item.id()));
    items
}

fn passwords(fixture: &Fixture) -> Vec<String> {
    let all = fixture.block_on(fixture.directory.password_hashes(&fixture.caller, 0..=1_000)).expect("read");
    all.iter().map(|(_, stored)| stored.0.expose_secret().to_owned()).collect()
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort_unstable();
    list
}

fn round_trip(engine: &str, seed: u64) {
    let (here, there) = (Fixture::new(engine), Fixture::new(engine));
    fill_directory(&here, seed);
    for format in Format::ALL {
        let there = if format == Format::Csv { &there } else { &Fixture::new(engine) };
        let file = here.export(format, true);
        let report = there.import(&file);
        assert_eq!(report.rejected_count(), 0, "{format:?}: {:?}", report.rejected);
        let (before, after) = (comparable_users(&here), comparable_users(there));
        assert_eq!(before.len(), after.len());
        for (id, user) in &before {
            assert_eq_diff!(after.get(id), Some(user), "{format:?}");
        }
        for kind in ItemKind::ALL {
            assert_eq_diff!(comparable_items(there, kind), comparable_items(&here, kind), "{format:?}");
        }
        assert_eq!(sorted(passwords(there)), sorted(passwords(&here)), "{format:?}");
        // A second export is identical (on engines that keep the order of users), and a second import changes nothing.
        if format != Format::Xlsx && engine == "sqlite" {
            let again = there.export(format, true);
            let (again, first) = [again, file.clone()].map(|file| std::fs::read_to_string(file).expect("read")).into();
            assert_eq_diff!(again.split('\n').collect::<Vec<_>>(), first.split('\n').collect::<Vec<_>>(), "{format:?}");
        }
        let events = there.event_count();
        let report = there.import_with(&file, |options| options.update = true).expect("imported");
        assert_eq!(
            (report.users.changed, report.users.created, report.rejected_count()),
            (0, 0, 0),
            "{format:?} {report:?}"
        );
        assert_eq!(there.event_count(), events, "{format:?}");
        // Also if empty cells clear.
        let clears = |options: &mut transfer::import::ImportOptions| {
            (options.update, options.read_options.empty_clears) = (true, true);
        };
        let report = there.import_with(&file, clears).expect("imported");
        assert_eq!((report.users.changed, report.rejected_count()), (0, 0), "{format:?} {report:?}");
        assert_eq_diff!(comparable_users(there), before, "{format:?}");
        // Without the option, an export has no passwords.
        let text = std::fs::read(here.export(format, false)).expect("read");
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains("plain$"), "{format:?}");
    }
}

proptest! {
    #![proptest_config(testkit::seeds::proptest_config(6, file!()))]

    #[test]
    fn nothing_is_lost_in_any_format(seed: u64) {
        for engine in ENGINES {
            round_trip(engine, seed);
        }
    }
}

#[test]
fn engines_can_import_each_others_files() {
    let (here, there) = (Fixture::new("sqlite"), Fixture::new("postgres"));
    fill_directory(&here, 5);
    let report = there.import(&here.export(Format::Ndjson, true));
    assert_eq!(report.rejected_count(), 0, "{:?}", report.rejected);
    assert_eq_diff!(comparable_users(&there), comparable_users(&here));
}
