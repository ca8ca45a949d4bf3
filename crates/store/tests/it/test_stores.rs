//! `FreshStores` stores of every engine.

use directory::Store;
use std::cell::Cell;
use std::sync::Arc;
use store::{DatabaseUrl, Postgres, PostgresOptions, Sqlite, SqliteOptions};
use testkit::fakes::UniqueIds;

/// A folder with as many embedded stores as wanted.
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

/// The server engine on a database.
pub(crate) fn postgres(url: &str) -> Postgres {
    let address = DatabaseUrl::parse(url, None).expect("an address");
    Postgres::open(&address, &options()).expect("a store")
}

/// How tests use a database.
pub(crate) fn options() -> PostgresOptions {
    PostgresOptions::new(Arc::new(UniqueIds))
}
