//! One request as a dialect sees it: pure data, no socket.

use crate::kit::{Denial, ParsedBody, Permit, Query, RequestError, RequiredAccess, ResponseBody, ResponseFormat};
use bytes::Bytes;
use directory::{Caller, TenantNumber};
use http::{HeaderMap, Response};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a handler gives back.
pub type DialectResponse = Response<ResponseBody>;

/// Why the body could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is larger than so many bytes.
    TooLarge(usize),
    /// It stopped, or took too long.
    Incomplete,
    /// Its `ResponseBody-Encoding` is not supported.
    UnsupportedEncoding(String),
    /// It is not of its `ResponseBody-Encoding`.
    Undecodable(String),
}

impl From<std::io::Error> for BodyError {
    fn from(error: std::io::Error) -> Self {
        Self::Undecodable(format!("the body is not of its Content-Encoding: {error}"))
    }
}

/// One request.
#[derive(Debug)]
pub struct DialectRequest {
    /// The method, upper-case, after an override was applied.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// What stands for `{…}` in the route's path, decoded.
    pub path_params: Vec<String>,
    /// The first segment of a path such as `/context/api/2/users`.
    pub context: Option<String>,
    /// `json` or `xml` at the end of the path.
    pub format_suffix: Option<&'static str>,
    /// The query string.
    pub query: Query,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, within the limit.
    pub body: Bytes,
    /// The number under which the request is logged.
    pub request_id: String,
    /// Scheme and host under which the client reached us, such as `http://example.com`.
    pub origin: String,
    /// The path of its route, as in the table; empty if it has none.
    pub route_path: &'static str,
    /// What its operation may do.
    pub access: RequiredAccess,
    /// On whose behalf it comes; nobody's until the key was looked at.
    pub caller: Option<Caller>,
    /// Held while it is in progress.
    pub(crate) permits: Vec<Permit>,
    /// Why the client was not let in.
    pub(crate) denial: Option<Denial>,
    /// Whose key it showed then.
    pub(crate) denied_tenant: Option<TenantNumber>,
    /// Where it comes from.
    pub client_ip: Option<IpAddr>,
    /// The body once it was parsed.
    pub parsed_body: OnceLock<Result<Option<ParsedBody>, RequestError>>,
    /// How the answer is written, once that was chosen.
    pub response_format: OnceLock<ResponseFormat>,
    /// How many members were sent that the dialect does not know.
    pub ignored_members: AtomicUsize,
}

impl DialectRequest {
    /// On whose behalf the request comes. Handlers run only after the key was looked at.
    pub fn caller(&self) -> Result<&Caller, RequestError> {
        self.caller.as_ref().ok_or(RequestError::Unauthorized)
    }

    /// The body, parsed by `read` when it is asked for the first time; `None` when there is none.
    pub fn parsed_body(
        &self,
        parse: fn(&Self) -> Result<Option<ParsedBody>, RequestError>,
    ) -> Result<Option<&ParsedBody>, RequestError> {
        self.parsed_body.get_or_init(|| parse(self)).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// How the answer is written, chosen by `choose` when it is asked for the first time.
    pub fn response_format(&self, negotiate: fn(&Self) -> ResponseFormat) -> ResponseFormat {
        *self.response_format.get_or_init(|| negotiate(self))
    }

    /// A request that says nothing but its method and path.
    pub(crate) fn new(method: String, path: String) -> Self {
        Self {
            method,
            path,
            path_params: Vec::new(),
            context: None,
            format_suffix: None,
            query: Query::default(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            request_id: String::new(),
            origin: String::new(),
            route_path: "",
            access: RequiredAccess::Public,
            caller: None,
            permits: Vec::new(),
            denial: None,
            denied_tenant: None,
            client_ip: None,
            parsed_body: OnceLock::new(),
            response_format: OnceLock::new(),
            ignored_members: AtomicUsize::new(0),
        }
    }

    /// A request of the same caller that this one stands for; where it leads and its body are still to be said.
    pub(crate) fn sub_request(&self, method: String, path: String) -> Self {
        Self {
            context: self.context.clone(),
            headers: self.headers.clone(),
            request_id: self.request_id.clone(),
            origin: self.origin.clone(),
            caller: self.caller.clone(),
            ..Self::new(method, path)
        }
    }

    /// The decoded text of the n-th `{…}` of the path.
    pub fn path_param(&self, n: usize) -> &str {
        self.path_params.get(n).map_or("", String::as_str)
    }

    /// Counts members the dialect ignores, so that they are seen somewhere (decision 5).
    pub fn count_ignored(&self, count: usize) {
        self.ignored_members.fetch_add(count, Ordering::Relaxed);
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
