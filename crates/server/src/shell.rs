//! What stands around every request: a number, limits on body and time, a net under panics, a log line, figures.
//!
//! The order is the code's: number → own pages → key → body within size, time and pace → dialect within time, panics
//! caught → log and figures. What stops a request here is still said in its dialect's voice.

use crate::pages::OwnPage;
use crate::routes::{Destination, Routes};
use crate::upload::{BodyLimits, Upload, waits};
use crate::{Imports, Limits, Metrics, imports, pages};
use bytes::Bytes;
use dialects::Dialect;
use dialects::kit::transfers::PendingUpload;
use dialects::kit::{
    AppState, BodyError, DialectResponse, HandledRequest, PendingRequest, RequestError, ResponseBody,
    RouteMatch, hash_key,
};
use directory::{DirectoryError, IdGenerator, TenantNumber};
use futures_util::FutureExt;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Request, StatusCode, Version, header};
use parking_lot::Mutex;
use portal::Portal;
use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// The other end of the connection.
    pub address: IpAddr,
    /// Whether its connection serves only health probes.
    pub is_health_only: bool,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self { address, is_health_only: false }
    }
}

/// Answers requests.
pub struct Shell {
    desk: AppState,
    metrics: Arc<Metrics>,
    numbers: RequestNumbers,
    limits: Limits,
    routes: Arc<Routes>,
    portal: Portal,
    bodies: BodyLimits,
    large_bodies: LargeBodySlots,
    imports: Option<Arc<Imports>>,
}

/// Slots for large bodies: of each tenant, and of all requests whose key is not known yet.
#[derive(Default)]
struct LargeBodySlots(Mutex<HashMap<Option<TenantNumber>, Arc<Semaphore>>>);

impl LargeBodySlots {
    /// Large bodies at a time.
    const EACH: usize = 32;

    fn of(&self, tenant: Option<TenantNumber>) -> Arc<Semaphore> {
        let mut slots = self.0.lock();
        Arc::clone(slots.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(Self::EACH))))
    }
}

/// The interval over which the data rate of a body is measured.
const BODY_WINDOW: Duration = Duration::from_secs(10);

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
        desk: AppState,
        routes: Arc<Routes>,
        portal: Portal,
        metrics: Arc<Metrics>,
        ids: &dyn IdGenerator,
        limits: Limits,
        imports: Option<Arc<Imports>>,
    ) -> Self {
        let numbers = RequestNumbers { start: ids.next_id().as_u128(), count: AtomicU64::new(0) };
        let bodies = BodyLimits { size: limits.body, time: limits.body_time, window: BODY_WINDOW };
        Self {
            desk,
            metrics,
            numbers,
            limits,
            routes,
            portal,
            bodies,
            large_bodies: LargeBodySlots::default(),
            imports,
        }
    }

    /// Answers one request of a connection.
    pub async fn answer<B>(&self, request: Request<B>, peer: Peer) -> DialectResponse
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begun = Instant::now();
        let number = self.numbers.next();
        let (parts, body) = request.into_parts();
        let address = origin(&parts, peer.address, &self.limits.trusted_proxies);
        let (mut served, broken) = match self.routes.at(parts.uri.path()) {
            destination if !has_one_host(&parts) => {
                (self.refuse_host(destination.as_ref(), &parts, &number), true)
            }
            Some(Destination::Own(page)) if page.is_health() || !peer.is_health_only => {
                return self.own_page(page, &parts).await;
            }
            destination if peer.is_health_only => {
                (self.too_busy(destination.as_ref(), &parts, &number), true)
            }
            Some(Destination::Dialect(found)) => self.attend(found, &parts, body, address, &number).await,
            destination => self.attend_page(destination, &parts, body, address, &number).await,
        };
        let mut answer = std::mem::take(&mut served.response);
        if broken {
            // What is left of the body cannot be told from the next request.
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.note(&parts.method, &answer, &served, &number, address, begun.elapsed());
        answer
    }

    /// Handles a request on the admin listener.
    pub(crate) async fn answer_admin(&self, method: &Method, path: &str) -> DialectResponse {
        match self.routes.at(path) {
            Some(Destination::Own(page)) if page.is_health() || page.is_metrics() => {
                pages::answer(page, method, &self.desk.directory, &self.metrics).await
            }
            _ => pages::text(StatusCode::NOT_FOUND, "This address serves /healthz, /readyz and /metrics.\n"),
        }
    }

    /// One of the server's own pages. Metrics reveal how much each API is used, so they need a token.
    async fn own_page(&self, page: OwnPage, parts: &Parts) -> DialectResponse {
        if page.is_metrics()
            && let Some(answer) = self.without_metrics_token(parts)
        {
            return answer;
        }
        pages::answer(page, &parts.method, &self.desk.directory, &self.metrics).await
    }

    /// The rejection of a request for metrics without their token.
    fn without_metrics_token(&self, parts: &Parts) -> Option<DialectResponse> {
        let Some(expected) = self.limits.metrics_token else {
            let text = "Metrics are served on --admin-listen, and here only with --metrics-token-file.\n";
            return Some(pages::text(StatusCode::NOT_FOUND, text));
        };
        let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent
            .and_then(|sent| sent.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if token.is_some_and(|(_, token)| hash_key(token.trim()) == expected) {
            return None;
        }
        self.metrics.rejected("none", RequestError::Unauthorized.label());
        let mut answer =
            pages::text(StatusCode::UNAUTHORIZED, "Metrics need the bearer token of --metrics-token-file.\n");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, dialects::kit::challenge(&parts.headers));
        Some(answer)
    }

    /// Handles a request for a dialect; checks its head before it reads its body. The flag says that the rest of the
    /// connection is unusable.
    async fn attend<B>(
        &self,
        found: RouteMatch,
        parts: &Parts,
        body: B,
        address: IpAddr,
        number: &str,
    ) -> (HandledRequest, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let dialect = found.dialect;
        let is_file = dialects::transfer::is_file_upload(&parts.method, &found);
        let has_body = !body.is_end_stream();
        let given_up = |fault| self.give_up(dialect, parts, number, &fault);
        let arrival = dialects::kit::receive_head(&self.desk, parts, found, has_body, address, number);
        let arrival = match self.guard(arrival).await {
            Ok(arrival) => arrival,
            Err(fault) => return (given_up(fault), has_body),
        };
        if is_file && arrival.needs_body() {
            return self.take_file(arrival, parts, body, dialect, number).await;
        }
        let (body, broken) = if !has_body {
            (Ok(Bytes::new()), false)
        } else if arrival.needs_body() {
            let slots = self.large_bodies.of(arrival.tenant());
            let is_known = arrival.tenant().is_some();
            let limits = if is_known { self.bodies } else { self.bodies.without_key() };
            let body = limits.read(&parts.headers, body, &slots).await;
            let broken = body.is_err();
            (body, broken)
        } else {
            let is_read = !waits(&parts.headers) && Upload::new(body, BODY_WINDOW).discard().await;
            (Ok(Bytes::new()), !is_read)
        };
        let served = self.guard(arrival.handle(&self.desk, body)).await;
        (served.unwrap_or_else(given_up), broken)
    }

    /// Handles an upload: the body is written to a file. The flag says that the rest of the connection is unusable.
    async fn take_file<B>(
        &self,
        arrival: PendingRequest,
        parts: &Parts,
        body: B,
        dialect: &'static Dialect,
        number: &str,
    ) -> (HandledRequest, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let served = match self.guard(arrival.handle(&self.desk, Ok(Bytes::new()))).await {
            Ok(served) => served,
            Err(fault) => return (self.give_up(dialect, parts, number, &fault), true),
        };
        let awaited = served.response.extensions().get::<PendingUpload>().copied();
        let (Some(PendingUpload(id)), Some(imports)) = (awaited, &self.imports) else {
            return (served, !Upload::new(body, BODY_WINDOW).discard().await);
        };
        let fault = match imports::receive(imports, id, &parts.headers, body).await {
            Ok(()) => return (served, false),
            Err(fault) => fault,
        };
        let given_up = self.give_up(dialect, parts, number, &fault);
        (
            HandledRequest {
                response: given_up.response,
                detail: given_up.detail,
                reason: given_up.reason,
                ..served
            },
            true,
        )
    }

    /// Handles a request for a page, or for an unknown path. The flag says that the rest of the connection is unusable.
    async fn attend_page<B>(
        &self,
        destination: Option<Destination>,
        parts: &Parts,
        body: B,
        address: IpAddr,
        number: &str,
    ) -> (HandledRequest, bool)
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let Some(Destination::Page(route)) = destination else {
            let is_read = body.is_end_stream() || Upload::new(body, BODY_WINDOW).discard().await;
            let answer = pages::text(StatusCode::NOT_FOUND, "There is nothing here. See /docs.\n");
            return (
                HandledRequest { response: answer, reason: Some(RequestError::NoRoute.label()), ..nothing() },
                !is_read,
            );
        };
        let limits = self.bodies.without_key();
        let body = limits.read(&parts.headers, body, &self.large_bodies.of(None)).await;
        let broken = body.is_err();
        let served = match self.guard(Box::pin(self.page(route, parts, body, address, number))).await {
            Ok(served) => served,
            Err(fault) => {
                let detail = Some(fault.log_detail().unwrap_or("timed out").to_owned());
                HandledRequest { response: gave_up(&fault), reason: Some(fault.label()), detail, ..nothing() }
            }
        };
        (served, broken)
    }

    /// Runs `work` with the time limit of a response, and catches panics.
    async fn guard<T>(&self, work: impl Future<Output = T>) -> Result<T, RequestError> {
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(self.limits.answer_time, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(RequestError::Directory(DirectoryError::Internal("a panic".into()))),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// The response to a request that the server gives up.
    fn give_up(
        &self,
        dialect: &'static Dialect,
        parts: &Parts,
        number: &str,
        fault: &RequestError,
    ) -> HandledRequest {
        let answer = dialects::kit::aborted_response(&self.desk, dialect, parts, number, fault);
        let detail = fault.log_detail().map(str::to_owned);
        let detail =
            detail.or_else(|| matches!(fault, RequestError::TimedOut).then(|| "timed out".to_owned()));
        HandledRequest {
            response: answer,
            dialect: dialect.name,
            reason: Some(fault.label()),
            detail,
            ..nothing()
        }
    }

    /// The response on a connection that serves only health probes.
    fn too_busy(&self, destination: Option<&Destination>, parts: &Parts, number: &str) -> HandledRequest {
        let fault = RequestError::Directory(DirectoryError::Busy { retry_after: 1 });
        if let Some(Destination::Dialect(RouteMatch { dialect, .. })) = destination {
            return self.give_up(dialect, parts, number, &fault);
        }
        let mut answer = pages::text(StatusCode::SERVICE_UNAVAILABLE, "Too many connections are open.\n");
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        HandledRequest { response: answer, reason: Some(fault.label()), ..nothing() }
    }

    /// The answer to a request that does not name one host, in the shape of the API it is for.
    fn refuse_host(&self, destination: Option<&Destination>, parts: &Parts, number: &str) -> HandledRequest {
        if let Some(Destination::Dialect(RouteMatch { dialect, .. })) = destination {
            return self.give_up(dialect, parts, number, &RequestError::InvalidHost);
        }
        let text = "A request must have exactly one Host header.\n";
        let answer = pages::text(StatusCode::BAD_REQUEST, text);
        HandledRequest { response: answer, reason: Some(RequestError::InvalidHost.label()), ..nothing() }
    }

    /// One of the pages for people.
    async fn page(
        &self,
        route: portal::Route,
        parts: &Parts,
        body: Result<Bytes, BodyError>,
        address: IpAddr,
        number: &str,
    ) -> HandledRequest {
        let answered = self.portal.answer(route, parts, body.ok().as_ref(), address, number).await;
        let portal::Answered { page, route, detail } = answered;
        let answer = page.map(ResponseBody::from);
        let reason = match answer.status().as_u16() {
            403 if route.ends_with("/sign-in") => Some("sign_in_failed"),
            429 => Some("sign_in_slowed"),
            400.. => Some("page_rejected"),
            _ => None,
        };
        HandledRequest { response: answer, dialect: "pages", route, reason, detail, ..nothing() }
    }

    /// The log line and the figures. Neither path nor query is written: both may hold what is nobody's business.
    fn note(
        &self,
        method: &Method,
        answer: &DialectResponse,
        served: &HandledRequest,
        number: &str,
        address: IpAddr,
        took: Duration,
    ) {
        let status = answer.status().as_u16();
        let HandledRequest { dialect, route, ignored_members: unknown, tenant, reason, .. } = *served;
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
fn nothing() -> HandledRequest {
    HandledRequest {
        response: DialectResponse::default(),
        dialect: "none",
        route: "none",
        connection: None,
        tenant: None,
        reason: None,
        broken_rules: None,
        ignored_members: 0,
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
fn gave_up(fault: &RequestError) -> DialectResponse {
    let text = "That did not work. Please try again in a moment.\n";
    let is_late = matches!(fault, RequestError::TimedOut);
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
