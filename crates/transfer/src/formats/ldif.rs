//! LDIF (RFC 2849): entries of attributes, lines that continue behind a space, values in Base64.

use super::ndjson::{NAMES, Names};
use super::text::{TOO_LONG, Text};
use super::{Contents, FileError, LONGEST_ROW, Raw, Row, Rows};
use crate::column::{Kind, named};
use crate::ignored::{IgnoredCounts, Part, Reason};
use crate::ldif_names::{attribute, is_own};
use crate::value::{flat, texts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{BufRead, BufReader, BufWriter, Write};

/// How long lines are that we write.
const WIDTH: usize = 76;

const TOO_MANY_NAMES: &str = "there are too many names";

pub(super) fn read(text: Text, rows: &mut Rows<'_>) -> Result<Contents, FileError> {
    let mut entries = Entries { lines: BufReader::new(text.reader), number: 0, ahead: None };
    let (mut names, mut ignored) = (Names::default(), IgnoredCounts::default());
    loop {
        text.allowance.set(LONGEST_ROW);
        let Some(entry) = entries.next(&mut ignored)? else {
            return Ok(Contents { headers: names.all, ignored, ..Contents::default() });
        };
        let number = entry.number;
        let mut cells = Vec::with_capacity(entry.attributes.len());
        for (name, values) in entry.attributes {
            let place = names.place(&name).ok_or_else(|| FileError::at(number, TOO_MANY_NAMES))?;
            cells.push((place, cell(values)));
        }
        rows(&names.all, Row { number, kind: None, cells, raw: Raw::Text(entry.text) })?;
    }
}

/// The values of an attribute. What is empty clears.
fn cell(mut values: Vec<String>) -> Value {
    let value = |text: String| if text.is_empty() { Value::Null } else { Value::String(text) };
    match values.pop() {
        Some(only) if values.is_empty() => value(only),
        Some(last) => values.into_iter().chain([last]).map(value).collect(),
        None => Value::Null,
    }
}

/// One entry: attributes in the order in which they first come, with all their values.
struct Entry {
    number: u64,
    attributes: Vec<(String, Vec<String>)>,
    /// The index of each attribute by its name in lower case: looking through all of them for each line of an entry of
    /// 1 MB takes seconds.
    indexes: HashMap<String, usize>,
    /// Its lines, as they are in the file.
    text: String,
}

impl Entry {
    fn new(number: u64, name: &str, dn: String) -> Self {
        let indexes = HashMap::from([("dn".into(), 0)]);
        Self { number, attributes: vec![(name.into(), vec![dn])], indexes, text: String::new() }
    }

    fn push(&mut self, name: &str, value: String) -> Result<(), FileError> {
        match self.indexes.entry(name.to_ascii_lowercase()) {
            Occupied(index) => self.attributes[*index.get()].1.push(value),
            Vacant(_) if self.attributes.len() > NAMES => {
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
struct Line {
    number: u64,
    /// What it says.
    text: String,
    /// How it stands in the file.
    raw: String,
}

struct Entries<R> {
    lines: BufReader<R>,
    number: u64,
    /// A line that was read already.
    ahead: Option<Line>,
}

impl<R: std::io::Read> Entries<R> {
    fn raw(&mut self) -> Result<Option<String>, FileError> {
        let mut line = Vec::new();
        let failed = |error: std::io::Error| FileError::at(self.number + 1, error.to_string());
        if self.lines.read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.len() > LONGEST_ROW {
            return Err(FileError::at(self.number, TOO_LONG));
        }
        while line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            line.pop();
        }
        String::from_utf8(line).map(Some).map_err(|_| FileError::at(self.number, "it is no text"))
    }

    fn line(&mut self) -> Result<Option<Line>, FileError> {
        let first = match self.ahead.take() {
            Some(line) => Some(line),
            None => self.raw()?.map(|text| Line { number: self.number, raw: text.clone(), text }),
        };
        let Some(mut line) = first else { return Ok(None) };
        while let Some(more) = self.raw()? {
            match more.strip_prefix(' ') {
                Some(rest) if !line.text.is_empty() => {
                    line.text.push_str(rest);
                    line.raw.push('\n');
                    line.raw.push_str(&more);
                }
                _ => {
                    self.ahead = Some(Line { number: self.number, raw: more.clone(), text: more });
                    break;
                }
            }
            if line.raw.len() > LONGEST_ROW {
                return Err(FileError::at(line.number, TOO_LONG));
            }
        }
        Ok(Some(line))
    }

    /// The next entry. Lines behind an empty one that do not begin an entry are skipped if they are of a search.
    fn next(&mut self, ignored: &mut IgnoredCounts) -> Result<Option<Entry>, FileError> {
        let mut entry: Option<Entry> = None;
        let mut is_search = false;
        loop {
            let Some(Line { number, text, raw }) = self.line()? else { return Ok(entry) };
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
                is_search |= BEFORE_ENTRIES.iter().any(|known| name.eq_ignore_ascii_case(known));
                if is_dn {
                    let value = decoded(value).map_err(|what| FileError::at(number, what).in_column(name))?;
                    let Decoded::Text(dn) = value else {
                        return Err(FileError::at(number, "the dn is not text"));
                    };
                    let mut begun = Entry::new(number, name, dn);
                    begun.text = raw;
                    entry = Some(begun);
                } else if !is_search {
                    return Err(FileError::at(number, "an entry begins with its dn"));
                }
                continue;
            };
            if is_dn {
                return Err(FileError::at(number, SECOND_DN));
            }
            let value = decoded(value).map_err(|what| FileError::at(number, what).in_column(name))?;
            entry.text.push('\n');
            entry.text.push_str(&raw);
            match value {
                Decoded::Text(text) if name.eq_ignore_ascii_case("changetype") => {
                    only_additions(number, &text)?;
                }
                // What the server is to do with a change (RFC 2849).
                Decoded::Text(_) if name.eq_ignore_ascii_case("control") => {}
                Decoded::Text(text) => entry.push(name, text)?,
                Decoded::Url => ignored.add(Part::Attribute, name, Reason::Url, 1),
                Decoded::Binary => ignored.add(Part::Attribute, name, Reason::Binary, 1),
            }
        }
    }
}

/// What may stand before an entry, and what a search says at its end.
const BEFORE_ENTRIES: [&str; 5] = ["version", "search", "result", "ref", "control"];
const SECOND_DN: &str = "a second dn in one entry; entries are separated by an empty line";

fn only_additions(number: u64, change: &str) -> Result<(), FileError> {
    let what =
        format!("'changetype: {change}' changes an entry that exists; only complete entries can be imported");
    if change.eq_ignore_ascii_case("add") { Ok(()) } else { Err(FileError::at(number, what)) }
}

/// The value behind an attribute's colon.
enum Decoded {
    Text(String),
    Binary,
    /// It is elsewhere. It is never opened: the file could name any file of this machine.
    Url,
}

fn decoded(value: &str) -> Result<Decoded, String> {
    if let Some(encoded) = value.strip_prefix(':') {
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "it is no whole Base64".to_owned())?;
        return Ok(String::from_utf8(bytes).map_or(Decoded::Binary, Decoded::Text));
    }
    if value.starts_with('<') {
        return Ok(Decoded::Url);
    }
    // RFC 2849: spaces behind the colon (FILL) are not part of the value.
    Ok(Decoded::Text(value.trim_start_matches(' ').to_owned()))
}

/// A text, or an empty one.
fn is_text(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

pub(super) struct Writer {
    to: BufWriter<Box<dyn Write + Send>>,
    kind: Option<Kind>,
    headers: Vec<String>,
    has_begun: bool,
    count: u64,
}

impl Writer {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        let to = BufWriter::with_capacity(1 << 16, to);
        Self { to, kind: None, headers: Vec::new(), has_begun: false, count: 0 }
    }

    fn value(&mut self, name: &str, text: &str) -> std::io::Result<()> {
        // RFC 2849: safe characters, none of them at the beginning that means something.
        let is_safe = text.bytes().all(|byte| (0x20..0x7F).contains(&byte))
            && !text.starts_with([' ', ':', '<'])
            && !text.ends_with(' ');
        let line =
            if is_safe { format!("{name}: {text}") } else { format!("{name}:: {}", STANDARD.encode(text)) };
        let mut rest = line.as_str();
        // Names may be of any letters, which are not cut in two.
        while let (part, behind) = rest.split_at(rest.floor_char_boundary(WIDTH - 1))
            && !behind.is_empty()
        {
            self.to.write_all(part.as_bytes())?;
            self.to.write_all(b"\n ")?;
            rest = behind;
        }
        self.to.write_all(rest.as_bytes())?;
        self.to.write_all(b"\n")
    }

    /// Rows that were read from LDIF and are written back come with their own names.
    fn name(&self, place: usize) -> Option<String> {
        let header = self.headers.get(place)?;
        match named(header) {
            Some(column) if self.kind.is_some() => Some(attribute(column)),
            _ => Some(header.clone()),
        }
    }

    /// The attributes of a row, without its kind. Cells of one attribute of our own, such as those of `member` and
    /// `uniqueMember`, are merged into one list, because a single value is read as a quoted list and several values are
    /// read literally.
    fn attributes<'a>(&self, cells: &'a [(usize, Value)]) -> Vec<(String, Cow<'a, Value>)> {
        let mut attributes: Vec<(String, Cow<Value>)> = Vec::new();
        for (place, value) in cells {
            let Some(name) = self.name(*place).filter(|name| name != "muster-kind" && name != "kind") else {
                continue;
            };
            let is_list = is_own(&name);
            let mut known = attributes.iter_mut().filter(|_| is_list);
            match known.find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, list)) => {
                    let more = entries(value.clone());
                    if !more.is_empty() {
                        let mut all = entries(list.to_mut().take());
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
fn entries(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        Value::String(_) => match texts(&value) {
            Ok(texts) => texts.into_iter().map(Value::String).collect(),
            Err(_) => vec![value],
        },
        other => vec![other],
    }
}

impl super::Writer for Writer {
    fn begin(&mut self, kind: Option<Kind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        if !std::mem::replace(&mut self.has_begun, true) {
            self.to.write_all(b"version: 1\n")?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        self.count += 1;
        let is_kind = |place: usize| self.headers.get(place).is_some_and(|header| header == "kind");
        let said = cells
            .iter()
            .find(|(place, _)| is_kind(*place))
            .and_then(|(_, value)| Kind::of_word(&flat(value)));
        let kind = self.kind.or(said).unwrap_or(Kind::User);
        let count = self.count.to_string();
        self.to.write_all(b"\n")?;
        let (unit, class) = match kind {
            Kind::User => ("people", "inetOrgPerson"),
            Kind::Item(directory::ItemKind::Group) => ("groups", "groupOfNames"),
            Kind::Item(_) => ("others", "extensibleObject"),
        };
        // The number only makes the name unlike all others of the file.
        self.value("dn", &format!("muster-entry={count},ou={unit},o=muster"))?;
        self.value("objectClass", "top")?;
        self.value("objectClass", class)?;
        self.value("muster-kind", kind.word())?;
        if kind == Kind::User {
            // LDAP wants it; what is read is the name's parts.
            let named = ["displayName", "familyName", "userName", "email"];
            let header = |place: usize| self.headers.get(place).map(String::as_str);
            let common =
                named.iter().find_map(|name| cells.iter().find(|(place, _)| header(*place) == Some(*name)));
            let common = common.map(|(_, value)| flat(value)).unwrap_or(count);
            self.value("cn", &common)?;
        }
        for (name, value) in self.attributes(cells) {
            match &*value {
                Value::Array(list) if list.iter().all(is_text) && list.len() > 1 => {
                    for one in list {
                        self.value(&name, one.as_str().unwrap_or_default())?;
                    }
                }
                other => self.value(&name, &flat(other))?,
            }
        }
        Ok(())
    }

    /// An entry with further attributes, instead of those of these names.
    fn text(&mut self, text: &str, more: &[(&str, Value)]) -> Result<(), FileError> {
        self.to.write_all(b"\n")?;
        let mut is_kept = true;
        for line in text.lines() {
            if !line.starts_with(' ') {
                let name = line.split(':').next().unwrap_or(line);
                is_kept = !more.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            }
            if is_kept {
                self.to.write_all(line.as_bytes())?;
                self.to.write_all(b"\n")?;
            }
        }
        for (name, value) in more {
            match value {
                Value::Array(list) => {
                    for one in list {
                        self.value(name, &flat(one))?;
                    }
                }
                one => self.value(name, &flat(one))?,
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        if !self.has_begun {
            self.to.write_all(b"version: 1\n")?;
        }
        Ok(self.to.flush()?)
    }
}
