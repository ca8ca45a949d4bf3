//! Properties of the file formats: each function reads bytes as a file and panics if a property does not hold.
//! Called by the fuzz targets (`fuzz/`) and, with `fuzz/corpus`, by the tests below; not part of the program.

use crate::formats::{
    CellEscaping, FileError, Format, MAX_ROW_BYTES, RawRow, ReadOptions, Row, WriteOptions, create_writer, read_text,
};
use parking_lot::Mutex;
use serde_json::Value;
use std::io::{Cursor, Write};
use std::sync::Arc;

#[derive(Debug, Default, PartialEq)]
struct Table {
    headers: Vec<String>,
    rows: Vec<Row>,
}

fn read(bytes: &[u8], format: Format, read_options: &ReadOptions) -> Result<Table, FileError> {
    let mut table = Table::default();
    let file = || Ok(Box::new(Cursor::new(bytes.to_vec())) as Box<dyn std::io::Read>);
    read_text(&file, format, read_options, &mut |headers, row| {
        let last = table.rows.last().map_or(0, |last| last.number);
        assert!(row.number > last, "row {} comes after row {last}", row.number);
        assert!(row.cells.iter().all(|(place, _)| *place < headers.len()), "a cell without a header");
        table.headers = headers.to_vec();
        table.rows.push(row);
        Ok(())
    })?;
    Ok(table)
}

/// A file in memory that outlives its writer.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().clone()
    }
}

impl Write for SharedBuffer {
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
    write_options: WriteOptions,
    headers: &[&str],
    rows: impl Iterator<Item = &'a [(usize, Value)]>,
) -> Vec<u8> {
    let file = SharedBuffer::default();
    let mut to = create_writer(format, Box::new(file.clone()), write_options).expect("a writer");
    to.begin(None, headers).expect("written");
    for row in rows {
        to.write_row(row).expect("written");
    }
    to.finish().expect("written");
    file.bytes()
}

/// CSV rows survive being written, for any program and for Excel, and read again.
pub fn csv(bytes: &[u8]) {
    for empty_clears in [false, true] {
        let read_options = ReadOptions { empty_clears, ..ReadOptions::default() };
        let Ok(table) = read(bytes, Format::Csv, &read_options) else { continue };
        let headers: Vec<&str> = table.headers.iter().map(String::as_str).collect();
        // A leading byte order mark or `sep=` line would not be read as a header.
        let is_ambiguous =
            headers.first().is_none_or(|first| first.starts_with("sep=") || first.starts_with('\u{FEFF}'));
        if is_ambiguous {
            continue;
        }
        for for_excel in [false, true] {
            let write_options = WriteOptions {
                excel_compatible: for_excel,
                escaping: CellEscaping::Reversible,
                ..WriteOptions::default()
            };
            let rows = table.rows.iter().map(|row| row.cells.as_slice());
            let written = write(Format::Csv, write_options, &headers, rows);
            let delimiter = Some(if for_excel { b';' } else { b',' });
            let read_options = ReadOptions { delimiter, encoding: Some("utf-8".into()), ..read_options.clone() };
            let reread = read(&written, Format::Csv, &read_options).expect("what was written can be read");
            let text = String::from_utf8_lossy(&written);
            assert_eq!(reread.headers, table.headers, "{text}");
            assert!(cells(&reread).eq(cells(&table)), "{text}\n{reread:?}\n{table:?}");
        }
    }
}

fn cells(table: &Table) -> impl Iterator<Item = &[(usize, Value)]> {
    table.rows.iter().map(|row| row.cells.as_slice())
}

/// LDIF entries survive being written as rejected rows and read again.
pub fn ldif(bytes: &[u8]) {
    let Ok(table) = read(bytes, Format::Ldif, &ReadOptions::default()) else { return };
    assert!(table.rows.iter().all(|row| row.approximate_size() <= 64 * MAX_ROW_BYTES));
    let written = write_rejected(Format::Ldif, &table, "muster-importRow");
    let reread =
        read(&written, Format::Ldif, &ReadOptions { encoding: Some("utf-8".into()), ..ReadOptions::default() });
    let text = String::from_utf8_lossy(&written);
    let reread = reread.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(named_cells(&table, "muster-importRow"), named_cells(&reread, "muster-importRow"), "{text}");
}

/// JSON objects survive being written as rejected rows and read again, twice.
pub fn ndjson(bytes: &[u8]) {
    let read_options = ReadOptions { encoding: Some("utf-8".into()), ..ReadOptions::default() };
    let Ok(mut table) = read(bytes, Format::Ndjson, &read_options) else { return };
    let before = named_cells(&table, "importRow");
    for _ in 0..2 {
        let written = write_rejected(Format::Ndjson, &table, "importRow");
        let text = String::from_utf8_lossy(&written);
        table = read(&written, Format::Ndjson, &read_options).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(before, named_cells(&table, "importRow"), "{text}");
    }
}

fn write_rejected(format: Format, table: &Table, name: &str) -> Vec<u8> {
    let file = SharedBuffer::default();
    let mut to = create_writer(format, Box::new(file.clone()), WriteOptions::default()).expect("a writer");
    to.begin(None, &[]).expect("written");
    for row in &table.rows {
        let RawRow::Text(text) = &row.raw else { panic!("{:?} is not a text", row.raw) };
        to.write_raw(text, &[(name, Value::from(row.number))]).expect("written");
    }
    to.finish().expect("written");
    file.bytes()
}

/// The cells of each row by header, without those of `except`.
fn named_cells(table: &Table, except: &str) -> Vec<Vec<(String, Value)>> {
    let cell = |(place, value): &(usize, Value)| (table.headers[*place].to_lowercase(), value.clone());
    let cells = |row: &Row| {
        let mut cells: Vec<_> = row.cells.iter().map(cell).collect();
        cells.retain(|(name, _)| !name.eq_ignore_ascii_case(except));
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
        corpus::for_each_input("csv", super::csv);
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
        corpus::for_each_input("ldif", super::ldif);
    }
}
