//! CSV (RFC 4180) and its relatives: with semicolons, tabs or bars between.

use super::text::{TOO_LONG, Text};
use super::{Cells, Contents, FileError, LONGEST_ROW, Raw, Reading, Row, Rows, Writing, letters};
use crate::column::Kind;
use crate::value::{flat, guarded, harmless, trimmed, unguarded};
use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use serde_json::Value;
use std::io::{Cursor, Read, Write};

/// What may stand between cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How much of a file is looked at for its delimiter.
const HEAD: usize = 64 * 1024;

pub(super) fn read(mut text: Text, reading: &Reading, rows: &mut Rows<'_>) -> Result<Contents, FileError> {
    let mut head = Vec::new();
    Read::by_ref(&mut text.reader).take(HEAD as u64).read_to_end(&mut head)?;
    let (skipped, said) = announced(&head);
    let delimiter = reading.delimiter.or(said).unwrap_or_else(|| likely(&head[skipped..]));
    text.allowance.set(LONGEST_ROW);
    let rest: Vec<u8> = head.split_off(skipped);
    let input = Cursor::new(rest).chain(text.reader);
    let mut csv =
        ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(input);
    let mut record = StringRecord::new();
    let first_row = u64::from(skipped > 0) + 1;
    if !next(&mut csv, &mut record, first_row)? {
        return Err(FileError::new("the file is empty"));
    }
    let headers: Vec<String> = record.iter().map(|header| trimmed(header).to_owned()).collect();
    headers_are_good(&headers, first_row)?;
    let mut number = first_row;
    loop {
        text.allowance.set(LONGEST_ROW);
        number += 1;
        if !next(&mut csv, &mut record, number)? {
            break;
        }
        // A row with nothing in it is none, however many cells it has.
        if record.iter().all(|cell| trimmed(cell).is_empty()) && (headers.len() > 1 || !reading.empty_clears)
        {
            continue;
        }
        if record.len() != headers.len() {
            let line = record.position().map_or(number, csv::Position::line);
            return Err(FileError::at(
                number,
                format!("it has {} cells where the header has {} (line {line})", record.len(), headers.len()),
            ));
        }
        if text.is_lossy
            && let Some(place) = record.iter().position(|cell| cell.contains('\u{FFFD}'))
        {
            return Err(FileError::at(
                number,
                "it holds bytes that are no text in the file's encoding; say which it is with --encoding",
            )
            .in_column(&*headers[place]));
        }
        rows(&headers, row(number, &record, reading))?;
    }
    if text.seen.odd_quotes.get() && text.seen.last.get() != b'\n' {
        return Err(FileError::at(
            number.saturating_sub(1),
            "the file ends inside quotes: a part of it is missing",
        ));
    }
    Ok(Contents { headers, delimiter: Some(delimiter), ..Contents::default() })
}

/// The next record; the csv crate's own words for what is wrong are for programmers.
fn next(csv: &mut csv::Reader<impl Read>, record: &mut StringRecord, number: u64) -> Result<bool, FileError> {
    csv.read_record(record).map_err(|error| match error.kind() {
        csv::ErrorKind::Io(error) if error.to_string() == TOO_LONG => FileError::at(number, TOO_LONG),
        csv::ErrorKind::Io(error) => FileError::at(number, error.to_string()),
        csv::ErrorKind::Utf8 { .. } => FileError::at(number, "it is no text"),
        _ => FileError::at(number, error.to_string()),
    })
}

fn row(number: u64, record: &StringRecord, reading: &Reading) -> Row {
    let mut is_raw = true;
    let cell = |(place, raw): (usize, &str)| {
        let text = unguarded(raw);
        is_raw &= text.len() == raw.len();
        if text.is_empty() {
            reading.empty_clears.then_some((place, Value::Null))
        } else {
            Some((place, Value::String(text.to_owned())))
        }
    };
    let cells = record.iter().enumerate().filter_map(cell).collect();
    let original = || record.iter().enumerate().map(|(place, raw)| (place, Value::from(raw))).collect();
    let raw = if is_raw { Raw::AsRead } else { Raw::Cells(original()) };
    Row { number, kind: None, cells, raw }
}

/// Headers that are empty or twice there would leave it open what a cell means.
pub(super) fn headers_are_good(headers: &[String], row: u64) -> Result<(), FileError> {
    for (place, header) in headers.iter().enumerate() {
        if header.is_empty() {
            continue;
        }
        if let Some(before) = headers[..place].iter().position(|other| other.eq_ignore_ascii_case(header)) {
            return Err(FileError::at(
                row,
                format!("{header} is the header of column {} already", letters(before)),
            )
            .in_column(letters(place)));
        }
    }
    if headers.iter().all(String::is_empty) {
        return Err(FileError::at(row, "there are no headers"));
    }
    Ok(())
}

/// A first line that is not the header, and its length: Excel's, which says what stands between cells, or the version of Entra
/// ID's templates.
fn announced(head: &[u8]) -> (usize, Option<u8>) {
    let line = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"version:v") {
        return (line.len(), None);
    }
    match line.strip_prefix(b"sep=").map(<[u8]>::trim_ascii_end) {
        Some([delimiter]) => (line.len(), Some(*delimiter)),
        _ => (0, None),
    }
}

/// What stands most often outside quotes on the first line.
fn likely(head: &[u8]) -> u8 {
    let mut counts = [0_u32; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in head {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                if let Some(place) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
                    counts[place] += 1;
                }
            }
            _ => {}
        }
    }
    let best = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|count| *count == best).map_or(b',', |place| DELIMITERS[place])
}

pub(super) struct Writer {
    csv: csv::Writer<Box<dyn Write + Send>>,
    width: usize,
    kind: Option<Kind>,
    writing: Writing,
    has_begun: bool,
}

impl Writer {
    pub(super) fn new(mut to: Box<dyn Write + Send>, writing: Writing) -> Result<Self, FileError> {
        let mut builder = WriterBuilder::new();
        builder.terminator(csv::Terminator::CRLF).delimiter(writing.delimiter.unwrap_or(b','));
        if writing.for_excel {
            to.write_all("\u{FEFF}".as_bytes())?;
            builder.delimiter(b';');
        }
        Ok(Self { csv: builder.from_writer(to), width: 0, kind: None, writing, has_begun: false })
    }

    fn record(&mut self, cells: &[(usize, Value)]) -> Result<(), csv::Error> {
        let mut cells = cells.iter().peekable();
        for place in 0..self.width {
            let text = match cells.next_if(|(at, _)| *at == place) {
                Some((_, value)) => flat(value),
                None => String::new(),
            };
            let text = match self.writing.cells {
                Cells::Guarded => guarded(&text),
                Cells::Harmless => harmless(&text),
                Cells::Plain => text.as_str().into(),
            };
            self.csv.write_field(text.as_bytes())?;
        }
        self.csv.write_record(None::<&[u8]>)
    }
}

fn told(error: csv::Error) -> FileError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => FileError::new(format!("{other:?}")),
    }
}

impl super::Writer for Writer {
    /// All kinds share one header, so that it is one table.
    fn begin(&mut self, kind: Option<Kind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.width = headers.len();
        if !std::mem::replace(&mut self.has_begun, true) {
            self.csv.write_record(headers).map_err(told)?;
        }
        Ok(())
    }

    fn row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        self.record(cells).map_err(told)
    }

    fn text(&mut self, _: &str, _: &[(&str, Value)]) -> Result<(), FileError> {
        Err(FileError::new("a row of CSV consists of cells"))
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        Ok(self.csv.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_seen() {
        assert_eq!(likely(b"a;b;\"c,d,e,f\"\n1,2,3,4,5,6\n"), b';');
        assert_eq!(likely(b"a\tb\n"), b'\t');
        assert_eq!(likely(b"alone\n"), b',');
        assert_eq!(announced(b"sep=|\r\na|b"), (7, Some(b'|')));
    }
}
