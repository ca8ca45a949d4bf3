//! One request as a dialect sees it: pure data, no socket.

use super::{Access, Body, Content, Denial, Fault, Permit, Query, Voice};
use bytes::Bytes;
use directory::{Caller, TenantNumber};
use http::{HeaderMap, Response};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a handler gives back.
pub type Answer = Response<Content>;

/// Why the body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It is larger than so many bytes.
    TooLarge(usize),
    /// It stopped, or took too long.
    Cut,
    /// Its `Content-Encoding` is not supported.
    Encoding(String),
    /// It is not of its `Content-Encoding`.
    Undecodable(String),
}

impl From<std::io::Error> for BodyFault {
    fn from(error: std::io::Error) -> Self {
        Self::Undecodable(format!("the body is not of its Content-Encoding: {error}"))
    }
}

/// One request.
#[derive(Debug)]
pub struct Call {
    /// The method, upper-case, after an override was applied.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// What stands for `{…}` in the route's path, decoded.
    pub named: Vec<String>,
    /// The first segment of a path such as `/context/api/2/users`.
    pub context: Option<String>,
    /// `json` or `xml` at the end of the path.
    pub suffix: Option<&'static str>,
    /// The query string.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within the limit.
    pub body: Bytes,
    /// The number under which the request is logged.
    pub request: String,
    /// Scheme and host under which the client reached us, such as `http://example.com`.
    pub origin: String,
    /// The path of its route, as in the table; empty if it has none.
    pub route_path: &'static str,
    /// What its operation may do.
    pub access: Access,
    /// On whose behalf it comes; nobody's until the key was looked at.
    pub caller: Option<Caller>,
    /// Held while it is in progress.
    pub(crate) permits: Vec<Permit>,
    /// Why the client was not let in.
    pub(crate) denial: Option<Denial>,
    /// Whose key it showed then.
    pub(crate) denied_tenant: Option<TenantNumber>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    /// The body once it was parsed.
    pub parsed: OnceLock<Result<Option<Body>, Fault>>,
    /// How the answer is written, once that was chosen.
    pub chosen: OnceLock<Voice>,
    /// How many members were sent that the dialect does not know.
    pub unknown: AtomicUsize,
}

impl Call {
    /// On whose behalf the request comes. Handlers run only after the key was looked at.
    pub fn caller(&self) -> Result<&Caller, Fault> {
        self.caller.as_ref().ok_or(Fault::Unauthorised)
    }

    /// The body, parsed by `read` when it is asked for the first time; `None` when there is none.
    pub fn body(&self, read: fn(&Self) -> Result<Option<Body>, Fault>) -> Result<Option<&Body>, Fault> {
        self.parsed.get_or_init(|| read(self)).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// How the answer is written, chosen by `choose` when it is asked for the first time.
    pub fn voice(&self, choose: fn(&Self) -> Voice) -> Voice {
        *self.chosen.get_or_init(|| choose(self))
    }

    /// A request that says nothing but its method and path.
    pub(crate) fn new(method: String, path: String) -> Self {
        Self {
            method,
            path,
            named: Vec::new(),
            context: None,
            suffix: None,
            query: Query::default(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            request: String::new(),
            origin: String::new(),
            route_path: "",
            access: Access::Open,
            caller: None,
            permits: Vec::new(),
            denial: None,
            denied_tenant: None,
            address: None,
            parsed: OnceLock::new(),
            chosen: OnceLock::new(),
            unknown: AtomicUsize::new(0),
        }
    }

    /// A request of the same caller that this one stands for; where it leads and its body are still to be said.
    pub(crate) fn sub_call(&self, method: String, path: String) -> Self {
        Self {
            context: self.context.clone(),
            headers: self.headers.clone(),
            request: self.request.clone(),
            origin: self.origin.clone(),
            caller: self.caller.clone(),
            ..Self::new(method, path)
        }
    }

    /// The decoded text of the n-th `{…}` of the path.
    pub fn named(&self, n: usize) -> &str {
        self.named.get(n).map_or("", String::as_str)
    }

    /// Counts members the dialect ignores, so that they are seen somewhere (decision 5).
    pub fn ignore(&self, count: usize) {
        self.unknown.fetch_add(count, Ordering::Relaxed);
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
