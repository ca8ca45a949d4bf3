//! The command line.

mod admin;
mod audit;
mod demo;
mod mails;
mod output;
mod people;
mod progress;
mod serve;
mod stores;
mod tenants;
mod transfers;

use crate::settings::{File, Settings};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use output::Output;
use std::process::ExitCode;
pub(crate) use transfers::columns;

/// One user directory that speaks many APIs
#[derive(Parser)]
#[command(name = "muster", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Try it out: a throw-away store with a tenant and people, keys and a ready curl line for each dialect
    Demo,
    /// Run the server
    Serve,
    /// Tenants: customers whose directories are closed to one another
    #[command(subcommand)]
    Tenant(tenants::TenantTask),
    /// Connections: inbound clients, their keys and what they may do
    #[command(subcommand)]
    Connection(admin::ConnectionTask),
    /// Roles of a tenant's own, besides those built in
    #[command(subcommand)]
    Role(admin::RoleTask),
    /// People, for a look or a quick change at the terminal
    #[command(subcommand)]
    User(people::UserTask),
    /// What happened, and whether anybody has changed it since
    #[command(subcommand)]
    Audit(audit::AuditTask),
    /// Mails that wait, and those that have failed
    #[command(subcommand)]
    Mail(mails::MailTask),
    /// Print the settings in force and where each is from
    Config,
    /// Bring people in from a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Import(Box<transfers::ImportArgs>),
    /// Write people and all they belong to into a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Export(transfers::ExportArgs),
    /// Make a file that holds the whole store as it is now, also while a server works with it
    Backup(stores::BackupArgs),
    /// Fill an empty store from a backup, after all of it was found sound
    Restore(stores::RestoreArgs),
    /// Move a whole store to another engine or place; what has arrived is read back and compared
    Move(stores::MoveArgs),
    /// Check a store for damage
    Check,
}

/// The command line as a table of commands and options.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main() -> ExitCode {
    let wants_json =
        std::env::args_os().any(|argument| argument == "--json") || std::env::var_os("MUSTER_JSON").is_some();
    let output = Output { json: wants_json };
    match run() {
        Ok(code) => code,
        Err(error) => {
            output.failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    let file = File::find()?;
    let command = file.apply(Cli::command())?;
    let matches = command.clone().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = cli.settings;
    let output = Output { json: settings.json };
    match cli.task {
        Task::Demo => demo::run(&settings, output)?,
        Task::Serve => return serve::run(&settings, output),
        Task::Tenant(task) => tenants::run(&settings, task, output)?,
        Task::Connection(task) => admin::connection(&settings, task, output)?,
        Task::Role(task) => admin::role(&settings, task, output)?,
        Task::User(task) => people::user(&settings, task, output)?,
        Task::Audit(task) => return audit::run(&settings, task, output),
        Task::Mail(task) => mails::run(&settings, task, output)?,
        Task::Config => output.settings(&file.in_force(&command, &matches)),
        Task::Import(task) => return transfers::import(&settings, &task, output),
        Task::Export(task) => transfers::export(&settings, task, output)?,
        Task::Backup(task) => stores::backup(&settings, &task, output)?,
        Task::Restore(task) => stores::restore(&settings, &task, output)?,
        Task::Move(task) => stores::carry(&settings, task, output)?,
        Task::Check => return stores::check(&settings, output),
    }
    Ok(ExitCode::SUCCESS)
}
