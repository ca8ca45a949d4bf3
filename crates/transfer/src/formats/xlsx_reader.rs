//! Excel workbooks, read cell by cell: all sheets named after kinds (`Users`, `Groups`, …), or else the first one.

use super::csv::check_headers;
use super::{FileError, FileSummary, MAX_ROW_BYTES, RawRow, ReadOptions, Row, RowHandler, column_letters, xlsx_limits};
use crate::cell_value::{trim_invisible, unescape_cell};
use crate::column::RecordKind;
use crate::ignored::{IgnoredPart, IgnoredReason};
use calamine::{Cell, DataRef, Reader, SheetType, Style, Xlsx, XlsxError};
use serde_json::Value;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

const MAX_COLUMNS: u32 = 16_384;

pub(super) fn read(path: &Path, options: &ReadOptions, on_row: &mut RowHandler<'_>) -> Result<FileSummary, FileError> {
    xlsx_limits::check(path)?;
    let broken = |error: XlsxError| FileError::new(format!("not a valid Excel workbook: {error}"));
    let mut book = Xlsx::new(BufReader::new(File::open(path)?)).map_err(broken)?;
    let sheets: Vec<String> = book
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let selected = select_sheets(&sheets, options)?;
    if selected.is_empty() {
        return Err(FileError::new("the workbook has no sheet"));
    }
    let is_only_sheet = selected.len() == 1;
    let mut contents = FileSummary::default();
    for name in sheets.iter().filter(|name| !selected.iter().any(|(other, _)| other == *name)) {
        contents.ignored.add(IgnoredPart::Sheet, name, IgnoredReason::NotChosen, 1);
    }
    let headers = &mut contents.headers;
    let mut is_empty = true;
    for (name, kind) in selected {
        let mut sheet = SheetReader { kind, options, header_range: None, headers, last_row: 0 };
        let result = sheet.read(&mut book, &name, on_row);
        is_empty &= sheet.header_range.is_none();
        // Row numbers are ambiguous if several sheets are read.
        result.map_err(|error| {
            if is_only_sheet {
                error
            } else {
                FileError { message: format!("{} (sheet {name})", error.message), ..error }
            }
        })?;
    }
    if is_empty { Err(FileError::new("the file is empty")) } else { Ok(contents) }
}

/// The sheets to read, and the kinds of their rows.
fn select_sheets(sheets: &[String], options: &ReadOptions) -> Result<Vec<(String, Option<RecordKind>)>, FileError> {
    if let Some(name) = &options.sheet {
        let found = sheets.iter().find(|sheet| *sheet == name);
        let found = found
            .ok_or_else(|| FileError::new(format!("there is no sheet '{name}' (sheets: {})", sheets.join(", "))))?;
        return Ok(vec![(found.clone(), RecordKind::from_word(found))]);
    }
    // "Groups 2" continues "Groups".
    let kind = |name: &String| RecordKind::from_word(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' '));
    let kind_sheets: Vec<_> = sheets.iter().filter_map(|name| Some((name.clone(), Some(kind(name)?)))).collect();
    let first = || sheets.first().map(|name| (name.clone(), None)).into_iter().collect();
    Ok(if kind_sheets.is_empty() { first() } else { kind_sheets })
}

struct SheetReader<'a> {
    kind: Option<RecordKind>,
    options: &'a ReadOptions,
    /// The index of the first header among those of all sheets, and the number of headers, once they are read.
    header_range: Option<(usize, usize)>,
    headers: &'a mut Vec<String>,
    last_row: u32,
}

impl SheetReader<'_> {
    fn read(
        &mut self,
        book: &mut Xlsx<BufReader<File>>,
        name: &str,
        on_row: &mut RowHandler<'_>,
    ) -> Result<(), FileError> {
        let last = std::cell::Cell::new(0);
        let broken = |error: XlsxError| FileError::at(last.get() + 1, format!("the sheet cannot be read: {error}"));
        let mut cells = book.worksheet_cells_reader(name).map_err(broken)?;
        let (mut row_cells, mut bytes): (Vec<(u32, Value)>, usize) = (Vec::new(), 0);
        let mut current_row = 0;
        let styles = cells.styles().to_vec();
        while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(broken)? {
            let (row, column) = cell.get_position();
            last.set(u64::from(row));
            if row != current_row && !row_cells.is_empty() {
                self.finish_row(current_row, std::mem::take(&mut row_cells), on_row)?;
                bytes = 0;
            }
            let is_out_of_order = row_cells.last().is_some_and(|(last, _)| column <= *last);
            if row < self.last_row || column >= MAX_COLUMNS || is_out_of_order {
                return Err(FileError::at(u64::from(row) + 1, "rows or columns are out of order"));
            }
            (current_row, self.last_row) = (row, row);
            let value = cell_value(&cell, styles.get(style))?;
            bytes += value.as_ref().and_then(Value::as_str).map_or(8, str::len);
            if bytes > MAX_ROW_BYTES {
                return Err(FileError::at(u64::from(row) + 1, super::text_reader::ROW_TOO_LONG)
                    .in_column(column_letters(column as usize)));
            }
            row_cells.extend(value.map(|value| (column, value)));
        }
        if row_cells.is_empty() { Ok(()) } else { self.finish_row(current_row, row_cells, on_row) }
    }

    fn finish_row(&mut self, row: u32, cells: Vec<(u32, Value)>, on_row: &mut RowHandler<'_>) -> Result<(), FileError> {
        let number = u64::from(row) + 1;
        let Some((first, many)) = self.header_range else {
            let width = cells.last().map_or(0, |(column, _)| *column as usize + 1);
            let mut row_cells = vec![String::new(); width];
            for (column, value) in cells {
                trim_invisible(&crate::cell_value::to_cell_text(&value)).clone_into(&mut row_cells[column as usize]);
            }
            check_headers(&row_cells, number)?;
            self.header_range = Some((self.headers.len(), width));
            self.headers.extend(row_cells);
            return Ok(());
        };
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| trim_invisible(text).is_empty());
        if cells.iter().all(|(_, value)| is_blank(value)) {
            return Ok(());
        }
        let mut row_cells = Vec::with_capacity(cells.len());
        for (column, value) in cells.into_iter().filter(|(_, value)| !is_blank(value)) {
            let index = column as usize;
            if index >= many || self.headers[first + index].is_empty() {
                let message = "the cell has no header above it";
                return Err(FileError::at(number, message).in_column(column_letters(index)));
            }
            row_cells.push((first + index, value));
        }
        let original = row_cells.clone();
        for (_, value) in &mut row_cells {
            if let Value::String(text) = value {
                *text = unescape_cell(text).to_owned();
            }
        }
        let raw = if row_cells == original { RawRow::SameAsCells } else { RawRow::Cells(original) };
        if self.options.empty_clears {
            let present: Vec<usize> = row_cells.iter().map(|(place, _)| *place).collect();
            let missing = (first..first + many).filter(|index| !present.contains(index));
            row_cells.extend(missing.map(|index| (index, Value::Null)).collect::<Vec<_>>());
            row_cells.sort_by_key(|(place, _)| *place);
        }
        on_row(self.headers, Row { number, kind: self.kind, cells: row_cells, raw })
    }
}

/// A number as the cell displays it: `0042` for the format `0000`.
fn format_number(number: f64, style: Option<&Style>) -> String {
    let format = style.and_then(|style| style.number_format.as_ref()).map(|format| format.format_code.as_str());
    // Cells without a format display as many digits as fit.
    let formatted = format.filter(|format| !matches!(*format, "General" | "@" | "")).map(|format| {
        let formatted = ssfmt::format_default(number, format);
        formatted.map_or_else(|_| number.to_string(), |text| trim_invisible(&text).to_owned())
    });
    formatted.unwrap_or_else(|| number.to_string())
}

/// The displayed value of a cell, with dates in ISO 8601; `None` for empty cells.
fn cell_value(cell: &Cell<DataRef<'_>>, style: Option<&Style>) -> Result<Option<Value>, FileError> {
    let (row, column) = cell.get_position();
    Ok(match cell.get_value() {
        DataRef::Empty => None,
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => non_empty_text(text),
        DataRef::SharedString(text) => non_empty_text(text),
        DataRef::Bool(flag) => Some(Value::Bool(*flag)),
        #[expect(clippy::cast_precision_loss, reason = "integers in workbooks have no more digits")]
        DataRef::Int(integer) => Some(Value::String(format_number(*integer as f64, style))),
        DataRef::Float(float) => Some(Value::String(format_number(*float, style))),
        DataRef::DateTime(date_time) => {
            let (year, month, day, hour, minute, second, _) = date_time.to_ymd_hms_milli();
            let date = format!("{year:04}-{month:02}-{day:02}");
            let is_midnight = (hour, minute, second) == (0, 0, 0);
            Some(Value::String(if is_midnight { date } else { format!("{date}T{hour:02}:{minute:02}:{second:02}") }))
        }
        DataRef::Error(error) => {
            let message = format!("the cell contains an error ({error})");
            return Err(FileError::at(u64::from(row) + 1, message).in_column(column_letters(column as usize)));
        }
    })
}

fn non_empty_text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::String(text.to_owned()))
}
