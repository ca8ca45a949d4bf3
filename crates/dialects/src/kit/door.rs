//! Answers a request for a dialect: whether its key opens the route, and what comes back.
//!
//! The order of checks is: method, key, body, handler. Without a valid key, the body is not read, unless the key may be in
//! it. Every rejection is written in the dialect's own format.

use super::{
    Access, Answer, BodyFault, Call, Credential, Denial, Desk, Fault, Found, Handler, LARGE_RESPONSE, Query,
    Route, challenge,
};
use crate::Dialect;
use bytes::Bytes;
use directory::TenantNumber;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

/// An answer, and what the log and the figures may know of how it came about.
#[derive(Debug)]
pub struct Served {
    /// The answer.
    pub answer: Answer,
    /// The dialect it was said in.
    pub dialect: &'static str,
    /// The path of the route, as in the table.
    pub route: &'static str,
    /// The connection it came over.
    pub connection: Option<String>,
    /// The tenant it was for.
    pub tenant: Option<u32>,
    /// Why it was rejected, as a word.
    pub reason: Option<&'static str>,
    /// Which rules were broken, without any value.
    pub broken_rules: Option<String>,
    /// How many members were ignored.
    pub unknown: usize,
    /// What went wrong, for the log.
    pub detail: Option<String>,
}

/// A request whose headers were checked and whose body was not read yet.
pub struct Arrival {
    call: Call,
    dialect: &'static Dialect,
    /// The route's path, for log and metrics.
    path: &'static str,
    /// What comes next, or why the request is rejected.
    next: Result<Next, Fault>,
}

/// What follows the check of the head.
enum Next {
    /// Method and key are valid.
    Handle(Handler),
    /// Method or key may be in the body.
    CheckBody(&'static Route),
}

/// Checks what the head of a request says: route, method, and key, if it is in the headers or the query.
pub async fn arrive(
    desk: &Desk,
    parts: &Parts,
    found: Found,
    has_body: bool,
    address: IpAddr,
    request: &str,
) -> Arrival {
    let dialect = found.dialect;
    let is_checked = !(has_body && dialect.has_credential_in_body);
    let path = found.matched.as_ref().map_or("none", |matched| matched.route.path);
    let mut call = call(desk, parts, Bytes::new(), request);
    call.address = Some(address);
    let next = look(desk, &mut call, found, is_checked).await;
    Arrival { call, dialect, path, next }
}

impl Arrival {
    /// Whether the body is needed: not for a request that is rejected already.
    pub fn wants_body(&self) -> bool {
        self.next.is_ok()
    }

    /// The tenant of its key, if the key was not in the body.
    pub fn tenant(&self) -> Option<TenantNumber> {
        self.call.caller.as_ref().map(|caller| caller.tenant)
    }

    /// Handles the request.
    pub async fn finish(self, desk: &Desk, body: Result<Bytes, BodyFault>) -> Served {
        let Self { mut call, dialect, path, next } = self;
        let done = match next {
            Err(fault) => Err(fault),
            Ok(next) => attend(desk, dialect, &mut call, next, body).await,
        };
        let done = done.and_then(|answer| hold(desk, &mut call, answer));
        let fault = done.as_ref().err();
        let detail = fault.and_then(|fault| fault.detail().map(str::to_owned));
        let broken_rules = fault.and_then(Fault::broken_rules);
        let denial = call.denial.map(Denial::word);
        let reason = fault.map(|fault| denial.unwrap_or(fault.kind()));
        let tenant = call.caller.as_ref().map(|caller| caller.tenant).or(call.denied_tenant);
        let tenant = tenant.map(|tenant| tenant.0);
        let mut answer = match done {
            Ok(answer) => answer,
            Err(fault) => refuse(dialect, &fault, &call),
        };
        if let Ok(value) = HeaderValue::from_str(&call.request) {
            answer.headers_mut().insert("x-request-id", value);
        }
        let unknown = call.unknown.load(Ordering::Relaxed);
        let connection = call.caller.map(|caller| caller.actor);
        let dialect = dialect.name;
        Served { answer, dialect, route: path, connection, tenant, reason, broken_rules, unknown, detail }
    }
}

/// The dialect's answer to a request that the server itself gives up (a timeout, a panic).
pub fn give_up(desk: &Desk, dialect: &Dialect, parts: &Parts, request: &str, fault: &Fault) -> Answer {
    refuse(dialect, fault, &call(desk, parts, Bytes::new(), request))
}

fn refuse(dialect: &Dialect, fault: &Fault, call: &Call) -> Answer {
    let mut answer = (dialect.refuse)(fault, call);
    if let Some(seconds) = fault.retry_after() {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if let Some(value) =
        answer.headers_mut().get_mut(header::WWW_AUTHENTICATE).filter(|value| *value == "Bearer")
    {
        *value = challenge(&call.headers);
    }
    if matches!(fault, Fault::UnsupportedMedia(_)) && call.headers.contains_key(header::CONTENT_ENCODING) {
        answer.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, deflate"));
        // Also where an API has no 415 of its own.
        *answer.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    if let Fault::WrongMethod(allowed) = fault
        && let Ok(value) = HeaderValue::from_str(&allowed.join(", "))
    {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}

fn call(desk: &Desk, parts: &Parts, body: Bytes, request: &str) -> Call {
    let host = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host =
        host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    let scheme = if desk.secure { "https" } else { "http" };
    Call {
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers.clone(),
        body,
        request: request.to_owned(),
        origin: desk.public_url.clone().unwrap_or_else(|| format!("{scheme}://{host}")),
        ..Call::new(parts.method.as_str().to_owned(), parts.uri.path().to_owned())
    }
}

/// A large or streamed response counts as work in progress until the client has read it.
fn hold(desk: &Desk, call: &mut Call, answer: Answer) -> Result<Answer, Fault> {
    let mut permits = std::mem::take(&mut call.permits);
    let (Some(caller), size) = (&call.caller, answer.body().whole().map(Bytes::len)) else {
        return Ok(answer);
    };
    if size.is_some_and(|size| size <= LARGE_RESPONSE) {
        return Ok(answer);
    }
    if size.is_some() {
        match desk.concurrency.large_response(caller.tenant) {
            Ok(permit) => permits.push(permit),
            // The change is committed, so its response is sent.
            Err(_) if call.access == Access::Write => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(answer.map(|content| content.holding(permits)))
}

/// Checks what the head says. Where method and key may be in the body, only an invalid key in the head is rejected here.
async fn look(desk: &Desk, call: &mut Call, found: Found, is_checked: bool) -> Result<Next, Fault> {
    let dialect = found.dialect;
    let Some(matched) = found.matched else { return Err(Fault::NoRoute) };
    call.named = matched.named;
    call.context = matched.context;
    call.suffix = matched.suffix;
    if is_checked {
        return check(desk, dialect, call, matched.route).await.map(Next::Handle);
    }
    // Known already unless the body says something else.
    drop(resolve(dialect, call, matched.route));
    let credential = (dialect.credential)(call).ok().flatten();
    let needs_key = matched.route.verbs.iter().any(|verb| verb.access != Access::Open);
    if credential.is_some() && needs_key {
        admit(desk, dialect, call, credential, false).await?;
    }
    Ok(Next::CheckBody(matched.route))
}

/// Finds the verb of a request, and whether the client accepts what the dialect writes.
fn resolve(dialect: &Dialect, call: &mut Call, route: &'static Route) -> Result<Handler, Fault> {
    if let Some(method) = (dialect.overrides)(call) {
        call.method = method;
    }
    // The server leaves the body of an answer to HEAD out (RFC 9110 section 9.3.2).
    let method = if call.method == "HEAD" { "GET" } else { &call.method };
    let verb = route.verbs.iter().find(|verb| verb.method == method);
    let verb = verb.ok_or_else(|| Fault::WrongMethod(methods(route)))?;
    (call.route_path, call.access) = (route.path, verb.access);
    (dialect.acceptable)(call)?;
    Ok(verb.handler)
}

/// Checks method, format and key.
async fn check(
    desk: &Desk,
    dialect: &Dialect,
    call: &mut Call,
    route: &'static Route,
) -> Result<Handler, Fault> {
    let handler = resolve(dialect, call, route)?;
    if call.access != Access::Open {
        let credential = (dialect.credential)(call)?;
        admit(desk, dialect, call, credential, call.access == Access::Write).await?;
    }
    Ok(handler)
}

async fn admit(
    desk: &Desk,
    dialect: &Dialect,
    call: &mut Call,
    credential: Option<Credential>,
    writes: bool,
) -> Result<(), Fault> {
    let address = call.address.ok_or(Fault::Unauthorised)?;
    match desk.admit(credential, address, dialect, writes).await {
        Ok(mut caller) => {
            caller.request_id.clone_from(&call.request);
            // A request with a key in the body is checked twice.
            call.permits.clear();
            let permits = desk.concurrency.request(&caller);
            call.caller = Some(caller);
            call.permits = permits?;
            Ok(())
        }
        Err(rejected) => {
            (call.denial, call.denied_tenant) = (rejected.denial, rejected.tenant);
            Err(rejected.fault)
        }
    }
}

async fn attend(
    desk: &Desk,
    dialect: &Dialect,
    call: &mut Call,
    next: Next,
    body: Result<Bytes, BodyFault>,
) -> Result<Answer, Fault> {
    call.body = body.map_err(|fault| match fault {
        BodyFault::TooLarge(limit) => Fault::BodyTooLarge(limit),
        BodyFault::Cut => Fault::BodyCut,
        BodyFault::Encoding(name) => Fault::UnsupportedMedia(Some(name)),
        BodyFault::Undecodable(text) => Fault::Unparsable(text),
    })?;
    let handler = match next {
        Next::Handle(handler) => handler,
        Next::CheckBody(route) => {
            call.parsed = OnceLock::new();
            call.caller = None;
            check(desk, dialect, call, route).await?
        }
    };
    handler(desk, call).await
}

fn methods(route: &Route) -> Vec<&'static str> {
    let mut methods: Vec<&str> = route.verbs.iter().map(|verb| verb.method).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods
}
