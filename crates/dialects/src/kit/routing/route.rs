//! The table of routes: paths and methods as data, so that tests, metrics and documents can walk it.

use crate::Dialect;
use crate::kit::transfers::Transfers;
use crate::kit::{
    Authenticator, ConcurrencyLimiter, DialectRequest, DialectResponse, MethodSpec, PagePositions, RequestError,
    RequiredAccess, TokenKeys,
};
use directory::{BoxFuture, Directory};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// A path with its methods.
#[derive(Debug)]
pub struct Route {
    /// The path; `{…}` stands for any one segment.
    pub path: &'static str,
    /// What can be done there.
    pub methods: &'static [RouteMethod],
}

/// One method of a path.
pub struct RouteMethod {
    /// The method.
    pub name: &'static str,
    /// Whether it may change anything.
    pub access: RequiredAccess,
    /// What it is and takes, for people and for the OpenAPI document.
    pub spec: MethodSpec,
    /// What it does.
    pub handler: Handler,
}

impl std::fmt::Debug for RouteMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.name, self.access)
    }
}

/// What a verb does.
pub type Handler = for<'a> fn(&'a AppState, &'a DialectRequest) -> BoxFuture<'a, Result<DialectResponse, RequestError>>;

/// What may follow a literal at the end of a path where the dialect takes suffixes, and the format it asks for.
const FORMAT_SUFFIXES: [(&str, Option<&str>); 4] =
    [("", None), (".json", Some("json")), (".xml", Some("xml")), (".xml.json", Some("xml"))];

/// One spelling of a route's path: with or without its context, and with one of the suffixes.
pub struct RoutePath {
    /// The path; `{…}` stands for any one segment that is not empty.
    pub path: String,
    dialect: &'static Dialect,
    route: &'static Route,
    format_suffix: Option<&'static str>,
}

/// A dialect that answers a path, and the route in it; without one, the dialect rejects the path.
pub struct RouteMatch {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// The route.
    pub matched: Option<MatchedRoute>,
}

/// A route, and what the path says besides.
#[derive(Debug)]
pub struct MatchedRoute {
    /// The route, as in the dialect's table.
    pub route: &'static Route,
    /// What becomes [`DialectRequest::named`].
    pub path_params: Vec<String>,
    /// What becomes [`DialectRequest::context`].
    pub context: Option<String>,
    /// What becomes [`DialectRequest::suffix`].
    pub format_suffix: Option<&'static str>,
}

/// Finds routes by path, in any letter case and with or without slashes at the end.
pub trait RouteTable: Send + Sync {
    /// The dialect and route a path leads to; `None` if it is not a dialect's.
    fn find(&self, path: &str) -> Option<RouteMatch>;
}

/// The paths of all routes. A `{context}` in front may be left out.
pub fn route_paths() -> Vec<RoutePath> {
    let mut paths = Vec::new();
    for dialect in crate::endpoints() {
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
    /// Reads the parameters of a path that has these literals; `None` if one is empty or not UTF-8 when decoded.
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

/// The dialect that rejects a path which is no route.
pub fn claiming_dialect(path: &str) -> Option<RouteMatch> {
    let dialect = crate::endpoints().find(|dialect| (dialect.claims_path)(path))?;
    Some(RouteMatch { dialect, matched: None })
}

/// Everything a dialect may use.
pub struct AppState {
    /// The directory.
    pub directory: Arc<Directory>,
    /// Who looks at keys.
    pub authenticator: Authenticator,
    /// Scheme and host for links in answers; what the client said it called, when not set.
    pub public_url: Option<String>,
    /// Scheme and host that name this server in tokens. Never what a client calls it, which an attacker chooses.
    pub issuer: Option<String>,
    /// Whether clients reach us over TLS.
    pub is_tls: bool,
    /// The largest body that is read, in bytes.
    pub body_limit: usize,
    /// Keys that all processes of the installation share.
    pub token_keys: TokenKeys,
    /// Where walks by index stand.
    pub page_positions: PagePositions,
    /// The routes of all dialects.
    pub routes: Arc<dyn RouteTable>,
    /// Limits on work in progress.
    pub concurrency: ConcurrencyLimiter,
    /// Files of people in and out, where they are kept.
    pub transfers: Option<Arc<dyn Transfers>>,
}
