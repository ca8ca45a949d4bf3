//! A file read to its end: whether it is what it should be, what its columns are, and which users it names twice.

use super::Options;
use super::entry::{Attribute, kind_of};
use crate::column::{Column, Columns, Kind, Meaning, What, named};
use crate::dn::{self, Dn};
use crate::formats::{self, FileError, Format, Row};
use crate::ignored::{Ignored, IgnoredCounts, Part, Reason};
use crate::ldif_names::is_own;
use crate::value;
use directory::{Field, Given, ItemKind, UserId, UserKey, identifier_key, nfc};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The keys of rows are held in memory to find users who are named twice: 8 bytes each, two or three for a row.
const MOST_KEYS: usize = 50_000_000;

/// A cell whose column is known.
pub(crate) type Cell<'a> = (&'static Column, Cow<'a, Value>);

/// A header of the file.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) column: Option<&'static Column>,
    attribute: Attribute,
    /// Whether another header of the file means the same.
    is_duplicate: bool,
    /// Whether it decides by the values below it if it is a status.
    or_status: bool,
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
    keys: Vec<u64>,
    /// Distinguished names, and what users sign in with and groups are called.
    dns: HashMap<String, String>,
    /// Hashes of the names of users and what they sign in with, if rows name managers; `None` for names of more than one user.
    names: HashMap<u64, Option<String>>,
    /// Whether rows name members of groups.
    pub(super) has_members: bool,
    /// The file that was read.
    pub(super) identity: Option<Identity>,
    /// Its delimiter, if it is CSV.
    pub(super) delimiter: Option<u8>,
    /// Entries of a directory, which say the same in many attributes: the first counts.
    pub(super) is_directory: bool,
    format: Option<Format>,
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
        if let Some(Ok(Given::Value(word))) = cell(What::Kind).map(value::text) {
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

    /// The cells of a row of a kind whose columns are known. `note` is told of values that are not imported.
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
            let column = match header.attribute.column(kind, has_names, has(What::Name), self.is_directory) {
                Some(other) => other,
                None => header.column,
            };
            let values = count(value);
            let Some(column) = column else {
                if header.is_duplicate {
                    note(*place, Reason::Duplicate, values);
                } else if !header.or_status {
                    note(*place, Reason::Unknown, values);
                }
                continue;
            };
            let is_name = column.what == What::Name && kind == Kind::User;
            // Rows of items in a table are rejected if they have values for what only others have.
            let is_error = kind != Kind::User && !self.is_directory;
            if !column.is_of(kind) && !is_name && !is_error {
                note(*place, Reason::OtherKind, values);
            } else if is_name && has(What::Text(Field::FormattedName)) {
                note(*place, Reason::Duplicate, values);
            } else if column.what == What::Password && is_hidden(value) {
                note(*place, Reason::Hidden, values);
            } else {
                let column = if self.is_directory { of_entry(column, value, has(What::Kind)) } else { column };
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
        cells.into_iter().map(|(_, cell)| cell).collect()
    }

    /// Whether a row of users is of an export of our own, which says of each what kind it is, or is in a sheet of that kind.
    pub(super) fn is_own(&self, row: &Row, cells: &[Cell<'_>]) -> bool {
        let has = |what: What| cells.iter().any(|(column, _)| column.what == what);
        let is_ours = |header: &Header| header.name == "doNotEmail";
        has(What::Id) && (has(What::Kind) || row.kind.is_some() && self.headers.iter().any(is_ours))
    }

    /// A value in which distinguished names are apart, and those of groups replaced by their names.
    fn references<'a>(&self, column: &Column, value: &'a Value, header: &Header) -> Cow<'a, Value> {
        let is_list = matches!(column.what, What::Groups | What::Members | What::Folders);
        let Some(text) = value.as_str().filter(|_| is_list) else {
            return match value {
                Value::Array(list) if column.what == What::Groups => {
                    let name = |value: &Value| value.as_str().map_or(value.clone(), |text| self.group(text));
                    Cow::Owned(list.iter().map(name).collect())
                }
                value => Cow::Borrowed(value),
            };
        };
        let names = dn::split(text);
        if names.first().is_some_and(|first| is_distinguished(first)) {
            let name = |name: &&str| match column.what {
                What::Groups => self.group(name),
                _ => Value::from(*name),
            };
            return Cow::Owned(names.iter().map(name).collect());
        }
        // A value of a directory is no list in one text.
        if self.format == Some(Format::Ldif) && !is_own(&header.name) {
            return Cow::Owned(Value::Array(vec![value.clone()]));
        }
        Cow::Borrowed(value)
    }

    /// The name of a group that a user names.
    fn group(&self, text: &str) -> Value {
        Value::from(if is_distinguished(text) { self.named(text) } else { text.to_owned() })
    }

    /// What a reference to a user or group is looked up by: if it is a distinguished name, by what its entry in the file says, or
    /// by its innermost part.
    pub(super) fn named(&self, text: &str) -> String {
        let Some(dn) = Dn::parse(text) else { return text.to_owned() };
        self.dns.get(&dn.key()).cloned().unwrap_or_else(|| dn.name().to_owned())
    }

    /// What a distinguished name stands for whose entry is in the file.
    pub(super) fn in_file(&self, text: &str) -> Option<&String> {
        self.dns.get(&Dn::parse(text)?.key())
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
fn count(value: &Value) -> u64 {
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

/// Whether a text is a distinguished name of two parts at least: one part may be anything with an equals sign.
fn is_distinguished(text: &str) -> bool {
    text.contains('=') && text.contains([',', ';']) && Dn::parse(text).is_some()
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

/// The values below headers whose meaning depends on them.
#[derive(Default)]
struct Below {
    /// Values that are words for a status, and all values.
    words: u64,
    all: u64,
    numbers: u64,
    uuids: u64,
}

/// What is collected while a file is read.
struct Collected {
    ignored: IgnoredCounts,
    noted: HashMap<(usize, Reason), u64>,
    below: HashMap<usize, Below>,
    keys: Vec<u64>,
    refers: bool,
}

/// Reads a file to its end.
pub fn scan(options: &Options) -> Result<Scan, FileError> {
    let identity = Some(Identity::of(&options.path)?);
    let is_directory = options.format == Format::Ldif;
    let mut scan = Scan { identity, is_directory, format: Some(options.format), ..Scan::default() };
    let mut found = Collected {
        ignored: IgnoredCounts::default(),
        noted: HashMap::new(),
        below: HashMap::new(),
        keys: Vec::new(),
        refers: false,
    };
    let contents = formats::read(&options.path, options.format, &options.reading, &mut |headers, row| {
        scan.learn(options, headers)?;
        scan.look_at(&row, &mut found)
    })?;
    scan.learn(options, &contents.headers)?;
    scan.delimiter = contents.delimiter;
    scan.decide_by_values(&mut found);
    scan.identifies_users(is_directory)?;
    scan.ignored = found.into_list(&scan, contents.ignored);
    let keys = &mut found.keys;
    keys.sort_unstable();
    scan.twice = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| (pair[0], None)).collect();
    if found.refers {
        scan.keys = std::mem::take(keys);
    }
    Ok(scan)
}

impl Collected {
    fn into_list(&mut self, scan: &Scan, contents: IgnoredCounts) -> Vec<Ignored> {
        let part = if scan.format == Some(Format::Ldif) { Part::Attribute } else { Part::Column };
        let mut ignored = std::mem::take(&mut self.ignored);
        for ((place, reason), count) in self.noted.drain() {
            ignored.add(part, &scan.headers[place].shown(place), reason, count);
        }
        contents.into_list().into_iter().chain(ignored.into_list()).collect()
    }
}

impl Header {
    /// Its name, or the letter of a column without one.
    fn shown(&self, place: usize) -> String {
        if self.name.is_empty() { formats::letters(place) } else { self.name.clone() }
    }
}

impl Scan {
    /// Looks at a row: what is twice, whom it refers to, and what of it will not be imported.
    fn look_at(&mut self, row: &Row, found: &mut Collected) -> Result<(), FileError> {
        let kind = match self.about(row) {
            About::Kind(kind) => kind,
            About::Unknown(_) => Kind::User,
            About::Other(class) => {
                found.ignored.add(Part::Entry, &class, Reason::NotImported, 1);
                return Ok(());
            }
        };
        self.rows += 1;
        self.users += u64::from(kind == Kind::User);
        if kind == Kind::User {
            self.look_below(row, found);
        }
        let noted = &mut found.noted;
        let cells = self.cells(row, kind, &mut |place, reason, count| {
            *noted.entry((place, reason)).or_default() += count;
        });
        let names_members =
            kind != Kind::User && cells.iter().any(|(column, _)| column.what == What::Members);
        let names_manager = self.place_of(|what| what == What::Text(Field::Manager)).is_some();
        let keys = keys_of(kind, &cells);
        found.refers |= names_members || names_manager;
        found.keys.extend(keys.iter().map(|(_, key)| *key));
        let handle = text_of(&cells, Field::UserName).or_else(|| text_of(&cells, Field::Email));
        let dn = cells.iter().find(|(column, _)| column.what == What::Dn);
        let dn = dn.and_then(|(_, value)| Dn::parse(value.as_str()?));
        let known = if kind == Kind::User { handle.clone() } else { text_of(&cells, Field::Name) };
        let names = if names_manager && kind == Kind::User { names_of(&cells) } else { Vec::new() };
        drop(cells);
        self.has_members |= names_members;
        if let (Some(dn), Some(known)) = (dn, known) {
            self.dns.insert(dn.key(), known);
        }
        if let Some(handle) = handle {
            for name in names {
                let named = self.names.entry(name).or_insert_with(|| Some(handle.clone()));
                if named.as_ref().is_some_and(|other| *other != handle) {
                    *named = None;
                }
            }
        }
        if found.keys.len() > MOST_KEYS {
            return Err(FileError::at(row.number, "it has too many rows for one import; import it in parts"));
        }
        Ok(())
    }

    /// Counts what is below headers whose meaning depends on it.
    fn look_below(&self, row: &Row, found: &mut Collected) {
        for (place, value) in &row.cells {
            let header = &self.headers[*place];
            let is_id = header.column.is_some_and(|column| column.what == What::Id);
            let Ok(Given::Value(text)) = value::text(value) else { continue };
            if header.or_status || is_id {
                let below = found.below.entry(*place).or_default();
                below.all += 1;
                below.words += u64::from(crate::account_state::State::of_word(&text).is_some());
                below.numbers += u64::from(text.bytes().all(|byte| byte.is_ascii_digit()));
                below.uuids += u64::from(uuid::Uuid::try_parse(text.trim()).is_ok());
            }
        }
    }

    /// Decides what headers mean whose meaning depends on the values below them.
    fn decide_by_values(&mut self, found: &mut Collected) {
        for (place, below) in &found.below {
            let has_external = self.place_of(|what| what == What::Text(Field::ExternalId)).is_some();
            let header = &mut self.headers[*place];
            if header.or_status {
                header.or_status = false;
                if below.words == below.all {
                    header.column = named("status");
                } else if header.column.is_none() {
                    let reason =
                        if below.numbers == below.all { Reason::Numbers } else { Reason::Unknown };
                    found.noted.insert((*place, reason), below.all);
                }
            } else if below.uuids == 0 {
                header.column = if has_external { None } else { named("externalId") };
                if has_external {
                    found.noted.insert((*place, Reason::NotUuid), below.all);
                }
            }
        }
    }

    /// Whether there is a column by which users are identified.
    fn identifies_users(&self, is_entries: bool) -> Result<(), FileError> {
        let known: Vec<&Column> = self.headers.iter().filter_map(|header| header.column).collect();
        let is_known = known.iter().any(|column| column.identifies() || column.what == What::Name);
        let has_kind = known.iter().any(|column| column.what == What::Kind);
        if is_known || has_kind || self.headers.is_empty() || is_entries && self.rows == 0 {
            return Ok(());
        }
        // What is not known as a header may be anything, where a file has none.
        let known: Vec<&str> = known.iter().map(|column| column.name).collect();
        let has = match known.as_slice() {
            [] => "none of them has a name that is known; is the first row one of headers?".to_owned(),
            known => format!("they say {}", known.join(", ")),
        };
        Err(FileError::new(format!(
            "no column identifies a user (email, user name, external id or id); {has} (--map 'HEADER=userName' says which does)"
        )))
    }

    /// Finds out what headers mean that have come up. No two columns of a table may mean the same.
    fn learn(&mut self, options: &Options, headers: &[String]) -> Result<(), FileError> {
        for (place, name) in headers.iter().enumerate().skip(self.headers.len()) {
            let mut is_duplicate = false;
            let (mut column, or_status) = match meaning(&options.columns, name, options.format) {
                Meaning::Unknown => (None, false),
                Meaning::Column(column) => (Some(column), false),
                Meaning::StatusOr(column) => (column, true),
            };
            self.is_directory |= column.is_some_and(|column| column.what == What::Dn);
            // Sheets of a workbook have headers each of their own, and so have objects and entries.
            let is_table = options.format == Format::Csv && !headers.iter().any(|name| is_dn(options, name));
            if let Some(known) = column.filter(|_| is_table && !or_status)
                && !matches!(known.what, What::Ignored | What::State(_) | What::Status)
                && let Some(other) = self.place_of(|what| what == known.what)
            {
                // Okta and others have the manager's id beside the name.
                if known.what != What::Text(Field::Manager) {
                    let other = &self.headers[other].name;
                    let what = format!(
                        "it means {}, and so does {other}: ignore one of them with --map '{name}=' or --map '{other}='",
                        known.name
                    );
                    return Err(FileError::at(1, what).in_column(name.clone()));
                }
                let is_key = |name: &str| ["id", "email"].iter().any(|end| name.to_lowercase().ends_with(end));
                if is_key(name) && !is_key(&self.headers[other].name) {
                    (self.headers[other].column, self.headers[other].is_duplicate) = (None, true);
                } else {
                    (column, is_duplicate) = (None, true);
                }
            }
            let attribute = if self.is_directory { Attribute::of(name) } else { Attribute::Plain };
            let name = name.clone();
            debug_assert_eq!(place, self.headers.len());
            self.headers.push(Header { name, column, attribute, is_duplicate, or_status });
        }
        Ok(())
    }
}

fn is_dn(options: &Options, name: &str) -> bool {
    matches!(options.columns.meaning(name), Meaning::Column(column) if column.what == What::Dn)
}

/// What a header means. An attribute may have options behind it: a language, or how it is written.
fn meaning(columns: &Columns, name: &str, format: Format) -> Meaning {
    match columns.meaning(name) {
        Meaning::Unknown if format == Format::Ldif => {
            name.split_once(';').map_or(Meaning::Unknown, |(bare, _)| columns.meaning(bare))
        }
        // In a directory they are what the standards say (RFC 4519).
        Meaning::StatusOr(Some(column)) if format == Format::Ldif => Meaning::Column(column),
        meaning => meaning,
    }
}

/// A text among cells.
fn text_of(cells: &[Cell<'_>], field: Field) -> Option<String> {
    let is_it = |what| match what {
        What::Text(of) => of == field,
        What::Name => field == Field::Name,
        _ => false,
    };
    let (column, value) = cells.iter().find(|(column, _)| is_it(column.what))?;
    key_text(column, value)
}

/// Hashes of the names of a user.
fn names_of(cells: &[Cell<'_>]) -> Vec<u64> {
    let text = |field| text_of(cells, field);
    let both = text(Field::GivenName).zip(text(Field::FamilyName));
    let both = both.map(|(given, family)| [format!("{given} {family}"), format!("{family}, {given}")]);
    let one = [Field::FormattedName, Field::DisplayName, Field::Name].into_iter().filter_map(text);
    let mut names: Vec<u64> = both.into_iter().flatten().chain(one).map(|name| name_hash(&name)).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn name_hash(name: &str) -> u64 {
    let words: Vec<&str> = name.split_whitespace().collect();
    hash(Kind::User, "name", &identifier_key(&words.join(" ")))
}

fn hash(kind: Kind, space: &str, text: &str) -> u64 {
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
            (Kind::Item(ItemKind::Organisation | ItemKind::Role), What::Name) => {
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
            What::Text(Field::Email | Field::UserName) => Some(UserKey::Handle(text)),
            _ => None,
        }
    };
    cells.iter().filter_map(key).collect()
}
