//! Decodes columns: documents from JSON, ids from 16 bytes.

use rusqlite::types::{FromSqlError, Type};
use serde::de::DeserializeOwned;
use uuid::Uuid;

pub(super) fn decode<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

pub(super) fn id(column: usize, row: &rusqlite::Row<'_>) -> rusqlite::Result<Uuid> {
    let bytes = row.get_ref(column)?.as_blob()?;
    Uuid::from_slice(bytes).map_err(|_| FromSqlError::InvalidType.into())
}

/// `None` if a query found no row.
pub(super) fn optional<T>(found: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
        Err(error) => Err(error),
    }
}
