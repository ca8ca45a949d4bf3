//! Rows as columns: a statement takes one array for each column.

use super::param::Param;
use directory::{ColumnKind, Value};
use std::borrow::Cow;
use uuid::Uuid;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SqlType {
    Bool,
    Int2,
    Int4,
    Int8,
    Uuid,
    Text,
    Bytes,
}

impl SqlType {
    pub(super) fn of(kind: ColumnKind) -> Self {
        match kind {
            ColumnKind::Int => Self::Int4,
            ColumnKind::BigInt => Self::Int8,
            ColumnKind::Uuid => Self::Uuid,
            ColumnKind::Text => Self::Text,
            ColumnKind::Key | ColumnKind::Bytes => Self::Bytes,
        }
    }

    /// A column of these values as a parameter.
    pub(super) fn array(self, values: Vec<Value>) -> Box<dyn Param> {
        match self {
            Self::Bool => Box::new(list(values, |value| Some(integer(&value)? != 0))),
            Self::Int2 => Box::new(list(values, |value| i16::try_from(integer(&value)?).ok())),
            Self::Int4 => Box::new(list(values, |value| i32::try_from(integer(&value)?).ok())),
            Self::Int8 => Box::new(list(values, |value| integer(&value))),
            Self::Uuid => Box::new(list(values, |value| uuid(&value))),
            Self::Text => Box::new(list(values, text)),
            Self::Bytes => Box::new(list(values, bytes)),
        }
    }

    /// One value as a parameter.
    pub(super) fn scalar(self, value: Value) -> Box<dyn Param> {
        match self {
            Self::Bool => Box::new(integer(&value).map(|number| number != 0)),
            Self::Int2 => Box::new(integer(&value).and_then(|number| i16::try_from(number).ok())),
            Self::Int4 => Box::new(integer(&value).and_then(|number| i32::try_from(number).ok())),
            Self::Int8 => Box::new(integer(&value)),
            Self::Uuid => Box::new(uuid(&value)),
            Self::Text => Box::new(text(value)),
            Self::Bytes => Box::new(bytes(value)),
        }
    }

    /// Reads a value of this type.
    pub(super) fn read(self, row: &tokio_postgres::Row, place: usize) -> Result<Value, tokio_postgres::Error> {
        let integer = |number: Option<i64>| number.map_or(Value::Null, Value::Int);
        Ok(match self {
            Self::Bool => integer(row.try_get::<_, Option<bool>>(place)?.map(i64::from)),
            Self::Int2 => integer(row.try_get::<_, Option<i16>>(place)?.map(i64::from)),
            Self::Int4 => integer(row.try_get::<_, Option<i32>>(place)?.map(i64::from)),
            Self::Int8 => integer(row.try_get(place)?),
            Self::Uuid => row.try_get::<_, Option<Uuid>>(place)?.map_or(Value::Null, Value::Uuid),
            Self::Text => row.try_get::<_, Option<String>>(place)?.map_or(Value::Null, Value::Text),
            Self::Bytes => row.try_get::<_, Option<Vec<u8>>>(place)?.map_or(Value::Null, Value::Bytes),
        })
    }
}

fn list<T>(values: Vec<Value>, convert: impl Fn(Value) -> Option<T>) -> Vec<Option<T>> {
    values.into_iter().map(convert).collect()
}

fn integer(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

fn uuid(value: &Value) -> Option<Uuid> {
    if let Value::Uuid(id) = value { Some(*id) } else { None }
}

fn text(value: Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(bytes) => Some(bytes),
        Value::Text(text) => Some(text.into_bytes()),
        _ => None,
    }
}

/// Turns rows into columns of these types.
pub(super) fn columns_of(types: impl Iterator<Item = SqlType>, rows: Vec<Vec<Value>>) -> Vec<Box<dyn Param>> {
    let types: Vec<SqlType> = types.collect();
    let mut columns: Vec<Vec<Value>> = types.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    types.into_iter().zip(columns).map(|(kind, values)| kind.array(values)).collect()
}

/// A statement and its parameters.
pub(super) struct Statement {
    pub(super) sql: Cow<'static, str>,
    pub(super) params: Vec<Box<dyn Param>>,
}
