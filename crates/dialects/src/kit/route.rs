//! The table of routes: paths and methods as data, so that tests, metrics and documents can walk it.

use super::door::Desk;
use super::{Answer, Call, Fault, Kind, Record};
use directory::Pending;

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
    /// What the answer is.
    pub answer: Option<&'static Record>,
}

impl About {
    /// A verb that answers with something.
    pub(crate) const fn new(
        summary: &'static str,
        query: &'static [(&'static str, Kind, &'static str)],
        body: Option<&'static Record>,
        answer: &'static Record,
    ) -> Self {
        Self { summary, query, body, answer: Some(answer) }
    }
}

/// What a verb does.
pub type Handler = for<'a> fn(&'a Desk, &'a Call) -> Pending<'a, Result<Answer, Fault>>;

/// A path that was matched.
pub(crate) struct Matched {
    pub(crate) route: &'static Route,
    pub(crate) named: Vec<String>,
    pub(crate) context: Option<String>,
    pub(crate) suffix: Option<&'static str>,
}

/// The route a path leads to. Paths are matched in any case, with or without a slash at the end; a `{context}`
/// in front of a route may be left out; `.json` and `.xml` may follow where `suffixes` says so.
pub(crate) fn find(routes: &'static [Route], path: &str, suffixes: bool) -> Option<Matched> {
    let sent: Vec<&str> = path.strip_prefix('/')?.trim_end_matches('/').split('/').collect();
    for route in routes {
        let wanted: Vec<&'static str> = route.path.trim_start_matches('/').split('/').collect();
        if let Some(matched) = try_route(route, &wanted, &sent, suffixes) {
            return Some(matched);
        }
        let without_context = (wanted.first() == Some(&"{context}")).then(|| &wanted[1..]);
        if let Some(matched) = without_context.and_then(|wanted| try_route(route, wanted, &sent, suffixes)) {
            return Some(matched);
        }
    }
    None
}

fn try_route(route: &'static Route, wanted: &[&str], sent: &[&str], suffixes: bool) -> Option<Matched> {
    if wanted.len() != sent.len() {
        return None;
    }
    let mut matched = Matched { route, named: Vec::new(), context: None, suffix: None };
    let last = wanted.len() - 1;
    for (index, (wanted, sent)) in wanted.iter().zip(sent).enumerate() {
        let mut sent = *sent;
        if suffixes && index == last && !wanted.starts_with('{') {
            for (ending, format) in [(".json", "json"), (".xml", "xml")] {
                let cut = sent.len().checked_sub(ending.len()).filter(|at| sent.is_char_boundary(*at));
                if let Some(at) = cut.filter(|at| sent[*at..].eq_ignore_ascii_case(ending)) {
                    sent = &sent[..at];
                    matched.suffix = Some(format);
                }
            }
        }
        if wanted.starts_with('{') {
            let decoded = percent_encoding::percent_decode_str(sent).decode_utf8().ok()?.into_owned();
            if decoded.is_empty() {
                return None;
            }
            if *wanted == "{context}" {
                matched.context = Some(sent.to_owned());
            } else {
                matched.named.push(decoded);
            }
        } else if !wanted.eq_ignore_ascii_case(sent) {
            return None;
        }
    }
    Some(matched)
}
