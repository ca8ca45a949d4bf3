//! One JSON object a line. Objects within it are flattened (`name.givenName`), lists stay lists.

use super::text::{TOO_LONG, Text};
use super::{Contents, FileError, LONGEST_ROW, Raw, Row, Rows};
use crate::column::Kind;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Write};

/// How deep objects may lie in one another.
const DEPTH: usize = 8;
/// How many different names a file may have.
pub(super) const NAMES: usize = 10_000;

pub(super) fn read(text: Text, rows: &mut Rows<'_>) -> Result<Contents, FileError> {
    let mut lines = BufReader::new(text.reader);
    let mut names = Names::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        text.allowance.set(LONGEST_ROW);
        number += 1;
        let read =
            lines.read_until(b'\n', &mut line).map_err(|error| FileError::at(number, error.to_string()))?;
        if read == 0 {
            return Ok(Contents { headers: names.all, ..Contents::default() });
        }
        if line.len() > LONGEST_ROW {
            return Err(FileError::at(number, TOO_LONG));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line).map_err(|error| {
            let column = error.column();
            // What stands there may be a password.
            FileError::at(number, format!("it is not one whole JSON object (at its character {column})"))
        })?;
        let Value::Object(object) = value else {
            return Err(FileError::at(number, "it is JSON and no object"));
        };
        let mut cells = Vec::new();
        flatten(unwrapped(object), "", DEPTH, &mut |name, value| {
            cells.push((
                names.place(name).ok_or_else(|| FileError::at(number, "there are too many names"))?,
                value,
            ));
            Ok(())
        })?;
        // It was read as JSON, so it is UTF-8.
        let raw = Raw::Text(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        rows(&names.all, Row { number, kind: None, cells, raw })?;
    }
}

/// The names that were seen.
#[derive(Default)]
pub(super) struct Names {
    pub(super) all: Vec<String>,
    places: HashMap<String, usize>,
}

impl Names {
    /// The place of a name; none, when there are too many.
    pub(super) fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        if self.all.len() >= NAMES {
            return None;
        }
        self.all.push(name.to_owned());
        self.places.insert(name.to_owned(), self.all.len() - 1);
        Some(self.all.len() - 1)
    }
}

/// What APIs wrap in one more object, such as `{"user": {…}}`.
fn unwrapped(mut object: Map<String, Value>) -> Map<String, Value> {
    if object.len() == 1
        && let Some(name) = object.keys().next().cloned()
        && Kind::of_word(&name).is_some()
        && let Some(Value::Object(inner)) = object.remove(&name)
    {
        return inner;
    }
    object
}

fn flatten(
    object: Map<String, Value>,
    outer: &str,
    depth: usize,
    each: &mut dyn FnMut(&str, Value) -> Result<(), FileError>,
) -> Result<(), FileError> {
    for (name, value) in object {
        let name = if outer.is_empty() { name } else { format!("{outer}.{name}") };
        match value {
            // Free pairs are an object that is meant.
            Value::Object(inner) if depth > 0 && !crate::value::squeezed(&name).ends_with("metadata") => {
                flatten(inner, &name, depth - 1, each)?;
            }
            value => each(&name, value)?,
        }
    }
    Ok(())
}

pub(super) struct Writer {
    to: BufWriter<Box<dyn Write + Send>>,
    kind: Option<Kind>,
    headers: Vec<String>,
}

impl Writer {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to: BufWriter::with_capacity(1 << 16, to), kind: None, headers: Vec::new() }
    }
}

impl super::Writer for Writer {
    fn begin(&mut self, kind: Option<Kind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Ok(())
    }

    fn row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        let failed = |error: serde_json::Error| FileError::new(error.to_string());
        let mut between = b'{';
        for (place, value) in cells {
            let Some(name) = self.headers.get(*place) else { continue };
            self.to.write_all(&[between])?;
            between = b',';
            serde_json::to_writer(&mut self.to, name).map_err(failed)?;
            self.to.write_all(b":")?;
            serde_json::to_writer(&mut self.to, value).map_err(failed)?;
        }
        if between == b'{' {
            self.to.write_all(b"{")?;
        }
        Ok(self.to.write_all(b"}\n")?)
    }

    /// An object with further members. Those of an earlier rejection are at its end, where they were put by this function.
    fn text(&mut self, text: &str, more: &[(&str, Value)]) -> Result<(), FileError> {
        let last = more.first().and_then(|(name, _)| text.rfind(&format!(",\"{name}\":")));
        let is_own = |at: &usize| {
            serde_json::from_str::<Map<String, Value>>(&format!("{{{}", &text[at + 1..]))
                .is_ok_and(|members| members.keys().all(|key| more.iter().any(|(name, _)| name == key)))
        };
        let body = match last.filter(is_own) {
            Some(at) => &text[..at],
            None => text.strip_suffix('}').unwrap_or(text).trim_end(),
        };
        self.to.write_all(body.as_bytes())?;
        let mut between: &[u8] = if body.ends_with('{') { b"" } else { b"," };
        for (name, value) in more {
            self.to.write_all(between)?;
            between = b",";
            let failed = |error: serde_json::Error| FileError::new(error.to_string());
            serde_json::to_writer(&mut self.to, name).map_err(failed)?;
            self.to.write_all(b":")?;
            serde_json::to_writer(&mut self.to, value).map_err(failed)?;
        }
        Ok(self.to.write_all(b"}\n")?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        Ok(self.to.flush()?)
    }
}
