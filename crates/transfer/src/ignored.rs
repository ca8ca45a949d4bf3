//! Parts of a file that an import ignores.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IgnoredPart {
    Sheet,
    /// An LDAP entry, by object class.
    Entry,
    Column,
    Attribute,
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum IgnoredReason {
    Unknown,
    /// Rows of this kind do not have the column.
    OtherKind,
    /// Another column of the row has the same meaning.
    Duplicate,
    /// The column has one value, and this is a further one.
    FurtherValue,
    /// The value is a URL (RFC 2849). It is never opened.
    Url,
    Binary,
    /// The values are numeric codes of the source system.
    Numbers,
    /// The ids are not UUIDs, and the file has an external id column.
    NotUuid,
    /// The password is masked, as in `****`.
    Hidden,
    NotChosen,
    /// Muster has no equivalent.
    NotImported,
    /// None of the values is an existing role.
    UnknownRoles,
    /// The user is deleted in the file.
    Deleted,
}

/// An ignored part and how often it occurs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ignored {
    pub part: IgnoredPart,
    /// Header, attribute, sheet or object class.
    pub name: String,
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
            (IgnoredPart::Sheet, _) => write!(f, "sheet '{name}': not read (select it with --sheet)"),
            (IgnoredPart::Entry, _) => {
                write!(f, "object class '{name}': {}, not imported", many("entry", "entries"))
            }
            (IgnoredPart::User, _) => write!(f, "{}, deleted according to '{name}'", many("user", "users")),
            (_, IgnoredReason::Unknown) => {
                write!(f, "{noun} '{name}': {}, unknown {noun} (see `muster import --list-columns`)", values())
            }
            (_, IgnoredReason::OtherKind) => {
                write!(f, "{noun} '{name}': {}, does not apply to this kind of row", values())
            }
            (_, IgnoredReason::Duplicate) => {
                write!(f, "{noun} '{name}': {}, another {noun} has the same meaning", values())
            }
            (_, IgnoredReason::FurtherValue) => {
                write!(f, "{noun} '{name}': {}, only one is imported", many("further value", "further values"))
            }
            (_, IgnoredReason::Url) => {
                write!(f, "{noun} '{name}': {}, URLs are not downloaded", values())
            }
            (_, IgnoredReason::Binary) => write!(f, "{noun} '{name}': {}, not text", values()),
            (_, IgnoredReason::Numbers) => {
                write!(f, "{noun} '{name}': {}, numeric codes of the source system (import them with --map)", values())
            }
            (_, IgnoredReason::NotUuid) => {
                write!(f, "{noun} '{name}': {}, not UUIDs (the external id is used)", values())
            }
            (_, IgnoredReason::UnknownRoles) => {
                write!(f, "{noun} '{name}': {}, unknown roles (create roles with `muster role add`)", values())
            }
            (_, IgnoredReason::Hidden) => write!(f, "{noun} '{name}': {}, masked password", values()),
            (_, IgnoredReason::NotChosen | IgnoredReason::NotImported | IgnoredReason::Deleted) => {
                write!(f, "{noun} '{name}': {}, not imported", values())
            }
        }
    }
}

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
