//! A directory and a folder for files for each test, on every engine.

use directory::{Caller, Command, Directory, Store};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Memory;
use store_postgres::{DatabaseUrl, Postgres, PostgresOptions};
use store_sqlite::{Sqlite, SqliteOptions as StoreOptions};
use testkit::fakes::{PlainHasher, StepClock, UniqueIds};
use transfer::column::{ColumnMapping, RecordKind};
use transfer::export;
use transfer::formats::{CellEscaping, Format, WriteOptions, create_private_file, create_writer};
use transfer::import::{ImportError, ImportOptions, ImportReport, run, scan};

pub(crate) struct Fixture {
    pub(crate) directory: Arc<Directory>,
    pub(crate) caller: Caller,
    pub(crate) folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

/// The engines a test runs on.
pub(crate) const ENGINES: [&str; 2] = ["sqlite", "postgres"];

impl Fixture {
    pub(crate) fn new(engine: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Store> = match engine {
            "memory" => Arc::new(Memory::new()),
            "sqlite" => Arc::new(Sqlite::open(&folder.path().join("s.db"), &StoreOptions::default()).expect("a store")),
            _ => {
                let address =
                    DatabaseUrl::parse(&testkit::postgres::create_migrated_database(), None).expect("an address");
                Arc::new(Postgres::open(&address, &PostgresOptions::new(Arc::new(UniqueIds))).expect("a store"))
            }
        };
        let clock = Arc::new(StepClock::default());
        let directory = Arc::new(Directory::new(store, clock, Arc::new(UniqueIds), Arc::new(PlainHasher)));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let command = Command::AddTenant { name: "One".into(), number: None };
        let nobody = Caller::installation();
        let made = runtime.block_on(directory.run(&nobody, command)).expect("a tenant");
        let caller = Caller::operator(made.tenant.expect("a tenant").number);
        Self { directory, caller, folder, runtime }
    }

    pub(crate) fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.block_on(task)
    }

    pub(crate) fn run(&self, command: Command) -> directory::Receipt {
        self.block_on(self.directory.run(&self.caller, command)).expect("done")
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    pub(crate) fn export(&self, format: Format, with_password_hashes: bool) -> PathBuf {
        self.export_only(format, with_password_hashes, &RecordKind::ALL)
    }

    pub(crate) fn export_only(&self, format: Format, with_password_hashes: bool, kinds: &[RecordKind]) -> PathBuf {
        let path = self.folder.path().join(format!("out.{}", format.as_str()));
        drop(std::fs::remove_file(&path));
        let file = create_private_file(&path, false).expect("a file");
        let writing = WriteOptions { escaping: CellEscaping::Reversible, ..WriteOptions::default() };
        let to = create_writer(format, Box::new(file), writing).expect("a writer");
        let options = export::ExportOptions { format, kinds: kinds.to_vec(), columns: None, with_password_hashes };
        self.block_on(export::run(&self.directory, &self.caller, &options, to, |_| {})).expect("exported");
        path
    }

    pub(crate) fn import(&self, path: &Path) -> ImportReport {
        self.import_with(path, |_| {}).expect("imported")
    }

    pub(crate) fn import_with(
        &self,
        path: &Path,
        configure: impl FnOnce(&mut ImportOptions),
    ) -> Result<ImportReport, ImportError> {
        let format = Format::from_path(path).expect("a format");
        let mut options = ImportOptions::new(path, format, ColumnMapping::new(dialects::kit::field_aliases()));
        configure(&mut options);
        let found = scan(&options)?;
        self.block_on(run(&self.directory, &self.caller, &options, &found, &mut |_| true))
    }

    pub(crate) fn users(&self) -> Vec<directory::User> {
        let query = directory::UserQuery { limit: 100_000, ..directory::UserQuery::default() };
        self.block_on(self.directory.find_users(&self.caller, query)).expect("read").rows
    }

    pub(crate) fn items(&self, kind: directory::ItemKind) -> Vec<directory::Item> {
        let query = directory::ItemQuery::all(kind);
        self.block_on(self.directory.find_items(&self.caller, query)).expect("read").rows
    }

    pub(crate) fn user(&self, email: &str) -> directory::User {
        let key = directory::UserKey::Email(email.into());
        self.block_on(self.directory.user(&self.caller, key)).unwrap_or_else(|_| panic!("{email} does not exist"))
    }

    pub(crate) fn event_count(&self) -> usize {
        let caller = Caller::installation();
        self.block_on(self.directory.events(&caller, directory::EventPosition(0), 100_000)).expect("read").len()
    }
}
