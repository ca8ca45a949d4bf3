//! Settings, in order of precedence: flags, environment variables, a TOML file, built-in defaults. Unknown names are
//! errors.

use adapters::{StoreSettings, redacted_location};
use anyhow::{Context, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, ValueEnum};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// Settings of all commands. Each is a flag, an environment variable `MUSTER_…` and a name in the file.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// SQLite file (default: muster.db), or a PostgreSQL database that several processes can share, as
    /// `postgres://USER@HOST/DATABASE` with its password in PGPASSWORD
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
    /// Print one JSON document on standard output and nothing else
    #[arg(long, env = "MUSTER_JSON", global = true)]
    pub json: bool,
    /// Settings file in TOML (default: ./muster.toml, if you own it and nobody else can write to it)
    #[arg(long, env = "MUSTER_CONFIG", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File with the master key that encrypts the credentials of targets, 64 hexadecimal digits per line: the first line
    /// encrypts, all decrypt (default: beside the store's file, created when it is needed)
    #[arg(long, env = "MUSTER_SECRETS_KEY", global = true, value_name = "FILE", help_heading = STORE_HEADING)]
    pub secrets_key: Option<PathBuf>,
    /// SQLite: maximum size of the page cache in MiB
    #[arg(long, env = "MUSTER_CACHE_MIB", global = true, default_value_t = 128, value_name = "MIB", help_heading = STORE_HEADING)]
    pub cache_mib: u32,
    /// Type of the UUIDs of new records; use random for databases that are sharded by key range
    #[arg(long, env = "MUSTER_ID_KIND", global = true, default_value_t = IdKind::TimeOrdered, value_enum, help_heading = STORE_HEADING)]
    pub id_kind: IdKind,
    /// PostgreSQL: connections for writes; each commits many changes in one transaction
    #[arg(long, env = "MUSTER_STORE_WRITERS", global = true, default_value_t = 2, value_name = "N", help_heading = STORE_HEADING)]
    pub store_writers: usize,
    /// PostgreSQL: connections for reads, and the same number again for look-ups of single records
    #[arg(long, env = "MUSTER_STORE_READERS", global = true, default_value_t = 2, value_name = "N", help_heading = STORE_HEADING)]
    pub store_readers: usize,
    /// PostgreSQL: kind of prepared statements; use unnamed for connection poolers that do not support named ones
    #[arg(long, env = "MUSTER_STORE_STATEMENTS", global = true, default_value_t = StatementKind::Named, value_enum, help_heading = STORE_HEADING)]
    pub store_statements: StatementKind,
}

/// Settings of `serve`, `demo` and `config`.
#[derive(Args, Clone, Debug)]
pub struct ServerSettings {
    /// Address to listen on; port 0 selects a free port
    #[arg(long, env = "MUSTER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub listen: String,
    /// Address for /healthz, /readyz and /metrics; `none` turns it off (default: 127.0.0.1:9095, if that port is free)
    #[arg(long, env = "MUSTER_ADMIN_LISTEN", value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub admin_listen: Option<String>,
    /// File with a bearer token (at least 16 characters) that enables /metrics on the public address
    #[arg(long, env = "MUSTER_METRICS_TOKEN_FILE", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub metrics_token_file: Option<PathBuf>,
    /// TLS certificate chain in PEM; requires --tls-key
    #[arg(long, env = "MUSTER_TLS_CERT", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub tls_cert: Option<PathBuf>,
    /// TLS private key in PEM; requires --tls-cert
    #[arg(long, env = "MUSTER_TLS_KEY", value_name = "FILE", help_heading = SERVER_HEADING)]
    pub tls_key: Option<PathBuf>,
    /// URL at which clients reach the server, for links in responses and mails, such as `https://people.example.com`
    #[arg(long, env = "MUSTER_PUBLIC_URL", value_name = "URL", help_heading = SERVER_HEADING)]
    pub public_url: Option<String>,
    /// Maximum size of a request body in bytes; larger ones get a 413. At most 1 MiB without a valid key in the headers
    /// or the query; imported files can be up to 4 GiB
    #[arg(long, env = "MUSTER_BODY_LIMIT", default_value_t = 4_194_304, value_name = "BYTES", help_heading = SERVER_HEADING)]
    pub body_limit: usize,
    /// Directory for uploaded imports (default: next to the store's file, or ./muster-imports). Processes that share a
    /// database should share it; its file system must support file locks
    #[arg(long, env = "MUSTER_IMPORTS_DIR", value_name = "DIR", help_heading = SERVER_HEADING)]
    pub imports_dir: Option<PathBuf>,
    /// Maximum size of each tenant's import files in MiB; further uploads get a 507
    #[arg(long, env = "MUSTER_IMPORTS_QUOTA_MIB", default_value_t = 8192, value_name = "MIB", help_heading = SERVER_HEADING)]
    pub imports_quota_mib: u64,
    /// Imports get a 507 if less than this many MiB, or less than 5 % of the disk, are free (0 disables both checks)
    #[arg(long, env = "MUSTER_MIN_FREE_DISK_MIB", default_value_t = 1024, value_name = "MIB", help_heading = SERVER_HEADING)]
    pub min_free_disk_mib: u64,
    /// Maximum number of open TCP connections; further ones get a 503
    #[arg(long, env = "MUSTER_MAX_CONNECTIONS", default_value_t = 4096, value_name = "N", help_heading = SERVER_HEADING)]
    pub max_connections: usize,
    /// Maximum number of open TCP connections per address (IPv6: per /64); further ones are closed. Loopback and trusted
    /// proxies are exempt
    #[arg(long, env = "MUSTER_CONNECTIONS_PER_ADDRESS", default_value_t = 256, value_name = "N", help_heading = SERVER_HEADING)]
    pub connections_per_address: usize,
    /// Timeout for request headers, and for idle connections
    #[arg(long, env = "MUSTER_HEADER_TIMEOUT", default_value_t = 15, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub header_timeout: u64,
    /// Timeout for a request body
    #[arg(long, env = "MUSTER_BODY_TIMEOUT", default_value_t = 30, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub body_timeout: u64,
    /// Longest time until a response begins, after the request body has arrived; sending it is not limited by this
    #[arg(long, env = "MUSTER_RESPONSE_TIMEOUT", default_value_t = 30, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub response_timeout: u64,
    /// Time for requests in progress to finish after SIGTERM
    #[arg(long, env = "MUSTER_DRAIN_TIMEOUT", default_value_t = 20, value_name = "SECONDS", help_heading = SERVER_HEADING)]
    pub drain_timeout: u64,
    /// Invalid keys per minute per address before further ones are throttled
    #[arg(long, env = "MUSTER_INVALID_KEYS_PER_MINUTE", default_value = "60", value_name = "N", help_heading = SERVER_HEADING)]
    pub invalid_keys_per_minute: NonZeroU32,
    /// Days after which security records (`muster audit failures`) are deleted
    #[arg(long, env = "MUSTER_SECURITY_RECORD_DAYS", default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650), help_heading = SERVER_HEADING)]
    pub security_record_days: u32,
    /// Days after which the attempts of targets (`muster explain`) are deleted
    #[arg(long, env = "MUSTER_PUSH_ATTEMPT_DAYS", default_value_t = 30, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=3650), help_heading = SERVER_HEADING)]
    pub push_attempt_days: u32,
    /// IP addresses of proxies whose X-Forwarded-For header is trusted, separated by commas (no ranges)
    #[arg(long, env = "MUSTER_TRUSTED_PROXIES", value_delimiter = ',', value_name = "ADDRESS", help_heading = SERVER_HEADING)]
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// Threads for password hashing (0: one per core)
    #[arg(long, env = "MUSTER_HASH_THREADS", default_value_t = 0, value_name = "N", help_heading = SERVER_HEADING)]
    pub hash_threads: usize,
    /// SMTP server, as `smtps://USER:PASSWORD@HOST` or `smtp://HOST:587` (requires TLS, unless it ends in ?tls=none);
    /// without it, mails are written to files
    #[arg(long, env = "MUSTER_SMTP_URL", value_name = "URL", hide_env_values = true, help_heading = MAIL_HEADING)]
    pub smtp_url: Option<String>,
    /// Sender address of mails
    #[arg(long, env = "MUSTER_MAIL_FROM", default_value = "muster@localhost", value_name = "EMAIL", help_heading = MAIL_HEADING)]
    pub mail_from: String,
    /// Directory for mails if there is no SMTP server (default: next to the store's file, or ./muster-mail)
    #[arg(long, env = "MUSTER_MAIL_SPOOL_DIR", value_name = "DIR", help_heading = MAIL_HEADING)]
    pub mail_spool_dir: Option<PathBuf>,
    /// Timeout for the SMTP server to accept a mail
    #[arg(long, env = "MUSTER_SMTP_TIMEOUT", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600), help_heading = MAIL_HEADING)]
    pub smtp_timeout: u64,
    /// Delay before a failed mail is retried; it doubles with each attempt, up to one hour
    #[arg(long, env = "MUSTER_MAIL_RETRY_DELAY", default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(i64).range(1..=3600), help_heading = MAIL_HEADING)]
    pub mail_retry_delay: i64,
    /// Format of log lines
    #[arg(long, env = "MUSTER_LOG_FORMAT", default_value_t = LogFormat::Text, value_enum, help_heading = SERVER_HEADING)]
    pub log_format: LogFormat,
    /// Minimum level of log lines
    #[arg(long, env = "MUSTER_LOG_LEVEL", default_value = "info", value_parser = log_level(), help_heading = SERVER_HEADING)]
    pub log_level: tracing::Level,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum IdKind {
    TimeOrdered,
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatementKind {
    Named,
    Unnamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

fn log_level() -> impl TypedValueParser<Value = tracing::Level> {
    PossibleValuesParser::new(["error", "warn", "info", "debug"]).try_map(|level| level.parse())
}

impl Settings {
    pub fn store_settings(&self) -> StoreSettings {
        StoreSettings {
            cache_mib: self.cache_mib,
            random_ids: self.id_kind == IdKind::Random,
            writers: self.store_writers,
            readers: self.store_readers,
            named_statements: self.store_statements == StatementKind::Named,
            ..StoreSettings::new(&self.store)
        }
    }
}

/// Removes user name and password from a URL.
fn redact_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        _ => url.to_owned(),
    }
}

impl Settings {
    /// The file of the master key that encrypts the credentials of targets; `None` on PostgreSQL without one.
    pub fn secrets_key_path(&self) -> Option<PathBuf> {
        self.secrets_key.clone().or_else(|| self.store_settings().sibling_path("key"))
    }
}

impl ServerSettings {
    pub fn imports_dir_or_default(&self, store: &StoreSettings) -> PathBuf {
        let default_dir = || store.sibling_path("imports").unwrap_or_else(|| "muster-imports".into());
        self.imports_dir.clone().unwrap_or_else(default_dir)
    }

    pub fn mail_spool_dir_or_default(&self, store: &StoreSettings) -> PathBuf {
        let default_dir = || store.sibling_path("mail").unwrap_or_else(|| "muster-mail".into());
        self.mail_spool_dir.clone().unwrap_or_else(default_dir)
    }
}

const STORE_HEADING: &str = "Store";
const SERVER_HEADING: &str = "Server";
/// The commands with [`ServerSettings`].
const SERVER_COMMANDS: [&str; 3] = ["serve", "demo", "config"];
const MAIL_HEADING: &str = "Mail";
/// Settings that are not allowed in the file.
const COMMAND_LINE_ONLY: [&str; 2] = ["config", "json"];

/// Names in 0.1.0, which are still accepted as flags, variables and in the file, and the current names.
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

/// A setting as `muster config` shows it.
pub struct EffectiveSetting {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) source: String,
}

/// The values of a settings file, by the names of the flags.
pub(crate) struct SettingsFile {
    path: Option<PathBuf>,
    values: BTreeMap<String, String>,
}

fn read_error(path: &Path) -> String {
    format!("cannot read the settings file {}", path.display())
}

/// Reads a settings file that was not named explicitly, if the current user or root owns it and nobody else can write
/// to it. A user who can create files where others start Muster must not choose its store, proxies or mail server.
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
            "{} is ignored: it must be owned by you or root and writable by nobody else (or be named with --config)",
            path.display()
        );
        return Ok(None);
    }
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).with_context(|| read_error(path))?;
    Ok(Some(text))
}

impl SettingsFile {
    /// Loads the file that `--config` or `MUSTER_CONFIG` names, else `./muster.toml` if it exists.
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
        // The parser's full error quotes the file, which can contain a password.
        let not_toml = |error: toml::de::Error| {
            anyhow::anyhow!("the settings file {} is not valid TOML: {}", path.display(), error.message())
        };
        let table: toml::Table = text.parse().map_err(not_toml)?;
        let mut values = BTreeMap::new();
        for (name, value) in table {
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(on) => on.to_string(),
                _ => bail!("{}: {name} must be a string, an integer, true or false", path.display()),
            };
            let id = name.replace('-', "_");
            // The new name of a setting has precedence, in any order.
            match RENAMED.iter().find(|(old, _)| *old == id) {
                Some((_, new)) => drop(values.entry(new.replace('_', "-")).or_insert(text)),
                None => drop(values.insert(id.replace('_', "-"), text)),
            }
        }
        Ok(Self { path: Some(path.into()), values })
    }

    /// Sets the values of the file as defaults, and adds the old names of settings.
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
                bail!("{path}: unknown setting {name} (see `muster config`)");
            }
            command = change_setting(command, &id, |arg| arg.default_value(value.clone()));
        }
        // The demo shows mails in the terminal.
        let hide = |arg: Arg| if arg.get_help_heading() == Some(MAIL_HEADING) { arg.hide(true) } else { arg };
        Ok(command.mut_subcommand("demo", |demo| demo.mut_args(hide)))
    }

    pub(crate) fn effective(&self, command: &Command, matches: &ArgMatches) -> Vec<EffectiveSetting> {
        let mut rows = Vec::new();
        let config = command.find_subcommand("config").zip(matches.subcommand_matches("config"));
        let scopes = [Some((command, matches)), config].into_iter().flatten();
        for (arg, matches) in
            scopes.flat_map(|(command, matches)| command.get_arguments().map(move |arg| (arg, matches)))
        {
            let (id, Some(name)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
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
            // URLs can contain passwords.
            let value = match id {
                "store" => redacted_location(&value),
                "smtp_url" => redact_password(&value),
                _ => value,
            };
            rows.push(EffectiveSetting { name: name.to_owned(), value, source });
        }
        rows
    }
}

/// Changes a setting of all commands, or of those in [`SERVER_COMMANDS`].
fn change_setting(command: Command, id: &str, change: impl Fn(Arg) -> Arg) -> Command {
    let set = |command: Command| command.mut_arg(id, &change);
    if command.get_arguments().any(|arg| arg.get_id().as_str() == id) {
        return set(command);
    }
    SERVER_COMMANDS.iter().fold(command, |command, name| command.mut_subcommand(*name, set))
}

/// Accepts the old flag, and the old variable if the new one is not set.
fn accept_old_name(command: Command, old: &str, new: &'static str) -> Command {
    let variable = |id: &str| format!("MUSTER_{}", id.to_uppercase());
    let is_old = std::env::var_os(variable(new)).is_none() && std::env::var_os(variable(old)).is_some();
    change_setting(command, new, |arg| {
        let arg = arg.alias(old.replace('_', "-"));
        if is_old { arg.env(variable(old)) } else { arg }
    })
}
