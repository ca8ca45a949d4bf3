//! The table of routes: paths and methods as data, so that tests, metrics and documents can walk it.

use super::door::Desk;
use super::{Answer, Call, Fault, Kind, Record};
use crate::Dialect;
use directory::Pending;
use http::StatusCode;
use percent_encoding::percent_decode_str;

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

/// Whether a verb may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only looks.
    Read,
    /// It may change.
    Write,
    /// Anybody may: it says nothing of any tenant, or looks at credentials of its own.
    Open,
}

/// What a verb is and takes.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// One line.
    pub summary: &'static str,
    /// Query parameters: name, kind and meaning.
    pub query: &'static [(&'static str, Kind, &'static str)],
    /// What the body is.
    pub body: Option<&'static Record>,
    /// Whether the body may leave out what a new object needs.
    pub is_partial: bool,
    /// What it answers if it succeeds.
    pub success: Success,
    /// Statuses of failures that only it has.
    pub own_failures: &'static [StatusCode],
}

/// What a verb answers if it succeeds.
#[derive(Clone, Copy, Debug)]
pub enum Success {
    /// 204 without a body.
    Nothing,
    /// 200 with an object.
    Object(&'static Record),
    /// 200 with an object, or 304 if the client has it already.
    Versioned(&'static Record),
    /// 200 with an object, or 204 if no attributes were asked for.
    ObjectOrNothing(&'static Record),
    /// 200 with a list: in JSON an array, in XML an object whose only member is the list.
    List(&'static Record),
    /// 201 with what was created.
    Created(&'static Record),
    /// 202 with what was begun.
    Accepted(&'static Record),
    /// 200 with a file of one of these media types.
    File(&'static [&'static str]),
}

impl About {
    /// A verb that answers with an object.
    pub(crate) const fn new(
        summary: &'static str,
        query: &'static [(&'static str, Kind, &'static str)],
        body: Option<&'static Record>,
        answer: &'static Record,
    ) -> Self {
        Self { summary, query, body, is_partial: false, success: Success::Object(answer), own_failures: &[] }
    }

    /// The same with another answer.
    #[must_use]
    pub(crate) const fn with(self, success: Success) -> Self {
        Self { success, ..self }
    }

    /// The same, whose body may leave out what a new object needs.
    #[must_use]
    pub(crate) const fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    /// The same with failures of its own.
    #[must_use]
    pub(crate) const fn failing(self, own_failures: &'static [StatusCode]) -> Self {
        Self { own_failures, ..self }
    }
}

/// What a verb does.
pub type Handler = for<'a> fn(&'a Desk, &'a Call) -> Pending<'a, Result<Answer, Fault>>;

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
