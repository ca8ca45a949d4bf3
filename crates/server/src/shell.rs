//! What stands around every request: a number, limits on body and time, a net under panics, a log line, figures.
//!
//! The order is the code's: number → own pages → body within size and time → dialect within time, panics caught →
//! log and figures. What stops a request here is still said in its dialect's voice.

use crate::routes::{Destination, Routes};
use crate::{Imports, Limits, Metrics, imports, pages};
use bytes::Bytes;
use dialects::kit::{Answer, BodyFault, Content, Desk, Fault, Found, Served};
use dialects::transfer::Awaited;
use directory::{Ids, Refusal};
use futures_util::FutureExt;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use portal::Portal;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Answers requests.
pub struct Shell {
    desk: Desk,
    metrics: Arc<Metrics>,
    numbers: RequestNumbers,
    limits: Limits,
    routes: Arc<Routes>,
    portal: Portal,
    large_bodies: Semaphore,
    imports: Option<Arc<Imports>>,
}

/// Bodies up to so many bytes are read as they come.
const SMALL_BODY: u64 = 64 * 1024;
/// So many larger ones at a time.
const LARGE_BODIES: usize = 128;

/// Numbers of requests: where this process began, and a count. They need be unlike one another, not secret, so no
/// randomness is asked of the kernel for each.
struct RequestNumbers {
    start: u128,
    count: AtomicU64,
}

impl RequestNumbers {
    fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:024x}{count:08x}", self.start >> 32)
    }
}

impl Shell {
    pub(crate) fn new(
        desk: Desk,
        routes: Arc<Routes>,
        portal: Portal,
        metrics: Arc<Metrics>,
        ids: &dyn Ids,
        limits: Limits,
        imports: Option<Arc<Imports>>,
    ) -> Self {
        let numbers = RequestNumbers { start: ids.next().as_u128(), count: AtomicU64::new(0) };
        let large_bodies = Semaphore::new(LARGE_BODIES);
        Self { desk, metrics, numbers, limits, routes, portal, large_bodies, imports }
    }

    /// Answers one request from `address`.
    pub async fn answer<B>(&self, request: Request<B>, address: IpAddr) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let number = self.numbers.next();
        let (parts, body) = request.into_parts();
        let address = origin(&parts, address, &self.limits.trusted_proxies);
        let (mut served, broken) = match self.routes.at(parts.uri.path()) {
            destination if !has_one_host(&parts) => {
                (self.refuse_host(destination.as_ref(), &parts, &number), true)
            }
            Some(Destination::Own(page)) => {
                return pages::answer(page, &parts.method, &self.desk.directory, &self.metrics).await;
            }
            Some(Destination::Dialect(found)) if dialects::transfer::brings_file(&parts.method, &found) => {
                self.take_file(found, &parts, body, address, &number).await
            }
            destination => {
                let body = self.read(&parts, body).await;
                let broken = body.is_err();
                (self.attend(destination, &parts, body, address, &number).await, broken)
            }
        };
        let mut answer = std::mem::take(&mut served.answer);
        if broken {
            // What is left of the body cannot be told from the next request.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.note(&parts.method, &answer, &served, &number, address, begun.elapsed());
        answer
    }

    /// A request whose body is a file: it is looked at first, and its body goes to where files are kept. Whether the rest
    /// of the connection is of no use.
    async fn take_file<B>(
        &self,
        found: Found,
        parts: &Parts,
        body: B,
        address: IpAddr,
        number: &str,
    ) -> (Served, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let dialect = found.dialect;
        let to_dialect = Some(Destination::Dialect(found));
        let served = self.attend(to_dialect, parts, Ok(Bytes::new()), address, number).await;
        let awaited = served.answer.extensions().get::<Awaited>().copied();
        let (Some(Awaited(id)), Some(imports)) = (awaited, &self.imports) else { return (served, true) };
        let fault = match imports::receive(imports, id, body).await {
            Ok(()) => return (served, false),
            Err(fault) => fault,
        };
        let answer = dialects::kit::give_up(&self.desk, dialect, parts, number, &fault);
        let (detail, reason) = (fault.detail().map(str::to_owned), Some(fault.kind()));
        (Served { answer, detail, reason, ..served }, true)
    }

    /// The answer to a request that does not name one host, in the shape of the API it is for.
    fn refuse_host(&self, destination: Option<&Destination>, parts: &Parts, number: &str) -> Served {
        let (answer, dialect) = if let Some(Destination::Dialect(Found { dialect, .. })) = destination {
            let fault = Fault::WrongHost;
            (dialects::kit::give_up(&self.desk, dialect, parts, number, &fault), dialect.name)
        } else {
            let text = "A request must have exactly one Host header.\n";
            (pages::text(StatusCode::BAD_REQUEST, text), "none")
        };
        Served { answer, dialect, reason: Some(Fault::WrongHost.kind()), ..nothing() }
    }

    /// The body within its limits of size and time.
    async fn read<B>(&self, parts: &Parts, body: B) -> Result<Bytes, BodyFault>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let announced =
            parts.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
        if announced.is_some_and(|length: u64| length > self.limits.body as u64) {
            return Err(BodyFault::TooLarge(self.limits.body));
        }
        // Nobody has shown a key yet, so what strangers may have us hold is bounded: large bodies take turns.
        let is_small = announced.is_some_and(|length| length <= SMALL_BODY);
        let has_body = announced.is_some_and(|length| length > 0)
            || parts.headers.contains_key(header::TRANSFER_ENCODING);
        let whole = async {
            let _place = if is_small || !has_body { None } else { self.large_bodies.acquire().await.ok() };
            Limited::new(body, self.limits.body).collect().await
        };
        match tokio::time::timeout(self.limits.body_time, whole).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyFault::TooLarge(self.limits.body)),
            Ok(Err(_)) | Err(_) => Err(BodyFault::Cut),
        }
    }

    /// What the dialect or page says, or what is said in its voice when it takes too long or panics.
    async fn attend(
        &self,
        destination: Option<Destination>,
        parts: &Parts,
        body: Result<Bytes, BodyFault>,
        address: IpAddr,
        number: &str,
    ) -> Served {
        let unknown = |answer, reason, detail| Served { answer, reason: Some(reason), detail, ..nothing() };
        let dialect = match &destination {
            Some(Destination::Dialect(found)) => Some(found.dialect),
            _ => None,
        };
        let served = async {
            match destination {
                Some(Destination::Dialect(found)) => {
                    dialects::kit::serve(&self.desk, parts, found, body, address, number).await
                }
                Some(Destination::Page(route)) => self.page(route, parts, body, address, number).await,
                Some(Destination::Own(_)) | None => {
                    let text = "There is nothing here. See /docs.\n";
                    unknown(pages::text(StatusCode::NOT_FOUND, text), "no_route", None)
                }
            }
        };
        let served = AssertUnwindSafe(served).catch_unwind();
        let fault = match tokio::time::timeout(self.limits.answer_time, served).await {
            Ok(Ok(served)) => return served,
            Ok(Err(_)) => Fault::Refused(Refusal::Broken("a panic".into())),
            Err(_) => Fault::TimedOut,
        };
        let answer = match dialect {
            Some(dialect) => dialects::kit::give_up(&self.desk, dialect, parts, number, &fault),
            None => gave_up(&fault),
        };
        unknown(answer, fault.kind(), Some(fault.detail().unwrap_or("timed out").to_owned()))
    }

    /// One of the pages for people.
    async fn page(
        &self,
        route: portal::Route,
        parts: &Parts,
        body: Result<Bytes, BodyFault>,
        address: IpAddr,
        number: &str,
    ) -> Served {
        let answered = self.portal.answer(route, parts, body.ok().as_ref(), address, number).await;
        let portal::Answered { page, route, detail } = answered;
        let answer = page.map(Content::from);
        let reason = match answer.status().as_u16() {
            403 if route.ends_with("/sign-in") => Some("sign_in_failed"),
            429 => Some("sign_in_slowed"),
            400.. => Some("page_rejected"),
            _ => None,
        };
        Served { answer, dialect: "pages", route, reason, detail, ..nothing() }
    }

    /// The log line and the figures. Neither path nor query is written: both may hold what is nobody's business.
    fn note(
        &self,
        method: &Method,
        answer: &Answer,
        served: &Served,
        number: &str,
        address: IpAddr,
        took: Duration,
    ) {
        let status = answer.status().as_u16();
        let Served { dialect, route, unknown, tenant, reason, .. } = *served;
        let connection = served.connection.as_deref().unwrap_or("-");
        if let Some(reason) = reason {
            self.metrics.rejected(dialect, reason);
        }
        let broken_rules = served.broken_rules.as_deref();
        self.metrics.answered(dialect, route, method.as_str(), status, took, unknown);
        if let Some(detail) = served.detail.as_deref().filter(|_| status >= 500) {
            tracing::error!(request = number, dialect, route, status, detail, "failed");
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let method = method.as_str();
        tracing::info!(request = number, dialect, method, route, status, micros, connection, unknown, tenant, reason, broken_rules, %address, "answered");
    }
}

/// Whether a request names one host: only HTTP/1.0 may do without, and a target with a host must name the same (RFC 9112
/// sections 3.2 and 3.2.2).
fn has_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or("@"),
        (None, _) => return parts.version == Version::HTTP_10,
        (Some(_), Some(_)) => return false,
    };
    let is_valid = host.is_empty() || (host.parse::<Authority>().is_ok() && !host.contains('@'));
    is_valid && parts.uri.authority().is_none_or(|target| target.as_str().eq_ignore_ascii_case(host))
}

/// Of a request that nothing is known of.
fn nothing() -> Served {
    Served {
        answer: Answer::default(),
        dialect: "none",
        route: "none",
        connection: None,
        tenant: None,
        reason: None,
        broken_rules: None,
        unknown: 0,
        detail: None,
    }
}

/// Where a request comes from: what a proxy that is trusted says of it, else who is connected. Of several proxies in a
/// row each adds whom it saw at the end, so the last that is none of ours counts.
fn origin(parts: &Parts, peer: IpAddr, trusted: &[IpAddr]) -> IpAddr {
    if !trusted.contains(&peer.to_canonical()) {
        return peer;
    }
    let sent = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let seen: Vec<&str> = sent.flat_map(|text| text.split(',')).map(str::trim).collect();
    let mut origin = peer;
    for text in seen.into_iter().rev() {
        let Ok(address) = text.parse::<IpAddr>() else { break };
        origin = address;
        if !trusted.contains(&address) {
            break;
        }
    }
    origin
}

/// A page that was not made: it took too long, or panicked.
fn gave_up(fault: &Fault) -> Answer {
    let text = "That did not work. Please try again in a moment.\n";
    let is_late = matches!(fault, Fault::TimedOut);
    pages::text(
        if is_late { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR },
        text,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (client, proxy, other) = (ip("203.0.113.7"), ip("10.0.0.1"), ip("10.0.0.2"));
        let from = |peer: IpAddr, header: &str| {
            let request = Request::builder().header("x-forwarded-for", header).body(()).unwrap();
            origin(&request.into_parts().0, peer, &[proxy, other])
        };
        assert_eq!(from(proxy, "203.0.113.7"), client);
        assert_eq!(
            from(proxy, "198.51.100.1, 203.0.113.7"),
            client,
            "what the client says itself counts for nothing"
        );
        assert_eq!(from(proxy, "203.0.113.7, 10.0.0.2"), client, "through two of ours");
        assert_eq!(from(client, "198.51.100.1"), client, "nobody else is believed");
        assert_eq!(from(proxy, "unknown"), proxy);
    }
}
