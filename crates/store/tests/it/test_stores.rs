//! Creates empty stores of every engine.

use directory::Store;
use std::cell::Cell;
use std::sync::Arc;
use store_postgres::{DatabaseUrl, Postgres, PostgresOptions};
use store_sqlite::{Sqlite, SqliteOptions};
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

/// The migrations of databases, in order.
pub(crate) fn migrations() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../store-postgres/migrations");
    let files = std::fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let mut paths: Vec<_> = files.filter(|path| path.extension().is_some_and(|ending| ending == "sql")).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).expect("a migration")).collect()
}
