//! `muster connection`, `muster role`: what the administrator sets up.
//!
//! These open the store themselves, also while a server runs on it; a server takes notice within a second.

use crate::output::Output;
use crate::people;
use crate::settings::Settings;
use adapters::{Engine, PasswordPool, StoreSettings, SystemClock, new_key};
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use dialects::kit::hash_key;
use directory::{
    Access, BUILT_IN_ROLES, Caller, ClientProfile, Command, Connection, Directory, ItemKind, ItemQuery,
    NewConnection, Refusal, TenantNumber, Time, UserKey, role_named, role_numbered,
};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// Stands for every dialect that need not be named.
const ALL: &str = "all";

#[derive(Subcommand)]
pub(crate) enum ConnectionTask {
    /// Create a connection and print its key (shown only once)
    Add(NewArgs),
    /// List the connections
    List {
        /// Only of this tenant
        #[arg(long)]
        tenant: Option<u32>,
    },
    /// Give a connection a second key, or a new one for its oldest; prints it, once
    Rotate(Named),
    /// Take a connection back for good
    Revoke(Named),
}

#[derive(Args)]
pub(crate) struct NewArgs {
    /// What people call it; unique within the tenant
    name: String,
    /// The tenant it opens; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
    /// An API it may use; repeat for several. `all` is every API over users; sign-in and transfer must be named
    #[arg(long = "dialect", value_name = "DIALECT", value_parser = dialect_name, required_unless_present = "profile")]
    dialects: Vec<String>,
    /// It may only look
    #[arg(long)]
    read_only: bool,
    /// When it ends: 90d, 12h, 30m
    #[arg(long, value_parser = span)]
    expires: Option<i64>,
    /// The highest role it may grant; users with a higher role can be changed only by connections that reach it
    #[arg(long, default_value = "User", value_parser = role_name)]
    highest_role: u32,
    /// Which SCIM client it is: rfc (default), entra, okta or strict. Without --dialect, it may use scim
    #[arg(long, value_parser = profile)]
    profile: Option<ClientProfile>,
    /// The person whose own client it is: number, e-mail, id or external id
    #[arg(long, value_name = "WHO")]
    user: Option<String>,
    /// A public key in PEM with which it may prove itself when it asks for a token; repeat for several
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Named {
    /// Its name or id
    name: String,
    /// The tenant it opens; may be left out when there is just one
    #[arg(long)]
    tenant: Option<u32>,
}

#[derive(Subcommand)]
pub(crate) enum RoleTask {
    /// Add a role of the tenant's own
    Add {
        /// Its name
        name: String,
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
        /// The built-in role it is worth
        #[arg(long, default_value = "User", value_parser = role_name)]
        rank: u32,
    },
    /// List the roles of a tenant
    List {
        /// The tenant; may be left out when there is just one
        #[arg(long)]
        tenant: Option<u32>,
    },
}

fn dialect_name(text: &str) -> Result<String, String> {
    let known: Vec<&str> = dialects::spoken().map(|dialect| dialect.name).collect();
    if text == ALL || known.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("the dialects are {}, or {ALL}", known.join(", ")))
    }
}

/// The names of the APIs that the options stand for, each once.
fn named_dialects(new: &NewArgs) -> anyhow::Result<Vec<String>> {
    let scim = dialects::PROFILED.name;
    if new.dialects.is_empty() {
        return Ok(vec![scim.to_owned()]);
    }
    let is_named =
        |name: &str, by_name: bool| new.dialects.iter().any(|d| d == name || (d == ALL && !by_name));
    let all = dialects::spoken().filter(|dialect| is_named(dialect.name, dialect.by_name));
    let named: Vec<String> = all.map(|dialect| dialect.name.to_owned()).collect();
    if new.profile.is_some() && !named.iter().any(|name| name == scim) {
        bail!("--profile is for SCIM clients: add `--dialect {scim}` or leave out --profile");
    }
    Ok(named)
}

fn role_name(text: &str) -> Result<u32, String> {
    let known = BUILT_IN_ROLES.map(|(_, name)| name).join(", ");
    role_named(text).ok_or_else(|| format!("the built-in roles are {known}"))
}

fn profile(text: &str) -> Result<ClientProfile, String> {
    let known = ClientProfile::ALL.into_iter().find(|profile| profile.word() == text);
    known
        .ok_or_else(|| format!("the profiles are {}", ClientProfile::ALL.map(ClientProfile::word).join(", ")))
}

/// Seconds of `90d`, `12h`, `30m` or `45s`.
fn span(text: &str) -> Result<i64, String> {
    let wrong = || "say it like 90d, 12h, 30m or 45s".to_owned();
    let unit = match text.chars().last().ok_or_else(wrong)? {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    if number == 0 { Err(wrong()) } else { Ok(i64::from(number) * unit) }
}

/// The runtime that the store and the server run on.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime does not start")
}

/// The store for one task: what is read once need not be mapped.
fn once(settings: &Settings) -> StoreSettings {
    StoreSettings { maps_file: false, ..settings.of_store() }
}

/// A directory on the store, for one task at the terminal.
pub(crate) struct Desk {
    pub(crate) directory: Arc<Directory>,
    pub(crate) runtime: tokio::runtime::Runtime,
    engine: Engine,
}

impl Desk {
    /// On the store there is; only the first tenant makes one, so that a mistyped path is noticed.
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        Self::on(settings, Engine::open_existing(&once(settings))?)
    }

    /// To read only: it does not block writers and is not blocked by them.
    pub(crate) fn open_read_only(settings: &Settings) -> anyhow::Result<Self> {
        Self::on(settings, Engine::open_read_only(&once(settings))?)
    }

    /// To read only, or to write.
    pub(crate) fn open_for(settings: &Settings, is_read: bool) -> anyhow::Result<Self> {
        if is_read { Self::open_read_only(settings) } else { Self::open(settings) }
    }

    pub(crate) fn open_or_make(settings: &Settings) -> anyhow::Result<Self> {
        Self::on(settings, Engine::open(&once(settings))?)
    }

    fn on(settings: &Settings, engine: Engine) -> anyhow::Result<Self> {
        let (clock, ids) = (Arc::new(SystemClock), settings.of_store().ids());
        let directory = Directory::new(engine.store(), clock, ids, Arc::new(PasswordPool::standard()?));
        Ok(Self { directory: Arc::new(directory), runtime: runtime()?, engine })
    }

    /// The tenant that was named, or the only one there is.
    pub(crate) fn tenant(&self, named: Option<u32>) -> anyhow::Result<Caller> {
        let tenants = self.runtime.block_on(self.directory.tenants()).map_err(refused)?;
        let number = match (named, tenants.as_slice()) {
            (Some(number), _) if tenants.iter().any(|t| t.number.0 == number) => TenantNumber(number),
            (Some(number), _) => bail!("there is no tenant {number}; `muster tenant list` shows them"),
            (None, [only]) => only.number,
            (None, []) => bail!("there is no tenant yet; `muster tenant add NAME` makes one"),
            (None, _) => bail!("there are several tenants; say which with --tenant"),
        };
        Ok(at_terminal(number))
    }
}

/// The person at the terminal, under the name that the operating system knows them by.
pub(crate) fn at_terminal(tenant: TenantNumber) -> Caller {
    let caller = Caller::terminal(tenant);
    match whoami::username() {
        Ok(name) => Caller { who: format!("{} ({name})", caller.who), ..caller },
        Err(_) => caller,
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.engine.close();
    }
}

/// A refusal in words for the person at the terminal.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub fn refused(refusal: Refusal) -> anyhow::Error {
    anyhow!("{}", transfer::refusal_in_words(&refusal))
}

pub(crate) fn connection(settings: &Settings, task: ConnectionTask, output: Output) -> anyhow::Result<()> {
    let desk = Desk::open_for(settings, matches!(task, ConnectionTask::List { .. }))?;
    match task {
        ConnectionTask::Add(new) => add_connection(&desk, new, output),
        ConnectionTask::List { tenant } => list_connections(&desk, tenant, output),
        ConnectionTask::Rotate(named) => {
            let (caller, connection) = find(&desk, &named)?;
            let key = new_key()?;
            let command = Command::AddKey { connection: connection.id, key: hash_key(&key) };
            desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            output.result(&json!({"id": connection.id.to_string(), "name": connection.name, "key": key}), || {
                format!(
                    "New key of {}, shown only now:\n\n  {key}\n\nThe key before it works until the next rotation.",
                    connection.name
                )
            });
            Ok(())
        }
        ConnectionTask::Revoke(named) => {
            let (caller, connection) = find(&desk, &named)?;
            let command = Command::RevokeConnection(connection.id);
            desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            output.result(
                &json!({"id": connection.id.to_string(), "name": connection.name, "revoked": true}),
                || format!("{} is revoked. Its keys stop working within a second.", connection.name),
            );
            Ok(())
        }
    }
}

fn add_connection(desk: &Desk, new: NewArgs, output: Output) -> anyhow::Result<()> {
    let caller = desk.tenant(new.tenant)?;
    let key = new_key()?;
    let read = |path: &PathBuf| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        dialects::kit::check_public_key(&text).map_err(|what| anyhow!("{}: {what}", path.display()))?;
        Ok(text)
    };
    let dialects = named_dialects(&new)?;
    let command = Command::AddConnection(NewConnection {
        access: if new.read_only { Access::ReadOnly } else { Access::ReadWrite },
        highest_role: new.highest_role,
        expires: new.expires.map(|seconds| desk.directory.now().plus_seconds(seconds)),
        profile: new.profile.unwrap_or_default(),
        user: new
            .user
            .as_deref()
            .map(|who| people::find(desk, &caller, who))
            .transpose()?
            .map(|u| UserKey::Id(u.id)),
        public_keys: new.public_keys.iter().map(read).collect::<anyhow::Result<_>>()?,
        ..NewConnection::new(new.name.clone(), dialects, hash_key(&key))
    });
    desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
    let added = Named { name: new.name, tenant: Some(caller.tenant.0) };
    let (_, connection) = find(desk, &added)?;
    let mut document = describe(&connection, desk.directory.now());
    document["key"] = json!(key);
    output.result(&document, || {
        format!(
            "Connection {} opens tenant {} ({}).\nIts client id is {}; its key, shown only now:\n\n  {key}\n",
            connection.name,
            connection.tenant,
            connection.dialects.join(", "),
            connection.id
        )
    });
    Ok(())
}

fn list_connections(desk: &Desk, tenant: Option<u32>, output: Output) -> anyhow::Result<()> {
    let all = desk.runtime.block_on(desk.directory.connections(tenant.map(TenantNumber))).map_err(refused)?;
    let now = desk.directory.now();
    let document: Vec<Value> = all.iter().map(|connection| describe(connection, now)).collect();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let rows = document
        .iter()
        .map(|d| {
            let dialects: Vec<&str> =
                d["dialects"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            vec![
                d["tenant"].to_string(),
                text(&d["name"]),
                if dialects.is_empty() { "none".into() } else { dialects.join(", ") },
                text(&d["access"]),
                if d["isAboveUser"] == true {
                    format!("{} (above User)", text(&d["highestRole"]))
                } else {
                    text(&d["highestRole"])
                },
                text(&d["state"]),
                d["keys"].to_string(),
                text(&d["expires"]),
                text(&d["lastUse"]),
            ]
        })
        .collect();
    let headings =
        ["tenant", "name", "dialects", "access", "highest role", "state", "keys", "expires", "last use"];
    let empty =
        "There is no connection yet. `muster connection add NAME --tenant N --dialect DIALECT` makes one.";
    output.rows(&document.clone().into(), &headings, rows, empty);
    Ok(())
}

fn describe(connection: &Connection, now: Time) -> Value {
    let state = if connection.revoked {
        "revoked"
    } else if connection.is_live(now) {
        "live"
    } else {
        "expired"
    };
    json!({
        "id": connection.id.to_string(),
        "tenant": connection.tenant.0,
        "name": connection.name,
        "dialects": connection.dialects,
        "access": if connection.access == Access::ReadOnly { "read-only" } else { "read-write" },
        "highestRole": role_numbered(connection.highest_role),
        "isAboveUser": connection.highest_role > Connection::DEFAULT_HIGHEST_ROLE,
        "profile": connection.profile.word(),
        "user": connection.user.map(|user| user.to_string()),
        "publicKeys": connection.public_keys.len(),
        "state": state,
        "keys": if connection.revoked { 0 } else { connection.keys.len() },
        "expires": connection.expires.map(moment),
        "lastUse": connection.last_use.map(moment),
    })
}

/// RFC 3339 to the second.
pub(crate) fn moment(time: Time) -> String {
    dialects::kit::rfc3339(time)
}

fn find(desk: &Desk, named: &Named) -> anyhow::Result<(Caller, Connection)> {
    let caller = desk.tenant(named.tenant)?;
    let all = desk.runtime.block_on(desk.directory.connections(Some(caller.tenant))).map_err(refused)?;
    let wanted = directory::fold(&named.name);
    let found = all.into_iter().find(|c| directory::fold(&c.name) == wanted || c.id.to_string() == wanted);
    let found = found
        .with_context(|| format!("there is no connection {} in tenant {}", named.name, caller.tenant))?;
    Ok((caller, found))
}

pub(crate) fn role(settings: &Settings, task: RoleTask, output: Output) -> anyhow::Result<()> {
    let desk = Desk::open_for(settings, matches!(task, RoleTask::List { .. }))?;
    match task {
        RoleTask::Add { name, tenant, rank } => {
            let caller = desk.tenant(tenant)?;
            let command = Command::AddRole { name, rank };
            let receipt = desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            let role = receipt.items.first().context("no role came back")?;
            output.result(&json!({"number": role.number(), "name": role.name()}), || {
                format!("Role {} is {}.", role.number(), role.name())
            });
        }
        RoleTask::List { tenant } => {
            let caller = desk.tenant(tenant)?;
            let query = ItemQuery::all(ItemKind::Role);
            let own = desk.runtime.block_on(desk.directory.items(&caller, query)).map_err(refused)?.rows;
            let built_in =
                BUILT_IN_ROLES.iter().map(|(number, name)| (*number, (*name).to_owned(), "built in"));
            let all: Vec<(u32, String, &str)> = built_in
                .chain(own.iter().map(|role| (role.number(), role.name().to_owned(), "own")))
                .collect();
            let document: Vec<Value> = all
                .iter()
                .map(|(number, name, from)| json!({"number": number, "name": name, "from": from}))
                .collect();
            let rows =
                all.iter().map(|(n, name, from)| vec![n.to_string(), name.clone(), (*from).into()]).collect();
            output.rows(&document.into(), &["number", "name", "from"], rows, "");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn spans() {
        assert_eq!(super::span("90d"), Ok(7_776_000));
        assert_eq!(super::span("45s"), Ok(45));
        for bad in ["", "d", "90", "0d", "-1d", "1.5h", "9999999999d"] {
            assert!(super::span(bad).is_err(), "{bad}");
        }
    }
}
