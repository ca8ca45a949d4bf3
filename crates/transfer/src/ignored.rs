//! What a file contains and an import does not take.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Part {
    Sheet,
    /// Entries of a directory, by their object class.
    Entry,
    Column,
    Attribute,
    User,
}

/// Why it is not imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// No column has this name.
    Unknown,
    /// Rows of this kind have no such column.
    OtherKind,
    /// Another column of the row means the same.
    Duplicate,
    /// There is one value only, and this is a second one.
    FurtherValue,
    /// The value is a URL (RFC 2849), which is never opened.
    Url,
    /// The value is not text.
    Binary,
    /// Its values are numbers of the other system.
    Numbers,
    /// Its values are ids that are not UUIDs, and there is an external id beside it.
    NotUuid,
    /// The password is hidden, as in `****`.
    Hidden,
    /// The sheet was not chosen.
    NotChosen,
    /// Nothing here corresponds to it.
    NotImported,
    /// None of its values is a role here.
    UnknownRoles,
    /// The file says that the user is deleted.
    Deleted,
}

/// Something that is not imported, and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    /// What it is.
    pub part: Part,
    /// Its header, attribute, sheet or object class.
    pub name: String,
    /// Why.
    pub reason: Reason,
    /// Values, entries or users; 1 for a sheet.
    pub count: u64,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, name, reason, count } = self;
        let many = |one: &str, many: &str| format!("{count} {}", if *count == 1 { one } else { many });
        let values = || many("value", "values");
        let place = match part {
            Part::Attribute => "attribute",
            _ => "column",
        };
        match (part, reason) {
            (Part::Sheet, _) => write!(f, "sheet '{name}': not read (choose it with --sheet)"),
            (Part::Entry, _) => write!(f, "class '{name}': {}, not imported", many("entry", "entries")),
            (Part::User, _) => write!(f, "{}, deleted according to '{name}'", many("user", "users")),
            (_, Reason::Unknown) => {
                write!(
                    f,
                    "{place} '{name}': {}, unknown {place} (see `muster import --list-columns`)",
                    values()
                )
            }
            (_, Reason::OtherKind) => {
                write!(f, "{place} '{name}': {}, in rows of a kind that has no such column", values())
            }
            (_, Reason::Duplicate) => {
                write!(f, "{place} '{name}': {}, another {place} means the same", values())
            }
            (_, Reason::FurtherValue) => {
                write!(f, "{place} '{name}': {}, only one is kept", many("further value", "further values"))
            }
            (_, Reason::Url) => {
                write!(f, "{place} '{name}': {}, a URL, which is never opened", values())
            }
            (_, Reason::Binary) => write!(f, "{place} '{name}': {}, not text", values()),
            (_, Reason::Numbers) => {
                write!(f, "{place} '{name}': {}, numbers of the other system (map it with --map)", values())
            }
            (_, Reason::NotUuid) => write!(f, "{place} '{name}': {}, not UUIDs", values()),
            (_, Reason::UnknownRoles) => {
                write!(
                    f,
                    "{place} '{name}': {}, none is a role here (`muster role add` creates roles)",
                    values()
                )
            }
            (_, Reason::Hidden) => write!(f, "{place} '{name}': {}, a hidden password", values()),
            (_, Reason::NotChosen | Reason::NotImported | Reason::Deleted) => {
                write!(f, "{place} '{name}': {}, not imported", values())
            }
        }
    }
}

/// Counts what is not imported.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredCounts(BTreeMap<(Part, String, Reason), u64>);

impl IgnoredCounts {
    pub(crate) fn add(&mut self, part: Part, name: &str, reason: Reason, count: u64) {
        if count > 0 {
            *self.0.entry((part, name.to_owned(), reason)).or_default() += count;
        }
    }

    pub(crate) fn into_list(self) -> Vec<Ignored> {
        let one = |((part, name, reason), count)| Ignored { part, name, reason, count };
        self.0.into_iter().map(one).collect()
    }
}
