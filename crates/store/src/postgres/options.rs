//! How to open a database, and why one could not be opened.

use super::DatabaseUrl;
use super::pg_error::PgError;
use directory::IdGenerator;
use std::sync::Arc;
use tokio::runtime::Handle;

/// How to use a database.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Lanes for changes: connections that write.
    pub writers: usize,
    /// Connections for short reads, and as many for those that look up one person or item each.
    pub readers: usize,
    /// Long reads at a time, over a connection each.
    pub long_reads: usize,
    /// Whether statements are prepared once and kept by name. Behind a pooler that does not know them this is noticed
    /// and given up.
    pub named_statements: bool,
    /// Whether a database without our tables gets them.
    pub create_schema: bool,
    /// Where it works: a runtime that lives until the store is closed, or, where none is given, one of its own. Requests
    /// that are answered on the same one are woken without a word between threads.
    pub runtime: Option<Handle>,
    /// Identities of batches: rising with time, or random where rising keys would all go to one place.
    pub ids: Arc<dyn IdGenerator>,
}

impl PostgresOptions {
    /// What serves most: two lanes, two connections for either sort of read.
    pub fn new(ids: Arc<dyn IdGenerator>) -> Self {
        Self { writers: 2, readers: 2, long_reads: 4, named_statements: true, create_schema: true, runtime: None, ids }
    }
}

/// Why a database could not be opened. Texts show neither password nor parameters of its URL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    /// It cannot be reached, or does not let us in.
    #[error("the store at {0} cannot be reached: {1}")]
    Unreachable(String, String),
    /// It was made by a later version.
    #[error("the store at {0} was made by a newer Muster (schema {1}); use that version, this one knows up to {2}")]
    Newer(String, u32, u32),
    /// It was made by an earlier version, and is only to be read.
    #[error(
        "the store at {0} was made by an older Muster (schema {1} of {2}); start `muster serve` on it once, which brings it \
        up to date"
    )]
    Older(String, u32, usize),
    /// A migration that was applied is not the one this version has.
    #[error("the store at {0} was migrated differently from what this version knows (step {1}); it was left as it is")]
    MigrationMismatch(String, u32),
    /// It holds a part of what it is being filled with.
    #[error("the store at {0} holds only a part of {1}: what fills it was cut off, and goes on when it is run again")]
    IncompleteRestore(String, String),
    /// Another process has it open, and this one needs it alone.
    #[error(
        "the store at {0} is in use by another process: stop every `muster serve` and command that works with it, and try \
         again"
    )]
    InUse(String),
    /// It has none of our tables, and was not to get them.
    #[error("there is no Muster store at {0}; `muster tenant add` or `muster serve` makes one")]
    NoSchema(String),
    /// Anything else the database says.
    #[error("the store at {0} cannot be used: {1}")]
    Other(String, String),
    /// No thread could be started.
    #[error("the store's runtime could not be started: {0}")]
    Thread(std::io::Error),
}

impl PostgresOpenError {
    pub(super) fn from_pg(address: &DatabaseUrl, trouble: &PgError) -> Self {
        let text = trouble.message().to_owned();
        if trouble.is_transient() {
            Self::Unreachable(address.to_string(), text)
        } else {
            Self::Other(address.to_string(), text)
        }
    }
}
