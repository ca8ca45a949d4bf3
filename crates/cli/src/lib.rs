//! The command line: settings, every command but those that serve, output, backups and moves.
//!
//! It works on the store by itself and knows nothing of HTTP. `serve` and `demo` are handed in by the program.

mod audit;
pub mod backup;
mod connections;
mod event_text;
mod exit;
mod mails;
mod new_file;
mod output;
mod progress;
mod session;
mod settings;
mod store_copy;
mod stores;
mod tenant_removal;
mod tenants;
mod transfers;
mod user_json;
mod users;

use anyhow::bail;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
pub use output::Output;
pub use session::{directory_error, runtime};
use settings::SettingsFile;
pub use settings::{ServerSettings, Settings};
use std::process::ExitCode;

/// One user directory that speaks many APIs
#[derive(Parser)]
#[command(name = "muster", version, arg_required_else_help = true, after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Subcommand)]
enum CliCommand {
    /// Try it out: a throw-away store with a tenant and people, keys and a ready curl line for each dialect
    Demo(Box<ServerSettings>),
    /// Run the server
    Serve(Box<ServerSettings>),
    /// Tenants: customers whose directories are closed to one another
    #[command(subcommand)]
    Tenant(tenants::TenantCommand),
    /// Connections: inbound clients, their keys and what they may do
    #[command(subcommand)]
    Connection(connections::ConnectionCommand),
    /// Roles of a tenant's own, besides those built in
    #[command(subcommand)]
    Role(session::RoleCommand),
    /// People, for a look or a quick change at the terminal
    #[command(subcommand)]
    User(users::UserCommand),
    /// What happened, and whether anybody has changed it since
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Mails that wait, and those that have failed
    #[command(subcommand)]
    Mail(mails::MailCommand),
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
    let has_arg = |word: &str| std::env::args_os().any(|argument| argument == word);
    let wants_json = has_arg("--json") || std::env::var_os("MUSTER_JSON").is_some();
    let output = Output { json: wants_json, stdout_is_data: has_arg("backup") && has_arg("-") };
    match run(serving) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::from(exit::BROKEN_PIPE),
        Err(error) => {
            output.error(&error);
            ExitCode::from(exit::FAILED)
        }
    }
}

/// Whether nothing reads the output any more.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_broken_pipe_error = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref().is_some_and(is_broken_pipe_error))
}

fn run(serving: &ServingCommands) -> anyhow::Result<ExitCode> {
    let file = SettingsFile::load()?;
    let command = file.apply(Cli::command())?;
    let matches = command.clone().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let settings = cli.settings;
    let is_piped = matches!(&cli.command, CliCommand::Backup(task) if task.writes_to_stdout());
    let output = Output { json: settings.json, stdout_is_data: is_piped };
    match cli.command {
        CliCommand::Demo(_) if matches.value_source("store") == Some(ValueSource::CommandLine) => {
            bail!("demo has a store of its own that is gone when it ends: leave out --store");
        }
        CliCommand::Demo(server) => (serving.demo)(&settings, &server, output)?,
        CliCommand::Serve(server) => return (serving.serve)(&settings, &server, output),
        CliCommand::Tenant(task) => tenants::run(&settings, task, output)?,
        CliCommand::Connection(task) => connections::run(&settings, task, output)?,
        CliCommand::Role(task) => session::run_role(&settings, task, output)?,
        CliCommand::User(task) => users::run(&settings, task, output)?,
        CliCommand::Audit(task) => return audit::run(&settings, task, output),
        CliCommand::Mail(task) => mails::run(&settings, task, output)?,
        CliCommand::Config(_) => output.settings(&file.effective(&command, &matches)),
        CliCommand::Import(task) => return transfers::import(&settings, &task, output),
        CliCommand::Export(task) => transfers::export(&settings, task, output)?,
        CliCommand::Backup(task) => stores::backup(&settings, &task, output)?,
        CliCommand::Restore(task) => stores::restore(&settings, &task, output)?,
        CliCommand::Move(task) => stores::move_store(&settings, task, output)?,
        CliCommand::Check => return stores::check(&settings, output),
    }
    Ok(ExitCode::SUCCESS)
}
