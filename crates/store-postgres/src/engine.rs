//! The engine at one database.

use crate::options::ENGINE_NAME;
use crate::{DatabaseUrl, ExclusivePostgres, Postgres, PostgresOptions};
use std::sync::Arc;
use store::archive::ArchiveError;
use store::{CheckReport, DumpFn, Engine, ExclusiveStore, OpenError, OpenMode, OpenStore};

pub struct PostgresEngine {
    pub url: DatabaseUrl,
    /// `create_schema` is ignored: the mode determines it.
    pub options: PostgresOptions,
}

impl PostgresEngine {
    fn options(&self, mode: OpenMode) -> PostgresOptions {
        PostgresOptions { create_schema: mode == OpenMode::Create, ..self.options.clone() }
    }
}

impl Engine for PostgresEngine {
    fn name(&self) -> &'static str {
        ENGINE_NAME
    }

    fn open(&self, mode: OpenMode) -> Result<Arc<dyn OpenStore>, OpenError> {
        Ok(Arc::new(Postgres::open(&self.url, &self.options(mode))?))
    }

    fn check(&self) -> Result<CheckReport, OpenError> {
        Postgres::check(&self.url, &self.options)
    }

    fn prepare_dump(&self) -> Result<DumpFn, OpenError> {
        let (url, options) = (self.url.clone(), self.options.clone());
        Ok(Box::new(move |to| Postgres::dump(&url, &options, to)))
    }

    fn acquire(&self, mode: OpenMode) -> Result<Box<dyn ExclusiveStore>, ArchiveError> {
        Ok(Box::new(ExclusivePostgres::acquire(&self.url, &self.options(mode))?))
    }
}
