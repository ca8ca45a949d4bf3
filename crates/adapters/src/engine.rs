//! The store that was named: a file, or a database that several processes share.

use crate::{RandomIds, TimeOrderedIds};
use anyhow::bail;
use directory::{IdGenerator, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::archive::{ArchiveError, EntrySink, EntrySource, Origin, Sums};
use store::{
    CheckReport, DatabaseUrl, ExclusivePostgres, ExclusiveSqlite, Postgres, PostgresOptions, Sqlite, SqliteOpenError,
    SqliteOptions,
};
use tokio::runtime::Handle;

/// Where a store is and how to use it.
#[derive(Clone)]
pub struct StoreSettings {
    /// The path of a file, or a URL of PostgreSQL's.
    pub location: String,
    /// The most memory the embedded engine's page cache may take, in MiB.
    pub cache_mib: u32,
    /// Whether the embedded engine reads through mapped memory.
    pub memory_mapped: bool,
    /// How long one read of the embedded engine may take, since its log grows meanwhile; `None` is no limit.
    pub read_timeout: Option<Duration>,
    /// Whether an embedded store of up to 1 GiB is checked when it is opened, also if it was closed.
    pub check_on_open: bool,
    /// Whether identities are random instead of rising with time.
    pub random_ids: bool,
    /// Connections that write to a database, and that short reads from it share.
    pub writers: usize,
    /// The second of these.
    pub readers: usize,
    /// Whether a database is to keep prepared statements by name.
    pub named_statements: bool,
    /// Where work with a database goes on, if it outlives the store.
    pub runtime: Option<Handle>,
}

impl StoreSettings {
    /// The usual ones for a place.
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

    /// Identities as they were asked for.
    pub fn id_generator(&self) -> Arc<dyn IdGenerator> {
        if self.random_ids { Arc::new(RandomIds) } else { Arc::new(TimeOrderedIds) }
    }

    /// The path of the embedded store; `None` if the store is a database.
    ///
    /// # Errors
    /// It looks like the URL of something else. That may hold a password and is not repeated.
    pub fn sqlite_path(&self) -> anyhow::Result<Option<PathBuf>> {
        if DatabaseUrl::is_database_url(&self.location) {
            return Ok(None);
        }
        if may_contain_secrets(&self.location) {
            bail!("--store takes the path of a file or a URL like postgres://muster@db.example.com/muster");
        }
        Ok(Some(PathBuf::from(&self.location)))
    }

    /// A path beside the store's file, which ends otherwise.
    pub fn sibling_path(&self, extension: &str) -> Option<PathBuf> {
        self.sqlite_path().ok().flatten().map(|path| path.with_extension(extension))
    }

    /// The address, where it is a database. A password that its URL leaves out may be in `PGPASSWORD`.
    fn address(&self) -> anyhow::Result<DatabaseUrl> {
        let password = std::env::var("PGPASSWORD").ok();
        Ok(DatabaseUrl::parse(&self.location, password.as_deref())?)
    }

    fn server_options(&self, create_schema: bool) -> PostgresOptions {
        PostgresOptions {
            writers: self.writers,
            readers: self.readers,
            named_statements: self.named_statements,
            create_schema,
            runtime: self.runtime.clone(),
            ..PostgresOptions::new(self.id_generator())
        }
    }
}

/// How a place may be shown: a URL without its secrets.
pub fn redacted_location(location: &str) -> String {
    if !may_contain_secrets(location) {
        return location.to_owned();
    }
    DatabaseUrl::parse(location, None)
        .map_or_else(|_| "(a URL that cannot be used)".into(), |address| address.to_string())
}

fn may_contain_secrets(location: &str) -> bool {
    location.contains("://") || location.contains("password=")
}

/// Gives a whole store to a sink.
pub type DumpFn = Box<dyn FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError> + Send>;

/// An open store.
pub enum Engine {
    /// A file.
    Embedded(Arc<Sqlite>),
    /// A database.
    Server(Arc<Postgres>),
}

impl Engine {
    /// Opens a store, making it where it is not there yet.
    pub fn open(settings: &StoreSettings) -> anyhow::Result<Self> {
        Self::open_with(settings, true)
    }

    /// Opens a store that is there, so that a mistyped place is noticed.
    pub fn open_existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        if let Some(path) = settings.sqlite_path()?.filter(|path| !path.exists()) {
            let path = path.display();
            bail!("there is no store at {path}; `muster tenant add` or `muster serve` makes one");
        }
        Self::open_with(settings, false)
    }

    fn open_with(settings: &StoreSettings, create_schema: bool) -> anyhow::Result<Self> {
        if let Some(path) = settings.sqlite_path()? {
            let (cache_mib, maps_file) = (settings.cache_mib, settings.memory_mapped);
            let (longest_read, is_checked) = (settings.read_timeout, settings.check_on_open);
            let options = SqliteOptions {
                cache_mib,
                memory_mapped: maps_file,
                read_timeout: longest_read,
                check_on_open: is_checked,
                ..SqliteOptions::default()
            };
            return Ok(Self::Embedded(Arc::new(Sqlite::open(&path, &options)?)));
        }
        let options = settings.server_options(create_schema);
        Ok(Self::Server(Arc::new(Postgres::open(&settings.address()?, &options)?)))
    }

    /// What a directory is built on.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Embedded(store) => Arc::clone(store) as _,
            Self::Server(store) => Arc::clone(store) as _,
        }
    }

    /// Waits until everything queued is stored, and lets go.
    pub fn close(&self) {
        match self {
            Self::Embedded(store) => store.close(),
            Self::Server(store) => store.close(),
        }
    }

    /// Opens a store to read it only, where the engine tells the two apart. One of an older version is brought up to date.
    pub fn open_read_only(settings: &StoreSettings) -> anyhow::Result<Self> {
        let Some(path) = settings.sqlite_path()?.filter(|path| path.exists()) else {
            return Self::open_existing(settings);
        };
        let options = SqliteOptions { memory_mapped: settings.memory_mapped, ..SqliteOptions::default() };
        match Sqlite::open_read_only(&path, &options) {
            Ok(store) => Ok(Self::Embedded(Arc::new(store))),
            Err(SqliteOpenError::Older(..)) => Self::open_existing(settings),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives everything a store holds, as it is when that is begun, also while others work with it. A mistyped place is
    /// noticed now.
    pub fn prepare_dump(settings: &StoreSettings) -> anyhow::Result<DumpFn> {
        if let Some(path) = settings.sqlite_path()? {
            if !path.exists() {
                bail!("there is no store at {}", path.display());
            }
            let longest = settings.read_timeout;
            return Ok(Box::new(move |to| Sqlite::dump(&path, longest, to)));
        }
        let (address, options) = (settings.address()?, settings.server_options(false));
        Ok(Box::new(move |to| Postgres::dump(&address, &options, to)))
    }

    /// The word for the engine of a place.
    pub fn engine_name(settings: &StoreSettings) -> &'static str {
        if DatabaseUrl::is_database_url(&settings.location) { "postgres" } else { "sqlite" }
    }

    /// What is wrong with a store, found by looking at all of it.
    pub fn check(settings: &StoreSettings) -> anyhow::Result<CheckReport> {
        match settings.sqlite_path()? {
            Some(path) if !path.exists() => bail!("there is no store at {}", Path::display(&path)),
            Some(path) => Ok(Sqlite::check(&path)?),
            None => Ok(Postgres::check(&settings.address()?, &settings.server_options(false))?),
        }
    }
}

/// A store that one process has alone, to fill it or to move it.
pub enum ExclusiveStore {
    /// A file.
    Embedded(ExclusiveSqlite),
    /// A database.
    Server(Box<ExclusivePostgres>),
}

impl ExclusiveStore {
    /// Takes a store that is there.
    ///
    /// # Errors
    /// There is none, or another process has it open.
    pub fn open_existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        match settings.sqlite_path()? {
            Some(path) if !path.exists() => bail!("there is no store at {}", path.display()),
            Some(path) => Ok(Self::Embedded(ExclusiveSqlite::acquire(&path)?)),
            None => Ok(Self::Server(Box::new(ExclusivePostgres::acquire(
                &settings.address()?,
                &settings.server_options(false),
            )?))),
        }
    }

    /// Takes a place that is to be filled.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn open_target(settings: &StoreSettings) -> anyhow::Result<Self> {
        Ok(match settings.sqlite_path()? {
            Some(path) => Self::Embedded(ExclusiveSqlite::acquire(&path)?),
            None => Self::Server(Box::new(ExclusivePostgres::acquire(
                &settings.address()?,
                &settings.server_options(true),
            )?)),
        })
    }

    /// Gives everything the store holds to `to`.
    pub fn dump(&self, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        match self {
            Self::Embedded(store) => store.dump(to),
            Self::Server(store) => store.dump(to),
        }
    }

    /// Fills an empty or new store from a stream, going on where an earlier try was cut off. Nobody can open it until
    /// [`ExclusiveStore::finish`].
    pub fn restore(&self, origin: &Origin, entries: &mut EntrySource<'_>) -> Result<Sums, ArchiveError> {
        match self {
            Self::Embedded(store) => store.restore(origin, entries),
            Self::Server(store) => store.restore(origin, entries),
        }
    }

    /// What is in a store that was filled, read back from it.
    pub fn read_back_sums(&self) -> Result<Sums, ArchiveError> {
        match self {
            Self::Embedded(store) => store.read_back_sums(),
            Self::Server(store) => store.read_back_sums(),
        }
    }

    /// Marks a filled store as complete, so that it can be used.
    pub fn finish_restore(&self) -> Result<(), ArchiveError> {
        match self {
            Self::Embedded(store) => store.finish(),
            Self::Server(store) => store.finish(),
        }
    }
}
