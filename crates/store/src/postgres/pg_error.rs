//! What can go wrong between here and the database, sorted by what is to be done about it.
//!
//! Texts are for the log: codes and messages of the server, never the details it may add, which hold values.

use directory::{CommitError, StoreError};
use std::fmt;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PgError {
    /// The connection is gone or cannot be made, or the server is going down or takes no writes: try another one.
    Unavailable(String),
    /// The database could not carry this out beside what others did: try again.
    Conflict(String),
    /// The server does not know a statement that was prepared, or knows another by that name.
    StaleStatement(String),
    /// Something unique is there already.
    UniqueViolation(String),
    /// Something that was referred to is not there, or is still referred to.
    ForeignKeyViolation(String),
    /// The database has no room.
    InsufficientResources(String),
    /// The store is being filled.
    Restoring,
    /// Anything else: it will not get better.
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
            Self::Restoring => "the store is held by a restore or move",
        }
    }

    /// Whether the same may work a moment later.
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
            // Without an answer of the server it is the connection, unless a value could not be read or written.
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
    /// What a server's code and message mean.
    fn from_sqlstate(code: &str, message: &str) -> Self {
        let text = format!("{code} {message}");
        match code {
            // Some servers name values here.
            "40001" | "40P01" | "55P03" => Self::Conflict(code.to_owned()),
            "23505" => Self::UniqueViolation(text),
            "23503" => Self::ForeignKeyViolation(text),
            "26000" | "42P05" | "22P03" => Self::StaleStatement(text),
            // A prepared statement whose result has changed with the schema.
            "0A000" if text.contains("cached plan") => Self::StaleStatement(text),
            "53100" | "53200" | "53400" => Self::InsufficientResources(text),
            // Going down, read-only (a standby), too many connections, cut off for being idle, unknown result.
            "25006" | "53300" | "25P03" | "40003" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" => {
                Self::Unavailable(text)
            }
            // Not let in or not there: an administrator is at work.
            _ if ["08", "28", "3D"].iter().any(|class| code.starts_with(class)) => Self::Unavailable(text),
            // Citus reports what its workers say under XX000.
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
