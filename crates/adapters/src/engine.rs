//! Opens the store at a location: a SQLite file, or a PostgreSQL database that several processes share.

use crate::{RandomIds, TimeOrderedIds};
use anyhow::bail;
use directory::{IdGenerator, Store};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use store::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums};
use store::{
    CheckReport, DatabaseUrl, ExclusivePostgres, ExclusiveSqlite, Postgres, PostgresOptions, Sqlite, SqliteOpenError,
    SqliteOptions,
};
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

    fn existing_sqlite_path(&self) -> anyhow::Result<Option<PathBuf>> {
        let path = self.sqlite_path()?;
        if let Some(path) = path.as_ref().filter(|path| !path.exists()) {
            let path = path.display();
            bail!("there is no store at {path}; create one with `muster tenant add` or `muster serve`");
        }
        Ok(path)
    }

    /// The database URL. If it has no password, `PGPASSWORD` is used.
    fn database_url(&self) -> anyhow::Result<DatabaseUrl> {
        let password = std::env::var("PGPASSWORD").ok();
        Ok(DatabaseUrl::parse(&self.location, password.as_deref())?)
    }

    fn postgres_options(&self) -> PostgresOptions {
        PostgresOptions {
            writers: self.writers,
            readers: self.readers,
            named_statements: self.named_statements,
            create_schema: false,
            runtime: self.runtime.clone(),
            ..PostgresOptions::new(self.id_generator())
        }
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

/// Sends every entry of a store to a sink.
pub type DumpFn = Box<dyn FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError> + Send>;

pub enum Engine {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

impl Engine {
    /// Opens a store and creates it if it does not exist.
    pub fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        Self::open_with(settings, &PostgresOptions { create_schema: true, ..settings.postgres_options() })
    }

    /// Opens an existing store, so that a mistyped location is an error.
    pub fn open_existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        settings.existing_sqlite_path()?;
        Self::open_with(settings, &settings.postgres_options())
    }

    fn open_with(settings: &StoreSettings, postgres: &PostgresOptions) -> anyhow::Result<Self> {
        if let Some(path) = settings.sqlite_path()? {
            let options = SqliteOptions {
                cache_mib: settings.cache_mib,
                memory_mapped: settings.memory_mapped,
                read_timeout: settings.read_timeout,
                check_on_open: settings.check_on_open,
                ..SqliteOptions::default()
            };
            return Ok(Self::Sqlite(Arc::new(Sqlite::open(&path, &options)?)));
        }
        Ok(Self::Postgres(Arc::new(Postgres::open(&settings.database_url()?, postgres)?)))
    }

    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as _,
            Self::Postgres(store) => Arc::clone(store) as _,
        }
    }

    /// Waits until all queued changes are stored, then closes the store.
    pub fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close(),
            Self::Postgres(store) => store.close(),
        }
    }

    /// Opens a store for reading only, if the engine supports that. A store of an older version is opened for
    /// writing, which upgrades it.
    pub fn open_read_only(settings: &StoreSettings) -> anyhow::Result<Self> {
        let Some(path) = settings.sqlite_path()?.filter(|path| path.exists()) else {
            return Self::open_existing(settings);
        };
        let options = SqliteOptions { memory_mapped: settings.memory_mapped, ..SqliteOptions::default() };
        match Sqlite::open_read_only(&path, &options) {
            Ok(store) => Ok(Self::Sqlite(Arc::new(store))),
            Err(SqliteOpenError::Older(..)) => Self::open_existing(settings),
            Err(error) => Err(error.into()),
        }
    }

    /// Prepares a dump of the snapshot at the time the returned function starts; other processes can keep writing.
    /// Fails at once if there is no SQLite store; a PostgreSQL database is opened when the dump starts.
    pub fn prepare_dump(settings: &StoreSettings) -> anyhow::Result<DumpFn> {
        if let Some(path) = settings.existing_sqlite_path()? {
            let read_timeout = settings.read_timeout;
            return Ok(Box::new(move |to| Sqlite::dump(&path, read_timeout, to)));
        }
        let (address, options) = (settings.database_url()?, settings.postgres_options());
        Ok(Box::new(move |to| Postgres::dump(&address, &options, to)))
    }

    /// The engine of a location, as in [`Origin::engine`].
    pub fn engine_name(settings: &StoreSettings) -> &'static str {
        if DatabaseUrl::is_database_url(&settings.location) { "postgres" } else { "sqlite" }
    }

    /// Checks the whole store for inconsistencies.
    pub fn check(settings: &StoreSettings) -> anyhow::Result<CheckReport> {
        match settings.existing_sqlite_path()? {
            Some(path) => Ok(Sqlite::check(&path)?),
            None => Ok(Postgres::check(&settings.database_url()?, &settings.postgres_options())?),
        }
    }
}

/// A store that no other process can open, for restore and move.
pub enum ExclusiveStore {
    Sqlite(ExclusiveSqlite),
    Postgres(Box<ExclusivePostgres>),
}

impl ExclusiveStore {
    /// Acquires an existing store.
    ///
    /// # Errors
    /// The store does not exist, or another process has it open.
    pub fn open_existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        match settings.existing_sqlite_path()? {
            Some(path) => Ok(Self::Sqlite(ExclusiveSqlite::acquire(&path)?)),
            None => Self::postgres(settings, &settings.postgres_options()),
        }
    }

    /// Acquires the target of a restore, which need not exist.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn open_target(settings: &StoreSettings) -> anyhow::Result<Self> {
        match settings.sqlite_path()? {
            Some(path) => Ok(Self::Sqlite(ExclusiveSqlite::acquire(&path)?)),
            None => Self::postgres(settings, &PostgresOptions { create_schema: true, ..settings.postgres_options() }),
        }
    }

    fn postgres(settings: &StoreSettings, options: &PostgresOptions) -> anyhow::Result<Self> {
        Ok(Self::Postgres(Box::new(ExclusivePostgres::acquire(&settings.database_url()?, options)?)))
    }

    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        match self {
            Self::Sqlite(store) => store.dump(to),
            Self::Postgres(store) => store.dump(to),
        }
    }

    /// Fills an empty or new store from a stream; an interrupted restore resumes. The store cannot be opened until
    /// [`ExclusiveStore::finish_restore`].
    pub fn restore(&self, origin: &Origin, entries: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        match self {
            Self::Sqlite(store) => store.restore(origin, entries),
            Self::Postgres(store) => store.restore(origin, entries),
        }
    }

    /// Reads a restored store back and computes its sums.
    pub fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        match self {
            Self::Sqlite(store) => store.read_back_sums(),
            Self::Postgres(store) => store.read_back_sums(),
        }
    }

    /// Marks a restored store as complete, so that it can be opened.
    pub fn finish_restore(&self) -> Result<(), ArchiveError> {
        match self {
            Self::Sqlite(store) => store.finish(),
            Self::Postgres(store) => store.finish(),
        }
    }
}
