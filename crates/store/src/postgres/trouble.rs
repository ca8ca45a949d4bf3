//! What can go wrong between here and the database, sorted by what is to be done about it.
//!
//! Texts are for the log: codes and messages of the server, never the details it may add, which hold values.

use directory::{CommitError, StoreError};
use std::fmt;

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The connection is gone or cannot be made, or the server is going down or takes no writes: try another one.
    Lost(String),
    /// The database could not carry this out beside what others did: try again.
    Again(String),
    /// The server does not know a statement that was prepared, or knows another by that name.
    Forgotten(String),
    /// Something unique is there already.
    Taken(String),
    /// Something that was referred to is not there, or is still referred to.
    Dangling(String),
    /// The database has no room.
    Full(String),
    /// The store is being filled.
    Filling,
    /// Anything else: it will not get better.
    Broken(String),
}

impl Trouble {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Lost(text)
            | Self::Again(text)
            | Self::Forgotten(text)
            | Self::Taken(text)
            | Self::Dangling(text)
            | Self::Full(text)
            | Self::Broken(text) => text,
            Self::Filling => "the store is held by a restore or move",
        }
    }

    /// Whether the same may work a moment later.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Again(_) | Self::Forgotten(_))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            // Without an answer of the server it is the connection, unless a value could not be read or written.
            let is_value = std::error::Error::source(&error).is_some_and(|source| {
                !source.is::<std::io::Error>() && !source.is::<tokio_rustls::rustls::Error>()
            });
            let text = error.to_string();
            let is_ours = is_value && (text.contains("serializ") || text.contains("convert"));
            return if is_ours { Self::Broken(text) } else { Self::Lost(text) };
        };
        Self::reported(said.code().code(), said.message())
    }
}

impl Trouble {
    /// What a server's code and message mean.
    fn reported(code: &str, message: &str) -> Self {
        let text = format!("{code} {message}");
        match code {
            // Some servers name values here.
            "40001" | "40P01" | "55P03" => Self::Again(code.to_owned()),
            "23505" => Self::Taken(text),
            "23503" => Self::Dangling(text),
            "26000" | "42P05" | "22P03" => Self::Forgotten(text),
            // A prepared statement whose result has changed with the schema.
            "0A000" if text.contains("cached plan") => Self::Forgotten(text),
            "53100" | "53200" | "53400" => Self::Full(text),
            // Going down, read-only (a standby), too many connections, cut off for being idle, unknown result.
            "25006" | "53300" | "25P03" | "40003" | "57014" | "57P01" | "57P02" | "57P03" | "57P05" => {
                Self::Lost(text)
            }
            // Not let in or not there: an administrator is at work.
            _ if ["08", "28", "3D"].iter().any(|class| code.starts_with(class)) => Self::Lost(text),
            // Citus reports what its workers say under XX000.
            _ if message.contains("duplicate key value violates unique constraint") => Self::Taken(text),
            _ => Self::Broken(text),
        }
    }
}

impl From<Trouble> for StoreError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Lost(text) | Trouble::Again(text) | Trouble::Forgotten(text) | Trouble::Full(text) => {
                Self::Unavailable(text)
            }
            Trouble::Filling => Self::Unavailable(trouble.text().to_owned()),
            Trouble::Taken(text) | Trouble::Dangling(text) | Trouble::Broken(text) => Self::Internal(text),
        }
    }
}

impl From<Trouble> for CommitError {
    fn from(trouble: Trouble) -> Self {
        match StoreError::from(trouble) {
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
                matches!(Trouble::reported(code, message), Trouble::Taken(_)),
                is_taken,
                "{code} {message}"
            );
        }
    }
}
