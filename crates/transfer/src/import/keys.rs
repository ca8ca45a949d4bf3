//! What the users and items of rows are known by.

use crate::column::Cell;
use crate::column::{Column, Kind, What};
use crate::value;
use directory::{Field, ItemKind, UserId, UserKey, identifier_key, nfc};
use serde_json::Value;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// A text among cells.
pub(super) fn text_of(cells: &[Cell<'_>], field: Field) -> Option<String> {
    let is_it = |what| match what {
        What::Text(of) => of == field,
        What::Name => field == Field::Name,
        _ => false,
    };
    let (column, value) = cells.iter().find(|(column, _)| is_it(column.what))?;
    key_text(column, value)
}

/// Hashes of the names of a user.
pub(super) fn names_of(cells: &[Cell<'_>]) -> Vec<u64> {
    let text = |field| text_of(cells, field);
    let both = text(Field::GivenName).zip(text(Field::FamilyName));
    let both = both.map(|(given, family)| [format!("{given} {family}"), format!("{family}, {given}")]);
    let one = [Field::FormattedName, Field::DisplayName, Field::Name].into_iter().filter_map(text);
    let mut names: Vec<u64> = both.into_iter().flatten().chain(one).map(|name| name_hash(&name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn name_hash(name: &str) -> u64 {
    let words: Vec<&str> = name.split_whitespace().collect();
    hash(Kind::User, "name", &identifier_key(&words.join(" ")))
}

pub(super) fn hash(kind: Kind, space: &str, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, space, text).hash(&mut hasher);
    hasher.finish()
}

/// The keys of a row's user or item: what each is called, and a hash of it.
pub(super) fn keys_of(kind: Kind, cells: &[Cell<'_>]) -> Vec<(&'static str, u64)> {
    let mut keys: Vec<(&'static str, u64)> = Vec::new();
    for (column, value) in cells {
        let Some(text) = key_text(column, value) else { continue };
        let (space, text) = match (kind, column.what) {
            // Ids of other systems become external ids.
            (Kind::User, What::Id) if uuid::Uuid::try_parse(&text).is_err() => {
                ("external id", nfc(&text).into_owned())
            }
            (_, What::Id) => ("id", text.to_lowercase()),
            (_, What::Text(Field::ExternalId)) => ("external id", nfc(&text).into_owned()),
            // One space, since users sign in with either.
            (Kind::User, What::Text(Field::Email)) => ("email", identifier_key(&text)),
            (Kind::User, What::Text(Field::UserName)) => ("user name", identifier_key(&text)),
            (Kind::Item(ItemKind::Organization | ItemKind::Role), What::Name) => {
                ("name", identifier_key(&text))
            }
            (Kind::Item(ItemKind::Department), What::Name) => ("name", text),
            _ => continue,
        };
        let is_handle = matches!(space, "email" | "user name");
        let key = hash(kind, if is_handle { "handle" } else { space }, &text);
        if !keys.iter().any(|(_, other)| *other == key) {
            keys.push((space, key));
        }
    }
    keys
}

/// The text of a cell by which its user or item may be known.
fn key_text(column: &Column, value: &Value) -> Option<String> {
    let text = match column.what {
        What::Text(Field::Email | Field::UserName) => value::identifier(value),
        _ => value::text(value),
    };
    text.ok()?.value().cloned()
}

/// Everything that could identify the user of a row that was rejected, whether or not it is what rows are matched by.
pub(super) fn user_keys(cells: &[Cell<'_>]) -> Vec<UserKey> {
    let key = |(column, value): &Cell<'_>| {
        let text = key_text(column, value)?;
        match column.what {
            What::Id => uuid::Uuid::try_parse(&text).ok().map(|id| UserKey::Id(UserId(id))),
            What::Number => text.parse().ok().map(UserKey::Number),
            What::Text(Field::ExternalId) => Some(UserKey::ExternalId(text)),
            What::Text(Field::Email | Field::UserName) => Some(UserKey::Login(text)),
            _ => None,
        }
    };
    cells.iter().filter_map(key).collect()
}
