//! Values that only one user or item of a tenant can have, as text in namespaces. The only definition of
//! uniqueness, for all engines.

use directory::{Field, Item, ItemId, ItemKey, ItemKind, User, domain_key, identifier_key, nfc};
use std::borrow::Cow;
use std::collections::BTreeSet;
use unicase::UniCase;

/// A unique key, and the field to report if another owner has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UniqueKey {
    pub namespace: u8,
    /// In normalized form.
    pub text: String,
    pub field: Field,
}

impl UniqueKey {
    pub fn is_of_user(&self) -> bool {
        self.namespace < FIRST_ITEM_NAMESPACE
    }

    /// The plural for messages.
    pub fn owner_label(&self) -> &'static str {
        let kind =
            ItemKind::ALL.into_iter().find(|kind| self.namespace / 10 == FIRST_ITEM_NAMESPACE / 10 + kind_index(*kind));
        match kind {
            None => "users",
            Some(ItemKind::Group) => "groups",
            Some(ItemKind::Folder) => "folders",
            Some(ItemKind::Organization) => "organizations",
            Some(ItemKind::Role) => "roles",
            Some(ItemKind::Department) => "departments",
        }
    }

    pub fn has_same_key(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.text == other.text
    }
}

/// User names and primary emails share this namespace.
pub const LOGINS: u8 = 0;
pub const USER_EXTERNAL_IDS: u8 = 1;
/// User names and emails in the normalization from before the migration `identifiers`, of users whose current key
/// belongs to an older user. They sign in with these.
pub const FORMER_LOGINS: u8 = 2;
/// The first namespace of items; each kind has ten.
const FIRST_ITEM_NAMESPACE: u8 = 10;

/// How identifiers are normalized for comparison.
pub struct KeyNormalizers {
    /// User names, emails and names of items; case-insensitive.
    identifier: fn(&str) -> String,
    domain: fn(&str) -> String,
    /// External ids; case-sensitive.
    external_id: fn(&str) -> Cow<'_, str>,
}

const CURRENT_NORMALIZERS: KeyNormalizers =
    KeyNormalizers { identifier: identifier_key, domain: domain_key, external_id: nfc };

/// The normalization before the migration `identifiers`: full case folding only.
pub const LEGACY_NORMALIZERS: KeyNormalizers =
    KeyNormalizers { identifier: case_folded, domain: case_folded, external_id: unchanged };

fn unchanged(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

pub fn case_folded(text: &str) -> String {
    UniCase::unicode(text).to_folded_case()
}

/// The user name and email as normalized before the migration `identifiers`.
pub fn former_logins(user: &User) -> Vec<String> {
    let claims = of_user_with(user, &LEGACY_NORMALIZERS);
    claims.into_iter().filter(|claim| claim.namespace == LOGINS).map(|claim| claim.text).collect()
}

pub fn former_login_key(login: &str) -> String {
    case_folded(login)
}

/// Whether a user name or the email has this spelling, ignoring case. A former login stays stored when the user
/// gets another.
pub fn has_login_spelling(user: &User, login: &str) -> bool {
    former_logins(user).contains(&case_folded(login))
}

/// In the order in which conflicts are reported.
pub fn of_user(user: &User) -> Vec<UniqueKey> {
    of_user_with(user, &CURRENT_NORMALIZERS)
}

pub fn of_user_with(user: &User, normalizers: &KeyNormalizers) -> Vec<UniqueKey> {
    let mut claims = Vec::with_capacity(3);
    if let Some(email) = user.email() {
        claims.push(UniqueKey { namespace: LOGINS, text: (normalizers.identifier)(email), field: Field::Email });
    }
    let name = (normalizers.identifier)(&user.user_name);
    if claims.first().is_none_or(|email| email.text != name) {
        claims.push(UniqueKey { namespace: LOGINS, text: name, field: Field::UserName });
    }
    if let Some(id) = &user.external_id {
        let text = external_id_key_with(id, normalizers);
        claims.push(UniqueKey { namespace: USER_EXTERNAL_IDS, text, field: Field::ExternalId });
    }
    claims
}

/// Emails other than the preferred one, normalized. They can be searched, but are not unique.
pub fn secondary_emails(user: &User) -> Vec<String> {
    secondary_emails_with(user, &CURRENT_NORMALIZERS)
}

pub fn secondary_emails_with(user: &User, normalizers: &KeyNormalizers) -> Vec<String> {
    if user.emails.len() < 2 {
        return Vec::new();
    }
    let preferred = user.email().map(normalizers.identifier);
    let mut others: Vec<String> = user.emails.iter().map(|entry| (normalizers.identifier)(&entry.value)).collect();
    others.retain(|email| Some(email) != preferred.as_ref());
    others.sort_unstable();
    others.dedup();
    others
}

/// In the order in which conflicts are reported.
pub fn of_item(item: &Item) -> Vec<UniqueKey> {
    of_item_with(item, &CURRENT_NORMALIZERS)
}

pub fn of_item_with(item: &Item, normalizers: &KeyNormalizers) -> Vec<UniqueKey> {
    item.unique_keys().iter().filter_map(|key| of_key_with(item.kind(), key, normalizers)).collect()
}

/// The unique key for a lookup; `None` if `key` is not one.
pub fn of_key(kind: ItemKind, key: &ItemKey) -> Option<UniqueKey> {
    of_key_with(kind, key, &CURRENT_NORMALIZERS)
}

fn of_key_with(kind: ItemKind, key: &ItemKey, normalizers: &KeyNormalizers) -> Option<UniqueKey> {
    let base = FIRST_ITEM_NAMESPACE + 10 * kind_index(kind);
    let (offset, text, field) = match key {
        ItemKey::Id(_) | ItemKey::Number(_) => return None,
        // Department names are compared exactly.
        ItemKey::Name(name) if kind == ItemKind::Department => (0, name.clone(), Field::Name),
        ItemKey::Name(name) => (0, (normalizers.identifier)(name), Field::Name),
        ItemKey::ExternalId(id) => (1, external_id_key_with(id, normalizers), Field::ExternalId),
        ItemKey::Domain(domain) => (2, (normalizers.domain)(domain), Field::Domains),
        ItemKey::OfficeNumber(number) => (3, number.to_string(), Field::OfficeNumbers),
    };
    Some(UniqueKey { namespace: base + offset, text, field })
}

/// The stored number of a kind.
pub fn kind_index(kind: ItemKind) -> u8 {
    match kind {
        ItemKind::Group => 0,
        ItemKind::Folder => 1,
        ItemKind::Organization => 2,
        ItemKind::Role => 3,
        ItemKind::Department => 4,
    }
}

/// External ids are unique case-sensitively, but searched case-insensitively. The identifier key in front serves
/// both with one index; neither part can contain NUL.
pub fn external_id_key(id: &str) -> String {
    external_id_key_with(id, &CURRENT_NORMALIZERS)
}

fn external_id_key_with(id: &str, normalizers: &KeyNormalizers) -> String {
    format!("{}\0{}", (normalizers.identifier)(id), (normalizers.external_id)(id))
}

/// The range of keys whose external id has this identifier key.
pub fn external_id_key_range(key: &str) -> (String, String) {
    (format!("{key}\0"), format!("{key}\u{1}"))
}

pub fn first_item_number(kind: ItemKind) -> u32 {
    // 1 to 6 are the built-in roles.
    if kind == ItemKind::Role { 7 } else { 1 }
}

pub fn symmetric_difference(old: &[ItemId], new: &[ItemId]) -> Vec<ItemId> {
    let set = |list: &[ItemId]| list.iter().copied().collect::<BTreeSet<_>>();
    set(old).symmetric_difference(&set(new)).copied().collect()
}
