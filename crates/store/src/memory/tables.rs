//! Rows of declared tables.

use super::State;
use directory::{CommitError, Expected, Row, RowQuery, RowWrite, Table, Value};
use std::collections::BTreeMap;

/// Rows by table and key.
pub(super) type Tables = BTreeMap<&'static str, BTreeMap<Row, Row>>;

impl State {
    pub(super) fn write_row(&mut self, write: RowWrite) -> Result<(), CommitError> {
        match write {
            RowWrite::Insert(table, row) => {
                let rows = self.table(table);
                for (columns, values, field) in table.unique_values(&row) {
                    let has_values =
                        |old: &Row| columns.iter().zip(&values).all(|(column, value)| old[*column] == *value);
                    if rows.values().any(has_values) {
                        return Err(CommitError::Taken(field));
                    }
                }
                rows.insert(table.key_of(&row).to_vec(), row);
            }
            RowWrite::Put(table, row) => {
                self.table(table).insert(table.key_of(&row).to_vec(), row);
            }
            RowWrite::Update { table, key, values, expected } => {
                let Some(row) = self.table(table).get_mut(&key) else { return missing(&expected) };
                check(row, &expected)?;
                for (column, value) in values {
                    row[column] = value;
                }
            }
            RowWrite::Delete { table, key, expected } => {
                let Some(row) = self.table(table).get(&key) else { return missing(&expected) };
                check(row, &expected)?;
                self.table(table).remove(&key);
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> &mut BTreeMap<Row, Row> {
        self.tables.entry(table.name).or_default()
    }

    pub(super) fn rows(&self, query: &RowQuery) -> Vec<Row> {
        let all = self.tables.get(query.table.name).into_iter().flat_map(BTreeMap::values);
        let mut found: Vec<Row> = all.filter(|row| query.matches(row)).cloned().collect();
        found.sort_by_key(|row| query.position(row));
        found.truncate(query.limit.map_or(usize::MAX, |limit| limit as usize));
        found
    }
}

fn missing(expected: &Expected) -> Result<(), CommitError> {
    if matches!(expected, Expected::Row(_)) { Err(CommitError::Stale) } else { Ok(()) }
}

fn check(row: &[Value], expected: &Expected) -> Result<(), CommitError> {
    match expected {
        Expected::Row(old) if old.iter().any(|(column, value)| row[*column] != *value) => Err(CommitError::Stale),
        _ => Ok(()),
    }
}
