//! What nobody else in a tenant may have, as text in named spaces: the one definition of "unique" for all
//! engines.

use directory::{Field, Item, ItemId, ItemKey, ItemKind, User, domain_key, identifier_key, nfc};
use std::borrow::Cow;
use std::collections::BTreeSet;
use unicase::UniCase;

/// One thing claimed, and the field to blame when another has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Claim {
    /// Which sort of thing.
    pub(crate) space: u8,
    /// In the form in which it is compared.
    pub(crate) text: String,
    /// Whose fault a clash is.
    pub(crate) field: Field,
}

impl Claim {
    /// Whether it is a user's, and not an item's.
    pub(crate) fn is_of_user(&self) -> bool {
        self.space < ITEMS
    }

    /// What those are called who have such a claim.
    pub(crate) fn owners(&self) -> &'static str {
        let kind = ItemKind::ALL.into_iter().find(|kind| self.space / 10 == ITEMS / 10 + kind_number(*kind));
        match kind {
            None => "users",
            Some(ItemKind::Group) => "groups",
            Some(ItemKind::Folder) => "folders",
            Some(ItemKind::Organization) => "organisations",
            Some(ItemKind::Role) => "roles",
            Some(ItemKind::Department) => "departments",
        }
    }

    /// Whether no two may have both of these.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.space == other.space && self.text == other.text
    }
}

/// User names and primary e-mails share this one space (decision 9).
pub(crate) const HANDLES: u8 = 0;
/// External ids of users.
pub(crate) const USER_EXTERNAL_IDS: u8 = 1;
/// User names and emails as they were compared before the migration `identifiers`, of users who do not hold the key of now
/// since an older user does. They sign in with these.
pub(crate) const FORMER_HANDLES: u8 = 2;
/// The first space of items; each kind has ten.
const ITEMS: u8 = 10;

/// How identifiers are compared.
pub(crate) struct Keys {
    /// User names, emails and names of items, without regard to case.
    identifier: fn(&str) -> String,
    domain: fn(&str) -> String,
    /// External ids, whose case counts.
    exact: fn(&str) -> Cow<'_, str>,
}

/// How they are compared now.
const KEYS: Keys = Keys { identifier: identifier_key, domain: domain_key, exact: nfc };

/// How versions before the migration `identifiers` compared them: by full case folding alone.
pub(crate) const EARLIER_KEYS: Keys = Keys { identifier: case_folded, domain: case_folded, exact: unchanged };

fn unchanged(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

pub(crate) fn case_folded(text: &str) -> String {
    UniCase::unicode(text).to_folded_case()
}

/// What the user signed in with before the migration `identifiers`.
pub(crate) fn former_handles(user: &User) -> Vec<String> {
    let claims = of_user_by(user, &EARLIER_KEYS);
    claims.into_iter().filter(|claim| claim.space == HANDLES).map(|claim| claim.text).collect()
}

/// The key under which a former handle is stored.
pub(crate) fn former_key(handle: &str) -> String {
    case_folded(handle)
}

/// Whether a user name or the email is spelled like this, but for letter case. A former handle stays stored when the user gets
/// another.
pub(crate) fn is_spelled(user: &User, handle: &str) -> bool {
    former_handles(user).contains(&case_folded(handle))
}

/// What a person claims, in the order in which conflicts are reported.
pub(crate) fn of_user(user: &User) -> Vec<Claim> {
    of_user_by(user, &KEYS)
}

/// What a person claims with these keys.
pub(crate) fn of_user_by(user: &User, keys: &Keys) -> Vec<Claim> {
    let mut claims = Vec::with_capacity(3);
    if let Some(email) = user.email() {
        claims.push(Claim { space: HANDLES, text: (keys.identifier)(email), field: Field::Email });
    }
    let name = (keys.identifier)(&user.user_name);
    if claims.first().is_none_or(|email| email.text != name) {
        claims.push(Claim { space: HANDLES, text: name, field: Field::UserName });
    }
    if let Some(id) = &user.external_id {
        let text = external_id_by(id, keys);
        claims.push(Claim { space: USER_EXTERNAL_IDS, text, field: Field::ExternalId });
    }
    claims
}

/// E-mails besides the preferred one, as they are compared. They are searched for, and claimed by nobody.
pub(crate) fn mentions(user: &User) -> Vec<String> {
    mentions_by(user, &KEYS)
}

/// E-mails besides the preferred one, with these keys.
pub(crate) fn mentions_by(user: &User, keys: &Keys) -> Vec<String> {
    if user.emails.len() < 2 {
        return Vec::new();
    }
    let preferred = user.email().map(keys.identifier);
    let mut others: Vec<String> = user.emails.iter().map(|entry| (keys.identifier)(&entry.value)).collect();
    others.retain(|email| Some(email) != preferred.as_ref());
    others.sort_unstable();
    others.dedup();
    others
}

/// What an item claims, in the order in which conflicts are reported.
pub(crate) fn of_item(item: &Item) -> Vec<Claim> {
    of_item_by(item, &KEYS)
}

/// What an item claims with these keys.
pub(crate) fn of_item_by(item: &Item, keys: &Keys) -> Vec<Claim> {
    item.unique_keys().iter().filter_map(|key| of_key_by(item.kind(), key, keys)).collect()
}

/// The claim under which an item is found by `key`; `None` when that key is none.
pub(crate) fn of_key(kind: ItemKind, key: &ItemKey) -> Option<Claim> {
    of_key_by(kind, key, &KEYS)
}

fn of_key_by(kind: ItemKind, key: &ItemKey, keys: &Keys) -> Option<Claim> {
    let base = ITEMS + 10 * kind_number(kind);
    let (place, text, field) = match key {
        ItemKey::Id(_) | ItemKey::Number(_) => return None,
        // Departments are told apart to the letter.
        ItemKey::Name(name) if kind == ItemKind::Department => (0, name.clone(), Field::Name),
        ItemKey::Name(name) => (0, (keys.identifier)(name), Field::Name),
        ItemKey::ExternalId(id) => (1, external_id_by(id, keys), Field::ExternalId),
        ItemKey::Domain(domain) => (2, (keys.domain)(domain), Field::Domains),
        ItemKey::OfficeNumber(number) => (3, number.to_string(), Field::Addresses),
    };
    Some(Claim { space: base + place, text, field })
}

/// How a kind is stored.
pub(crate) fn kind_number(kind: ItemKind) -> u8 {
    match kind {
        ItemKind::Group => 0,
        ItemKind::Folder => 1,
        ItemKind::Organization => 2,
        ItemKind::Role => 3,
        ItemKind::Department => 4,
    }
}

/// External ids are unique to the letter and searched in any case. The identifier key in front serves both with
/// one index; a NUL cannot be part of either.
pub(crate) fn external_id(id: &str) -> String {
    external_id_by(id, &KEYS)
}

fn external_id_by(id: &str, keys: &Keys) -> String {
    format!("{}\0{}", (keys.identifier)(id), (keys.exact)(id))
}

/// The range of claims whose external id has this identifier key.
pub(crate) fn external_ids_like(key: &str) -> (String, String) {
    (format!("{key}\0"), format!("{key}\u{1}"))
}

/// The number of the first item of a kind.
pub(crate) fn first_number(kind: ItemKind) -> u32 {
    // 1 to 6 are the built-in roles.
    if kind == ItemKind::Role { 7 } else { 1 }
}
/// What is in one of two lists and not in the other.
pub(crate) fn only_in_one(old: &[ItemId], new: &[ItemId]) -> Vec<ItemId> {
    let set = |list: &[ItemId]| list.iter().copied().collect::<BTreeSet<_>>();
    set(old).symmetric_difference(&set(new)).copied().collect()
}
