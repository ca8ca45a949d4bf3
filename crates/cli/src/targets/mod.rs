//! `muster target`: systems that Muster provisions, and what happens in them.
//!
//! Commands open the store directly, also while a server is running; the server applies changes within a second.

mod change;
mod issues;
mod leaver;
mod map;
mod scope_args;
mod show;
mod test;
mod user_row;
mod users;

use crate::output::Output;
use crate::session::{AdminSession, TenantArg};
use crate::settings::Settings;
use anyhow::Context;
use clap::{Args, Subcommand};
use dialects::kit::TargetClient;
use directory::{Caller, Command, Target, TargetChange, UserId};
use gateway::{AccountRules, SourceUser};
pub(crate) use leaver::{LeaverArgs, leaver};
use std::collections::HashMap;
pub(crate) use users::{ExplainArgs, PushArgs, explain, push};

#[derive(Subcommand)]
pub(crate) enum TargetCommand {
    /// Add a target, which gets all users while a server is running
    Add(Box<change::AddArgs>),
    /// List targets
    List(TenantArg),
    /// Show the settings of a target and what it was found to be able to do
    Show(TargetRef),
    /// Test a target with an account that is deleted again, and store what it can do
    Test(test::TestArgs),
    /// Show what a target has: linked, waiting and failed users
    Status(show::StatusArgs),
    /// Change the settings of a target; omitted ones are unchanged
    Set(Box<change::SetArgs>),
    /// Show or change how the attributes of a target's accounts are made
    #[command(after_help = map::variables_help())]
    Map(map::MapArgs),
    /// Set a new credential
    Key(change::KeyArgs),
    /// Send nothing to a target until it is resumed
    Pause(TargetRef),
    /// Continue a paused target
    Resume(TargetRef),
    /// Remove a target from Muster; its accounts stay as they are
    Remove(TargetRef),
    /// List users that could not be provisioned, and why
    Issues(issues::IssuesArgs),
    /// Retry or exclude users that could not be provisioned
    #[command(subcommand)]
    Issue(issues::IssueCommand),
}

#[derive(Args)]
pub(crate) struct TargetRef {
    /// Name of the target
    name: String,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(crate) fn run(settings: &Settings, command: TargetCommand, output: Output) -> anyhow::Result<()> {
    let is_read = matches!(
        command,
        TargetCommand::List(_) | TargetCommand::Show(_) | TargetCommand::Status(_) | TargetCommand::Issues(_)
    );
    let session = AdminSession::open_for(settings, is_read)?;
    match command {
        TargetCommand::Add(new) => change::add(settings, &session, *new, output),
        TargetCommand::List(tenant) => show::list(&session, tenant, output),
        TargetCommand::Show(target) => show::show(&session, &target, output),
        TargetCommand::Test(args) => test::run(settings, &session, &args, output),
        TargetCommand::Status(args) => show::status(&session, &args, output),
        TargetCommand::Set(args) => change::set(settings, &session, *args, output),
        TargetCommand::Map(args) => map::run(&session, &args, output),
        TargetCommand::Key(args) => change::set_key(settings, &session, &args, output),
        TargetCommand::Pause(target) => change::pause(&session, &target, output),
        TargetCommand::Resume(target) => change::resume(&session, &target, output),
        TargetCommand::Remove(target) => change::remove(&session, &target, output),
        TargetCommand::Issues(args) => issues::list(&session, &args, output),
        TargetCommand::Issue(command) => issues::run(&session, command, output),
    }
}

/// Finds a target by its name.
fn find_target(session: &AdminSession, target: &TargetRef) -> anyhow::Result<(Caller, Target)> {
    let caller = session.caller_in_tenant(target.tenant)?;
    let name = directory::fold(&target.name);
    let all = session.wait(session.directory.targets(&caller))?;
    let found = all.into_iter().find(|known| directory::fold(&known.name) == name);
    let found = found.with_context(|| {
        format!("there is no target {} in tenant {} (see `muster target list`)", target.name, caller.tenant)
    })?;
    Ok((caller, found))
}

/// The client of a target's API, and which accounts the target is to have.
fn rules_of(target: &Target) -> anyhow::Result<(&'static dyn TargetClient, AccountRules)> {
    let client = dialects::target_client(&target.dialect).context("the API of the target is unknown")?;
    Ok((client, AccountRules::of_target(target)?))
}

/// Users with what the rules of a target need.
fn sources(
    session: &AdminSession,
    caller: &Caller,
    (target, rules): (&Target, &AccountRules),
    users: &[UserId],
) -> anyhow::Result<HashMap<UserId, SourceUser>> {
    let target = (target.number, rules.uses_groups());
    session.wait(gateway::load_source_users(&session.directory, caller, target, users))
}

/// Stores a changed target, with new credentials.
fn put(
    session: &AdminSession,
    caller: &Caller,
    before: Target,
    after: Target,
    secrets: Vec<directory::SealedSecret>,
) -> anyhow::Result<()> {
    let change = TargetChange { before: Some(before), after, secrets };
    session.wait(session.directory.run(caller, Command::PutTarget(Box::new(change)))).map(drop)
}
