//! Reading a file to its end before anything is done: whether it is sound, what its headers mean, and which users it names twice.

use super::Options;
use super::entry::Attribute;
use super::file::{About, Header, Identity, Scan};
use super::keys::{keys_of, names_of, text_of};
use crate::account_state::{self, State};
use crate::column::{Column, Columns, Kind, Meaning, What, named};
use crate::formats::{self, FileError, Format, Row};
use crate::ignored::{Ignored, IgnoredCounts, Part, Reason};
use crate::value;
use directory::{Field, FieldUpdate, Time};
use std::collections::HashMap;

/// The keys of rows are held in memory to find users who are named twice: 8 bytes each, two or three for a row.
const MOST_KEYS: usize = 50_000_000;

/// The number of different roles that are looked at to find out whether they are roles here.
const MOST_ROLES: usize = 100;

/// The values below headers whose meaning depends on them.
#[derive(Default)]
struct Below {
    /// Values that are words for a status, and all values.
    words: u64,
    all: u64,
    numbers: u64,
    uuids: u64,
    /// Values that say whether an account may be used, where the header may mean that.
    states: u64,
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
    scan.ignored = found.list(&scan, contents.ignored);
    let keys = &mut found.keys;
    keys.sort_unstable();
    scan.twice = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| (pair[0], None)).collect();
    if found.refers {
        scan.keys = std::mem::take(keys);
    }
    Ok(scan)
}

impl Collected {
    fn list(&mut self, scan: &Scan, contents: IgnoredCounts) -> Vec<Ignored> {
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
            for (place, value) in &row.cells {
                if self.headers[*place].column.is_some_and(|column| column.what == What::Groups) {
                    self.entries.note_groups(value);
                }
            }
        }
        let noted = &mut found.noted;
        let cells = self.cells(row, kind, &mut |place, reason, count| {
            *noted.entry((place, reason)).or_default() += count;
        });
        let names_members =
            kind != Kind::User && cells.iter().any(|(column, _)| column.what == What::Members);
        let names_manager = self.place_of(|what| what == What::Text(Field::Manager)).is_some();
        let keys = keys_of(kind, &cells);
        let role = cells.iter().find(|(column, _)| matches!(column.what, What::Role));
        let role = role.and_then(|(_, value)| value::text(value).ok()?.value().cloned());
        found.refers |= names_members || names_manager;
        found.keys.extend(keys.iter().map(|(_, key)| *key));
        let handle = text_of(&cells, Field::UserName).or_else(|| text_of(&cells, Field::Email));
        let dn = cells.iter().find(|(column, _)| column.what == What::Dn);
        let dn = dn.and_then(|(_, value)| value.as_str().map(str::to_owned));
        let is_own = cells.iter().any(|(column, _)| column.what == What::Kind);
        let known = if kind == Kind::User { handle.clone() } else { text_of(&cells, Field::Name) };
        let names = if names_manager && kind == Kind::User { names_of(&cells) } else { Vec::new() };
        drop(cells);
        if let Some(role) = role {
            self.role_values += 1;
            if self.roles.len() < MOST_ROLES {
                self.roles.insert(role);
            }
        }
        self.has_members |= names_members;
        if let (Some(dn), Some(known)) = (dn, known) {
            // Groups of our own exports may share names, and are known by their ids.
            if !(is_own && kind != Kind::User) {
                self.entries.add(&dn, kind, known);
            }
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
            let Ok(FieldUpdate::Set(text)) = value::text(value) else { continue };
            if header.or_status || is_id {
                let below = found.below.entry(*place).or_default();
                below.all += 1;
                below.words += u64::from(State::of_word(&text).is_some());
                below.numbers += u64::from(text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(What::State(rule)) = header.column.map(|column| column.what) {
                    below.states += u64::from(account_state::read(rule, value, Time(0)).is_ok());
                }
                below.uuids += u64::from(uuid::Uuid::try_parse(text.trim()).is_ok());
            }
        }
    }

    /// Decides what headers mean whose meaning depends on the values below them.
    fn decide_by_values(&mut self, found: &mut Collected) {
        let mut below: Vec<(&usize, &Below)> = found.below.iter().collect();
        below.sort_by_key(|(place, _)| **place);
        for (place, below) in below {
            let has_external = self.place_of(|what| what == What::Text(Field::ExternalId)).is_some();
            let others: Vec<What> = (self.headers.iter().enumerate())
                .filter_map(|(other, header)| Some(header.column?.what).filter(|_| other != *place))
                .collect();
            let header = &mut self.headers[*place];
            if header.or_status {
                header.or_status = false;
                if header.column.is_some_and(|column| matches!(column.what, What::State(_))) {
                    if below.states < below.all {
                        let (name, states, all) = (&header.name, below.states, below.all);
                        self.notes.push(format!(
                            "column '{name}': {states} of {all} values say whether an account may be used, so it is \
                             ignored (--map '{name}=disabled' or '{name}=active' reads it)"
                        ));
                        header.column = None;
                        found.noted.insert((*place, Reason::Unknown), all);
                    }
                    continue;
                }
                if below.words == below.all {
                    header.column = named("status");
                    continue;
                }
                if below.words > 0 {
                    let (name, words, all) = (&header.name, below.words, below.all);
                    self.notes.push(format!(
                        "column '{name}': {words} of {all} values are status words, so it is not read as a status \
                         (--map '{name}=status' does)"
                    ));
                }
                if let Some(column) = header.column
                    && others.contains(&column.what)
                {
                    (header.column, header.is_duplicate) = (None, true);
                    found.noted.insert((*place, Reason::Duplicate), below.all);
                } else if header.column.is_none() {
                    let reason = if below.numbers == below.all { Reason::Numbers } else { Reason::Unknown };
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

    /// The place of a header that means this whatever stands below it.
    fn decided_place(&self, what: What) -> Option<usize> {
        let is_it = |header: &Header| header.column.is_some_and(|column| column.what == what);
        self.headers.iter().position(|header| is_it(header) && !header.or_status)
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
                && let Some(other) = self.decided_place(known.what)
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
                let is_key =
                    |name: &str| ["id", "email"].iter().any(|end| name.to_lowercase().ends_with(end));
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
        Meaning::StatusOr(Some(column))
            if format == Format::Ldif && !matches!(column.what, What::State(_)) =>
        {
            Meaning::Column(column)
        }
        meaning => meaning,
    }
}
