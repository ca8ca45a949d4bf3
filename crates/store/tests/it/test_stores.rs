//! Creates empty stores of every engine.

use directory::Store;
use std::cell::Cell;
use std::sync::Arc;
use store::{DatabaseUrl, Postgres, PostgresOptions, Sqlite, SqliteOptions};
use testkit::fakes::UniqueIds;

/// A temporary folder with embedded stores.
pub(crate) struct FreshStores {
    folder: tempfile::TempDir,
    count: Cell<u32>,
}

impl Default for FreshStores {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder"), count: Cell::new(0) }
    }
}

impl FreshStores {
    pub(crate) fn sqlite(&self) -> Arc<dyn Store> {
        self.count.set(self.count.get() + 1);
        let path = self.folder.path().join(self.count.get().to_string());
        Arc::new(Sqlite::open(&path, &SqliteOptions::default()).expect("a store"))
    }
}

pub(crate) fn postgres(url: &str) -> Postgres {
    let address = DatabaseUrl::parse(url, None).expect("an address");
    Postgres::open(&address, &options()).expect("a store")
}

pub(crate) fn options() -> PostgresOptions {
    PostgresOptions::new(Arc::new(UniqueIds))
}

/// The number of migrations for databases.
pub(crate) fn migration_count() -> usize {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/postgres");
    let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")).count()
}
