//! Measures the gateway with simulators on the same cores, on both engines: the first synchronization, the lag from the
//! commit of a change to its request, deactivations during a first synchronization, what targets cost creates, and memory.

use crate::load::{Load, drive};
use crate::report::Row;
use crate::scim::Client;
use crate::{CONNECTIONS, Process, baselines, load, median, program};
use anyhow::Context;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;

const USERS: u64 = 100_000;
/// Users of the tenant whose lag is measured, its targets, and changes per second.
const FEW_USERS: u64 = 500;
const TARGETS: usize = 10;
const CHANGES_PER_SECOND: u32 = 200;
const LAG_SECONDS: u32 = 15;
const DEACTIVATIONS: usize = 40;
/// Creates of a round with and without targets.
const CREATES: u64 = 25_000;
/// The names of the users of each round, without and with targets.
const PREFIXES: [(&str, &str); 7] =
    [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j"), ("k", "l"), ("m", "n")];
/// Until the allocator has returned memory that is not used any more.
const SETTLING: Duration = Duration::from_secs(15);
const SMALL_CACHE_MIB: &str = "16";
const UNLIMITED: Duration = Duration::from_hours(1);

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let cluster = Cluster::start(&crate::engines::SETTINGS);
    let file = folder.join("muster.db").display().to_string();
    let mut facts = json!({"fdatasync_per_second": baselines::syncs_per_second(folder)?.round()});
    let file_of_memory = folder.join("memory.db").display().to_string();
    let stores = [("sqlite", file, file_of_memory), ("postgres", cluster.create_database(), cluster.create_database())];
    for (name, store, store_of_memory) in stores {
        facts[name] = measure_engine(folder, &store)?;
        facts[name]["memory"] = measure_memory(folder, &store_of_memory)?;
    }
    Ok((Vec::new(), facts))
}

fn measure_engine(folder: &Path, store: &str) -> anyhow::Result<Value> {
    let key = write_master_key(folder)?;
    let muster = Process::muster_with(store, &[("MUSTER_SECRETS_KEY", key.as_os_str())])?;
    let (tenant, api_key) = muster.credentials.clone().context("credentials")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let admin = Admin { store, key: &key };
    let cost = measure_cost(folder, &muster, &admin)?;
    let load = Load::create_json(tenant, &api_key, "u", UNLIMITED).stop_after(USERS);
    runtime.block_on(drive(&muster.address, CONNECTIONS, load, || 0.0))?;
    let client = Client::new(&muster.address, &api_key);
    let ids = client.user_ids()?;

    let first = Simulator::start(folder)?;
    let start = Instant::now();
    admin.add(&first, tenant, "first", &["--rate", "0", "--concurrency", "64"])?;
    first.wait_for_accounts(USERS)?;
    let first_sync = start.elapsed().as_secs_f64();
    // Deactivations of users who are in a target already, while another one is synchronized.
    let second = Simulator::start(folder)?;
    admin.add(&second, tenant, "second", &["--rate", "0", "--concurrency", "64"])?;
    let mut deactivations = Vec::new();
    for id in ids.iter().take(DEACTIVATIONS) {
        let body = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]}).to_string();
        let sent = Instant::now();
        client.send("PATCH", &format!("/Users/{id}"), &body)?;
        let from = first.request_count()?;
        first.wait_for_request(from.saturating_sub(50), |done| {
            done["fields"]["externalId"] == *id && done["fields"]["active"] == false
        })?;
        deactivations.push(sent.elapsed().as_secs_f64() * 1000.0);
    }
    // Users who were deactivated before they arrived get no account.
    admin.run(&["target", "status", "second", "--wait", "--tenant", &tenant.to_string()])?;
    drop((first, second));
    let lag = measure_lag(folder, &muster, &admin)?;
    Ok(json!({
        "creates": cost,
        "first_sync_seconds": hundredths(first_sync),
        "pushes_per_second": (f64::from(u32::try_from(USERS)?) / first_sync).round(),
        "deactivation_during_first_sync_ms": percentiles(&mut deactivations),
        "lag_ms": lag,
    }))
}

/// What targets at their default rate cost the creates of their tenant.
fn measure_cost(folder: &Path, muster: &Process, admin: &Admin<'_>) -> anyhow::Result<Value> {
    let (tenant, key) = admin.add_tenant("Cost")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let create = |prefix: &'static str| -> anyhow::Result<f64> {
        let load = Load::create_json(tenant, &key, prefix, UNLIMITED).stop_after(CREATES);
        Ok(runtime.block_on(drive(&muster.address, CONNECTIONS, load, || 0.0))?.requests_per_second())
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for (before, during) in PREFIXES {
        without.push(create(before)?);
        let simulators = (0..3).map(|_| Simulator::start(folder)).collect::<anyhow::Result<Vec<_>>>()?;
        for (index, simulator) in simulators.iter().enumerate() {
            admin.add(simulator, tenant, &format!("cost-{index}"), &[])?;
        }
        std::thread::sleep(Duration::from_secs(3));
        with.push(create(during)?);
        for index in 0..simulators.len() {
            admin.run(&["target", "remove", &format!("cost-{index}"), "--tenant", &tenant.to_string()])?;
        }
        // Until the rows of the removed targets are deleted.
        std::thread::sleep(Duration::from_secs(10));
    }
    // Creates become slower as the tenant grows: each round is compared with the one before.
    let mut shares: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with / without * 100.0).collect();
    Ok(json!({
        "percent_with_3_targets": hundredths(median(&mut shares)),
        "per_second_without_targets": median(&mut without).round(),
        "per_second_with_3_targets": median(&mut with).round(),
    }))
}

/// The most memory that is resident during the first synchronizations of several targets at the same time, on a server
/// that has not pushed before. The page cache is small and filled first, so that its growth is not measured.
fn measure_memory(folder: &Path, store: &str) -> anyhow::Result<Value> {
    let key = write_master_key(folder)?;
    let variables = [("MUSTER_SECRETS_KEY", key.as_os_str()), ("MUSTER_CACHE_MIB", OsStr::new(SMALL_CACHE_MIB))];
    let muster = Process::muster_with(store, &variables)?;
    let (tenant, api_key) = muster.credentials.clone().context("credentials")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let load = Load::create_json(tenant, &api_key, "u", UNLIMITED).stop_after(USERS);
    runtime.block_on(drive(&muster.address, CONNECTIONS, load, || 0.0))?;
    std::thread::sleep(SETTLING);
    let idle = (muster.resident_mib(), muster.anonymous_mib());

    let (admin, start) = (Admin { store, key: &key }, Instant::now());
    let simulators = (0..TARGETS).map(|_| Simulator::start(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    for (index, simulator) in simulators.iter().enumerate() {
        admin.add(simulator, tenant, &format!("memory-{index}"), &["--rate", "0", "--concurrency", "16"])?;
    }
    let (mut resident, mut anonymous) = (0.0_f64, 0.0_f64);
    for simulator in &simulators {
        while simulator.get("/-/count")?["accounts"].as_u64() < Some(USERS) {
            resident = resident.max(muster.resident_mib());
            anonymous = anonymous.max(muster.anonymous_mib());
            anyhow::ensure!(start.elapsed() < Duration::from_mins(20), "no {USERS} accounts");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let pushes = f64::from(u32::try_from(USERS)?) * f64::from(u32::try_from(TARGETS)?);
    let pushes_per_second = (pushes / start.elapsed().as_secs_f64()).round();
    std::thread::sleep(SETTLING);
    let afterwards = (muster.resident_mib(), muster.anonymous_mib());
    Ok(json!({
        "resident_mib": {"idle": idle.0.round(), "10_targets": resident.round(), "afterwards": afterwards.0.round()},
        "resident_mib_without_mapped_files": {
            "idle": idle.1.round(), "10_targets": anonymous.round(), "afterwards": afterwards.1.round(),
        },
        "pushes_per_second": pushes_per_second,
    }))
}

/// Changes of users of a tenant with several targets: the time from the response until each target has the request.
fn measure_lag(folder: &Path, muster: &Process, admin: &Admin<'_>) -> anyhow::Result<Value> {
    let (tenant, key) = admin.add_tenant("Lag")?;
    let client = Client::new(&muster.address, &key);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let creates = client.creates(0, UNLIMITED).stop_after(FEW_USERS);
    runtime.block_on(drive(&muster.address, CONNECTIONS, creates, || 0.0))?;
    let simulators = (0..TARGETS).map(|_| Simulator::start(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    for (index, simulator) in simulators.iter().enumerate() {
        admin.add(simulator, tenant, &format!("lag-{index}"), &["--rate", "0", "--concurrency", "16"])?;
    }
    for simulator in &simulators {
        simulator.wait_for_accounts(FEW_USERS)?;
    }
    std::thread::sleep(Duration::from_secs(2));
    let ids = client.user_ids()?;
    let alone = change_users(&client, &ids, &simulators, "alone")?;
    // A target that answers no request in time.
    let hanging = Simulator::start_with(folder, "delay-ms = 60000")?;
    admin.add(&hanging, tenant, "hanging", &["--rate", "0", "--concurrency", "16"])?;
    let beside = change_users(&client, &ids, &simulators, "beside")?;
    // Again without it: what is slower now, too, is not its fault.
    admin.run(&["target", "remove", "hanging", "--tenant", &tenant.to_string()])?;
    let again = change_users(&client, &ids, &simulators, "again")?;
    Ok(json!({"10_targets": alone, "10_targets_beside_one_that_hangs": beside, "10_targets_again": again}))
}

/// Changes users at a rate, and measures how long each change takes to each target.
fn change_users(client: &Client, ids: &[String], simulators: &[Simulator], round: &str) -> anyhow::Result<Value> {
    let origin = Instant::now();
    // The origin on the clock of each simulator.
    let origins = simulators.iter().map(|it| it.clock(origin)).collect::<anyhow::Result<Vec<f64>>>()?;
    let mut sent: HashMap<String, f64> = HashMap::new();
    for change in 0..CHANGES_PER_SECOND * LAG_SECONDS {
        let due = Duration::from_secs(1) / CHANGES_PER_SECOND * change;
        std::thread::sleep(due.saturating_sub(origin.elapsed()));
        let id = &ids[change as usize % ids.len()];
        let title = format!("{round} {change}");
        let body = json!({"Operations": [{"op": "replace", "path": "title", "value": title}]}).to_string();
        client.send("PATCH", &format!("/Users/{id}"), &body)?;
        sent.insert(title, origin.elapsed().as_secs_f64() * 1000.0);
    }
    std::thread::sleep(Duration::from_secs(3));
    let mut lags = Vec::new();
    for (simulator, origin) in simulators.iter().zip(origins) {
        for request in simulator.get("/-/requests")?.as_array().context("a list")? {
            let title = request["done"]["fields"]["title"].as_str().unwrap_or_default();
            if let (Some(sent), Some(at)) = (sent.get(title), request["at"].as_f64()) {
                lags.push(at - origin - sent);
            }
        }
    }
    // Each change is a request of its own: the users change less often than once in two seconds.
    let expected = sent.len() * simulators.len();
    let mut found = percentiles(&mut lags);
    found["requests"] = format!("{} of {expected}", lags.len()).into();
    Ok(found)
}

fn percentiles(values: &mut [f64]) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1))).copied();
    json!({"p50": at(50).map(hundredths), "p99": at(99).map(hundredths), "max": values.last().copied().map(hundredths)})
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// Commands on the store of the server.
struct Admin<'a> {
    store: &'a str,
    key: &'a Path,
}

impl Admin<'_> {
    fn run(&self, arguments: &[&str]) -> anyhow::Result<Value> {
        let mut command = Command::new(program("muster")?);
        command.args(["--json", "--store", self.store]).args(arguments).env("MUSTER_SECRETS_KEY", self.key);
        let output = command.output()?;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// A tenant with a connection for all APIs: its number and the key.
    fn add_tenant(&self, name: &str) -> anyhow::Result<(u64, String)> {
        let tenant = self.run(&["tenant", "add", name])?["number"].as_u64().context("a number")?;
        let number = tenant.to_string();
        let added = self.run(&["connection", "add", "bench", "--tenant", &number, "--dialect", "all"])?;
        Ok((tenant, added["key"].as_str().context("a key")?.to_owned()))
    }

    fn add(&self, simulator: &Simulator, tenant: u64, name: &str, flags: &[&str]) -> anyhow::Result<()> {
        let (key, tenant) = (simulator.key.display().to_string(), tenant.to_string());
        let mut arguments = vec!["target", "add", name, "--tenant", &tenant, "--dialect", "scim", "--url"];
        arguments.extend([simulator.url.as_str(), "--key-file", &key, "--dial-allow", &simulator.address]);
        arguments.extend(flags);
        self.run(&arguments).map(drop)
    }
}

struct Simulator {
    child: Child,
    address: String,
    url: String,
    key: PathBuf,
}

impl Simulator {
    fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::start_with(folder, "")
    }

    /// `faults` is TOML.
    fn start_with(folder: &Path, faults: &str) -> anyhow::Result<Self> {
        let (key, faults_file) = (folder.join("simulator-key"), folder.join("faults.toml"));
        write_private(&key, "simulator-key-for-the-benchmark")?;
        std::fs::write(&faults_file, faults)?;
        let mut command = Command::new(program("muster")?);
        command.args(["--json", "simulate", "scim", "--listen", "127.0.0.1:0", "--key-file"]).arg(&key);
        command.arg("--faults").arg(&faults_file);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("output")?).read_line(&mut line)?;
        let output: Value = serde_json::from_str(&line)?;
        let text = |name: &str| output[name].as_str().map(str::to_owned).context("an address");
        Ok(Self { child, address: text("address")?, url: text("url")?, key })
    }

    fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&load::get_once(&self.address, path)?)?)
    }

    fn wait_for_accounts(&self, count: u64) -> anyhow::Result<()> {
        let start = Instant::now();
        while self.get("/-/count")?["accounts"].as_u64() < Some(count) {
            anyhow::ensure!(start.elapsed() < Duration::from_mins(10), "no {count} accounts");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn request_count(&self) -> anyhow::Result<usize> {
        let count = self.get("/-/count")?["requests"].as_u64().context("a number")?;
        Ok(usize::try_from(count)?)
    }

    fn wait_for_request(&self, after: usize, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let requests = self.get(&format!("/-/requests?after={after}"))?;
            if requests.as_array().context("a list")?.iter().any(|request| is_it(&request["done"])) {
                return Ok(());
            }
            anyhow::ensure!(start.elapsed() < Duration::from_mins(1), "no such request");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// A time on the simulator's clock, in milliseconds.
    fn clock(&self, time: Instant) -> anyhow::Result<f64> {
        let before = time.elapsed().as_secs_f64();
        let at = self.get("/-/count")?["at"].as_f64().context("a time")?;
        Ok(at - (before + time.elapsed().as_secs_f64()) * 500.0)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Writes a master key for the credentials of targets.
fn write_master_key(folder: &Path) -> anyhow::Result<PathBuf> {
    let key = folder.join("master-key");
    write_private(&key, &"5c".repeat(32))?;
    Ok(key)
}

fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    Ok(std::fs::set_permissions(path, mode)?)
}
