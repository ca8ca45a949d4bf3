//! Answers a request for a dialect: whether its key opens the route, and what comes back.
//!
//! A request goes through here once, in this order: method, body, key, handler. Whatever stops it on the way is said
//! in the dialect's own voice.

use super::{
    Access, Answer, BodyFault, Call, Denial, Fault, Found, Gate, Query, Route, RouteTable, Seals, Walks,
};
use crate::Dialect;
use bytes::Bytes;
use directory::Directory;
use http::request::Parts;
use http::{HeaderValue, header};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Everything a dialect may use.
pub struct Desk {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Who looks at keys.
    pub gate: Gate,
    /// Scheme and host for links in answers; what the client said it called, when not set.
    pub public_url: Option<String>,
    /// Scheme and host that name this server in tokens. Never what a client calls it, which an attacker chooses.
    pub issuer: Option<String>,
    /// Whether clients reach us over TLS.
    pub secure: bool,
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
    /// Keys that all processes of the installation share.
    pub seals: Seals,
    /// Where walks by index stand.
    pub walks: Walks,
    /// The routes of all dialects.
    pub routes: Arc<dyn RouteTable>,
    /// Files of people in and out, where they are kept.
    pub transfers: Option<Arc<dyn crate::transfer::Transfers>>,
}

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

/// Answers a request for what was found at its path.
pub async fn serve(
    desk: &Desk,
    parts: &Parts,
    found: Found,
    body: Result<Bytes, BodyFault>,
    address: IpAddr,
    request: &str,
) -> Served {
    let dialect = found.dialect;
    let route = found.matched.as_ref().map_or("none", |matched| matched.route.path);
    let mut call = call(desk, parts, body.as_ref().cloned().unwrap_or_default(), request);
    let done = attend(desk, &mut call, found, body.err(), address).await;
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
    if let Ok(value) = HeaderValue::from_str(request) {
        answer.headers_mut().insert("x-request-id", value);
    }
    let unknown = call.unknown.load(Ordering::Relaxed);
    let connection = call.caller.map(|caller| caller.who);
    Served { answer, dialect: dialect.name, route, connection, tenant, reason, broken_rules, unknown, detail }
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
        method: parts.method.as_str().to_owned(),
        path: parts.uri.path().to_owned(),
        named: Vec::new(),
        context: None,
        suffix: None,
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        headers: parts.headers.clone(),
        body,
        request: request.to_owned(),
        origin: desk.public_url.clone().unwrap_or_else(|| format!("{scheme}://{host}")),
        route: None,
        caller: None,
        denial: None,
        denied_tenant: None,
        address: None,
        parsed: OnceLock::new(),
        chosen: OnceLock::new(),
        unknown: AtomicUsize::new(0),
    }
}

async fn attend(
    desk: &Desk,
    call: &mut Call,
    found: Found,
    body_fault: Option<BodyFault>,
    address: IpAddr,
) -> Result<Answer, Fault> {
    let dialect = found.dialect;
    let Some(matched) = found.matched else { return Err(Fault::NoRoute) };
    call.named = matched.named;
    call.context = matched.context;
    call.suffix = matched.suffix;
    if let Some(method) = (dialect.overrides)(call) {
        call.method = method;
    }
    let verb = matched.route.verbs.iter().find(|verb| verb.method == call.method);
    let verb = verb.ok_or_else(|| Fault::WrongMethod(methods(matched.route)))?;
    call.route = Some((matched.route, verb));
    match body_fault {
        None => {}
        Some(BodyFault::TooLarge(limit)) => return Err(Fault::BodyTooLarge(limit)),
        Some(BodyFault::Cut) => return Err(Fault::BodyCut),
    }
    (dialect.acceptable)(call)?;
    call.address = Some(address);
    if verb.access == Access::Open {
        return (verb.handler)(desk, call).await;
    }
    let credential = (dialect.credential)(call)?;
    let writes = verb.access == Access::Write;
    let mut caller = match desk.admit(credential, address, dialect, writes).await {
        Ok(caller) => caller,
        Err(rejected) => {
            (call.denial, call.denied_tenant) = (rejected.denial, rejected.tenant);
            return Err(rejected.fault);
        }
    };
    caller.request.clone_from(&call.request);
    call.caller = Some(caller);
    (verb.handler)(desk, call).await
}

fn methods(route: &Route) -> Vec<&'static str> {
    route.verbs.iter().map(|verb| verb.method).collect()
}
