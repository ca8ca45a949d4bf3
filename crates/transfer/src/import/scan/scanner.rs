//! Scans a file to its end before anything is imported: validates it, resolves its headers, and finds duplicate keys.

use crate::account_state::{self, AccountState};
use crate::cell_value;
use crate::column::{Column, ColumnKind, ColumnMapping, HeaderMeaning, RecordKind, column_by_name};
use crate::formats::{self, FileError, Format, Row};
use crate::ignored::{Ignored, IgnoredCounts, IgnoredPart, IgnoredReason};
use crate::import::ImportOptions;
use crate::import::scan::keys::{field_text, name_hashes, row_keys};
use crate::import::scan::ldap_entry::LdapAttribute;
use crate::import::scan::{FileVersion, Header, RowSubject, Scan};
use directory::{Field, FieldUpdate, ItemKind, Time};
use std::collections::HashMap;

/// Keys are held in memory to find duplicates: 8 bytes each, two or three per row.
const MAX_KEYS: usize = 50_000_000;

/// The number of different roles that are checked for existence.
const MAX_ROLES: usize = 100;

/// Counts of the values below a header whose meaning depends on them.
#[derive(Default)]
struct ValueStats {
    /// Values that are status words.
    status_words: u64,
    total: u64,
    numbers: u64,
    uuids: u64,
    /// Values that can be read as the state of an account.
    account_states: u64,
}

/// State of a running scan.
struct ScanState {
    ignored: IgnoredCounts,
    ignored_values: HashMap<(usize, IgnoredReason), u64>,
    value_stats: HashMap<usize, ValueStats>,
    key_hashes: Vec<u64>,
    has_references: bool,
}

/// Scans a file to its end.
///
/// # Errors
/// The file cannot be read or is invalid.
pub fn scan(options: &ImportOptions) -> Result<Scan, FileError> {
    let identity = Some(FileVersion::from_path(&options.path)?);
    let is_ldif = options.format == Format::Ldif;
    let mut scan =
        Scan { file_version: identity, has_ldap_entries: is_ldif, format: Some(options.format), ..Scan::default() };
    let mut state = ScanState {
        ignored: IgnoredCounts::default(),
        ignored_values: HashMap::new(),
        value_stats: HashMap::new(),
        key_hashes: Vec::new(),
        has_references: false,
    };
    let contents = formats::read(&options.path, options.format, &options.read_options, &mut |headers, row| {
        scan.add_headers(options, headers)?;
        scan.scan_row(&row, &mut state)
    })?;
    scan.add_headers(options, &contents.headers)?;
    scan.delimiter = contents.delimiter;
    scan.resolve_by_values(&mut state);
    scan.require_user_identifier(is_ldif)?;
    scan.ignored = state.ignored_list(&scan, contents.ignored);
    let keys = &mut state.key_hashes;
    keys.sort_unstable();
    scan.duplicate_keys = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| (pair[0], None)).collect();
    if state.has_references {
        scan.key_hashes = std::mem::take(keys);
    }
    Ok(scan)
}

impl ScanState {
    fn ignored_list(&mut self, scan: &Scan, contents: IgnoredCounts) -> Vec<Ignored> {
        let part = if scan.format == Some(Format::Ldif) { IgnoredPart::Attribute } else { IgnoredPart::Column };
        let mut ignored = std::mem::take(&mut self.ignored);
        for ((index, reason), count) in self.ignored_values.drain() {
            ignored.add(part, &scan.headers[index].display_name(index), reason, count);
        }
        contents.into_list().into_iter().chain(ignored.into_list()).collect()
    }
}

impl Header {
    /// The name, or the letters of a column without one.
    fn display_name(&self, index: usize) -> String {
        if self.name.is_empty() { formats::column_letters(index) } else { self.name.clone() }
    }
}

impl Scan {
    /// Collects the keys, references and ignored values of a row.
    fn scan_row(&mut self, row: &Row, state: &mut ScanState) -> Result<(), FileError> {
        let kind = match self.subject(row) {
            RowSubject::Kind(kind) => kind,
            RowSubject::Unknown(_) => RecordKind::User,
            RowSubject::NotImported(class) => {
                state.ignored.add(IgnoredPart::Entry, &class, IgnoredReason::NotImported, 1);
                return Ok(());
            }
        };
        self.rows += 1;
        self.users += u64::from(kind == RecordKind::User);
        if kind == RecordKind::User {
            self.count_values(row, state);
            for (index, value) in &row.cells {
                if self.headers[*index]
                    .column
                    .is_some_and(|column| column.kind == ColumnKind::Memberships(ItemKind::Group))
                {
                    self.dn_index.add_referenced_groups(value);
                }
            }
        }
        let noted = &mut state.ignored_values;
        let cells = self.cells(row, kind, &mut |index, reason, count| {
            *noted.entry((index, reason)).or_default() += count;
        });
        let names_members =
            kind != RecordKind::User && cells.iter().any(|(column, _)| column.kind == ColumnKind::Members);
        let has_manager_header = self.header_index(|what| what == ColumnKind::Text(Field::Manager)).is_some();
        let keys = row_keys(kind, &cells);
        let role = cells.iter().find(|(column, _)| matches!(column.kind, ColumnKind::Role));
        let role = role.and_then(|(_, value)| cell_value::text(value).ok()?.value().cloned());
        state.has_references |= names_members || has_manager_header;
        state.key_hashes.extend(keys.iter().map(|(_, key)| *key));
        let login = field_text(&cells, Field::UserName).or_else(|| field_text(&cells, Field::Email));
        let dn = cells.iter().find(|(column, _)| column.kind == ColumnKind::Dn);
        let dn = dn.and_then(|(_, value)| value.as_str().map(str::to_owned));
        let is_muster_export = cells.iter().any(|(column, _)| column.kind == ColumnKind::RecordKind);
        let dn_name = if kind == RecordKind::User { login.clone() } else { field_text(&cells, Field::Name) };
        let names = if has_manager_header && kind == RecordKind::User { name_hashes(&cells) } else { Vec::new() };
        drop(cells);
        if let Some(role) = role {
            self.role_count += 1;
            if self.roles.len() < MAX_ROLES {
                self.roles.insert(role);
            }
        }
        self.has_members |= names_members;
        if let (Some(dn), Some(dn_name)) = (dn, dn_name) {
            // In exports of Muster, groups may share names and are matched by id.
            if !(is_muster_export && kind != RecordKind::User) {
                self.dn_index.add(&dn, kind, dn_name);
            }
        }
        if let Some(login) = login {
            for name in names {
                let login_entry = self.logins_by_name.entry(name).or_insert_with(|| Some(login.clone()));
                if login_entry.as_ref().is_some_and(|other| *other != login) {
                    *login_entry = None;
                }
            }
        }
        if state.key_hashes.len() > MAX_KEYS {
            return Err(FileError::at(
                row.number,
                format!("more than {MAX_KEYS} keys of users and groups; split the file"),
            ));
        }
        Ok(())
    }

    /// Counts the values below headers whose meaning depends on them.
    fn count_values(&self, row: &Row, state: &mut ScanState) {
        for (index, value) in &row.cells {
            let header = &self.headers[*index];
            let is_id = header.column.is_some_and(|column| column.kind == ColumnKind::Id);
            let Ok(FieldUpdate::Set(text)) = cell_value::text(value) else { continue };
            if header.depends_on_values || is_id {
                let stats = state.value_stats.entry(*index).or_default();
                stats.total += 1;
                stats.status_words += u64::from(AccountState::from_word(&text).is_some());
                stats.numbers += u64::from(text.bytes().all(|byte| byte.is_ascii_digit()));
                if let Some(ColumnKind::AccountState(rule)) = header.column.map(|column| column.kind) {
                    stats.account_states += u64::from(account_state::parse(rule, value, Time(0)).is_ok());
                }
                stats.uuids += u64::from(uuid::Uuid::try_parse(text.trim()).is_ok());
            }
        }
    }

    /// Resolves the headers whose meaning depends on their values.
    fn resolve_by_values(&mut self, state: &mut ScanState) {
        let mut stats: Vec<(&usize, &ValueStats)> = state.value_stats.iter().collect();
        stats.sort_by_key(|(place, _)| **place);
        for (index, stats) in stats {
            let has_external = self.header_index(|what| what == ColumnKind::Text(Field::ExternalId)).is_some();
            let other_kinds: Vec<ColumnKind> = (self.headers.iter().enumerate())
                .filter_map(|(other, header)| Some(header.column?.kind).filter(|_| other != *index))
                .collect();
            let header = &mut self.headers[*index];
            if header.depends_on_values {
                header.depends_on_values = false;
                if header.column.is_some_and(|column| matches!(column.kind, ColumnKind::AccountState(_))) {
                    if stats.account_states < stats.total {
                        let (name, states, all) = (&header.name, stats.account_states, stats.total);
                        self.notes.push(format!(
                            "column '{name}': {states} of {all} values are account states, so the column is ignored \
                             (import it with --map '{name}=disabled' or '{name}=active')"
                        ));
                        header.column = None;
                        state.ignored_values.insert((*index, IgnoredReason::Unknown), all);
                    }
                    continue;
                }
                if stats.status_words == stats.total {
                    header.column = column_by_name("status");
                    continue;
                }
                if stats.status_words > 0 {
                    let (name, words, all) = (&header.name, stats.status_words, stats.total);
                    self.notes.push(format!(
                        "column '{name}': {words} of {all} values are status words, so it is not imported as a status \
                         (do so with --map '{name}=status')"
                    ));
                }
                if let Some(column) = header.column
                    && other_kinds.contains(&column.kind)
                {
                    (header.column, header.is_duplicate) = (None, true);
                    state.ignored_values.insert((*index, IgnoredReason::Duplicate), stats.total);
                } else if header.column.is_none() {
                    let reason =
                        if stats.numbers == stats.total { IgnoredReason::Numbers } else { IgnoredReason::Unknown };
                    state.ignored_values.insert((*index, reason), stats.total);
                }
            } else if stats.uuids == 0 {
                header.column = if has_external { None } else { column_by_name("externalId") };
                if has_external {
                    state.ignored_values.insert((*index, IgnoredReason::NotUuid), stats.total);
                }
            }
        }
    }

    /// The index of a header with this meaning, independent of its values.
    fn resolved_header_index(&self, kind: ColumnKind) -> Option<usize> {
        let has_kind = |header: &Header| header.column.is_some_and(|column| column.kind == kind);
        self.headers.iter().position(|header| has_kind(header) && !header.depends_on_values)
    }

    /// Requires a column that identifies users.
    fn require_user_identifier(&self, is_ldif: bool) -> Result<(), FileError> {
        let known: Vec<&Column> = self.headers.iter().filter_map(|header| header.column).collect();
        let is_known = known.iter().any(|column| column.is_identifier() || column.kind == ColumnKind::Name);
        let has_kind = known.iter().any(|column| column.kind == ColumnKind::RecordKind);
        if is_known || has_kind || self.headers.is_empty() || is_ldif && self.rows == 0 {
            return Ok(());
        }
        // Unknown headers are not shown: without a header row, they are data.
        let known: Vec<&str> = known.iter().map(|column| column.name).collect();
        let hint = match known.as_slice() {
            [] => "no header is known; check that the first row has headers".to_owned(),
            known => format!("the known columns are {}", known.join(", ")),
        };
        Err(FileError::new(format!(
            "no column identifies users (email, user name, external id or id): {hint} (to map a column, use \
            --map 'HEADER=userName')"
        )))
    }

    /// Resolves new headers. In a table, no two columns may have the same meaning.
    fn add_headers(&mut self, options: &ImportOptions, headers: &[String]) -> Result<(), FileError> {
        for (index, name) in headers.iter().enumerate().skip(self.headers.len()) {
            let mut is_duplicate = false;
            let (mut column, or_status) = match header_meaning(&options.column_mapping, name, options.format) {
                HeaderMeaning::Unknown => (None, false),
                HeaderMeaning::Column(column) => (Some(column), false),
                HeaderMeaning::DependsOnValues(column) => (column, true),
            };
            self.has_ldap_entries |= column.is_some_and(|column| column.kind == ColumnKind::Dn);
            // Sheets, JSON objects and LDIF entries each have their own headers.
            let is_table = options.format == Format::Csv && !headers.iter().any(|name| is_dn_header(options, name));
            if let Some(known) = column.filter(|_| is_table && !or_status)
                && !matches!(known.kind, ColumnKind::Ignored | ColumnKind::AccountState(_) | ColumnKind::Status)
                && let Some(other) = self.resolved_header_index(known.kind)
            {
                // Okta and others write the manager's id beside the name.
                if known.kind != ColumnKind::Text(Field::Manager) {
                    let other = &self.headers[other].name;
                    let message = format!(
                        "same meaning as '{other}' ({}); ignore one of them with --map '{name}=' or --map '{other}='",
                        known.name
                    );
                    return Err(FileError::at(1, message).in_column(name.clone()));
                }
                let is_key = |name: &str| ["id", "email"].iter().any(|end| name.to_lowercase().ends_with(end));
                if is_key(name) && !is_key(&self.headers[other].name) {
                    (self.headers[other].column, self.headers[other].is_duplicate) = (None, true);
                } else {
                    (column, is_duplicate) = (None, true);
                }
            }
            let attribute = if self.has_ldap_entries { LdapAttribute::from_name(name) } else { LdapAttribute::Plain };
            let name = name.clone();
            debug_assert_eq!(index, self.headers.len());
            self.headers.push(Header {
                name,
                column,
                ldap_attribute: attribute,
                is_duplicate,
                depends_on_values: or_status,
            });
        }
        Ok(())
    }
}

fn is_dn_header(options: &ImportOptions, name: &str) -> bool {
    matches!(options.column_mapping.meaning(name), HeaderMeaning::Column(column) if column.kind == ColumnKind::Dn)
}

/// The meaning of a header, also of an LDAP attribute with options, such as a language.
fn header_meaning(columns: &ColumnMapping, name: &str, format: Format) -> HeaderMeaning {
    match columns.meaning(name) {
        HeaderMeaning::Unknown if format == Format::Ldif => {
            name.split_once(';').map_or(HeaderMeaning::Unknown, |(bare, _)| columns.meaning(bare))
        }
        // In LDIF, attributes have the meaning of the standard (RFC 4519).
        HeaderMeaning::DependsOnValues(Some(column))
            if format == Format::Ldif && !matches!(column.kind, ColumnKind::AccountState(_)) =>
        {
            HeaderMeaning::Column(column)
        }
        meaning => meaning,
    }
}
