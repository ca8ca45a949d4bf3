//! Opens the directory for one command; and `muster role`.

use crate::output::Output;
use crate::settings::Settings;
use adapters::{Engine, PasswordPool, StoreSettings, SystemClock};
use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use directory::{
    BUILTIN_ROLES, Caller, Command, Directory, DirectoryError, ItemKind, ItemQuery, TenantNumber, Time,
    builtin_role_number,
};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Subcommand)]
pub(crate) enum RoleCommand {
    /// Create a custom role
    Add {
        /// Name of the role, unique within the tenant
        name: String,
        /// Tenant number (default: the only tenant)
        #[arg(long)]
        tenant: Option<u32>,
        /// Built-in role whose rights the new role has
        #[arg(long, default_value = "User", value_parser = parse_role)]
        rank: u32,
    },
    /// List the built-in and custom roles of a tenant
    List {
        /// Tenant number (default: the only tenant)
        #[arg(long)]
        tenant: Option<u32>,
    },
}

pub(crate) fn parse_role(text: &str) -> Result<u32, String> {
    let known = BUILTIN_ROLES.map(|(_, name)| name).join(", ");
    builtin_role_number(text).ok_or_else(|| format!("must be one of {known}"))
}

pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

/// A command reads data only once, so memory mapping does not pay off.
fn one_shot_settings(settings: &Settings) -> StoreSettings {
    StoreSettings { memory_mapped: false, ..settings.store_settings() }
}

pub(crate) struct AdminSession {
    pub(crate) directory: Arc<Directory>,
    pub(crate) runtime: tokio::runtime::Runtime,
    engine: Engine,
}

impl AdminSession {
    /// Opens an existing store. Only `tenant add` creates one, so that a mistyped path is an error.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_engine(settings, Engine::open_existing(&one_shot_settings(settings))?)
    }

    /// Opens the store for reading; neither blocks writers nor is blocked by them.
    pub(crate) fn open_read_only(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_engine(settings, Engine::open_read_only(&one_shot_settings(settings))?)
    }

    pub(crate) fn open_for(settings: &Settings, is_read: bool) -> anyhow::Result<Self> {
        if is_read { Self::open_read_only(settings) } else { Self::open(settings) }
    }

    pub(crate) fn open_or_create(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_engine(settings, Engine::open(&one_shot_settings(settings))?)
    }

    fn with_engine(settings: &Settings, engine: Engine) -> anyhow::Result<Self> {
        let (clock, ids) = (Arc::new(SystemClock), settings.store_settings().id_generator());
        let directory = Directory::new(engine.store(), clock, ids, Arc::new(PasswordPool::with_defaults()?));
        Ok(Self { directory: Arc::new(directory), runtime: runtime()?, engine })
    }

    /// Like [`Self::resolve_tenant`], but also finds removed tenants, whose history remains.
    pub(crate) fn resolve_tenant_or_removed(&self, requested: Option<u32>) -> anyhow::Result<Caller> {
        match requested.map(TenantNumber) {
            Some(number) if self.runtime.block_on(self.directory.tenant_or_removed(number)).is_ok() => {
                Ok(operator_caller(number))
            }
            _ => self.resolve_tenant(requested),
        }
    }

    /// The requested tenant, or the only one.
    pub(crate) fn resolve_tenant(&self, requested: Option<u32>) -> anyhow::Result<Caller> {
        let tenants = self.runtime.block_on(self.directory.tenants()).map_err(directory_error)?;
        let number = match (requested, tenants.as_slice()) {
            (Some(number), _) if tenants.iter().any(|t| t.number.0 == number) => TenantNumber(number),
            (Some(number), _) => bail!("there is no tenant {number} (see `muster tenant list`)"),
            (None, [only]) => only.number,
            (None, []) => bail!("there is no tenant yet; create one with `muster tenant add NAME`"),
            (None, _) => bail!("there are several tenants; choose one with --tenant (see `muster tenant list`)"),
        };
        Ok(operator_caller(number))
    }
}

/// The operator, with their name in the operating system as actor.
pub(crate) fn operator_caller(tenant: TenantNumber) -> Caller {
    let caller = Caller::operator(tenant);
    match whoami::username() {
        Ok(name) => Caller { actor: format!("{} ({name})", caller.actor), ..caller },
        Err(_) => caller,
    }
}

impl Drop for AdminSession {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// The error message for the operator.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn directory_error(refusal: DirectoryError) -> anyhow::Error {
    anyhow!("{}", transfer::error_message(&refusal))
}

/// Formats as RFC 3339, to the second.
pub(crate) fn format_timestamp(time: Time) -> String {
    dialects::kit::rfc3339(time)
}

pub(crate) fn run_role(settings: &Settings, command: RoleCommand, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_for(settings, matches!(command, RoleCommand::List { .. }))?;
    match command {
        RoleCommand::Add { name, tenant, rank } => {
            let caller = session.resolve_tenant(tenant)?;
            let command = Command::AddRole { name, rank };
            let receipt = session.runtime.block_on(session.directory.run(&caller, command)).map_err(directory_error)?;
            let role = receipt.items.first().context("the directory returned no role")?;
            output.result(&json!({"number": role.number(), "name": role.name()}), || {
                format!("Created role {} ({}).", role.number(), role.name())
            });
        }
        RoleCommand::List { tenant } => {
            let caller = session.resolve_tenant(tenant)?;
            let query = ItemQuery::all(ItemKind::Role);
            let custom_roles =
                session.runtime.block_on(session.directory.items(&caller, query)).map_err(directory_error)?.rows;
            let built_in = BUILTIN_ROLES.iter().map(|(number, name)| (*number, (*name).to_owned(), "built in"));
            let all: Vec<(u32, String, &str)> = built_in
                .chain(custom_roles.iter().map(|role| (role.number(), role.name().to_owned(), "own")))
                .collect();
            let document: Vec<Value> =
                all.iter().map(|(number, name, from)| json!({"number": number, "name": name, "from": from})).collect();
            let rows = all.iter().map(|(n, name, from)| vec![n.to_string(), name.clone(), (*from).into()]).collect();
            output.rows(&document.into(), &["number", "name", "from"], rows, "");
        }
    }
    Ok(())
}
