//! The command line: settings, output, and all commands except `serve` and `demo`, which the `muster` crate passes in.
//!
//! Commands open the store directly. This crate contains no HTTP.
//!
//! ```
//! assert!(cli::command().find_subcommand("import").is_some());
//! ```

mod audit;
pub mod backup;
mod connections;
mod event_text;
mod exit;
mod mails;
mod new_file;
mod output;
mod progress;
mod roles;
mod secrets;
mod session;
mod settings;
mod store_copy;
mod stores;
mod targets;
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
pub use settings::{LogFormat, ServerSettings, Settings};
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
    /// Run a demo server on a temporary store (`--store` is rejected), with sample users, keys and curl commands; nothing is kept
    Demo(Box<ServerSettings>),
    /// Run the server
    Serve(Box<ServerSettings>),
    /// Manage tenants: isolated directories, one per customer
    #[command(subcommand)]
    Tenant(tenants::TenantCommand),
    /// Manage connections: API clients, their keys and permissions
    #[command(subcommand)]
    Connection(connections::ConnectionCommand),
    /// Manage the custom roles of a tenant
    #[command(subcommand)]
    Role(roles::RoleCommand),
    /// List, show, create, invite, delete and restore users
    #[command(subcommand)]
    User(users::UserCommand),
    /// Show, verify and export the audit history; show security records
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// List and retry pending and failed mails
    #[command(subcommand)]
    Mail(mails::MailCommand),
    /// Manage targets: systems that Muster provisions with the users of a tenant
    #[command(subcommand)]
    Target(targets::TargetCommand),
    /// Push users to targets before others
    Push(targets::PushArgs),
    /// Explain what a target has of a user, and why
    Explain(targets::ExplainArgs),
    /// Show which targets have confirmed that a user has no active account any more
    Leaver(targets::LeaverArgs),
    /// Manage the master key that encrypts the credentials of targets
    #[command(subcommand)]
    Secrets(secrets::SecretsCommand),
    /// Simulate a vendor's system, with faults, to try targets
    Simulate(SimulateArgs),
    /// Print the effective settings and the source of each
    Config(Box<ServerSettings>),
    /// Import users and groups from a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Import(Box<transfers::ImportArgs>),
    /// Export users, groups and other records to a file: CSV, NDJSON, Excel (.xlsx) or LDIF
    Export(transfers::ExportArgs),
    /// Back up the whole store to a file or pipe, also while a server is running
    Backup(stores::BackupArgs),
    /// Verify a backup from a file or pipe and restore it into an empty store
    Restore(stores::RestoreArgs),
    /// Move a whole store to another engine or location, and verify the copy
    Move(stores::MoveArgs),
    /// Check a store for damage
    Check,
}

/// Arguments of `muster simulate`.
#[derive(clap::Args)]
pub struct SimulateArgs {
    /// API of the system (an invalid name prints the list of valid ones)
    pub api: String,
    /// Address to listen on; port 0 selects a free port
    #[arg(long, default_value = "127.0.0.1:9191", value_name = "ADDRESS")]
    pub listen: String,
    /// File with the key that requests must have; it is created with a new key if it does not exist
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<std::path::PathBuf>,
    /// TOML file that says what goes wrong
    #[arg(long, value_name = "FILE")]
    pub faults: Option<std::path::PathBuf>,
    /// File that gets one line of JSON for each request
    #[arg(long, value_name = "FILE")]
    pub record: Option<std::path::PathBuf>,
}

/// The commands that need the server.
pub struct ServingCommands {
    pub serve: fn(&Settings, &ServerSettings, Output) -> anyhow::Result<ExitCode>,
    pub demo: fn(&Settings, &ServerSettings, Output) -> anyhow::Result<()>,
    pub simulate: fn(&SimulateArgs, Output) -> anyhow::Result<()>,
}

/// All commands and options, for tests of the help texts.
pub fn command() -> clap::Command {
    Cli::command()
}

pub fn main(serving: &ServingCommands) -> ExitCode {
    // Errors can occur before the arguments are parsed, so the format of their output is guessed from the words.
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
            bail!("the demo uses a temporary store; remove --store");
        }
        CliCommand::Demo(server) => (serving.demo)(&settings, &server, output)?,
        CliCommand::Serve(server) => return (serving.serve)(&settings, &server, output),
        CliCommand::Tenant(task) => tenants::run(&settings, task, output)?,
        CliCommand::Connection(task) => connections::run(&settings, task, output)?,
        CliCommand::Role(task) => roles::run(&settings, task, output)?,
        CliCommand::User(task) => users::run(&settings, task, output)?,
        CliCommand::Audit(task) => return audit::run(&settings, task, output),
        CliCommand::Mail(task) => mails::run(&settings, task, output)?,
        CliCommand::Target(task) => targets::run(&settings, task, output)?,
        CliCommand::Push(task) => targets::push(&settings, &task, output)?,
        CliCommand::Explain(task) => targets::explain(&settings, &task, output)?,
        CliCommand::Leaver(task) => targets::leaver(&settings, &task, output)?,
        CliCommand::Secrets(task) => secrets::run(&settings, &task, output)?,
        CliCommand::Simulate(task) => (serving.simulate)(&task, output)?,
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
