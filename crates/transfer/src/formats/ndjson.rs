//! NDJSON: one JSON object per line. Nested objects are flattened (`name.givenName`), lists are kept.

use super::text_reader::{ROW_TOO_LONG, TextReader};
use super::{FileError, FileSummary, MAX_ROW_BYTES, RawRow, Row, RowHandler};
use crate::column::RecordKind;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Write};

/// The maximum nesting of flattened objects.
const MAX_DEPTH: usize = 8;
/// The maximum number of different names in a file.
pub(super) const MAX_NAMES: usize = 10_000;

pub(super) fn read(text: TextReader, on_row: &mut RowHandler<'_>) -> Result<FileSummary, FileError> {
    let mut lines = BufReader::new(text.reader);
    let mut names = NameIndex::default();
    let mut line = Vec::new();
    let mut number = 0;
    loop {
        line.clear();
        text.row_budget.set(MAX_ROW_BYTES);
        number += 1;
        let read = lines.read_until(b'\n', &mut line).map_err(|error| FileError::at(number, error.to_string()))?;
        if read == 0 {
            return Ok(FileSummary { headers: names.names, ..FileSummary::default() });
        }
        if line.len() > MAX_ROW_BYTES {
            return Err(FileError::at(number, ROW_TOO_LONG));
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let value: Value = serde_json::from_slice(&line).map_err(|error| {
            let column = error.column();
            // No excerpt in the message: it may contain a password.
            FileError::at(number, format!("not a complete JSON object on one line (error at character {column})"))
        })?;
        let Value::Object(object) = value else {
            return Err(FileError::at(number, "each line must be a JSON object"));
        };
        let mut cells = Vec::new();
        flatten(unwrap_envelope(object), "", MAX_DEPTH, &mut |name, value| {
            cells.push((names.index_of(name).ok_or_else(|| FileError::at(number, "more than 10,000 names"))?, value));
            Ok(())
        })?;
        // Lossless: valid JSON is valid UTF-8.
        let raw = RawRow::Text(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        on_row(&names.names, Row { number, kind: None, cells, raw })?;
    }
}

/// The different names in a file.
#[derive(Default)]
pub(super) struct NameIndex {
    pub(super) names: Vec<String>,
    indexes: HashMap<String, usize>,
}

impl NameIndex {
    /// `None` if there are too many names.
    pub(super) fn index_of(&mut self, name: &str) -> Option<usize> {
        if let Some(index) = self.indexes.get(name) {
            return Some(*index);
        }
        if self.names.len() >= MAX_NAMES {
            return None;
        }
        self.names.push(name.to_owned());
        self.indexes.insert(name.to_owned(), self.names.len() - 1);
        Some(self.names.len() - 1)
    }
}

/// Unwraps objects such as `{"user": {…}}`, which some APIs return.
fn unwrap_envelope(mut object: Map<String, Value>) -> Map<String, Value> {
    if object.len() == 1
        && let Some(name) = object.keys().next().cloned()
        && RecordKind::from_word(&name).is_some()
        && let Some(Value::Object(inner)) = object.remove(&name)
    {
        return inner;
    }
    object
}

fn flatten(
    object: Map<String, Value>,
    prefix: &str,
    depth: usize,
    emit: &mut dyn FnMut(&str, Value) -> Result<(), FileError>,
) -> Result<(), FileError> {
    for (name, value) in object {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            // Metadata is an object of arbitrary keys, not nested fields.
            Value::Object(inner) if depth > 0 && !crate::cell_value::normalize_header(&name).ends_with("metadata") => {
                flatten(inner, &name, depth - 1, emit)?;
            }
            value => emit(&name, value)?,
        }
    }
    Ok(())
}

pub(super) struct NdjsonWriter {
    output: BufWriter<Box<dyn Write + Send>>,
    kind: Option<RecordKind>,
    headers: Vec<String>,
}

impl NdjsonWriter {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { output: BufWriter::with_capacity(1 << 16, to), kind: None, headers: Vec::new() }
    }
}

impl super::RowWriter for NdjsonWriter {
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        Ok(())
    }

    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        let to_file_error = |error: serde_json::Error| FileError::new(error.to_string());
        let mut separator = b'{';
        for (index, value) in cells {
            let Some(name) = self.headers.get(*index) else { continue };
            self.output.write_all(&[separator])?;
            separator = b',';
            serde_json::to_writer(&mut self.output, name).map_err(to_file_error)?;
            self.output.write_all(b":")?;
            serde_json::to_writer(&mut self.output, value).map_err(to_file_error)?;
        }
        if separator == b'{' {
            self.output.write_all(b"{")?;
        }
        Ok(self.output.write_all(b"}\n")?)
    }

    /// Appends members to an object. Those of an earlier rejection are at its end and are replaced.
    fn write_raw(&mut self, text: &str, extra: &[(&str, Value)]) -> Result<(), FileError> {
        let last = extra.first().and_then(|(name, _)| text.rfind(&format!(",\"{name}\":")));
        let is_own = |at: &usize| {
            serde_json::from_str::<Map<String, Value>>(&format!("{{{}", &text[at + 1..]))
                .is_ok_and(|members| members.keys().all(|key| extra.iter().any(|(name, _)| name == key)))
        };
        let body = match last.filter(is_own) {
            Some(at) => &text[..at],
            None => text.strip_suffix('}').unwrap_or(text).trim_end(),
        };
        self.output.write_all(body.as_bytes())?;
        let mut separator: &[u8] = if body.ends_with('{') { b"" } else { b"," };
        for (name, value) in extra {
            self.output.write_all(separator)?;
            separator = b",";
            let to_file_error = |error: serde_json::Error| FileError::new(error.to_string());
            serde_json::to_writer(&mut self.output, name).map_err(to_file_error)?;
            self.output.write_all(b":")?;
            serde_json::to_writer(&mut self.output, value).map_err(to_file_error)?;
        }
        Ok(self.output.write_all(b"}\n")?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        Ok(self.output.flush()?)
    }
}
