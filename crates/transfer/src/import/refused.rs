//! Rejected rows as a file of the same format: as they were, with the reasons, so that they can be corrected and imported
//! again, as often as it takes.

use super::file::About;
use super::{Options, Scan};
use crate::column::What;
use crate::formats::{Cells, FileError, Format, Raw, Row, Writer, Writing, private_file, writer};
use directory::Field;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Where rejected rows go. That it cannot be written does not end the import, which would have to be executed again: the report
/// says so.
pub(super) struct RejectedRows<'a> {
    options: &'a Options,
    scan: &'a Scan,
    file: Option<Result<RejectedFile, FileError>>,
}

impl<'a> RejectedRows<'a> {
    pub(super) fn new(options: &'a Options, scan: &'a Scan) -> Self {
        Self { options, scan, file: None }
    }

    /// Writes a row, and why it was rejected. The first row begins the file.
    pub(super) fn row(&mut self, row: Row, why: &str) {
        self.write(|file, scan| file.row(row, why, scan));
    }

    /// Writes what identifies the user or item of a row, and a reference that leads nowhere.
    pub(super) fn reference(&mut self, row: &Row, what: What, text: &str, why: &str) {
        self.write(|file, scan| file.reference(row, what, text, why, scan));
    }

    fn write(&mut self, write: impl FnOnce(&mut RejectedFile, &Scan) -> Result<(), FileError>) {
        let Some(path) = &self.options.refused else { return };
        let begin = || RejectedFile::begin(path, self.options.format, self.scan);
        let file = self.file.get_or_insert_with(begin);
        let written = file.as_mut().map_or(Ok(()), |file| write(file, self.scan));
        if let Err(error) = written {
            self.file = Some(Err(error));
        }
    }

    /// Ends the file; what kept it from being written. Half of it is not left.
    pub(super) fn finish(&mut self) -> Option<FileError> {
        let error = self.file.take()?.and_then(RejectedFile::finish).err()?;
        if let Some(path) = &self.options.refused {
            drop(std::fs::remove_file(path));
        }
        Some(error)
    }
}

/// A file of rejected rows.
struct RejectedFile {
    writer: Box<dyn Writer>,
    /// Where the cells of each header of the file go; those of an earlier refusal go nowhere.
    places: Vec<Option<usize>>,
    row: usize,
    reason: usize,
    /// Workbooks and LDIF say apart from the cells what a row is about.
    kind: Option<usize>,
}

impl RejectedFile {
    /// Begins it, in the place of one that is there.
    fn begin(path: &Path, format: Format, scan: &Scan) -> Result<Self, FileError> {
        let mut headers: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut place = |header| {
            *known.entry(header).or_insert_with(|| {
                headers.push(header);
                headers.len() - 1
            })
        };
        // Sheets of a workbook have headers each of their own, which may be called the same.
        let is_kept = |what: Option<What>| what != Some(What::Ignored);
        let places = scan.headers.iter().map(|header| {
            is_kept(header.column.map(|column| column.what)).then(|| place(header.name.as_str()))
        });
        let places = places.collect();
        let (row, reason) = (place("importRow"), place("importReason"));
        let kind = match format {
            // A sheet may have a column for it, under whichever name.
            Format::Xlsx => Some(place(scan.header_of(|what| what == What::Kind).unwrap_or("kind"))),
            Format::Ldif => Some(place("kind")),
            Format::Csv | Format::Ndjson => None,
        };
        let writing = Writing { cells: Cells::Harmless, delimiter: scan.delimiter, ..Writing::default() };
        let mut writer = writer(format, Box::new(private_file(path, true)?), writing)?;
        writer.begin(None, &headers)?;
        Ok(Self { writer, places, row, reason, kind })
    }

    /// Writes a row as it was, and why it was rejected. Distinguished names of entries that may not be in this file are replaced by
    /// what they stand for.
    fn row(&mut self, row: Row, why: &str, scan: &Scan) -> Result<(), FileError> {
        let mut references = Vec::new();
        for (place, value) in &row.cells {
            let header = &scan.headers[*place];
            let is_reference = |what| matches!(what, What::Members | What::Text(Field::Manager));
            if let Some(column) = header.column.filter(|column| is_reference(column.what))
                && let Some(named) = resolved(value, scan)
            {
                references.push((*place, header.name.as_str(), column.name, named));
            }
        }
        let number = row.number;
        if let Raw::Text(text) = &row.raw {
            let (row, reason) = match self.kind {
                Some(_) => ("muster-importRow", "muster-importReason"),
                None => ("importRow", "importReason"),
            };
            let names: Vec<String> =
                references.iter().map(|(_, _, column, _)| format!("muster-{column}")).collect();
            let mut more: Vec<(&str, Value)> = Vec::new();
            for ((_, header, _, named), name) in references.into_iter().zip(&names) {
                more.extend([(header, Value::Array(Vec::new())), (name.as_str(), named)]);
            }
            more.extend([(row, Value::from(number)), (reason, Value::from(why))]);
            return self.writer.text(text, &more);
        }
        let kind = row.kind.map(crate::column::Kind::word);
        let mut cells = match row.raw {
            Raw::Cells(cells) => cells,
            _ => row.cells,
        };
        for (place, _, _, named) in references {
            if let Some((_, value)) = cells.iter_mut().find(|(other, _)| *other == place) {
                *value = named;
            }
        }
        self.cells(number, why, kind, cells)
    }

    fn reference(
        &mut self,
        row: &Row,
        what: What,
        text: &str,
        why: &str,
        scan: &Scan,
    ) -> Result<(), FileError> {
        let is_entry = self.kind.is_some() && matches!(row.raw, Raw::Text(_));
        let is_kept = |place: usize| match scan.headers[place].column {
            // The writer of entries says what they are.
            Some(column) if is_entry && matches!(column.what, What::Dn | What::ObjectClass) => false,
            Some(column) => {
                column.identifies()
                    || matches!(column.what, What::Name | What::Kind | What::Dn | What::ObjectClass)
                    // A name without its parts would be split anew.
                    || matches!(column.what, What::Text(Field::GivenName | Field::FamilyName))
            }
            None => scan.headers[place].name.eq_ignore_ascii_case("cn"),
        };
        let mut cells: Vec<(usize, Value)> =
            row.cells.iter().filter(|(place, _)| is_kept(*place)).cloned().collect();
        let of_row = |place: usize| row.cells.iter().any(|(other, _)| *other == place);
        let is_it = |place: usize| scan.headers[place].column.is_some_and(|column| column.what == what);
        if let Some(place) = (0..scan.headers.len()).find(|place| is_it(*place) && of_row(*place)) {
            cells.push((place, Value::from(text)));
        }
        let kind = match scan.about(row) {
            About::Kind(kind) => Some(kind.word()),
            About::Other(_) | About::Unknown(_) => None,
        };
        self.cells(row.number, why, kind, cells)
    }

    fn cells(
        &mut self,
        number: u64,
        why: &str,
        kind: Option<&str>,
        of_row: Vec<(usize, Value)>,
    ) -> Result<(), FileError> {
        let mut cells = vec![(self.row, Value::from(number)), (self.reason, Value::from(why))];
        cells.extend(self.kind.zip(kind).map(|(place, kind)| (place, Value::from(kind))));
        let ours = cells.len();
        for (place, value) in of_row {
            let place = self.places.get(place).copied().flatten();
            if let Some(place) = place.filter(|place| !cells[..ours].iter().any(|(taken, _)| taken == place))
            {
                cells.push((place, value));
            }
        }
        cells.sort_by_key(|(place, _)| *place);
        self.writer.row(&cells)
    }

    fn finish(self) -> Result<(), FileError> {
        self.writer.finish()
    }
}

/// A value whose distinguished names are replaced by what they stand for in the file, if any is.
fn resolved(value: &Value, scan: &Scan) -> Option<Value> {
    let all: Vec<&str> = match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(text) if scan.entries.in_file(text).is_some() => vec![text],
        Value::String(text) => crate::dn::split(text),
        _ => return None,
    };
    all.iter()
        .any(|text| scan.entries.in_file(text).is_some())
        .then(|| all.iter().map(|text| scan.entries.in_file(text).unwrap_or(text)).map(Value::from).collect())
}
