//! Selects the engine of a location: a SQLite file, or a PostgreSQL database that several processes share.

use crate::{RandomIds, TimeOrderedIds};
use anyhow::bail;
use directory::IdGenerator;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::Engine;
use store_postgres::{DatabaseUrl, PostgresEngine, PostgresOptions};
use store_sqlite::{SqliteEngine, SqliteOptions};
use tokio::runtime::Handle;

#[derive(Clone)]
pub struct StoreSettings {
    /// A file path or a `postgres://` URL.
    pub location: String,
    /// Maximum size of SQLite's page cache, in MiB.
    pub cache_mib: u32,
    /// Whether SQLite reads through memory-mapped I/O.
    pub memory_mapped: bool,
    /// Time limit of one SQLite read, since the write-ahead log grows meanwhile; `None` means no limit.
    pub read_timeout: Option<Duration>,
    /// Whether a SQLite store of up to 1 GiB is checked when it is opened, even if it was closed properly.
    pub check_on_open: bool,
    /// Whether ids are `UUIDv4` instead of `UUIDv7`.
    pub random_ids: bool,
    /// PostgreSQL connections for writes.
    pub writers: usize,
    /// PostgreSQL connections that short reads share.
    pub readers: usize,
    /// Whether PostgreSQL keeps prepared statements by name.
    pub named_statements: bool,
    /// A runtime that outlives the store, for PostgreSQL connections; `None` starts one.
    pub runtime: Option<Handle>,
}

impl StoreSettings {
    pub fn new(location: impl Into<String>) -> Self {
        let location = location.into();
        Self {
            location,
            cache_mib: 128,
            memory_mapped: true,
            read_timeout: None,
            check_on_open: false,
            random_ids: false,
            writers: 2,
            readers: 2,
            named_statements: true,
            runtime: None,
        }
    }

    pub fn id_generator(&self) -> Arc<dyn IdGenerator> {
        if self.random_ids { Arc::new(RandomIds) } else { Arc::new(TimeOrderedIds) }
    }

    /// The path of a SQLite store; `None` for a database.
    ///
    /// # Errors
    /// The location looks like another kind of URL. It may contain a password, so the error does not repeat it.
    pub fn sqlite_path(&self) -> anyhow::Result<Option<PathBuf>> {
        if DatabaseUrl::is_database_url(&self.location) {
            return Ok(None);
        }
        if may_contain_secrets(&self.location) {
            bail!("--store takes a file path or a URL such as postgres://muster@db.example.com/muster");
        }
        Ok(Some(PathBuf::from(&self.location)))
    }

    /// The store's path with another extension; `None` for a database.
    pub fn sibling_path(&self, extension: &str) -> Option<PathBuf> {
        self.sqlite_path().ok().flatten().map(|path| path.with_extension(extension))
    }

    /// The engine of the location.
    pub fn engine(&self) -> anyhow::Result<Box<dyn Engine>> {
        if let Some(path) = self.sqlite_path()? {
            let options = SqliteOptions {
                cache_mib: self.cache_mib,
                memory_mapped: self.memory_mapped,
                read_timeout: self.read_timeout,
                check_on_open: self.check_on_open,
                ..SqliteOptions::default()
            };
            return Ok(Box::new(SqliteEngine { path, options }));
        }
        let options = PostgresOptions {
            writers: self.writers,
            readers: self.readers,
            named_statements: self.named_statements,
            runtime: self.runtime.clone(),
            ..PostgresOptions::new(self.id_generator())
        };
        Ok(Box::new(PostgresEngine { url: self.database_url()?, options }))
    }

    /// The database URL. If it has no password, `PGPASSWORD` is used.
    fn database_url(&self) -> anyhow::Result<DatabaseUrl> {
        let password = std::env::var("PGPASSWORD").ok();
        Ok(DatabaseUrl::parse(&self.location, password.as_deref())?)
    }
}

/// The location for display: a URL without its secrets.
pub fn redacted_location(location: &str) -> String {
    if !may_contain_secrets(location) {
        return location.to_owned();
    }
    DatabaseUrl::parse(location, None).map_or_else(|_| "(invalid URL)".into(), |address| address.to_string())
}

fn may_contain_secrets(location: &str) -> bool {
    location.contains("://") || location.contains("password=")
}
