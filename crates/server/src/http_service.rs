//! Handles what is common to all requests: request id, limits on body size and time, panic recovery, logging, metrics.
//!
//! Order: request id → server's own pages → key → body (size, time, data rate) → dialect (time limit, panics caught) →
//! log and metrics. Requests that are rejected here still get an error in their dialect's format.

use crate::request_body::{BodyLimits, MeteredBody, expects_continue};
use crate::routes::{Destination, Routes};
use crate::security_event::security_event;
use crate::server_pages::ServerPage;
use crate::{Imports, Limits, Metrics, imports, server_pages};
use bytes::Bytes;
use dialects::Dialect;
use dialects::kit::transfers::PendingUpload;
use dialects::kit::{
    AppState, BodyError, DialectResponse, HandledRequest, PendingRequest, RequestError, ResponseBody, RouteMatch,
    hash_key,
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

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// Whether the connection serves only health probes.
    pub is_health_only: bool,
}

impl From<IpAddr> for Peer {
    fn from(address: IpAddr) -> Self {
        Self { address, is_health_only: false }
    }
}

pub struct HttpService {
    state: AppState,
    metrics: Arc<Metrics>,
    request_ids: RequestIds,
    limits: Limits,
    routes: Arc<Routes>,
    portal: Portal,
    body_limits: BodyLimits,
    large_bodies: LargeBodySlots,
    imports: Option<Arc<Imports>>,
}

/// Slots for large bodies, per tenant; `None` is for requests whose key is not yet verified.
#[derive(Default)]
struct LargeBodySlots(Mutex<HashMap<Option<TenantNumber>, Arc<Semaphore>>>);

impl LargeBodySlots {
    /// Concurrent large bodies.
    const PER_TENANT: usize = 32;

    fn for_tenant(&self, tenant: Option<TenantNumber>) -> Arc<Semaphore> {
        let mut slots = self.0.lock();
        Arc::clone(slots.entry(tenant).or_insert_with(|| Arc::new(Semaphore::new(Self::PER_TENANT))))
    }
}

/// The interval over which the data rate of a body is measured.
const BODY_RATE_WINDOW: Duration = Duration::from_secs(10);

/// Generates request ids: a random start per process and a counter. They must be unique, not secret, so the kernel is
/// not asked for randomness each time.
struct RequestIds {
    start: u128,
    count: AtomicU64,
}

impl RequestIds {
    fn next(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        format!("{:024x}{count:08x}", self.start >> 32)
    }
}

/// A handled request, and whether its connection must be closed.
struct Served {
    handled: HandledRequest,
    must_close: bool,
}

impl Served {
    fn new(handled: HandledRequest, must_close: bool) -> Self {
        Self { handled, must_close }
    }
}

impl HttpService {
    pub(crate) fn new(
        state: AppState,
        routes: Arc<Routes>,
        portal: Portal,
        metrics: Arc<Metrics>,
        ids: &dyn IdGenerator,
        limits: Limits,
        imports: Option<Arc<Imports>>,
    ) -> Self {
        let request_ids = RequestIds { start: ids.next_id().as_u128(), count: AtomicU64::new(0) };
        let body_limits =
            BodyLimits { size: limits.max_body_size, timeout: limits.body_timeout, rate_window: BODY_RATE_WINDOW };
        Self {
            state,
            metrics,
            request_ids,
            limits,
            routes,
            portal,
            body_limits,
            large_bodies: LargeBodySlots::default(),
            imports,
        }
    }

    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> DialectResponse
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let started = Instant::now();
        let request_id = self.request_ids.next();
        let (parts, body) = request.into_parts();
        let address = client_ip(&parts, peer.address, &self.limits.trusted_proxies);
        let Served { mut handled, must_close } = match self.routes.resolve(parts.uri.path()) {
            destination if !has_one_host(&parts) => {
                Served::new(self.invalid_host_response(destination.as_ref(), &parts, &request_id), true)
            }
            Some(Destination::Server(page)) if page.is_health() || !peer.is_health_only => {
                return self.server_page(page, &parts).await;
            }
            destination if peer.is_health_only => {
                Served::new(self.busy_response(destination.as_ref(), &parts, &request_id), true)
            }
            Some(Destination::Dialect(route_match)) => {
                self.handle_dialect(route_match, &parts, body, address, &request_id).await
            }
            destination => self.handle_page(destination, &parts, body, address, &request_id).await,
        };
        let mut response = std::mem::take(&mut handled.response);
        if must_close {
            // The unread rest of the body would be parsed as the next request.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.record(&parts.method, &response, &handled, &request_id, address, started.elapsed());
        response
    }

    /// Handles a request on the admin listener.
    pub(crate) async fn handle_admin(&self, method: &Method, path: &str) -> DialectResponse {
        match self.routes.resolve(path) {
            Some(Destination::Server(page)) if page.is_health() || page.is_metrics() => {
                server_pages::respond(page, method, &self.state.directory, &self.metrics).await
            }
            _ => server_pages::plain_text(StatusCode::NOT_FOUND, "Not found. See /healthz, /readyz and /metrics.\n"),
        }
    }

    /// Serves one of the server's own pages. Metrics reveal how much each API is used, so they need a token.
    async fn server_page(&self, page: ServerPage, parts: &Parts) -> DialectResponse {
        if page.is_metrics()
            && let Some(response) = self.check_metrics_token(parts)
        {
            return response;
        }
        server_pages::respond(page, &parts.method, &self.state.directory, &self.metrics).await
    }

    /// The error response to a metrics request without a valid token.
    fn check_metrics_token(&self, parts: &Parts) -> Option<DialectResponse> {
        let Some(expected) = self.limits.metrics_token else {
            let text = "Metrics are served on --admin-listen. To serve them here, set --metrics-token-file.\n";
            return Some(server_pages::plain_text(StatusCode::NOT_FOUND, text));
        };
        let sent = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token =
            sent.and_then(|sent| sent.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        if token.is_some_and(|(_, token)| hash_key(token.trim()) == expected) {
            return None;
        }
        self.metrics.record_rejection("none", RequestError::Unauthorized.label());
        let mut response =
            server_pages::plain_text(StatusCode::UNAUTHORIZED, "Send the bearer token from --metrics-token-file.\n");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, dialects::kit::challenge(&parts.headers));
        Some(response)
    }

    /// Handles a request for a dialect; checks its head before it reads its body.
    async fn handle_dialect<B>(
        &self,
        route_match: RouteMatch,
        parts: &Parts,
        body: B,
        address: IpAddr,
        request_id: &str,
    ) -> Served
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let dialect = route_match.dialect;
        let is_file = dialects::transfer::is_file_upload(&parts.method, &route_match);
        let has_body = !body.is_end_stream();
        let abort = |error| self.error_response(dialect, parts, request_id, &error);
        let pending = dialects::kit::receive_head(&self.state, parts, route_match, has_body, address, request_id);
        let pending = match self.with_timeout(pending).await {
            Ok(pending) => pending,
            Err(error) => return Served::new(abort(error), has_body),
        };
        if is_file && pending.needs_body() {
            return self.receive_upload(pending, parts, body, dialect, request_id).await;
        }
        let (body, must_close) = if !has_body {
            (Ok(Bytes::new()), false)
        } else if pending.needs_body() {
            let slots = self.large_bodies.for_tenant(pending.tenant());
            let is_known = pending.tenant().is_some();
            let limits = if is_known { self.body_limits } else { self.body_limits.unauthenticated() };
            let body = limits.read(&parts.headers, body, &slots).await;
            let must_close = body.is_err();
            (body, must_close)
        } else {
            let is_read = !expects_continue(&parts.headers) && MeteredBody::new(body, BODY_RATE_WINDOW).discard().await;
            (Ok(Bytes::new()), !is_read)
        };
        let served = self.with_timeout(pending.handle(&self.state, body)).await;
        Served::new(served.unwrap_or_else(abort), must_close)
    }

    /// Handles an upload and writes the body to a file.
    async fn receive_upload<B>(
        &self,
        pending: PendingRequest,
        parts: &Parts,
        body: B,
        dialect: &'static Dialect,
        request_id: &str,
    ) -> Served
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let mut served = match self.with_timeout(pending.handle(&self.state, Ok(Bytes::new()))).await {
            Ok(served) => served,
            Err(error) => return Served::new(self.error_response(dialect, parts, request_id, &error), true),
        };
        let pending = served.response.extensions_mut().remove::<PendingUpload>();
        let (Some(pending), Some(imports)) = (pending, &self.imports) else {
            return Served::new(served, !MeteredBody::new(body, BODY_RATE_WINDOW).discard().await);
        };
        let error = match imports::receive(imports, pending, &parts.headers, body).await {
            Ok(None) => return Served::new(served, false),
            Ok(Some(mut first)) => {
                // Each response has its own request id; all other headers are those of the first response.
                if let Some(id) = served.response.headers_mut().remove("x-request-id") {
                    first.headers_mut().insert("x-request-id", id);
                }
                return Served::new(HandledRequest { response: first, ..served }, false);
            }
            Err(error) => error,
        };
        let HandledRequest { response, detail, reason, .. } = self.error_response(dialect, parts, request_id, &error);
        Served::new(HandledRequest { response, detail, reason, ..served }, true)
    }

    /// Handles a request for a page or an unknown path.
    async fn handle_page<B>(
        &self,
        destination: Option<Destination>,
        parts: &Parts,
        body: B,
        address: IpAddr,
        request_id: &str,
    ) -> Served
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
    {
        let Some(Destination::Page(route)) = destination else {
            let is_read = body.is_end_stream() || MeteredBody::new(body, BODY_RATE_WINDOW).discard().await;
            let response = server_pages::plain_text(StatusCode::NOT_FOUND, "Not found. See /docs for the APIs.\n");
            let handled = HandledRequest { response, reason: Some(RequestError::NoRoute.label()), ..empty() };
            return Served::new(handled, !is_read);
        };
        let limits = self.body_limits.unauthenticated();
        let body = limits.read(&parts.headers, body, &self.large_bodies.for_tenant(None)).await;
        let must_close = body.is_err();
        let served = match self.with_timeout(Box::pin(self.portal_page(route, parts, body, address, request_id))).await
        {
            Ok(served) => served,
            Err(error) => {
                let detail = Some(error.log_detail().unwrap_or("timed out").to_owned());
                HandledRequest { response: page_fault_response(&error), reason: Some(error.label()), detail, ..empty() }
            }
        };
        Served::new(served, must_close)
    }

    /// Runs `work` within the response timeout, and catches panics.
    async fn with_timeout<T>(&self, work: impl Future<Output = T>) -> Result<T, RequestError> {
        let work = AssertUnwindSafe(work).catch_unwind();
        match tokio::time::timeout(self.limits.response_timeout, work).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err(RequestError::Directory(DirectoryError::Internal("a panic".into()))),
            Err(_) => Err(RequestError::TimedOut),
        }
    }

    /// The error response to a request that the server aborts.
    fn error_response(
        &self,
        dialect: &'static Dialect,
        parts: &Parts,
        request_id: &str,
        error: &RequestError,
    ) -> HandledRequest {
        let response = dialects::kit::aborted_response(&self.state, dialect, parts, request_id, error);
        let detail = error.log_detail().map(str::to_owned);
        let detail = detail.or_else(|| matches!(error, RequestError::TimedOut).then(|| "timed out".to_owned()));
        HandledRequest { response, dialect: dialect.name, reason: Some(error.label()), detail, ..empty() }
    }

    /// The response on a connection that serves only health probes.
    fn busy_response(&self, destination: Option<&Destination>, parts: &Parts, request_id: &str) -> HandledRequest {
        let error = RequestError::Directory(DirectoryError::Busy { retry_after: 1 });
        if let Some(Destination::Dialect(RouteMatch { dialect, .. })) = destination {
            return self.error_response(dialect, parts, request_id, &error);
        }
        let mut response = server_pages::plain_text(
            StatusCode::SERVICE_UNAVAILABLE,
            "Too many connections are open. Try again later.\n",
        );
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        HandledRequest { response, reason: Some(error.label()), ..empty() }
    }

    /// The error response to a request without exactly one valid host, in the format of its API.
    fn invalid_host_response(
        &self,
        destination: Option<&Destination>,
        parts: &Parts,
        request_id: &str,
    ) -> HandledRequest {
        if let Some(Destination::Dialect(RouteMatch { dialect, .. })) = destination {
            return self.error_response(dialect, parts, request_id, &RequestError::InvalidHost);
        }
        let text = "A request must have exactly one Host header.\n";
        let response = server_pages::plain_text(StatusCode::BAD_REQUEST, text);
        HandledRequest { response, reason: Some(RequestError::InvalidHost.label()), ..empty() }
    }

    async fn portal_page(
        &self,
        route: portal::Route,
        parts: &Parts,
        body: Result<Bytes, BodyError>,
        address: IpAddr,
        request_id: &str,
    ) -> HandledRequest {
        let answered = self.portal.handle(route, parts, body.ok().as_ref(), address, request_id).await;
        let portal::PageResponse { page, route, detail } = answered;
        let response = page.map(ResponseBody::from);
        let reason = match response.status().as_u16() {
            403 if route.ends_with("/sign-in") => Some("sign_in_failed"),
            429 => Some("sign_in_slowed"),
            400.. => Some("page_rejected"),
            _ => None,
        };
        HandledRequest { response, dialect: "pages", route, reason, detail, ..empty() }
    }

    /// Writes the log line and the metrics. Paths and queries are left out, since they can contain personal data.
    fn record(
        &self,
        method: &Method,
        response: &DialectResponse,
        served: &HandledRequest,
        request_id: &str,
        address: IpAddr,
        elapsed: Duration,
    ) {
        let status = response.status().as_u16();
        let HandledRequest { dialect, route, ignored_members, tenant, reason, .. } = *served;
        let connection = served.connection.as_deref().unwrap_or("-");
        if let Some(reason) = reason {
            self.metrics.record_rejection(dialect, reason);
            let event = security_event(status, reason, served, address);
            if let Some(event) = event {
                self.state.directory.record_security_event(event);
            }
        }
        let broken_rules = served.broken_rules.as_deref();
        self.metrics.record_request(dialect, route, method.as_str(), status, elapsed, ignored_members);
        if let Some(detail) = served.detail.as_deref().filter(|_| status >= 500) {
            tracing::error!(request = request_id, dialect, route, status, detail, "request failed");
        }
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let method = method.as_str();
        tracing::info!(request = request_id, dialect, method, route, status, micros, connection, unknown = ignored_members, tenant, reason, broken_rules, %address, "request completed");
    }
}

/// Whether a request names exactly one host. Only HTTP/1.0 may omit it, and the host of an absolute target must be the
/// same (RFC 9112 sections 3.2 and 3.2.2).
fn has_one_host(parts: &Parts) -> bool {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().unwrap_or("@"), // `@` is rejected below.
        (None, _) => return parts.version == Version::HTTP_10,
        (Some(_), Some(_)) => return false,
    };
    let is_valid = host.is_empty() || (host.parse::<Authority>().is_ok() && !host.contains('@'));
    is_valid && parts.uri.authority().is_none_or(|target| target.as_str().eq_ignore_ascii_case(host))
}

/// No route, caller or error; for struct update syntax.
fn empty() -> HandledRequest {
    HandledRequest {
        response: DialectResponse::default(),
        dialect: "none",
        route: "none",
        connection: None,
        denied_connection: None,
        tenant: None,
        reason: None,
        broken_rules: None,
        ignored_members: 0,
        detail: None,
    }
}

/// The client's address: from X-Forwarded-For if the peer is a trusted proxy, else the peer. Each proxy appends the
/// address it saw, so the last one that is not a trusted proxy counts.
fn client_ip(parts: &Parts, peer: IpAddr, trusted: &[IpAddr]) -> IpAddr {
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

/// The response to a page request that timed out or panicked.
fn page_fault_response(error: &RequestError) -> DialectResponse {
    let text = "Something went wrong. Please try again in a moment.\n";
    let is_late = matches!(error, RequestError::TimedOut);
    server_pages::plain_text(
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
            client_ip(&request.into_parts().0, peer, &[proxy, other])
        };
        assert_eq!(from(proxy, "203.0.113.7"), client);
        assert_eq!(from(proxy, "198.51.100.1, 203.0.113.7"), client, "the client's own header is ignored");
        assert_eq!(from(proxy, "203.0.113.7, 10.0.0.2"), client, "through two trusted proxies");
        assert_eq!(from(client, "198.51.100.1"), client, "other peers are not trusted");
        assert_eq!(from(proxy, "unknown"), proxy);
    }
}
