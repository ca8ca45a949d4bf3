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
pub fn random_command(dice: &mut Rng, made: u64) -> Command {
    let command = unconditional_command(dice, made);
    if dice.percent(10) {
        return Command::IfVersion(u32::try_from(1 + dice.below(3)).unwrap_or(1), Box::new(command));
    }
    command
}

fn unconditional_command(dice: &mut Rng, made: u64) -> Command {
    match dice.below(26) {
        0..=5 => Command::CreateUser(Box::new(user_edit(dice, made, true))),
        6..=9 => Command::UpdateUser { user: user_key(dice, made), edit: Box::new(user_edit(dice, made, false)) },
        10 | 20 => Command::DeleteUser(user_key(dice, made)),
        11 => Command::ChangeStatus(StatusChange {
            users: (0..=dice.below(2)).map(|_| user_key(dice, made)).collect(),
            to: *dice.choose(&STATUSES),
            required_status: dice.percent(20).then_some(Status::Suspended),
        }),
        12 | 13 => Command::CreateGroup(group_edit(dice, made)),
        14 => Command::UpdateGroup { group: item_key(dice, made), edit: group_edit(dice, made) },
        15 => Command::CreateFolder(folder_edit(dice, made)),
        16 => Command::UpdateFolder { folder: item_key(dice, made), edit: folder_edit(dice, made) },
        17 => Command::CreateOrganization(organization_edit(dice, made)),
        18 => Command::UpdateOrganizations {
            organizations: (0..=dice.below(2)).map(|_| item_key(dice, made)).collect(),
            edit: organization_edit(dice, made),
        },
        21 | 22 => Command::RestoreUser(user_key(dice, made)),
        23 => Command::Invite((0..=dice.below(2)).map(|_| user_key(dice, made)).collect()),
        25 => Command::AddDepartment {
            name: (*dice.choose(&TEXTS)).to_owned(),
            number: dice.percent(50).then(|| u8::try_from(dice.below(4)).unwrap_or(0)),
        },
        24 => Command::Account { user: UserId(random_id(dice, made)), action: account_action(dice) },
        _ => {
            Command::DeleteItem { kind: *dice.choose(&[ItemKind::Group, ItemKind::Folder]), item: item_key(dice, made) }
        }
    }
}

fn account_action(dice: &mut Rng) -> AccountAction {
    let key = |dice: &mut Rng| KeyHash([u8::try_from(dice.below(3)).unwrap_or(0); 32]);
    let stored = PasswordHash("plain$long enough".into());
    let address = Some(IpAddr::from([192, 0, 2, 1]));
    match dice.below(5) {
        0 => AccountAction::RequestPasswordReset,
        1 => AccountAction::SignOut(key(dice)),
        2 => AccountAction::SignOutEverywhere,
        3 => AccountAction::SignIn {
            verified_hash: stored,
            session_key: Some(key(dice)),
            rehashed: None,
            client_ip: address,
        },
        _ => AccountAction::SetPassword {
            password: "vier rote fische".into(),
            proof: PasswordProof::CurrentPassword(stored),
            keep_session: Some(key(dice)),
            address,
        },
    }
}

fn text_update(dice: &mut Rng) -> FieldUpdate<String> {
    match dice.below(10) {
        0..=3 => FieldUpdate::Keep,
        4 => FieldUpdate::Clear,
        _ => FieldUpdate::Set((*dice.choose(&TEXTS)).to_owned()),
    }
}

fn random_id(dice: &mut Rng, made: u64) -> Uuid {
    Uuid::from_u128(u128::from(dice.below(made + 2)))
}

fn user_key(dice: &mut Rng, made: u64) -> UserKey {
    match dice.below(6) {
        0 => UserKey::Number(u32::try_from(dice.below(12)).unwrap_or(0)),
        1 => UserKey::Email((*dice.choose(&EMAILS)).to_owned()),
        2 => UserKey::Login((*dice.choose(&EMAILS)).to_owned()),
        3 => UserKey::ExternalId((*dice.choose(&TEXTS)).to_owned()),
        _ => UserKey::Id(UserId(random_id(dice, made))),
    }
}

fn item_key(dice: &mut Rng, made: u64) -> ItemKey {
    match dice.below(6) {
        0 => ItemKey::Number(u32::try_from(dice.below(8)).unwrap_or(0)),
        1 | 2 => ItemKey::Name((*dice.choose(&TEXTS)).to_owned()),
        3 => ItemKey::ExternalId((*dice.choose(&TEXTS)).to_owned()),
        _ => ItemKey::Id(ItemId(random_id(dice, made))),
    }
}

fn user_edit(dice: &mut Rng, made: u64, is_new: bool) -> UserEdit {
    let mut edit = UserEdit::default();
    if is_new || dice.percent(30) {
        edit.set_text(Field::Email, FieldUpdate::Set((*dice.choose(&EMAILS)).to_owned()));
    }
    for field in [Field::GivenName, Field::FamilyName, Field::Bio, Field::City, Field::WorkPhone] {
        let given = text_update(dice);
        edit.set_text(field, given);
    }
    if dice.percent(30) {
        let given = text_update(dice);
        edit.set_text(Field::ExternalId, given);
    }
    if dice.percent(15) {
        edit.set_text(Field::UserName, FieldUpdate::Set((*dice.choose(&EMAILS)).to_owned()));
    }
    if dice.percent(30) {
        edit.department = match dice.below(3) {
            0 => FieldUpdate::Clear,
            1 => FieldUpdate::Set(DepartmentRef::Number(u8::try_from(dice.below(4)).unwrap_or(0))),
            _ => FieldUpdate::Set(DepartmentRef::Name((*dice.choose(&TEXTS)).to_owned())),
        };
    }
    if dice.percent(30) {
        let number = |dice: &mut Rng| dice.percent(50).then(|| u32::try_from(1 + dice.below(4)).unwrap_or(1));
        edit.organization = FieldUpdate::Set(OrganizationRef {
            number: number(dice),
            name: dice.percent(60).then(|| (*dice.choose(&TEXTS)).to_owned()),
            office_number: number(dice),
        });
    }
    if dice.percent(30) {
        edit.role = FieldUpdate::Set(RoleRef::Number(u32::try_from(dice.below(8)).unwrap_or(0)));
    }
    if dice.percent(30) {
        edit.groups = FieldUpdate::Set((0..dice.below(3)).map(|_| item_key(dice, made)).collect());
    }
    if dice.percent(20) {
        edit.folders = FieldUpdate::Set((0..dice.below(3)).map(|_| item_key(dice, made)).collect());
    }
    if dice.percent(30) {
        edit.status = FieldUpdate::Set(match dice.below(3) {
            0 => RequestedStatus::Inactive,
            1 => RequestedStatus::Active,
            _ => RequestedStatus::Exact(*dice.choose(&STATUSES)),
        });
    }
    if dice.percent(20) {
        let link = ProfileLink::new(ProfileLinkKind::Social, "n", *dice.choose(&TEXTS));
        edit.links.push((ProfileLinkKind::Social, FieldUpdate::Set(vec![link])));
        edit.metadata =
            FieldUpdate::Set(vec![MetadataEntry { key: "k".into(), value: (*dice.choose(&TEXTS)).to_owned() }]);
    }
    multi_valued(dice, &mut edit);
    if dice.percent(10) {
        edit.office = FieldUpdate::Set(u32::try_from(dice.below(9)).unwrap_or(0));
    }
    if dice.percent(20) {
        edit.password = Some((*dice.choose(&["long enough", "short"])).into());
    }
    edit.invite = is_new && dice.percent(40);
    edit.id = (is_new && dice.percent(15)).then(|| UserId(random_id(dice, made)));
    edit
}

fn multi_valued(dice: &mut Rng, edit: &mut UserEdit) {
    for field in [Field::Emails, Field::Phones, Field::Roles, Field::MessagingLinks] {
        if dice.percent(15) {
            edit.multi_valued.push((field, FieldUpdate::Set((0..dice.below(4)).map(|_| entry(dice, field)).collect())));
        }
    }
    if dice.percent(15) {
        let address = |dice: &mut Rng| Address {
            line1: Some((*dice.choose(&TEXTS)).to_owned()),
            primary: dice.percent(30).then_some(true),
            kind: dice.percent(80).then(|| (*dice.choose(&KINDS)).to_owned()),
            ..Address::default()
        };
        edit.addresses = FieldUpdate::Set((0..dice.below(3)).map(|_| address(dice)).collect());
    }
}

fn entry(dice: &mut Rng, field: Field) -> TypedValue {
    let values: &[&str] = match field {
        Field::Emails => &EMAILS,
        Field::Roles => &["Admin", "user", "Some other", ""],
        _ => &TEXTS,
    };
    TypedValue {
        value: (*dice.choose(values)).to_owned(),
        kind: dice.percent(70).then(|| (*dice.choose(&KINDS)).to_owned()),
        display: dice.percent(20).then(|| (*dice.choose(&TEXTS)).to_owned()),
        primary: dice.percent(30).then(|| dice.percent(60)),
    }
}

fn group_edit(dice: &mut Rng, made: u64) -> GroupEdit {
    let keys = |dice: &mut Rng| (0..dice.below(4)).map(|_| user_key(dice, made)).collect();
    GroupEdit {
        id: dice.percent(10).then(|| ItemId(random_id(dice, made))),
        name: text_update(dice),
        external_id: text_update(dice),
        members: match dice.below(4) {
            0 => None,
            3 => Some(MemberEdit::Change { add: keys(dice), remove: keys(dice) }),
            1 => Some(MemberEdit::Replace(keys(dice))),
            _ => Some(MemberEdit::Add(keys(dice), dice.percent(50))),
        },
    }
}

fn folder_edit(dice: &mut Rng, made: u64) -> FolderEdit {
    FolderEdit {
        id: dice.percent(20).then(|| ItemId(random_id(dice, made))),
        name: text_update(dice),
        external_id: text_update(dice),
        description: text_update(dice),
        restricted_to: if dice.percent(20) {
            FieldUpdate::Set(ItemId(random_id(dice, made)))
        } else {
            FieldUpdate::Keep
        },
        ..FolderEdit::default()
    }
}

fn organization_edit(dice: &mut Rng, made: u64) -> OrganizationEdit {
    let domains = ["example.com", "x.de", "corp.org", "no domain"];
    OrganizationEdit {
        id: dice.percent(10).then(|| ItemId(random_id(dice, made))),
        number: dice.percent(20).then(|| u32::try_from(dice.below(6)).unwrap_or(0)),
        name: text_update(dice),
        status: dice.percent(20).then_some(OrganizationStatus::Disabled),
        domains: FieldUpdate::Set((0..dice.below(2)).map(|_| (*dice.choose(&domains)).to_owned()).collect()),
        office_numbers: FieldUpdate::Set(
            (0..dice.below(2)).map(|_| u32::try_from(1 + dice.below(4)).unwrap_or(1)).collect(),
        ),
        ..OrganizationEdit::default()
    }
}
