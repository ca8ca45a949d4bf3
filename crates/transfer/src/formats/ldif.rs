//! LDIF (RFC 2849): entries with folded lines and Base64 values.

use super::ndjson::{MAX_NAMES, NameIndex};
use super::text_reader::{ROW_TOO_LONG, TextReader};
use super::{FileError, FileSummary, MAX_ROW_BYTES, RawRow, Row, RowHandler};
use crate::cell_value::{text_list, to_cell_text};
use crate::column::{RecordKind, column_by_name};
use crate::ignored::{IgnoredCounts, IgnoredPart, IgnoredReason};
use crate::ldap_attributes::{is_muster_attribute, ldap_attribute};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{BufRead, BufReader, BufWriter, Write};

/// The maximum length of lines in exports.
const MAX_LINE_LENGTH: usize = 76;

const TOO_MANY_NAMES: &str = "more than 10,000 attribute names";

pub(super) fn read(text: TextReader, on_row: &mut RowHandler<'_>) -> Result<FileSummary, FileError> {
    let mut entries = EntryReader { lines: BufReader::new(text.reader), line_number: 0, peeked: None };
    let (mut names, mut ignored) = (NameIndex::default(), IgnoredCounts::default());
    loop {
        text.row_budget.set(MAX_ROW_BYTES);
        let Some(entry) = entries.next_entry(&mut ignored)? else {
            return Ok(FileSummary { headers: names.names, ignored, ..FileSummary::default() });
        };
        let number = entry.number;
        let mut cells = Vec::with_capacity(entry.attributes.len());
        for (name, values) in entry.attributes {
            let index = names.index_of(&name).ok_or_else(|| FileError::at(number, TOO_MANY_NAMES))?;
            cells.push((index, to_cell(values)));
        }
        on_row(&names.names, Row { number, kind: None, cells, raw: RawRow::Text(entry.text) })?;
    }
}

/// The values of an attribute. Empty ones clear.
fn to_cell(mut values: Vec<String>) -> Value {
    let value = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
    match values.pop() {
        Some(only) if values.is_empty() => value(only),
        Some(last) => values.into_iter().chain([last]).map(value).collect(),
        None => Value::Null,
    }
}

/// One entry. Attributes are in the order of their first occurrence.
struct LdifEntry {
    number: u64,
    attributes: Vec<(String, Vec<String>)>,
    /// Indexes of attributes by lower-case name: a linear search per line takes seconds for an entry of 1 MB.
    indexes: HashMap<String, usize>,
    text: String,
}

impl LdifEntry {
    fn new(number: u64, name: &str, dn: String) -> Self {
        let indexes = HashMap::from([("dn".into(), 0)]);
        Self { number, attributes: vec![(name.into(), vec![dn])], indexes, text: String::new() }
    }

    fn push(&mut self, name: &str, value: String) -> Result<(), FileError> {
        match self.indexes.entry(name.to_ascii_lowercase()) {
            Occupied(index) => self.attributes[*index.get()].1.push(value),
            Vacant(_) if self.attributes.len() > MAX_NAMES => {
                return Err(FileError::at(self.number, TOO_MANY_NAMES));
            }
            Vacant(index) => {
                index.insert(self.attributes.len());
                self.attributes.push((name.to_owned(), vec![value]));
            }
        }
        Ok(())
    }
}

/// A line with its continuation lines.
struct UnfoldedLine {
    number: u64,
    text: String,
    raw: String,
}

struct EntryReader<R> {
    lines: BufReader<R>,
    line_number: u64,
    /// A line that was read ahead.
    peeked: Option<UnfoldedLine>,
}

impl<R: std::io::Read> EntryReader<R> {
    fn read_line(&mut self) -> Result<Option<String>, FileError> {
        let mut line = Vec::new();
        let failed = |error: std::io::Error| FileError::at(self.line_number + 1, error.to_string());
        if self.lines.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(None);
        }
        self.line_number += 1;
        if line.len() > MAX_ROW_BYTES {
            return Err(FileError::at(self.line_number, ROW_TOO_LONG));
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|_| FileError::at(self.line_number, "invalid UTF-8"))
    }

    fn read_unfolded_line(&mut self) -> Result<Option<UnfoldedLine>, FileError> {
        let first = match self.peeked.take() {
            Some(line) => Some(line),
            None => self.read_line()?.map(|text| UnfoldedLine { number: self.line_number, raw: text.clone(), text }),
        };
        let Some(mut line) = first else { return Ok(None) };
        while let Some(more) = self.read_line()? {
            match more.strip_prefix(' ') {
                Some(rest) if !line.text.is_empty() => {
                    line.text.push_str(rest);
                    line.raw.push('\n');
                    line.raw.push_str(&more);
                }
                _ => {
                    self.peeked = Some(UnfoldedLine { number: self.line_number, raw: more.clone(), text: more });
                    break;
                }
            }
            if line.raw.len() > MAX_ROW_BYTES {
                return Err(FileError::at(line.number, ROW_TOO_LONG));
            }
        }
        Ok(Some(line))
    }

    /// The next entry. After an empty line, the lines of a search result are skipped.
    fn next_entry(&mut self, ignored: &mut IgnoredCounts) -> Result<Option<LdifEntry>, FileError> {
        let mut entry: Option<LdifEntry> = None;
        let mut is_search = false;
        loop {
            let Some(UnfoldedLine { number, text, raw }) = self.read_unfolded_line()? else {
                return Ok(entry);
            };
            if text.starts_with('#') {
                continue;
            }
            if text.is_empty() {
                if entry.is_some() {
                    return Ok(entry);
                }
                is_search = false;
                continue;
            }
            let Some((name, value)) = text.split_once(':') else {
                return Err(FileError::at(number, "not an attribute line (`name: value`)"));
            };
            if name.chars().any(char::is_control) {
                return Err(FileError::at(number, "the attribute name contains a control character"));
            }
            let is_dn = name.eq_ignore_ascii_case("dn");
            let Some(entry) = &mut entry else {
                is_search |= NON_ENTRY_ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known));
                if is_dn {
                    let value =
                        decode_value(value).map_err(|_| FileError::at(number, INVALID_BASE64).in_column(name))?;
                    let LdifValue::Text(dn) = value else {
                        return Err(FileError::at(number, "the dn is not valid UTF-8"));
                    };
                    let mut new_entry = LdifEntry::new(number, name, dn);
                    new_entry.text = raw;
                    entry = Some(new_entry);
                } else if !is_search {
                    return Err(FileError::at(number, "an entry must begin with its dn"));
                }
                continue;
            };
            if is_dn {
                return Err(FileError::at(number, SECOND_DN));
            }
            let value = decode_value(value).map_err(|_| FileError::at(number, INVALID_BASE64).in_column(name))?;
            entry.text.push('\n');
            entry.text.push_str(&raw);
            match value {
                LdifValue::Text(text) if name.eq_ignore_ascii_case("changetype") => {
                    require_add(number, &text)?;
                }
                // Instructions for the server that applies a change (RFC 2849).
                LdifValue::Text(_) if name.eq_ignore_ascii_case("control") => {}
                LdifValue::Text(text) => entry.push(name, text)?,
                LdifValue::Url => ignored.add(IgnoredPart::Attribute, name, IgnoredReason::Url, 1),
                LdifValue::Binary => ignored.add(IgnoredPart::Attribute, name, IgnoredReason::Binary, 1),
            }
        }
    }
}

/// Lines before an entry, and those at the end of a search result.
const NON_ENTRY_ATTRIBUTES: [&str; 5] = ["version", "search", "result", "ref", "control"];
const INVALID_BASE64: &str = "the value is not valid Base64";
const SECOND_DN: &str = "a second dn in one entry; separate entries by an empty line";

fn require_add(number: u64, change: &str) -> Result<(), FileError> {
    let message = format!("'changetype: {change}' modifies an existing entry; only complete entries can be imported");
    if change.eq_ignore_ascii_case("add") { Ok(()) } else { Err(FileError::at(number, message)) }
}

enum LdifValue {
    Text(String),
    Binary,
    /// A URL. It is never opened, because it could name any file of this machine.
    Url,
}

fn decode_value(value: &str) -> Result<LdifValue, base64::DecodeError> {
    if let Some(encoded) = value.strip_prefix(':') {
        let bytes = STANDARD.decode(encoded.trim())?;
        return Ok(String::from_utf8(bytes).map_or(LdifValue::Binary, LdifValue::Text));
    }
    if value.starts_with('<') {
        return Ok(LdifValue::Url);
    }
    // Spaces after the colon (FILL) are not part of the value (RFC 2849).
    Ok(LdifValue::Text(value.trim_start_matches(' ').to_owned()))
}

fn is_text_or_null(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

pub(super) struct LdifWriter {
    output: BufWriter<Box<dyn Write + Send>>,
    kind: Option<RecordKind>,
    headers: Vec<String>,
    has_version: bool,
    entry_count: u64,
}

impl LdifWriter {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        let to = BufWriter::with_capacity(1 << 16, to);
        Self { output: to, kind: None, headers: Vec::new(), has_version: false, entry_count: 0 }
    }

    fn write_attribute(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        // SAFE-STRING (RFC 2849); trailing spaces are encoded, too.
        let is_safe = text.bytes().all(|byte| (0x20..0x7F).contains(&byte))
            && !text.starts_with([' ', ':', '<'])
            && !text.ends_with(' ');
        let line = if is_safe { format!("{name}: {text}") } else { format!("{name}:: {}", STANDARD.encode(text)) };
        let mut rest = line.as_str();
        // Names may contain characters of several bytes, which must not be split.
        while let (part, tail) = rest.split_at(rest.floor_char_boundary(MAX_LINE_LENGTH - 1))
            && !tail.is_empty()
        {
            self.output.write_all(part.as_bytes())?;
            self.output.write_all(b"\n ")?;
            rest = tail;
        }
        self.output.write_all(rest.as_bytes())?;
        self.output.write_all(b"\n")
    }

    /// Rows copied from LDIF keep their attribute names.
    fn attribute_name(&self, index: usize) -> Option<String> {
        let header = self.headers.get(index)?;
        match column_by_name(header) {
            Some(column) if self.kind.is_some() => Some(ldap_attribute(column)),
            _ => Some(header.clone()),
        }
    }

    /// The attributes of a row, without its kind. Columns of the same Muster attribute, such as `member` and
    /// `uniqueMember`, are merged into one list: a single value is read as a quoted list, several values literally.
    fn attributes<'a>(&self, cells: &'a [(usize, Value)]) -> Vec<(String, Cow<'a, Value>)> {
        let mut attributes: Vec<(String, Cow<Value>)> = Vec::new();
        for (index, value) in cells {
            let Some(name) = self.attribute_name(*index).filter(|name| name != "muster-kind" && name != "kind") else {
                continue;
            };
            let is_list = is_muster_attribute(&name);
            let mut known = attributes.iter_mut().filter(|_| is_list);
            match known.find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, list)) => {
                    let more = list_items(value.clone());
                    if !more.is_empty() {
                        let mut all = list_items(list.to_mut().take());
                        all.extend(more);
                        *list = Cow::Owned(Value::Array(all));
                    }
                }
                None => attributes.push((name, Cow::Borrowed(value))),
            }
        }
        attributes
    }
}

/// The entries of a list. A text that is not a list is a single entry.
fn list_items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::String(_) => match text_list(&value) {
            Ok(texts) => texts.into_iter().map(Value::String).collect(),
            Err(_) => vec![value],
        },
        other => vec![other],
    }
}

impl super::RowWriter for LdifWriter {
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        if !std::mem::replace(&mut self.has_version, true) {
            self.output.write_all(b"version: 1\n")?;
        }
        Ok(())
    }

    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        self.entry_count += 1;
        let is_kind = |index: usize| self.headers.get(index).is_some_and(|header| header == "kind");
        let kind_cell = cells
            .iter()
            .find(|(place, _)| is_kind(*place))
            .and_then(|(_, value)| RecordKind::from_word(&to_cell_text(value)));
        let kind = self.kind.or(kind_cell).unwrap_or(RecordKind::User);
        let count = self.entry_count.to_string();
        self.output.write_all(b"\n")?;
        let (unit, class) = match kind {
            RecordKind::User => ("people", "inetOrgPerson"),
            RecordKind::Item(directory::ItemKind::Group) => ("groups", "groupOfNames"),
            RecordKind::Item(_) => ("others", "extensibleObject"),
        };
        // The number makes the name unique in the file.
        self.write_attribute("dn", &format!("muster-entry={count},ou={unit},o=muster"))?;
        self.write_attribute("objectClass", "top")?;
        self.write_attribute("objectClass", class)?;
        self.write_attribute("muster-kind", kind.as_str())?;
        if kind == RecordKind::User {
            // LDAP requires a common name. Imports read the parts of the name.
            let name_columns = ["displayName", "familyName", "userName", "email"];
            let header = |index: usize| self.headers.get(index).map(String::as_str);
            let common_name =
                name_columns.iter().find_map(|name| cells.iter().find(|(place, _)| header(*place) == Some(*name)));
            let common_name = common_name.map(|(_, value)| to_cell_text(value)).unwrap_or(count);
            self.write_attribute("cn", &common_name)?;
        }
        for (name, value) in self.attributes(cells) {
            match &*value {
                Value::Array(list) if list.iter().all(is_text_or_null) && list.len() > 1 => {
                    for one in list {
                        self.write_attribute(&name, one.as_str().unwrap_or_default())?;
                    }
                }
                other => self.write_attribute(&name, &to_cell_text(other))?,
            }
        }
        Ok(())
    }

    /// Writes an entry with additional attributes, which replace those of the same names.
    fn write_raw(&mut self, text: &str, extra: &[(&str, Value)]) -> Result<(), FileError> {
        self.output.write_all(b"\n")?;
        let mut is_kept = true;
        for line in text.lines() {
            if !line.starts_with(' ') {
                let name = line.split(':').next().unwrap_or(line);
                is_kept = !extra.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            }
            if is_kept {
                self.output.write_all(line.as_bytes())?;
                self.output.write_all(b"\n")?;
            }
        }
        for (name, value) in extra {
            match value {
                Value::Array(list) => {
                    for one in list {
                        self.write_attribute(name, &to_cell_text(one))?;
                    }
                }
                one => self.write_attribute(name, &to_cell_text(one))?,
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        if !self.has_version {
            self.output.write_all(b"version: 1\n")?;
        }
        Ok(self.output.flush()?)
    }
}
