//! Runs a request through its dialect: finds the method, authenticates, calls the handler, renders errors.
//!
//! The order of checks is: method, key, body, handler. Without a valid key, the body is not read, unless the key
//! may be in it. Every error is rendered by the dialect.

use super::idempotency::{self, takes_key};
use crate::Dialect;
use crate::kit::{
    ApiCredential, AppState, BodyError, Denial, DialectRequest, DialectResponse, FILE, Handler, LARGE_RESPONSE, Query,
    RequestError, RequiredAccess, Route, RouteMatch, challenge,
};
use bytes::Bytes;
use directory::{DirectoryError, TenantNumber};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// A response, and what logs and metrics may record about the request.
#[derive(Debug)]
pub struct HandledRequest {
    pub response: DialectResponse,
    pub dialect: &'static str,
    /// The path of the route, as in [`Route::path`].
    pub route: &'static str,
    pub connection: Option<String>,
    /// The connection whose key was rejected.
    pub denied_connection: Option<String>,
    pub tenant: Option<u32>,
    /// Why the request was rejected; a label of logs and metrics.
    pub reason: Option<&'static str>,
    /// The fields and rules that were violated, without values.
    pub broken_rules: Option<String>,
    pub ignored_members: usize,
    pub detail: Option<String>,
}

/// A request whose head was checked and whose body was not read yet.
pub struct PendingRequest {
    request: DialectRequest,
    dialect: &'static Dialect,
    route_path: &'static str,
    next: Result<Next, RequestError>,
}

enum Next {
    Handle(Handler),
    /// Method or key may be in the body.
    CheckBody(&'static Route),
}

/// Checks the head of a request: route, method, and the key if it is in the headers or the query.
pub async fn receive_head(
    state: &AppState,
    parts: &Parts,
    route_match: RouteMatch,
    has_body: bool,
    address: IpAddr,
    request_id: &str,
) -> PendingRequest {
    let dialect = route_match.dialect;
    let is_head_sufficient = !(has_body && dialect.has_credential_in_body);
    let path = route_match.matched.as_ref().map_or("none", |matched| matched.route.path);
    let mut request = new_request(state, parts, Bytes::new(), request_id);
    request.client_ip = Some(address);
    let next = check_head(state, &mut request, route_match, is_head_sufficient).await;
    PendingRequest { request, dialect, route_path: path, next }
}

impl PendingRequest {
    /// False if the request is already rejected.
    pub fn needs_body(&self) -> bool {
        self.next.is_ok()
    }

    /// The tenant of the key, unless the key is in the body.
    pub fn tenant(&self) -> Option<TenantNumber> {
        self.request.caller.as_ref().map(|caller| caller.tenant)
    }

    pub async fn handle(self, state: &AppState, body: Result<Bytes, BodyError>) -> HandledRequest {
        let Self { mut request, dialect, route_path: path, next } = self;
        let result = match next {
            Err(error) => Err(error),
            Ok(next) => run_handler(state, dialect, &mut request, next, body).await,
        };
        let result = result.and_then(|response| limit_large_response(state, &mut request, response));
        let error = result.as_ref().err();
        let detail = error.and_then(|error| error.log_detail().map(str::to_owned));
        let broken_rules = error.and_then(RequestError::broken_rules);
        let denial = request.denial.map(Denial::as_str);
        let reason = error.map(|error| denial.unwrap_or(error.label()));
        let tenant = request.caller.as_ref().map(|caller| caller.tenant).or(request.denied_tenant);
        let tenant = tenant.map(|tenant| tenant.0);
        let (mut response, error) = match result {
            Ok(response) => (response, None),
            Err(error) => (error_response(dialect, &error, &request), Some(error)),
        };
        if let Some(open) = request.idempotency.take() {
            let recorded = idempotency::record_of(&response);
            if let Err(error) = idempotency::complete(state, open, recorded, error.as_ref()).await {
                response = error_response(dialect, &error, &request);
            }
        }
        if let Ok(value) = HeaderValue::from_str(&request.request_id) {
            response.headers_mut().insert("x-request-id", value);
        }
        let ignored_members = request.ignored_members.load(Ordering::Relaxed);
        let connection = request.caller.map(|caller| caller.actor.to_string());
        let dialect = dialect.name;
        HandledRequest {
            response,
            dialect,
            route: path,
            connection,
            denied_connection: request.denied_connection,
            tenant,
            reason,
            broken_rules,
            ignored_members,
            detail,
        }
    }
}

/// The dialect's response to a request that the server aborts (timeout, panic).
pub fn aborted_response(
    state: &AppState,
    dialect: &Dialect,
    parts: &Parts,
    request_id: &str,
    error: &RequestError,
) -> DialectResponse {
    error_response(dialect, error, &new_request(state, parts, Bytes::new(), request_id))
}

fn error_response(dialect: &Dialect, error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let mut response = (dialect.error_response)(error, request);
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    let has_bearer_keys = dialect.security_schemes.iter().any(|(name, _)| *name == "bearer");
    let is_sign_in = matches!(error, RequestError::Directory(DirectoryError::SignIn(_) | DirectoryError::NoSuchUser));
    if response.status() == StatusCode::UNAUTHORIZED && has_bearer_keys && !is_sign_in {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge(&request.headers));
    }
    if matches!(error, RequestError::UnsupportedMediaType(_)) && request.headers.contains_key(header::CONTENT_ENCODING)
    {
        response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        // Also for dialects whose original API has no 415.
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    if let RequestError::MethodNotAllowed(allowed) = error
        && let Ok(value) = HeaderValue::from_str(&allowed.join(", "))
    {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn new_request(state: &AppState, parts: &Parts, body: Bytes, request_id: &str) -> DialectRequest {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    let scheme = if state.is_tls { "https" } else { "http" };
    DialectRequest {
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers.clone(),
        body,
        request_id: request_id.to_owned(),
        origin: state.public_url.clone().unwrap_or_else(|| format!("{scheme}://{host}")),
        ..DialectRequest::new(parts.method.as_str().to_owned(), parts.uri.path().to_owned())
    }
}

/// A large or streamed response counts towards the concurrency limits until the client has read it.
fn limit_large_response(
    state: &AppState,
    request: &mut DialectRequest,
    response: DialectResponse,
) -> Result<DialectResponse, RequestError> {
    let mut permits = std::mem::take(&mut request.permits);
    let (Some(caller), size) = (&request.caller, response.body().as_full().map(Bytes::len)) else {
        return Ok(response);
    };
    if size.is_some_and(|size| size <= LARGE_RESPONSE) {
        return Ok(response);
    }
    if size.is_some() {
        match state.concurrency.large_response_permit(caller.tenant) {
            Ok(permit) => permits.push(permit),
            // The change is committed, so its response is sent.
            Err(_) if request.access == RequiredAccess::Write => {}
            Err(error) => return Err(error),
        }
    }
    Ok(response.map(|content| content.with_permits(permits)))
}

/// Checks the head. If method or key may be in the body, it rejects only an invalid key that is already in the head.
async fn check_head(
    state: &AppState,
    request: &mut DialectRequest,
    route_match: RouteMatch,
    is_head_sufficient: bool,
) -> Result<Next, RequestError> {
    let dialect = route_match.dialect;
    let Some(matched) = route_match.matched else { return Err(RequestError::NoRoute) };
    request.path_params = matched.path_params;
    request.context = matched.context;
    request.format_suffix = matched.format_suffix;
    if is_head_sufficient {
        return authorize(state, dialect, request, matched.route).await.map(Next::Handle);
    }
    // Preliminary: the body may override the method.
    drop(resolve_method(dialect, request, matched.route));
    let credential = (dialect.credential)(request).ok().flatten();
    let needs_key = matched.route.methods.iter().any(|method| method.access != RequiredAccess::Public);
    if credential.is_some() && needs_key {
        authenticate(state, dialect, request, credential, RequiredAccess::Read).await?;
    }
    Ok(Next::CheckBody(matched.route))
}

/// Finds the method of a request, and checks that the client accepts a response media type of the dialect.
fn resolve_method(
    dialect: &Dialect,
    request: &mut DialectRequest,
    route: &'static Route,
) -> Result<Handler, RequestError> {
    if let Some(method) = (dialect.method_override)(request) {
        request.method = method;
    }
    // The server omits the body of responses to HEAD (RFC 9110 section 9.3.2).
    let wanted = if request.method == "HEAD" { "GET" } else { &request.method };
    let method = route.methods.iter().find(|method| method.name == wanted);
    let method = method.ok_or_else(|| RequestError::MethodNotAllowed(allowed_methods(route)))?;
    (request.route_path, request.access) = (route.path, method.access);
    // Uploads have their own handling (`upload_key`).
    let is_upload = method.spec.body.is_some_and(|body| std::ptr::eq(body, &raw const FILE));
    request.takes_idempotency_key = takes_key(method) && !is_upload;
    (dialect.check_acceptable)(request)?;
    Ok(method.handler)
}

async fn authorize(
    state: &AppState,
    dialect: &Dialect,
    request: &mut DialectRequest,
    route: &'static Route,
) -> Result<Handler, RequestError> {
    let handler = resolve_method(dialect, request, route)?;
    if request.access != RequiredAccess::Public {
        let credential = (dialect.credential)(request)?;
        authenticate(state, dialect, request, credential, request.access).await?;
    }
    Ok(handler)
}

async fn authenticate(
    state: &AppState,
    dialect: &Dialect,
    request: &mut DialectRequest,
    credential: Option<ApiCredential>,
    required: RequiredAccess,
) -> Result<(), RequestError> {
    let address = request.client_ip.ok_or(RequestError::Unauthorized)?;
    match state.authenticate(credential, address, dialect, required).await {
        Ok(mut caller) => {
            caller.request_id.clone_from(&request.request_id);
            // A request that may have its key in the body is authenticated twice.
            request.permits.clear();
            let permits = state.concurrency.request_permits(&caller);
            request.caller = Some(caller);
            request.permits = permits?;
            Ok(())
        }
        Err(rejected) => {
            (request.denial, request.denied_tenant) = (rejected.denial, rejected.tenant);
            request.denied_connection = rejected.connection;
            Err(rejected.error)
        }
    }
}

async fn run_handler(
    state: &AppState,
    dialect: &Dialect,
    request: &mut DialectRequest,
    next: Next,
    body: Result<Bytes, BodyError>,
) -> Result<DialectResponse, RequestError> {
    request.body = body.map_err(|error| match error {
        BodyError::TooLarge(limit) => RequestError::BodyTooLarge(limit),
        BodyError::Incomplete => RequestError::BodyIncomplete,
        BodyError::UnsupportedEncoding(name) => RequestError::UnsupportedMediaType(Some(name)),
        BodyError::Undecodable(text) => RequestError::Unparsable(text.into()),
    })?;
    let handler = match next {
        Next::Handle(handler) => handler,
        Next::CheckBody(route) => {
            request.parsed_body = OnceLock::new();
            request.caller = None;
            authorize(state, dialect, request, route).await?
        }
    };
    if let Some(response) = idempotency::begin(state, request).await? {
        return Ok(response);
    }
    handler(state, request).await
}

fn allowed_methods(route: &Route) -> Vec<&'static str> {
    let mut methods: Vec<&str> = route.methods.iter().map(|method| method.name).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods
}
