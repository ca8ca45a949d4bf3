//! Database errors, grouped by what the caller can do about them.
//!
//! Messages are for the log: codes and messages of the server, never its details, which contain values.

use directory::{CommitError, StoreError};
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PgError {
    /// The connection is lost or fails, or the server is shutting down or read-only: try another connection.
    Unavailable(String),
    /// A concurrent transaction is in the way: try again.
    Conflict(String),
    /// The server does not know a prepared statement, or knows another one by its name.
    StaleStatement(String),
    UniqueViolation(String),
    /// A statement did not find what it needs; see `sql::exactly`.
    PreconditionFailed,
    /// A referenced row is missing, or a row is still referenced.
    ForeignKeyViolation(String),
    /// No disk space, memory or numbers are left.
    InsufficientResources(String),
    /// A restore or move holds the store.
    Restoring,
    /// Permanent.
    Other(String),
}

impl PgError {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Unavailable(text)
            | Self::Conflict(text)
            | Self::StaleStatement(text)
            | Self::UniqueViolation(text)
            | Self::ForeignKeyViolation(text)
            | Self::InsufficientResources(text)
            | Self::Other(text) => text,
            Self::PreconditionFailed => "a precondition failed",
            Self::Restoring => "the store is held by a restore or move",
        }
    }

    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_) | Self::StaleStatement(_))
    }
}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl From<tokio_postgres::Error> for PgError {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            // Without a server response, the connection failed, unless a value could not be converted.
            let is_value = std::error::Error::source(&error)
                .is_some_and(|source| !source.is::<std::io::Error>() && !source.is::<tokio_rustls::rustls::Error>());
            let text = error.to_string();
            let is_ours = is_value && (text.contains("serializ") || text.contains("convert"));
            return if is_ours { Self::Other(text) } else { Self::Unavailable(text) };
        };
        Self::from_sqlstate(said.code().code(), said.message())
    }
}

impl PgError {
    fn from_sqlstate(code: &str, message: &str) -> Self {
        let text = format!("{code} {message}");
        match code {
            // Only the code: some servers put values into this message.
            "40001" | "40P01" | "55P03" => Self::Conflict(code.to_owned()),
            "23505" => Self::UniqueViolation(text),
            // Division by zero.
            "22012" => Self::PreconditionFailed,
            "23503" => Self::ForeignKeyViolation(text),
            "26000" | "42P05" | "22P03" => Self::StaleStatement(text),
            // A migration has changed the result type of a prepared statement.
            "0A000" if text.contains("cached plan") => Self::StaleStatement(text),
            "53100" | "53200" | "53400" => Self::InsufficientResources(text),
            // Shutting down, read-only (a standby), too many connections, idle timeout, unknown result.
            "25006" | "53300" | "25P03" | "40003" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" => {
                Self::Unavailable(text)
            }
            // Connection, authentication or database name: an administrator may be at work.
            _ if ["08", "28", "3D"].iter().any(|class| code.starts_with(class)) => Self::Unavailable(text),
            // Citus reports errors of its workers as XX000.
            _ if message.contains("duplicate key value violates unique constraint") => Self::UniqueViolation(text),
            _ => Self::Other(text),
        }
    }
}

impl From<PgError> for StoreError {
    fn from(error: PgError) -> Self {
        match error {
            PgError::Unavailable(text)
            | PgError::Conflict(text)
            | PgError::StaleStatement(text)
            | PgError::InsufficientResources(text) => Self::Unavailable(text),
            PgError::Restoring => Self::Unavailable(error.message().to_owned()),
            PgError::PreconditionFailed => Self::Internal(error.message().to_owned()),
            PgError::UniqueViolation(text) | PgError::ForeignKeyViolation(text) | PgError::Other(text) => {
                Self::Internal(text)
            }
        }
    }
}

impl From<PgError> for CommitError {
    fn from(error: PgError) -> Self {
        match StoreError::from(error) {
            StoreError::Unavailable(text) => Self::Unavailable(text),
            StoreError::Internal(text) => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_key_is_a_conflict_under_any_code() {
        for (code, message, is_taken) in [
            ("23505", "duplicate key value violates unique constraint \"claims_pkey\"", true),
            ("XX000", "duplicate key value violates unique constraint \"claims_pkey_102008\"", true),
            ("XX000", "cache lookup failed for relation 1", false),
        ] {
            assert_eq!(
                matches!(PgError::from_sqlstate(code, message), PgError::UniqueViolation(_)),
                is_taken,
                "{code} {message}"
            );
        }
    }
}
