//! The command line: settings, every command but those that serve, output, backups and moves.
//!
//! It works on the store by itself and knows nothing of HTTP. `serve` and `demo` are handed in by the program.

mod admin;
mod audit;
pub mod backup;
mod connections;
mod event_text;
mod exit;
mod mails;
mod moving;
mod new_file;
mod output;
mod people;
mod progress;
mod settings;
mod stores;
mod tenant_removal;
mod tenants;
mod transfers;
mod user_json;

pub use admin::{refused, runtime};
use anyhow::bail;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
pub use output::Output;
use settings::File;
pub use settings::{ServerSettings, Settings};
use std::process::ExitCode;

/// One user directory that speaks many APIs
#[derive(Parser)]
#[command(name = "muster", version, arg_required_else_help = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Try it out: a throw-away store with a tenant and people, keys and a ready curl line for each dialect
    Demo(Box<ServerSettings>),
    /// Run the server
    Serve(Box<ServerSettings>),
    /// Tenants: customers whose directories are closed to one another
    #[command(subcommand)]
    Tenant(tenants::TenantTask),
    /// Connections: inbound clients, their keys and what they may do
    #[command(subcommand)]
    Connection(connections::ConnectionTask),
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
    Config(Box<ServerSettings>),
    /// Bring people in from a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Import(Box<transfers::ImportArgs>),
    /// Write people and all they belong to into a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Export(transfers::ExportArgs),
    /// Make a file, or fill a pipe, with the whole store as it is now, also while a server works with it
    Backup(stores::BackupArgs),
    /// Fill an empty store from a backup in a file or pipe, after all of it was found sound
    Restore(stores::RestoreArgs),
    /// Move a whole store to another engine or place; what has arrived is read back and compared
    Move(stores::MoveArgs),
    /// Check a store for damage
    Check,
}

/// The commands that the HTTP side brings.
pub struct ServingCommands {
    /// `muster serve`.
    pub serve: fn(&Settings, &ServerSettings, Output) -> anyhow::Result<ExitCode>,
    /// `muster demo`.
    pub demo: fn(&Settings, &ServerSettings, Output) -> anyhow::Result<()>,
}

/// The command line as a table of commands and options.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn main(serving: &ServingCommands) -> ExitCode {
    let has = |word: &str| std::env::args_os().any(|argument| argument == word);
    let wants_json = has("--json") || std::env::var_os("MUSTER_JSON").is_some();
    let output = Output { json: wants_json, is_piped: has("backup") && has("-") };
    match run(serving) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::from(exit::BROKEN_PIPE),
        Err(error) => {
            output.failure(&error);
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Whether nothing reads the output any more.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_it = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_it))
}

fn run(serving: &ServingCommands) -> anyhow::Result<ExitCode> {
    let file = File::find()?;
    let command = file.apply(Cli::command())?;
    let matches = command.clone().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = cli.settings;
    let is_piped = matches!(&cli.task, Task::Backup(task) if task.is_piped());
    let output = Output { json: settings.json, is_piped };
    match cli.task {
        Task::Demo(_) if matches.value_source("store") == Some(ValueSource::CommandLine) => {
            bail!("demo has a store of its own that is gone when it ends: leave out --store");
        }
        Task::Demo(server) => (serving.demo)(&settings, &server, output)?,
        Task::Serve(server) => return (serving.serve)(&settings, &server, output),
        Task::Tenant(task) => tenants::run(&settings, task, output)?,
        Task::Connection(task) => connections::run(&settings, task, output)?,
        Task::Role(task) => admin::role(&settings, task, output)?,
        Task::User(task) => people::user(&settings, task, output)?,
        Task::Audit(task) => return audit::run(&settings, task, output),
        Task::Mail(task) => mails::run(&settings, task, output)?,
        Task::Config(_) => output.settings(&file.in_force(&command, &matches)),
        Task::Import(task) => return transfers::import(&settings, &task, output),
        Task::Export(task) => transfers::export(&settings, task, output)?,
        Task::Backup(task) => stores::backup(&settings, &task, output)?,
        Task::Restore(task) => stores::restore(&settings, &task, output)?,
        Task::Move(task) => stores::carry(&settings, task, output)?,
        Task::Check => return stores::check(&settings, output),
    }
    Ok(ExitCode::SUCCESS)
}
