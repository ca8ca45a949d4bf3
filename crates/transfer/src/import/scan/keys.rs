//! Keys that identify the users and items of rows.

use crate::cell_value;
use crate::column::{Column, ColumnCell, ColumnKind, RecordKind};
use directory::{Field, ItemKind, UserId, UserKey, identifier_key, nfc};
use serde_json::Value;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

pub(crate) fn field_text(cells: &[ColumnCell<'_>], field: Field) -> Option<String> {
    let matches_field = |what| match what {
        ColumnKind::Text(of) => of == field,
        ColumnKind::Name => field == Field::Name,
        _ => false,
    };
    let (column, value) = cells.iter().find(|(column, _)| matches_field(column.kind))?;
    key_text(column, value)
}

/// Hashes of the names by which other rows may refer to this user as their manager.
pub(crate) fn name_hashes(cells: &[ColumnCell<'_>]) -> Vec<u64> {
    let text = |field| field_text(cells, field);
    let given_and_family = text(Field::GivenName).zip(text(Field::FamilyName));
    let given_and_family =
        given_and_family.map(|(given, family)| [format!("{given} {family}"), format!("{family}, {given}")]);
    let full_names = [Field::FormattedName, Field::DisplayName, Field::Name].into_iter().filter_map(text);
    let mut names: Vec<u64> =
        given_and_family.into_iter().flatten().chain(full_names).map(|name| name_hash(&name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(crate) fn name_hash(name: &str) -> u64 {
    let words: Vec<&str> = name.split_whitespace().collect();
    key_hash(RecordKind::User, "name", &identifier_key(&words.join(" ")))
}

pub(crate) fn key_hash(kind: RecordKind, key_kind: &str, text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (kind, key_kind, text).hash(&mut hasher);
    hasher.finish()
}

/// The keys of a row: their kinds and hashes.
pub(crate) fn row_keys(kind: RecordKind, cells: &[ColumnCell<'_>]) -> Vec<(&'static str, u64)> {
    let mut keys: Vec<(&'static str, u64)> = Vec::new();
    for (column, value) in cells {
        let Some(text) = key_text(column, value) else { continue };
        let (key_kind, text) = match (kind, column.kind) {
            // Ids of other systems are imported as external ids.
            (RecordKind::User, ColumnKind::Id) if uuid::Uuid::try_parse(&text).is_err() => {
                ("external id", nfc(&text).into_owned())
            }
            (_, ColumnKind::Id) => ("id", text.to_lowercase()),
            (_, ColumnKind::Text(Field::ExternalId)) => ("external id", nfc(&text).into_owned()),
            // Users sign in with either, so both share one namespace.
            (RecordKind::User, ColumnKind::Text(Field::Email)) => ("email", identifier_key(&text)),
            (RecordKind::User, ColumnKind::Text(Field::UserName)) => ("user name", identifier_key(&text)),
            (RecordKind::Item(ItemKind::Organization | ItemKind::Role), ColumnKind::Name) => {
                ("name", identifier_key(&text))
            }
            (RecordKind::Item(ItemKind::Department), ColumnKind::Name) => ("name", text),
            _ => continue,
        };
        let is_login = matches!(key_kind, "email" | "user name");
        let key = key_hash(kind, if is_login { "login" } else { key_kind }, &text);
        if !keys.iter().any(|(_, other)| *other == key) {
            keys.push((key_kind, key));
        }
    }
    keys
}

/// The text of a cell that may be a key.
fn key_text(column: &Column, value: &Value) -> Option<String> {
    let text = match column.kind {
        ColumnKind::Text(Field::Email | Field::UserName) => cell_value::identifier(value),
        _ => cell_value::text(value),
    };
    text.ok()?.value().cloned()
}

/// All keys of a rejected row, also those that rows are not matched by.
pub(crate) fn lookup_keys(cells: &[ColumnCell<'_>]) -> Vec<UserKey> {
    let key = |(column, value): &ColumnCell<'_>| {
        let text = key_text(column, value)?;
        match column.kind {
            ColumnKind::Id => uuid::Uuid::try_parse(&text).ok().map(|id| UserKey::Id(UserId(id))),
            ColumnKind::Number => text.parse().ok().map(UserKey::Number),
            ColumnKind::Text(Field::ExternalId) => Some(UserKey::ExternalId(text)),
            ColumnKind::Text(Field::Email | Field::UserName) => Some(UserKey::Login(text)),
            _ => None,
        }
    };
    cells.iter().filter_map(key).collect()
}
