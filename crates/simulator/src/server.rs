//! Serves a simulated system over HTTP, with faults.

use crate::faults::Faults;
use crate::record::Recorded;
use crate::vendor::{ACCOUNT, Vendor, VendorApi, VendorResponse, json_response, query_value, respond};
use crate::{api, scim};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited, combinators::BoxBody};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

#[derive(Debug)]
pub struct SimulatorConfig {
    pub api: VendorApi,
    /// Such as `127.0.0.1:9191`.
    pub listen: String,
    pub key: String,
    pub faults: Faults,
    /// A file that gets one line of JSON for each request.
    pub record: Option<File>,
}

/// A simulated system that listens.
pub struct Simulator {
    listener: TcpListener,
    state: Arc<State>,
}

struct State {
    vendor: Mutex<Vendor>,
    record: Mutex<Record>,
    start: Instant,
    requests: std::sync::atomic::AtomicU64,
}

#[derive(Default)]
struct Record {
    requests: Vec<Recorded>,
    file: Option<BufWriter<File>>,
}

const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Paths for tests, which need no key: `/-/accounts`, `/-/requests?after=N`.
const TEST_PREFIX: &str = "/-/";

impl Simulator {
    /// # Errors
    /// It cannot listen.
    pub async fn bind(config: SimulatorConfig) -> std::io::Result<Self> {
        let SimulatorConfig { api, listen, key, faults, record } = config;
        let listener = TcpListener::bind(&listen).await?;
        let base = format!("http://{}{}", listener.local_addr()?, path_of(api));
        let vendor = Mutex::new(Vendor::new(api, api::keys(api), key, faults, base));
        let record = Mutex::new(Record { requests: Vec::new(), file: record.map(BufWriter::new) });
        let (start, requests) = (Instant::now(), std::sync::atomic::AtomicU64::new(0));
        Ok(Self { listener, state: Arc::new(State { vendor, record, start, requests }) })
    }

    /// # Errors
    /// The address cannot be read.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The URL to configure at a target.
    pub fn url(&self) -> String {
        self.state.vendor.lock().base.clone()
    }

    /// The number of the account, if the API has one.
    pub fn account(&self) -> Option<&'static str> {
        (self.state.vendor.lock().api == VendorApi::Onfire).then_some(ACCOUNT)
    }

    /// Serves until `stop` ends.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut flush = tokio::time::interval(Duration::from_millis(200));
        loop {
            tokio::select! {
                () = &mut stop => break,
                _ = flush.tick() => self.state.flush(),
                accepted = self.listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let _ = stream.set_nodelay(true);
                    let state = Arc::clone(&self.state);
                    tokio::spawn(async move {
                        let service = service_fn(|request| answer(Arc::clone(&state), request));
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(stream), service);
                        // Lost answers end connections with an error.
                        drop(connection.await);
                    });
                }
            }
        }
        self.state.flush();
    }
}

fn path_of(api: VendorApi) -> &'static str {
    match api {
        VendorApi::Scim => scim::PATH,
        VendorApi::Onfire | VendorApi::Ccs | VendorApi::CcsOfMuster | VendorApi::Publisher => "",
    }
}

impl State {
    fn flush(&self) {
        if let Some(file) = &mut self.record.lock().file {
            // The record in memory is complete.
            drop(file.flush());
        }
    }

    fn record(&self, head: &Parts, done: Option<crate::record::Done>, status: Option<u16>) {
        let mut record = self.record.lock();
        let recorded = Recorded {
            number: record.requests.len() + 1,
            at: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            done,
            status,
        };
        if let Some(file) = &mut record.file
            && let Ok(line) = serde_json::to_string(&recorded)
        {
            drop(writeln!(file, "{line}"));
        }
        record.requests.push(recorded);
    }
}

/// The connection is closed instead of an answer.
#[derive(Debug)]
struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is lost")
    }
}

impl std::error::Error for NoAnswer {}

type Body = BoxBody<Bytes, std::io::Error>;

fn full(response: VendorResponse) -> Response<Body> {
    response.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed())
}

/// What happens to a request, decided before it is carried out.
struct FaultPlan {
    delay: Duration,
    /// Answered without being carried out.
    instead: Option<VendorResponse>,
    is_lost: bool,
    is_cut: bool,
    fails_after_work: bool,
}

fn plan_faults(vendor: &mut Vendor, head: &Parts, number: u64) -> FaultPlan {
    let faults = vendor.faults.clone();
    let is_write = !matches!(head.method.as_str(), "GET" | "HEAD");
    let mut delay = Duration::from_millis(faults.delay_ms);
    if vendor.rng.roll(faults.slow) {
        delay += Duration::from_millis(faults.slow_ms);
    }
    let too_many = || {
        let mut response = json_response(429, &json!({"message": "too many requests"}));
        if let Some(Ok(value)) = faults.retry_after.map(|seconds| seconds.to_string().parse()) {
            response.headers_mut().insert("retry-after", value);
        }
        response
    };
    let instead = if faults.key_expires_after.is_some_and(|last| number > last) {
        Some(json_response(401, &json!({"message": "the key has expired"})))
    } else if vendor.rng.roll(faults.too_many_requests) {
        Some(too_many())
    } else if vendor.rng.roll(faults.fail) {
        Some(json_response(500, &json!({"message": "internal error"})))
    } else if vendor.rng.roll(faults.login_page) {
        Some(respond(200, "text/html", "<!DOCTYPE html><html><title>Sign in</title></html>"))
    } else {
        None
    };
    FaultPlan {
        delay,
        instead,
        is_lost: is_write && vendor.rng.roll(faults.lose_answers),
        is_cut: vendor.rng.roll(faults.cut_answers),
        fails_after_work: is_write && vendor.rng.roll(faults.fail_after_work),
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, NoAnswer> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY_BYTES).collect().await else {
        return Ok(full(json_response(413, &json!({"message": "too large"}))));
    };
    let body = body.to_bytes();
    if let Some(path) = head.uri.path().strip_prefix(TEST_PREFIX) {
        return Ok(full(for_tests(&state, path, &head)));
    }
    let number = state.requests.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
    let FaultPlan { delay, instead, is_lost, is_cut, fails_after_work } =
        plan_faults(&mut state.vendor.lock(), &head, number);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let response = if let Some(response) = instead {
        state.record(&head, None, Some(response.status().as_u16()));
        response
    } else {
        // In one step, so that the record has the order in which accounts changed.
        let mut vendor = state.vendor.lock();
        vendor.done = None;
        let mut response = api::handle(&mut vendor, &head, &body);
        if fails_after_work {
            response = json_response(500, &json!({"message": "internal error"}));
        }
        let done = vendor.done.take();
        state.record(&head, done, (!is_lost).then_some(response.status().as_u16()));
        response
    };
    if is_lost {
        return Err(NoAnswer);
    }
    if is_cut && response.body().len() > 1 {
        return Ok(cut(response));
    }
    Ok(full(response))
}

/// Announces the whole body, and sends half of it.
fn cut(response: VendorResponse) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.insert(http::header::CONTENT_LENGTH, body.len().into());
    let half = body.slice(..body.len() / 2);
    let frames = [Ok(hyper::body::Frame::data(half)), Err(std::io::Error::other("the rest of the answer is lost"))];
    let body = http_body_util::StreamBody::new(futures_stream(frames)).boxed();
    Response::from_parts(head, body)
}

type FrameResult = Result<hyper::body::Frame<Bytes>, std::io::Error>;

fn futures_stream<const N: usize>(frames: [FrameResult; N]) -> impl futures_util::Stream<Item = FrameResult> {
    futures_util::stream::iter(frames)
}

fn for_tests(state: &State, path: &str, head: &Parts) -> VendorResponse {
    match path {
        "accounts" => {
            let vendor = state.vendor.lock();
            let shown = vendor
                .accounts
                .all()
                .map(|account| json!({"id": account.id, "fields": Value::Object(account.fields.clone())}));
            json_response(200, &Value::Array(shown.collect()))
        }
        "count" => json_response(
            200,
            &json!({
                "accounts": state.vendor.lock().accounts.len(),
                "requests": state.record.lock().requests.len(),
                "at": state.start.elapsed().as_millis(),
            }),
        ),
        "requests" => {
            let after: usize = query_value(head, "after").and_then(|text| text.parse().ok()).unwrap_or(0);
            let record = state.record.lock();
            let rest = record.requests.get(after..).unwrap_or_default();
            respond(200, "application/json", serde_json::to_string(rest).unwrap_or_default())
        }
        _ => json_response(404, &json!({"message": "no such endpoint"})),
    }
}
