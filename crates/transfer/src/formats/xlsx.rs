//! Excel workbooks, read cell by cell. Sheets that are called as kinds are (`Users`, `Groups`, …) are all read; where there
//! is none, the first one is.

use super::csv::headers_are_good;
use super::{Contents, FileError, LONGEST_ROW, Raw, Reading, Row, Rows, letters, zipped};
use crate::column::Kind;
use crate::ignored::{Part, Reason};
use crate::value::{trimmed, unguarded};
use calamine::{Cell, DataRef, Reader, SheetType, Style, Xlsx, XlsxError};
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

/// The last column of a sheet.
const COLUMNS: u32 = 16_384;

pub(super) fn read(path: &Path, reading: &Reading, rows: &mut Rows<'_>) -> Result<Contents, FileError> {
    zipped::check(path)?;
    let broken = |error: XlsxError| FileError::new(format!("it is no whole Excel workbook: {error}"));
    let mut book = Xlsx::new(BufReader::new(File::open(path)?)).map_err(broken)?;
    let sheets: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let chosen = chosen(&sheets, reading)?;
    if chosen.is_empty() {
        return Err(FileError::new("it has no sheet"));
    }
    let is_alone = chosen.len() == 1;
    let mut contents = Contents::default();
    for name in sheets.iter().filter(|name| !chosen.iter().any(|(other, _)| other == *name)) {
        contents.ignored.add(Part::Sheet, name, Reason::NotChosen, 1);
    }
    let headers = &mut contents.headers;
    let mut is_empty = true;
    for (name, kind) in chosen {
        let mut sheet = Sheet { kind, reading, first: None, headers, last: 0 };
        let done = sheet.read(&mut book, &name, rows);
        is_empty &= sheet.first.is_none();
        // Rows of several sheets are told apart by these.
        done.map_err(|error| {
            if is_alone {
                error
            } else {
                FileError { what: format!("{} (sheet {name})", error.what), ..error }
            }
        })?;
    }
    if is_empty { Err(FileError::new("the file is empty")) } else { Ok(contents) }
}

/// The sheets that are read, and what their rows are about.
fn chosen(sheets: &[String], reading: &Reading) -> Result<Vec<(String, Option<Kind>)>, FileError> {
    if let Some(name) = &reading.sheet {
        let found = sheets.iter().find(|sheet| *sheet == name);
        let found = found.ok_or_else(|| {
            FileError::new(format!("it has no sheet {name}; its sheets are {}", sheets.join(", ")))
        })?;
        return Ok(vec![(found.clone(), Kind::of_word(found))]);
    }
    // "Groups 2" goes on where "Groups" is full.
    let kind = |name: &String| Kind::of_word(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' '));
    let of_kinds: Vec<_> = sheets.iter().filter_map(|name| Some((name.clone(), Some(kind(name)?)))).collect();
    let first = || sheets.first().map(|name| (name.clone(), None)).into_iter().collect();
    Ok(if of_kinds.is_empty() { first() } else { of_kinds })
}

struct Sheet<'a> {
    kind: Option<Kind>,
    reading: &'a Reading,
    /// Where its headers begin among those of all sheets, and how many it has, once they were read.
    first: Option<(usize, usize)>,
    headers: &'a mut Vec<String>,
    last: u32,
}

impl Sheet<'_> {
    fn read(
        &mut self,
        book: &mut Xlsx<BufReader<File>>,
        name: &str,
        rows: &mut Rows<'_>,
    ) -> Result<(), FileError> {
        let last = std::cell::Cell::new(0);
        let broken = |error: XlsxError| FileError::at(last.get() + 1, format!("it cannot be read: {error}"));
        let mut cells = book.worksheet_cells_reader(name).map_err(broken)?;
        let (mut open, mut bytes): (Vec<(u32, Value)>, usize) = (Vec::new(), 0);
        let mut at = 0;
        let styles = cells.styles().to_vec();
        while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(broken)? {
            let (row, column) = cell.get_position();
            last.set(u64::from(row));
            if row != at && !open.is_empty() {
                self.row(at, std::mem::take(&mut open), rows)?;
                bytes = 0;
            }
            let is_behind = open.last().is_some_and(|(last, _)| column <= *last);
            if row < self.last || column >= COLUMNS || is_behind {
                return Err(FileError::at(u64::from(row) + 1, "its rows or columns are out of order"));
            }
            (at, self.last) = (row, row);
            let value = value(&cell, styles.get(style))?;
            bytes += value.as_ref().and_then(Value::as_str).map_or(8, str::len);
            if bytes > LONGEST_ROW {
                return Err(FileError::at(u64::from(row) + 1, super::text::TOO_LONG)
                    .in_column(letters(column as usize)));
            }
            open.extend(value.map(|value| (column, value)));
        }
        if open.is_empty() { Ok(()) } else { self.row(at, open, rows) }
    }

    fn row(&mut self, row: u32, cells: Vec<(u32, Value)>, rows: &mut Rows<'_>) -> Result<(), FileError> {
        let number = u64::from(row) + 1;
        let Some((first, many)) = self.first else {
            let width = cells.last().map_or(0, |(column, _)| *column as usize + 1);
            let mut own = vec![String::new(); width];
            for (column, value) in cells {
                trimmed(&crate::value::flat(&value)).clone_into(&mut own[column as usize]);
            }
            headers_are_good(&own, number)?;
            self.first = Some((self.headers.len(), width));
            self.headers.extend(own);
            return Ok(());
        };
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| trimmed(text).is_empty());
        if cells.iter().all(|(_, value)| is_blank(value)) {
            return Ok(());
        }
        let mut own = Vec::with_capacity(cells.len());
        for (column, value) in cells.into_iter().filter(|(_, value)| !is_blank(value)) {
            let place = column as usize;
            if place >= many || self.headers[first + place].is_empty() {
                let what = "there is a cell without a header above it";
                return Err(FileError::at(number, what).in_column(letters(place)));
            }
            own.push((first + place, value));
        }
        let original = own.clone();
        for (_, value) in &mut own {
            if let Value::String(text) = value {
                *text = unguarded(text).to_owned();
            }
        }
        let raw = if own == original { Raw::AsRead } else { Raw::Cells(original) };
        if self.reading.empty_clears {
            let there: Vec<usize> = own.iter().map(|(place, _)| *place).collect();
            let missing = (first..first + many).filter(|place| !there.contains(place));
            own.extend(missing.map(|place| (place, Value::Null)).collect::<Vec<_>>());
            own.sort_by_key(|(place, _)| *place);
        }
        rows(self.headers, Row { number, kind: self.kind, cells: own, raw })
    }
}

/// A number as the cell shows it: `0042` where the format is `0000`.
fn number(number: f64, style: Option<&Style>) -> String {
    let format =
        style.and_then(|style| style.number_format.as_ref()).map(|format| format.format_code.as_str());
    // Without one, a cell shows as many digits as it has room for.
    let shown = format.filter(|format| !matches!(*format, "General" | "@" | "")).map(|format| {
        let shown = ssfmt::format_default(number, format);
        shown.map_or_else(|_| number.to_string(), |text| trimmed(&text).to_owned())
    });
    shown.unwrap_or_else(|| number.to_string())
}

/// What a cell holds, as it is shown, but that a date is in ISO 8601; nothing, where it is empty.
fn value(cell: &Cell<DataRef<'_>>, style: Option<&Style>) -> Result<Option<Value>, FileError> {
    let (row, column) = cell.get_position();
    Ok(match cell.get_value() {
        DataRef::Empty => None,
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text_of(text),
        DataRef::SharedString(text) => text_of(text),
        DataRef::Bool(flag) => Some(Value::Bool(*flag)),
        #[expect(clippy::cast_precision_loss, reason = "a workbook has no whole numbers of more digits")]
        DataRef::Int(whole) => Some(Value::String(number(*whole as f64, style))),
        DataRef::Float(float) => Some(Value::String(number(*float, style))),
        DataRef::DateTime(moment) => {
            let (year, month, day, hour, minute, second, _) = moment.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            let is_midnight = (hour, minute, second) == (0, 0, 0);
            Some(Value::String(if is_midnight {
                date
            } else {
                format!("{date}T{hour:02}:{minute:02}:{second:02}")
            }))
        }
        DataRef::Error(error) => {
            let what = format!("the cell holds an error ({error})");
            return Err(FileError::at(u64::from(row) + 1, what).in_column(letters(column as usize)));
        }
    })
}

fn text_of(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::String(text.to_owned()))
}
