//! LDIF (RFC 2849): entries of attributes, lines that continue behind a space, values in Base64.

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

/// How long lines are that we write.
const MAX_LINE_LENGTH: usize = 76;

const TOO_MANY_NAMES: &str = "there are too many names";

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

/// The values of an attribute. What is empty clears.
fn to_cell(mut values: Vec<String>) -> Value {
    let value = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
    match values.pop() {
        Some(only) if values.is_empty() => value(only),
        Some(last) => values.into_iter().chain([last]).map(value).collect(),
        None => Value::Null,
    }
}

/// One entry: attributes in the order in which they first come, with all their values.
struct LdifEntry {
    number: u64,
    attributes: Vec<(String, Vec<String>)>,
    /// The index of each attribute by its name in lower case: looking through all of them for each line of an entry of
    /// 1 MB takes seconds.
    indexes: HashMap<String, usize>,
    /// Its lines, as they are in the file.
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

/// A line with those that continue it.
struct UnfoldedLine {
    number: u64,
    /// What it says.
    text: String,
    /// How it stands in the file.
    raw: String,
}

struct EntryReader<R> {
    lines: BufReader<R>,
    line_number: u64,
    /// A line that was read already.
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
        String::from_utf8(line).map(Some).map_err(|_| FileError::at(self.line_number, "it is no text"))
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

    /// The next entry. Lines behind an empty one that do not begin an entry are skipped if they are of a search.
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
                return Err(FileError::at(number, "it is not an attribute with a value"));
            };
            if name.chars().any(char::is_control) {
                return Err(FileError::at(number, "the name of the attribute holds a control character"));
            }
            let is_dn = name.eq_ignore_ascii_case("dn");
            let Some(entry) = &mut entry else {
                is_search |= NON_ENTRY_ATTRIBUTES.iter().any(|known| name.eq_ignore_ascii_case(known));
                if is_dn {
                    let value =
                        decode_value(value).map_err(|message| FileError::at(number, message).in_column(name))?;
                    let LdifValue::Text(dn) = value else {
                        return Err(FileError::at(number, "the dn is not text"));
                    };
                    let mut new_entry = LdifEntry::new(number, name, dn);
                    new_entry.text = raw;
                    entry = Some(new_entry);
                } else if !is_search {
                    return Err(FileError::at(number, "an entry begins with its dn"));
                }
                continue;
            };
            if is_dn {
                return Err(FileError::at(number, SECOND_DN));
            }
            let value = decode_value(value).map_err(|message| FileError::at(number, message).in_column(name))?;
            entry.text.push('\n');
            entry.text.push_str(&raw);
            match value {
                LdifValue::Text(text) if name.eq_ignore_ascii_case("changetype") => {
                    require_add(number, &text)?;
                }
                // What the server is to do with a change (RFC 2849).
                LdifValue::Text(_) if name.eq_ignore_ascii_case("control") => {}
                LdifValue::Text(text) => entry.push(name, text)?,
                LdifValue::Url => ignored.add(IgnoredPart::Attribute, name, IgnoredReason::Url, 1),
                LdifValue::Binary => ignored.add(IgnoredPart::Attribute, name, IgnoredReason::Binary, 1),
            }
        }
    }
}

/// What may stand before an entry, and what a search says at its end.
const NON_ENTRY_ATTRIBUTES: [&str; 5] = ["version", "search", "result", "ref", "control"];
const SECOND_DN: &str = "a second dn in one entry; entries are separated by an empty line";

fn require_add(number: u64, change: &str) -> Result<(), FileError> {
    let message = format!("'changetype: {change}' changes an entry that exists; only complete entries can be imported");
    if change.eq_ignore_ascii_case("add") { Ok(()) } else { Err(FileError::at(number, message)) }
}

/// The value behind an attribute's colon.
enum LdifValue {
    Text(String),
    Binary,
    /// It is elsewhere. It is never opened: the file could name any file of this machine.
    Url,
}

fn decode_value(value: &str) -> Result<LdifValue, String> {
    if let Some(encoded) = value.strip_prefix(':') {
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "it is no whole Base64".to_owned())?;
        return Ok(String::from_utf8(bytes).map_or(LdifValue::Binary, LdifValue::Text));
    }
    if value.starts_with('<') {
        return Ok(LdifValue::Url);
    }
    // RFC 2849: spaces behind the colon (FILL) are not part of the value.
    Ok(LdifValue::Text(value.trim_start_matches(' ').to_owned()))
}

/// A text, or an empty one.
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
        // RFC 2849: safe characters, none of them at the beginning that means something.
        let is_safe = text.bytes().all(|byte| (0x20..0x7F).contains(&byte))
            && !text.starts_with([' ', ':', '<'])
            && !text.ends_with(' ');
        let line = if is_safe { format!("{name}: {text}") } else { format!("{name}:: {}", STANDARD.encode(text)) };
        let mut rest = line.as_str();
        // Names may be of any letters, which are not cut in two.
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

    /// Rows that were read from LDIF and are written back come with their own names.
    fn attribute_name(&self, index: usize) -> Option<String> {
        let header = self.headers.get(index)?;
        match column_by_name(header) {
            Some(column) if self.kind.is_some() => Some(ldap_attribute(column)),
            _ => Some(header.clone()),
        }
    }

    /// The attributes of a row, without its kind. Cells of one attribute of our own, such as those of `member` and
    /// `uniqueMember`, are merged into one list, because a single value is read as a quoted list and several values are
    /// read literally.
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

/// The entries of a list, which may be in one text. A text that is not a list is a single entry.
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
        // The number only makes the name unlike all others of the file.
        self.write_attribute("dn", &format!("muster-entry={count},ou={unit},o=muster"))?;
        self.write_attribute("objectClass", "top")?;
        self.write_attribute("objectClass", class)?;
        self.write_attribute("muster-kind", kind.as_str())?;
        if kind == RecordKind::User {
            // LDAP wants it; what is read is the name's parts.
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

    /// An entry with further attributes, instead of those of these names.
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
