//! `muster role`, and names of roles as arguments.

use crate::output::Output;
use crate::session::{AdminSession, TenantArg};
use crate::settings::Settings;
use anyhow::Context;
use clap::Subcommand;
use directory::{BUILTIN_ROLES, Command, ItemKind, ItemQuery, builtin_role_number};
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(crate) enum RoleCommand {
    /// Create a custom role
    Add {
        /// Name of the role, unique within the tenant
        name: String,
        #[command(flatten)]
        tenant: TenantArg,
        /// Built-in role whose rank the new role has
        #[arg(long, default_value = "User", value_parser = parse_role)]
        rank: u32,
    },
    /// List the built-in and custom roles of a tenant
    List(TenantArg),
}

pub(crate) fn parse_role(text: &str) -> Result<u32, String> {
    let known = BUILTIN_ROLES.map(|(_, name)| name).join(", ");
    builtin_role_number(text).ok_or_else(|| format!("must be one of {known}"))
}

pub(crate) fn run(settings: &Settings, command: RoleCommand, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_for(settings, matches!(command, RoleCommand::List { .. }))?;
    match command {
        RoleCommand::Add { name, tenant, rank } => {
            let caller = session.caller_in_tenant(tenant)?;
            let command = Command::AddRole { name, rank };
            let receipt = session.wait(session.directory.run(&caller, command))?;
            let role = receipt.items.first().context("the directory returned no role")?;
            output.result(&json!({"number": role.number(), "name": role.name()}), || {
                format!("Created role {} ({}).", role.number(), role.name())
            });
        }
        RoleCommand::List(tenant) => {
            let caller = session.caller_in_tenant(tenant)?;
            let query = ItemQuery::all(ItemKind::Role);
            let custom_roles = session.wait(session.directory.find_items(&caller, query))?.rows;
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
