//! Files as streams of rows, and rows as files. What a file must be is checked while it is read; the caller reads it once
//! to the end before anything is done with it.

mod csv;
mod ldif;
mod ndjson;
mod text;
mod workbook;
mod xlsx;
mod zipped;

use crate::column::Kind;
use crate::ignored::IgnoredCounts;
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The longest row, in bytes.
pub const LONGEST_ROW: usize = 1 << 20;

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
    pub fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Xlsx => "xlsx",
            Self::Ldif => "ldif",
        }
    }

    /// Its media type.
    pub fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Ldif => "text/ldif",
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "csv" | "txt" | "tsv" => Self::Csv,
            "ndjson" | "jsonl" | "json" => Self::Ndjson,
            "xlsx" | "xlsm" => Self::Xlsx,
            "ldif" | "ldf" => Self::Ldif,
            _ => return None,
        })
    }

    /// The format that a file's name ends with.
    pub fn of_path(path: &Path) -> Option<Self> {
        Self::named(path.extension()?.to_str()?)
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
    pub what: String,
}

impl FileError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { row: None, column: None, what: what.into() }
    }

    pub(crate) fn at(row: u64, what: impl Into<String>) -> Self {
        Self { row: Some(row), column: None, what: what.into() }
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
        f.write_str(&self.what)
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
    pub kind: Option<Kind>,
    /// Its cells.
    pub cells: Vec<(usize, Value)>,
    /// How it stands in the file, to be written again if it is rejected.
    pub raw: Raw,
}

/// How a row stands in its file.
#[derive(Clone, Debug, PartialEq)]
pub enum Raw {
    /// As its cells say.
    AsRead,
    /// With these cells, from which its cells were trimmed.
    Cells(Vec<(usize, Value)>),
    /// As this text.
    Text(String),
}

impl Row {
    /// How much it says, roughly in bytes.
    pub(crate) fn weight(&self) -> usize {
        fn of(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len() + 24,
                Value::Array(list) => list.iter().map(of).sum::<usize>() + 24,
                Value::Object(parts) => {
                    parts.iter().map(|(name, part)| name.len() + of(part)).sum::<usize>() + 24
                }
                _ => 24,
            }
        }
        let cells = |cells: &[(usize, Value)]| cells.iter().map(|(_, value)| of(value) + 16).sum::<usize>();
        let raw = match &self.raw {
            Raw::AsRead => 0,
            Raw::Cells(raw) => cells(raw),
            Raw::Text(text) => text.len(),
        };
        cells(&self.cells) + raw
    }
}

/// How a file is to be read, where that is not seen from the file itself.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The delimiter of CSV.
    pub delimiter: Option<u8>,
    /// The encoding of texts, by its label in the WHATWG standard.
    pub encoding: Option<String>,
    /// The sheet of a workbook.
    pub sheet: Option<String>,
    /// Whether an empty cell clears instead of saying nothing.
    pub empty_clears: bool,
}

impl Reading {
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
            Some((_, what)) => Err(format!("{what}, and this file is {}: leave it out", format.word())),
            None => Ok(()),
        }
    }
}

impl Writing {
    /// Checks that each setting means something for a format.
    ///
    /// # Errors
    /// A sentence that names the first one that does not.
    pub fn check(&self, format: Format) -> Result<(), String> {
        if self.for_excel && format != Format::Csv {
            return Err(format!("excel is for CSV files, and this file is {}: leave it out", format.word()));
        }
        Ok(())
    }
}

/// Takes rows, with the headers there are so far.
pub type Rows<'a> = dyn FnMut(&[String], Row) -> Result<(), FileError> + 'a;

/// What there is to say of a file that was read to its end.
#[derive(Debug, Default)]
pub struct Contents {
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
    reading: &Reading,
    rows: &mut Rows<'_>,
) -> Result<Contents, FileError> {
    if std::fs::metadata(path)?.len() == 0 {
        return Err(FileError::new("the file is empty"));
    }
    if format == Format::Xlsx {
        return xlsx::read(path, reading, rows);
    }
    read_text(&|| Ok(Box::new(File::open(path)?)), format, reading, rows)
}

/// Reads a file of text to its end.
pub(crate) fn read_text(
    file: &text::Opener<'_>,
    format: Format,
    reading: &Reading,
    rows: &mut Rows<'_>,
) -> Result<Contents, FileError> {
    let text = text::open(file, reading)?;
    match format {
        Format::Csv => csv::read(text, reading, rows),
        Format::Ndjson => ndjson::read(text, rows),
        Format::Ldif => ldif::read(text, rows),
        Format::Xlsx => Err(FileError::new("a workbook is no text")),
    }
}

/// How rows are to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writing {
    /// CSV as Excel takes it where commas are decimal: with a byte order mark and semicolons.
    pub for_excel: bool,
    /// How texts of CSV are written.
    pub cells: Cells,
    /// The delimiter of CSV; a comma if there is none.
    pub delimiter: Option<u8>,
}

/// How texts are written that a spreadsheet would run, or an import would trim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cells {
    /// As they are.
    #[default]
    Plain,
    /// With an apostrophe in front, which an import takes off.
    Guarded,
    /// The same, but not before blanks: cells as they were in another file.
    Harmless,
}

/// A file that is being written. Rows come kind by kind, each kind with its headers first.
pub trait Writer: Send {
    /// What follows is about this, with these headers.
    fn begin(&mut self, kind: Option<Kind>, headers: &[&str]) -> Result<(), FileError>;
    /// A row of it; cells by the places of the headers.
    fn row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError>;
    /// A row as it was in a file of the same format, with further cells.
    fn text(&mut self, text: &str, more: &[(&str, Value)]) -> Result<(), FileError>;
    /// All of it is written.
    fn finish(self: Box<Self>) -> Result<(), FileError>;
}

/// A writer of a format.
pub fn writer(
    format: Format,
    to: Box<dyn Write + Send>,
    writing: Writing,
) -> Result<Box<dyn Writer>, FileError> {
    Ok(match format {
        Format::Csv => Box::new(csv::Writer::new(to, writing)?),
        Format::Ndjson => Box::new(ndjson::Writer::new(to)),
        Format::Xlsx => Box::new(workbook::Workbook::new(to, writing.cells)),
        Format::Ldif => Box::new(ldif::Writer::new(to)),
    })
}

/// A new file that its owner alone can read: what is in it concerns people.
pub fn private_file(path: &Path, may_replace: bool) -> std::io::Result<File> {
    if may_replace {
        drop(std::fs::remove_file(path));
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A spreadsheet's name for a column: `A`, `Z`, `AA`.
pub(crate) fn letters(place: usize) -> String {
    let mut text = String::new();
    let mut rest = place + 1;
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
        let all: Vec<String> = [0, 25, 26, 51, 52, 701, 702].map(super::letters).into();
        assert_eq!(all, ["A", "Z", "AA", "AZ", "BA", "ZZ", "AAA"]);
    }
}
