//! The table of routes: paths and methods as data, so that tests, metrics and documents can walk it.

use super::transfers::Transfers;
use super::{About, Access, Answer, Call, Concurrency, Fault, Gate, Seals, Walks};
use crate::Dialect;
use directory::{BoxFuture, Directory};
use percent_encoding::percent_decode_str;
use std::sync::Arc;

/// A path with its methods.
#[derive(Debug)]
pub struct Route {
    /// The path; `{…}` stands for any one segment.
    pub path: &'static str,
    /// What can be done there.
    pub verbs: &'static [Verb],
}

/// One method of a path.
pub struct Verb {
    /// The method.
    pub method: &'static str,
    /// Whether it may change anything.
    pub access: Access,
    /// What it is and takes, for people and for the OpenAPI document.
    pub about: About,
    /// What it does.
    pub handler: Handler,
}

impl std::fmt::Debug for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.method, self.access)
    }
}

/// What a verb does.
pub type Handler = for<'a> fn(&'a Desk, &'a Call) -> BoxFuture<'a, Result<Answer, Fault>>;

/// What may follow a literal at the end of a path where the dialect takes suffixes, and the format it asks for.
const SUFFIXES: [(&str, Option<&str>); 4] =
    [("", None), (".json", Some("json")), (".xml", Some("xml")), (".xml.json", Some("xml"))];

/// One spelling of a route's path: with or without its context, and with one of the suffixes.
pub struct RoutePath {
    /// The path; `{…}` stands for any one segment that is not empty.
    pub path: String,
    dialect: &'static Dialect,
    route: &'static Route,
    suffix: Option<&'static str>,
}

/// A dialect that answers a path, and the route in it; without one, the dialect rejects the path.
pub struct Found {
    /// The dialect.
    pub dialect: &'static Dialect,
    /// The route.
    pub matched: Option<Matched>,
}

/// A route, and what the path says besides.
#[derive(Debug)]
pub struct Matched {
    /// The route, as in the dialect's table.
    pub route: &'static Route,
    /// What becomes [`Call::named`].
    pub named: Vec<String>,
    /// What becomes [`Call::context`].
    pub context: Option<String>,
    /// What becomes [`Call::suffix`].
    pub suffix: Option<&'static str>,
}

/// Finds routes by path, in any letter case and with or without slashes at the end.
pub trait RouteTable: Send + Sync {
    /// The dialect and route a path leads to; `None` if it is not a dialect's.
    fn find(&self, path: &str) -> Option<Found>;
}

/// The paths of all routes. A `{context}` in front may be left out.
pub fn route_paths() -> Vec<RoutePath> {
    let mut paths = Vec::new();
    for dialect in crate::doors() {
        for route in dialect.routes {
            let takes_suffix = dialect.suffixes && !route.path.ends_with('}');
            let suffixes = if takes_suffix { &SUFFIXES[..] } else { &SUFFIXES[..1] };
            for path in [Some(route.path), route.path.strip_prefix("/{context}")].into_iter().flatten() {
                paths.extend(suffixes.iter().map(|(ending, suffix)| RoutePath {
                    path: format!("{path}{ending}"),
                    dialect,
                    route,
                    suffix: *suffix,
                }));
            }
        }
    }
    paths
}

impl RoutePath {
    /// Reads the parameters of a path that has these literals; `None` if one is empty or not UTF-8 when decoded.
    pub fn read(&self, path: &str) -> Option<Found> {
        let mut matched =
            Matched { route: self.route, named: Vec::new(), context: None, suffix: self.suffix };
        for (name, sent) in
            self.path.split('/').zip(path.split('/')).filter(|(name, _)| name.starts_with('{'))
        {
            let decoded = percent_decode_str(sent).decode_utf8().ok().filter(|text| !text.is_empty())?;
            if name == "{context}" {
                matched.context = Some(sent.to_owned());
            } else {
                matched.named.push(decoded.into_owned());
            }
        }
        Some(Found { dialect: self.dialect, matched: Some(matched) })
    }
}

/// The dialect that rejects a path which is no route.
pub fn claiming(path: &str) -> Option<Found> {
    let dialect = crate::doors().find(|dialect| (dialect.owns)(path))?;
    Some(Found { dialect, matched: None })
}

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
    /// Limits on work in progress.
    pub concurrency: Concurrency,
    /// Files of people in and out, where they are kept.
    pub transfers: Option<Arc<dyn Transfers>>,
}
