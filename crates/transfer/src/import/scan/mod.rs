//! The scan of a file: its headers, and the cells of its rows by column.

pub(crate) mod dn_index;
pub(crate) mod keys;
pub(crate) mod ldap_entry;
pub(crate) mod row_stream;
pub(crate) mod scanner;

use crate::column::{Column, ColumnCell, ColumnKind, RecordKind, column_by_name};
use crate::formats::{Format, Row};
use crate::ignored::{Ignored, IgnoredReason};
use crate::import::scan::dn_index::{DnIndex, is_dn};
use crate::import::scan::keys::{key_hash, name_hash};
use crate::import::scan::ldap_entry::{AttributeMeaning, LdapAttribute, kind_of_object_classes};
use crate::ldap_attributes::is_muster_attribute;
use crate::{cell_value, dn};
use directory::{Field, FieldUpdate, ItemKind, identifier_key, nfc};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) column: Option<&'static Column>,
    pub(crate) ldap_attribute: LdapAttribute,
    /// Whether another header of the file has the same meaning.
    pub(crate) is_duplicate: bool,
    /// Whether the meaning depends on the values below the header.
    pub(crate) depends_on_values: bool,
}

/// The result of reading a file to its end.
#[derive(Debug, Default)]
pub struct Scan {
    pub rows: u64,
    pub users: u64,
    pub ignored: Vec<Ignored>,
    pub(crate) headers: Vec<Header>,
    /// Hashes of keys that several rows have, with the first of these rows once it is known.
    pub(crate) duplicate_keys: HashMap<u64, Option<u64>>,
    /// Sorted hashes of all keys, if rows refer to other users.
    pub(crate) key_hashes: Vec<u64>,
    pub(crate) dn_index: DnIndex,
    /// The logins of users by hashes of their names, if rows name managers; `None` for names of several users.
    pub(crate) logins_by_name: HashMap<u64, Option<String>>,
    pub(crate) has_members: bool,
    /// The first names of roles in rows of users.
    pub(crate) roles: HashSet<String>,
    /// The number of rows of users with a role.
    pub(crate) role_count: u64,
    pub(crate) notes: Vec<String>,
    pub(crate) file_version: Option<FileVersion>,
    /// The delimiter of a CSV file.
    pub(crate) delimiter: Option<u8>,
    /// Whether rows are LDAP entries. Several of their attributes may have the same meaning; the first one applies.
    pub(crate) has_ldap_entries: bool,
    pub(crate) format: Option<Format>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RowSubject {
    Kind(RecordKind),
    /// An LDAP entry that is not imported, by its object class.
    NotImported(String),
    /// A word that is not a kind.
    Unknown(String),
}

impl Scan {
    /// The first header of a column.
    pub(crate) fn header_name(&self, matches: impl Fn(ColumnKind) -> bool) -> Option<&str> {
        self.header_index(matches).map(|index| self.headers[index].name.as_str())
    }

    pub(crate) fn header_index(&self, matches: impl Fn(ColumnKind) -> bool) -> Option<usize> {
        self.headers.iter().position(|header| header.column.is_some_and(|column| matches(column.kind)))
    }

    pub(crate) fn subject(&self, row: &Row) -> RowSubject {
        if let Some(kind) = row.kind {
            return RowSubject::Kind(kind);
        }
        let cell = |what: ColumnKind| {
            let is_kind = |index: usize| self.headers[index].column.is_some_and(|column| column.kind == what);
            row.cells.iter().find(|(place, _)| is_kind(*place)).map(|(_, value)| value)
        };
        if let Some(Ok(FieldUpdate::Set(word))) = cell(ColumnKind::RecordKind).map(cell_value::text) {
            return RecordKind::from_word(&word).map_or(RowSubject::Unknown(word), RowSubject::Kind);
        }
        match cell(ColumnKind::ObjectClass).map(cell_value::text_list) {
            Some(Ok(classes)) if !classes.is_empty() => {
                match kind_of_object_classes(classes.iter().map(String::as_str)) {
                    Some(kind) => RowSubject::Kind(kind),
                    None => RowSubject::NotImported(classes.last().cloned().unwrap_or_default()),
                }
            }
            _ if self.format == Some(Format::Ldif) => RowSubject::NotImported("none".into()),
            _ => RowSubject::Kind(RecordKind::User),
        }
    }

    /// The cells of a row whose columns are known. `on_ignored` gets the values that are not imported.
    pub(crate) fn cells<'a>(
        &self,
        row: &'a Row,
        kind: RecordKind,
        on_ignored: &mut dyn FnMut(usize, IgnoredReason, u64),
    ) -> Vec<ColumnCell<'a>> {
        let has = |what: ColumnKind| {
            row.cells.iter().any(|(place, _)| self.headers[*place].column.is_some_and(|c| c.kind == what))
        };
        let has_names = has(ColumnKind::Text(Field::GivenName))
            || has(ColumnKind::Text(Field::FamilyName))
            || has(ColumnKind::RecordKind);
        let mut cells: Vec<(usize, ColumnCell<'a>)> = Vec::with_capacity(row.cells.len());
        for (index, value) in &row.cells {
            let header = &self.headers[*index];
            let column = match header.ldap_attribute.meaning(kind, has_names, has(ColumnKind::Name)) {
                _ if !self.has_ldap_entries => header.column,
                AttributeMeaning::FromHeader => header.column,
                AttributeMeaning::Column(name) => column_by_name(name),
                AttributeMeaning::Ignored => None,
            };
            let values = value_count(value);
            let Some(column) = column else {
                if header.is_duplicate || header.ldap_attribute == LdapAttribute::CommonName {
                    on_ignored(*index, IgnoredReason::Duplicate, values);
                } else if !header.depends_on_values {
                    on_ignored(*index, IgnoredReason::Unknown, values);
                }
                continue;
            };
            let is_name = column.kind == ColumnKind::Name && kind == RecordKind::User;
            // Rows of items in a table are rejected if they have values in columns of other kinds.
            let is_error = kind != RecordKind::User && !self.has_ldap_entries;
            // These values are maintained by the directory and only exported.
            let is_export_only =
                kind == RecordKind::User && matches!(column.kind, ColumnKind::Timestamp(_) | ColumnKind::Number);
            if is_export_only {
                on_ignored(*index, IgnoredReason::NotImported, values);
            } else if !column.applies_to(kind) && !is_name && !is_error {
                on_ignored(*index, IgnoredReason::OtherKind, values);
            } else if is_name && has(ColumnKind::Text(Field::FormattedName)) {
                on_ignored(*index, IgnoredReason::Duplicate, values);
            } else if column.kind == ColumnKind::Password && is_hidden(value) {
                on_ignored(*index, IgnoredReason::Hidden, values);
            } else {
                let column = if self.has_ldap_entries {
                    refine_ldap_column(column, value, has(ColumnKind::RecordKind))
                } else {
                    column
                };
                if values > 1 && is_single_valued(column) {
                    on_ignored(*index, IgnoredReason::FurtherValue, values - 1);
                }
                cells.push((*index, (column, self.normalize_references(column, value, header))));
            }
        }
        // In table order: of duplicates, the later column applies. Values without a language option come first.
        let has_option = |index: usize| self.headers[index].name.contains(';');
        cells.sort_by_key(|(place, (column, _))| (std::ptr::from_ref::<Column>(column), has_option(*place)));
        if self.has_ldap_entries {
            cells.dedup_by(|(place, (next, value)), (_, (first, _))| {
                let is_same = std::ptr::eq(*next, *first);
                if is_same && !matches!(next.kind, ColumnKind::Dn | ColumnKind::ObjectClass) {
                    on_ignored(*place, IgnoredReason::Duplicate, value_count(value));
                }
                is_same
            });
        }
        let mut cells: Vec<ColumnCell<'a>> = cells.into_iter().map(|(_, cell)| cell).collect();
        if kind == RecordKind::Item(ItemKind::Group) && self.has_ldap_entries && !self.is_muster_export() {
            self.dn_index.disambiguate_group(&mut cells);
        }
        cells
    }

    /// Whether a row of a user is from an export of Muster, with the kind in a column or in the name of the sheet.
    pub(crate) fn is_exported_user(&self, row: &Row, cells: &[ColumnCell<'_>]) -> bool {
        let has = |what: ColumnKind| cells.iter().any(|(column, _)| column.kind == what);
        has(ColumnKind::Id) && (has(ColumnKind::RecordKind) || row.kind.is_some() && self.has_muster_header())
    }

    /// Whether the file is an export of Muster, whose texts are literal.
    fn is_muster_export(&self) -> bool {
        let has_kinds = |header: &Header| header.column.is_some_and(|column| column.kind == ColumnKind::RecordKind);
        self.headers.iter().any(has_kinds) || self.format == Some(Format::Xlsx) && self.has_muster_header()
    }

    /// Whether a header is spelled as only exports of Muster spell it.
    fn has_muster_header(&self) -> bool {
        self.headers.iter().any(|header| header.name == "doNotEmail")
    }

    /// Splits lists of distinguished names, and replaces those of groups by names.
    fn normalize_references<'a>(&self, column: &Column, value: &'a Value, header: &Header) -> Cow<'a, Value> {
        let is_list = matches!(column.kind, ColumnKind::Memberships(_) | ColumnKind::Members);
        if self.is_muster_export() && (self.format != Some(Format::Ldif) || is_muster_attribute(&header.name)) {
            return Cow::Borrowed(value);
        }
        let Some(text) = value.as_str().filter(|_| is_list) else {
            return match value {
                Value::Array(list) if column.kind == ColumnKind::Memberships(ItemKind::Group) => {
                    let group = |text: &str| Value::from(self.dn_index.group_name(text));
                    let name = |value: &Value| value.as_str().map_or(value.clone(), group);
                    Cow::Owned(list.iter().map(name).collect())
                }
                value => Cow::Borrowed(value),
            };
        };
        let names = dn::split_dns(text);
        if names.first().is_some_and(|first| is_dn(first)) {
            let name = |name: &&str| match column.kind {
                ColumnKind::Memberships(ItemKind::Group) => Value::from(self.dn_index.group_name(name)),
                _ => Value::from(*name),
            };
            return Cow::Owned(names.iter().map(name).collect());
        }
        // In files with semicolons between cells, some programs separate groups by commas.
        let has_commas = self.delimiter.is_some_and(|delimiter| delimiter == b';')
            && column.kind == ColumnKind::Memberships(ItemKind::Group);
        if has_commas && !text.contains([';', '"']) && text.contains(',') {
            return Cow::Owned(text.split(',').map(|name| Value::from(cell_value::trim_invisible(name))).collect());
        }
        // A value of an LDAP attribute is not a list.
        if self.format == Some(Format::Ldif) && !is_muster_attribute(&header.name) {
            return Cow::Owned(Value::Array(vec![value.clone()]));
        }
        Cow::Borrowed(value)
    }

    /// Texts to look up a reference to a user by, in this order: the reference, then, for a distinguished name,
    /// the login of its entry in the file, else its innermost value unless that is another user of the file.
    pub(crate) fn user_reference_keys(&self, text: &str) -> Vec<String> {
        let by_dn = self.dn_index.user_login(text, |name| self.has_user(name));
        std::iter::once(text.to_owned()).chain(by_dn.filter(|key| key != text)).collect()
    }

    /// Whether a row of the file has this id, external id, email or user name.
    pub(crate) fn has_user(&self, text: &str) -> bool {
        let keys = [("id", text.to_lowercase()), ("external id", nfc(text).into_owned())];
        let keys = keys.into_iter().chain([("login", identifier_key(text))]);
        keys.into_iter()
            .any(|(space, text)| self.key_hashes.binary_search(&key_hash(RecordKind::User, space, &text)).is_ok())
    }

    /// The login of the user with a name, if only one user of the file has it.
    pub(crate) fn login_of_name(&self, name: &str) -> Option<&String> {
        self.logins_by_name.get(&name_hash(name))?.as_ref()
    }
}

pub(crate) fn value_count(value: &Value) -> u64 {
    match value {
        Value::Null => 0,
        Value::Array(list) => list.len() as u64,
        _ => 1,
    }
}

fn is_single_valued(column: &Column) -> bool {
    !matches!(
        column.kind,
        ColumnKind::MultiValued(_)
            | ColumnKind::Links(_)
            | ColumnKind::PostalAddresses
            | ColumnKind::Metadata
            | ColumnKind::Roles
            | ColumnKind::Memberships(_)
            | ColumnKind::Members
            | ColumnKind::Domains
            | ColumnKind::Offices
            | ColumnKind::KeyContacts
            | ColumnKind::FolderEntries
            | ColumnKind::ObjectClass
            | ColumnKind::Ignored
    )
}

/// The column by the values of the LDAP attribute: several emails are a list; passwords in Muster exports are hashes.
fn refine_ldap_column(column: &'static Column, value: &Value, is_muster_export: bool) -> &'static Column {
    match column.kind {
        ColumnKind::Text(Field::Email) if value_count(value) > 1 => column_by_name("emails").unwrap_or(column),
        ColumnKind::LdapPassword if is_muster_export => column_by_name("passwordHash").unwrap_or(column),
        _ => column,
    }
}

/// Whether a password was masked by another program.
fn is_hidden(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty() && text.chars().all(|c| matches!(c, '*' | '•')))
}

/// Identifies a version of a file: device, inode, size and modification time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileVersion(u64, u64, u64, i64, i64);

impl FileVersion {
    pub(crate) fn from_path(path: &Path) -> std::io::Result<Self> {
        let file = std::fs::metadata(path)?;
        Ok(Self(file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
    }
}
