//! What must hold of files whatever is in them: each function reads some bytes as a file and panics where it does not.
//!
//! The fuzz targets (`fuzz/`) call these functions with what they make up, the tests below with the files of
//! `fuzz/corpus`. None of this is part of the program.

use crate::Kind;
use crate::formats::{FileError, Format, LONGEST_ROW, Reading, Row, Writing, read_text, writer};
use crate::ldif_names::{is_own, resolved};
use crate::value::texts;
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
            let writing = Writing { for_excel, guards_formulas: true };
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

/// Entries of LDIF, written as rejected rows are and read again, say the same of the same kinds.
pub fn ldif(bytes: &[u8]) {
    let Ok(table) = read(bytes, Format::Ldif, &Reading::default()) else { return };
    let mut headers: Vec<&str> = table.headers.iter().map(String::as_str).collect();
    if headers.iter().any(|header| header.eq_ignore_ascii_case("kind")) {
        return;
    }
    let kind_place = headers.len();
    headers.push("kind");
    let with_kind = |row: &Row| {
        let kind = row.kind.expect("an entry is of some kind");
        let mut cells = row.cells.clone();
        cells.push((kind_place, Value::from(kind.word())));
        cells
    };
    let rows: Vec<_> = table.rows.iter().map(with_kind).collect();
    let rows = rows.iter().map(Vec::as_slice);
    let written = write(Format::Ldif, Writing::default(), &headers, rows);
    let again =
        read(&written, Format::Ldif, &Reading { encoding: Some("utf-8".into()), ..Reading::default() });
    let text = String::from_utf8_lossy(&written);
    let again = again.unwrap_or_else(|error| panic!("{error}\n{text}"));
    let (before, after) = (said(&table), said(&again));
    assert_eq!(before, after, "{text}");
    assert!(table.rows.iter().all(|row| row.weight() <= 64 * LONGEST_ROW));
}

type Said = Vec<(Option<Kind>, Vec<(String, Vec<String>)>)>;

/// What entries say: their kinds, and the texts of each attribute.
fn said(table: &Table) -> Said {
    let of_row = |row: &Row| {
        let mut attributes: Vec<(String, Vec<String>)> = Vec::new();
        for (place, value) in &row.cells {
            // Which kind it is stands apart.
            let name = &table.headers[*place];
            if name.eq_ignore_ascii_case("muster-kind") {
                continue;
            }
            let name = resolved(name).unwrap_or(name);
            let texts = match value {
                Value::String(text) if is_own(name) => texts(value).unwrap_or_else(|_| vec![text.clone()]),
                Value::Array(list) => list.iter().map(plain).collect(),
                one => vec![plain(one)],
            };
            // `cn` and `cn;lang-de` are two attributes under one header.
            match attributes.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
                Some((_, all)) => all.extend(texts),
                None => attributes.push((name.to_owned(), texts)),
            }
        }
        (row.kind, attributes)
    };
    table.rows.iter().map(of_row).collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => panic!("{other} in LDIF"),
    }
}

#[cfg(test)]
mod tests {
    use testkit::corpus;

    #[test]
    fn corpus_of_csv() {
        corpus::each("csv", super::csv);
    }

    #[test]
    fn corpus_of_ldif() {
        corpus::each("ldif", super::ldif);
    }
}
