//! Opens the directory for one command.

use crate::settings::Settings;
use adapters::{OpenMode, OpenStore, PasswordPool, StoreSettings, SystemClock};
use anyhow::{Context, anyhow, bail};
use directory::{Actor, Caller, Directory, DirectoryError, TenantNumber, Time};
use std::sync::Arc;

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// A command reads data only once, so memory mapping does not pay off.
fn one_shot_settings(settings: &Settings) -> StoreSettings {
    StoreSettings { memory_mapped: false, ..settings.store_settings() }
}

#[derive(clap::Args, Clone, Copy)]
pub(crate) struct TenantArg {
    /// Tenant number (default: the only tenant)
    #[arg(long)]
    pub(crate) tenant: Option<u32>,
}

pub(crate) struct AdminSession {
    pub(crate) directory: Arc<Directory>,
    pub(crate) runtime: tokio::runtime::Runtime,
    store: Arc<dyn OpenStore>,
}

impl AdminSession {
    /// Opens an existing store. Only `tenant add` creates one, so that a mistyped path is an error.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::open_store(settings, OpenMode::Existing)
    }

    /// Opens the store for reading; neither blocks writers nor is blocked by them.
    pub(crate) fn open_read_only(settings: &Settings) -> anyhow::Result<Self> {
        Self::open_store(settings, OpenMode::ReadOnly)
    }

    pub(crate) fn open_for(settings: &Settings, is_read: bool) -> anyhow::Result<Self> {
        if is_read { Self::open_read_only(settings) } else { Self::open(settings) }
    }

    pub(crate) fn open_or_create(settings: &Settings) -> anyhow::Result<Self> {
        Self::open_store(settings, OpenMode::Create)
    }

    fn open_store(settings: &Settings, mode: OpenMode) -> anyhow::Result<Self> {
        let store = one_shot_settings(settings).engine()?.open(mode)?;
        let (clock, ids) = (Arc::new(SystemClock), settings.store_settings().id_generator());
        let directory = Directory::new(Arc::clone(&store) as _, clock, ids, Arc::new(PasswordPool::with_defaults()?));
        Ok(Self { directory: Arc::new(directory), runtime: runtime()?, store })
    }

    /// Waits for the directory; its error becomes one for the operator.
    pub(crate) fn wait<T>(&self, result: impl Future<Output = Result<T, DirectoryError>>) -> anyhow::Result<T> {
        self.runtime.block_on(result).map_err(directory_error)
    }

    /// Like [`Self::caller_in_tenant`], but also finds removed tenants, whose history remains.
    pub(crate) fn caller_in_tenant_or_removed(&self, requested: TenantArg) -> anyhow::Result<Caller> {
        match requested.tenant.map(TenantNumber) {
            Some(number)
                if self.runtime.block_on(self.directory.tenant_or_removed(&operator_caller(number))).is_ok() =>
            {
                Ok(operator_caller(number))
            }
            _ => self.caller_in_tenant(requested),
        }
    }

    /// A caller in the requested tenant, or in the only one.
    pub(crate) fn caller_in_tenant(&self, requested: TenantArg) -> anyhow::Result<Caller> {
        let tenants = self.wait(self.directory.tenants(&operator_caller(Caller::NO_TENANT)))?;
        let number = match (requested.tenant, tenants.as_slice()) {
            (Some(number), _) if tenants.iter().any(|t| t.number.0 == number) => TenantNumber(number),
            (Some(number), _) => bail!("there is no tenant {number} (see `muster tenant list`)"),
            (None, [only]) => only.number,
            (None, []) => bail!("there is no tenant yet; create one with `muster tenant add NAME`"),
            (None, _) => bail!("there are several tenants; choose one with --tenant (see `muster tenant list`)"),
        };
        Ok(operator_caller(number))
    }
}

/// The operator, with their name in the operating system.
pub(crate) fn operator_caller(tenant: TenantNumber) -> Caller {
    Caller::new(tenant, Actor::Operator { name: whoami::username().ok() })
}

impl Drop for AdminSession {
    fn drop(&mut self) {
        self.store.close();
    }
}

/// The error message for the operator.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn directory_error(error: DirectoryError) -> anyhow::Error {
    anyhow!("{}", transfer::error_message(&error))
}

/// Formats as RFC 3339, to the second.
pub(crate) fn format_timestamp(time: Time) -> String {
    dialects::kit::rfc3339(time)
}
