//! Rows that were refused, as a file of the same format: as they came, with the reasons, so that they can be mended and brought
//! in again, as often as it takes.

use super::{Options, Scan};
use crate::column::What;
use crate::formats::{FileError, Format, Row, Writer, Writing, private_file, writer};
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
        let Some(path) = &self.options.refused else { return };
        let begin = || RejectedFile::begin(path, self.options.format, self.scan);
        let file = self.file.get_or_insert_with(begin);
        let written = file.as_mut().map_or(Ok(()), |file| file.row(row, why));
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
        let places = scan.headers.iter().map(|(header, column)| {
            is_kept(column.map(|column| column.what)).then(|| place(header.as_str()))
        });
        let places = places.collect();
        let (row, reason) = (place("importRow"), place("importReason"));
        let kind = match format {
            // A sheet may have a column for it, under whichever name.
            Format::Xlsx => Some(place(scan.header_of(|what| what == What::Kind).unwrap_or("kind"))),
            Format::Ldif => Some(place("kind")),
            Format::Csv | Format::Ndjson => None,
        };
        let writing = Writing { guards_formulas: true, ..Writing::default() };
        let mut writer = writer(format, Box::new(private_file(path, true)?), writing)?;
        writer.begin(None, &headers)?;
        Ok(Self { writer, places, row, reason, kind })
    }

    /// Writes a row, and why it was refused.
    fn row(&mut self, row: Row, why: &str) -> Result<(), FileError> {
        let mut cells = vec![(self.row, Value::from(row.number)), (self.reason, Value::from(why))];
        cells.extend(self.kind.zip(row.kind).map(|(place, kind)| (place, Value::from(kind.word()))));
        let ours = cells.len();
        for (place, value) in row.cells {
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
