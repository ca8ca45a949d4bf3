//! What a file contains and an import does not take.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum IgnoredPart {
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
pub enum IgnoredReason {
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
    pub part: IgnoredPart,
    /// Its header, attribute, sheet or object class.
    pub name: String,
    /// Why.
    pub reason: IgnoredReason,
    /// Values, entries or users; 1 for a sheet.
    pub count: u64,
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, name, reason, count } = self;
        let many = |one: &str, many: &str| format!("{count} {}", if *count == 1 { one } else { many });
        let values = || many("value", "values");
        let noun = match part {
            IgnoredPart::Attribute => "attribute",
            _ => "column",
        };
        match (part, reason) {
            (IgnoredPart::Sheet, _) => write!(f, "sheet '{name}': not read (choose it with --sheet)"),
            (IgnoredPart::Entry, _) => {
                write!(f, "class '{name}': {}, not imported", many("entry", "entries"))
            }
            (IgnoredPart::User, _) => write!(f, "{}, deleted according to '{name}'", many("user", "users")),
            (_, IgnoredReason::Unknown) => {
                write!(f, "{noun} '{name}': {}, unknown {noun} (see `muster import --list-columns`)", values())
            }
            (_, IgnoredReason::OtherKind) => {
                write!(f, "{noun} '{name}': {}, in rows of a kind that has no such column", values())
            }
            (_, IgnoredReason::Duplicate) => {
                write!(f, "{noun} '{name}': {}, another {noun} means the same", values())
            }
            (_, IgnoredReason::FurtherValue) => {
                write!(f, "{noun} '{name}': {}, only one is kept", many("further value", "further values"))
            }
            (_, IgnoredReason::Url) => {
                write!(f, "{noun} '{name}': {}, a URL, which is never opened", values())
            }
            (_, IgnoredReason::Binary) => write!(f, "{noun} '{name}': {}, not text", values()),
            (_, IgnoredReason::Numbers) => {
                write!(f, "{noun} '{name}': {}, numbers of the other system (map it with --map)", values())
            }
            (_, IgnoredReason::NotUuid) => write!(f, "{noun} '{name}': {}, not UUIDs", values()),
            (_, IgnoredReason::UnknownRoles) => {
                write!(f, "{noun} '{name}': {}, none is a role here (`muster role add` creates roles)", values())
            }
            (_, IgnoredReason::Hidden) => write!(f, "{noun} '{name}': {}, a hidden password", values()),
            (_, IgnoredReason::NotChosen | IgnoredReason::NotImported | IgnoredReason::Deleted) => {
                write!(f, "{noun} '{name}': {}, not imported", values())
            }
        }
    }
}

/// Counts what is not imported.
#[derive(Clone, Debug, Default)]
pub(crate) struct IgnoredCounts(BTreeMap<(IgnoredPart, String, IgnoredReason), u64>);

impl IgnoredCounts {
    pub(crate) fn add(&mut self, part: IgnoredPart, name: &str, reason: IgnoredReason, count: u64) {
        if count > 0 {
            *self.0.entry((part, name.to_owned(), reason)).or_default() += count;
        }
    }

    pub(crate) fn into_list(self) -> Vec<Ignored> {
        let one = |((part, name, reason), count)| Ignored { part, name, reason, count };
        self.0.into_iter().map(one).collect()
    }
}
