//! Excel workbooks, written row by row: a sheet for each kind, and additional ones when a sheet is full.

use super::{CellEscaping, FileError, column_letters};
use crate::cell_value::{to_cell_text, unescape_cell};
use crate::column::RecordKind;
use rust_xlsxwriter::{Workbook as Book, Worksheet, XlsxError};
use serde_json::Value;
use std::io::Write;

/// Rows of a sheet, with its header.
const MAX_ROWS: u32 = 1_048_576;
const MAX_CELL_UTF16_UNITS: usize = 32_767;

pub(super) struct XlsxWriter {
    book: Book,
    sheet: Option<Worksheet>,
    /// The name of the sheet, and the number of full sheets with this name.
    sheet_name: &'static str,
    full_sheets: u32,
    next_row: u32,
    headers: Vec<String>,
    escaping: CellEscaping,
    output: Box<dyn Write + Send>,
}

impl XlsxWriter {
    pub(super) fn new(to: Box<dyn Write + Send>, cells: CellEscaping) -> Self {
        Self {
            book: Book::new(),
            sheet: None,
            sheet_name: "Users",
            full_sheets: 0,
            next_row: 0,
            headers: Vec::new(),
            escaping: cells,
            output: to,
        }
    }

    /// Begins a sheet and writes its headers.
    fn begin_sheet(&mut self) -> Result<(), FileError> {
        self.end_sheet();
        let mut sheet = self.book.new_worksheet_with_constant_memory().map_err(to_file_error)?;
        let name = if self.full_sheets == 0 {
            self.sheet_name.to_owned()
        } else {
            format!("{} {}", self.sheet_name, self.full_sheets + 1)
        };
        sheet.set_name(name).map_err(to_file_error)?;
        sheet.set_freeze_panes(1, 0).map_err(to_file_error)?;
        for (column, header) in (0_u16..).zip(&self.headers) {
            sheet.write_string(0, column, header).map_err(to_file_error)?;
        }
        self.sheet = Some(sheet);
        self.next_row = 1;
        Ok(())
    }

    fn end_sheet(&mut self) {
        if let Some(sheet) = self.sheet.take() {
            self.book.push_worksheet(sheet);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn to_file_error(error: XlsxError) -> FileError {
    FileError::new(error.to_string())
}

impl super::RowWriter for XlsxWriter {
    fn begin(&mut self, kind: Option<RecordKind>, headers: &[&str]) -> Result<(), FileError> {
        use directory::ItemKind::{Department, Folder, Group, Organization, Role};
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        self.full_sheets = 0;
        self.sheet_name = match kind {
            // The kind is in a column.
            None => "Rows",
            Some(RecordKind::User) => "Users",
            Some(RecordKind::Item(Group)) => "Groups",
            Some(RecordKind::Item(Folder)) => "Folders",
            Some(RecordKind::Item(Organization)) => "Organisations",
            Some(RecordKind::Item(Role)) => "Roles",
            Some(RecordKind::Item(Department)) => "Departments",
        };
        self.begin_sheet()
    }

    fn write_row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        if self.next_row >= MAX_ROWS {
            self.full_sheets += 1;
            self.begin_sheet()?;
        }
        let row = self.next_row;
        self.next_row += 1;
        let Some(sheet) = &mut self.sheet else {
            return Err(FileError::new("a row was written before the headers"));
        };
        for (index, value) in cells {
            let column = u16::try_from(*index).unwrap_or(u16::MAX);
            if let Value::Bool(flag) = value {
                sheet.write_boolean(row, column, *flag).map_err(to_file_error)?;
                continue;
            }
            let text = to_cell_text(value);
            if text.len() > MAX_CELL_UTF16_UNITS && text.encode_utf16().count() > MAX_CELL_UTF16_UNITS {
                let message = "too long for a workbook cell (limit: 32,767 characters); use another format";
                let header = self.headers.get(*index).cloned().unwrap_or_else(|| column_letters(*index));
                return Err(FileError::at(u64::from(row) + 1, message).in_column(header));
            }
            // Cells are not run as formulas, but an import would trim the text or remove its apostrophe.
            let needs_escape = self.escaping == CellEscaping::Reversible && unescape_cell(&text) != text;
            let text = if needs_escape { format!("'{text}") } else { text };
            if !text.is_empty() {
                sheet.write_string(row, column, text).map_err(to_file_error)?;
            }
        }
        Ok(())
    }

    fn write_raw(&mut self, _: &str, _: &[(&str, Value)]) -> Result<(), FileError> {
        Err(FileError::new("workbook rows consist of cells"))
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        if self.sheet.is_none() && self.next_row == 0 {
            self.begin_sheet()?;
        }
        self.end_sheet();
        self.book.save_to_writer(&mut self.output).map_err(to_file_error)?;
        Ok(self.output.flush()?)
    }
}
