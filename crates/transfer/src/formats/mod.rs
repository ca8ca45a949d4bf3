//! File formats: reading files as rows, and writing rows. Files are validated while they are read.

mod csv;
mod ldif;
mod ndjson;
mod text_reader;
mod xlsx_limits;
mod xlsx_reader;
mod xlsx_writer;

use crate::InvalidOption;
use crate::column::RecordKind;
use crate::ignored::IgnoredCounts;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

pub const MAX_ROW_BYTES: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180), also with other delimiters.
    Csv,
    /// One JSON object per line.
    Ndjson,
    Xlsx,
    /// LDAP Data Interchange Format (RFC 2849).
    Ldif,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Csv, Self::Ndjson, Self::Xlsx, Self::Ldif];

    /// The name, which is also the file name extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Xlsx => "xlsx",
            Self::Ldif => "ldif",
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ldif => "text/ldif",
        }
    }

    /// The format of a name or file name extension.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" | "txt" | "tsv" => Self::Csv,
            "ndjson" | "jsonl" | "json" => Self::Ndjson,
            "xlsx" | "xlsm" => Self::Xlsx,
            "ldif" | "ldf" => Self::Ldif,
            _ => return None,
        })
    }

    pub fn from_path(path: &Path) -> Option<Self> {
        Self::from_name(path.extension()?.to_str()?)
    }
}

/// An invalid part of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Rows of a sheet or CSV file start at 1 with the header; in other files, the row is the line.
    pub row: Option<u64>,
    /// A header, or the letters of the column.
    pub column: Option<String>,
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

/// One row, by the indexes of the headers. Cells without a value are absent.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// As in [`FileError`].
    pub number: u64,
    /// What the row is about, if known from outside of its cells, as from the name of its sheet.
    pub kind: Option<RecordKind>,
    pub cells: Vec<(usize, Value)>,
    /// The source of the row, to be written if it is rejected.
    pub raw: RawRow,
}

/// The source of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum RawRow {
    /// The cells as they are.
    SameAsCells,
    /// The cells before they were trimmed.
    Cells(Vec<(usize, Value)>),
    /// The text of a line or entry.
    Text(String),
}

impl Row {
    /// The approximate size, in bytes.
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

/// Reading options that the file does not determine.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// For CSV.
    pub delimiter: Option<u8>,
    /// A label of the WHATWG Encoding Standard.
    pub encoding: Option<String>,
    /// For workbooks.
    pub sheet: Option<String>,
    /// Whether an empty cell clears the field instead of keeping it.
    pub empty_clears: bool,
}

impl ReadOptions {
    /// Checks that each option applies to a format.
    ///
    /// # Errors
    /// An option does not apply.
    pub fn check(&self, format: Format) -> Result<(), InvalidOption> {
        require(self.delimiter.is_some(), format == Format::Csv, "'delimiter' applies to CSV files only", format)?;
        require(self.encoding.is_some(), format != Format::Xlsx, "'encoding' applies to text files only", format)?;
        require(self.sheet.is_some(), format == Format::Xlsx, "'sheet' applies to workbooks (.xlsx) only", format)
    }
}

impl WriteOptions {
    /// Checks that each option applies to a format.
    ///
    /// # Errors
    /// An option does not apply.
    pub fn check(&self, format: Format) -> Result<(), InvalidOption> {
        require(self.excel_compatible, format == Format::Csv, "'excel' applies to CSV files only", format)
    }
}

/// Fails if an option is set although it does not apply.
fn require(is_set: bool, applies: bool, rule: &str, format: Format) -> Result<(), InvalidOption> {
    if !is_set || applies {
        return Ok(());
    }
    Err(format!("{rule}, but this file is {}; omit the option", format.as_str()).into())
}

/// Gets a row and the headers read so far.
pub type RowHandler<'a> = dyn FnMut(&[String], Row) -> Result<(), FileError> + 'a;

/// The result of reading a file to its end.
#[derive(Debug, Default)]
pub struct FileSummary {
    pub headers: Vec<String>,
    /// The delimiter of a CSV file.
    pub delimiter: Option<u8>,
    pub(crate) ignored: IgnoredCounts,
}

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
        Format::Xlsx => Err(FileError::new("a workbook is not a text file")),
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// CSV for Excel in locales with a decimal comma: with a byte order mark and semicolons.
    pub excel_compatible: bool,
    /// Escaping of cells in CSV and workbooks.
    pub escaping: CellEscaping,
    /// The delimiter of CSV; a comma by default.
    pub delimiter: Option<u8>,
}

/// Escaping of texts that a spreadsheet would run, or an import would trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellEscaping {
    #[default]
    None,
    /// With a leading apostrophe, which an import removes.
    Reversible,
    /// Formulas only, for cells copied from another file.
    FormulasOnly,
}

/// Writes rows kind by kind. Each kind begins with its headers.
pub trait RowWriter: Send {
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError>;
    /// Writes a row by the indexes of the headers.
    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError>;
    /// Writes a row copied from a file of the same format, with additional cells.
    fn write_raw(&mut self, text: &str, extra: &[(&str, Value)]) -> Result<(), FileError>;
    fn finish(self: Box<Self>) -> Result<(), FileError>;
}

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

/// Creates a file that only its owner can read, since it contains personal data.
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

/// The letters of a spreadsheet column: `A`, `Z`, `AA`.
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
