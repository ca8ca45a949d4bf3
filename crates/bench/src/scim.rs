//! Measures SCIM at 1,000, 100,000 and 1,000,000 users in one run, to show which costs grow with the number of users.

use crate::load::{Load, drive, last_request, pseudorandom, request, send_once};
use crate::report::Row;
use crate::{CONNECTIONS, Process, median};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of users at each stage.
const STAGES: [u64; 3] = [1_000, 100_000, 1_000_000];
/// Members of the group to which members are added.
const GROUP_SIZE: usize = 100_000;
/// Creates per round and dialect in the comparison.
const COMPARED_CREATES: u64 = 20_000;
const SECONDS: Duration = Duration::from_secs(5);

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let muster = Process::muster(&folder.join("muster.db").display().to_string())?;
    let mut bench = Bench::new(&muster)?;
    let mut people = 0;
    for stage in STAGES {
        let name = format!("create, {people} to {stage} users");
        bench.run(&name, bench.client.creates(people, UNLIMITED).stop_after(stage - people))?;
        people = stage;
        if stage == STAGES[1] {
            bench.compare()?;
        }
        bench.run(&format!("userName eq, {stage}"), bench.client.by_user_name(stage))?;
        bench.run(&format!("emails[type eq \"work\"].value eq, {stage}"), bench.client.by_email(stage))?;
        bench.run(&format!("page 1 of 100, {stage}"), bench.client.page(1))?;
        let last = (stage / 100).min(5_000);
        bench.run(&format!("page {last} of 100, {stage}"), bench.client.page((last - 1) * 100 + 1))?;
        let ids = bench.client.user_ids()?;
        bench.run(&format!("PATCH one attribute, {stage}"), bench.client.patches(&ids))?;
        if ids.len() > GROUP_SIZE {
            bench.measure_member_adds(&ids, stage)?;
        }
    }
    let (standard, other) = (median(&mut bench.scim_cpu), median(&mut bench.onfire_cpu));
    let facts = json!({
        "cpu_us_of_a_create": standard.round(),
        "cpu_us_of_an_onfire_json_create": other.round(),
        "their_ratio": (standard / other * 100.0).round() / 100.0,
        "one_more_member_alone_p50_ms": bench.unloaded_ms,
        "resident_mib": muster.resident_mib().round(),
        "store_mib": std::fs::metadata(folder.join("muster.db")).map_or(0, |m| m.len()) / 1_048_576,
    });
    Ok((bench.rows, facts))
}

/// Longer than any load with a request limit takes.
pub(crate) const UNLIMITED: Duration = Duration::from_hours(1);

struct Bench<'a> {
    muster: &'a Process,
    client: Client,
    tenant: u64,
    key: String,
    runtime: tokio::runtime::Runtime,
    rows: Vec<Row>,
    /// CPU µs per create, one entry per round.
    scim_cpu: Vec<f64>,
    onfire_cpu: Vec<f64>,
    /// The group to which members are added, once it exists.
    group: Option<String>,
    /// The time to add one member without other load, in ms, one entry per stage.
    unloaded_ms: Vec<f64>,
}

impl<'a> Bench<'a> {
    fn new(muster: &'a Process) -> anyhow::Result<Self> {
        let (tenant, key) = muster.credentials.clone().context("credentials")?;
        Ok(Self {
            muster,
            client: Client::new(&muster.address, &key),
            tenant,
            key,
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build()?,
            rows: Vec::new(),
            scim_cpu: Vec::new(),
            onfire_cpu: Vec::new(),
            group: None,
            unloaded_ms: Vec::new(),
        })
    }

    /// Runs a load and adds a row; returns CPU µs per request.
    fn run(&mut self, name: &str, load: Load) -> anyhow::Result<f64> {
        let cpu = || self.muster.cpu_seconds();
        let stats = self.runtime.block_on(drive(&self.muster.address, CONNECTIONS, load, cpu))?;
        self.rows.push(Row::new(name, &stats, None));
        Ok(stats.cpu_us_per_request)
    }

    /// Alternates creates over both dialects, so that neither has the emptier store.
    fn compare(&mut self) -> anyhow::Result<()> {
        for (turn, prefix) in (0..).zip(["j0", "j1", "j2"]) {
            let load =
                self.client.creates(10_000_000 + turn * COMPARED_CREATES, UNLIMITED).stop_after(COMPARED_CREATES);
            let cpu = self.run("create over SCIM, alternating with onfire", load)?;
            self.scim_cpu.push(cpu);
            let load = Load::create_json(self.tenant, &self.key, prefix, UNLIMITED).stop_after(COMPARED_CREATES);
            let cpu = self.run("create over onfire, JSON", load)?;
            self.onfire_cpu.push(cpu);
        }
        Ok(())
    }

    /// Adds members to a large group, without other load and under load.
    fn measure_member_adds(&mut self, ids: &Arc<Vec<String>>, stage: u64) -> anyhow::Result<()> {
        let group = match self.group.clone() {
            Some(group) => group,
            None => self.client.create_group(&ids[..GROUP_SIZE])?,
        };
        self.group = Some(group.clone());
        // The last users, which are not members yet.
        let outside: Arc<Vec<String>> = Arc::new(ids[ids.len() - MEMBERS_ADDED..].to_vec());
        let mut alone = Vec::new();
        for id in &outside[..UNLOADED_REQUESTS] {
            let begun = Instant::now();
            self.client.send("PATCH", &format!("/Groups/{group}"), &add_member_body(id))?;
            alone.push(begun.elapsed().as_secs_f64() * 1000.0);
        }
        self.unloaded_ms.push((median(&mut alone) * 100.0).round() / 100.0);
        let remaining = MEMBERS_ADDED - UNLOADED_REQUESTS;
        let load = self.client.add_members(&group, &outside, UNLOADED_REQUESTS).stop_after(remaining as u64);
        self.run(&format!("add one member to a group of {GROUP_SIZE}, {stage}"), load)?;
        Ok(())
    }
}

/// Members added per stage, and how many of them without other load.
const MEMBERS_ADDED: usize = 5_000;
const UNLOADED_REQUESTS: usize = 200;

fn add_member_body(id: &str) -> String {
    json!({"Operations": [{"op": "add", "path": "members", "value": [{"value": id}]}]}).to_string()
}

/// Sends the requests of an identity provider.
pub(crate) struct Client {
    address: String,
    bearer: String,
}

impl Client {
    pub(crate) fn new(address: &str, key: &str) -> Self {
        let bearer = format!("Authorization: Bearer {key}\r\nContent-Type: application/scim+json\r\n");
        Self { address: address.to_owned(), bearer }
    }

    fn load(
        &self,
        time: Duration,
        make: impl Fn(u64) -> (&'static str, String, String) + Send + Sync + 'static,
    ) -> Load {
        let bearer = self.bearer.clone();
        Load::new(time, move |n| {
            let (method, path, body) = make(n);
            request(method, &format!("/scim/v2{path}"), &bearer, &body)
        })
    }

    pub(crate) fn creates(&self, from: u64, time: Duration) -> Load {
        self.load(time, move |n| {
            let n = from + n;
            let body = format!(
                "{{\"schemas\":[\"urn:ietf:params:scim:schemas:core:2.0:User\"],\"userName\":\"u{n}@example.com\",\
                 \"externalId\":\"ext-{n}\",\"name\":{{\"givenName\":\"First{n}\",\"familyName\":\"Family{n}\"}},\
                 \"emails\":[{{\"value\":\"u{n}@example.com\",\"type\":\"work\",\"primary\":true}}],\
                 \"timezone\":\"Central Standard Time\",\"active\":true}}"
            );
            ("POST", "/Users".to_owned(), body)
        })
    }

    fn by_user_name(&self, people: u64) -> Load {
        self.load(SECONDS, move |n| {
            let who = pseudorandom(n, people);
            ("GET", format!("/Users?filter=userName%20eq%20%22u{who}%40example.com%22"), String::new())
        })
    }

    fn by_email(&self, people: u64) -> Load {
        self.load(SECONDS, move |n| {
            let who = pseudorandom(n, people);
            let filter = format!("emails%5Btype%20eq%20%22work%22%5D.value%20eq%20%22u{who}%40example.com%22");
            ("GET", format!("/Users?filter={filter}"), String::new())
        })
    }

    fn page(&self, start: u64) -> Load {
        self.load(SECONDS, move |_| ("GET", format!("/Users?startIndex={start}&count=100"), String::new()))
    }

    fn patches(&self, ids: &Arc<Vec<String>>) -> Load {
        let ids = Arc::clone(ids);
        self.load(SECONDS, move |n| {
            let id = &ids[usize::try_from(pseudorandom(n, ids.len() as u64)).unwrap_or(0)];
            let body =
                format!("{{\"Operations\":[{{\"op\":\"replace\",\"path\":\"title\",\"value\":\"Title {n}\"}}]}}");
            ("PATCH", format!("/Users/{id}"), body)
        })
    }

    fn add_members(&self, group: &str, outside: &Arc<Vec<String>>, from: usize) -> Load {
        let (outside, path) = (Arc::clone(outside), format!("/Groups/{group}"));
        self.load(UNLIMITED, move |n| {
            let id = &outside[(from + usize::try_from(n).unwrap_or(0)).min(outside.len() - 1)];
            ("PATCH", path.clone(), add_member_body(id))
        })
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> anyhow::Result<Value> {
        let request = last_request(method, &format!("/scim/v2{path}"), &self.bearer, body);
        let answer = send_once(&self.address, &request)?;
        if answer.is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&answer)?) }
    }

    /// The ids of all users, read with cursor pagination.
    pub(crate) fn user_ids(&self) -> anyhow::Result<Arc<Vec<String>>> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/Users?attributes=id&count=1000&cursor={cursor}");
            let page = self.send("GET", &path, "")?;
            let rows = page["Resources"].as_array().context("a page")?;
            ids.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
            match page["nextCursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return Ok(Arc::new(ids)),
            }
        }
    }

    /// Creates a group with these members and returns its id.
    pub(crate) fn create_group(&self, members: &[String]) -> anyhow::Result<String> {
        let group = self.send("POST", "/Groups", "{\"displayName\":\"Everybody\"}")?;
        let id = group["id"].as_str().context("an id")?.to_owned();
        for part in members.chunks(5_000) {
            let value: Vec<Value> = part.iter().map(|member| json!({"value": member})).collect();
            let body = json!({"Operations": [{"op": "add", "path": "members", "value": value}]});
            self.send("PATCH", &format!("/Groups/{id}"), &body.to_string())?;
        }
        Ok(id)
    }
}
