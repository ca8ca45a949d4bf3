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
                    let has_values = |old: &Row| {
                        values.iter().all(|value| *value != Value::Null)
                            && columns.iter().zip(&values).all(|(column, value)| old[*column] == *value)
                    };
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
                let rows = self.table(table);
                let row = rows.get(&key);
                require(&expected, row)?;
                let Some(mut row) = row.cloned() else { return Ok(()) };
                for (column, value) in values {
                    row[column] = value;
                }
                for (columns, unique, field) in table.unique_values(&row).skip(1) {
                    let has_values = |old: &Row| {
                        unique.iter().all(|value| *value != Value::Null)
                            && columns.iter().zip(&unique).all(|(column, value)| old[*column] == *value)
                    };
                    if rows.iter().any(|(other, old)| *other != key && has_values(old)) {
                        return Err(CommitError::Taken(field));
                    }
                }
                rows.insert(key, row);
            }
            RowWrite::Delete { table, key, expected } => {
                require(&expected, self.table(table).get(&key))?;
                self.table(table).remove(&key);
            }
        }
        Ok(())
    }

    fn table(&mut self, table: &Table) -> &mut BTreeMap<Row, Row> {
        self.tables.entry(table.name).or_default()
    }

    pub(super) fn rows_with_keys(&self, table: &Table, keys: &[Row]) -> Vec<Row> {
        let Some(rows) = self.tables.get(table.name) else { return Vec::new() };
        keys.iter().filter_map(|key| rows.get(key).cloned()).collect()
    }

    pub(super) fn rows(&self, query: &RowQuery) -> Vec<Row> {
        let all = self.tables.get(query.table.name).into_iter().flat_map(BTreeMap::values);
        query.select(all)
    }
}

fn require(expected: &Expected, stored: Option<&Row>) -> Result<(), CommitError> {
    if expected.is_met(stored) { Ok(()) } else { Err(CommitError::Stale) }
}
