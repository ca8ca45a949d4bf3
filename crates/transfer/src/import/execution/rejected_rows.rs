//! The file of rejected rows: in the format of the source, with the reasons, to be corrected and imported again.

use crate::column::ColumnKind;
use crate::formats::{
    CellEscaping, FileError, Format, RawRow, Row, RowWriter, WriteOptions, create_private_file, create_writer,
};
use crate::import::Scan;
use crate::import::options::ImportOptions;
use crate::import::scan::RowSubject;
use directory::Field;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Writes rejected rows. A write error does not stop the import, since its rows would have to be imported again;
/// the report has a note instead.
pub(crate) struct RejectedRows<'a> {
    options: &'a ImportOptions,
    scan: &'a Scan,
    file: Option<Result<RejectedFile, FileError>>,
}

impl<'a> RejectedRows<'a> {
    pub(crate) fn new(options: &'a ImportOptions, scan: &'a Scan) -> Self {
        Self { options, scan, file: None }
    }

    /// Writes a row with the reason. The first row creates the file.
    pub(crate) fn add_row(&mut self, row: Row, reason: &str) {
        self.write(|file, scan| file.write_row(row, reason, scan));
    }

    /// Writes the keys of a row and a reference that was not found.
    pub(crate) fn add_reference(&mut self, row: &Row, column_kind: ColumnKind, text: &str, why: &str) {
        self.write(|file, scan| file.write_reference(row, column_kind, text, why, scan));
    }

    fn write(&mut self, write: impl FnOnce(&mut RejectedFile, &Scan) -> Result<(), FileError>) {
        let Some(path) = &self.options.rejected_file else { return };
        let begin = || RejectedFile::create(path, self.options.format, self.scan);
        let file = self.file.get_or_insert_with(begin);
        let written = file.as_mut().map_or(Ok(()), |file| write(file, self.scan));
        if let Err(error) = written {
            self.file = Some(Err(error));
        }
    }

    /// Completes the file, or deletes it and returns the error.
    pub(crate) fn finish(&mut self) -> Option<FileError> {
        let error = self.file.take()?.and_then(RejectedFile::finish).err()?;
        if let Some(path) = &self.options.rejected_file {
            drop(std::fs::remove_file(path));
        }
        Some(error)
    }
}

struct RejectedFile {
    writer: Box<dyn RowWriter>,
    /// The columns of the source's headers. Columns of an earlier rejection are dropped.
    column_indexes: Vec<Option<usize>>,
    row_column: usize,
    reason_column: usize,
    /// In workbooks and LDIF, the kind of a row may be known from outside of its cells.
    kind_column: Option<usize>,
}

impl RejectedFile {
    /// Creates the file, replacing an existing one.
    fn create(path: &Path, format: Format, scan: &Scan) -> Result<Self, FileError> {
        let mut headers: Vec<&str> = Vec::new();
        let mut known: HashMap<&str, usize> = HashMap::new();
        let mut index = |header| {
            *known.entry(header).or_insert_with(|| {
                headers.push(header);
                headers.len() - 1
            })
        };
        // Several sheets may have the same header.
        let is_kept = |column_kind: Option<ColumnKind>| column_kind != Some(ColumnKind::Ignored);
        let column_indexes = scan
            .headers
            .iter()
            .map(|header| is_kept(header.column.map(|column| column.kind)).then(|| index(header.name.as_str())));
        let column_indexes = column_indexes.collect();
        let (row, reason) = (index("importRow"), index("importReason"));
        let kind = match format {
            // The source may have its own column for the kind.
            Format::Xlsx => {
                Some(index(scan.header_name(|column_kind| column_kind == ColumnKind::RecordKind).unwrap_or("kind")))
            }
            Format::Ldif => Some(index("kind")),
            Format::Csv | Format::Ndjson => None,
        };
        let writing =
            WriteOptions { escaping: CellEscaping::FormulasOnly, delimiter: scan.delimiter, ..WriteOptions::default() };
        let mut writer = create_writer(format, Box::new(create_private_file(path, true)?), writing)?;
        writer.begin(None, &headers)?;
        Ok(Self { writer, column_indexes, row_column: row, reason_column: reason, kind_column: kind })
    }

    /// Writes a row as in the source. Distinguished names are replaced by names, since their entries may be
    /// missing in this file.
    fn write_row(&mut self, row: Row, reason: &str, scan: &Scan) -> Result<(), FileError> {
        let mut references = Vec::new();
        for (place, value) in &row.cells {
            let header = &scan.headers[*place];
            let is_reference =
                |column_kind| matches!(column_kind, ColumnKind::Members | ColumnKind::Text(Field::Manager));
            if let Some(column) = header.column.filter(|column| is_reference(column.kind))
                && let Some(resolved) = replace_dns(value, scan)
            {
                references.push((*place, header.name.as_str(), column.name, resolved));
            }
        }
        let number = row.number;
        if let RawRow::Text(text) = &row.raw {
            let (row_header, reason_header) = match self.kind_column {
                Some(_) => ("muster-importRow", "muster-importReason"),
                None => ("importRow", "importReason"),
            };
            let names: Vec<String> = references.iter().map(|(_, _, column, _)| format!("muster-{column}")).collect();
            let mut extra: Vec<(&str, Value)> = Vec::new();
            for ((_, header, _, named), name) in references.into_iter().zip(&names) {
                extra.extend([(header, Value::Array(Vec::new())), (name.as_str(), named)]);
            }
            extra.extend([(row_header, Value::from(number)), (reason_header, Value::from(reason))]);
            return self.writer.write_raw(text, &extra);
        }
        let kind = row.kind.map(crate::column::RecordKind::as_str);
        let mut cells = match row.raw {
            RawRow::Cells(cells) => cells,
            _ => row.cells,
        };
        for (place, _, _, resolved) in references {
            if let Some((_, value)) = cells.iter_mut().find(|(other, _)| *other == place) {
                *value = resolved;
            }
        }
        self.write_cells(number, reason, kind, cells)
    }

    fn write_reference(
        &mut self,
        row: &Row,
        column_kind: ColumnKind,
        text: &str,
        reason: &str,
        scan: &Scan,
    ) -> Result<(), FileError> {
        let is_entry = self.kind_column.is_some() && matches!(row.raw, RawRow::Text(_));
        let is_kept = |place: usize| match scan.headers[place].column {
            // The LDIF writer adds these itself.
            Some(column) if is_entry && matches!(column.kind, ColumnKind::Dn | ColumnKind::ObjectClass) => false,
            Some(column) => {
                column.is_identifier()
                    || matches!(column.kind, ColumnKind::Name | ColumnKind::RecordKind | ColumnKind::Dn | ColumnKind::ObjectClass)
                    // A full name without its parts would be split again.
                    || matches!(column.kind, ColumnKind::Text(Field::GivenName | Field::FamilyName))
            }
            None => scan.headers[place].name.eq_ignore_ascii_case("cn"),
        };
        let mut cells: Vec<(usize, Value)> = row.cells.iter().filter(|(place, _)| is_kept(*place)).cloned().collect();
        let is_in_row = |place: usize| row.cells.iter().any(|(other, _)| *other == place);
        let is_kind = |place: usize| scan.headers[place].column.is_some_and(|column| column.kind == column_kind);
        if let Some(place) = (0..scan.headers.len()).find(|place| is_kind(*place) && is_in_row(*place)) {
            cells.push((place, Value::from(text)));
        }
        let kind = match scan.subject(row) {
            RowSubject::Kind(kind) => Some(kind.as_str()),
            RowSubject::NotImported(_) | RowSubject::Unknown(_) => None,
        };
        self.write_cells(row.number, reason, kind, cells)
    }

    fn write_cells(
        &mut self,
        number: u64,
        reason: &str,
        kind: Option<&str>,
        row_cells: Vec<(usize, Value)>,
    ) -> Result<(), FileError> {
        let mut cells = vec![(self.row_column, Value::from(number)), (self.reason_column, Value::from(reason))];
        cells.extend(self.kind_column.zip(kind).map(|(place, kind)| (place, Value::from(kind))));
        let own_cells = cells.len();
        for (place, value) in row_cells {
            let place = self.column_indexes.get(place).copied().flatten();
            if let Some(place) = place.filter(|place| !cells[..own_cells].iter().any(|(taken, _)| taken == place)) {
                cells.push((place, value));
            }
        }
        cells.sort_by_key(|(place, _)| *place);
        self.writer.write_row(&cells)
    }

    fn finish(self) -> Result<(), FileError> {
        self.writer.finish()
    }
}

/// Replaces distinguished names of entries in the file by their names; `None` if there are none.
fn replace_dns(value: &Value, scan: &Scan) -> Option<Value> {
    let all: Vec<&str> = match value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        Value::String(text) if scan.dn_index.name_in_file(text).is_some() => vec![text],
        Value::String(text) => crate::dn::split_dns(text),
        _ => return None,
    };
    all.iter()
        .any(|text| scan.dn_index.name_in_file(text).is_some())
        .then(|| all.iter().map(|text| scan.dn_index.name_in_file(text).unwrap_or(text)).map(Value::from).collect())
}
