//! Excel workbooks, written row by row: a sheet for each kind, and further ones where a sheet is full.

use super::{Cells, FileError, letters};
use crate::column::Kind;
use crate::value::{flat, unguarded};
use rust_xlsxwriter::{Workbook as Book, Worksheet, XlsxError};
use serde_json::Value;
use std::io::Write;

/// The rows of a sheet, its header among them.
const ROWS: u32 = 1_048_576;
/// The most characters of a cell, as UTF-16 counts them.
const LONGEST_CELL: usize = 32_767;

pub(super) struct Workbook {
    book: Book,
    sheet: Option<Worksheet>,
    /// What the sheet is called, and how many of that name are full.
    name: &'static str,
    full: u32,
    next: u32,
    headers: Vec<String>,
    cells: Cells,
    to: Box<dyn Write + Send>,
}

impl Workbook {
    pub(super) fn new(to: Box<dyn Write + Send>, cells: Cells) -> Self {
        Self {
            book: Book::new(),
            sheet: None,
            name: "Users",
            full: 0,
            next: 0,
            headers: Vec::new(),
            cells,
            to,
        }
    }

    /// Begins a sheet with its headers.
    fn open(&mut self) -> Result<(), FileError> {
        self.close();
        let mut sheet = self.book.new_worksheet_with_constant_memory().map_err(told)?;
        let name =
            if self.full == 0 { self.name.to_owned() } else { format!("{} {}", self.name, self.full + 1) };
        sheet.set_name(name).map_err(told)?;
        sheet.set_freeze_panes(1, 0).map_err(told)?;
        for (column, header) in (0_u16..).zip(&self.headers) {
            sheet.write_string(0, column, header).map_err(told)?;
        }
        self.sheet = Some(sheet);
        self.next = 1;
        Ok(())
    }

    fn close(&mut self) {
        if let Some(sheet) = self.sheet.take() {
            self.book.push_worksheet(sheet);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn told(error: XlsxError) -> FileError {
    FileError::new(error.to_string())
}

impl super::Writer for Workbook {
    fn begin(&mut self, kind: Option<Kind>, headers: &[&str]) -> Result<(), FileError> {
        use directory::ItemKind::{Department, Folder, Group, Organization, Role};
        self.headers = headers.iter().map(|header| (*header).to_owned()).collect();
        self.full = 0;
        self.name = match kind {
            // What they are about is in a column.
            None => "Rows",
            Some(Kind::User) => "Users",
            Some(Kind::Item(Group)) => "Groups",
            Some(Kind::Item(Folder)) => "Folders",
            Some(Kind::Item(Organization)) => "Organisations",
            Some(Kind::Item(Role)) => "Roles",
            Some(Kind::Item(Department)) => "Departments",
        };
        self.open()
    }

    fn row(&mut self, cells: &[(usize, Value)]) -> Result<(), FileError> {
        if self.next >= ROWS {
            self.full += 1;
            self.open()?;
        }
        let row = self.next;
        self.next += 1;
        let Some(sheet) = &mut self.sheet else {
            return Err(FileError::new("rows come before their headers"));
        };
        for (place, value) in cells {
            let column = u16::try_from(*place).unwrap_or(u16::MAX);
            if let Value::Bool(flag) = value {
                sheet.write_boolean(row, column, *flag).map_err(told)?;
                continue;
            }
            let text = flat(value);
            if text.len() > LONGEST_CELL && text.encode_utf16().count() > LONGEST_CELL {
                let what = "a cell of a workbook holds no more than 32,767 characters; other formats do";
                let header = self.headers.get(*place).cloned().unwrap_or_else(|| letters(*place));
                return Err(FileError::at(u64::from(row) + 1, what).in_column(header));
            }
            // Nothing runs it there, but an import would trim it, or take off its apostrophe.
            let is_changed = self.cells == Cells::Guarded && unguarded(&text) != text;
            let text = if is_changed { format!("'{text}") } else { text };
            if !text.is_empty() {
                sheet.write_string(row, column, text).map_err(told)?;
            }
        }
        Ok(())
    }

    fn text(&mut self, _: &str, _: &[(&str, Value)]) -> Result<(), FileError> {
        Err(FileError::new("a row of a workbook consists of cells"))
    }

    fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        if self.sheet.is_none() && self.next == 0 {
            self.open()?;
        }
        self.close();
        self.book.save_to_writer(&mut self.to).map_err(told)?;
        Ok(self.to.flush()?)
    }
}
