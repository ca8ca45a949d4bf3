//! `muster backup`, `muster restore`, `muster move`, `muster check`: whole stores.

use crate::admin::moment;
use crate::backup::{self, About, Backup, Lock, Opener};
use crate::moving;
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::settings::Settings;
use adapters::shown;
use adapters::{Engine, StoreSettings, SystemClock};
use anyhow::Context;
use clap::Args;
use directory::{Clock, SecretString};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use store::archive::Sums;
use store::hex;

#[derive(Args)]
pub(crate) struct BackupArgs {
    /// The file to make; it must not be there yet
    file: PathBuf,
    /// Encrypt it for whoever holds the identity of this age recipient (age1…); repeat for several
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Vec<String>,
    /// Encrypt it with the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "recipient")]
    passphrase_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    file: PathBuf,
    /// What opens an encrypted one: a file of age identities, such as age-keygen writes
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Or the passphrase in this file
    #[arg(long, value_name = "FILE", conflicts_with = "identity")]
    passphrase_file: Option<PathBuf>,
    /// Look whether it is sound and what is in it, and leave it at that
    #[arg(long)]
    check_only: bool,
}

#[derive(Args)]
pub(crate) struct MoveArgs {
    /// The store to move: a file, or <postgres://USER@HOST/DATABASE>
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    /// Where to: a file or database that holds nothing yet
    #[arg(long, value_name = "FILE|URL")]
    to: String,
}

pub(crate) fn backup(settings: &Settings, task: &BackupArgs, output: Output) -> anyhow::Result<()> {
    let store = settings.of_store();
    let lock = match (&task.passphrase_file, task.recipient.as_slice()) {
        (Some(file), _) => Lock::Passphrase(passphrase(file)?),
        (None, []) => Lock::Open,
        (None, recipients) => Lock::for_recipients(recipients.iter().map(String::as_str))?,
    };
    let about = About {
        made: moment(SystemClock.now()),
        engine: Engine::name(&store).into(),
        muster: env!("CARGO_PKG_VERSION").into(),
    };
    let dump = Engine::dump_from(&store)?;
    let mut progress = Progress::new(output, "entries", None);
    let made = backup::write(&task.file, &about, &lock, dump, |_| progress.add(1));
    progress.finish();
    let file = task.file.display();
    let sums = made.with_context(|| format!("no backup was made at {file}"))?;
    let bytes = std::fs::metadata(&task.file)?.len();
    let mut document = describe(&sums);
    document["file"] = json!(task.file);
    document["bytes"] = json!(bytes);
    output.result(&document, || {
        format!("{}\n\n{file} holds all of it, as it was at {}: {bytes} bytes.", tenants(&sums), about.made)
    });
    Ok(())
}

pub(crate) fn restore(settings: &Settings, task: &RestoreArgs, output: Output) -> anyhow::Result<()> {
    let opener = match (&task.identity, &task.passphrase_file) {
        (Some(file), _) => Opener::with_identities(&text(file)?)?,
        (None, Some(file)) => Opener::with_passphrase(&passphrase(file)?),
        (None, None) => Opener::none(),
    };
    let file = task.file.display().to_string();
    let mut progress = Progress::new(output, "entries looked at", None);
    let backup = Backup::check(&task.file, opener, || progress.add(1));
    progress.finish();
    let backup = backup.with_context(|| format!("{file} was not used"))?;
    let mut document = describe(&backup.sums);
    document["made"] = json!(backup.about.made);
    if task.check_only {
        output.result(&document, || {
            format!("{}\n\n{file} is sound; it was made at {}.", tenants(&backup.sums), backup.about.made)
        });
        return Ok(());
    }
    let mut progress = Progress::new(output, "entries", Some(backup.entries));
    let restored = moving::restore(&backup, &file, &settings.of_store(), &mut || progress.add(1));
    progress.finish();
    let sums = restored.with_context(|| format!("{file} was not restored"))?;
    output.result(&document, || {
        format!(
            "{}\n\n{} holds all of it, as it was at {}.",
            tenants(&sums),
            shown(&settings.store),
            backup.about.made
        )
    });
    Ok(())
}

pub(crate) fn carry(settings: &Settings, task: MoveArgs, output: Output) -> anyhow::Result<()> {
    let at = |place: String| StoreSettings { place, ..settings.of_store() };
    let (from, to) = (at(task.from), at(task.to));
    let mut progress = Progress::new(output, "entries", None);
    let moved = moving::carry(&from, &to, &mut || progress.add(1));
    progress.finish();
    let sums = moved?;
    let is_relinked = Engine::name(&from) != Engine::name(&to);
    output.result(&describe(&sums), || {
        let mut text = format!(
            "{}\n\n{} holds all of it now, read back and compared; {} was left as it is.",
            tenants(&sums),
            shown(&to.place),
            shown(&from.place)
        );
        if is_relinked {
            text += "\nThe history was proven and is linked anew there: note its new end, `muster audit verify` says it.";
        }
        text
    });
    Ok(())
}

pub(crate) fn check(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let found = Engine::check(&settings.of_store())?;
    let place = shown(&settings.store);
    output.result(&json!({"sound": found.is_empty(), "found": found}), || {
        if found.is_empty() {
            format!("{place} is sound.")
        } else {
            format!("{place} is damaged:\n  {}", found.join("\n  "))
        }
    });
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Passphrases come in files, so that they are in no list of processes.
fn passphrase(path: &Path) -> anyhow::Result<SecretString> {
    let text = text(path)?;
    let line = text.lines().next().unwrap_or_default();
    anyhow::ensure!(!line.is_empty(), "{} holds no passphrase", path.display());
    Ok(line.to_owned().into())
}

fn describe(sums: &Sums) -> Value {
    let tenants = sums.iter().map(|(tenant, sums)| {
        let counts = sums.counts;
        json!({
            "tenant": tenant, "people": counts.people, "items": counts.items, "memberships": counts.memberships,
            "deleted": counts.deleted, "connections": counts.connections, "mails": counts.mails, "events": counts.events,
            "digest": hex(&sums.digest),
        })
    });
    json!({ "tenants": tenants.collect::<Vec<_>>() })
}

fn tenants(sums: &Sums) -> String {
    let rows = sums.iter().filter(|(tenant, _)| **tenant > 0).map(|(tenant, sums)| {
        let counts = sums.counts;
        let numbers = [counts.people, counts.items, counts.memberships, counts.deleted, counts.events];
        let numbers = numbers.iter().map(u64::to_string);
        std::iter::once(tenant.to_string()).chain(numbers).chain([hex(&sums.digest[..8])]).collect()
    });
    let headings = ["tenant", "people", "items", "memberships", "deleted", "events", "digest"];
    table(&headings, rows.collect())
}
