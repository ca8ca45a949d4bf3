//! `muster connection`: API clients, their keys and permissions.
//!
//! Commands open the store directly, also while a server is running; the server applies changes within a second.

use crate::output::Output;
use crate::roles::parse_role;
use crate::session::{AdminSession, TenantArg, format_timestamp, operator_caller};
use crate::settings::Settings;
use crate::users;
use adapters::generate_api_key;
use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand};
use dialects::kit::hash_key;
use directory::{
    Access, ApiKey, Caller, ClientProfile, Command, Connection, ConnectionEdit, FieldUpdate, NewConnection, Permission,
    TenantNumber, Time, UserKey, builtin_role_name,
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Every dialect that need not be named explicitly.
const ALL_DIALECTS: &str = "all";

#[derive(Subcommand)]
pub(crate) enum ConnectionCommand {
    /// Create a connection and print its key (shown only once)
    Add(AddArgs),
    /// List connections
    List {
        /// Only connections of this tenant
        #[arg(long)]
        tenant: Option<u32>,
    },
    /// Change a connection; omitted settings are unchanged
    Set(SetArgs),
    /// Add a key and print it (shown only once); a connection keeps its two newest keys
    Rotate {
        #[command(flatten)]
        connection_ref: ConnectionRef,
        /// Revoke all previous keys
        #[arg(long)]
        revoke_old: bool,
    },
    /// Revoke a connection permanently; its name can be reused
    Revoke(ConnectionRef),
}

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Name, unique within the tenant
    name: String,
    #[command(flatten)]
    tenant: TenantArg,
    /// API that the connection may use (repeatable; an invalid name prints the list of valid ones). `all` means every
    /// user API; sign-in and transfer must be named
    #[arg(long = "dialect", value_name = "DIALECT", value_parser = parse_dialect, required_unless_present = "profile")]
    dialects: Vec<String>,
    /// Allow only reading
    #[arg(long)]
    read_only: bool,
    /// Allow only reading and this permission: write-users, credentials or groups (repeatable; default: all three)
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = parse_permission, conflicts_with = "read_only")]
    permissions: Vec<Permission>,
    /// Time until the connection expires, such as 90d, 12h or 30m (default: never)
    #[arg(long, value_parser = parse_duration)]
    expires: Option<i64>,
    /// Highest role that the connection may grant (`muster role list`); it cannot change the sign-in or rights of users
    /// with a higher one
    #[arg(long, default_value = "User", value_parser = parse_role)]
    highest_role: u32,
    /// SCIM client type: rfc (default), entra, okta or strict (rejects deviations that the others tolerate); implies --dialect scim
    #[arg(long, value_parser = parse_profile)]
    profile: Option<ClientProfile>,
    /// User that /Me of SCIM returns: number, id, email, user name or external id
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// PEM file with a public key that verifies the client's signed assertions in token requests (repeatable)
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    connection_ref: ConnectionRef,
    /// API that the connection may use; replaces the current ones (repeatable)
    #[arg(long = "dialect", value_name = "DIALECT", value_parser = parse_dialect)]
    dialects: Vec<String>,
    /// `true`: allow only reading; `false`: allow every change. Replaces `--permission`
    #[arg(long, value_name = "BOOL")]
    read_only: Option<bool>,
    /// Allow only reading and this permission: write-users, credentials or groups; replaces the current ones (repeatable)
    #[arg(long = "permission", value_name = "PERMISSION", value_parser = parse_permission, conflicts_with = "read_only")]
    permissions: Vec<Permission>,
    /// Time until the connection expires, such as 90d, 12h or 30m, or `never`
    #[arg(long, value_parser = parse_expiry)]
    expires: Option<Expiry>,
    /// Highest role that the connection may grant (`muster role list`); it cannot change the sign-in or rights of users
    /// with a higher one
    #[arg(long, value_parser = parse_role)]
    highest_role: Option<u32>,
    /// SCIM client type: rfc, entra, okta or strict
    #[arg(long, value_parser = parse_profile)]
    profile: Option<ClientProfile>,
    /// PEM file with a public key that verifies client assertions; replaces the current public keys (repeatable)
    #[arg(long = "public-key", value_name = "FILE")]
    public_keys: Vec<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ConnectionRef {
    /// Connection name or id
    name: String,
    #[command(flatten)]
    tenant: TenantArg,
}

fn parse_dialect(text: &str) -> Result<String, String> {
    let known: Vec<&str> = dialects::grantable_dialects().map(|dialect| dialect.name).collect();
    if text == ALL_DIALECTS || known.contains(&text) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be one of {}, {ALL_DIALECTS}", known.join(", ")))
    }
}

/// The dialects that the options select, without duplicates.
fn requested_dialects(new: &AddArgs) -> anyhow::Result<Vec<String>> {
    let scim = dialects::PROFILED_DIALECT.name;
    if new.dialects.is_empty() {
        return Ok(vec![scim.to_owned()]);
    }
    let dialects = expand_dialects(&new.dialects);
    if new.profile.is_some() && !dialects.iter().any(|name| name == scim) {
        bail!("--profile is for SCIM clients: add `--dialect {scim}` or remove --profile");
    }
    Ok(dialects)
}

/// Replaces `all` by the dialects that it includes.
fn expand_dialects(dialects: &[String]) -> Vec<String> {
    let is_named = |name: &str, by_name: bool| dialects.iter().any(|d| d == name || (d == ALL_DIALECTS && !by_name));
    let all = dialects::grantable_dialects().filter(|dialect| is_named(dialect.name, dialect.is_opt_in));
    all.map(|dialect| dialect.name.to_owned()).collect()
}

#[derive(Clone, Copy)]
enum Expiry {
    Never,
    /// Seconds from now.
    In(i64),
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if text == "never" { Ok(Expiry::Never) } else { parse_duration(text).map(Expiry::In) }
}

fn parse_permission(text: &str) -> Result<Permission, String> {
    // Every connection may read.
    let optional = || Connection::PERMISSIONS.into_iter().filter(|permission| *permission != Permission::ReadUsers);
    let names = || optional().map(Permission::as_str).collect::<Vec<_>>().join(", ");
    optional().find(|permission| permission.as_str() == text).ok_or_else(|| format!("must be one of {}", names()))
}

fn parse_profile(text: &str) -> Result<ClientProfile, String> {
    let known = ClientProfile::ALL.into_iter().find(|profile| profile.as_str() == text);
    known.ok_or_else(|| format!("must be one of {}", ClientProfile::ALL.map(ClientProfile::as_str).join(", ")))
}

/// Seconds of `90d`, `12h`, `30m` or `45s`.
pub(crate) fn parse_duration(text: &str) -> Result<i64, String> {
    let invalid = || "must be a number with a unit, such as 90d, 12h, 30m or 45s".to_owned();
    let unit = match text.chars().last().ok_or_else(invalid)? {
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        's' => 1,
        _ => return Err(invalid()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| invalid())?;
    if number == 0 { Err(invalid()) } else { Ok(i64::from(number) * unit) }
}

pub(crate) fn run(settings: &Settings, command: ConnectionCommand, output: Output) -> anyhow::Result<()> {
    let session = AdminSession::open_for(settings, matches!(command, ConnectionCommand::List { .. }))?;
    match command {
        ConnectionCommand::Add(new) => add_connection(&session, new, output),
        ConnectionCommand::List { tenant } => list_connections(&session, tenant, output),
        ConnectionCommand::Set(change) => set_connection(&session, &change, output),
        ConnectionCommand::Rotate { connection_ref, revoke_old } => {
            let (caller, connection) = find_connection(&session, &connection_ref)?;
            let (key, id) = (generate_api_key()?, connection.id);
            let command = Command::AddKey { connection: id, key_hash: hash_key(&key), revoke_others: revoke_old };
            session.wait(session.directory.run(&caller, command))?;
            output.result(&json!({"id": id.to_string(), "name": connection.name, "key": key}), || {
                let old = if revoke_old {
                    "The previous keys stop working within a second."
                } else {
                    "The previous key works until the next rotation. To revoke it now, use --revoke-old."
                };
                format!("New key for {} (shown only once):\n\n  {key}\n\n{old}", connection.name)
            });
            Ok(())
        }
        ConnectionCommand::Revoke(connection_ref) => {
            let (caller, connection) = find_connection(&session, &connection_ref)?;
            let command = Command::RevokeConnection(connection.id);
            session.wait(session.directory.run(&caller, command))?;
            output.result(&json!({"id": connection.id.to_string(), "name": connection.name, "revoked": true}), || {
                format!(
                    "Revoked connection {}. Its keys stop working within a second, and its name can be reused.",
                    connection.name
                )
            });
            Ok(())
        }
    }
}

fn set_connection(session: &AdminSession, change: &SetArgs, output: Output) -> anyhow::Result<()> {
    let (caller, connection) = find_connection(session, &change.connection_ref)?;
    let set_if = |some: bool| if some { FieldUpdate::Set(()) } else { FieldUpdate::Keep };
    let keys = change.public_keys.iter().map(read_public_key).collect::<anyhow::Result<Vec<_>>>()?;
    let access = |is_read: bool| if is_read { Access::ReadOnly } else { Access::ReadWrite };
    let edit = ConnectionEdit {
        dialects: set_if(!change.dialects.is_empty()).map(|()| expand_dialects(&change.dialects)),
        access: FieldUpdate::set_or_keep(change.read_only.map(access)),
        permissions: set_if(!change.permissions.is_empty()).map(|()| change.permissions.clone()),
        highest_role: FieldUpdate::set_or_keep(change.highest_role),
        profile: FieldUpdate::set_or_keep(change.profile),
        public_keys: set_if(!keys.is_empty()).map(|()| keys.clone()),
        expires: match change.expires {
            None => FieldUpdate::Keep,
            Some(Expiry::Never) => FieldUpdate::Clear,
            Some(Expiry::In(seconds)) => FieldUpdate::Set(session.directory.now().plus_seconds(seconds)),
        },
    };
    let command = Command::UpdateConnection { connection: connection.id, edit };
    session.wait(session.directory.run(&caller, command))?;
    let (_, connection) = find_connection(session, &change.connection_ref)?;
    let document = connection_json(&connection, session.directory.now());
    output.result(&document, || {
        let role = builtin_role_name(connection.highest_role).unwrap_or_default();
        let access = document["access"].as_str().unwrap_or_default();
        let until = connection.expires.map_or_else(|| "never".into(), format_timestamp);
        format!(
            "Connection {}: {}; {access}; highest role {role}; profile {}; expires {until}. Changes apply within a second.",
            connection.name,
            connection.dialects.join(", "),
            connection.profile.as_str()
        )
    });
    Ok(())
}

fn read_public_key(path: &PathBuf) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    dialects::kit::check_public_key(&text).map_err(|what| anyhow!("{}: {what}", path.display()))?;
    Ok(text)
}

fn add_connection(session: &AdminSession, new: AddArgs, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(new.tenant)?;
    let key = generate_api_key()?;
    let dialects = requested_dialects(&new)?;
    let command = Command::AddConnection(NewConnection {
        access: if new.read_only { Access::ReadOnly } else { Access::ReadWrite },
        permissions: Some(new.permissions).filter(|permissions| !permissions.is_empty()),
        highest_role: new.highest_role,
        expires: new.expires.map(|seconds| session.directory.now().plus_seconds(seconds)),
        profile: new.profile.unwrap_or_default(),
        user: new
            .user
            .as_deref()
            .map(|who| users::find_user(session, &caller, who))
            .transpose()?
            .map(|u| UserKey::Id(u.id)),
        public_keys: new.public_keys.iter().map(read_public_key).collect::<anyhow::Result<_>>()?,
        ..NewConnection::new(new.name.clone(), dialects, hash_key(&key))
    });
    session.wait(session.directory.run(&caller, command))?;
    let added = ConnectionRef { name: new.name, tenant: TenantArg { tenant: Some(caller.tenant.0) } };
    let (_, connection) = find_connection(session, &added)?;
    let mut document = connection_json(&connection, session.directory.now());
    document["key"] = json!(key);
    output.result(&document, || {
        format!(
            "Created connection {} for tenant {} ({}).\nClient id: {}\nKey (shown only once):\n\n  {key}\n",
            connection.name,
            connection.tenant,
            connection.dialects.join(", "),
            connection.id
        )
    });
    Ok(())
}

fn list_connections(session: &AdminSession, tenant: Option<u32>, output: Output) -> anyhow::Result<()> {
    let all = match tenant {
        Some(tenant) => session.wait(session.directory.connections(&operator_caller(TenantNumber(tenant))))?,
        None => session.wait(session.directory.all_connections(&operator_caller(Caller::NO_TENANT)))?,
    };
    let now = session.directory.now();
    let document: Vec<Value> = all.iter().map(|connection| connection_json(connection, now)).collect();
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
                keys_text(&d["keys"]),
                text(&d["expires"]),
                text(&d["lastUse"]),
            ]
        })
        .collect();
    let headings = ["tenant", "name", "dialects", "access", "highest role", "state", "keys", "expires", "last use"];
    let empty = "No connections yet. Create one with `muster connection add NAME --tenant N --dialect DIALECT`.";
    output.rows(&document.clone().into(), &headings, rows, empty);
    Ok(())
}

/// Ids of keys, with the days of their creation and last use.
fn keys_text(keys: &Value) -> String {
    let all = keys.as_array().into_iter().flatten();
    let one = |key: &Value| {
        let day = |name: &str| key[name].as_str().and_then(|time| time.get(..10));
        let used = day("lastUse").map_or_else(|| "never used".into(), |day| format!("used {day}"));
        format!("{} created {} ({used})", key["id"].as_str().unwrap_or_default(), day("created").unwrap_or_default())
    };
    let all: Vec<String> = all.map(one).collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

fn connection_json(connection: &Connection, now: Time) -> Value {
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
        "permissions": connection.permissions().iter().map(|permission| permission.as_str()).collect::<Vec<_>>(),
        "highestRole": builtin_role_name(connection.highest_role),
        "isAboveUser": connection.highest_role > Connection::DEFAULT_HIGHEST_ROLE,
        "profile": connection.profile.as_str(),
        "user": connection.user.map(|user| user.to_string()),
        "publicKeys": connection.public_keys.len(),
        "state": state,
        "keys": connection.keys.iter().filter(|_| !connection.revoked).map(|key| json!({
            "id": key_id(key),
            "created": format_timestamp(key.created),
            "lastUse": key.last_use.map(format_timestamp),
        })).collect::<Vec<_>>(),
        "expires": connection.expires.map(format_timestamp),
        "lastUse": connection.last_use.map(format_timestamp),
    })
}

/// The start of the key's hash, which cannot be used to sign in.
fn key_id(key: &ApiKey) -> String {
    key.id().trim_start_matches('k').to_owned()
}

fn find_connection(session: &AdminSession, connection_ref: &ConnectionRef) -> anyhow::Result<(Caller, Connection)> {
    let caller = session.caller_in_tenant(connection_ref.tenant)?;
    let all = session.wait(session.directory.connections(&caller))?;
    let key = directory::fold(&connection_ref.name);
    let matches = |c: &&Connection| directory::fold(&c.name) == key || c.id.to_string() == key;
    // A revoked connection may have the same name.
    let found = all.iter().filter(matches).find(|c| !c.revoked).or(all.iter().find(matches)).cloned();
    let found =
        found.with_context(|| format!("there is no connection {} in tenant {}", connection_ref.name, caller.tenant))?;
    Ok((caller, found))
}

#[cfg(test)]
mod tests {
    #[test]
    fn spans() {
        assert_eq!(super::parse_duration("90d"), Ok(7_776_000));
        assert_eq!(super::parse_duration("45s"), Ok(45));
        for bad in ["", "d", "90", "0d", "-1d", "1.5h", "9999999999d"] {
            assert!(super::parse_duration(bad).is_err(), "{bad}");
        }
    }
}
