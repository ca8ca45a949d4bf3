//! `muster backup`, `muster restore`, `muster move` and `muster check`: commands for whole stores.

use crate::backup::{self, Backup, BackupHeader, BackupSummary};
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::session::format_timestamp;
use crate::settings::Settings;
use crate::store_copy;
use adapters::redacted_location;
use adapters::{StoreSettings, SystemClock};
use anyhow::{Context, bail};
use clap::Args;
use directory::Clock;
use serde_json::{Value, json};
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use store::archive::Sums;
use store::{CheckReport, hex};

#[derive(Args)]
pub(crate) struct BackupArgs {
    /// Backup file, which must not exist; - is standard output, and messages then go to standard error
    file: PathBuf,
    /// Fail after this many minutes, since the write-ahead log grows meanwhile (0: no limit; ignored for PostgreSQL)
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    max_minutes: u32,
    /// Removed; the error names the replacement
    #[arg(long, hide = true)]
    recipient: Vec<String>,
    /// Removed; the error names the replacement
    #[arg(long, hide = true)]
    passphrase_file: Option<PathBuf>,
}

impl BackupArgs {
    pub(crate) fn writes_to_stdout(&self) -> bool {
        is_stdio(&self.file)
    }

    fn check(&self) -> anyhow::Result<()> {
        if !self.recipient.is_empty() {
            bail!("--recipient was removed; encrypt with `muster backup - | age --recipient age1… > FILE`");
        }
        if self.passphrase_file.is_some() {
            bail!(
                "--passphrase-file was removed; encrypt with `muster backup - | age --passphrase > FILE`, which asks \
                 for a passphrase, or with `age --recipient age1…`, which asks for none"
            );
        }
        if self.writes_to_stdout() && std::io::stdout().is_terminal() {
            bail!("a backup is binary data and is not written to a terminal; use `muster backup - > FILE` or a pipe");
        }
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct RestoreArgs {
    /// Backup file; - is standard input
    file: PathBuf,
    /// Removed; the error names the replacement
    #[arg(long, hide = true)]
    identity: Option<PathBuf>,
    /// Removed; the error names the replacement
    #[arg(long, hide = true)]
    passphrase_file: Option<PathBuf>,
    /// Only verify the backup and show its contents
    #[arg(long)]
    check_only: bool,
}

impl RestoreArgs {
    fn check(&self) -> anyhow::Result<()> {
        if let Some(identity) = &self.identity {
            let identity = identity.display();
            bail!("--identity was removed; use `age --decrypt --identity {identity} FILE | muster restore -`");
        }
        if self.passphrase_file.is_some() {
            bail!(
                "--passphrase-file was removed; use `age --decrypt FILE | muster restore -`, which asks for the \
                 passphrase"
            );
        }
        if is_stdio(&self.file) && std::io::stdin().is_terminal() {
            bail!("standard input is a terminal; use `muster restore - < FILE` or a pipe");
        }
        Ok(())
    }
}

#[derive(Args)]
pub(crate) struct MoveArgs {
    /// Source store (--store is not used): a file, or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    /// Target store: a new file, or an empty database
    #[arg(long, value_name = "FILE|URL")]
    to: String,
}

fn is_stdio(file: &Path) -> bool {
    file.as_os_str() == "-"
}

pub(crate) fn backup(settings: &Settings, args: &BackupArgs, output: Output) -> anyhow::Result<()> {
    args.check()?;
    let longest = (args.max_minutes > 0).then(|| Duration::from_mins(args.max_minutes.into()));
    let engine = StoreSettings { read_timeout: longest, ..settings.store_settings() }.engine()?;
    let about = BackupHeader {
        created: format_timestamp(SystemClock.now()),
        engine: engine.name().into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let dump = engine.prepare_dump()?;
    let mut progress = Progress::new(output, "entries", None);
    let on_entry = |_: &_| progress.add(1);
    let written = if args.writes_to_stdout() {
        backup::stream(std::io::stdout(), &about, dump, on_entry)
    } else {
        backup::write(&args.file, &about, dump, on_entry)
            .and_then(|sums| Ok((sums, std::fs::metadata(&args.file)?.len())))
    };
    progress.finish();
    let file = args.file.display();
    let (sums, bytes) = written.with_context(|| {
        if args.writes_to_stdout() {
            "no complete backup was written to standard output".to_owned()
        } else {
            format!("no backup was created at {file}")
        }
    })?;
    let mut document = sums_json(&sums);
    document["file"] = json!(args.file);
    document["bytes"] = json!(bytes);
    let written = &about.created;
    if args.writes_to_stdout() {
        document["readBack"] = json!(false);
        output.result(&document, || {
            format!(
                "{}\n\nBacked up the store as of {written} to standard output: {bytes} bytes.\n\
                 It was checked while it was written, but not read back. To verify it, run `muster restore - \
                 --check-only`.",
                sums_table(&sums)
            )
        });
    } else {
        output.result(&document, || {
            format!("{}\n\nBacked up the store as of {written} to {file}: {bytes} bytes.", sums_table(&sums))
        });
    }
    Ok(())
}

pub(crate) fn restore(settings: &Settings, args: &RestoreArgs, output: Output) -> anyhow::Result<()> {
    args.check()?;
    let from_stdin = is_stdio(&args.file);
    let name = if from_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let context = || format!("cannot use {name}");
    let mut progress = Progress::new(output, "entries verified", None);
    let on_entry = || progress.add(1);
    if args.check_only {
        let contents = if from_stdin {
            backup::verify(std::io::stdin(), on_entry)
        } else {
            File::open(&args.file).map_err(Into::into).and_then(|file| backup::verify(file, on_entry))
        };
        progress.finish();
        let contents = contents.with_context(context)?;
        output.result(&contents_json(&contents), || {
            format!("{}\n\n{name} is valid. It was created at {}.", sums_table(&contents.sums), contents.header.created)
        });
        return Ok(());
    }
    let backup = if from_stdin {
        Backup::open_pipe(std::io::stdin(), spool_file(&settings.store_settings())?, on_entry)
    } else {
        File::open(&args.file).map_err(Into::into).and_then(|file| Backup::open(file, on_entry))
    };
    progress.finish();
    let backup = backup.with_context(context)?;
    let mut progress = Progress::new(output, "entries", Some(backup.summary.entries));
    let restored = store_copy::restore_backup(&backup, &name, &settings.store_settings(), &mut || progress.add(1));
    progress.finish();
    let sums = restored.with_context(|| format!("cannot restore {name}"))?;
    output.result(&contents_json(&backup.summary), || {
        format!(
            "{}\n\nRestored the backup of {} into {}.",
            sums_table(&sums),
            backup.summary.header.created,
            redacted_location(&settings.store)
        )
    });
    Ok(())
}

/// Creates the temporary file for a backup from a pipe. Only the owner can read it, and it has no name, so it is gone
/// with this process. It is in the store's directory, which has the space and the protection that the data needs; for
/// a database, it is in the directory for temporary files.
fn spool_file(settings: &StoreSettings) -> anyhow::Result<File> {
    let folder = match settings.sibling_path("spool").as_deref().and_then(Path::parent) {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_path_buf(),
        None => std::env::temp_dir(),
    };
    let written = tempfile::tempfile_in(&folder).and_then(|file| {
        // A file without a name can still be opened through /proc.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(file)
    });
    written.with_context(|| format!("cannot create a temporary file in {}", folder.display()))
}

fn contents_json(contents: &BackupSummary) -> Value {
    let mut document = sums_json(&contents.sums);
    document["made"] = json!(contents.header.created);
    document
}

pub(crate) fn move_store(settings: &Settings, args: MoveArgs, output: Output) -> anyhow::Result<()> {
    let settings_for = |name: String| StoreSettings { location: name, ..settings.store_settings() };
    let (from, to) = (settings_for(args.from), settings_for(args.to));
    let mut progress = Progress::new(output, "entries", None);
    let moved = store_copy::copy_store(&from, &to, &mut || progress.add(1));
    progress.finish();
    let sums = moved?;
    let is_other_engine = from.engine()?.name() != to.engine()?.name();
    output.result(&sums_json(&sums), || {
        let mut text = format!(
            "{}\n\nMoved to {}, read back and compared. {} is unchanged.",
            sums_table(&sums),
            redacted_location(&to.location),
            redacted_location(&from.location)
        );
        if is_other_engine {
            text +=
                "\nThe history was verified and its chain rebuilt. Run `muster audit verify` and store the new chain end.";
        }
        text
    });
    Ok(())
}

pub(crate) fn check(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let CheckReport { errors: damage, warnings: notes } = settings.store_settings().engine()?.check()?;
    let name = redacted_location(&settings.store);
    let is_sound = damage.is_empty();
    output.result(&json!({"sound": is_sound, "found": damage, "notes": notes}), || {
        let mut text = if is_sound {
            format!("{name} is not damaged.")
        } else {
            format!("{name} is damaged. Restore a backup (`muster restore`). Found:\n  {}", damage.join("\n  "))
        };
        if !notes.is_empty() {
            text.push_str("\n\nTo review:\n  ");
            text.push_str(&notes.join("\n  "));
        }
        text
    });
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::from(crate::exit::FINDINGS) })
}

fn sums_json(sums: &Sums) -> Value {
    let tenants = sums.iter().map(|(tenant, sums)| {
        let counts = sums.counts;
        json!({
            "tenant": tenant, "people": counts.users, "items": counts.items, "memberships": counts.memberships,
            "deleted": counts.deleted_users, "connections": counts.connections, "mails": counts.mails, "events": counts.events,
            "digest": hex(&sums.digest),
        })
    });
    json!({ "tenants": tenants.collect::<Vec<_>>() })
}

fn sums_table(sums: &Sums) -> String {
    let rows = sums.iter().filter(|(tenant, _)| **tenant > 0).map(|(tenant, sums)| {
        let counts = sums.counts;
        let numbers = [counts.users, counts.items, counts.memberships, counts.deleted_users, counts.events];
        let numbers = numbers.iter().map(u64::to_string);
        std::iter::once(tenant.to_string()).chain(numbers).chain([hex(&sums.digest[..8])]).collect()
    });
    let headings = ["tenant", "users", "items", "memberships", "deleted", "events", "digest"];
    table(&headings, rows.collect())
}
