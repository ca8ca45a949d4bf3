//! What a tenant notices of another one that takes all it can get: creates with passwords, exports that it does not read,
//! silent sockets, and a flood of bad keys, all at once.

use crate::load::{once, request};
use crate::report::Row;
use crate::sign_in::answer;
use crate::{Process, median};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Clients of the greedy tenant that create users with passwords.
const CREATING: usize = 70;
/// Exports that it asks for and does not read.
const UNREAD: usize = 700;
/// Connections that send nothing, and as many that announce a body and send none.
const SILENT: usize = 500;
/// Clients with bad keys.
const BAD_KEYS: usize = 16;
/// Users of the greedy tenant, of 10 kB each: more than the buffers of its sockets hold.
const USERS: usize = 2_000;
/// Sign-ins and reads of the other tenant that are measured, alone and beside all that.
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
            dialects.iter().for_each(|dialect| arguments.extend(["--dialect", dialect]));
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

/// Median and 99th percentile of the milliseconds that answers take, which must all be 200.
fn times(address: &str, request: &[u8], many: usize) -> anyhow::Result<(f64, f64)> {
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

pub(super) fn measure(folder: &Path) -> anyhow::Result<(Vec<Row>, Value)> {
    let store = folder.join("muster.db").display().to_string();
    let muster = Process::muster(&store)?;
    let (greedy, other) = (Tenant::new(&store, "Greedy")?, Tenant::new(&store, "Other")?);
    let said = once(&muster.address, &other.create("ann"))?;
    ensure!(said.contains("\"Id\""), "not created: {said}");
    let (bio, mut rows) = ("x".repeat(10_000), String::new());
    for n in 0..USERS {
        writeln!(rows, "{{\"email\":\"u{n}@example.com\",\"givenName\":\"U\",\"bio\":\"{bio}\"}}")?;
    }
    let file = folder.join("users.ndjson");
    std::fs::write(&file, rows)?;
    let number = greedy.number.to_string();
    Process::ask(&store, &["import", &file.display().to_string(), "--tenant", &number])?;

    let alone =
        (times(&muster.address, &other.sign_in(), SIGN_INS)?, times(&muster.address, &other.read(), READS)?);
    let (stop, peak) = (AtomicBool::new(false), AtomicU32::new(0));
    let counts: [AtomicU64; 2] = Default::default();
    let beside = std::thread::scope(|scope| {
        let (stop, peak, greedy, address) = (&stop, &peak, &greedy, muster.address.as_str());
        let (muster, is_over) = (&muster, move || stop.load(Ordering::Relaxed));
        for number in 0..CREATING {
            let created = &counts[0];
            scope.spawn(move || {
                for round in 0_u64.. {
                    if is_over() {
                        return;
                    }
                    let done = answer(address, &greedy.create(&format!("c{number}.{round}")));
                    created
                        .fetch_add(u64::from(done.is_ok_and(|(status, _)| status == 200)), Ordering::Relaxed);
                }
            });
        }
        for number in 0..BAD_KEYS {
            let rejected = &counts[1];
            scope.spawn(move || {
                for round in 0_u64.. {
                    if is_over() {
                        return;
                    }
                    let headers =
                        format!("Authorization: Bearer bad-{number}-{round}\r\nConnection: close\r\n");
                    let done = answer(address, &request("GET", "/request/role", &headers, ""));
                    rejected.fetch_add(u64::from(done.is_ok()), Ordering::Relaxed);
                }
            });
        }
        scope.spawn(move || {
            while !is_over() {
                peak.fetch_max(muster.resident_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        let measured = (|| {
            let open = |bytes: &str| -> anyhow::Result<TcpStream> {
                let mut stream = TcpStream::connect(address)?;
                stream.write_all(bytes.as_bytes())?;
                Ok(stream)
            };
            let export = format!(
                "GET /v1/exports/people.ndjson HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
                greedy.key
            );
            let announced = "POST /api/v2/user HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n";
            let mut held = (0..UNREAD).map(|_| open(&export)).collect::<anyhow::Result<Vec<_>>>()?;
            held.extend((0..SILENT).map(|_| open("")).collect::<anyhow::Result<Vec<_>>>()?);
            held.extend((0..SILENT).map(|_| open(announced)).collect::<anyhow::Result<Vec<_>>>()?);
            let sign_ins = times(address, &other.sign_in(), SIGN_INS)?;
            let reads = times(address, &other.read(), READS)?;
            anyhow::Ok((sign_ins, reads))
        })();
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let round = |millis: f64| (millis * 10.0).round() / 10.0;
    let facts = json!({
        "sign-in_alone_p50_ms": round(alone.0.0),
        "sign-in_beside_p50_ms": round(beside.0.0),
        "sign-in_beside_p99_ms": round(beside.0.1),
        "sign-in_times_as_long": round(beside.0.0 / alone.0.0),
        "read_alone_p50_ms": round(alone.1.0),
        "read_beside_p50_ms": round(beside.1.0),
        "read_beside_p99_ms": round(beside.1.1),
        "most_resident_mib": peak.load(Ordering::Relaxed) / 1024,
        "users_the_greedy_tenant_created": counts[0].load(Ordering::Relaxed),
        "bad_keys_rejected": counts[1].load(Ordering::Relaxed),
    });
    Ok((Vec::new(), facts))
}
