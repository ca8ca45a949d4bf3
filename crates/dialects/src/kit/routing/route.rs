//! The table of routes: paths and methods as data, so that tests, metrics and documents can iterate over it.

use crate::Dialect;
use crate::kit::transfers::Transfers;
use crate::kit::{
    Authenticator, ConcurrencyLimiter, DialectRequest, DialectResponse, MethodSpec, OpenRequests, PagePositions,
    RequestError, RequiredAccess, TokenKeys,
};
use directory::{BoxFuture, Directory};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

#[derive(Debug)]
pub struct Route {
    /// `{…}` matches one segment.
    pub path: &'static str,
    pub methods: &'static [RouteMethod],
}

pub struct RouteMethod {
    pub name: &'static str,
    pub access: RequiredAccess,
    pub spec: MethodSpec,
    pub handler: Handler,
}

macro_rules! route_method {
    ($name:literal, $access:ident, $handler:path, $spec:expr) => {
        $crate::kit::RouteMethod {
            name: $name,
            access: $crate::kit::RequiredAccess::$access,
            spec: $spec,
            handler: |state, request| Box::pin($handler(state, request)),
        }
    };
}
pub(crate) use route_method;

impl std::fmt::Debug for RouteMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.name, self.access)
    }
}

pub type Handler = for<'a> fn(&'a AppState, &'a DialectRequest) -> BoxFuture<'a, Result<DialectResponse, RequestError>>;

/// Suffixes of paths that end with a literal, and the format that each selects; see [`Dialect::has_format_suffixes`].
const FORMAT_SUFFIXES: [(&str, Option<&str>); 4] =
    [("", None), (".json", Some("json")), (".xml", Some("xml")), (".xml.json", Some("xml"))];

/// One variant of a route's path: with or without its context, and with one of the suffixes.
pub struct RoutePath {
    /// `{…}` matches one segment that is not empty.
    pub path: String,
    dialect: &'static Dialect,
    route: &'static Route,
    format_suffix: Option<&'static str>,
}

/// The dialect that owns a path, and its route; without a route, the dialect rejects the path.
pub struct RouteMatch {
    pub dialect: &'static Dialect,
    pub matched: Option<MatchedRoute>,
}

#[derive(Debug)]
pub struct MatchedRoute {
    pub route: &'static Route,
    pub path_params: Vec<String>,
    pub context: Option<String>,
    pub format_suffix: Option<&'static str>,
}

/// Finds routes by path, ignoring case and trailing slashes.
pub trait RouteTable: Send + Sync {
    /// `None` if no dialect owns the path.
    fn find(&self, path: &str) -> Option<RouteMatch>;
}

/// The paths of all routes. A leading `{context}`, any segment that some clients send, is optional.
pub fn route_paths() -> Vec<RoutePath> {
    let mut paths = Vec::new();
    for dialect in crate::all_dialects() {
        for route in dialect.routes {
            let takes_suffix = dialect.has_format_suffixes && !route.path.ends_with('}');
            let suffixes = if takes_suffix { &FORMAT_SUFFIXES[..] } else { &FORMAT_SUFFIXES[..1] };
            for path in [Some(route.path), route.path.strip_prefix("/{context}")].into_iter().flatten() {
                paths.extend(suffixes.iter().map(|(ending, suffix)| RoutePath {
                    path: format!("{path}{ending}"),
                    dialect,
                    route,
                    format_suffix: *suffix,
                }));
            }
        }
    }
    paths
}

impl RoutePath {
    /// Extracts the parameters of a path whose literals match; `None` if one is empty or, decoded, not UTF-8.
    pub fn match_path(&self, path: &str) -> Option<RouteMatch> {
        let mut matched = MatchedRoute {
            route: self.route,
            path_params: Vec::new(),
            context: None,
            format_suffix: self.format_suffix,
        };
        for (name, sent) in self.path.split('/').zip(path.split('/')).filter(|(name, _)| name.starts_with('{')) {
            let decoded = percent_decode_str(sent).decode_utf8().ok().filter(|text| !text.is_empty())?;
            if name == "{context}" {
                matched.context = Some(sent.to_owned());
            } else {
                matched.path_params.push(decoded.into_owned());
            }
        }
        Some(RouteMatch { dialect: self.dialect, matched: Some(matched) })
    }
}

pub fn claiming_dialect(path: &str) -> Option<RouteMatch> {
    let dialect = crate::all_dialects().find(|dialect| (dialect.claims_path)(path))?;
    Some(RouteMatch { dialect, matched: None })
}

pub struct AppState {
    pub directory: Arc<Directory>,
    pub authenticator: Authenticator,
    /// Scheme and host of links in responses; if not set, taken from the request.
    pub public_url: Option<String>,
    /// Scheme and host that identify this server in tokens. Never taken from a request, which an attacker controls.
    pub issuer: Option<String>,
    pub is_tls: bool,
    /// Maximum size of a request body, in bytes.
    pub body_limit: usize,
    /// Keys shared by all processes of the installation.
    pub token_keys: TokenKeys,
    pub page_positions: PagePositions,
    pub open_requests: OpenRequests,
    pub routes: Arc<dyn RouteTable>,
    pub concurrency: ConcurrencyLimiter,
    /// `None` if this server offers no imports and exports.
    pub transfers: Option<Arc<dyn Transfers>>,
}
