//! Settings: flags, else the environment, else a TOML file, else what is built in. Unknown names are errors.

use adapters::{StoreSettings, redacted_location};
use anyhow::{Context, bail};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Settings of every command. Each is a flag, a variable `MUSTER_…` and a name in the file.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The store: a file, made when it is not there (muster.db when nothing is said), or a database that several
    /// processes share, as <postgres://USER@HOST/DATABASE>
    #[arg(
        long,
        env = "MUSTER_STORE",
        global = true,
        default_value = "muster.db",
        value_name = "FILE|URL",
        hide_env_values = true,
        hide_default_value = true
    )]
    pub store: String,
    /// Answer with one JSON document on standard output and nothing else
    #[arg(long, env = "MUSTER_JSON", global = true)]
    pub json: bool,
    /// Settings in TOML. Without it, ./muster.toml is read if it is yours and only you can write it
    #[arg(long, env = "MUSTER_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The most memory the store's page cache may take, in MiB
    #[arg(long, env = "MUSTER_CACHE_MIB", global = true, default_value_t = 128, value_name = "MIB", help_heading = STORE_HEADING)]
    pub cache_mib: u32,
    /// Identities of what is new: time-ordered, or random for databases that keep rows in ranges of their keys
    #[arg(long, env = "MUSTER_ID_KIND", global = true, default_value = "time-ordered", value_parser = ["time-ordered", "random"], help_heading = STORE_HEADING)]
    pub id_kind: String,
    /// Connections to the database for changes; many changes go over one
    #[arg(long, env = "MUSTER_STORE_WRITERS", global = true, default_value_t = 2, value_name = "N", help_heading = STORE_HEADING)]
    pub store_writers: usize,
    /// Connections to the database that short reads share, and as many for look-ups
    #[arg(long, env = "MUSTER_STORE_READERS", global = true, default_value_t = 2, value_name = "N", help_heading = STORE_HEADING)]
    pub store_readers: usize,
    /// Whether statements are kept on the database's connections; `unnamed` for poolers that do not know them
    #[arg(long, env = "MUSTER_STORE_STATEMENTS", global = true, default_value = "named", value_parser = ["named", "unnamed"], help_heading = STORE_HEADING)]
    pub store_statements: String,
}

/// Settings of the server, likewise.
#[derive(Args, Clone, Debug)]
pub struct ServerSettings {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub listen: String,
    /// Address of the admin listener for /healthz, /readyz and /metrics, or `none`. By default 127.0.0.1:9095, if that port is
    /// free
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub admin_listen: Option<String>,
    /// File with a bearer token (at least 16 characters) for /metrics on the public address
    #[arg(long, env = "MUSTER_METRICS_TOKEN_FILE", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub metrics_token_file: Option<PathBuf>,
    /// Certificate chain in PEM; with it and its key, TLS is spoken
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate in PEM
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub tls_key: Option<PathBuf>,
    /// How clients reach the server, for links in answers, such as <https://people.example.com>
    #[arg(long, env = "MUSTER_PUBLIC_URL", value_name = "URL", help_heading = SERVER_HEADING)]
    pub public_url: Option<String>,
    /// Largest body in bytes, and at most 1 MiB without a valid key in the headers; more is a 413
    #[arg(long, env = "MUSTER_BODY_LIMIT", default_value_t = 4_194_304, value_name = "BYTES", help_heading = SERVER_HEADING)]
    pub body_limit: usize,
    /// Where files are kept that are sent to be imported; beside the store when not said. Processes that share a database
    /// and answer for one another share this folder, too
    #[arg(long, env = "MUSTER_IMPORTS_DIR", value_name = "DIR", help_heading = SERVER_HEADING)]
    pub imports_dir: Option<PathBuf>,
    /// Storage limit of each tenant's import files in MiB; more is a 507
    #[arg(long, env = "MUSTER_IMPORTS_QUOTA_MIB", default_value_t = 8192, value_name = "MIB", help_heading = SERVER_HEADING)]
    pub imports_quota_mib: u64,
    /// Minimum free disk space in MiB for imports, at least 5 % of the disk; below it they get a 507. 0 turns the check off
    #[arg(long, env = "MUSTER_MIN_FREE_DISK_MIB", default_value_t = 1024, value_name = "MIB", help_heading = SERVER_HEADING)]
    pub min_free_disk_mib: u64,
    /// Open connections; further ones get a 503
    #[arg(long, env = "MUSTER_MAX_CONNECTIONS", default_value_t = 4096, value_name = "N", help_heading = SERVER_HEADING)]
    pub max_connections: usize,
    /// Open connections from one address (IPv6: one /64); further ones are closed. Loopback and trusted proxies are exempt
    #[arg(long, env = "MUSTER_CONNECTIONS_PER_ADDRESS", default_value_t = 256, value_name = "N", help_heading = SERVER_HEADING)]
    pub connections_per_address: usize,
    /// Seconds for headers to arrive, and for a connection to be idle
    #[arg(long, env = "MUSTER_HEADER_TIMEOUT", default_value_t = 15, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub header_timeout: u64,
    /// Seconds for a body to arrive
    #[arg(long, env = "MUSTER_BODY_TIMEOUT", default_value_t = 30, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub body_timeout: u64,
    /// Seconds for a request to be answered
    #[arg(long, env = "MUSTER_RESPONSE_TIMEOUT", default_value_t = 30, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub response_timeout: u64,
    /// Seconds for busy connections to finish after SIGTERM
    #[arg(long, env = "MUSTER_DRAIN_TIMEOUT", default_value_t = 20, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub drain_timeout: u64,
    /// Bad keys a minute from one address before it is slowed down
    #[arg(long, env = "MUSTER_INVALID_KEYS_PER_MINUTE", default_value = "60", value_name = "N", help_heading = SERVER_HEADING)]
    pub invalid_keys_per_minute: NonZeroU32,
    /// Address of a proxy whose X-Forwarded-For says where requests come from; with commas between several
    #[arg(long, env = "MUSTER_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Threads that hash passwords; 0 is one a core
    #[arg(long, env = "MUSTER_HASH_THREADS", default_value_t = 0, value_name = "N", help_heading = SERVER_HEADING)]
    pub hash_threads: usize,
    /// Where mails go, as <smtps://USER:PASSWORD@HOST> or <smtp://HOST:587> (TLS is asked for, unless it ends in
    /// ?tls=none); without it, into a folder
    #[arg(long, env = "MUSTER_SMTP_URL", value_name = "URL", hide_env_values = true, help_heading = MAIL_HEADING)]
    pub smtp_url: Option<String>,
    /// The address that mails come from
    #[arg(long, env = "MUSTER_MAIL_FROM", default_value = "muster@localhost", value_name = "EMAIL", help_heading = MAIL_HEADING)]
    pub mail_from: String,
    /// The folder that mails go into where there is no SMTP server; beside the store's file, or ./muster-mail, when
    /// nothing is said
    #[arg(long, env = "MUSTER_MAIL_SPOOL_DIR", value_name = "FOLDER", help_heading = MAIL_HEADING)]
    pub mail_spool_dir: Option<PathBuf>,
    /// Seconds for an SMTP server to take a mail
    #[arg(long, env = "MUSTER_SMTP_TIMEOUT", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600), help_heading = MAIL_HEADING)]
    pub smtp_timeout: u64,
    /// Seconds before a mail that was not taken is tried again; they double with each attempt, up to an hour
    #[arg(long, env = "MUSTER_MAIL_RETRY_DELAY", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=3600), help_heading = MAIL_HEADING)]
    pub mail_retry_delay: i64,
    /// How log lines look: text or json
    #[arg(long, env = "MUSTER_LOG_FORMAT", default_value = "text", value_parser = ["text", "json"], help_heading = SERVER_HEADING)]
    pub log_format: String,
    /// The least that is logged: error, warn, info, debug
    #[arg(long, env = "MUSTER_LOG_LEVEL", default_value = "info", value_parser = ["error", "warn", "info", "debug"], help_heading = SERVER_HEADING)]
    pub log_level: String,
}

impl Settings {
    /// Where the store is and how to use it.
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings {
            cache_mib: self.cache_mib,
            random_ids: self.id_kind == "random",
            writers: self.store_writers,
            readers: self.store_readers,
            named_statements: self.store_statements == "named",
            ..StoreSettings::new(&self.store)
        }
    }
}

/// A URL as it may be shown.
fn redact_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

impl ServerSettings {
    /// The folder of files that were sent to be imported.
    pub fn imports_dir_or_default(&self, store: &StoreSettings) -> PathBuf {
        let default_dir = || store.sibling_path("imports").unwrap_or_else(|| "muster-imports".into());
        self.imports_dir.clone().unwrap_or_else(default_dir)
    }

    /// The folder of mails where there is no SMTP server.
    pub fn mail_spool_dir_or_default(&self, store: &StoreSettings) -> PathBuf {
        let default_dir = || store.sibling_path("mail").unwrap_or_else(|| "muster-mail".into());
        self.mail_spool_dir.clone().unwrap_or_else(default_dir)
    }
}

const STORE_HEADING: &str = "Store";
const SERVER_HEADING: &str = "Server";
/// The commands that have the settings of the server.
const SERVER_COMMANDS: [&str; 3] = ["serve", "demo", "config"];
const MAIL_HEADING: &str = "Mail";
/// Settings that make no sense in a file.
const COMMAND_LINE_ONLY: [&str; 2] = ["config", "json"];

/// Settings by the name that they had in 0.1.0, which is still accepted as a flag, a variable and in the file.
const RENAMED: [(&str, &str); 13] = [
    ("ids", "id_kind"),
    ("store_lanes", "store_writers"),
    ("imports", "imports_dir"),
    ("imports_mib", "imports_quota_mib"),
    ("least_free_mib", "min_free_disk_mib"),
    ("header_time", "header_timeout"),
    ("body_time", "body_timeout"),
    ("answer_time", "response_timeout"),
    ("drain_time", "drain_timeout"),
    ("bad_keys", "invalid_keys_per_minute"),
    ("mail_time", "smtp_timeout"),
    ("mail_retry", "mail_retry_delay"),
    ("mail_spool", "mail_spool_dir"),
];

/// What a file says, by the names of the flags.
pub(crate) struct SettingsFile {
    path: Option<PathBuf>,
    values: BTreeMap<String, String>,
}

fn read_error(path: &Path) -> String {
    format!("the settings {} cannot be read", path.display())
}

/// What a settings file says that was not named, if the current user or root owns it and nobody else can write it. Whoever can
/// put a file into a folder where others start Muster must not choose its store, its proxies or its mail server.
#[expect(clippy::print_stderr, reason = "the log is not set up yet")]
fn read_trusted_file(path: &Path) -> anyhow::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;
    if !path.is_file() {
        return Ok(None);
    }
    let mut file = std::fs::File::open(path).with_context(|| read_error(path))?;
    let metadata = file.metadata().with_context(|| read_error(path))?;
    let owners = [0, rustix::process::geteuid().as_raw()];
    if !owners.contains(&metadata.uid()) || metadata.mode() & 0o022 != 0 {
        eprintln!(
            "{} is ignored: it must belong to you or root, and nobody else may write it (or name it with --config)",
            path.display()
        );
        return Ok(None);
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).with_context(|| read_error(path))?;
    Ok(Some(text))
}

impl SettingsFile {
    /// The file that `--config` or `MUSTER_CONFIG` names, else `./muster.toml` where it is, else nothing.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let mut arguments = std::env::args_os().skip(1);
        let mut explicit_path = None;
        while let Some(argument) = arguments.next() {
            if argument == "--config" {
                explicit_path = arguments.next().map(PathBuf::from);
            } else if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
                explicit_path = Some(path.into());
            }
        }
        let explicit_path = explicit_path.or_else(|| std::env::var_os("MUSTER_CONFIG").map(PathBuf::from));
        if let Some(path) = explicit_path {
            let text = std::fs::read_to_string(&path);
            return Self::parse(&path, &text.with_context(|| read_error(&path))?);
        }
        let default_path = Path::new("muster.toml");
        match read_trusted_file(default_path)? {
            Some(text) => Self::parse(default_path, &text),
            None => Ok(Self { path: None, values: BTreeMap::new() }),
        }
    }

    fn parse(path: &Path, text: &str) -> anyhow::Result<Self> {
        // What the parser quotes of the file may be a password.
        let not_toml = |error: toml::de::Error| {
            anyhow::anyhow!("the settings {} are not TOML: {}", path.display(), error.message())
        };
        let table: toml::Table = text.parse().map_err(not_toml)?;
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(on) => on.to_string(),
                _ => bail!("{}: {name} must be a text, a number or true or false", path.display()),
            };
            let id = name.replace('-', "_");
            let renamed = RENAMED.iter().find(|(old, _)| *old == id).map(|(_, new)| (*new).to_owned());
            values.insert(renamed.unwrap_or(id).replace('_', "-"), text);
        }
        Ok(Self { path: Some(path.into()), values })
    }

    /// Replaces the default values by those of the file, and adds the old names of settings.
    pub(crate) fn apply(&self, command: Command) -> anyhow::Result<Command> {
        let mut command = RENAMED.iter().fold(command, |command, (old, new)| accept_old_name(command, old, new));
        for (name, value) in &self.values {
            let id = name.replace('-', "_");
            let has = |command: &Command| command.get_arguments().any(|arg| arg.get_id().as_str() == id);
            let is_global = has(&command);
            let is_server_setting =
                |command: &Command| SERVER_COMMANDS.iter().any(|name| command.find_subcommand(name).is_some_and(has));
            if COMMAND_LINE_ONLY.contains(&id.as_str()) || !is_global && !is_server_setting(&command) {
                let path = self.path.as_deref().unwrap_or(Path::new("")).display();
                bail!("{path}: there is no setting {name}; `muster config` lists them");
            }
            command = change_setting(command, &id, |arg| arg.default_value(value.clone()));
        }
        Ok(command)
    }

    /// Every setting: name, value in force, and where it is from.
    pub(crate) fn effective(&self, command: &Command, matches: &ArgMatches) -> Vec<(String, String, String)> {
        let mut rows = Vec::new();
        let config = command.find_subcommand("config").map(Command::get_arguments);
        let is_server_setting = matches.subcommand_matches("config");
        for arg in command.get_arguments().chain(config.into_iter().flatten()) {
            let (id, Some(name)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            let found = [Some(matches), is_server_setting].into_iter().flatten();
            let Some(matches) = found.into_iter().find(|matches| matches.try_contains_id(id).is_ok()) else {
                continue;
            };
            if COMMAND_LINE_ONLY.contains(&id) {
                continue;
            }
            let raw = matches.get_raw(id).map(|values| values.map(|v| v.to_string_lossy()).collect::<Vec<_>>());
            let source = match matches.value_source(id) {
                Some(ValueSource::CommandLine) => format!("--{name}"),
                Some(ValueSource::EnvVariable) => {
                    arg.get_env().map_or_else(String::new, |env| env.to_string_lossy().into_owned())
                }
                Some(_) if self.values.contains_key(name) => {
                    self.path.as_deref().map_or_else(String::new, |path| path.display().to_string())
                }
                Some(_) => "built in".into(),
                None => "not set".into(),
            };
            let value = raw.map_or_else(String::new, |values| values.join(" "));
            // The URL of a database may hold its password.
            let value = match id {
                "store" => redacted_location(&value),
                "smtp_url" => redact_password(&value),
                _ => value,
            };
            rows.push((name.to_owned(), value, source));
        }
        rows
    }
}

/// Changes a setting of all commands, or of those of the server.
fn change_setting(command: Command, id: &str, change: impl Fn(Arg) -> Arg) -> Command {
    let set = |command: Command| command.mut_arg(id, &change);
    if command.get_arguments().any(|arg| arg.get_id().as_str() == id) {
        return set(command);
    }
    SERVER_COMMANDS.iter().fold(command, |command, name| command.mut_subcommand(*name, set))
}

/// Accepts the old flag, and the old variable where the new one is not set.
fn accept_old_name(command: Command, old: &str, new: &'static str) -> Command {
    let variable = |id: &str| format!("MUSTER_{}", id.to_uppercase());
    let is_old = std::env::var_os(variable(new)).is_none() && std::env::var_os(variable(old)).is_some();
    change_setting(command, new, |arg| {
        let arg = arg.alias(old.replace('_', "-"));
        if is_old { arg.env(variable(old)) } else { arg }
    })
}
