//! Both engines side by side in one run: creates, reads and pages at 100,000 and at 1,000,000 people, on a file and on
//! a PostgreSQL of the benchmark's own, which has the same two cores. They are measured by turns, so that what else the
//! machine does meets both; medians count.

use crate::load::{Load, drive};
use crate::report::Row;
use crate::{CONNECTIONS, Process, baselines, median};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::postgres::Cluster;

/// How many people there are at each stage.
const STAGES: [u64; 2] = [100_000, 1_000_000];
const ROUNDS: usize = 3;
/// Creates of a turn.
const CREATES: u64 = 20_000;
const SECONDS: Duration = Duration::from_secs(4);
/// Until it has done what it was told to.
const UNLIMITED: Duration = Duration::from_hours(1);

/// The server's settings: real flushes, memory for a million people, and room for the log between checkpoints.
/// Everything else is as PostgreSQL ships.
pub(super) const SETTINGS: [(&str, &str); 4] =
    [("fsync", "on"), ("shared_buffers", "'1GB'"), ("max_wal_size", "'8GB'"), ("checkpoint_timeout", "'15min'")];

/// What is measured, with the prefix of those a turn creates.
const KINDS: [&str; 3] = ["create", "read by e-mail", "page of 100"];
const EMAIL_PREFIXES: [[&str; ROUNDS]; 2] = [["a", "b", "c"], ["d", "e", "f"]];

/// Runs it all.
pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let syncs = baselines::syncs_per_second(folder)?;
    let file = folder.join("muster.db").display().to_string();
    let cluster = Cluster::start(&SETTINGS);
    let mut engines = [Engine::new("SQLite", &file)?, Engine::new("PostgreSQL", &cluster.create_database())?];
    let mut rows = Vec::new();
    let mut facts = json!({
        "fdatasync_per_second": syncs.round(),
        "connections": CONNECTIONS,
        "postgres_settings": SETTINGS.map(|(name, value)| format!("{name}={value}")).join(", "),
    });
    let mut creates = Vec::new();
    for (stage, prefixes) in STAGES.into_iter().zip(EMAIL_PREFIXES) {
        for engine in &mut engines {
            engine.create_users_up_to(stage, &mut rows)?;
        }
        let mut rates = [[[0.0; ROUNDS]; KINDS.len()]; 2];
        for (turn, prefix) in prefixes.into_iter().enumerate() {
            for (kind, name) in KINDS.into_iter().enumerate() {
                for (engine, rates) in engines.iter_mut().zip(&mut rates) {
                    rates[kind][turn] = engine.measure_round(name, stage, prefix, &mut rows)?;
                }
            }
        }
        for (kind, name) in KINDS.into_iter().enumerate() {
            let [embedded, server] = [0, 1].map(|engine| median(&mut rates[engine][kind].clone()));
            let name = format!("{name}, at {stage}").replace(' ', "_");
            facts[name] = json!({
                "sqlite": embedded.round(), "postgres": server.round(), "ratio": hundredths(server / embedded),
            });
            if kind == 0 {
                creates.push(server);
            }
        }
    }
    facts["creates_on_postgres,_at_1000000_of_those_at_100000"] = hundredths(creates[1] / creates[0]).into();
    facts["resident_mib"] = json!(engines.each_ref().map(|engine| engine.muster.resident_mib().round()));
    Ok((rows, facts))
}

fn hundredths(ratio: f64) -> f64 {
    (ratio * 100.0).round() / 100.0
}

/// A server on one engine.
struct Engine {
    name: &'static str,
    muster: Process,
    runtime: tokio::runtime::Runtime,
    user_count: u64,
}

impl Engine {
    fn new(name: &'static str, store: &str) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        Ok(Self { name, muster: Process::muster(store)?, runtime, user_count: 0 })
    }

    fn run_load(&mut self, what: &str, load: Load, rows: &mut Vec<Row>) -> anyhow::Result<(f64, u64)> {
        let cpu = || self.muster.cpu_seconds();
        let figures = self.runtime.block_on(drive(&self.muster.address, CONNECTIONS, load, cpu))?;
        rows.push(Row::new(&format!("{}: {what}", self.name), &figures, None));
        Ok((figures.requests_per_second(), figures.completed))
    }

    /// Makes people until there are so many.
    fn create_users_up_to(&mut self, goal: u64, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let (tenant, key) = self.muster.credentials.clone().context("credentials")?;
        // Those who are read later come first.
        let prefix = if self.user_count == 0 { "j" } else { "k" };
        let missing = goal.saturating_sub(self.user_count);
        let load = Load::create_json(tenant, &key, prefix, UNLIMITED).stop_after(missing);
        self.user_count += self.run_load(&format!("create, up to {goal}"), load, rows)?.1;
        Ok(())
    }

    /// One turn of one kind; its rate.
    fn measure_round(
        &mut self,
        kind: &str,
        stage: u64,
        prefix: &'static str,
        rows: &mut Vec<Row>,
    ) -> anyhow::Result<f64> {
        let (tenant, key) = self.muster.credentials.clone().context("credentials")?;
        let load = match kind {
            "create" => Load::create_json(tenant, &key, prefix, UNLIMITED).stop_after(CREATES),
            "read by e-mail" => Load::read_by_email(tenant, &key, STAGES[0], SECONDS),
            _ => Load::pages(tenant, &key, stage / 100, SECONDS),
        };
        let (rate, done) = self.run_load(&format!("{kind}, at {stage}"), load, rows)?;
        if kind == "create" {
            self.user_count += done;
        }
        Ok(rate)
    }
}
