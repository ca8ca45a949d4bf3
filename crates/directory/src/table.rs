//! Tables that are declared once for all engines: for data other than users, items, events and counters.
//!
//! A type that is stored in such a table implements [`Record`] in the file that defines it. Engines know only the
//! declaration: they insert, change, delete and list rows of any table, and include it in backups, moves and checks.

use crate::{Field, StoreError};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A table, as every engine has it.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// The key comes first.
    pub columns: &'static [Column],
    /// How many columns the primary key has.
    pub key_columns: usize,
    /// The field to report if the key of a new row is taken.
    pub key_field: Field,
    /// Other columns whose values are unique together, by index, and the field to report.
    pub unique: &'static [(&'static [usize], Field)],
    pub archive: ArchiveForm,
}

impl Table {
    /// Whether each row belongs to a tenant, which is in the first column.
    pub fn is_by_tenant(&self) -> bool {
        self.key_columns > 1 && self.columns.first().is_some_and(|column| column.name == "tenant")
    }
}

/// How backups and moves include the rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveForm {
    /// As rows.
    Rows,
    /// As entries of their own kind (`store/src/archive/entry_writes.rs`).
    Entries,
    /// Not at all: they are derived from others, or of use for a short time.
    Omitted,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// Whether a value can be [`Value::Null`].
    pub is_optional: bool,
}

impl Column {
    pub const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind, is_optional: false }
    }

    pub const fn optional(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind, is_optional: true }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Up to `i32::MAX`.
    Int,
    BigInt,
    Uuid,
    Text,
    /// A text that is compared byte by byte.
    Key,
    Bytes,
}

/// A value of a column. Its text for debugging hides texts and bytes, which may be secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    Null,
    Int(i64),
    Uuid(Uuid),
    Text(String),
    Bytes(Vec<u8>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Int(number) => number.fmt(f),
            Self::Uuid(id) => id.fmt(f),
            Self::Text(_) => f.write_str("Text(…)"),
            Self::Bytes(_) => f.write_str("Bytes(…)"),
        }
    }
}

/// The values of a row, in the order of the columns.
pub type Row = Vec<Value>;

/// A type whose values are rows of a declared table.
pub trait Record: Sized {
    fn table() -> &'static Table;
    fn to_row(&self) -> Result<Row, serde_json::Error>;
    fn from_row(row: &[Value]) -> Result<Self, RowError>;
}

#[derive(Debug, thiserror::Error)]
#[error("a row of the table {table} cannot be decoded: column {column} {reason}")]
pub struct RowError {
    table: &'static str,
    column: usize,
    reason: &'static str,
}

impl From<RowError> for StoreError {
    fn from(error: RowError) -> Self {
        Self::Internal(error.to_string())
    }
}

/// A change of one row.
#[derive(Clone, Debug)]
pub enum RowWrite {
    /// Rejected if the key or unique values are taken.
    Insert(&'static Table, Row),
    /// Inserts the row, or replaces the one with its key.
    Put(&'static Table, Row),
    /// Changes some columns, by index, of the row with this key.
    Update { table: &'static Table, key: Row, values: Vec<(usize, Value)>, expected: Expected },
    /// Deletes the row with this key.
    Delete { table: &'static Table, key: Row, expected: Expected },
}

impl RowWrite {
    pub fn table_and_key(&self) -> (&'static Table, &[Value]) {
        match self {
            Self::Insert(table, row) | Self::Put(table, row) => (table, table.key_of(row)),
            Self::Update { table, key, .. } | Self::Delete { table, key, .. } => (table, key),
        }
    }
}

impl Expected {
    /// Whether what is stored under the key is what is expected.
    pub fn is_met(&self, stored: Option<&Row>) -> bool {
        match (self, stored) {
            (Self::Anything, _) => true,
            (Self::Row(_), None) => false,
            (Self::Row(old), Some(row)) => old.iter().all(|(column, value)| row[*column] == *value),
        }
    }
}

/// What must be stored for a row to be changed.
#[derive(Clone, Debug)]
pub enum Expected {
    /// A row with the key that has these values; otherwise the change is stale.
    Row(Vec<(usize, Value)>),
    /// Nothing: a missing row stays missing.
    Anything,
}

/// Rows of a table in the order of some columns.
#[derive(Clone, Debug)]
pub struct RowQuery {
    pub table: &'static Table,
    /// The columns of the order, by index. An index of the table starts with those that `equal` and `after` restrict.
    pub order: &'static [usize],
    /// Values of the first of these columns.
    pub equal: Vec<Value>,
    /// Only rows whose next columns come after these values.
    pub after: Vec<Value>,
    /// Only rows whose next column is not null and at most this.
    pub up_to: Option<Value>,
    /// `None` for all rows.
    pub limit: Option<u32>,
}

impl Table {
    /// All rows, in the order of the key.
    pub fn all(&'static self) -> RowQuery {
        self.ordered_by(self.key())
    }

    /// The columns of the key, by index.
    fn key(&self) -> &'static [usize] {
        &[0, 1, 2, 3, 4, 5][..self.key_columns]
    }

    pub fn ordered_by(&'static self, order: &'static [usize]) -> RowQuery {
        RowQuery { table: self, order, equal: Vec::new(), after: Vec::new(), up_to: None, limit: None }
    }

    /// The row with this key.
    pub fn row(&'static self, key: Row) -> RowQuery {
        RowQuery { equal: key, ..self.all() }
    }

    pub fn key_of<'r>(&self, row: &'r [Value]) -> &'r [Value] {
        &row[..self.key_columns]
    }

    /// The unique values of a row: columns, values and the field to report.
    pub fn unique_values<'r>(
        &'static self,
        row: &'r [Value],
    ) -> impl Iterator<Item = (&'static [usize], Row, Field)> + 'r {
        let key = std::iter::once((self.key(), self.key_field));
        let all = key.chain(self.unique.iter().copied());
        all.map(|(columns, field)| (columns, columns.iter().map(|column| row[*column].clone()).collect(), field))
    }
}

impl RowQuery {
    #[must_use]
    pub fn equal(self, equal: Vec<Value>) -> Self {
        Self { equal, ..self }
    }

    #[must_use]
    pub fn after(self, after: Vec<Value>) -> Self {
        Self { after, ..self }
    }

    #[must_use]
    pub fn up_to(self, end: Value) -> Self {
        Self { up_to: Some(end), ..self }
    }

    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// A limit that keeps a read short.
    pub const FEW: u32 = 250;

    /// Whether the query has a small limit or names a whole key.
    pub fn is_short(&self) -> bool {
        let key = self.table.key();
        self.limit.is_some_and(|limit| limit <= Self::FEW)
            || self.order.starts_with(key) && self.equal.len() >= key.len()
    }

    /// Whether a row belongs to the result, whatever its limit.
    pub fn matches(&self, row: &[Value]) -> bool {
        let start = self.equal.len();
        let values = |columns: &[usize]| columns.iter().map(|column| row[*column].clone()).collect::<Vec<_>>();
        let next = self.order.get(start).map(|column| &row[*column]);
        values(&self.order[..start]) == self.equal
            && (self.after.is_empty() || values(&self.order[start..start + self.after.len()]) > self.after)
            && self.up_to.as_ref().is_none_or(|end| next.is_some_and(|next| *next != Value::Null && next <= end))
    }

    /// The result, from all rows of the table.
    pub fn select<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Vec<Row> {
        let mut found: Vec<Row> = rows.filter(|row| self.matches(row)).cloned().collect();
        found.sort_by_key(|row| self.position(row));
        found.truncate(self.limit.map_or(usize::MAX, |limit| limit as usize));
        found
    }

    /// The position of a row in the order.
    pub fn position(&self, row: &[Value]) -> Row {
        self.order.iter().map(|column| row[*column].clone()).collect()
    }
}

impl Value {
    pub fn optional<T>(value: Option<T>) -> Self
    where
        Self: From<T>,
    {
        value.map_or(Self::Null, Self::from)
    }
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $to
            }
        }
    )*};
}
value_from! {
    i64 => |value| Self::Int(value);
    u32 => |value| Self::Int(i64::from(value));
    Uuid => |value| Self::Uuid(value);
    String => |value| Self::Text(value);
    Vec<u8> => |value| Self::Bytes(value);
}

/// Reads the values of a row of one table.
pub struct RowReader<'r> {
    table: &'static Table,
    row: &'r [Value],
}

impl<'r> RowReader<'r> {
    pub fn new(table: &'static Table, row: &'r [Value]) -> Self {
        Self { table, row }
    }

    fn fail<T>(&self, column: usize, reason: &'static str) -> Result<T, RowError> {
        Err(RowError { table: self.table.name, column, reason })
    }

    pub fn text(&self, column: usize) -> Result<&'r str, RowError> {
        match self.row.get(column) {
            Some(Value::Text(text)) => Ok(text),
            _ => self.fail(column, "is no text"),
        }
    }

    pub fn bytes(&self, column: usize) -> Result<&'r [u8], RowError> {
        match self.row.get(column) {
            Some(Value::Bytes(bytes)) => Ok(bytes),
            _ => self.fail(column, "has no bytes"),
        }
    }

    pub fn array<const N: usize>(&self, column: usize) -> Result<[u8; N], RowError> {
        self.bytes(column)?.try_into().or_else(|_| self.fail(column, "has the wrong length"))
    }

    pub fn uuid(&self, column: usize) -> Result<Uuid, RowError> {
        match self.row.get(column) {
            Some(Value::Uuid(id)) => Ok(*id),
            _ => self.fail(column, "is no id"),
        }
    }

    /// `None` for null.
    pub fn integer(&self, column: usize) -> Result<Option<i64>, RowError> {
        match self.row.get(column) {
            Some(Value::Null) => Ok(None),
            Some(Value::Int(number)) => Ok(Some(*number)),
            _ => self.fail(column, "is no number"),
        }
    }

    /// A number that is never null or negative.
    pub fn unsigned(&self, column: usize) -> Result<u32, RowError> {
        match self.integer(column)?.map(u32::try_from) {
            Some(Ok(number)) => Ok(number),
            _ => self.fail(column, "is no positive number"),
        }
    }

    /// `None` for null.
    pub fn optional_text(&self, column: usize) -> Result<Option<&'r str>, RowError> {
        if self.is_null(column) { Ok(None) } else { self.text(column).map(Some) }
    }

    /// Decodes a document.
    pub fn json<T: serde::de::DeserializeOwned>(&self, column: usize) -> Result<T, RowError> {
        serde_json::from_str(self.text(column)?).or_else(|_| self.fail(column, "is not the expected document"))
    }

    pub fn is_null(&self, column: usize) -> bool {
        matches!(self.row.get(column), Some(Value::Null) | None)
    }
}
