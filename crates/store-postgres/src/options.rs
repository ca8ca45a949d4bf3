//! Options for opening a database, and the errors of it.

use super::DatabaseUrl;
use super::pg_error::PgError;
use directory::IdGenerator;
use std::sync::Arc;
use store::OpenError;
use store::archive::ArchiveError;
use tokio::runtime::Handle;

/// As in the origin of a stream.
pub(super) const ENGINE_NAME: &str = "postgres";

#[derive(Clone)]
pub struct PostgresOptions {
    /// Connections that commit changes.
    pub writers: usize,
    /// Connections for short reads, and as many for lookups of single users and items.
    pub readers: usize,
    /// Concurrent long reads, each on its own connection.
    pub long_reads: usize,
    /// Whether to prepare statements by name. Disabled automatically behind a pooler that loses them.
    pub named_statements: bool,
    /// Whether to create the tables in a database without them.
    pub create_schema: bool,
    /// The runtime for connections and tasks, which must outlive the store; `None` creates one. A runtime
    /// shared with request handlers saves waking another thread per request.
    pub runtime: Option<Handle>,
    /// Ids of batches: rising with time, or random for databases where rising keys would all go to the same node.
    pub ids: Arc<dyn IdGenerator>,
}

impl PostgresOptions {
    /// Defaults that suit most stores: two writers, two readers of each sort, four long reads.
    pub fn new(ids: Arc<dyn IdGenerator>) -> Self {
        Self { writers: 2, readers: 2, long_reads: 4, named_statements: true, create_schema: true, runtime: None, ids }
    }
}

/// Messages show neither the password nor the parameters of the URL.
#[derive(Debug, thiserror::Error)]
pub enum PostgresOpenError {
    #[error("the store at {0} cannot be reached: {1}")]
    Unreachable(String, String),
    #[error(
        "the store at {0} was made by a newer version of Muster (schema {1}, supported up to {2}); use that version"
    )]
    Newer(String, u32, u32),
    #[error(
        "the store at {0} was made by an older version of Muster (schema {1} of {2}); start `muster serve` once to \
         upgrade it"
    )]
    Older(String, u32, usize),
    #[error(
        "the store at {0} has an unknown schema (migration {1} differs); nothing was changed. Use the version that last opened it"
    )]
    MigrationMismatch(String, u32),
    #[error("the store at {0} contains only a part of {1}: run the interrupted restore or move again to resume")]
    IncompleteRestore(String, String),
    #[error(
        "the store at {0} is in use by another process: stop every `muster serve` and every command that uses it, and \
         try again"
    )]
    InUse(String),
    #[error("there is no Muster store at {0}; create one with `muster tenant add` or `muster serve`")]
    NoSchema(String),
    #[error("the store at {0} cannot be used: {1}")]
    Other(String, String),
    #[error("cannot start the runtime of the store: {0}")]
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

impl From<PostgresOpenError> for OpenError {
    fn from(error: PostgresOpenError) -> Self {
        Self::new(error)
    }
}

impl From<PostgresOpenError> for ArchiveError {
    fn from(error: PostgresOpenError) -> Self {
        Self::Open(error.into())
    }
}
