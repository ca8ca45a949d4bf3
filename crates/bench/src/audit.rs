//! Measures `audit verify` over a million events on both engines.

use crate::load::{Load, drive};
use crate::report::Row;
use crate::{CONNECTIONS, Process};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::postgres::Cluster;

/// Events of users; the tenant and its connection add two.
const EVENTS: u64 = 1_000_000;
const ROUNDS: usize = 3;
/// Longer than any load with a request limit takes.
const FOR_LONG: Duration = Duration::from_hours(1);

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let file = folder.join("muster.db").display().to_string();
    let cluster = Cluster::start(&[("fsync", "on"), ("shared_buffers", "'1GB'"), ("max_wal_size", "'8GB'")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (mut rows, mut facts) = (Vec::new(), json!({}));
    for (name, store) in [("SQLite", file), ("PostgreSQL", cluster.create_database())] {
        let muster = Process::muster(&store)?;
        let (tenant, key) = muster.credentials.clone().context("credentials")?;
        let load = Load::create_json(tenant, &key, "j", FOR_LONG).stop_after(EVENTS);
        let stats = runtime.block_on(drive(&muster.address, CONNECTIONS, load, || muster.cpu_seconds()))?;
        rows.push(Row::new(&format!("{name}: create, {EVENTS}"), &stats, None));
        drop(muster);
        let mut seconds = Vec::new();
        for _ in 0..ROUNDS {
            let (said, took) = Process::run_command(&store, &["audit", "verify"])?;
            let tenant = &said["tenants"][0];
            ensure!(said["whole"] == true && tenant["events"].as_u64() >= Some(EVENTS), "verification failed: {said}");
            seconds.push((took * 100.0).round() / 100.0);
        }
        facts[format!("{name}:_seconds_to_verify_{EVENTS}_events")] = json!(seconds);
    }
    Ok((rows, facts))
}
