//! LDIF (RFC 2849): entries of attributes, lines that go on behind a blank, values in Base64.
//!
//! People are entries of person classes, groups those of group classes; what is neither is passed over. Members of groups
//! are named by distinguished names, which are turned into what the people of the same file are known by.

use super::ndjson::{NAMES, Names};
use super::text::{TOO_LONG, Text};
use super::{FileError, LONGEST_ROW, Row, Rows};
use crate::column::{Kind, named};
use crate::ldif_names::{attribute, is_own, is_plumbing, kind_of, resolved};
use crate::value::{flat, texts};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use directory::fold;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry::{Occupied, Vacant};
use std::io::{BufRead, BufReader, BufWriter, Write};

/// How long lines are that we write.
const WIDTH: usize = 76;

const TOO_MANY_NAMES: &str = "there are too many names";

pub(super) fn read(text: Text, rows: &mut Rows<'_>) -> Result<(), FileError> {
    let mut entries = Entries { lines: BufReader::new(text.reader), number: 0, ahead: None };
    let mut names = Names::default();
    let mut people: HashMap<String, String> = HashMap::new();
    loop {
        text.allowance.set(LONGEST_ROW);
        let Some(entry) = entries.next()? else { return Ok(()) };
        let Some(kind) = entry.kind()? else { continue };
        if kind == Kind::User
            && let (Some(dn), Some(known)) = (entry.one("dn"), entry.known_by())
        {
            people.insert(fold(dn), known.to_owned());
        }
        let cells = entry.cells(kind, &people, &mut names)?;
        rows(&names.all, Row { number: entry.number, kind: Some(kind), cells })?;
    }
}

/// One entry: attributes in the order in which they first come, with all their values.
struct Entry {
    number: u64,
    attributes: Vec<(String, Vec<String>)>,
    /// The index of each attribute by its name in lower case: looking through all of them for each line of an entry of
    /// 1 MB takes seconds.
    indexes: HashMap<String, usize>,
}

impl Entry {
    fn new(number: u64, dn: String) -> Self {
        let indexes = HashMap::from([("dn".into(), 0)]);
        Self { number, attributes: vec![("dn".into(), vec![dn])], indexes }
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

    fn all(&self, name: &str) -> &[String] {
        let index = self.indexes.get(&name.to_ascii_lowercase());
        index.map_or(&[], |index| &self.attributes[*index].1)
    }

    fn one(&self, name: &str) -> Option<&str> {
        self.all(name).first().map(String::as_str)
    }

    /// What somebody is asked for by.
    fn known_by(&self) -> Option<&str> {
        ["uid", "sAMAccountName", "userPrincipalName", "mail"].into_iter().find_map(|name| self.one(name))
    }

    fn kind(&self) -> Result<Option<Kind>, FileError> {
        if self.one("changetype").is_some_and(|change| !change.eq_ignore_ascii_case("add")) {
            return Err(FileError::at(
                self.number,
                "it is a change to an entry; only whole entries are taken in",
            ));
        }
        if let Some(word) = self.one("muster-kind") {
            let unknown = || FileError::at(self.number, format!("there is nothing of the kind {word}"));
            return Kind::of_word(word).map(Some).ok_or_else(unknown);
        }
        Ok(kind_of(self.all("objectClass").iter().map(String::as_str)))
    }

    fn cells(
        &self,
        kind: Kind,
        people: &HashMap<String, String>,
        names: &mut Names,
    ) -> Result<Vec<(usize, Value)>, FileError> {
        let mut cells = Vec::new();
        let is_own = self.one("muster-kind").is_some();
        let is_needed = match kind {
            Kind::User => self.one("sn").is_none() && self.one("givenName").is_none(),
            Kind::Item(_) => true,
        };
        for (name, values) in &self.attributes {
            let is_name = name.eq_ignore_ascii_case("cn") && !is_own && is_needed;
            // What comes behind a semicolon is a language or a way of writing.
            let bare = name.split(';').next().unwrap_or(name);
            let is_translated_name = bare != name && bare.eq_ignore_ascii_case("cn");
            if is_plumbing(bare) && !is_name && !is_translated_name {
                continue;
            }
            let lower = bare.to_ascii_lowercase();
            let header = match (kind, lower.as_str()) {
                (Kind::User, "mail") if values.len() > 1 => "emails",
                (Kind::User, "description") => "bio",
                (Kind::User, "entryuuid" | "objectguid" | "objectsid") => continue,
                (Kind::Item(_), "cn") => "name",
                // Whoever has no names but this one is called so.
                (Kind::User, "cn") => "formattedName",
                _ => bare,
            };
            let value = |text: &String| {
                if text.is_empty() { Value::Null } else { Value::String(text.clone()) }
            };
            let value = match (lower.as_str(), values.as_slice()) {
                (name, dns) if resolved(name) == Some("muster-members") => {
                    let known = |dn: &String| people.get(&fold(dn)).cloned().unwrap_or_else(|| named_by(dn));
                    dns.iter().map(known).map(Value::String).collect()
                }
                (name, dns) if resolved(name).is_some() => {
                    dns.iter().map(|dn| Value::String(named_by(dn))).collect()
                }
                (_, [one]) => value(one),
                (_, several) => several.iter().map(value).collect(),
            };
            let place = names.place(header).ok_or_else(|| FileError::at(self.number, TOO_MANY_NAMES))?;
            cells.push((place, value));
        }
        Ok(cells)
    }
}

/// What somebody is known by whose entry is not in the file: the value of the first part of their distinguished name.
fn named_by(dn: &str) -> String {
    let first = dn.split(',').next().unwrap_or(dn);
    first.split_once('=').map_or(dn, |(_, value)| value).trim().to_owned()
}

struct Entries<R> {
    lines: BufReader<R>,
    number: u64,
    /// A line that was read already, and its number.
    ahead: Option<(String, u64)>,
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

    /// A line with those that go on behind a blank.
    fn line(&mut self) -> Result<Option<(String, u64)>, FileError> {
        let first = match self.ahead.take() {
            Some(line) => Some(line),
            None => self.raw()?.map(|line| (line, self.number)),
        };
        let Some((mut line, number)) = first else { return Ok(None) };
        while let Some(more) = self.raw()? {
            match more.strip_prefix(' ') {
                Some(rest) if !line.is_empty() => line.push_str(rest),
                _ => {
                    self.ahead = Some((more, self.number));
                    break;
                }
            }
            if line.len() > LONGEST_ROW {
                return Err(FileError::at(number, TOO_LONG));
            }
        }
        Ok(Some((line, number)))
    }

    fn next(&mut self) -> Result<Option<Entry>, FileError> {
        let mut entry: Option<Entry> = None;
        loop {
            let Some((line, number)) = self.line()? else { return Ok(entry) };
            if line.starts_with('#') {
                continue;
            }
            if line.is_empty() {
                if entry.is_some() {
                    return Ok(entry);
                }
                continue;
            }
            let Some((name, value)) = line.split_once(':') else {
                return Err(FileError::at(number, "it is no attribute and no value"));
            };
            if name.chars().any(char::is_control) {
                return Err(FileError::at(number, "the name of the attribute holds a control character"));
            }
            let value = decoded(value).map_err(|what| FileError::at(number, what).in_column(name))?;
            match &mut entry {
                // A version, and what a search says at its end, belong to no entry.
                None if !name.eq_ignore_ascii_case("dn") => {
                    if !["version", "search", "result", "ref"].contains(&name.to_ascii_lowercase().as_str()) {
                        return Err(FileError::at(number, "an entry begins with its dn"));
                    }
                }
                None => {
                    let dn = value.unwrap_or_default();
                    entry = Some(Entry::new(number, dn));
                }
                Some(entry) => {
                    let Some(value) = value else { continue };
                    entry.push(name, value)?;
                }
            }
        }
    }
}

/// The value behind an attribute's colon; nothing, where it is no text, such as a picture.
fn decoded(value: &str) -> Result<Option<String>, String> {
    if let Some(encoded) = value.strip_prefix(':') {
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| "it is no whole Base64".to_owned())?;
        return Ok(String::from_utf8(bytes).ok());
    }
    if value.starts_with('<') {
        return Err("it says that its value is elsewhere, which is not looked for".into());
    }
    Ok(Some(value.strip_prefix(' ').unwrap_or(value).to_owned()))
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
            // What its distinguished names stood for is no distinguished name any more.
            _ => Some(resolved(header).unwrap_or(header).to_owned()),
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

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        if !self.has_begun {
            self.to.write_all(b"version: 1\n")?;
        }
        Ok(self.to.flush()?)
    }
}
