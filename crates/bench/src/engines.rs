//! Compares both engines in one run: creates, reads and pages at 100,000 and 1,000,000 users, on a SQLite file and on a
//! PostgreSQL server of the benchmark on the same two cores. Measurements alternate, so that other load affects both
//! engines; the results are medians.

use crate::load::{Load, drive};
use crate::report::Row;
use crate::{CONNECTIONS, Process, baselines, median};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::postgres::Cluster;

/// The number of users at each stage.
const STAGES: [u64; 2] = [100_000, 1_000_000];
const ROUNDS: usize = 3;
/// Creates per round.
const CREATES: u64 = 20_000;
const SECONDS: Duration = Duration::from_secs(4);
/// Longer than any load with a request limit takes.
const UNLIMITED: Duration = Duration::from_hours(1);

/// PostgreSQL settings: real flushes, memory for a million users, and WAL space between checkpoints. All other settings
/// are defaults.
pub(super) const SETTINGS: [(&str, &str); 4] =
    [("fsync", "on"), ("shared_buffers", "'1GB'"), ("max_wal_size", "'8GB'"), ("checkpoint_timeout", "'15min'")];

const KINDS: [&str; 3] = ["create", "read by email", "page of 100"];
/// Email prefixes of the users that a round creates.
const EMAIL_PREFIXES: [[&str; ROUNDS]; 2] = [["a", "b", "c"], ["d", "e", "f"]];

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
        let stats = self.runtime.block_on(drive(&self.muster.address, CONNECTIONS, load, cpu))?;
        rows.push(Row::new(&format!("{}: {what}", self.name), &stats, None));
        Ok((stats.requests_per_second(), stats.completed))
    }

    /// Creates users until there are `goal`.
    fn create_users_up_to(&mut self, goal: u64, rows: &mut Vec<Row>) -> anyhow::Result<()> {
        let (tenant, key) = self.muster.credentials.clone().context("credentials")?;
        // `read_by_email` reads the users with the prefix `j`.
        let prefix = if self.user_count == 0 { "j" } else { "k" };
        let missing = goal.saturating_sub(self.user_count);
        let load = Load::create_json(tenant, &key, prefix, UNLIMITED).stop_after(missing);
        self.user_count += self.run_load(&format!("create, up to {goal}"), load, rows)?.1;
        Ok(())
    }

    /// Measures one kind once; returns requests per second.
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
            "read by email" => Load::read_by_email(tenant, &key, STAGES[0], SECONDS),
            _ => Load::pages(tenant, &key, stage / 100, SECONDS),
        };
        let (rate, done) = self.run_load(&format!("{kind}, at {stage}"), load, rows)?;
        if kind == "create" {
            self.user_count += done;
        }
        Ok(rate)
    }
}
