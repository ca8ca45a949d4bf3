//! Rows of declared tables.

use super::columns::{SqlType, Statement, columns_of};
use super::managed_connection::Session;
use super::param::Param;
use super::pg_error::PgError;
use super::read::ReadFuture;
use directory::{ColumnKind, Row, RowQuery, RowWrite, Table, Value};
use std::collections::BTreeMap;
use store::sql::{TableOperation, count_sql, exactly_sql, select_by_keys_sql, select_sql};

/// The row writes of a batch; those that share a statement are together.
#[derive(Default)]
pub(super) struct TableWrites(BTreeMap<TableOperation, (&'static Table, Vec<Row>)>);

impl TableWrites {
    pub(super) fn push(&mut self, write: RowWrite) {
        let (operation, table, row) = TableOperation::of(write);
        self.0.entry(operation).or_insert_with(|| (table, Vec::new())).1.push(row);
    }

    pub(super) fn len(&self) -> usize {
        self.0.values().map(|(_, rows)| rows.len()).sum()
    }

    pub(super) fn into_statements(self) -> impl Iterator<Item = Statement> {
        self.0.into_iter().map(|(operation, (table, mut rows))| {
            // In one order, so that two batches cannot deadlock.
            rows.sort_unstable();
            statement(&operation, table, rows)
        })
    }
}

fn statement(operation: &TableOperation, table: &Table, rows: Vec<Row>) -> Statement {
    let count = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    let types = operation.columns.iter().map(|column| SqlType::of(table.columns[*column].kind));
    let mut params = columns_of(types, rows);
    let arrays = (1..=params.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
    let names = operation.names().collect::<Vec<_>>().join(", ");
    let mut sql = operation.sql(table, &format!("(SELECT {names} FROM unnest({arrays}) AS u ({names}))"));
    if operation.is_counted {
        sql = exactly_sql(&sql, params.len() + 1);
        params.push(Box::new(count));
    }
    Statement { sql: sql.into(), params }
}

/// The parameters of a query: values of columns, or a limit.
fn bind(table: &Table, bound: Vec<(Option<usize>, Value)>) -> Vec<Box<dyn Param>> {
    let bind = |(column, value): (Option<usize>, Value)| {
        column.map_or(SqlType::Int8, |column| SqlType::of(table.columns[column].kind)).scalar(value)
    };
    bound.into_iter().map(bind).collect()
}

pub(super) fn rows(session: &Session, query: RowQuery) -> ReadFuture<'_, Vec<Row>> {
    Box::pin(async move {
        let (sql, bound) = select_sql(&query);
        let params = bind(query.table, bound);
        let params: Vec<&dyn Param> = params.iter().map(|param| &**param).collect();
        let found = session.query(&sql, &params).await?;
        found.iter().map(|row| read(query.table, row)).collect()
    })
}

pub(super) fn rows_with_keys<'s>(
    session: &'s Session,
    table: &'static Table,
    keys: Vec<Row>,
) -> ReadFuture<'s, Vec<Row>> {
    Box::pin(async move {
        let types = table.columns[..table.key_columns].iter().map(|column| SqlType::of(column.kind));
        let params = columns_of(types, keys);
        let arrays = (1..=params.len()).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ");
        let names = (0..params.len()).map(|place| format!("c{place}")).collect::<Vec<_>>().join(", ");
        let sql = select_by_keys_sql(table, &format!("(SELECT {names} FROM unnest({arrays}) AS u ({names}))"));
        let params: Vec<&dyn Param> = params.iter().map(|param| &**param).collect();
        let found = session.query(&sql, &params).await?;
        found.iter().map(|row| read(table, row)).collect()
    })
}

pub(super) fn count_rows<'s>(
    session: &'s Session,
    query: &RowQuery,
    by: &'static [usize],
) -> ReadFuture<'s, Vec<(Row, u64)>> {
    let (sql, bound) = count_sql(query, by);
    let table = query.table;
    Box::pin(async move {
        let params = bind(table, bound);
        let params: Vec<&dyn Param> = params.iter().map(|param| &**param).collect();
        let found = session.query(&sql, &params).await?;
        let decode = |row: &tokio_postgres::Row| {
            let values = by
                .iter()
                .enumerate()
                .map(|(place, column)| Ok(SqlType::of(table.columns[*column].kind).read(row, place)?));
            let count: i64 = row.try_get(by.len())?;
            Ok((values.collect::<Result<Row, PgError>>()?, count.unsigned_abs()))
        };
        found.iter().map(decode).collect()
    })
}

fn read(table: &Table, row: &tokio_postgres::Row) -> Result<Row, PgError> {
    let columns = table.columns.iter().enumerate();
    let value = |(place, column): (usize, &directory::Column)| {
        Ok(match (SqlType::of(column.kind).read(row, place)?, column.kind) {
            // Texts that are compared byte by byte are stored as bytes.
            (Value::Bytes(bytes), ColumnKind::Key) => Value::Text(String::from_utf8_lossy(&bytes).into_owned()),
            (value, _) => value,
        })
    };
    columns.map(value).collect()
}
