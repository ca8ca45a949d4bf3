//! Random commands from small value pools, so that they conflict, repeat and refer to one another.

use directory::{
    AccountAction, Address, Command, DepartmentRef, Field, FieldUpdate, FolderEdit, GroupEdit, ItemId, ItemKey,
    ItemKind, KeyHash, MemberEdit, MetadataEntry, OrganizationEdit, OrganizationRef, OrganizationStatus, PasswordHash,
    PasswordProof, ProfileLink, ProfileLinkKind, RequestedStatus, RoleRef, Status, StatusChange, TypedValue, UserEdit,
    UserId, UserKey,
};
use std::net::IpAddr;
use uuid::Uuid;

/// A pseudorandom number generator (`SplitMix64`) with repeatable output.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number less than `sides`.
    pub fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    #[expect(clippy::cast_possible_truncation, reason = "less than the slice's length")]
    pub fn choose<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    fn percent(&mut self, in_hundred: u64) -> bool {
        self.below(100) < in_hundred
    }
}

const EMAILS: [&str; 8] = [
    "ann@example.com",
    "ANN@example.com",
    "bob@example.com",
    "straße@x.de",
    "STRASSE@x.de",
    "eve@corp.org",
    "broken",
    "",
];
const TEXTS: [&str; 8] = ["", "Ann", "Lee", "O'Neill & <Co>", "日本", "🦀", "  spaced  ", "bad\u{0}text"];
const KINDS: [&str; 4] = ["work", "home", "mobile", "Work"];
const STATUSES: [Status; 5] = Status::ALL;

/// A random command; `made` is the number of ids assigned so far. Some commands require a version, which may match.
pub fn random_command(rng: &mut Rng, made: u64) -> Command {
    let command = unconditional_command(rng, made);
    if rng.percent(10) {
        return Command::IfVersion(u32::try_from(1 + rng.below(3)).unwrap_or(1), Box::new(command));
    }
    command
}

fn unconditional_command(rng: &mut Rng, made: u64) -> Command {
    match rng.below(26) {
        0..=5 => Command::CreateUser(Box::new(user_edit(rng, made, true))),
        6..=9 => Command::UpdateUser { user: user_key(rng, made), edit: Box::new(user_edit(rng, made, false)) },
        10 | 20 => Command::DeleteUser(user_key(rng, made)),
        11 => Command::ChangeStatus(StatusChange {
            users: (0..=rng.below(2)).map(|_| user_key(rng, made)).collect(),
            to: *rng.choose(&STATUSES),
            required_status: rng.percent(20).then_some(Status::Suspended),
        }),
        12 | 13 => Command::CreateGroup(group_edit(rng, made)),
        14 => Command::UpdateGroup { group: item_key(rng, made), edit: group_edit(rng, made) },
        15 => Command::CreateFolder(folder_edit(rng, made)),
        16 => Command::UpdateFolder { folder: item_key(rng, made), edit: folder_edit(rng, made) },
        17 => Command::CreateOrganization(organization_edit(rng, made)),
        18 => Command::UpdateOrganizations {
            organizations: (0..=rng.below(2)).map(|_| item_key(rng, made)).collect(),
            edit: organization_edit(rng, made),
        },
        21 | 22 => Command::RestoreUser(user_key(rng, made)),
        23 => Command::Invite((0..=rng.below(2)).map(|_| user_key(rng, made)).collect()),
        25 => Command::AddDepartment {
            name: (*rng.choose(&TEXTS)).to_owned(),
            number: rng.percent(50).then(|| u8::try_from(rng.below(4)).unwrap_or(0)),
        },
        24 => Command::Account { user: UserId(random_id(rng, made)), action: account_action(rng) },
        _ => Command::DeleteItem { kind: *rng.choose(&[ItemKind::Group, ItemKind::Folder]), item: item_key(rng, made) },
    }
}

fn account_action(rng: &mut Rng) -> AccountAction {
    let key = |rng: &mut Rng| KeyHash([u8::try_from(rng.below(3)).unwrap_or(0); 32]);
    let stored = PasswordHash("plain$long enough".into());
    let address = Some(IpAddr::from([192, 0, 2, 1]));
    match rng.below(5) {
        0 => AccountAction::RequestPasswordReset,
        1 => AccountAction::SignOut(key(rng)),
        2 => AccountAction::SignOutEverywhere,
        3 => AccountAction::SignIn {
            verified_hash: stored,
            session_key: Some(key(rng)),
            rehashed: None,
            client_ip: address,
        },
        _ => AccountAction::SetPassword {
            password: "vier rote fische".into(),
            proof: PasswordProof::CurrentPassword(stored),
            keep_session: Some(key(rng)),
            address,
        },
    }
}

fn text_update(rng: &mut Rng) -> FieldUpdate<String> {
    match rng.below(10) {
        0..=3 => FieldUpdate::Keep,
        4 => FieldUpdate::Clear,
        _ => FieldUpdate::Set((*rng.choose(&TEXTS)).to_owned()),
    }
}

fn random_id(rng: &mut Rng, made: u64) -> Uuid {
    Uuid::from_u128(u128::from(rng.below(made + 2)))
}

fn user_key(rng: &mut Rng, made: u64) -> UserKey {
    match rng.below(6) {
        0 => UserKey::Number(u32::try_from(rng.below(12)).unwrap_or(0)),
        1 => UserKey::Email((*rng.choose(&EMAILS)).to_owned()),
        2 => UserKey::Login((*rng.choose(&EMAILS)).to_owned()),
        3 => UserKey::ExternalId((*rng.choose(&TEXTS)).to_owned()),
        _ => UserKey::Id(UserId(random_id(rng, made))),
    }
}

fn item_key(rng: &mut Rng, made: u64) -> ItemKey {
    match rng.below(6) {
        0 => ItemKey::Number(u32::try_from(rng.below(8)).unwrap_or(0)),
        1 | 2 => ItemKey::Name((*rng.choose(&TEXTS)).to_owned()),
        3 => ItemKey::ExternalId((*rng.choose(&TEXTS)).to_owned()),
        _ => ItemKey::Id(ItemId(random_id(rng, made))),
    }
}

fn user_edit(rng: &mut Rng, made: u64, is_new: bool) -> UserEdit {
    let mut edit = UserEdit::default();
    if is_new || rng.percent(30) {
        edit.set_text(Field::Email, FieldUpdate::Set((*rng.choose(&EMAILS)).to_owned()));
    }
    for field in [Field::GivenName, Field::FamilyName, Field::Bio, Field::City, Field::WorkPhone] {
        let given = text_update(rng);
        edit.set_text(field, given);
    }
    if rng.percent(30) {
        let given = text_update(rng);
        edit.set_text(Field::ExternalId, given);
    }
    if rng.percent(15) {
        edit.set_text(Field::UserName, FieldUpdate::Set((*rng.choose(&EMAILS)).to_owned()));
    }
    if rng.percent(30) {
        edit.department = match rng.below(3) {
            0 => FieldUpdate::Clear,
            1 => FieldUpdate::Set(DepartmentRef::Number(u8::try_from(rng.below(4)).unwrap_or(0))),
            _ => FieldUpdate::Set(DepartmentRef::Name((*rng.choose(&TEXTS)).to_owned())),
        };
    }
    if rng.percent(30) {
        let number = |rng: &mut Rng| rng.percent(50).then(|| u32::try_from(1 + rng.below(4)).unwrap_or(1));
        edit.organization = FieldUpdate::Set(OrganizationRef {
            number: number(rng),
            name: rng.percent(60).then(|| (*rng.choose(&TEXTS)).to_owned()),
            office_number: number(rng),
        });
    }
    if rng.percent(30) {
        edit.role = FieldUpdate::Set(RoleRef::Number(u32::try_from(rng.below(8)).unwrap_or(0)));
    }
    if rng.percent(30) {
        edit.groups = FieldUpdate::Set((0..rng.below(3)).map(|_| item_key(rng, made)).collect());
    }
    if rng.percent(20) {
        edit.folders = FieldUpdate::Set((0..rng.below(3)).map(|_| item_key(rng, made)).collect());
    }
    if rng.percent(30) {
        edit.status = FieldUpdate::Set(match rng.below(3) {
            0 => RequestedStatus::Inactive,
            1 => RequestedStatus::Active,
            _ => RequestedStatus::Exact(*rng.choose(&STATUSES)),
        });
    }
    if rng.percent(20) {
        let link = ProfileLink::new(ProfileLinkKind::Social, "n", *rng.choose(&TEXTS));
        edit.links.push((ProfileLinkKind::Social, FieldUpdate::Set(vec![link])));
        edit.metadata =
            FieldUpdate::Set(vec![MetadataEntry { key: "k".into(), value: (*rng.choose(&TEXTS)).to_owned() }]);
    }
    multi_valued(rng, &mut edit);
    if rng.percent(10) {
        edit.office = FieldUpdate::Set(u32::try_from(rng.below(9)).unwrap_or(0));
    }
    if rng.percent(20) {
        edit.password = Some((*rng.choose(&["long enough", "short"])).into());
    }
    edit.invite = is_new && rng.percent(40);
    edit.id = (is_new && rng.percent(15)).then(|| UserId(random_id(rng, made)));
    edit
}

fn multi_valued(rng: &mut Rng, edit: &mut UserEdit) {
    for field in [Field::Emails, Field::Phones, Field::Roles, Field::MessagingLinks] {
        if rng.percent(15) {
            edit.multi_valued.push((field, FieldUpdate::Set((0..rng.below(4)).map(|_| entry(rng, field)).collect())));
        }
    }
    if rng.percent(15) {
        let address = |rng: &mut Rng| Address {
            line1: Some((*rng.choose(&TEXTS)).to_owned()),
            primary: rng.percent(30).then_some(true),
            kind: rng.percent(80).then(|| (*rng.choose(&KINDS)).to_owned()),
            ..Address::default()
        };
        edit.addresses = FieldUpdate::Set((0..rng.below(3)).map(|_| address(rng)).collect());
    }
}

fn entry(rng: &mut Rng, field: Field) -> TypedValue {
    let values: &[&str] = match field {
        Field::Emails => &EMAILS,
        Field::Roles => &["Admin", "user", "Some other", ""],
        _ => &TEXTS,
    };
    TypedValue {
        value: (*rng.choose(values)).to_owned(),
        kind: rng.percent(70).then(|| (*rng.choose(&KINDS)).to_owned()),
        display: rng.percent(20).then(|| (*rng.choose(&TEXTS)).to_owned()),
        primary: rng.percent(30).then(|| rng.percent(60)),
    }
}

fn group_edit(rng: &mut Rng, made: u64) -> GroupEdit {
    let keys = |rng: &mut Rng| (0..rng.below(4)).map(|_| user_key(rng, made)).collect();
    GroupEdit {
        id: rng.percent(10).then(|| ItemId(random_id(rng, made))),
        name: text_update(rng),
        external_id: text_update(rng),
        members: match rng.below(4) {
            0 => None,
            3 => Some(MemberEdit::Change { add: keys(rng), remove: keys(rng) }),
            1 => Some(MemberEdit::Replace(keys(rng))),
            _ => Some(MemberEdit::Add(keys(rng), rng.percent(50))),
        },
    }
}

fn folder_edit(rng: &mut Rng, made: u64) -> FolderEdit {
    FolderEdit {
        id: rng.percent(20).then(|| ItemId(random_id(rng, made))),
        name: text_update(rng),
        external_id: text_update(rng),
        description: text_update(rng),
        restricted_to: if rng.percent(20) { FieldUpdate::Set(ItemId(random_id(rng, made))) } else { FieldUpdate::Keep },
        ..FolderEdit::default()
    }
}

fn organization_edit(rng: &mut Rng, made: u64) -> OrganizationEdit {
    let domains = ["example.com", "x.de", "corp.org", "no domain"];
    OrganizationEdit {
        id: rng.percent(10).then(|| ItemId(random_id(rng, made))),
        number: rng.percent(20).then(|| u32::try_from(rng.below(6)).unwrap_or(0)),
        name: text_update(rng),
        status: rng.percent(20).then_some(OrganizationStatus::Disabled),
        domains: FieldUpdate::Set((0..rng.below(2)).map(|_| (*rng.choose(&domains)).to_owned()).collect()),
        office_numbers: FieldUpdate::Set(
            (0..rng.below(2)).map(|_| u32::try_from(1 + rng.below(4)).unwrap_or(1)).collect(),
        ),
        ..OrganizationEdit::default()
    }
}
