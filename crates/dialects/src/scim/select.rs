//! Which attributes are returned (RFC 7644 section 3.9): all but some, or only some. What is never returned is not
//! even written, and what always is cannot be left out.

use super::schema::{Named, find};
use super::wire::Resource;
use crate::kit::{DialectRequest, Object, OutputValue, RequestError};
use http::StatusCode;
use std::borrow::Cow;

/// Members of a written object.
type Members = Vec<(Cow<'static, str>, OutputValue)>;

/// A choice of attributes, as paths in the resource: extension or attribute, and perhaps a part.
#[derive(Clone, Debug, Default)]
pub(super) struct Selection {
    only: Option<Vec<Path>>,
    not: Vec<Path>,
}

#[derive(Clone, Debug, PartialEq)]
struct Path {
    /// Names from the top of the resource downwards.
    names: Vec<&'static str>,
}

impl Selection {
    /// What a request's query asks for.
    pub(super) fn of(call: &DialectRequest, resource: &'static Resource) -> Result<Self, RequestError> {
        let get = |name| call.query.get_joined(name);
        Self::new(get("attributes").as_deref(), get("excludedAttributes").as_deref(), resource)
    }

    /// What a request's body or query asks for.
    pub(super) fn new(
        only: Option<&str>,
        not: Option<&str>,
        resource: &'static Resource,
    ) -> Result<Self, RequestError> {
        if only.is_some() && not.is_some() {
            let text = "attributes and excludedAttributes exclude one another";
            return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidValue", text));
        }
        let paths = |text: &str| -> Vec<Path> {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            // A name that nothing has chooses nothing, and one that comes again nothing more.
            let mut paths = Vec::new();
            for path in names.filter_map(|name| path(name, resource)) {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
            paths
        };
        Ok(Self { only: only.map(paths), not: not.map(paths).unwrap_or_default() })
    }

    /// The texts of `attributes` in a body: a list, or one text with commas.
    pub(super) fn text(object: &Object, name: &str) -> Option<String> {
        use crate::kit::{Duplicates, Node};
        match object.get(name, Duplicates::LastWins)? {
            Node::Text(text) => Some(text.clone()),
            Node::List(nodes) => {
                let texts = nodes
                    .iter()
                    .filter_map(|node| if let Node::Text(text) = node { Some(text.as_str()) } else { None });
                Some(texts.collect::<Vec<_>>().join(","))
            }
            _ => None,
        }
    }

    /// Whether only some attributes were asked for by name.
    pub(super) fn is_explicit(&self) -> bool {
        self.only.is_some()
    }

    /// Whether anything of an attribute or extension may be shown, so that what is not need not even be read.
    pub(super) fn shows(&self, name: &str) -> bool {
        let is_it = |path: &Path| path.names.first().is_some_and(|first| *first == name);
        let is_wanted = self.only.as_ref().is_none_or(|only| only.iter().any(is_it));
        is_wanted && !self.not.iter().any(|path| path.names.len() == 1 && is_it(path))
    }

    /// Whether one part of an attribute is shown.
    pub(super) fn shows_part(&self, name: &str, part: &str) -> bool {
        let here = [name.to_owned(), part.to_owned()];
        self.shows(name) && !matches!(self.fate(&here), Fate::Gone)
    }

    /// Whether something deeper is shown.
    pub(super) fn shows_path(&self, names: &[&str]) -> bool {
        let here: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        !matches!(self.fate(&here), Fate::Gone)
    }

    /// What clients may set: without the names of what people belong to, which are looked up one by one.
    pub(super) fn settable() -> Self {
        let path = |names: &[&'static str]| Path { names: names.to_vec() };
        let more = path(&[super::wire::MORE_SCHEMA.urn, "folders"]);
        let manager = path(&[super::wire::ENTERPRISE_SCHEMA.urn, "manager", "$ref"]);
        Self { only: None, not: vec![path(&["groups"]), more, manager] }
    }

    /// Leaves of a written resource what was asked for.
    pub(super) fn apply(&self, members: Members) -> Members {
        if self.only.is_none() && self.not.is_empty() {
            return members;
        }
        let mut here = Vec::new();
        self.object(members, &mut here)
    }

    fn object(&self, members: Members, here: &mut Vec<String>) -> Members {
        let mut kept = Vec::with_capacity(members.len());
        for (name, out) in members {
            let always = here.is_empty() && name == "id";
            here.push(name.clone().into_owned());
            let fate = if always { Fate::Whole } else { self.fate(here) };
            match fate {
                Fate::Gone => {}
                Fate::Whole => kept.push((name, out)),
                Fate::InPart => {
                    if let Some(out) = self.part(out, here) {
                        kept.push((name, out));
                    }
                }
            }
            here.pop();
        }
        kept
    }

    fn part(&self, out: OutputValue, here: &mut Vec<String>) -> Option<OutputValue> {
        match out {
            OutputValue::Object(members) => {
                let members = self.object(members, here);
                (!members.is_empty()).then_some(OutputValue::Object(members))
            }
            OutputValue::List(name, outs) => {
                let outs: Vec<OutputValue> =
                    outs.into_iter().filter_map(|out| self.part(out, here)).collect();
                (!outs.is_empty()).then_some(OutputValue::List(name, outs))
            }
            single => Some(single),
        }
    }

    fn fate(&self, here: &[String]) -> Fate {
        let begins = |path: &Path| here.iter().zip(&path.names).all(|(a, b)| a == b);
        if self.not.iter().any(|path| begins(path) && path.names.len() <= here.len()) {
            return Fate::Gone;
        }
        let deeper = |path: &Path| begins(path) && path.names.len() > here.len();
        match &self.only {
            Some(only) if only.iter().any(|path| begins(path) && path.names.len() <= here.len()) => {
                Fate::Whole
            }
            Some(only) if only.iter().any(deeper) => Fate::InPart,
            Some(_) => Fate::Gone,
            None if self.not.iter().any(deeper) => Fate::InPart,
            None => Fate::Whole,
        }
    }
}

enum Fate {
    Whole,
    InPart,
    Gone,
}

fn path(name: &str, resource: &'static Resource) -> Option<Path> {
    if name.eq_ignore_ascii_case(resource.schema.urn) {
        return None;
    }
    let names = match find(resource, name)? {
        Named::Extension(schema) => vec![schema.urn],
        Named::Attribute(attribute) => {
            let extension = attribute.extension.map(|schema| schema.urn);
            let sub = attribute.sub.map(|sub| sub.name);
            extension.into_iter().chain([attribute.member.name]).chain(sub).collect()
        }
    };
    Some(Path { names })
}
