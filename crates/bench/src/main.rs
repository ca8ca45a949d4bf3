//! Benchmarks: a server built with the profile `dist` on a new store, under load from this process, compared with
//! baselines of the same run. Compare ratios; rates depend on the machine and its other load.

mod audit;
mod baselines;
mod engines;
mod fairness;
mod gateway;
mod import;
mod load;
mod members;
mod report;
mod scim;
mod sign_in;
mod sign_in_timing;
mod slow_network;

use anyhow::Context;
use load::{Load, LoadStats, drive};
use report::Row;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

const CONNECTIONS: usize = 64;
const SECONDS: u64 = 8;
/// The number of users to create.
const USERS: u64 = 200_000;

#[expect(clippy::print_stderr, reason = "a command-line program")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("serve") => baselines::serve(&arguments.next().unwrap_or_default()),
        which => run(which),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a benchmark, prints its table and writes it to `bench-results` as JSON.
fn run(which: Option<&str>) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("muster-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (name, measured) = match which {
        None => ("bench", measure(&folder)),
        Some("scim") => ("bench-scim", scim::measure(&folder)),
        Some("postgres") => ("bench-engines", engines::measure(&folder)),
        Some("sign-in") => ("bench-sign-in", sign_in::measure(&folder)),
        Some("fairness") => ("bench-fairness", fairness::measure(&folder)),
        Some("audit") => ("bench-audit", audit::measure(&folder)),
        Some("import") => ("bench-import", import::measure(&folder)),
        Some("members") => ("bench-members", members::measure(&folder)),
        Some("gateway") => ("bench-gateway", gateway::measure(&folder)),
        Some(other) => {
            anyhow::bail!(
                "unknown benchmark {other} (use scim, sign-in, fairness, audit, import, members, gateway or --store postgres)"
            )
        }
    };
    drop(std::fs::remove_dir_all(&folder));
    let (rows, facts) = measured?;
    report::print(&rows, &facts);
    let results = Path::new("bench-results");
    std::fs::create_dir_all(results)?;
    let document = json!({"facts": facts, "rows": rows.iter().map(Row::json).collect::<Vec<Value>>()});
    std::fs::write(results.join(format!("{name}.json")), serde_json::to_string_pretty(&document)?)?;
    Ok(())
}

fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = Vec::new();
    let syncs = baselines::syncs_per_second(folder)?;
    let seconds = Duration::from_secs(SECONDS);
    let mut measure_load =
        |name: &str, process: &Process, load: Load, baseline: Option<f64>| -> anyhow::Result<LoadStats> {
            let stats = runtime.block_on(drive(&process.address, CONNECTIONS, load, || process.cpu_seconds()))?;
            rows.push(Row::new(name, &stats, baseline));
            Ok(stats)
        };
    let hello = Process::start_baseline("hello")?;
    let greeting = measure_load("hello world", &hello, Load::get("/hello", seconds), None)?;
    drop(hello);
    let discard = Process::start_baseline("discard")?;
    let (tenant, key) = discard.credentials.clone().context("credentials")?;
    let bare_json =
        measure_load("create, JSON, no store", &discard, Load::create_json(tenant, &key, "d", seconds), None)?;
    let bare_xml = measure_load("create, XML, no store", &discard, Load::create_xml(tenant, &key, "d", seconds), None)?;
    drop(discard);

    let store = folder.join("muster.db");
    let muster = Process::muster(&store.display().to_string())?;
    let (tenant, key) = muster.credentials.clone().context("credentials")?;
    std::thread::sleep(Duration::from_millis(500));
    let idle = muster.resident_mib();
    let before = muster.commits()?;
    let load = Load::create_json(tenant, &key, "j", Duration::from_mins(2)).stop_after(USERS / 2);
    let made = measure_load("create, JSON, 0 to 100,000 users", &muster, load, Some(bare_json.requests_per_second()))?;
    let load = Load::create_xml(tenant, &key, "x", Duration::from_mins(2)).stop_after(USERS / 2);
    measure_load("create, XML, 100,000 to 200,000", &muster, load, Some(bare_xml.requests_per_second()))?;
    let after = muster.commits()?;
    let read = Load::read_by_email(tenant, &key, made.completed, seconds);
    measure_load("read by email", &muster, read, Some(greeting.requests_per_second()))?;
    let pages = Load::pages(tenant, &key, USERS / 100, seconds);
    measure_load("page of 100, anywhere in 200,000", &muster, pages, None)?;
    let loaded = muster.resident_mib();
    let per_commit = (after.1 - before.1) / (after.0 - before.0).max(1.0);
    let facts = json!({
        "fdatasync_per_second": syncs.round(),
        "connections": CONNECTIONS,
        "changes_per_commit": (per_commit * 10.0).round() / 10.0,
        "commits": after.0 - before.0,
        "idle_resident_mib": idle.round(),
        "resident_mib_after_load": loaded.round(),
        "store_mib": std::fs::metadata(&store).map_or(0, |m| m.len()) / 1_048_576,
    });
    Ok((rows, facts))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// A server under measurement.
struct Process {
    child: Child,
    address: String,
    /// The address of the metrics endpoint, if there is one.
    admin: Option<String>,
    credentials: Option<(u64, String)>,
}

impl Process {
    /// Starts Muster on a new store with a tenant and a key.
    fn muster(store: &str) -> anyhow::Result<Self> {
        Self::muster_with(store, &[])
    }

    /// The same with further variables.
    fn muster_with(store: &str, variables: &[(&str, &std::ffi::OsStr)]) -> anyhow::Result<Self> {
        let program = program("muster")?;
        let ask = |arguments: &[&str]| -> anyhow::Result<Value> {
            let output = Command::new(&program).arg("--store").arg(store).arg("--json").args(arguments).output()?;
            Ok(serde_json::from_slice(&output.stdout)?)
        };
        let tenant = ask(&["tenant", "add", "Bench"])?["number"].as_u64().context("a number")?;
        let added = ask(&["connection", "add", "bench", "--dialect", "onfire", "--dialect", "scim"])?;
        let key = added["key"].as_str().context("a key")?.to_owned();
        let mut command = Command::new(&program);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--store"]);
        command.arg(store).envs(variables.iter().copied());
        let mut process = Self::start(&mut command)?;
        process.credentials = Some((tenant, key));
        Ok(process)
    }

    /// Runs a command on a store; returns its JSON output and its duration in seconds.
    fn run_command(store: &str, arguments: &[&str]) -> anyhow::Result<(Value, f64)> {
        let begun = std::time::Instant::now();
        let program = program("muster")?;
        let output = Command::new(program).arg("--store").arg(store).arg("--json").args(arguments).output()?;
        Ok((serde_json::from_slice(&output.stdout)?, begun.elapsed().as_secs_f64()))
    }

    /// Starts a baseline server, which is this program with the argument `serve`.
    fn start_baseline(name: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", name]);
        Self::start(&mut command)
    }

    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("output")?).read_line(&mut line)?;
        let said: Value = serde_json::from_str(&line)?;
        let address = said["listening"].as_str().context("an address")?.replace("http://", "");
        let admin = said["admin"].as_str().map(|url| url.replace("http://", ""));
        let key = said["key"].as_str().map(|key| (said["tenant"].as_u64().unwrap_or(1), key.to_owned()));
        Ok(Self { child, address, admin, credentials: key })
    }

    /// CPU seconds used by all threads so far.
    fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |n: usize| fields.get(n).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        // Fields 14 (utime) and 15 (stime) of proc(5), counted from field 3, in ticks of 10 ms.
        (ticks(11) + ticks(12)) / 100.0
    }

    fn resident_mib(&self) -> f64 {
        f64::from(self.resident_kib()) / 1024.0
    }

    fn resident_kib(&self) -> u32 {
        self.memory_kib("VmRSS:")
    }

    /// Without mapped files, whose pages the system can drop.
    fn anonymous_mib(&self) -> f64 {
        f64::from(self.memory_kib("RssAnon:")) / 1024.0
    }

    fn memory_kib(&self, name: &str) -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
    }

    /// Commits and changes so far, from the server's metrics.
    fn commits(&self) -> anyhow::Result<(f64, f64)> {
        let text = load::get_once(self.admin.as_ref().context("no metrics")?, "/metrics")?;
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.trim().parse::<f64>().ok()).unwrap_or(0.0)
        };
        Ok((value("muster_store_commits "), value("muster_store_changes ")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The path of a program in the same folder as this one.
fn program(name: &str) -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe()?;
    Ok(here.parent().context("a folder")?.join(name))
}
