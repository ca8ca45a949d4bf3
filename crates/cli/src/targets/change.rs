//! Adds, changes and removes targets.

use super::scope_args::ScopeArgs;
use super::{TargetRef, find_target, put};
use crate::output::Output;
use crate::secrets::{jwt_expiry, master_keys_or_new, read_secret};
use crate::session::{AdminSession, TenantArg};
use crate::settings::Settings;
use anyhow::{Context, bail};
use clap::Args;
use dialects::kit::TargetClient;
use directory::{
    Command, CredentialKind, Deprovisioning, PasswordPolicy, SealedSecret, SecretString, SecretUse, Target,
    TargetChange, TargetLimits, TargetState, Time,
};
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(crate) struct AddArgs {
    /// Name, unique within the tenant
    name: String,
    #[command(flatten)]
    tenant: TenantArg,
    /// API of the target (an invalid name prints the list of valid ones)
    #[arg(long, value_parser = parse_dialect)]
    dialect: String,
    /// Where its API begins, such as `https://example.com/scim/v2` (see docs/gateway.md for each API)
    #[arg(long)]
    url: String,
    /// Number of the company in the target, for APIs that have one
    #[arg(long, value_name = "NUMBER")]
    company: Option<String>,
    #[command(flatten)]
    credential: CredentialArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Address that may be called although it is not public or not encrypted: a network such as 10.1.0.0/16, or a host
    /// with its port (repeatable)
    #[arg(long = "dial-allow", value_name = "CIDR|HOST:PORT")]
    dial_allow: Vec<String>,
    /// Root certificates in PEM that are trusted in addition to those of the operating system
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

/// How requests are authenticated.
#[derive(Args)]
pub(crate) struct CredentialArgs {
    /// File with the key, token, password, client secret or private key; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Time until the credential expires, such as 90d; read from the token if it is a JWT
    #[arg(long, value_name = "DURATION", value_parser = crate::connections::parse_duration)]
    key_expires: Option<i64>,
    #[command(flatten)]
    kind: CredentialKindArgs,
}

#[derive(Args)]
pub(crate) struct CredentialKindArgs {
    /// Send the credential as the password of this user (HTTP Basic)
    #[arg(long, value_name = "USER", conflicts_with = "token_url")]
    basic_user: Option<String>,
    /// Exchange the credential for tokens at this OAuth endpoint (client credentials)
    #[arg(long, value_name = "URL", requires = "client_id")]
    token_url: Option<String>,
    /// OAuth: id of the client
    #[arg(long, value_name = "ID", requires = "token_url")]
    client_id: Option<String>,
    /// OAuth: scope of the tokens
    #[arg(long, requires = "token_url")]
    scope: Option<String>,
    /// OAuth: the credential is a private key in PEM, P-256 or RSA (`private_key_jwt`)
    #[arg(long, requires = "token_url")]
    private_key: bool,
}

#[derive(Args)]
pub(crate) struct LimitArgs {
    /// Requests per second, on average; 0 for no limit (default: 10)
    #[arg(long, value_parser = parse_rate)]
    rate: Option<u32>,
    /// Requests at the same time (default of a new target: 4, or 32 with --rate 0)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    concurrency: Option<u32>,
    /// Time limit of a request in seconds (default: 10)
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
    timeout: Option<u32>,
}

#[derive(Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    target: TargetRef,
    /// Where its API begins; needs the credential again
    #[arg(long, requires = "key_file")]
    url: Option<String>,
    /// File with the credential; - reads it from standard input
    #[arg(long, value_name = "FILE", requires = "url")]
    key_file: Option<PathBuf>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    /// Remove the scope filter: push all users
    #[arg(long, conflicts_with = "scope_filter")]
    no_scope_filter: bool,
    /// Apply the change even if the accounts of more than a tenth of the users, and of more than 10, would be deactivated or
    /// deleted
    #[arg(long)]
    force: bool,
    /// Address that may be called although it is not public or not encrypted; replaces the current ones (repeatable)
    #[arg(long = "dial-allow", value_name = "CIDR|HOST:PORT")]
    dial_allow: Vec<String>,
    /// Call only public addresses, and only encrypted
    #[arg(long, conflicts_with = "dial_allow")]
    no_dial_allow: bool,
}

#[derive(Args)]
pub(crate) struct KeyArgs {
    #[command(flatten)]
    target: TargetRef,
    /// File with the credential; - reads it from standard input
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// Time until the credential expires, such as 90d; read from the token if it is a JWT
    #[arg(long, value_name = "DURATION", value_parser = crate::connections::parse_duration)]
    key_expires: Option<i64>,
    /// Keep the current credential until the new one has succeeded in a request
    #[arg(long)]
    next: bool,
}

fn parse_dialect(text: &str) -> Result<String, String> {
    let known: Vec<&str> = dialects::target_clients().map(TargetClient::name).collect();
    if known.contains(&text) { Ok(text.to_owned()) } else { Err(format!("must be one of: {}", known.join(", "))) }
}

/// Requests per second as requests per minute.
fn parse_rate(text: &str) -> Result<u32, String> {
    let invalid = || "must be a number of requests per second between 0.02 and 100000, or 0".to_owned();
    let rate: f64 = text.parse().map_err(|_| invalid())?;
    if rate != 0.0 && !(0.02..=100_000.0).contains(&rate) {
        return Err(invalid());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the range")]
    Ok((rate * 60.0).round() as u32)
}

impl LimitArgs {
    fn apply(&self, limits: TargetLimits) -> TargetLimits {
        TargetLimits {
            requests_per_minute: self.rate.unwrap_or(limits.requests_per_minute),
            concurrency: self.concurrency.unwrap_or(limits.concurrency),
            timeout_seconds: self.timeout.unwrap_or(limits.timeout_seconds),
            ..limits
        }
    }
}

impl CredentialKindArgs {
    fn kind(self, dialect: &str) -> anyhow::Result<CredentialKind> {
        Ok(match (self.basic_user, self.token_url, self.client_id) {
            (Some(user), ..) if user.contains(':') => bail!("a user name must not contain a colon (--basic-user)"),
            (Some(user), ..) => CredentialKind::Basic { user },
            (None, Some(token_url), Some(client_id)) => CredentialKind::ClientCredentials {
                token_url,
                client_id,
                scope: self.scope,
                has_private_key: self.private_key,
            },
            _ if dialects::target_client(dialect).is_some_and(TargetClient::needs_account) => CredentialKind::Key,
            _ => CredentialKind::Bearer,
        })
    }
}

const UNLIMITED_CONCURRENCY: u32 = 32;

/// Checks what the core cannot know: addresses, URLs and certificates.
fn check(target: &Target) -> anyhow::Result<()> {
    for address in &target.allowed_addresses {
        address.parse::<gateway::AllowedTarget>().with_context(|| "--dial-allow".to_owned())?;
    }
    super::scope_args::check(target)?;
    check_url(target, &target.url, "--url")?;
    if let CredentialKind::ClientCredentials { token_url, .. } = &target.credential {
        check_url(target, token_url, "--token-url")?;
    }
    let is_company = |text: &str| !text.is_empty() && text.len() <= 100 && text.chars().all(|c| c.is_ascii_graphic());
    if target.account.as_deref().is_some_and(|company| !is_company(company)) {
        bail!("the company must be 1 to 100 visible ASCII characters (--company)");
    }
    gateway::parse_certificates(target.ca_certificates.as_deref().unwrap_or_default())
        .map_err(|_| anyhow::anyhow!("the root certificates are not valid PEM (--ca-file)"))?;
    Ok(())
}

fn check_url(target: &Target, url: &str, option: &str) -> anyhow::Result<()> {
    let is_encrypted = url.starts_with("https://");
    if !is_encrypted && !url.starts_with("http://") {
        bail!("the URL must begin with https:// ({option})");
    }
    if !is_encrypted && target.allowed_addresses.is_empty() {
        bail!(
            "the URL must begin with https://; to call an address without encryption, allow it, such as \
             `--dial-allow HOST:PORT` ({option})"
        );
    }
    if url.contains(['?', '#', '@']) || !url.chars().all(|c| c.is_ascii_graphic()) {
        bail!("the URL must be ASCII without spaces, user name, query and fragment ({option})");
    }
    Ok(())
}

pub(super) fn add(settings: &Settings, session: &AdminSession, new: AddArgs, output: Output) -> anyhow::Result<()> {
    let caller = session.caller_in_tenant(new.tenant)?;
    let needs_account = dialects::target_client(&new.dialect).is_some_and(TargetClient::needs_account);
    match (&new.company, needs_account) {
        (None, true) => bail!("{} needs the number of the company (--company)", new.dialect),
        (Some(_), false) => bail!("{} has no companies (--company)", new.dialect),
        _ => {}
    }
    let mut limits = new.limits.apply(TargetLimits::default());
    if limits.requests_per_minute == 0 && new.limits.concurrency.is_none() {
        // Few requests at a time would limit the rate.
        limits.concurrency = UNLIMITED_CONCURRENCY;
    }
    let now = session.directory.now();
    let secret = read_secret(&new.credential.key_file)?;
    let expires = new.credential.key_expires;
    let mut target = Target {
        id: session.directory.new_id(),
        tenant: caller.tenant,
        number: 0,
        version: 0,
        name: new.name,
        url: new.url.trim_end_matches('/').to_owned(),
        account: new.company,
        credential: new.credential.kind.kind(&new.dialect)?,
        dialect: new.dialect,
        state: TargetState::Active,
        scope: None,
        deprovisioning: Deprovisioning::default(),
        passwords: PasswordPolicy::default(),
        limits,
        mapping: Vec::new(),
        allowed_addresses: new.dial_allow,
        ca_certificates: new.ca_file.as_deref().map(read_text).transpose()?,
        capabilities: None,
        created: now,
    };
    new.scope.apply(&mut target);
    check(&target)?;
    let secret = seal(settings, &target, &secret, (SecretUse::Current, 1, now), expiry(now, expires, &secret))?;
    let name = target.name.clone();
    let change = TargetChange { before: None, after: target, secrets: vec![secret] };
    session.wait(session.directory.run(&caller, Command::PutTarget(Box::new(change))))?;
    let tenant = caller.tenant;
    output.result(&json!({"name": name, "tenant": tenant.0}), || {
        format!(
            "Added target {name}. Its users are pushed while a server is running.\n\
             Test it with `muster target test {name} --tenant {tenant}`; see what happens with `muster target status {name} --tenant {tenant}`."
        )
    });
    Ok(())
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn expiry(now: Time, seconds: Option<i64>, secret: &SecretString) -> Option<Time> {
    seconds.map(|seconds| now.plus_seconds(seconds)).or_else(|| jwt_expiry(secret))
}

/// Encrypts a credential for a target.
fn seal(
    settings: &Settings,
    target: &Target,
    secret: &SecretString,
    (use_, version, now): (SecretUse, u32, Time),
    expires: Option<Time>,
) -> anyhow::Result<SealedSecret> {
    gateway::check_credential(&target.credential, secret)?;
    let keys = master_keys_or_new(settings)?;
    let slot = SealedSecret {
        tenant: target.tenant,
        owner: target.secret_owner(),
        use_,
        version,
        key_id: String::new(),
        sealed: Vec::new(),
        created: now,
        expires,
        last_success: None,
    };
    Ok(keys.seal(slot, secret)?)
}

/// The version of a target's next credential.
fn next_version(session: &AdminSession, caller: &directory::Caller, target: &Target) -> anyhow::Result<u32> {
    let query = SealedSecret::of_owner(target.tenant, target.secret_owner());
    let stored: Vec<SealedSecret> = session.wait(session.directory.target_records(caller, query))?;
    Ok(stored.iter().map(|secret| secret.version).max().unwrap_or(0) + 1)
}

pub(super) fn set(settings: &Settings, session: &AdminSession, args: SetArgs, output: Output) -> anyhow::Result<()> {
    let (caller, before) = find_target(session, &args.target)?;
    let mut after = before.clone();
    after.limits = args.limits.apply(before.limits);
    args.scope.apply(&mut after);
    if args.no_scope_filter {
        after.scope = None;
    }
    if !args.dial_allow.is_empty() || args.no_dial_allow {
        after.allowed_addresses = args.dial_allow;
    }
    let mut secrets = Vec::new();
    if let (Some(url), Some(file)) = (&args.url, &args.key_file) {
        // Before the check, which must be as late as possible: the file can be standard input.
        let secret = read_secret(file)?;
        url.trim_end_matches('/').clone_into(&mut after.url);
        let has_accounts = super::show::may_have_accounts(session, &caller, &before)?;
        if after.url != before.url && has_accounts {
            // The ids of accounts are those of the system at the old URL.
            bail!("{} has accounts at its URL; remove it and add the new URL as another target (--url)", before.name);
        }
        let version = next_version(session, &caller, &before)?;
        let expires = jwt_expiry(&secret);
        secrets.push(seal(settings, &after, &secret, (SecretUse::Current, version, session.directory.now()), expires)?);
        // Another system can do other things.
        after.capabilities = None;
    }
    check(&after)?;
    super::rules_of(&after)?;
    if !args.force {
        super::scope_args::check_loss(session, &caller, &before, &after)?;
    }
    put(session, &caller, before, after, secrets)?;
    super::show::show(session, &args.target, output)
}

pub(super) fn set_key(
    settings: &Settings,
    session: &AdminSession,
    args: &KeyArgs,
    output: Output,
) -> anyhow::Result<()> {
    let (caller, target) = find_target(session, &args.target)?;
    let secret = read_secret(&args.key_file)?;
    let use_ = if args.next { SecretUse::Next } else { SecretUse::Current };
    let version = next_version(session, &caller, &target)?;
    let expires = expiry(session.directory.now(), args.key_expires, &secret);
    let sealed = seal(settings, &target, &secret, (use_, version, session.directory.now()), expires)?;
    // The version of the target changes, so that its worker starts again with the new credential.
    put(session, &caller, target.clone(), target.clone(), vec![sealed])?;
    output.result(&json!({"name": target.name, "use": use_.as_str()}), || match use_ {
        SecretUse::Next => {
            format!("The new credential of {} replaces the current one once it has succeeded.", target.name)
        }
        SecretUse::Current | SecretUse::Previous => format!("Set the credential of {}.", target.name),
    });
    Ok(())
}

fn set_state(session: &AdminSession, target: &TargetRef, state: TargetState) -> anyhow::Result<Target> {
    let (caller, before) = find_target(session, target)?;
    let after = Target { state, ..before.clone() };
    put(session, &caller, before, after.clone(), Vec::new())?;
    Ok(after)
}

pub(super) fn pause(session: &AdminSession, target: &TargetRef, output: Output) -> anyhow::Result<()> {
    let reason = "by the operator".into();
    let target = set_state(session, target, TargetState::Paused { reason })?;
    output.result(&json!({"name": target.name, "state": "paused"}), || {
        format!("Paused {}. Changes are kept for it; `muster target resume {}` continues.", target.name, target.name)
    });
    Ok(())
}

pub(super) fn resume(session: &AdminSession, target: &TargetRef, output: Output) -> anyhow::Result<()> {
    let target = set_state(session, target, TargetState::Active)?;
    output.result(&json!({"name": target.name, "state": "active"}), || format!("Resumed {}.", target.name));
    Ok(())
}

pub(super) fn remove(session: &AdminSession, target: &TargetRef, output: Output) -> anyhow::Result<()> {
    let target = set_state(session, target, TargetState::Removed)?;
    output.result(&json!({"name": target.name, "removed": true}), || {
        format!("Removed {}. Its accounts stay as they are.", target.name)
    });
    Ok(())
}
