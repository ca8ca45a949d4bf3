//! Statements for declared tables, the same on both engines: rows to write come from a source that gives each bound
//! value the name `c0`, `c1` and so on.

use directory::{Expected, Row, RowQuery, RowWrite, Table, Value};

/// A kind of write to a table, whose rows share one statement. The order is that of sending: deletions come first and
/// insertions last, so that unique values are free.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableOperation {
    table: &'static str,
    kind: OperationKind,
    /// The columns of a bound row.
    pub columns: Vec<usize>,
    /// How many of them an update changes, after those of the key.
    changed: usize,
    /// Whether each bound row must change exactly one stored row.
    pub is_counted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OperationKind {
    Delete,
    Update,
    Insert,
    Put,
}

impl TableOperation {
    /// The operation of a write, its table and the values to bind.
    pub fn of(write: RowWrite) -> (Self, &'static Table, Row) {
        let (table, kind, values, expected, mut row) = match write {
            RowWrite::Insert(table, row) => (table, OperationKind::Insert, Vec::new(), None, row),
            RowWrite::Put(table, row) => (table, OperationKind::Put, Vec::new(), None, row),
            RowWrite::Update { table, key, values, expected } => {
                (table, OperationKind::Update, values, Some(expected), key)
            }
            RowWrite::Delete { table, key, expected } => {
                (table, OperationKind::Delete, Vec::new(), Some(expected), key)
            }
        };
        let mut columns: Vec<usize> = (0..row.len()).collect();
        let changed = values.len();
        let (old, is_counted) = match expected {
            Some(Expected::Row(old)) => (old, true),
            Some(Expected::Anything) | None => (Vec::new(), false),
        };
        for (column, value) in values.into_iter().chain(old) {
            columns.push(column);
            row.push(value);
        }
        (Self { table: table.name, kind, columns, changed, is_counted }, table, row)
    }

    /// Names of the bound values.
    pub fn names(&self) -> impl Iterator<Item = String> {
        (0..self.columns.len()).map(|place| format!("c{place}"))
    }

    /// For one row, whose values are the parameters. SQLite finds no index for a deletion by rows of another table.
    pub fn single_row_sql(&self, table: &Table) -> String {
        if self.kind == OperationKind::Delete {
            let conditions = self.columns.iter().enumerate();
            let conditions =
                conditions.map(|(place, column)| format!("{} = ${}", table.columns[*column].name, place + 1));
            return format!("DELETE FROM {} WHERE {}", table.name, conditions.collect::<Vec<_>>().join(" AND "));
        }
        let source = self.names().enumerate().map(|(place, name)| format!("${} AS {name}", place + 1));
        self.sql(table, &format!("(SELECT {})", source.collect::<Vec<_>>().join(", ")))
    }

    pub fn sql(&self, table: &Table, source: &str) -> String {
        let name = |column: usize| table.columns[column].name;
        let list = |columns: std::ops::Range<usize>| columns.map(name).collect::<Vec<_>>().join(", ");
        let all =
            || format!("({}) SELECT {}", list(0..table.columns.len()), self.names().collect::<Vec<_>>().join(", "));
        let compared = (0..table.key_columns).chain(table.key_columns + self.changed..self.columns.len());
        let compared = compared.map(|place| format!("t.{} = n.c{place}", name(self.columns[place])));
        let condition = compared.collect::<Vec<_>>().join(" AND ");
        match self.kind {
            OperationKind::Delete => {
                format!("DELETE FROM {} AS t WHERE EXISTS (SELECT 1 FROM {source} AS n WHERE {condition})", table.name)
            }
            OperationKind::Update => {
                let set = (table.key_columns..table.key_columns + self.changed)
                    .map(|place| format!("{} = n.c{place}", name(self.columns[place])))
                    .collect::<Vec<_>>()
                    .join(", ");
                format!("UPDATE {} AS t SET {set} FROM {source} AS n WHERE {condition}", table.name)
            }
            OperationKind::Insert => format!("INSERT INTO {} {} FROM {source} AS n", table.name, all()),
            OperationKind::Put => {
                let others =
                    (table.key_columns..table.columns.len()).map(|column| format!("{0} = excluded.{0}", name(column)));
                let others = others.collect::<Vec<_>>().join(", ");
                let update = if others.is_empty() { "NOTHING".into() } else { format!("UPDATE SET {others}") };
                let key = list(0..table.key_columns);
                // Without a condition, SQLite would read `ON` as that of a join.
                format!(
                    "INSERT INTO {} {} FROM {source} AS n WHERE n.c0 = n.c0 ON CONFLICT ({key}) DO {update}",
                    table.name,
                    all()
                )
            }
        }
    }
}

/// Reads the rows whose keys a source gives the names `c0`, `c1` and so on. One index entry for each, whatever the
/// planner knows of the table.
pub fn select_by_keys_sql(table: &Table, source: &str) -> String {
    let list = |prefix: &str| {
        table.columns.iter().map(|column| format!("{prefix}{}", column.name)).collect::<Vec<_>>().join(", ")
    };
    let condition = (0..table.key_columns).map(|place| format!("t.{} = n.c{place}", table.columns[place].name));
    let condition = condition.collect::<Vec<_>>().join(" AND ");
    format!(
        "SELECT {} FROM {source} AS n JOIN LATERAL (SELECT {} FROM {} AS t WHERE {condition} LIMIT 1) AS u ON TRUE",
        list("u."),
        list("t."),
        table.name
    )
}

/// Counts the rows of a query by some columns.
pub fn count_sql(query: &RowQuery, by: &[usize]) -> (String, Vec<(Option<usize>, Value)>) {
    let (rows, bound) = select_columns_sql(query, by);
    let columns = by.iter().map(|column| query.table.columns[*column].name).collect::<Vec<_>>().join(", ");
    (format!("SELECT {columns}, count(*) FROM ({rows}) AS n GROUP BY {columns}"), bound)
}

/// The statement of a query, and the columns and values to bind; the limit has no column.
pub fn select_sql(query: &RowQuery) -> (String, Vec<(Option<usize>, Value)>) {
    let all: Vec<usize> = (0..query.table.columns.len()).collect();
    select_columns_sql(query, &all)
}

fn select_columns_sql(query: &RowQuery, columns: &[usize]) -> (String, Vec<(Option<usize>, Value)>) {
    let (table, start) = (query.table, query.equal.len());
    let list =
        |columns: &[usize]| columns.iter().map(|column| table.columns[*column].name).collect::<Vec<_>>().join(", ");
    let (next, mut bound, mut conditions) = (&query.order[start..], Vec::new(), Vec::new());
    let mut bind = |column: Option<usize>, value: &Value| {
        bound.push((column, value.clone()));
        format!("${}", bound.len())
    };
    for (column, value) in query.order.iter().zip(&query.equal) {
        conditions.push(format!("{} = {}", list(&[*column]), bind(Some(*column), value)));
    }
    if !query.after.is_empty() {
        let values = next.iter().zip(&query.after).map(|(column, value)| bind(Some(*column), value));
        let values = values.collect::<Vec<_>>();
        conditions.push(format!("({}) > ({})", list(&next[..values.len()]), values.join(", ")));
    }
    if let (Some(end), Some(column)) = (&query.up_to, next.first()) {
        conditions.push(format!("{} <= {}", list(&[*column]), bind(Some(*column), end)));
    }
    let conditions = if conditions.is_empty() { String::new() } else { format!(" WHERE {}", conditions.join(" AND ")) };
    let limit = query.limit.map(|limit| format!(" LIMIT {}", bind(None, &Value::Int(limit.into()))));
    let sql = format!(
        "SELECT {} FROM {}{conditions} ORDER BY {}{}",
        list(columns),
        table.name,
        list(query.order),
        limit.unwrap_or_default()
    );
    (sql, bound)
}
