//! Commands made by chance from small pools, so that they clash, repeat and refer to one another.

use directory::{
    AccountAction, Address, Command, DepartmentRef, Field, FieldUpdate, FolderEdit, GroupEdit, ItemId,
    ItemKey, ItemKind, KeyHash, MemberEdit, MetadataEntry, OrganizationEdit, OrganizationRef,
    OrganizationStatus, PasswordHash, PasswordProof, ProfileLink, ProfileLinkKind, RequestedStatus, RoleRef,
    Status, StatusChange, TypedValue, UserEdit, UserId, UserKey,
};
use std::net::IpAddr;
use uuid::Uuid;

/// Numbers that look random and can be had again from the same seed (`SplitMix64`).
pub struct Dice(u64);

impl Dice {
    /// Dice that fall the same for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `sides`.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    /// One of several.
    #[expect(clippy::cast_possible_truncation, reason = "below the length of a slice")]
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.roll(from.len() as u64) as usize]
    }

    fn chance(&mut self, in_hundred: u64) -> bool {
        self.roll(100) < in_hundred
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

/// A command; `made` is how many ids were given so far. Some are bound to a version that may be right.
pub fn command(dice: &mut Dice, made: u64) -> Command {
    let command = bare(dice, made);
    if dice.chance(10) {
        return Command::IfVersion(u32::try_from(1 + dice.roll(3)).unwrap_or(1), Box::new(command));
    }
    command
}

fn bare(dice: &mut Dice, made: u64) -> Command {
    match dice.roll(26) {
        0..=5 => Command::CreateUser(Box::new(user_edit(dice, made, true))),
        6..=9 => {
            Command::UpdateUser { user: user_key(dice, made), edit: Box::new(user_edit(dice, made, false)) }
        }
        10 | 20 => Command::DeleteUser(user_key(dice, made)),
        11 => Command::ChangeStatus(StatusChange {
            users: (0..=dice.roll(2)).map(|_| user_key(dice, made)).collect(),
            to: *dice.pick(&STATUSES),
            required_status: dice.chance(20).then_some(Status::Suspended),
        }),
        12 | 13 => Command::CreateGroup(group_edit(dice, made)),
        14 => Command::UpdateGroup { group: item_key(dice, made), edit: group_edit(dice, made) },
        15 => Command::CreateFolder(folder_edit(dice, made)),
        16 => Command::UpdateFolder { folder: item_key(dice, made), edit: folder_edit(dice, made) },
        17 => Command::CreateOrganization(organisation_edit(dice, made)),
        18 => Command::UpdateOrganizations {
            organizations: (0..=dice.roll(2)).map(|_| item_key(dice, made)).collect(),
            edit: organisation_edit(dice, made),
        },
        21 | 22 => Command::RestoreUser(user_key(dice, made)),
        23 => Command::Invite((0..=dice.roll(2)).map(|_| user_key(dice, made)).collect()),
        25 => Command::AddDepartment {
            name: (*dice.pick(&TEXTS)).to_owned(),
            number: dice.chance(50).then(|| u8::try_from(dice.roll(4)).unwrap_or(0)),
        },
        24 => Command::Account { user: UserId(id(dice, made)), action: step(dice) },
        _ => Command::DeleteItem {
            kind: *dice.pick(&[ItemKind::Group, ItemKind::Folder]),
            item: item_key(dice, made),
        },
    }
}

fn step(dice: &mut Dice) -> AccountAction {
    let key = |dice: &mut Dice| KeyHash([u8::try_from(dice.roll(3)).unwrap_or(0); 32]);
    let stored = PasswordHash("plain$long enough".into());
    let address = Some(IpAddr::from([192, 0, 2, 1]));
    match dice.roll(5) {
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

fn text(dice: &mut Dice) -> FieldUpdate<String> {
    match dice.roll(10) {
        0..=3 => FieldUpdate::Keep,
        4 => FieldUpdate::Clear,
        _ => FieldUpdate::Set((*dice.pick(&TEXTS)).to_owned()),
    }
}

fn id(dice: &mut Dice, made: u64) -> Uuid {
    Uuid::from_u128(u128::from(dice.roll(made + 2)))
}

fn user_key(dice: &mut Dice, made: u64) -> UserKey {
    match dice.roll(6) {
        0 => UserKey::Number(u32::try_from(dice.roll(12)).unwrap_or(0)),
        1 => UserKey::Email((*dice.pick(&EMAILS)).to_owned()),
        2 => UserKey::Login((*dice.pick(&EMAILS)).to_owned()),
        3 => UserKey::ExternalId((*dice.pick(&TEXTS)).to_owned()),
        _ => UserKey::Id(UserId(id(dice, made))),
    }
}

fn item_key(dice: &mut Dice, made: u64) -> ItemKey {
    match dice.roll(6) {
        0 => ItemKey::Number(u32::try_from(dice.roll(8)).unwrap_or(0)),
        1 | 2 => ItemKey::Name((*dice.pick(&TEXTS)).to_owned()),
        3 => ItemKey::ExternalId((*dice.pick(&TEXTS)).to_owned()),
        _ => ItemKey::Id(ItemId(id(dice, made))),
    }
}

fn user_edit(dice: &mut Dice, made: u64, is_new: bool) -> UserEdit {
    let mut edit = UserEdit::default();
    if is_new || dice.chance(30) {
        edit.set_text(Field::Email, FieldUpdate::Set((*dice.pick(&EMAILS)).to_owned()));
    }
    for field in [Field::GivenName, Field::FamilyName, Field::Bio, Field::City, Field::WorkPhone] {
        let given = text(dice);
        edit.set_text(field, given);
    }
    if dice.chance(30) {
        let given = text(dice);
        edit.set_text(Field::ExternalId, given);
    }
    if dice.chance(15) {
        edit.set_text(Field::UserName, FieldUpdate::Set((*dice.pick(&EMAILS)).to_owned()));
    }
    if dice.chance(30) {
        edit.department = match dice.roll(3) {
            0 => FieldUpdate::Clear,
            1 => FieldUpdate::Set(DepartmentRef::Number(u8::try_from(dice.roll(4)).unwrap_or(0))),
            _ => FieldUpdate::Set(DepartmentRef::Name((*dice.pick(&TEXTS)).to_owned())),
        };
    }
    if dice.chance(30) {
        let number = |dice: &mut Dice| dice.chance(50).then(|| u32::try_from(1 + dice.roll(4)).unwrap_or(1));
        edit.organization = FieldUpdate::Set(OrganizationRef {
            number: number(dice),
            name: dice.chance(60).then(|| (*dice.pick(&TEXTS)).to_owned()),
            office_number: number(dice),
        });
    }
    if dice.chance(30) {
        edit.role = FieldUpdate::Set(RoleRef::Number(u32::try_from(dice.roll(8)).unwrap_or(0)));
    }
    if dice.chance(30) {
        edit.groups = FieldUpdate::Set((0..dice.roll(3)).map(|_| item_key(dice, made)).collect());
    }
    if dice.chance(20) {
        edit.folders = FieldUpdate::Set((0..dice.roll(3)).map(|_| item_key(dice, made)).collect());
    }
    if dice.chance(30) {
        edit.status = FieldUpdate::Set(match dice.roll(3) {
            0 => RequestedStatus::Inactive,
            1 => RequestedStatus::Active,
            _ => RequestedStatus::Exact(*dice.pick(&STATUSES)),
        });
    }
    if dice.chance(20) {
        let link = ProfileLink::new(ProfileLinkKind::Social, "n", *dice.pick(&TEXTS));
        edit.links.push((ProfileLinkKind::Social, FieldUpdate::Set(vec![link])));
        edit.metadata =
            FieldUpdate::Set(vec![MetadataEntry { key: "k".into(), value: (*dice.pick(&TEXTS)).to_owned() }]);
    }
    plurals(dice, &mut edit);
    if dice.chance(10) {
        edit.office = FieldUpdate::Set(u32::try_from(dice.roll(9)).unwrap_or(0));
    }
    if dice.chance(20) {
        edit.password = Some((*dice.pick(&["long enough", "short"])).into());
    }
    edit.invite = is_new && dice.chance(40);
    edit.id = (is_new && dice.chance(15)).then(|| UserId(id(dice, made)));
    edit
}

fn plurals(dice: &mut Dice, edit: &mut UserEdit) {
    for field in [Field::Emails, Field::Phones, Field::Roles, Field::MessagingLinks] {
        if dice.chance(15) {
            edit.multi_valued
                .push((field, FieldUpdate::Set((0..dice.roll(4)).map(|_| entry(dice, field)).collect())));
        }
    }
    if dice.chance(15) {
        let address = |dice: &mut Dice| Address {
            line1: Some((*dice.pick(&TEXTS)).to_owned()),
            primary: dice.chance(30).then_some(true),
            kind: dice.chance(80).then(|| (*dice.pick(&KINDS)).to_owned()),
            ..Address::default()
        };
        edit.addresses = FieldUpdate::Set((0..dice.roll(3)).map(|_| address(dice)).collect());
    }
}

fn entry(dice: &mut Dice, field: Field) -> TypedValue {
    let values: &[&str] = match field {
        Field::Emails => &EMAILS,
        Field::Roles => &["Admin", "user", "Some other", ""],
        _ => &TEXTS,
    };
    TypedValue {
        value: (*dice.pick(values)).to_owned(),
        kind: dice.chance(70).then(|| (*dice.pick(&KINDS)).to_owned()),
        display: dice.chance(20).then(|| (*dice.pick(&TEXTS)).to_owned()),
        primary: dice.chance(30).then(|| dice.chance(60)),
    }
}

fn group_edit(dice: &mut Dice, made: u64) -> GroupEdit {
    let keys = |dice: &mut Dice| (0..dice.roll(4)).map(|_| user_key(dice, made)).collect();
    GroupEdit {
        id: dice.chance(10).then(|| ItemId(id(dice, made))),
        name: text(dice),
        external_id: text(dice),
        members: match dice.roll(4) {
            0 => None,
            3 => Some(MemberEdit::Change { add: keys(dice), remove: keys(dice) }),
            1 => Some(MemberEdit::Replace(keys(dice))),
            _ => Some(MemberEdit::Add(keys(dice), dice.chance(50))),
        },
    }
}

fn folder_edit(dice: &mut Dice, made: u64) -> FolderEdit {
    FolderEdit {
        id: dice.chance(20).then(|| ItemId(id(dice, made))),
        name: text(dice),
        external_id: text(dice),
        description: text(dice),
        restricted_to: if dice.chance(20) {
            FieldUpdate::Set(ItemId(id(dice, made)))
        } else {
            FieldUpdate::Keep
        },
        ..FolderEdit::default()
    }
}

fn organisation_edit(dice: &mut Dice, made: u64) -> OrganizationEdit {
    let domains = ["example.com", "x.de", "corp.org", "no domain"];
    OrganizationEdit {
        id: dice.chance(10).then(|| ItemId(id(dice, made))),
        number: dice.chance(20).then(|| u32::try_from(dice.roll(6)).unwrap_or(0)),
        name: text(dice),
        status: dice.chance(20).then_some(OrganizationStatus::Disabled),
        domains: FieldUpdate::Set((0..dice.roll(2)).map(|_| (*dice.pick(&domains)).to_owned()).collect()),
        office_numbers: FieldUpdate::Set(
            (0..dice.roll(2)).map(|_| u32::try_from(1 + dice.roll(4)).unwrap_or(1)).collect(),
        ),
        ..OrganizationEdit::default()
    }
}
