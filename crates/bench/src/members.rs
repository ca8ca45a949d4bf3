//! Measures SCIM PATCH requests that add 1, 100 and 10,000 members to a group, without other load: on SQLite, on a
//! PostgreSQL server of the benchmark, and on the same server at a round trip of 2 ms.

use crate::report::Row;
use crate::scim::{Client, UNLIMITED};
use crate::{CONNECTIONS, Process, baselines, load, median, slow_network};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::postgres::Cluster;

const SIZES: [usize; 3] = [1, 100, 10_000];
const USERS: u64 = 10_000;
/// Groups of each size; the results are medians.
const ROUNDS: usize = 5;
const ROUND_TRIP: Duration = Duration::from_millis(2);

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let cluster = Cluster::start(&crate::engines::SETTINGS);
    let (direct, far) = (cluster.create_database(), cluster.create_database());
    let port = slow_network::relay(cluster.port(), ROUND_TRIP)?;
    let far = far.replace(&format!(":{}/", cluster.port()), &format!(":{port}/"));
    anyhow::ensure!(far.contains(&format!(":{port}/")), "the database is not addressed by its port: {far}");
    let file = folder.join("muster.db").display().to_string();
    let mut facts = json!({
        "fdatasync_per_second": baselines::syncs_per_second(folder)?.round(),
        "unit": "ms per PATCH, by members added",
    });
    for (name, store) in [("sqlite", file), ("postgres", direct), ("postgres_at_a_round_trip_of_2_ms", far)] {
        facts[name] = measure_engine(&store)?;
    }
    Ok((Vec::new(), facts))
}

fn measure_engine(store: &str) -> anyhow::Result<Value> {
    let muster = Process::muster(store)?;
    let (_, key) = muster.credentials.clone().context("credentials")?;
    let client = Client::new(&muster.address, &key);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let creates = client.creates(0, UNLIMITED).stop_after(USERS);
    runtime.block_on(load::drive(&muster.address, CONNECTIONS, creates, || 0.0))?;
    let ids = client.user_ids()?;
    let mut found = json!({});
    for size in SIZES {
        let members: Vec<Value> = ids.iter().take(size).map(|id| json!({"value": id})).collect();
        anyhow::ensure!(members.len() == size, "there are {} users", ids.len());
        let body = json!({"Operations": [{"op": "add", "path": "members", "value": members}]}).to_string();
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let group = client.create_group(&[])?;
            let begun = Instant::now();
            client.send("PATCH", &format!("/Groups/{group}"), &body)?;
            times.push(begun.elapsed().as_secs_f64() * 1000.0);
            let stored = client.send("GET", &format!("/Groups/{group}"), "")?;
            let count = stored["members"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(count == size, "the group has {count} members instead of {size}");
        }
        found[size.to_string()] = ((median(&mut times) * 100.0).round() / 100.0).into();
    }
    Ok(found)
}
