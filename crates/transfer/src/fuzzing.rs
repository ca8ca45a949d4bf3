//! What must hold of files whatever is in them: each function reads some bytes as a file and panics where it does not.
//!
//! The fuzz targets (`fuzz/`) call these functions with what they make up, the tests below with the files of
//! `fuzz/corpus`. None of this is part of the program.

use crate::formats::{Cells, FileError, Format, LONGEST_ROW, Raw, Reading, Row, Writing, read_text, writer};
use parking_lot::Mutex;
use serde_json::Value;
use std::io::{Cursor, Write};
use std::sync::Arc;

/// A file as it was read: all its headers, and its rows.
#[derive(Debug, Default, PartialEq)]
struct Table {
    headers: Vec<String>,
    rows: Vec<Row>,
}

fn read(bytes: &[u8], format: Format, reading: &Reading) -> Result<Table, FileError> {
    let mut table = Table::default();
    let file = || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn std::io::Read>);
    read_text(&file, format, reading, &mut |headers, row| {
        let last = table.rows.last().map_or(0, |last| last.number);
        assert!(row.number > last, "row {} comes after row {last}", row.number);
        assert!(row.cells.iter().all(|(place, _)| *place < headers.len()), "a cell without a header");
        table.headers = headers.to_vec();
        table.rows.push(row);
        Ok(())
    })?;
    Ok(table)
}

/// A file in memory that is still there when its writer is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().clone()
    }
}

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn write<'a>(
    format: Format,
    writing: Writing,
    headers: &[&str],
    rows: impl Iterator<Item = &'a [(usize, Value)]>,
) -> Vec<u8> {
    let file = Shared::default();
    let mut to = writer(format, Box::new(file.clone()), writing).expect("begun");
    to.begin(None, headers).expect("written");
    for row in rows {
        to.row(row).expect("written");
    }
    to.finish().expect("written");
    file.bytes()
}

/// Rows of CSV, written for any program or for Excel and read again, say the same.
pub fn csv(bytes: &[u8]) {
    for empty_clears in [false, true] {
        let reading = Reading { empty_clears, ..Reading::default() };
        let Ok(table) = read(bytes, Format::Csv, &reading) else { continue };
        let headers: Vec<&str> = table.headers.iter().map(String::as_str).collect();
        // A mark or Excel's own line in front would be taken for what it looks like.
        let is_taken =
            headers.first().is_none_or(|first| first.starts_with("sep=") || first.starts_with('\u{FEFF}'));
        if is_taken {
            continue;
        }
        for for_excel in [false, true] {
            let writing = Writing { for_excel, cells: Cells::Guarded, ..Writing::default() };
            let rows = table.rows.iter().map(|row| row.cells.as_slice());
            let written = write(Format::Csv, writing, &headers, rows);
            let delimiter = Some(if for_excel { b';' } else { b',' });
            let reading = Reading { delimiter, encoding: Some("utf-8".into()), ..reading.clone() };
            let again = read(&written, Format::Csv, &reading).expect("what was written can be read");
            let text = String::from_utf8_lossy(&written);
            assert_eq!(again.headers, table.headers, "{text}");
            assert!(cells(&again).eq(cells(&table)), "{text}\n{again:?}\n{table:?}");
        }
    }
}

fn cells(table: &Table) -> impl Iterator<Item = &[(usize, Value)]> {
    table.rows.iter().map(|row| row.cells.as_slice())
}

/// Entries of LDIF, written as rejected rows are and read again, say the same.
pub fn ldif(bytes: &[u8]) {
    let Ok(table) = read(bytes, Format::Ldif, &Reading::default()) else { return };
    assert!(table.rows.iter().all(|row| row.weight() <= 64 * LONGEST_ROW));
    let written = rejected(Format::Ldif, &table, "muster-importRow");
    let again =
        read(&written, Format::Ldif, &Reading { encoding: Some("utf-8".into()), ..Reading::default() });
    let text = String::from_utf8_lossy(&written);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(said(&table, "muster-importRow"), said(&again, "muster-importRow"), "{text}");
}

/// Objects, written as rejected rows are and read again, say the same, however often.
pub fn ndjson(bytes: &[u8]) {
    let reading = Reading { encoding: Some("utf-8".into()), ..Reading::default() };
    let Ok(mut table) = read(bytes, Format::Ndjson, &reading) else { return };
    let before = said(&table, "importRow");
    for _ in 0..2 {
        let written = rejected(Format::Ndjson, &table, "importRow");
        let text = String::from_utf8_lossy(&written);
        table = read(&written, Format::Ndjson, &reading).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(before, said(&table, "importRow"), "{text}");
    }
}

fn rejected(format: Format, table: &Table, name: &str) -> Vec<u8> {
    let file = Shared::default();
    let mut to = writer(format, Box::new(file.clone()), Writing::default()).expect("begun");
    to.begin(None, &[]).expect("written");
    for row in &table.rows {
        let Raw::Text(text) = &row.raw else { panic!("{:?} is not a text", row.raw) };
        to.text(text, &[(name, Value::from(row.number))]).expect("written");
    }
    to.finish().expect("written");
    file.bytes()
}

/// The cells of each row by their headers, but for one.
fn said(table: &Table, but_for: &str) -> Vec<Vec<(String, Value)>> {
    let cell = |(place, value): &(usize, Value)| (table.headers[*place].to_lowercase(), value.clone());
    let cells = |row: &Row| {
        let mut cells: Vec<_> = row.cells.iter().map(cell).collect();
        cells.retain(|(name, _)| !name.eq_ignore_ascii_case(but_for));
        cells.sort_by(|(one, _), (other, _)| one.cmp(other));
        cells
    };
    table.rows.iter().map(cells).collect()
}

#[cfg(test)]
mod tests {
    use testkit::corpus;

    #[test]
    fn corpus_of_csv() {
        corpus::each("csv", super::csv);
    }

    #[test]
    fn corpus_of_ndjson() {
        for object in [
            r#"{"a":1,"importRow":7}"#,
            r#"{ "importRow" : 7 , "b":{"importRow":1,"c":"},\"importRow\":2}"} }"#,
            r"{}",
            r#"{"a":"x","importRow":3,"c":4}"#,
        ] {
            super::ndjson(object.as_bytes());
        }
    }

    #[test]
    fn corpus_of_ldif() {
        corpus::each("ldif", super::ldif);
    }
}
