//! CSV (RFC 4180), with commas, semicolons, tabs or bars as delimiters.

use super::text_reader::{ROW_TOO_LONG, TextReader};
use super::{
    CellEscaping, FileError, FileSummary, MAX_ROW_BYTES, RawRow, ReadOptions, Row, RowHandler, WriteOptions,
    column_letters,
};
use crate::cell_value::{escape_cell, escape_formula, to_cell_text, trim_invisible, unescape_cell};
use crate::column::RecordKind;
use csv::{ReaderBuilder, StringRecord, WriterBuilder};
use serde_json::Value;
use std::io::{Cursor, Read, Write};

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// How much of a file is used to detect the delimiter.
const SNIFF_BYTES: usize = 64 * 1024;

pub(super) fn read(
    mut text: TextReader,
    options: &ReadOptions,
    on_row: &mut RowHandler<'_>,
) -> Result<FileSummary, FileError> {
    let mut head = Vec::new();
    Read::by_ref(&mut text.reader).take(SNIFF_BYTES as u64).read_to_end(&mut head)?;
    let (preamble_length, declared_delimiter) = parse_preamble(&head);
    let delimiter =
        options.delimiter.or(declared_delimiter).unwrap_or_else(|| detect_delimiter(&head[preamble_length..]));
    text.row_budget.set(MAX_ROW_BYTES);
    let rest: Vec<u8> = head.split_off(preamble_length);
    let input = Cursor::new(rest).chain(text.reader);
    let mut csv = ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(input);
    let mut record = StringRecord::new();
    let first_row = u64::from(preamble_length > 0) + 1;
    if !read_record(&mut csv, &mut record, first_row)? {
        return Err(FileError::new("the file is empty"));
    }
    let headers: Vec<String> = record.iter().map(|header| trim_invisible(header).to_owned()).collect();
    check_headers(&headers, first_row)?;
    let mut number = first_row;
    loop {
        text.row_budget.set(MAX_ROW_BYTES);
        number += 1;
        if !read_record(&mut csv, &mut record, number)? {
            break;
        }
        // Blank rows are ignored. With one column and `empty_clears`, a blank row clears the column's value.
        if record.iter().all(|cell| trim_invisible(cell).is_empty()) && (headers.len() > 1 || !options.empty_clears) {
            continue;
        }
        if record.len() != headers.len() {
            let line = record.position().map_or(number, csv::Position::line);
            return Err(FileError::at(
                number,
                format!(
                    "the row has {} cells, but the header has {} (line {line}; check delimiters and quotes)",
                    record.len(),
                    headers.len()
                ),
            ));
        }
        if text.is_lossy
            && let Some(index) = record.iter().position(|cell| cell.contains('\u{FFFD}'))
        {
            return Err(FileError::at(
                number,
                "the cell has bytes that are invalid in the file's encoding (set the encoding with --encoding)",
            )
            .in_column(&*headers[index]));
        }
        on_row(&headers, to_row(number, &record, options))?;
    }
    if text.state.odd_quotes.get() && text.state.last_byte.get() != b'\n' {
        return Err(FileError::at(
            number.saturating_sub(1),
            "the file ends inside a quoted cell: it is truncated, or a closing quote is missing",
        ));
    }
    Ok(FileSummary { headers, delimiter: Some(delimiter), ..FileSummary::default() })
}

/// Reads the next record. Some messages of the csv crate are replaced, since they are for programmers.
fn read_record(csv: &mut csv::Reader<impl Read>, record: &mut StringRecord, number: u64) -> Result<bool, FileError> {
    csv.read_record(record).map_err(|error| match error.kind() {
        csv::ErrorKind::Io(error) if error.to_string() == ROW_TOO_LONG => FileError::at(number, ROW_TOO_LONG),
        csv::ErrorKind::Io(error) => FileError::at(number, error.to_string()),
        csv::ErrorKind::Utf8 { .. } => FileError::at(number, "invalid UTF-8"),
        _ => FileError::at(number, error.to_string()),
    })
}

fn to_row(number: u64, record: &StringRecord, options: &ReadOptions) -> Row {
    let mut is_unchanged = true;
    let cell = |(place, raw): (usize, &str)| {
        let text = unescape_cell(raw);
        is_unchanged &= text.len() == raw.len();
        if text.is_empty() {
            options.empty_clears.then_some((place, Value::Null))
        } else {
            Some((place, Value::String(text.to_owned())))
        }
    };
    let cells = record.iter().enumerate().filter_map(cell).collect();
    let original = || record.iter().enumerate().map(|(place, raw)| (place, Value::from(raw))).collect();
    let raw = if is_unchanged { RawRow::SameAsCells } else { RawRow::Cells(original()) };
    Row { number, kind: None, cells, raw }
}

/// Rejects empty header rows and duplicate headers.
pub(super) fn check_headers(headers: &[String], row: u64) -> Result<(), FileError> {
    for (index, header) in headers.iter().enumerate() {
        if header.is_empty() {
            continue;
        }
        if let Some(before) = headers[..index].iter().position(|other| other.eq_ignore_ascii_case(header)) {
            return Err(FileError::at(
                row,
                format!("duplicate header '{header}' (also in column {})", column_letters(before)),
            )
            .in_column(column_letters(index)));
        }
    }
    if headers.iter().all(String::is_empty) {
        return Err(FileError::at(row, "the header row is empty"));
    }
    Ok(())
}

/// The length of a line before the header, and its delimiter: Excel's `sep=`, or the version of Entra ID's templates.
fn parse_preamble(head: &[u8]) -> (usize, Option<u8>) {
    let line = head.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"version:v") {
        return (line.len(), None);
    }
    match line.strip_prefix(b"sep=").map(<[u8]>::trim_ascii_end) {
        Some([delimiter]) => (line.len(), Some(*delimiter)),
        _ => (0, None),
    }
}

/// The delimiter that is most frequent outside of quotes in the first line.
fn detect_delimiter(head: &[u8]) -> u8 {
    let mut counts = [0_u32; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in head {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                if let Some(index) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
    }
    let best = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|count| *count == best).map_or(b',', |index| DELIMITERS[index])
}

pub(super) struct CsvWriter {
    csv: csv::Writer<Box<dyn Write + Send>>,
    column_count: usize,
    kind: Option<RecordKind>,
    options: WriteOptions,
    has_header: bool,
}

impl CsvWriter {
    pub(super) fn new(mut output: Box<dyn Write + Send>, writing: WriteOptions) -> Result<Self, FileError> {
        let mut builder = WriterBuilder::new();
        builder.terminator(csv::Terminator::CRLF).delimiter(writing.delimiter.unwrap_or(b','));
        if writing.excel_compatible {
            output.write_all("\u{FEFF}".as_bytes())?;
            builder.delimiter(b';');
        }
        Ok(Self { csv: builder.from_writer(output), column_count: 0, kind: None, options: writing, has_header: false })
    }

    fn write_cells(&mut self, cells: &[(usize, Value)]) -> Result<(), csv::Error> {
        let mut cells = cells.iter().peekable();
        for index in 0..self.column_count {
            let text = match cells.next_if(|(at, _)| *at == index) {
                Some((_, value)) => to_cell_text(value),
                None => String::new(),
            };
            let text = match self.options.escaping {
                CellEscaping::Reversible => escape_cell(&text),
                CellEscaping::FormulasOnly => escape_formula(&text),
                CellEscaping::None => text.as_str().into(),
            };
            self.csv.write_field(text.as_bytes())?;
        }
        self.csv.write_record(None::<&[u8]>)
    }
}

fn to_file_error(error: csv::Error) -> FileError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => FileError::new(format!("{other:?}")),
    }
}

impl super::RowWriter for CsvWriter {
    /// All kinds share one table with one header.
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError> {
        self.kind = kind;
        self.column_count = headers.len();
        if !std::mem::replace(&mut self.has_header, true) {
            self.csv.write_record(headers).map_err(to_file_error)?;
        }
        Ok(())
    }

    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        self.write_cells(cells).map_err(to_file_error)
    }

    fn write_raw(&mut self, _: &str, _: &[(&str, Value)]) -> Result<(), FileError> {
        Err(FileError::new("CSV rows consist of cells"))
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        Ok(self.csv.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_detected() {
        assert_eq!(detect_delimiter(b"a;b;\"c,d,e,f\"\n1,2,3,4,5,6\n"), b';');
        assert_eq!(detect_delimiter(b"a\tb\n"), b'\t');
        assert_eq!(detect_delimiter(b"alone\n"), b',');
        assert_eq!(parse_preamble(b"sep=|\r\na|b"), (7, Some(b'|')));
    }
}
