//! The engine at one path.

use crate::open_error::ENGINE_NAME;
use crate::{ExclusiveSqlite, Sqlite, SqliteOpenError, SqliteOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::archive::ArchiveError;
use store::{CheckReport, DumpFn, Engine, ExclusiveStore, OpenError, OpenMode, OpenStore};

pub struct SqliteEngine {
    pub path: PathBuf,
    pub options: SqliteOptions,
}

impl SqliteEngine {
    fn existing_path(&self) -> Result<&Path, SqliteOpenError> {
        if self.path.exists() { Ok(&self.path) } else { Err(SqliteOpenError::Missing(self.path.clone())) }
    }
}

impl Engine for SqliteEngine {
    fn name(&self) -> &'static str {
        ENGINE_NAME
    }

    fn open(&self, mode: OpenMode) -> Result<Arc<dyn OpenStore>, OpenError> {
        let path = if mode == OpenMode::Create { &self.path } else { self.existing_path()? };
        if mode == OpenMode::ReadOnly {
            match Sqlite::open_read_only(path, &self.options) {
                // Opened for writing, which upgrades it.
                Err(SqliteOpenError::Older(..)) => {}
                opened => return Ok(Arc::new(opened?)),
            }
        }
        Ok(Arc::new(Sqlite::open(path, &self.options)?))
    }

    fn check(&self) -> Result<CheckReport, OpenError> {
        Sqlite::check(self.existing_path()?)
    }

    fn prepare_dump(&self) -> Result<DumpFn, OpenError> {
        let (path, read_timeout) = (self.existing_path()?.to_owned(), self.options.read_timeout);
        Ok(Box::new(move |to| Sqlite::dump(&path, read_timeout, to)))
    }

    fn acquire(&self, mode: OpenMode) -> Result<Box<dyn ExclusiveStore>, ArchiveError> {
        let path = if mode == OpenMode::Create { &self.path } else { self.existing_path()? };
        Ok(Box::new(ExclusiveSqlite::acquire(path)?))
    }
}
