//! The store that was named: a file, or a database that several processes share.

use crate::{RandomIds, TimeOrderedIds};
use anyhow::bail;
use directory::{IdGenerator, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::archive::{ArchiveError, Origin, Sink, Source, Sums};
use store::{
    Address, Checked, OpenError, Options, Postgres, PostgresHold, ServerOptions, Sqlite, SqliteHold,
};
use tokio::runtime::Handle;

/// Where a store is and how to use it.
#[derive(Clone)]
pub struct StoreSettings {
    /// The path of a file, or a URL of PostgreSQL's.
    pub place: String,
    /// The most memory the embedded engine's page cache may take, in MiB.
    pub cache_mib: u32,
    /// Whether the embedded engine reads through mapped memory.
    pub maps_file: bool,
    /// How long one read of the embedded engine may take, since its log grows meanwhile; `None` is no limit.
    pub longest_read: Option<Duration>,
    /// Whether an embedded store of up to 1 GiB is checked when it is opened, also if it was closed.
    pub is_checked: bool,
    /// Whether identities are random instead of rising with time.
    pub random_ids: bool,
    /// Connections that write to a database, and that short reads from it share.
    pub lanes: usize,
    /// The second of these.
    pub readers: usize,
    /// Whether a database is to keep prepared statements by name.
    pub named_statements: bool,
    /// Where work with a database goes on, if it outlives the store.
    pub runtime: Option<Handle>,
}

impl StoreSettings {
    /// The usual ones for a place.
    pub fn new(place: impl Into<String>) -> Self {
        let place = place.into();
        Self {
            place,
            cache_mib: 128,
            maps_file: true,
            longest_read: None,
            is_checked: false,
            random_ids: false,
            lanes: 2,
            readers: 2,
            named_statements: true,
            runtime: None,
        }
    }

    /// Identities as they were asked for.
    pub fn ids(&self) -> Arc<dyn IdGenerator> {
        if self.random_ids { Arc::new(RandomIds) } else { Arc::new(TimeOrderedIds) }
    }

    /// The path of the embedded store; `None` if the store is a database.
    ///
    /// # Errors
    /// It looks like the URL of something else. That may hold a password and is not repeated.
    pub fn file(&self) -> anyhow::Result<Option<PathBuf>> {
        if Address::is_one(&self.place) {
            return Ok(None);
        }
        if may_hold_secrets(&self.place) {
            bail!("--store takes the path of a file or a URL like postgres://muster@db.example.com/muster");
        }
        Ok(Some(PathBuf::from(&self.place)))
    }

    /// A path beside the store's file, which ends otherwise.
    pub fn beside(&self, ending: &str) -> Option<PathBuf> {
        self.file().ok().flatten().map(|path| path.with_extension(ending))
    }

    /// The address, where it is a database. A password that its URL leaves out may be in `PGPASSWORD`.
    fn address(&self) -> anyhow::Result<Address> {
        let password = std::env::var("PGPASSWORD").ok();
        Ok(Address::parse(&self.place, password.as_deref())?)
    }

    fn server_options(&self, may_make: bool) -> ServerOptions {
        ServerOptions {
            lanes: self.lanes,
            readers: self.readers,
            named_statements: self.named_statements,
            may_make,
            runtime: self.runtime.clone(),
            ..ServerOptions::new(self.ids())
        }
    }
}

/// How a place may be shown: a URL without its secrets.
pub fn shown(place: &str) -> String {
    if !may_hold_secrets(place) {
        return place.to_owned();
    }
    Address::parse(place, None)
        .map_or_else(|_| "(a URL that cannot be used)".into(), |address| address.to_string())
}

fn may_hold_secrets(place: &str) -> bool {
    place.contains("://") || place.contains("password=")
}

/// Gives a whole store to a sink.
pub type Dump = Box<dyn FnOnce(&mut Sink<'_>) -> Result<(), ArchiveError> + Send>;

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
        Self::at(settings, true)
    }

    /// Opens a store that is there, so that a mistyped place is noticed.
    pub fn open_existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        if let Some(path) = settings.file()?.filter(|path| !path.exists()) {
            let path = path.display();
            bail!("there is no store at {path}; `muster tenant add` or `muster serve` makes one");
        }
        Self::at(settings, false)
    }

    fn at(settings: &StoreSettings, may_make: bool) -> anyhow::Result<Self> {
        if let Some(path) = settings.file()? {
            let (cache_mib, maps_file) = (settings.cache_mib, settings.maps_file);
            let (longest_read, is_checked) = (settings.longest_read, settings.is_checked);
            let options = Options { cache_mib, maps_file, longest_read, is_checked, ..Options::default() };
            return Ok(Self::Embedded(Arc::new(Sqlite::open(&path, &options)?)));
        }
        let options = settings.server_options(may_make);
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
        let Some(path) = settings.file()?.filter(|path| path.exists()) else {
            return Self::open_existing(settings);
        };
        let options = Options { maps_file: settings.maps_file, ..Options::default() };
        match Sqlite::open_read_only(&path, &options) {
            Ok(store) => Ok(Self::Embedded(Arc::new(store))),
            Err(OpenError::Older(..)) => Self::open_existing(settings),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives everything a store holds, as it is when that is begun, also while others work with it. A mistyped place is
    /// noticed now.
    pub fn dump_from(settings: &StoreSettings) -> anyhow::Result<Dump> {
        if let Some(path) = settings.file()? {
            if !path.exists() {
                bail!("there is no store at {}", path.display());
            }
            let longest = settings.longest_read;
            return Ok(Box::new(move |to| Sqlite::dump(&path, longest, to)));
        }
        let (address, options) = (settings.address()?, settings.server_options(false));
        Ok(Box::new(move |to| Postgres::dump(&address, &options, to)))
    }

    /// The word for the engine of a place.
    pub fn name(settings: &StoreSettings) -> &'static str {
        if Address::is_one(&settings.place) { "postgres" } else { "sqlite" }
    }

    /// What is wrong with a store, found by looking at all of it.
    pub fn check(settings: &StoreSettings) -> anyhow::Result<Checked> {
        match settings.file()? {
            Some(path) if !path.exists() => bail!("there is no store at {}", Path::display(&path)),
            Some(path) => Ok(Sqlite::check(&path)?),
            None => Ok(Postgres::check(&settings.address()?, &settings.server_options(false))?),
        }
    }
}

/// A store that one process has alone, to fill it or to move it.
pub enum Hold {
    /// A file.
    Embedded(SqliteHold),
    /// A database.
    Server(Box<PostgresHold>),
}

impl Hold {
    /// Takes a store that is there.
    ///
    /// # Errors
    /// There is none, or another process has it open.
    pub fn existing(settings: &StoreSettings) -> anyhow::Result<Self> {
        match settings.file()? {
            Some(path) if !path.exists() => bail!("there is no store at {}", path.display()),
            Some(path) => Ok(Self::Embedded(SqliteHold::new(&path)?)),
            None => Ok(Self::Server(Box::new(PostgresHold::new(
                &settings.address()?,
                &settings.server_options(false),
            )?))),
        }
    }

    /// Takes a place that is to be filled.
    ///
    /// # Errors
    /// Another process has it open.
    pub fn target(settings: &StoreSettings) -> anyhow::Result<Self> {
        Ok(match settings.file()? {
            Some(path) => Self::Embedded(SqliteHold::new(&path)?),
            None => Self::Server(Box::new(PostgresHold::new(
                &settings.address()?,
                &settings.server_options(true),
            )?)),
        })
    }

    /// Gives everything the store holds to `to`.
    pub fn dump(&self, to: &mut Sink<'_>) -> Result<(), ArchiveError> {
        match self {
            Self::Embedded(hold) => hold.dump(to),
            Self::Server(hold) => hold.dump(to),
        }
    }

    /// Fills an empty or new store from a stream, going on where an earlier try was cut off. Nobody can open it until
    /// [`Hold::finish`].
    pub fn fill(&self, origin: &Origin, from: &mut Source<'_>) -> Result<Sums, ArchiveError> {
        match self {
            Self::Embedded(hold) => hold.fill(origin, from),
            Self::Server(hold) => hold.fill(origin, from),
        }
    }

    /// What is in a store that was filled, read back from it.
    pub fn filled(&self) -> Result<Sums, ArchiveError> {
        match self {
            Self::Embedded(hold) => hold.filled(),
            Self::Server(hold) => hold.filled(),
        }
    }

    /// Marks a filled store as complete, so that it can be used.
    pub fn finish(&self) -> Result<(), ArchiveError> {
        match self {
            Self::Embedded(hold) => hold.finish(),
            Self::Server(hold) => hold.finish(),
        }
    }
}
