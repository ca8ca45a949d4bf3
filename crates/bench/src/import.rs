//! Measures imports, exports and backups on both engines: a million users with four memberships each, in two formats;
//! a size that identity governance vendors publish, 250,000 users and 50,000 groups of 10 to 10,000 members; and a
//! backup compared with a file copy of the same size. Each measurement runs the program and samples its memory.

use crate::report::Row;
use crate::{Process, baselines, median, program};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use testkit::generators::Rng;
use testkit::postgres::Cluster;

/// Users in the CSV and NDJSON files.
const USERS: u64 = 1_000_000;
/// Groups in every file.
const GROUPS: u64 = 50_000;
/// Users in the file with large groups.
const LARGE_GROUPS_FILE_USERS: u64 = 250_000;
const MIN_GROUP_SIZE: f64 = 10.0;
const MAX_GROUP_SIZE: f64 = 10_000.0;

/// The result of one run of the program.
struct CommandRun {
    seconds: f64,
    /// Without mapped files.
    peak_private_mib: f64,
    peak_resident_mib: f64,
    output: Value,
}

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let syncs = baselines::syncs_per_second(folder)?;
    let files = Files::write(folder)?;
    let cluster = Cluster::start(&crate::engines::SETTINGS);
    let mut facts = json!({
        "fdatasync_per_second": syncs.round(),
        "people": USERS, "groups": GROUPS, "memberships_each": 4,
        "csv_mib": size_mib(&files.csv), "ndjson_mib": size_mib(&files.ndjson),
    });
    for engine in ["sqlite", "postgres"] {
        let place = |name: &str| {
            if engine == "sqlite" {
                folder.join(format!("{name}.db")).display().to_string()
            } else {
                cluster.create_database()
            }
        };
        let mut found = json!({});
        let store = place("csv");
        found["import_csv"] = import(&store, &files.csv, USERS)?;
        for format in ["csv", "ndjson"] {
            let out = folder.join(format!("out.{format}"));
            let ran = run(&store, &["export", &out.display().to_string(), "--kind", "user"])?;
            ensure!(ran.output["user"] == USERS, "{}", ran.output);
            found[format!("export_{format}")] = summary(&ran, USERS);
            std::fs::remove_file(out)?;
        }
        found["backup"] = backup(folder, &store, engine)?;
        let store = place("ndjson");
        found["import_ndjson"] = import(&store, &files.ndjson, USERS)?;
        let store = place("field");
        found["import_250000_people_and_50000_groups_of_10_to_10000"] =
            import(&store, &files.large_groups, LARGE_GROUPS_FILE_USERS)?;
        facts[engine] = found;
    }
    Ok((Vec::new(), facts))
}

fn import(store: &str, file: &Path, people: u64) -> anyhow::Result<Value> {
    Process::run_command(store, &["tenant", "add", "Bench"])?;
    let ran = run(store, &["import", &file.display().to_string()])?;
    ensure!(ran.output["people"]["created"] == people, "{}", ran.output);
    Ok(summary(&ran, people))
}

#[expect(clippy::cast_precision_loss, reason = "a rate")]
fn summary(ran: &CommandRun, rows: u64) -> Value {
    json!({
        "seconds": (ran.seconds * 10.0).round() / 10.0,
        "rows_per_second": (rows as f64 / ran.seconds).round(),
        "peak_own_mib": ran.peak_private_mib.round(),
        "peak_resident_mib": ran.peak_resident_mib.round(),
    })
}

/// Alternates backups and file copies of the same size, because disk speed varies; the results are medians.
fn backup(folder: &Path, store: &str, engine: &str) -> anyhow::Result<Value> {
    const TURNS: usize = 5;
    let file = PathBuf::from(store);
    let bytes = if engine == "sqlite" {
        std::fs::metadata(&file)?.len()
    } else {
        testkit::postgres::query(store, "SELECT pg_database_size(current_database())").parse()?
    };
    let filler = folder.join("filler");
    let source = if engine == "sqlite" { &file } else { write_incompressible(&filler, bytes)? };
    let (mut backups, mut copies) = ([0.0; TURNS], [0.0; TURNS]);
    let (mut size, mut peak) = (0, 0.0_f64);
    for turn in 0..TURNS {
        let to = folder.join("copy");
        let begun = Instant::now();
        std::fs::copy(source, &to)?;
        File::open(&to)?.sync_all()?;
        copies[turn] = begun.elapsed().as_secs_f64();
        std::fs::remove_file(&to)?;
        let to = folder.join("backup");
        let ran = run(store, &["backup", &to.display().to_string()])?;
        backups[turn] = ran.seconds;
        peak = peak.max(ran.peak_private_mib);
        size = std::fs::metadata(&to)?.len();
        std::fs::remove_file(&to)?;
    }
    drop(std::fs::remove_file(filler));
    let (backup, copy) = (median(&mut backups), median(&mut copies));
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = |seconds: f64| (bytes as f64 / seconds / 1_048_576.0).round();
    Ok(json!({
        "store_mib": bytes / 1_048_576, "backup_mib": size / 1_048_576,
        "backup_mib_per_second": rate(backup), "copy_mib_per_second": rate(copy),
        "share_of_copy": (copy / backup * 100.0).round() / 100.0,
        "seconds_of_backups": backups.map(|s| (s * 100.0).round() / 100.0),
        "seconds_of_copies": copies.map(|s| (s * 100.0).round() / 100.0),
        "peak_own_mib": peak.round(),
    }))
}

/// Writes a file of incompressible bytes.
fn write_incompressible(path: &Path, bytes: u64) -> anyhow::Result<&Path> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut rng = Rng::new(bytes);
    for _ in 0..bytes / 8 {
        file.write_all(&rng.below(u64::MAX).to_le_bytes())?;
    }
    file.flush()?;
    Ok(path)
}

/// Runs the program and samples its memory.
fn run(store: &str, arguments: &[&str]) -> anyhow::Result<CommandRun> {
    let begun = Instant::now();
    let mut child = Command::new(program("muster")?)
        .args(["--json", "--store", store])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut own, mut all) = (0.0_f64, 0.0_f64);
    let status = loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.trim().split(' ').next().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0)
        };
        own = own.max(kib("RssAnon:") / 1024.0);
        all = all.max(kib("VmHWM:") / 1024.0);
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let seconds = begun.elapsed().as_secs_f64();
    let said = std::io::read_to_string(child.stdout.take().context("output")?)?;
    ensure!(status.success(), "{arguments:?}: {said}");
    Ok(CommandRun { seconds, peak_private_mib: own, peak_resident_mib: all, output: serde_json::from_str(&said)? })
}

fn size_mib(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |data| data.len() / 1_048_576)
}

/// Files to import.
struct Files {
    csv: PathBuf,
    ndjson: PathBuf,
    large_groups: PathBuf,
}

impl Files {
    fn write(folder: &Path) -> anyhow::Result<Self> {
        let files = Self {
            csv: folder.join("people.csv"),
            ndjson: folder.join("people.ndjson"),
            large_groups: folder.join("field.csv"),
        };
        let mut rng = Rng::new(6);
        let mut csv = BufWriter::new(File::create(&files.csv)?);
        let mut ndjson = BufWriter::new(File::create(&files.ndjson)?);
        writeln!(csv, "{HEADER}")?;
        for n in 0..USERS {
            let mut groups = [0; 4];
            for place in 0..groups.len() {
                // Some groups are large, most are small; memberships are distinct.
                groups[place] = loop {
                    let group = skewed_group(&mut rng, GROUPS);
                    if !groups[..place].contains(&group) {
                        break group;
                    }
                };
            }
            let person = UserRow { n, groups: groups.to_vec() };
            person.write_csv(&mut csv)?;
            person.write_ndjson(&mut ndjson)?;
        }
        csv.flush()?;
        ndjson.flush()?;
        write_large_groups(&files.large_groups)?;
        Ok(files)
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a random number"
)]
fn skewed_group(rng: &mut Rng, groups: u64) -> u64 {
    let part = rng.below(1 << 32) as f64 / (1_u64 << 32) as f64;
    (part * part * groups as f64) as u64
}

/// Writes 250,000 users and 50,000 groups with 10 to 10,000 members each, in a Pareto distribution.
fn write_large_groups(path: &Path) -> anyhow::Result<()> {
    let mut rng = Rng::new(7);
    let mut groups: Vec<Vec<u64>> = vec![Vec::new(); usize::try_from(LARGE_GROUPS_FILE_USERS)?];
    for group in 0..GROUPS {
        #[expect(clippy::cast_precision_loss, reason = "a random number")]
        let part = (rng.below(1 << 32) + 1) as f64 / (1_u64 << 32) as f64;
        // A few groups have the maximum size.
        let size = if group < 5 { MAX_GROUP_SIZE } else { (MIN_GROUP_SIZE / part.sqrt()).min(MAX_GROUP_SIZE) };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within bounds")]
        let size = size as u64;
        let first = rng.below(LARGE_GROUPS_FILE_USERS);
        for n in 0..size {
            // The step is coprime to the number of users, so members are distinct.
            let person = (first + n * 7_919) % LARGE_GROUPS_FILE_USERS;
            groups[usize::try_from(person)?].push(group);
        }
    }
    let mut csv = BufWriter::new(File::create(path)?);
    writeln!(csv, "{HEADER}")?;
    for (n, groups) in (0..).zip(groups) {
        UserRow { n, groups }.write_csv(&mut csv)?;
    }
    Ok(csv.flush()?)
}

const HEADER: &str = "userName,email,externalId,givenName,familyName,title,department,city,country,workPhone,groups";

struct UserRow {
    n: u64,
    groups: Vec<u64>,
}

impl UserRow {
    fn write_csv(&self, to: &mut impl Write) -> std::io::Result<()> {
        let n = self.n;
        let groups: Vec<String> = self.groups.iter().map(|group| format!("Group {group}")).collect();
        writeln!(
            to,
            "u{n}@example.com,u{n}@example.com,x{n},First {},Family {},Clerk,Department {},City {},DE,+49 30 {n},{}",
            n % 1000,
            n % 5003,
            n % 50,
            n % 300,
            groups.join("; ")
        )
    }

    fn write_ndjson(&self, to: &mut impl Write) -> std::io::Result<()> {
        let n = self.n;
        let groups: Vec<String> = self.groups.iter().map(|group| format!("\"Group {group}\"")).collect();
        writeln!(
            to,
            "{{\"userName\":\"u{n}@example.com\",\"email\":\"u{n}@example.com\",\"externalId\":\"x{n}\",\
             \"givenName\":\"First {}\",\"familyName\":\"Family {}\",\"title\":\"Clerk\",\
             \"department\":\"Department {}\",\"city\":\"City {}\",\"country\":\"DE\",\"workPhone\":\"+49 30 {n}\",\
             \"groups\":[{}]}}",
            n % 1000,
            n % 5003,
            n % 50,
            n % 300,
            groups.join(",")
        )
    }
}
