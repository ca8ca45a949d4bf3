//! Files as streams of rows, and rows as files. What a file must be is checked while it is read; the caller reads it once
//! to the end before anything is done with it.

mod csv;
mod ldif;
mod ndjson;
mod text_reader;
mod xlsx_limits;
mod xlsx_reader;
mod xlsx_writer;

use crate::column::RecordKind;
use crate::ignored::IgnoredCounts;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The longest row, in bytes.
pub const MAX_ROW_BYTES: usize = 1 << 20;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), or with semicolons or tabs between.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// An Excel workbook.
    Xlsx,
    /// LDAP Data Interchange Format (RFC 2849).
    Ldif,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Xlsx, Self::Ldif];

    /// Its name, which is how its files end.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Xlsx => "xlsx",
            Self::Ldif => "ldif",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ldif => "text/ldif",
        }
    }

    /// The format of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" | "txt" | "tsv" => Self::Csv,
            "ndjson" | "jsonl" | "json" => Self::Ndjson,
            "xlsx" | "xlsm" => Self::Xlsx,
            "ldif" | "ldf" => Self::Ldif,
            _ => return None,
        })
    }

    /// The format that a file's name ends with.
    pub fn from_path(path: &Path) -> Option<Self> {
        Self::from_name(path.extension()?.to_str()?)
    }
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// The row as people count it: the header is row 1 of a sheet; lines of other files.
    pub row: Option<u64>,
    /// The column, by its header or its letter.
    pub column: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl FileError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { row: None, column: None, message: message.into() }
    }

    pub(crate) fn at(row: u64, message: impl Into<String>) -> Self {
        Self { row: Some(row), column: None, message: message.into() }
    }

    pub(crate) fn in_column(self, column: impl Into<String>) -> Self {
        Self { column: Some(column.into()), ..self }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.row, &self.column) {
            (Some(row), Some(column)) => write!(f, "row {row}, column {column}: ")?,
            (Some(row), None) => write!(f, "row {row}: ")?,
            (None, Some(column)) => write!(f, "column {column}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for FileError {}

impl From<std::io::Error> for FileError {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// One row: what it says, by the place of each cell's header. Cells that say nothing are left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The row as people count it.
    pub number: u64,
    /// What it is about, where the file says so apart from its cells.
    pub kind: Option<RecordKind>,
    /// Its cells.
    pub cells: Vec<(usize, Value)>,
    /// How it stands in the file, to be written again if it is rejected.
    pub raw: RawRow,
}

/// How a row stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub enum RawRow {
    /// As its cells say.
    SameAsCells,
    /// With these cells, from which its cells were trimmed.
    Cells(Vec<(usize, Value)>),
    /// As this text.
    Text(String),
}

impl Row {
    /// How much it says, roughly in bytes.
    pub(crate) fn approximate_size(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len() + 24,
                Value::Array(list) => list.iter().map(of).sum::<usize>() + 24,
                Value::Object(parts) => parts.iter().map(|(name, part)| name.len() + of(part)).sum::<usize>() + 24,
                _ => 24,
            }
        }
        let cells = |cells: &[(usize, Value)]| cells.iter().map(|(_, value)| of(value) + 16).sum::<usize>();
        let raw = match &self.raw {
            RawRow::SameAsCells => 0,
            RawRow::Cells(raw) => cells(raw),
            RawRow::Text(text) => text.len(),
        };
        cells(&self.cells) + raw
    }
}

/// How a file is to be read, where that is not seen from the file itself.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The delimiter of CSV.
    pub delimiter: Option<u8>,
    /// The encoding of texts, by its label in the WHATWG standard.
    pub encoding: Option<String>,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// Whether an empty cell clears instead of saying nothing.
    pub empty_clears: bool,
}

impl ReadOptions {
    /// Checks that each setting means something for a format.
    ///
    /// # Errors
    /// A sentence that names the first one that does not.
    pub fn check(&self, format: Format) -> Result<(), String> {
        let settings = [
            (self.delimiter.is_some() && format != Format::Csv, "delimiter is for CSV files"),
            (self.encoding.is_some() && format == Format::Xlsx, "encoding is for text files"),
            (self.sheet.is_some() && format != Format::Xlsx, "sheet is for workbooks (.xlsx)"),
        ];
        match settings.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(format!("{what}, and this file is {}: leave it out", format.as_str())),
            None => Ok(()),
        }
    }
}

impl WriteOptions {
    /// Checks that each setting means something for a format.
    ///
    /// # Errors
    /// A sentence that names the first one that does not.
    pub fn check(&self, format: Format) -> Result<(), String> {
        if self.excel_compatible && format != Format::Csv {
            return Err(format!("excel is for CSV files, and this file is {}: leave it out", format.as_str()));
        }
        Ok(())
    }
}

/// Takes rows, with the headers there are so far.
pub type RowHandler<'a> = dyn FnMut(&[String], Row) -> Result<(), FileError> + 'a;

/// What there is to say of a file that was read to its end.
#[derive(Debug, Default)]
pub struct FileSummary {
    /// All its headers.
    pub headers: Vec<String>,
    /// The delimiter of CSV.
    pub delimiter: Option<u8>,
    /// What was not read.
    pub(crate) ignored: IgnoredCounts,
}

/// Reads a file to its end.
pub fn read(
    path: &Path,
    format: Format,
    options: &ReadOptions,
    on_row: &mut RowHandler<'_>,
) -> Result<FileSummary, FileError> {
    if std::fs::metadata(path)?.len() == 0 {
        return Err(FileError::new("the file is empty"));
    }
    if format == Format::Xlsx {
        return xlsx_reader::read(path, options, on_row);
    }
    read_text(&|| Ok(Box::new(File::open(path)?)), format, options, on_row)
}

/// Reads a file of text to its end.
pub(crate) fn read_text(
    file: &text_reader::Opener<'_>,
    format: Format,
    options: &ReadOptions,
    on_row: &mut RowHandler<'_>,
) -> Result<FileSummary, FileError> {
    let text = text_reader::open(file, options)?;
    match format {
        Format::Csv => csv::read(text, options, on_row),
        Format::Ndjson => ndjson::read(text, on_row),
        Format::Ldif => ldif::read(text, on_row),
        Format::Xlsx => Err(FileError::new("a workbook is no text")),
    }
}

/// How rows are to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// CSV as Excel takes it where commas are decimal: with a byte order mark and semicolons.
    pub excel_compatible: bool,
    /// How texts of CSV are written.
    pub escaping: CellEscaping,
    /// The delimiter of CSV; a comma if there is none.
    pub delimiter: Option<u8>,
}

/// How texts are written that a spreadsheet would run, or an import would trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellEscaping {
    /// As they are.
    #[default]
    None,
    /// With an apostrophe in front, which an import takes off.
    Reversible,
    /// The same, but not before blanks: cells as they were in another file.
    FormulasOnly,
}

/// A file that is being written. Rows come kind by kind, each kind with its headers first.
pub trait RowWriter: Send {
    /// What follows is about this, with these headers.
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError>;
    /// A row of it; cells by the places of the headers.
    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError>;
    /// A row as it was in a file of the same format, with further cells.
    fn write_raw(&mut self, text: &str, extra: &[(&str, Value)]) -> Result<(), FileError>;
    /// All of it is written.
    fn finish(self: Box<Self>) -> Result<(), FileError>;
}

/// A writer of a format.
pub fn create_writer(
    format: Format,
    output: Box<dyn Write + Send>,
    options: WriteOptions,
) -> Result<Box<dyn RowWriter>, FileError> {
    Ok(match format {
        Format::Csv => Box::new(csv::CsvWriter::new(output, options)?),
        Format::Ndjson => Box::new(ndjson::NdjsonWriter::new(output)),
        Format::Xlsx => Box::new(xlsx_writer::XlsxWriter::new(output, options.escaping)),
        Format::Ldif => Box::new(ldif::LdifWriter::new(output)),
    })
}

/// A new file that its owner alone can read: what is in it concerns people.
pub fn create_private_file(path: &Path, replace_existing: bool) -> std::io::Result<File> {
    if replace_existing {
        drop(std::fs::remove_file(path));
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A spreadsheet's name for a column: `A`, `Z`, `AA`.
pub(crate) fn column_letters(index: usize) -> String {
    let mut text = String::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        text.insert(0, char::from(b'A' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn columns_are_counted_in_letters() {
        let all: Vec<String> = [0, 25, 26, 51, 52, 701, 702].map(super::column_letters).into();
        assert_eq!(all, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
