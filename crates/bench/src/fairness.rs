//! Measures one tenant's sign-ins and reads while another tenant creates users with passwords and leaves exports
//! unread, and unauthenticated clients hold idle connections and send invalid keys.

use crate::load::send_for_status;
use crate::load::{request, send_once};
use crate::report::Row;
use crate::{Process, median};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clients of the greedy tenant that create users.
const CREATING_CLIENTS: usize = 70;
/// Exports that the greedy tenant requests and does not read.
const UNREAD_EXPORTS: usize = 700;
/// Connections that send nothing, and as many with an incomplete body.
const SILENT_CONNECTIONS: usize = 500;
/// Clients with invalid keys.
const INVALID_KEY_CLIENTS: usize = 16;
/// Users of the greedy tenant, of 10 kB each, so that an export exceeds the socket buffers.
const USERS: usize = 2_000;
/// Measured sign-ins and reads of the other tenant, without and with the attack.
const SIGN_INS: usize = 60;
const READS: usize = 600;

/// A tenant's number, a key for the user APIs and transfers, and a key for sign-ins.
struct TenantCredentials {
    number: u64,
    key: String,
    sign_in_key: String,
}

impl TenantCredentials {
    fn new(store: &str, name: &str) -> anyhow::Result<Self> {
        let (added, _) = Process::run_command(store, &["tenant", "add", name])?;
        let number = added["number"].as_u64().context("a number")?;
        let tenant = number.to_string();
        let key = |name: &str, dialects: &[&str]| -> anyhow::Result<String> {
            let mut arguments = vec!["connection", "add", name, "--tenant", &tenant];
            for dialect in dialects {
                arguments.extend(["--dialect", dialect]);
            }
            let (added, _) = Process::run_command(store, &arguments)?;
            Ok(added["key"].as_str().context("a key")?.to_owned())
        };
        Ok(Self { number, key: key("all", &["all", "transfer"])?, sign_in_key: key("app", &["sign-in"])? })
    }

    /// A request that creates a user with a password.
    fn create(&self, name: &str) -> Vec<u8> {
        let body = format!(
            "{{\"CompanyId\":{},\"IntegrationKey\":\"{}\",\"Email\":\"{name}@example.com\",\"FirstName\":\"Who\",\
             \"LastName\":\"Ever\",\"Password\":\"vier rote fische\",\"DoNotEmail\":true}}",
            self.number, self.key
        );
        let headers = "Content-Type: application/json\r\nConnection: close\r\n";
        request("POST", "/api/v2/user?format=json", headers, &body)
    }

    fn read(&self) -> Vec<u8> {
        let target = format!(
            "/api/v2/user?format=json&CompanyId={}&IntegrationKey={}&Email=ann@example.com",
            self.number, self.key
        );
        request("GET", &target, "Connection: close\r\n", "")
    }

    fn sign_in(&self) -> Vec<u8> {
        let headers = format!(
            "Content-Type: application/json\r\nAuthorization: Bearer {}\r\nConnection: close\r\n",
            self.sign_in_key
        );
        let body = "{\"user\":\"ann@example.com\",\"password\":\"vier rote fische\",\"address\":\"192.0.2.1\"}";
        request("POST", "/v1/sign-in", &headers, body)
    }
}

/// Response times; all requests must succeed.
fn response_times(address: &str, request: &[u8], many: usize) -> anyhow::Result<Latency> {
    let mut millis = Vec::with_capacity(many);
    for _ in 0..many {
        let begun = Instant::now();
        let (status, _) = send_for_status(address, request)?;
        ensure!(status == 200, "unexpected status {status}");
        millis.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let middle = median(&mut millis);
    Ok((middle, millis.get(many * 99 / 100).copied().unwrap_or(0.0)))
}

/// The state and the results of the attack.
#[derive(Default)]
struct Attack {
    stop: AtomicBool,
    created: AtomicU64,
    rejected: AtomicU64,
    peak_kib: AtomicU32,
}

impl Attack {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn create_users(&self, address: &str, greedy: &TenantCredentials, number: usize) {
        for round in 0_u64.. {
            if self.is_over() {
                return;
            }
            let done = send_for_status(address, &greedy.create(&format!("c{number}.{round}")));
            self.created.fetch_add(u64::from(done.is_ok_and(|(status, _)| status == 200)), Ordering::Relaxed);
        }
    }

    fn send_invalid_keys(&self, address: &str, number: usize) {
        for round in 0_u64.. {
            if self.is_over() {
                return;
            }
            let headers = format!("Authorization: Bearer bad-{number}-{round}\r\nConnection: close\r\n");
            let done = send_for_status(address, &request("GET", "/request/role", &headers, ""));
            self.rejected.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
        }
    }

    /// Opens connections with unread exports, without a request, and with incomplete bodies.
    fn open_idle_connections(address: &str, greedy: &TenantCredentials) -> anyhow::Result<Vec<TcpStream>> {
        let export = format!(
            "GET /v1/exports/people.ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
            greedy.key
        );
        let body = "POST /api/v2/user HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
        let open = |bytes: &str| -> anyhow::Result<TcpStream> {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(bytes.as_bytes())?;
            Ok(stream)
        };
        let all = [(export.as_str(), UNREAD_EXPORTS), ("", SILENT_CONNECTIONS), (body, SILENT_CONNECTIONS)];
        all.into_iter().flat_map(|(bytes, many)| std::iter::repeat_n(bytes, many)).map(open).collect()
    }
}

/// Median and 99th percentile in milliseconds.
type Latency = (f64, f64);

fn measure_tenant(address: &str, other: &TenantCredentials) -> anyhow::Result<(Latency, Latency)> {
    Ok((response_times(address, &other.sign_in(), SIGN_INS)?, response_times(address, &other.read(), READS)?))
}

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let store = folder.join("muster.db").display().to_string();
    let muster = Process::muster(&store)?;
    let (greedy, other) = (TenantCredentials::new(&store, "Greedy")?, TenantCredentials::new(&store, "Other")?);
    let said = send_once(&muster.address, &other.create("ann"))?;
    ensure!(said.contains("\"Id\""), "not created: {said}");
    import_users(folder, &store, &greedy)?;
    let address = muster.address.as_str();
    let alone = measure_tenant(address, &other)?;
    let attack = Attack::default();
    let under_attack = std::thread::scope(|scope| {
        let (attack, greedy, muster) = (&attack, &greedy, &muster);
        for number in 0..CREATING_CLIENTS {
            scope.spawn(move || attack.create_users(address, greedy, number));
        }
        for number in 0..INVALID_KEY_CLIENTS {
            scope.spawn(move || attack.send_invalid_keys(address, number));
        }
        scope.spawn(move || {
            while !attack.is_over() {
                attack.peak_kib.fetch_max(muster.resident_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let held = Attack::open_idle_connections(address, greedy);
        let measured = held.and_then(|_held| measure_tenant(address, &other));
        attack.stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let round = |millis: f64| (millis * 10.0).round() / 10.0;
    let facts = json!({
        "sign-in_alone_p50_ms": round(alone.0.0),
        "sign-in_under_attack_p50_ms": round(under_attack.0.0),
        "sign-in_under_attack_p99_ms": round(under_attack.0.1),
        "sign-in_ratio": round(under_attack.0.0 / alone.0.0),
        "read_alone_p50_ms": round(alone.1.0),
        "read_under_attack_p50_ms": round(under_attack.1.0),
        "read_under_attack_p99_ms": round(under_attack.1.1),
        "peak_resident_mib": attack.peak_kib.load(Ordering::Relaxed) / 1024,
        "users_created_by_the_attack": attack.created.load(Ordering::Relaxed),
        "invalid_keys_rejected": attack.rejected.load(Ordering::Relaxed),
    });
    Ok((Vec::new(), facts))
}

/// Creates the greedy tenant's users, which its exports contain.
fn import_users(folder: &Path, store: &str, greedy: &TenantCredentials) -> anyhow::Result<()> {
    let (bio, mut rows) = ("x".repeat(10_000), String::new());
    for n in 0..USERS {
        writeln!(rows, "{{\"email\":\"u{n}@example.com\",\"givenName\":\"U\",\"bio\":\"{bio}\"}}")?;
    }
    let file = folder.join("users.ndjson");
    std::fs::write(&file, rows)?;
    let number = greedy.number.to_string();
    Process::run_command(store, &["import", &file.display().to_string(), "--tenant", &number])?;
    Ok(())
}
