//! Credentials of targets, and `muster secrets`: the master key that encrypts them.

use crate::output::Output;
use crate::session::AdminSession;
use crate::settings::Settings;
use anyhow::{Context, bail};
use clap::Subcommand;
use directory::{Caller, Command, ExposeSecret, SealedSecret, SecretString, TargetChange, Time};
use gateway::{MasterKeySource, MasterKeys};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

#[derive(Subcommand)]
pub(crate) enum SecretsCommand {
    /// Encrypt all credentials under the first key of the master key file
    Rekey,
}

/// The longest credential, in bytes.
const MAX_SECRET_BYTES: u64 = 16 * 1024;

/// The master keys, to decrypt.
pub(crate) fn master_keys(settings: &Settings) -> anyhow::Result<MasterKeys> {
    Ok(MasterKeySource(settings.secrets_key_path()).load()?)
}

/// The master keys, to encrypt. A SQLite store without them gets a file beside it.
pub(crate) fn master_keys_or_new(settings: &Settings) -> anyhow::Result<MasterKeys> {
    match settings.secrets_key_path() {
        Some(path) if settings.secrets_key.is_none() => Ok(MasterKeys::load_or_create(&path)?),
        _ => master_keys(settings),
    }
}

/// Reads a credential from a file, or from standard input. Not from the command line: other users can see that.
pub(crate) fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    let context = || format!("cannot read the credential {} (--key-file)", path.display());
    if path == Path::new("-") {
        std::io::stdin().take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).with_context(context)?;
    } else {
        let file = std::fs::File::open(path).with_context(context)?;
        file.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text).with_context(context)?;
    }
    if text.len() as u64 > MAX_SECRET_BYTES || text.trim().is_empty() {
        bail!("the credential {} is empty or larger than 16 KiB (--key-file)", path.display());
    }
    Ok(SecretString::from(text.trim().to_owned()))
}

/// When a token ends, if it is a JWT that says so (RFC 7519 section 4.1.4). Its signature is of no interest here.
pub(crate) fn jwt_expiry(secret: &SecretString) -> Option<Time> {
    let parts: Vec<&str> = secret.expose_secret().split('.').collect();
    let [_, claims, _] = parts.as_slice() else { return None };
    let claims: Value = serde_json::from_slice(&dialects::kit::decode_base64url(claims)?).ok()?;
    Some(Time(claims["exp"].as_i64()?.checked_mul(1_000_000)?))
}

pub(crate) fn run(settings: &Settings, command: &SecretsCommand, output: Output) -> anyhow::Result<()> {
    let SecretsCommand::Rekey = command;
    let session = AdminSession::open(settings)?;
    let keys = master_keys(settings)?;
    let targets = session.wait(session.directory.targets_and_removed(&Caller::installation()))?;
    let (mut count, mut failed) = (0, Vec::new());
    for target in targets.into_iter().filter(|target| !target.is_removed()) {
        let caller = crate::session::operator_caller(target.tenant);
        let query = SealedSecret::of_owner(target.tenant, target.secret_owner());
        let stored: Vec<SealedSecret> = session.wait(session.directory.target_records(&caller, query))?;
        // All of them: those that are not named would be deleted with the current one.
        let (mut sealed, mut encrypted) = (Vec::new(), 0);
        for secret in stored {
            if secret.key_id == keys.current_id() {
                sealed.push(secret);
                continue;
            }
            match keys.open(&secret) {
                Ok(text) => {
                    sealed.push(keys.seal(secret, &text)?);
                    encrypted += 1;
                }
                Err(error) => {
                    failed.push(format!("{} of tenant {}: {error}", target.name, target.tenant));
                    sealed.push(secret);
                }
            }
        }
        if encrypted > 0 {
            count += encrypted;
            let change = TargetChange { before: Some(target.clone()), after: target, secrets: sealed };
            session.wait(session.directory.run(&caller, Command::PutTarget(Box::new(change))))?;
        }
    }
    output.result(&json!({"encrypted": count, "failed": failed}), || {
        let mut text = format!("Encrypted {count} credentials under master key {}.", keys.current_id());
        for line in &failed {
            text.push_str(&format!("\nCannot decrypt {line}"));
        }
        text
    });
    if failed.is_empty() { Ok(()) } else { bail!("{} credentials cannot be decrypted", failed.len()) }
}
