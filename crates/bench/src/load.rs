//! A closed-loop load generator: each client sends a request, reads the response and sends the next request. It uses
//! plain sockets to keep its CPU cost low, because it shares the cores with the server.

use anyhow::{Context, bail, ensure};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

type RequestFactory = Arc<dyn Fn(u64) -> Vec<u8> + Send + Sync>;

/// The requests of a load, and its limits.
pub(crate) struct Load {
    make_request: RequestFactory,
    duration: Duration,
    stop_after: u64,
}

pub(crate) struct LoadStats {
    pub(crate) completed: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) cpu_us_per_request: f64,
}

impl LoadStats {
    pub(crate) fn requests_per_second(&self) -> f64 {
        as_f64(self.completed) / self.seconds
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn as_f64(n: u64) -> f64 {
    n as f64
}

pub(crate) fn request(method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
    request_in_version("1.1", method, target, headers, body)
}

/// A request whose response ends with the connection: HTTP/1.0 has no chunks.
pub(crate) fn last_request(method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
    request_in_version("1.0", method, target, headers, body)
}

fn request_in_version(version: &str, method: &str, target: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{method} {target} HTTP/{version}\r\nHost: localhost\r\n{headers}{length}\r\n{body}").into_bytes()
}

/// A number in `0..range` that looks random and is the same in each run.
pub(crate) fn pseudorandom(n: u64, range: u64) -> u64 {
    (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 16) % range.max(1)
}

impl Load {
    pub(crate) fn new(time: Duration, make: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { make_request: Arc::new(make), duration: time, stop_after: u64::MAX }
    }

    pub(crate) fn stop_after(self, requests: u64) -> Self {
        Self { stop_after: requests, ..self }
    }

    pub(crate) fn get(target: &'static str, time: Duration) -> Self {
        Self::new(time, move |_| request("GET", target, "", ""))
    }

    pub(crate) fn create_json(tenant: u64, key: &str, prefix: &'static str, time: Duration) -> Self {
        let key = key.to_owned();
        Self::new(time, move |n| {
            let body = format!(
                "{{\"CompanyId\":{tenant},\"IntegrationKey\":\"{key}\",\"Email\":\"{prefix}{n}@example.com\",\
                 \"FirstName\":\"First{n}\",\"LastName\":\"Family{n}\",\"ExternalId\":\"{prefix}-{n}\",\
                 \"WebsiteRole\":\"User\",\"TimeZone\":\"Central Standard Time\",\"Country\":\"BA\",\"DoNotEmail\":true}}"
            );
            request("POST", "/api/v2/user?format=json", "Content-Type: application/json\r\n", &body)
        })
    }

    pub(crate) fn create_xml(tenant: u64, key: &str, prefix: &'static str, time: Duration) -> Self {
        let key = key.to_owned();
        Self::new(time, move |n| {
            let body = format!(
                "<User><CompanyId>{tenant}</CompanyId><Country>BA</Country><DoNotEmail>true</DoNotEmail>\
                 <Email>{prefix}{n}@example.com</Email><ExternalId>{prefix}-{n}</ExternalId><FirstName>First{n}</FirstName>\
                 <IntegrationKey>{key}</IntegrationKey><LastName>Family{n}</LastName>\
                 <TimeZone>Central Standard Time</TimeZone><WebsiteRole>User</WebsiteRole></User>"
            );
            request("POST", "/api/v2/user?format=xml", "Content-Type: application/xml\r\n", &body)
        })
    }

    /// Reads users that `create_json` created with the prefix `j`.
    pub(crate) fn read_by_email(tenant: u64, key: &str, people: u64, time: Duration) -> Self {
        let key = key.to_owned();
        Self::new(time, move |n| {
            let who = pseudorandom(n, people);
            let target =
                format!("/api/v2/user?format=json&CompanyId={tenant}&IntegrationKey={key}&Email=j{who}@example.com");
            request("GET", &target, "", "")
        })
    }

    pub(crate) fn pages(tenant: u64, key: &str, pages: u64, time: Duration) -> Self {
        let key = key.to_owned();
        Self::new(time, move |n| {
            let page = pseudorandom(n, pages);
            let target = format!(
                "/api/v2/user/search?format=json&CompanyId={tenant}&IntegrationKey={key}&PageSize=100&PageNo={page}"
            );
            request("GET", &target, "", "")
        })
    }
}

/// Runs a load.
///
/// # Errors
/// If any response is not a success.
pub(crate) async fn drive(
    address: &str,
    connections: usize,
    load: Load,
    cpu_seconds: impl Fn() -> f64,
) -> anyhow::Result<LoadStats> {
    let next = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let mut clients = Vec::new();
    for _ in 0..connections {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (next, stop, make) = (Arc::clone(&next), Arc::clone(&stop), Arc::clone(&load.make_request));
        clients.push(tokio::spawn(client(stream, next, stop, make, load.stop_after)));
    }
    let end = begun + load.duration;
    while Instant::now() < end && next.load(Ordering::Relaxed) < load.stop_after {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut micros = Vec::new();
    for client in clients {
        micros.extend(client.await??);
    }
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    micros.sort_unstable();
    let at = |hundredth: usize| micros.get(micros.len() * hundredth / 100).copied().unwrap_or(0);
    let done = micros.len() as u64;
    Ok(LoadStats {
        completed: done,
        seconds,
        p50_ms: f64::from(at(50)) / 1000.0,
        p99_ms: f64::from(at(99)) / 1000.0,
        cpu_us_per_request: cpu * 1e6 / as_f64(done.max(1)),
    })
}

async fn client(
    mut stream: TcpStream,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    make: RequestFactory,
    stop_after: u64,
) -> anyhow::Result<Vec<u32>> {
    let (mut micros, mut buffer) = (Vec::new(), Vec::with_capacity(64 * 1024));
    while !stop.load(Ordering::Relaxed) {
        let n = next.fetch_add(1, Ordering::Relaxed);
        if n >= stop_after {
            break;
        }
        let request = make(n);
        let begun = Instant::now();
        stream.write_all(&request).await?;
        buffer.clear();
        let whole = loop {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed the connection");
            }
            if let Some(whole) = response_length(&buffer) {
                break whole;
            }
        };
        while buffer.len() < whole {
            if stream.read_buf(&mut buffer).await? == 0 {
                bail!("the server closed the connection");
            }
        }
        micros.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
        if !buffer.starts_with(b"HTTP/1.1 20") {
            bail!("request failed: {}", String::from_utf8_lossy(&buffer));
        }
    }
    Ok(micros)
}

/// The length of the complete response, once its head has arrived.
fn response_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?;
    if text.starts_with("HTTP/1.1 204") {
        return Some(head);
    }
    let body = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    Some(head + body)
}

/// Sends a GET request and returns the response body.
pub(crate) fn get_once(address: &str, target: &str) -> anyhow::Result<String> {
    send_once(address, &last_request("GET", target, "", ""))
}

/// Sends a request made by [`last_request`], or with `Connection: close`, and returns the body of its response.
///
/// # Errors
/// If the status is not one of success.
pub(crate) fn send_once(address: &str, request: &[u8]) -> anyhow::Result<String> {
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no response")?;
    ensure!(head.split(' ').nth(1).is_some_and(|status| status.starts_with('2')), "{text}");
    Ok(body.to_owned())
}

/// Sends a request with `Connection: close`; returns the status and whether there is a `Retry-After` header.
pub(crate) fn send_for_status(address: &str, request: &[u8]) -> anyhow::Result<(u16, bool)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.write_all(request)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split(' ').nth(1).and_then(|word| word.parse().ok()).context("a status")?;
    Ok((status, text.to_ascii_lowercase().contains("\r\nretry-after: ")))
}
