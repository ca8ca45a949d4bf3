//! What nobody else in a tenant may have, as text in named spaces: the one definition of "unique" for all
//! engines.

use directory::{Field, Item, ItemId, ItemKey, ItemKind, User, fold};
use std::collections::BTreeSet;

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
    /// Whether no two may have both of these.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.space == other.space && self.text == other.text
    }
}

/// User names and primary e-mails share this one space (decision 9).
pub(crate) const HANDLES: u8 = 0;
/// External ids of users.
pub(crate) const USER_EXTERNAL_IDS: u8 = 1;
/// The first space of items; each kind has ten.
const ITEMS: u8 = 10;

/// What a person claims, in the order in which conflicts are reported.
pub(crate) fn of_user(user: &User) -> Vec<Claim> {
    let mut claims = Vec::with_capacity(3);
    if let Some(email) = user.email() {
        claims.push(Claim { space: HANDLES, text: fold(email), field: Field::Email });
    }
    let name = fold(&user.user_name);
    if claims.first().is_none_or(|email| email.text != name) {
        claims.push(Claim { space: HANDLES, text: name, field: Field::UserName });
    }
    if let Some(id) = &user.external_id {
        claims.push(Claim { space: USER_EXTERNAL_IDS, text: external_id(id), field: Field::ExternalId });
    }
    claims
}

/// E-mails besides the preferred one, as they are compared. They are searched for, and claimed by nobody.
pub(crate) fn mentions(user: &User) -> Vec<String> {
    if user.emails.len() < 2 {
        return Vec::new();
    }
    let preferred = user.email().map(fold);
    let mut others: Vec<String> = user.emails.iter().map(|entry| fold(&entry.value)).collect();
    others.retain(|email| Some(email) != preferred.as_ref());
    others.sort_unstable();
    others.dedup();
    others
}

/// What an item claims, in the order in which conflicts are reported.
pub(crate) fn of_item(item: &Item) -> Vec<Claim> {
    item.unique_keys().iter().filter_map(|key| of_key(item.kind(), key)).collect()
}

/// The claim under which an item is found by `key`; `None` when that key is none.
pub(crate) fn of_key(kind: ItemKind, key: &ItemKey) -> Option<Claim> {
    let base = ITEMS + 10 * kind_number(kind);
    Some(match key {
        ItemKey::Id(_) | ItemKey::Number(_) => return None,
        ItemKey::Name(name) => Claim { space: base, text: Item::name_key(kind, name), field: Field::Name },
        ItemKey::ExternalId(id) => Claim { space: base + 1, text: external_id(id), field: Field::ExternalId },
        ItemKey::Domain(domain) => Claim { space: base + 2, text: fold(domain), field: Field::Domains },
        ItemKey::Address(number) => {
            Claim { space: base + 3, text: number.to_string(), field: Field::Addresses }
        }
    })
}

/// How a kind is stored.
pub(crate) fn kind_number(kind: ItemKind) -> u8 {
    match kind {
        ItemKind::Group => 0,
        ItemKind::Folder => 1,
        ItemKind::Organisation => 2,
        ItemKind::Role => 3,
        ItemKind::Department => 4,
    }
}

/// External ids are unique to the letter and searched in any case. The folded text in front serves both with
/// one index; a NUL cannot be part of either.
pub(crate) fn external_id(id: &str) -> String {
    format!("{}\0{id}", fold(id))
}

/// The range of claims whose external id folds to `folded`.
pub(crate) fn external_ids_like(folded: &str) -> (String, String) {
    (format!("{folded}\0"), format!("{folded}\u{1}"))
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
