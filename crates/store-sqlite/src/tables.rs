//! Rows of declared tables.

use super::apply_error::{ApplyError, ApplyResult, STALE, map_constraint_error};
use directory::{ColumnKind, Field, Row, RowQuery, RowWrite, Table, Value};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection as Db, ErrorCode, ToSql, params_from_iter};
use store::sql::{TableOperation, count_sql, select_sql};

/// A value as a parameter.
struct Bound<'v>(&'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Uuid(id) => ValueRef::Blob(id.as_bytes()),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

pub(super) fn write(db: &Db, write: RowWrite) -> ApplyResult {
    let (operation, table, row) = TableOperation::of(write);
    match db.prepare_cached(&operation.single_row_sql(table))?.execute(params_from_iter(row.iter().map(Bound))) {
        Ok(0) if operation.is_counted => Err(STALE),
        Ok(_) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => {
            let field = taken_field(db, table, &row)?;
            map_constraint_error(Err(error), field.unwrap_or(table.key_field))
        }
        Err(error) => Err(error.into()),
    }
}

/// The field of the first unique values of a row that another row has.
fn taken_field(db: &Db, table: &'static Table, row: &[Value]) -> Result<Option<Field>, ApplyError> {
    for (columns, values, field) in table.unique_values(row) {
        if !rows(db, &table.ordered_by(columns).equal(values).limit(1))?.is_empty() {
            return Ok(Some(field));
        }
    }
    Ok(None)
}

pub(super) fn rows(db: &Db, query: &RowQuery) -> rusqlite::Result<Vec<Row>> {
    let (sql, bound) = select_sql(query);
    let mut statement = db.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let columns = query.table.columns.iter().enumerate();
        columns.map(|(place, column)| value(row.get_ref(place)?, column.kind)).collect()
    };
    statement.query_map(params_from_iter(bound.iter().map(|(_, value)| Bound(value))), read)?.collect()
}

pub(super) fn rows_with_keys(db: &Db, table: &'static Table, keys: Vec<Row>) -> rusqlite::Result<Vec<Row>> {
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        found.extend(rows(db, &table.row(key))?);
    }
    Ok(found)
}

pub(super) fn count_rows(db: &Db, query: &RowQuery, by: &[usize]) -> rusqlite::Result<Vec<(Row, u64)>> {
    let (sql, bound) = count_sql(query, by);
    let mut statement = db.prepare_cached(&sql)?;
    let read = |row: &rusqlite::Row<'_>| {
        let columns = by.iter().enumerate();
        let values = columns.map(|(place, column)| value(row.get_ref(place)?, query.table.columns[*column].kind));
        Ok((values.collect::<rusqlite::Result<_>>()?, row.get::<_, i64>(by.len())?.unsigned_abs()))
    };
    statement.query_map(params_from_iter(bound.iter().map(|(_, value)| Bound(value))), read)?.collect()
}

fn value(stored: ValueRef<'_>, kind: ColumnKind) -> rusqlite::Result<Value> {
    Ok(match (stored, kind) {
        (ValueRef::Null, _) => Value::Null,
        (_, ColumnKind::Int | ColumnKind::BigInt) => Value::Int(stored.as_i64()?),
        (_, ColumnKind::Uuid) => {
            let invalid = |_| rusqlite::types::FromSqlError::InvalidType;
            Value::Uuid(uuid::Uuid::from_slice(stored.as_blob()?).map_err(invalid)?)
        }
        (_, ColumnKind::Text | ColumnKind::Key) => Value::Text(stored.as_str()?.to_owned()),
        (_, ColumnKind::Bytes) => Value::Bytes(stored.as_blob()?.to_vec()),
    })
}
