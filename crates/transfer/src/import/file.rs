//! A file read to its end: whether it is what it should be, what its columns are, and whom it names twice.

use super::Options;
use crate::column::{Column, Kind, What};
use crate::formats::{self, FileError, Row};
use crate::value;
use directory::{Field, Given, ItemKind, UserId, UserKey, identifier_key, nfc};
use serde_json::Value;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What rows are known by is held in memory to see who comes twice: 8 bytes each, two or three for a row.
const MOST_KEYS: usize = 50_000_000;

/// What a look at a whole file has found.
#[derive(Debug, Default)]
pub struct Scan {
    /// How many rows it has.
    pub rows: u64,
    /// Its headers, and what each means.
    pub headers: Vec<(String, Option<&'static Column>)>,
    /// Keys that more than one row has, as hashes.
    pub(super) twice: HashMap<u64, Option<u64>>,
    /// Whether rows of groups say who belongs to them.
    pub(super) has_members: bool,
    /// The file that was read.
    pub(super) identity: Option<Identity>,
    /// Entries of a directory, which say the same in many ways, and much that is nothing to us: the first counts.
    pub(super) is_directory: bool,
}

impl Scan {
    /// Headers that mean nothing here.
    pub fn ignored(&self) -> Vec<&str> {
        let unknown = self.headers.iter().filter(|(header, column)| column.is_none() && !header.is_empty());
        unknown.map(|(header, _)| header.as_str()).collect()
    }

    /// What the header of a column is called in the file.
    pub(super) fn header_of(&self, what: impl Fn(What) -> bool) -> Option<&str> {
        let found = self.headers.iter().find(|(_, column)| column.is_some_and(|column| what(column.what)));
        found.map(|(header, _)| header.as_str())
    }

    /// The cells of a row whose columns are known.
    pub(super) fn cells<'a>(&self, row: &'a Row) -> Vec<(&'static Column, &'a Value)> {
        let known = |(place, value): &'a (usize, Value)| Some((self.headers.get(*place)?.1?, value));
        let mut cells: Vec<(&'static Column, &Value)> = row.cells.iter().filter_map(known).collect();
        // In the order of the table, in whatever order they come: what is said twice is said by the later column.
        cells.sort_by_key(|(column, _)| std::ptr::from_ref::<Column>(column));
        if self.is_directory {
            cells.dedup_by(|(next, _), (first, _)| std::ptr::eq(*next, *first));
        }
        cells
    }
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

/// Reads a file to its end.
pub fn scan(options: &Options) -> Result<Scan, FileError> {
    let is_directory = options.format == formats::Format::Ldif;
    let identity = Some(Identity::of(&options.path)?);
    let mut scan = Scan { identity, is_directory, ..Scan::default() };
    let mut keys: Vec<u64> = Vec::new();
    formats::read(&options.path, options.format, &options.reading, &mut |headers, row| {
        learn(&mut scan, options, headers)?;
        scan.rows += 1;
        let cells = scan.cells(&row);
        let kind = kind(&row, &cells).unwrap_or(Kind::User);
        scan.has_members |=
            kind != Kind::User && cells.iter().any(|(column, _)| column.what == What::Members);
        keys.extend(keys_of(kind, &cells).into_iter().map(|(_, key)| key));
        if keys.len() > MOST_KEYS {
            return Err(FileError::at(
                row.number,
                "it has too many rows for one import; bring it in in parts",
            ));
        }
        Ok(())
    })?;
    let has_people = scan.header_of(|what| what == What::Kind).is_none();
    if scan.rows > 0 && has_people && !scan.headers.iter().any(|(_, column)| column.is_some_and(identifies)) {
        // What is not known as a header may be anything, where a file has none.
        let known: Vec<&str> =
            scan.headers.iter().filter_map(|(_, column)| Some(column.as_ref()?.name)).collect();
        let has = match known.as_slice() {
            [] => "none of them has a name that is known; is the first row one of headers?".to_owned(),
            known => format!("they say {}", known.join(", ")),
        };
        return Err(FileError::new(format!(
            "none of its columns says who somebody is (e-mail, user name, external id or id); {has}"
        )));
    }
    keys.sort_unstable();
    scan.twice = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| (pair[0], None)).collect();
    Ok(scan)
}

fn identifies(column: &Column) -> bool {
    column.identifies() || column.what == What::Name
}

/// Tells headers that have come up. No two may mean the same.
fn learn(scan: &mut Scan, options: &Options, headers: &[String]) -> Result<(), FileError> {
    for header in headers.iter().skip(scan.headers.len()) {
        let column = options.columns.find(header);
        // Sheets of a workbook have headers each of their own, and so have objects.
        let shares =
            matches!(options.format, formats::Format::Xlsx | formats::Format::Ndjson | formats::Format::Ldif);
        if let (Some(column), false) = (column, shares)
            && let Some(other) = scan.header_of(|what| what == column.what && what != What::Ignored)
        {
            return Err(FileError::at(
                1,
                format!("it means {}, and so does {other}; say with --map which one counts", column.name),
            )
            .in_column(header.clone()));
        }
        scan.headers.push((header.clone(), column));
    }
    Ok(())
}

/// What a row is about; an error is a word for nothing.
pub(super) fn kind(row: &Row, cells: &[(&'static Column, &Value)]) -> Result<Kind, String> {
    if let Some(kind) = row.kind {
        return Ok(kind);
    }
    let said = cells.iter().find(|(column, _)| column.what == What::Kind);
    let Some((_, value)) = said else { return Ok(Kind::User) };
    match value::text(value) {
        Ok(Given::Value(word)) => Kind::of_word(&word).ok_or(format!("there is nothing of the kind {word}")),
        _ => Ok(Kind::User),
    }
}

/// What a row's person or item is known by: what that is called, and a hash of it.
pub(super) fn keys_of(kind: Kind, cells: &[(&'static Column, &Value)]) -> Vec<(&'static str, u64)> {
    let mut keys: Vec<(&'static str, u64)> = Vec::new();
    for (column, value) in cells {
        let Ok(Given::Value(text)) = value::text(value) else { continue };
        let (space, text) = match (kind, column.what) {
            (_, What::Id) => ("id", text.to_lowercase()),
            (_, What::Text(Field::ExternalId)) => ("external id", nfc(&text).into_owned()),
            // One space, since people sign in with either.
            (Kind::User, What::Text(Field::Email)) => ("e-mail", identifier_key(&text)),
            (Kind::User, What::Text(Field::UserName)) => ("user name", identifier_key(&text)),
            (Kind::Item(ItemKind::Organisation | ItemKind::Role), What::Name) => {
                ("name", identifier_key(&text))
            }
            (Kind::Item(ItemKind::Department), What::Name) => ("name", text),
            _ => continue,
        };
        let handle = matches!(space, "e-mail" | "user name");
        let mut hasher = DefaultHasher::new();
        (kind, if handle { "handle" } else { space }, text).hash(&mut hasher);
        let key = hasher.finish();
        if !keys.iter().any(|(_, other)| *other == key) {
            keys.push((space, key));
        }
    }
    keys
}

/// Everything that could identify the user of a row that was rejected, whether or not it is what rows are matched by.
pub(super) fn user_keys(cells: &[(&'static Column, &Value)]) -> Vec<UserKey> {
    let key = |(column, value): &(&'static Column, &Value)| {
        let Ok(Given::Value(text)) = value::text(value) else { return None };
        match column.what {
            What::Id => uuid::Uuid::try_parse(&text).ok().map(|id| UserKey::Id(UserId(id))),
            What::Number => text.parse().ok().map(UserKey::Number),
            What::Text(Field::ExternalId) => Some(UserKey::ExternalId(text)),
            What::Text(Field::Email | Field::UserName) => Some(UserKey::Handle(text)),
            _ => None,
        }
    };
    cells.iter().filter_map(key).collect()
}
