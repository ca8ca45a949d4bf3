//! What nobody else in a tenant may have, as text in named spaces: the one definition of "unique" for all
//! engines.

use directory::{Field, Item, ItemId, ItemKey, ItemKind, User, domain_key, identifier_key, nfc};
use std::borrow::Cow;
use std::collections::BTreeSet;
use unicase::UniCase;

/// One thing claimed, and the field to blame when another has it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UniqueKey {
    /// Which sort of thing.
    pub(crate) namespace: u8,
    /// In the form in which it is compared.
    pub(crate) text: String,
    /// Whose fault a clash is.
    pub(crate) field: Field,
}

impl UniqueKey {
    /// Whether it is a user's, and not an item's.
    pub(crate) fn is_of_user(&self) -> bool {
        self.namespace < FIRST_ITEM_NAMESPACE
    }

    /// What those are called who have such a claim.
    pub(crate) fn owner_label(&self) -> &'static str {
        let kind =
            ItemKind::ALL.into_iter().find(|kind| self.namespace / 10 == FIRST_ITEM_NAMESPACE / 10 + kind_index(*kind));
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
    pub(crate) fn has_same_key(&self, other: &Self) -> bool {
        self.namespace == other.namespace && self.text == other.text
    }
}

/// User names and primary e-mails share this one space (decision 9).
pub(crate) const LOGINS: u8 = 0;
/// External ids of users.
pub(crate) const USER_EXTERNAL_IDS: u8 = 1;
/// User names and emails as they were compared before the migration `identifiers`, of users who do not hold the key of now
/// since an older user does. They sign in with these.
pub(crate) const FORMER_LOGINS: u8 = 2;
/// The first space of items; each kind has ten.
const FIRST_ITEM_NAMESPACE: u8 = 10;

/// How identifiers are compared.
pub(crate) struct KeyNormalizers {
    /// User names, emails and names of items, without regard to case.
    identifier: fn(&str) -> String,
    domain: fn(&str) -> String,
    /// External ids, whose case counts.
    external_id: fn(&str) -> Cow<'_, str>,
}

/// How they are compared now.
const CURRENT_NORMALIZERS: KeyNormalizers =
    KeyNormalizers { identifier: identifier_key, domain: domain_key, external_id: nfc };

/// How versions before the migration `identifiers` compared them: by full case folding alone.
pub(crate) const LEGACY_NORMALIZERS: KeyNormalizers =
    KeyNormalizers { identifier: case_folded, domain: case_folded, external_id: unchanged };

fn unchanged(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}

pub(crate) fn case_folded(text: &str) -> String {
    UniCase::unicode(text).to_folded_case()
}

/// What the user signed in with before the migration `identifiers`.
pub(crate) fn former_logins(user: &User) -> Vec<String> {
    let claims = of_user_with(user, &LEGACY_NORMALIZERS);
    claims.into_iter().filter(|claim| claim.namespace == LOGINS).map(|claim| claim.text).collect()
}

/// The key under which a former handle is stored.
pub(crate) fn former_login_key(login: &str) -> String {
    case_folded(login)
}

/// Whether a user name or the email is spelled like this, but for letter case. A former handle stays stored when the user gets
/// another.
pub(crate) fn has_former_login(user: &User, login: &str) -> bool {
    former_logins(user).contains(&case_folded(login))
}

/// What a person claims, in the order in which conflicts are reported.
pub(crate) fn of_user(user: &User) -> Vec<UniqueKey> {
    of_user_with(user, &CURRENT_NORMALIZERS)
}

/// What a person claims with these keys.
pub(crate) fn of_user_with(user: &User, normalizers: &KeyNormalizers) -> Vec<UniqueKey> {
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

/// E-mails besides the preferred one, as they are compared. They are searched for, and claimed by nobody.
pub(crate) fn secondary_emails(user: &User) -> Vec<String> {
    secondary_emails_with(user, &CURRENT_NORMALIZERS)
}

/// E-mails besides the preferred one, with these keys.
pub(crate) fn secondary_emails_with(user: &User, normalizers: &KeyNormalizers) -> Vec<String> {
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

/// What an item claims, in the order in which conflicts are reported.
pub(crate) fn of_item(item: &Item) -> Vec<UniqueKey> {
    of_item_with(item, &CURRENT_NORMALIZERS)
}

/// What an item claims with these keys.
pub(crate) fn of_item_with(item: &Item, normalizers: &KeyNormalizers) -> Vec<UniqueKey> {
    item.unique_keys().iter().filter_map(|key| of_key_with(item.kind(), key, normalizers)).collect()
}

/// The claim under which an item is found by `key`; `None` when that key is none.
pub(crate) fn of_key(kind: ItemKind, key: &ItemKey) -> Option<UniqueKey> {
    of_key_with(kind, key, &CURRENT_NORMALIZERS)
}

fn of_key_with(kind: ItemKind, key: &ItemKey, normalizers: &KeyNormalizers) -> Option<UniqueKey> {
    let base = FIRST_ITEM_NAMESPACE + 10 * kind_index(kind);
    let (offset, text, field) = match key {
        ItemKey::Id(_) | ItemKey::Number(_) => return None,
        // Departments are told apart to the letter.
        ItemKey::Name(name) if kind == ItemKind::Department => (0, name.clone(), Field::Name),
        ItemKey::Name(name) => (0, (normalizers.identifier)(name), Field::Name),
        ItemKey::ExternalId(id) => (1, external_id_key_with(id, normalizers), Field::ExternalId),
        ItemKey::Domain(domain) => (2, (normalizers.domain)(domain), Field::Domains),
        ItemKey::OfficeNumber(number) => (3, number.to_string(), Field::Addresses),
    };
    Some(UniqueKey { namespace: base + offset, text, field })
}

/// How a kind is stored.
pub(crate) fn kind_index(kind: ItemKind) -> u8 {
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
pub(crate) fn external_id_key(id: &str) -> String {
    external_id_key_with(id, &CURRENT_NORMALIZERS)
}

fn external_id_key_with(id: &str, normalizers: &KeyNormalizers) -> String {
    format!("{}\0{}", (normalizers.identifier)(id), (normalizers.external_id)(id))
}

/// The range of claims whose external id has this identifier key.
pub(crate) fn external_id_key_range(key: &str) -> (String, String) {
    (format!("{key}\0"), format!("{key}\u{1}"))
}

/// The number of the first item of a kind.
pub(crate) fn first_item_number(kind: ItemKind) -> u32 {
    // 1 to 6 are the built-in roles.
    if kind == ItemKind::Role { 7 } else { 1 }
}
/// What is in one of two lists and not in the other.
pub(crate) fn symmetric_difference(old: &[ItemId], new: &[ItemId]) -> Vec<ItemId> {
    let set = |list: &[ItemId]| list.iter().copied().collect::<BTreeSet<_>>();
    set(old).symmetric_difference(&set(new)).copied().collect()
}
