//! `muster connection`: inbound clients, their keys and what they may do.
//!
//! These open the store themselves, also while a server runs on it; a server takes notice within a second.

use crate::admin::{Desk, moment, refused, role_name};
use crate::output::Output;
use crate::people;
use crate::settings::Settings;
use adapters::generate_api_key;
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use dialects::kit::hash_key;
use directory::{
    Access, ApiKey, Caller, ClientProfile, Command, Connection, ConnectionEdit, FieldUpdate, NewConnection,
    TenantNumber, Time, UserKey, builtin_role_name,
};
use serde_json::{Value, json};
use std::path::PathBuf;

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
    /// Change what a connection may do; what is not given stays as it is
    Set(SetArgs),
    /// Give a connection another key and print it (shown only once); of more than two keys, the oldest is revoked
    Rotate {
        #[command(flatten)]
        named: Named,
        /// Revoke all keys that it has
        #[arg(long)]
        revoke_old: bool,
    },
    /// Revoke a connection permanently; its name can be used again
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
pub(crate) struct SetArgs {
    #[command(flatten)]
    named: Named,
    /// The APIs that it may use, instead of those that it may use now; repeat for several
    #[arg(long = "dialect", value_name = "DIALECT", value_parser = dialect_name)]
    dialects: Vec<String>,
    /// Whether it may only read
    #[arg(long, value_name = "BOOL")]
    read_only: Option<bool>,
    /// When it ends: 90d, 12h, 30m from now; `never`
    #[arg(long, value_parser = expiry)]
    expires: Option<Expiry>,
    /// The highest role it may grant; users with a higher role can be changed only by connections that reach it
    #[arg(long, value_parser = role_name)]
    highest_role: Option<u32>,
    /// Which SCIM client it is: rfc, entra, okta or strict
    #[arg(long, value_parser = profile)]
    profile: Option<ClientProfile>,
    /// The public keys in PEM with which it may prove itself, instead of those that it has; repeat for several
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

fn dialect_name(text: &str) -> Result<String, String> {
    let known: Vec<&str> = dialects::grantable_dialects().map(|dialect| dialect.name).collect();
    if text == ALL || known.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("the dialects are {}, or {ALL}", known.join(", ")))
    }
}

/// The names of the APIs that the options stand for, each once.
fn named_dialects(new: &NewArgs) -> anyhow::Result<Vec<String>> {
    let scim = dialects::PROFILED_DIALECT.name;
    if new.dialects.is_empty() {
        return Ok(vec![scim.to_owned()]);
    }
    let named = expanded(&new.dialects);
    if new.profile.is_some() && !named.iter().any(|name| name == scim) {
        bail!("--profile is for SCIM clients: add `--dialect {scim}` or leave out --profile");
    }
    Ok(named)
}

/// The names of APIs, `all` replaced by those that it stands for.
fn expanded(dialects: &[String]) -> Vec<String> {
    let is_named = |name: &str, by_name: bool| dialects.iter().any(|d| d == name || (d == ALL && !by_name));
    let all = dialects::grantable_dialects().filter(|dialect| is_named(dialect.name, dialect.is_opt_in));
    all.map(|dialect| dialect.name.to_owned()).collect()
}

/// When a connection ends.
#[derive(Clone, Copy)]
enum Expiry {
    Never,
    /// In so many seconds.
    In(i64),
}

fn expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" { Ok(Expiry::Never) } else { span(text).map(Expiry::In) }
}

fn profile(text: &str) -> Result<ClientProfile, String> {
    let known = ClientProfile::ALL.into_iter().find(|profile| profile.as_str() == text);
    known.ok_or_else(|| {
        format!("the profiles are {}", ClientProfile::ALL.map(ClientProfile::as_str).join(", "))
    })
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

pub(crate) fn run(settings: &Settings, task: ConnectionTask, output: Output) -> anyhow::Result<()> {
    let desk = Desk::open_for(settings, matches!(task, ConnectionTask::List { .. }))?;
    match task {
        ConnectionTask::Add(new) => add_connection(&desk, new, output),
        ConnectionTask::List { tenant } => list_connections(&desk, tenant, output),
        ConnectionTask::Set(change) => set_connection(&desk, &change, output),
        ConnectionTask::Rotate { named, revoke_old } => {
            let (caller, connection) = find(&desk, &named)?;
            let (key, id) = (generate_api_key()?, connection.id);
            let command =
                Command::AddKey { connection: id, key_hash: hash_key(&key), revoke_others: revoke_old };
            desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            output.result(&json!({"id": id.to_string(), "name": connection.name, "key": key}), || {
                let old = if revoke_old {
                    "The keys before it stop working within a second."
                } else {
                    "The key before it works until the next rotation (--revoke-old revokes it at once)."
                };
                format!("New key of {}, shown only now:\n\n  {key}\n\n{old}", connection.name)
            });
            Ok(())
        }
        ConnectionTask::Revoke(named) => {
            let (caller, connection) = find(&desk, &named)?;
            let command = Command::RevokeConnection(connection.id);
            desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
            output.result(
                &json!({"id": connection.id.to_string(), "name": connection.name, "revoked": true}),
                || {
                    format!(
                        "{} is revoked. Its keys stop working within a second, and its name can be used again.",
                        connection.name
                    )
                },
            );
            Ok(())
        }
    }
}

fn set_connection(desk: &Desk, change: &SetArgs, output: Output) -> anyhow::Result<()> {
    let (caller, connection) = find(desk, &change.named)?;
    let many = |some: bool| if some { FieldUpdate::Set(()) } else { FieldUpdate::Keep };
    let keys = change.public_keys.iter().map(public_key).collect::<anyhow::Result<Vec<_>>>()?;
    let access = |is_read: bool| if is_read { Access::ReadOnly } else { Access::ReadWrite };
    let edit = ConnectionEdit {
        dialects: many(!change.dialects.is_empty()).map(|()| expanded(&change.dialects)),
        access: FieldUpdate::set_or_keep(change.read_only.map(access)),
        highest_role: FieldUpdate::set_or_keep(change.highest_role),
        profile: FieldUpdate::set_or_keep(change.profile),
        public_keys: many(!keys.is_empty()).map(|()| keys.clone()),
        expires: match change.expires {
            None => FieldUpdate::Keep,
            Some(Expiry::Never) => FieldUpdate::Clear,
            Some(Expiry::In(seconds)) => FieldUpdate::Set(desk.directory.now().plus_seconds(seconds)),
        },
    };
    let command = Command::UpdateConnection { connection: connection.id, edit };
    desk.runtime.block_on(desk.directory.run(&caller, command)).map_err(refused)?;
    let (_, connection) = find(desk, &change.named)?;
    let document = describe(&connection, desk.directory.now());
    output.result(&document, || {
        let role = builtin_role_name(connection.highest_role).unwrap_or_default();
        let access = document["access"].as_str().unwrap_or_default();
        let until = connection.expires.map_or_else(|| "never".into(), moment);
        format!(
            "Connection {}: {}; {access}; highest role {role}; profile {}; expires {until}. It applies within a second.",
            connection.name,
            connection.dialects.join(", "),
            connection.profile.as_str()
        )
    });
    Ok(())
}

/// A public key in a file.
fn public_key(path: &PathBuf) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    dialects::kit::check_public_key(&text).map_err(|what| anyhow!("{}: {what}", path.display()))?;
    Ok(text)
}

fn add_connection(desk: &Desk, new: NewArgs, output: Output) -> anyhow::Result<()> {
    let caller = desk.tenant(new.tenant)?;
    let key = generate_api_key()?;
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
        public_keys: new.public_keys.iter().map(public_key).collect::<anyhow::Result<_>>()?,
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
                keys(&d["keys"]),
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

/// Keys, the days on which they were made, and those on which they were last used.
fn keys(keys: &Value) -> String {
    let all = keys.as_array().into_iter().flatten();
    let one = |key: &Value| {
        let day = |name: &str| key[name].as_str().and_then(|time| time.get(..10));
        let used = day("lastUse").map_or_else(|| "not used yet".into(), |day| format!("used {day}"));
        format!(
            "{} of {} ({used})",
            key["id"].as_str().unwrap_or_default(),
            day("created").unwrap_or_default()
        )
    };
    let all: Vec<String> = all.map(one).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
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
        "highestRole": builtin_role_name(connection.highest_role),
        "isAboveUser": connection.highest_role > Connection::DEFAULT_HIGHEST_ROLE,
        "profile": connection.profile.as_str(),
        "user": connection.user.map(|user| user.to_string()),
        "publicKeys": connection.public_keys.len(),
        "state": state,
        "keys": connection.keys.iter().filter(|_| !connection.revoked).map(|key| json!({
            "id": key_id(key),
            "created": moment(key.created),
            "lastUse": key.last_use.map(moment),
        })).collect::<Vec<_>>(),
        "expires": connection.expires.map(moment),
        "lastUse": connection.last_use.map(moment),
    })
}

/// The identifier of a key: the beginning of its hash, which cannot be used to sign in.
fn key_id(key: &ApiKey) -> String {
    key.id().trim_start_matches('k').to_owned()
}

fn find(desk: &Desk, named: &Named) -> anyhow::Result<(Caller, Connection)> {
    let caller = desk.tenant(named.tenant)?;
    let all = desk.runtime.block_on(desk.directory.connections(Some(caller.tenant))).map_err(refused)?;
    let wanted = directory::fold(&named.name);
    let is_it = |c: &&Connection| directory::fold(&c.name) == wanted || c.id.to_string() == wanted;
    // A revoked one may have had the name before.
    let found = all.iter().filter(is_it).find(|c| !c.revoked).or(all.iter().find(is_it)).cloned();
    let found = found
        .with_context(|| format!("there is no connection {} in tenant {}", named.name, caller.tenant))?;
    Ok((caller, found))
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
