//! How one tenant's sign-ins and reads fare while another tenant creates users with passwords and leaves exports unread, and
//! unauthenticated clients hold silent connections and send invalid keys.

use crate::load::answer;
use crate::load::{once, request};
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
const CREATING: usize = 70;
/// Exports it does not read.
const UNREAD: usize = 700;
/// Connections that send nothing, and as many with a body that never comes.
const SILENT: usize = 500;
/// Clients with invalid keys.
const BAD_KEYS: usize = 16;
/// Users of the greedy tenant, of 10 kB each: more than the buffers of its sockets hold.
const USERS: usize = 2_000;
/// Measured sign-ins and reads of the other tenant, without and with the attack.
const SIGN_INS: usize = 60;
const READS: usize = 600;

/// A tenant's number, a key for everything and one for sign-ins.
struct Tenant {
    number: u64,
    key: String,
    app: String,
}

impl Tenant {
    fn new(store: &str, name: &str) -> anyhow::Result<Self> {
        let (added, _) = Process::ask(store, &["tenant", "add", name])?;
        let number = added["number"].as_u64().context("a number")?;
        let tenant = number.to_string();
        let key = |name: &str, dialects: &[&str]| -> anyhow::Result<String> {
            let mut arguments = vec!["connection", "add", name, "--tenant", &tenant];
            for dialect in dialects {
                arguments.extend(["--dialect", dialect]);
            }
            let (added, _) = Process::ask(store, &arguments)?;
            Ok(added["key"].as_str().context("a key")?.to_owned())
        };
        Ok(Self { number, key: key("all", &["all", "transfer"])?, app: key("app", &["sign-in"])? })
    }

    /// A create of a user with a password.
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
            self.app
        );
        let body =
            "{\"user\":\"ann@example.com\",\"password\":\"vier rote fische\",\"address\":\"192.0.2.1\"}";
        request("POST", "/v1/sign-in", &headers, body)
    }
}

/// Response times of requests that must all succeed.
fn times(address: &str, request: &[u8], many: usize) -> anyhow::Result<Times> {
    let mut millis = Vec::with_capacity(many);
    for _ in 0..many {
        let begun = Instant::now();
        let (status, _) = answer(address, request)?;
        ensure!(status == 200, "it was answered {status}");
        millis.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    let middle = median(&mut millis);
    Ok((middle, millis.get(many * 99 / 100).copied().unwrap_or(0.0)))
}

/// What the greedy tenant and unauthenticated clients got while they tried.
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

    /// Creates users with passwords until it is over.
    fn create(&self, address: &str, greedy: &Tenant, number: usize) {
        for round in 0_u64.. {
            if self.is_over() {
                return;
            }
            let done = answer(address, &greedy.create(&format!("c{number}.{round}")));
            self.created.fetch_add(u64::from(done.is_ok_and(|(status, _)| status == 200)), Ordering::Relaxed);
        }
    }

    /// Sends invalid keys until it is over.
    fn guess(&self, address: &str, number: usize) {
        for round in 0_u64.. {
            if self.is_over() {
                return;
            }
            let headers = format!("Authorization: Bearer bad-{number}-{round}\r\nConnection: close\r\n");
            let done = answer(address, &request("GET", "/request/role", &headers, ""));
            self.rejected.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
        }
    }

    /// Connections that are held open: unread exports, silent ones, and bodies that never come.
    fn hold(address: &str, greedy: &Tenant) -> anyhow::Result<Vec<TcpStream>> {
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
        let all = [(export.as_str(), UNREAD), ("", SILENT), (body, SILENT)];
        all.into_iter().flat_map(|(bytes, many)| std::iter::repeat_n(bytes, many)).map(open).collect()
    }
}

/// Median and 99th percentile in milliseconds.
type Times = (f64, f64);

/// Sign-ins and reads of the other tenant.
fn measured(address: &str, other: &Tenant) -> anyhow::Result<(Times, Times)> {
    Ok((times(address, &other.sign_in(), SIGN_INS)?, times(address, &other.read(), READS)?))
}

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let store = folder.join("muster.db").display().to_string();
    let muster = Process::muster(&store)?;
    let (greedy, other) = (Tenant::new(&store, "Greedy")?, Tenant::new(&store, "Other")?);
    let said = once(&muster.address, &other.create("ann"))?;
    ensure!(said.contains("\"Id\""), "not created: {said}");
    fill(folder, &store, &greedy)?;
    let address = muster.address.as_str();
    let alone = measured(address, &other)?;
    let attack = Attack::default();
    let beside = std::thread::scope(|scope| {
        let (attack, greedy, muster) = (&attack, &greedy, &muster);
        for number in 0..CREATING {
            scope.spawn(move || attack.create(address, greedy, number));
        }
        for number in 0..BAD_KEYS {
            scope.spawn(move || attack.guess(address, number));
        }
        scope.spawn(move || {
            while !attack.is_over() {
                attack.peak_kib.fetch_max(muster.resident_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let held = Attack::hold(address, greedy);
        let measured = held.and_then(|_held| measured(address, &other));
        attack.stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let round = |millis: f64| (millis * 10.0).round() / 10.0;
    let facts = json!({
        "sign-in_alone_p50_ms": round(alone.0.0),
        "sign-in_under_attack_p50_ms": round(beside.0.0),
        "sign-in_under_attack_p99_ms": round(beside.0.1),
        "sign-in_ratio": round(beside.0.0 / alone.0.0),
        "read_alone_p50_ms": round(alone.1.0),
        "read_under_attack_p50_ms": round(beside.1.0),
        "read_under_attack_p99_ms": round(beside.1.1),
        "peak_resident_mib": attack.peak_kib.load(Ordering::Relaxed) / 1024,
        "users_created_by_the_attack": attack.created.load(Ordering::Relaxed),
        "invalid_keys_rejected": attack.rejected.load(Ordering::Relaxed),
    });
    Ok((Vec::new(), facts))
}

/// Gives the greedy tenant users to export.
fn fill(folder: &Path, store: &str, greedy: &Tenant) -> anyhow::Result<()> {
    let (bio, mut rows) = ("x".repeat(10_000), String::new());
    for n in 0..USERS {
        writeln!(rows, "{{\"email\":\"u{n}@example.com\",\"givenName\":\"U\",\"bio\":\"{bio}\"}}")?;
    }
    let file = folder.join("users.ndjson");
    std::fs::write(&file, rows)?;
    let number = greedy.number.to_string();
    Process::ask(store, &["import", &file.display().to_string(), "--tenant", &number])?;
    Ok(())
}
