//! A file that was read to its end: its headers, and the cells of its rows.

use super::entry::{Attribute, Role, kind_of};
use super::keys::{hash, name_hash};
use super::named_entries::{Entries, is_distinguished};
use crate::column::{Cell, Column, Kind, What, named};
use crate::formats::{Format, Row};
use crate::ignored::{Ignored, Reason};
use crate::ldif_names::is_own;
use crate::{dn, value};
use directory::{Field, FieldUpdate, ItemKind, identifier_key, nfc};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A header of the file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) column: Option<&'static Column>,
    pub(super) attribute: Attribute,
    /// Whether another header of the file means the same.
    pub(super) is_duplicate: bool,
    /// Whether it decides by the values below it if it is a status.
    pub(super) or_status: bool,
}

/// What reading a file to its end has found.
#[derive(Debug, Default)]
pub struct Scan {
    /// The number of its rows.
    pub rows: u64,
    /// The number of its rows of users.
    pub users: u64,
    /// What will not be imported.
    pub ignored: Vec<Ignored>,
    pub(super) headers: Vec<Header>,
    /// Keys that more than one row has, as hashes.
    pub(super) twice: HashMap<u64, Option<u64>>,
    /// All keys as hashes in order, if rows refer to other users.
    pub(super) keys: Vec<u64>,
    /// Entries by their distinguished names.
    pub(super) entries: Entries,
    /// Hashes of the names of users and what they sign in with, if rows name managers; `None` for names of more than one user.
    pub(super) names: HashMap<u64, Option<String>>,
    /// Whether rows name members of groups.
    pub(super) has_members: bool,
    /// Names of roles of users, if each row has one; of the first ones.
    pub(super) roles: HashSet<String>,
    /// How many there are.
    pub(super) role_values: u64,
    /// What else there is to say of its headers.
    pub(super) notes: Vec<String>,
    /// The file that was read.
    pub(super) identity: Option<Identity>,
    /// Its delimiter, if it is CSV.
    pub(super) delimiter: Option<u8>,
    /// Entries of a directory, which say the same in many attributes: the first counts.
    pub(super) is_directory: bool,
    pub(super) format: Option<Format>,
}

/// What a row is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    Kind(Kind),
    /// An entry of a directory that is not imported, by its object class.
    Other(String),
    /// A word that means no kind.
    Unknown(String),
}

impl Scan {
    /// The header of a column in the file.
    pub(super) fn header_of(&self, what: impl Fn(What) -> bool) -> Option<&str> {
        self.place_of(what).map(|place| self.headers[place].name.as_str())
    }

    /// Its place.
    pub(super) fn place_of(&self, what: impl Fn(What) -> bool) -> Option<usize> {
        self.headers.iter().position(|header| header.column.is_some_and(|column| what(column.what)))
    }

    /// What a row is about.
    pub(super) fn about(&self, row: &Row) -> About {
        if let Some(kind) = row.kind {
            return About::Kind(kind);
        }
        let cell = |what: What| {
            let is_it = |place: usize| self.headers[place].column.is_some_and(|column| column.what == what);
            row.cells.iter().find(|(place, _)| is_it(*place)).map(|(_, value)| value)
        };
        if let Some(Ok(FieldUpdate::Set(word))) = cell(What::Kind).map(value::text) {
            return Kind::of_word(&word).map_or(About::Unknown(word), About::Kind);
        }
        match cell(What::ObjectClass).map(value::texts) {
            Some(Ok(classes)) if !classes.is_empty() => match kind_of(classes.iter().map(String::as_str)) {
                Some(kind) => About::Kind(kind),
                None => About::Other(classes.last().cloned().unwrap_or_default()),
            },
            _ if self.format == Some(Format::Ldif) => About::Other("none".into()),
            _ => About::Kind(Kind::User),
        }
    }

    /// The cells of a row of a kind whose columns are known. `note` gets the values that are not imported.
    pub(super) fn cells<'a>(
        &self,
        row: &'a Row,
        kind: Kind,
        note: &mut dyn FnMut(usize, Reason, u64),
    ) -> Vec<Cell<'a>> {
        let has = |what: What| {
            row.cells.iter().any(|(place, _)| self.headers[*place].column.is_some_and(|c| c.what == what))
        };
        let has_names =
            has(What::Text(Field::GivenName)) || has(What::Text(Field::FamilyName)) || has(What::Kind);
        let mut cells: Vec<(usize, Cell<'a>)> = Vec::with_capacity(row.cells.len());
        for (place, value) in &row.cells {
            let header = &self.headers[*place];
            let column = match header.attribute.role(kind, has_names, has(What::Name)) {
                _ if !self.is_directory => header.column,
                Role::Header => header.column,
                Role::Column(name) => named(name),
                Role::Nothing => None,
            };
            let values = count(value);
            let Some(column) = column else {
                if header.is_duplicate || header.attribute == Attribute::CommonName {
                    note(*place, Reason::Duplicate, values);
                } else if !header.or_status {
                    note(*place, Reason::Unknown, values);
                }
                continue;
            };
            let is_name = column.what == What::Name && kind == Kind::User;
            // Rows of items in a table are rejected if they have values for what only others have.
            let is_error = kind != Kind::User && !self.is_directory;
            // What the directory itself knows is written to files only.
            let is_written_only = kind == Kind::User && matches!(column.what, What::Moment(_) | What::Number);
            if is_written_only {
                note(*place, Reason::NotImported, values);
            } else if !column.is_of(kind) && !is_name && !is_error {
                note(*place, Reason::OtherKind, values);
            } else if is_name && has(What::Text(Field::FormattedName)) {
                note(*place, Reason::Duplicate, values);
            } else if column.what == What::Password && is_hidden(value) {
                note(*place, Reason::Hidden, values);
            } else {
                let column =
                    if self.is_directory { of_entry(column, value, has(What::Kind)) } else { column };
                if values > 1 && is_single(column) {
                    note(*place, Reason::FurtherValue, values - 1);
                }
                cells.push((*place, (column, self.references(column, value, header))));
            }
        }
        // In the order of the table: what is said twice is said by the later column. Values without a language come first.
        let has_option = |place: usize| self.headers[place].name.contains(';');
        cells.sort_by_key(|(place, (column, _))| (std::ptr::from_ref::<Column>(column), has_option(*place)));
        if self.is_directory {
            cells.dedup_by(|(place, (next, value)), (_, (first, _))| {
                let is_same = std::ptr::eq(*next, *first);
                if is_same && !matches!(next.what, What::Dn | What::ObjectClass) {
                    note(*place, Reason::Duplicate, count(value));
                }
                is_same
            });
        }
        let mut cells: Vec<Cell<'a>> = cells.into_iter().map(|(_, cell)| cell).collect();
        if kind == Kind::Item(ItemKind::Group) && self.is_directory && !self.is_export() {
            self.entries.name_group(&mut cells);
        }
        cells
    }

    /// Whether a row of users is of an export of our own, which says of each what kind it is, or is in a sheet of that kind.
    pub(super) fn is_own(&self, row: &Row, cells: &[Cell<'_>]) -> bool {
        let has = |what: What| cells.iter().any(|(column, _)| column.what == what);
        has(What::Id) && (has(What::Kind) || row.kind.is_some() && self.has_our_header())
    }

    /// Whether it is an export of our own, whose texts are what they look like.
    fn is_export(&self) -> bool {
        let has_kinds = |header: &Header| header.column.is_some_and(|column| column.what == What::Kind);
        self.headers.iter().any(has_kinds) || self.format == Some(Format::Xlsx) && self.has_our_header()
    }

    /// Whether a header is written as only our own exports write it.
    fn has_our_header(&self) -> bool {
        self.headers.iter().any(|header| header.name == "doNotEmail")
    }

    /// A value in which distinguished names are apart, and those of groups replaced by their names.
    fn references<'a>(&self, column: &Column, value: &'a Value, header: &Header) -> Cow<'a, Value> {
        let is_list = matches!(column.what, What::Groups | What::Members | What::Folders);
        if self.is_export() && (self.format != Some(Format::Ldif) || is_own(&header.name)) {
            return Cow::Borrowed(value);
        }
        let Some(text) = value.as_str().filter(|_| is_list) else {
            return match value {
                Value::Array(list) if column.what == What::Groups => {
                    let group = |text: &str| Value::from(self.entries.group(text));
                    let name = |value: &Value| value.as_str().map_or(value.clone(), group);
                    Cow::Owned(list.iter().map(name).collect())
                }
                value => Cow::Borrowed(value),
            };
        };
        let names = dn::split(text);
        if names.first().is_some_and(|first| is_distinguished(first)) {
            let name = |name: &&str| match column.what {
                What::Groups => Value::from(self.entries.group(name)),
                _ => Value::from(*name),
            };
            return Cow::Owned(names.iter().map(name).collect());
        }
        // Where semicolons are between cells, some programs have commas between groups.
        let has_commas =
            self.delimiter.is_some_and(|delimiter| delimiter == b';') && column.what == What::Groups;
        if has_commas && !text.contains([';', '"']) && text.contains(',') {
            return Cow::Owned(text.split(',').map(|name| Value::from(value::trimmed(name))).collect());
        }
        // A value of a directory is no list in one text.
        if self.format == Some(Format::Ldif) && !is_own(&header.name) {
            return Cow::Owned(Value::Array(vec![value.clone()]));
        }
        Cow::Borrowed(value)
    }

    /// What a reference to a user may be looked up by, in order: as it is written, and if it is a distinguished name, by what its
    /// entry in the file says, or by its innermost part unless that is another user of the file.
    pub(super) fn user_keys(&self, text: &str) -> Vec<String> {
        let by_dn = self.entries.user(text, |name| self.has_user(name));
        std::iter::once(text.to_owned()).chain(by_dn.filter(|key| key != text)).collect()
    }

    /// Whether a row of the file has this key: an id, external id, email or user name.
    pub(super) fn has_user(&self, text: &str) -> bool {
        let keys = [("id", text.to_lowercase()), ("external id", nfc(text).into_owned())];
        let keys = keys.into_iter().chain([("handle", identifier_key(text))]);
        keys.into_iter().any(|(space, text)| self.keys.binary_search(&hash(Kind::User, space, &text)).is_ok())
    }

    /// What the only user of that name in the file signs in with.
    pub(super) fn user_of_name(&self, name: &str) -> Option<&String> {
        self.names.get(&name_hash(name))?.as_ref()
    }
}

/// How many values there are in a cell.
pub(super) fn count(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(list) => list.len() as u64,
        _ => 1,
    }
}

/// Whether a column has one value at most.
fn is_single(column: &Column) -> bool {
    !matches!(
        column.what,
        What::Entries(_)
            | What::Links(_)
            | What::PostalAddresses
            | What::Metadata
            | What::Roles
            | What::Groups
            | What::Folders
            | What::Members
            | What::Domains
            | What::Offices
            | What::KeyContacts
            | What::Entries4Folder
            | What::ObjectClass
            | What::Ignored
    )
}

/// The column of an attribute of a directory's entry whose values say more: several emails are a list, and a stored password of
/// our own export is a hash.
fn of_entry(column: &'static Column, value: &Value, is_own: bool) -> &'static Column {
    match column.what {
        What::Text(Field::Email) if count(value) > 1 => named("emails").unwrap_or(column),
        What::LdapPassword if is_own => named("passwordHash").unwrap_or(column),
        _ => column,
    }
}

/// Whether a password is one that another program does not show.
fn is_hidden(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.chars().all(|c| matches!(c, '*' | '•')))
}

/// Identifies the version of a file: device, inode, size, and the time of its last change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity(u64, u64, u64, i64, i64);

impl Identity {
    /// Of the file at a path.
    pub(super) fn of(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self(file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    }
}
