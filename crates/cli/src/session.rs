//! The directory at the terminal, for one command; and `muster role`.

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
    /// Add a role of the tenant's own
    Add {
        /// Its name
        name: String,
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
        /// The built-in role it is worth
        #[arg(long, default_value = "User", value_parser = parse_role)]
        rank: u32,
    },
    /// List the roles of a tenant
    List {
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
    },
}

pub(crate) fn parse_role(text: &str) -> Result<u32, String> {
    let known = BUILTIN_ROLES.map(|(_, name)| name).join(", ");
    builtin_role_number(text).ok_or_else(|| format!("the built-in roles are {known}"))
}

/// The runtime that the store and the server run on.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime does not start")
}

/// The store for one task: what is read once need not be mapped.
fn one_shot_settings(settings: &Settings) -> StoreSettings {
    StoreSettings { memory_mapped: false, ..settings.store_settings() }
}

/// A directory on the store, for one task at the terminal.
pub(crate) struct AdminSession {
    pub(crate) directory: Arc<Directory>,
    pub(crate) runtime: tokio::runtime::Runtime,
    engine: Engine,
}

impl AdminSession {
    /// On the store there is; only the first tenant makes one, so that a mistyped path is noticed.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_engine(settings, Engine::open_existing(&one_shot_settings(settings))?)
    }

    /// To read only: it does not block writers and is not blocked by them.
    pub(crate) fn open_read_only(settings: &Settings) -> anyhow::Result<Self> {
        Self::with_engine(settings, Engine::open_read_only(&one_shot_settings(settings))?)
    }

    /// To read only, or to write.
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

    /// The tenant whose history is read: also one that is removed.
    pub(crate) fn resolve_tenant_or_removed(&self, requested: Option<u32>) -> anyhow::Result<Caller> {
        match requested.map(TenantNumber) {
            Some(number) if self.runtime.block_on(self.directory.tenant_or_removed(number)).is_ok() => {
                Ok(operator_caller(number))
            }
            _ => self.resolve_tenant(requested),
        }
    }

    /// The tenant that was named, or the only one there is.
    pub(crate) fn resolve_tenant(&self, requested: Option<u32>) -> anyhow::Result<Caller> {
        let tenants = self.runtime.block_on(self.directory.tenants()).map_err(directory_error)?;
        let number = match (requested, tenants.as_slice()) {
            (Some(number), _) if tenants.iter().any(|t| t.number.0 == number) => TenantNumber(number),
            (Some(number), _) => bail!("there is no tenant {number}; `muster tenant list` shows them"),
            (None, [only]) => only.number,
            (None, []) => bail!("there is no tenant yet; `muster tenant add NAME` makes one"),
            (None, _) => bail!("there are several tenants; say which with --tenant"),
        };
        Ok(operator_caller(number))
    }
}

/// The person at the terminal, under the name that the operating system knows them by.
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

/// A refusal in words for the person at the terminal.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn directory_error(refusal: DirectoryError) -> anyhow::Error {
    anyhow!("{}", transfer::refusal_message(&refusal))
}

/// RFC 3339 to the second.
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
            let role = receipt.items.first().context("no role came back")?;
            output.result(&json!({"number": role.number(), "name": role.name()}), || {
                format!("Role {} is {}.", role.number(), role.name())
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
