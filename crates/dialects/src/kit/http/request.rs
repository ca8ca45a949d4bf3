//! A request as dialects see it: plain data, independent of sockets.

use crate::kit::{
    Denial, Format, OpenRequest, ParsedBody, Permit, Query, RequestError, RequiredAccess, ResponseBody, ResponseFormat,
    SyntaxError, WriteContext,
};
use bytes::Bytes;
use directory::{Actor, Caller, Client, TenantNumber};
use http::{HeaderMap, Response};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

pub type DialectResponse = Response<ResponseBody>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// Contains the limit in bytes.
    TooLarge(usize),
    /// The body ended early or took too long.
    Incomplete,
    UnsupportedEncoding(String),
    /// The body does not match its `Content-Encoding`.
    Undecodable(String),
}

impl From<std::io::Error> for BodyError {
    fn from(error: std::io::Error) -> Self {
        Self::Undecodable(format!("the body does not match its Content-Encoding: {error}"))
    }
}

#[derive(Debug)]
pub struct DialectRequest {
    /// Upper-case, after an override was applied.
    pub method: String,
    pub path: String,
    /// The values of `{…}` in the route's path, percent-decoded.
    pub path_params: Vec<String>,
    /// The first segment of a path such as `/context/api/2/users`.
    pub context: Option<String>,
    /// `json` or `xml` at the end of the path.
    pub format_suffix: Option<&'static str>,
    pub query: Query,
    pub headers: HeaderMap,
    /// Empty until the body was read.
    pub body: Bytes,
    /// Identifies the request in the log and in `X-Request-Id`.
    pub request_id: String,
    /// Scheme and host for links in responses, such as `http://example.com`.
    pub origin: String,
    /// See [`Route::path`](crate::kit::Route::path); empty if there is no route.
    pub route_path: &'static str,
    pub access: RequiredAccess,
    /// `None` until the request is authenticated.
    pub caller: Option<Caller>,
    pub(crate) permits: Vec<Permit>,
    pub(crate) denial: Option<Denial>,
    /// The tenant of the rejected key.
    pub(crate) denied_tenant: Option<TenantNumber>,
    pub(crate) denied_connection: Option<String>,
    pub client_ip: Option<IpAddr>,
    pub parsed_body: OnceLock<Result<Option<ParsedBody>, RequestError>>,
    pub response_format: OnceLock<ResponseFormat>,
    pub ignored_members: AtomicUsize,
    pub(crate) takes_idempotency_key: bool,
    /// If it has an `Idempotency-Key`.
    pub(crate) idempotency: Option<OpenRequest>,
}

impl DialectRequest {
    /// The body, which must be UTF-8.
    pub(crate) fn body_text(&self) -> Result<&str, SyntaxError> {
        Ok(std::str::from_utf8(&self.body)?)
    }

    /// Fails only for public operations; handlers of all others run after authentication.
    pub fn caller(&self) -> Result<&Caller, RequestError> {
        self.caller.as_ref().ok_or(RequestError::Unauthorized)
    }

    /// The connection that sends the request.
    pub(crate) fn client(&self) -> Option<&Client> {
        match &self.caller.as_ref()?.actor {
            Actor::Connection(client) => Some(client),
            _ => None,
        }
    }

    /// The body, parsed on the first call; `None` if there is none.
    pub fn parsed_body(
        &self,
        parse: fn(&Self) -> Result<Option<ParsedBody>, RequestError>,
    ) -> Result<Option<&ParsedBody>, RequestError> {
        self.parsed_body.get_or_init(|| parse(self)).as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// The format of the response, negotiated on the first call.
    pub fn response_format(&self, negotiate: fn(&Self) -> ResponseFormat) -> ResponseFormat {
        *self.response_format.get_or_init(|| negotiate(self))
    }

    /// The context of a response in a format.
    ///
    /// # Errors
    /// The request is not authenticated.
    pub fn write_context(&self, format: Format) -> Result<WriteContext, RequestError> {
        let path = self.context.as_ref().map_or_else(String::new, |context| format!("/{context}"));
        Ok(WriteContext {
            format,
            base_url: format!("{}{path}", self.origin),
            tenant: self.caller()?.tenant,
            highest_role: self.client().map_or(0, |client| client.highest_role),
        })
    }

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
            denied_connection: None,
            client_ip: None,
            parsed_body: OnceLock::new(),
            response_format: OnceLock::new(),
            ignored_members: AtomicUsize::new(0),
            takes_idempotency_key: false,
            idempotency: None,
        }
    }

    /// An operation inside of this request (a bulk request), by the same caller. Its route and body are set later.
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

    /// The decoded value of the n-th `{…}` of the path; empty if there is none.
    pub fn path_param(&self, n: usize) -> &str {
        self.path_params.get(n).map_or("", String::as_str)
    }

    /// Counts ignored members for the metrics.
    pub fn count_ignored(&self, count: usize) {
        self.ignored_members.fetch_add(count, Ordering::Relaxed);
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
