//! Both engines side by side in one run: creates, reads and pages at 100,000 and at 1,000,000 people, on a file and on
//! a PostgreSQL of the benchmark's own, which has the same two cores.

use super::load::{Load, drive};
use super::report::Row;
use super::{CONNECTIONS, Process, yardsticks};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::postgres::Cluster;

/// How many people there are at each stage.
const STAGES: [u64; 2] = [100_000, 300_000];
const SECONDS: Duration = Duration::from_secs(8);
/// Until it has done what it was told to.
const FOR_LONG: Duration = Duration::from_hours(1);

/// The server's settings: real flushes, memory for a million people, and room for the log between checkpoints.
/// Everything else is as PostgreSQL ships.
const SETTINGS: [(&str, &str); 4] = [
    ("fsync", "on"),
    ("shared_buffers", "'1GB'"),
    ("max_wal_size", "'8GB'"),
    ("checkpoint_timeout", "'15min'"),
];

/// Rates of one engine at one stage.
#[derive(Clone, Copy, Default)]
struct Rates {
    create: f64,
    read: f64,
    page: f64,
}

/// Runs it all.
pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let mut rows = Vec::new();
    let syncs = yardsticks::syncs_per_second(folder)?;
    let file = folder.join("muster.db");
    let embedded = stages("SQLite", &file.display().to_string(), &mut rows)?;
    drop(std::fs::remove_file(&file));
    let cluster = Cluster::start(&SETTINGS);
    let server = stages("PostgreSQL", &cluster.database(), &mut rows)?;
    let ratio = |a: f64, b: f64| (a / b * 100.0).round() / 100.0;
    let [small, large] = [0, 1].map(|stage| (embedded[stage], server[stage]));
    let facts = json!({
        "fdatasync_per_second": syncs.round(),
        "connections": CONNECTIONS,
        "creates_of_the_embedded_engine_at_100,000": ratio(small.1.create, small.0.create),
        "creates_of_the_embedded_engine_at_1,000,000": ratio(large.1.create, large.0.create),
        "creates_at_1,000,000_of_those_at_100,000": ratio(large.1.create, small.1.create),
        "reads_of_the_embedded_engine_at_100,000": ratio(small.1.read, small.0.read),
        "reads_of_the_embedded_engine_at_1,000,000": ratio(large.1.read, large.0.read),
        "pages_of_the_embedded_engine_at_1,000,000": ratio(large.1.page, large.0.page),
        "postgres_settings": SETTINGS.map(|(name, value)| format!("{name}={value}")).join(", "),
    });
    Ok((rows, facts))
}

/// One engine at each stage.
fn stages(engine: &str, store: &str, rows: &mut Vec<Row>) -> anyhow::Result<[Rates; 2]> {
    let muster = Process::muster(store)?;
    let (tenant, key) = muster.credentials.clone().context("credentials")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut run = |name: &str, load: Load| -> anyhow::Result<(f64, u64)> {
        let cpu = || muster.cpu_seconds();
        let figures = runtime.block_on(drive(&muster.address, CONNECTIONS, load, cpu))?;
        rows.push(Row::new(&format!("{engine}: {name}"), &figures, None));
        Ok((figures.rate(), figures.done))
    };
    let (mut people, mut rates) = (0, [Rates::default(); 2]);
    for (stage, prefix) in [(0, "k"), (1, "m")] {
        let goal = STAGES[stage];
        // Those who are read later come first.
        let first = if stage == 0 { "j" } else { "l" };
        let fill = Load::create_json(tenant, &key, first, FOR_LONG).stop_after(goal.saturating_sub(people));
        people += run(&format!("create, up to {goal}"), fill)?.1;
        let (create, done) =
            run(&format!("create, at {goal}"), Load::create_json(tenant, &key, prefix, SECONDS))?;
        people += done;
        let (read, _) = run(
            &format!("read by e-mail, at {goal}"),
            Load::read_by_email(tenant, &key, STAGES[0], SECONDS),
        )?;
        let (page, _) =
            run(&format!("page of 100, at {goal}"), Load::pages(tenant, &key, goal / 100, SECONDS))?;
        rates[stage] = Rates { create, read, page };
    }
    let kib = muster.resident_mib().round();
    super::say(&format!("{engine}: {people} people, the process has {kib} MiB resident"));
    Ok(rates)
}
