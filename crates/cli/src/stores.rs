//! `muster backup`, `muster restore`, `muster move`, `muster check`: whole stores.

use crate::backup::{self, Backup, BackupHeader, Contents};
use crate::output::{Output, table};
use crate::progress::Progress;
use crate::session::format_timestamp;
use crate::settings::Settings;
use crate::store_copy;
use adapters::redacted_location;
use adapters::{Engine, StoreSettings, SystemClock};
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
    /// The file to make; it must not be there yet. - is standard output; messages then go to standard error
    file: PathBuf,
    /// Stop after this many minutes (0: no limit), since the write-ahead log grows meanwhile; ignored for PostgreSQL
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    max_minutes: u32,
    /// Removed; using it says what to do instead
    #[arg(long, hide = true)]
    recipient: Vec<String>,
    /// Removed; using it says what to do instead
    #[arg(long, hide = true)]
    passphrase_file: Option<PathBuf>,
}

impl BackupArgs {
    /// Whether standard output carries the backup.
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
                 for a passphrase, or with --recipient, which asks for none"
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
    /// The backup; - is standard input
    file: PathBuf,
    /// Removed; using it says what to do instead
    #[arg(long, hide = true)]
    identity: Option<PathBuf>,
    /// Removed; using it says what to do instead
    #[arg(long, hide = true)]
    passphrase_file: Option<PathBuf>,
    /// Look whether it is sound and what is in it, and leave it at that
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
    /// The store to move: a file, or <postgres://USER@HOST/DATABASE>
    #[arg(long, value_name = "FILE|URL")]
    from: String,
    /// Where to: a file or database that holds nothing yet
    #[arg(long, value_name = "FILE|URL")]
    to: String,
}

fn is_stdio(file: &Path) -> bool {
    file.as_os_str() == "-"
}

pub(crate) fn backup(settings: &Settings, args: &BackupArgs, output: Output) -> anyhow::Result<()> {
    args.check()?;
    let store = settings.store_settings();
    let about = BackupHeader {
        created: format_timestamp(SystemClock.now()),
        engine: Engine::engine_name(&store).into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let longest = (args.max_minutes > 0).then(|| Duration::from_mins(args.max_minutes.into()));
    let dump = Engine::prepare_dump(&StoreSettings { read_timeout: longest, ..store })?;
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
            format!("no backup was made at {file}")
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
                "{}\n\nStandard output has all of it, as it was at {written}: {bytes} bytes.\n\
                 It was checked while it was written, but the output was not read back; `muster restore - \
                 --check-only` does that.",
                sums_table(&sums)
            )
        });
    } else {
        output.result(&document, || {
            format!("{}\n\n{file} holds all of it, as it was at {written}: {bytes} bytes.", sums_table(&sums))
        });
    }
    Ok(())
}

pub(crate) fn restore(settings: &Settings, args: &RestoreArgs, output: Output) -> anyhow::Result<()> {
    args.check()?;
    let from_stdin = is_stdio(&args.file);
    let name = if from_stdin { "standard input".to_owned() } else { args.file.display().to_string() };
    let context = || format!("{name} was not used");
    let mut progress = Progress::new(output, "entries looked at", None);
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
            format!("{}\n\n{name} is sound; it was made at {}.", sums_table(&contents.sums), contents.header.created)
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
    let mut progress = Progress::new(output, "entries", Some(backup.contents.entries));
    let restored = store_copy::restore_backup(&backup, &name, &settings.store_settings(), &mut || progress.add(1));
    progress.finish();
    let sums = restored.with_context(|| format!("{name} was not restored"))?;
    output.result(&contents_json(&backup.contents), || {
        format!(
            "{}\n\n{} holds all of it, as it was at {}.",
            sums_table(&sums),
            redacted_location(&settings.store),
            backup.contents.header.created
        )
    });
    Ok(())
}

/// The temporary file for what arrives through a pipe. Nobody else can read it, and it has no name, so it is gone with
/// this process. It is beside the store, which has the room and is protected as these data need to be; for a database
/// it is in the folder for temporary files.
fn spool_file(settings: &StoreSettings) -> anyhow::Result<File> {
    let folder = match settings.sibling_path("spool").as_deref().and_then(Path::parent) {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_path_buf(),
        None => std::env::temp_dir(),
    };
    let written = tempfile::tempfile_in(&folder).and_then(|file| {
        // It is made with the usual permissions; without a name it can still be opened through /proc.
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(file)
    });
    written.with_context(|| format!("no temporary file can be made in {}", folder.display()))
}

fn contents_json(contents: &Contents) -> Value {
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
    let is_other_engine = Engine::engine_name(&from) != Engine::engine_name(&to);
    output.result(&sums_json(&sums), || {
        let mut text = format!(
            "{}\n\n{} holds all of it now, read back and compared; {} was left as it is.",
            sums_table(&sums),
            redacted_location(&to.location),
            redacted_location(&from.location)
        );
        if is_other_engine {
            text +=
                "\nThe history was proven and is linked anew there: note its new end, `muster audit verify` says it.";
        }
        text
    });
    Ok(())
}

pub(crate) fn check(settings: &Settings, output: Output) -> anyhow::Result<ExitCode> {
    let CheckReport { errors: damage, warnings: notes } = Engine::check(&settings.store_settings())?;
    let name = redacted_location(&settings.store);
    let is_sound = damage.is_empty();
    output.result(&json!({"sound": is_sound, "found": damage, "notes": notes}), || {
        let mut text = if is_sound {
            format!("{name} is sound.")
        } else {
            format!("{name} is damaged:\n  {}", damage.join("\n  "))
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
    let headings = ["tenant", "people", "items", "memberships", "deleted", "events", "digest"];
    table(&headings, rows.collect())
}
