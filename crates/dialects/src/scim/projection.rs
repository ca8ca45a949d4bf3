//! `attributes` and `excludedAttributes` (RFC 7644 section 3.9). Attributes that are never returned are not
//! written at all; those always returned cannot be excluded.

use super::schema::{ResolvedName, find};
use super::wire::ResourceType;
use crate::kit::{DialectRequest, Object, OutputValue, RequestError};
use http::StatusCode;
use std::borrow::Cow;

type Members = Vec<(Cow<'static, str>, OutputValue)>;

#[derive(Clone, Debug, Default)]
pub(super) struct Projection {
    included: Option<Vec<AttributePath>>,
    excluded: Vec<AttributePath>,
}

#[derive(Clone, Debug, PartialEq)]
struct AttributePath {
    /// Extension URN if any, attribute, and sub-attribute if any.
    names: Vec<&'static str>,
}

impl Projection {
    pub(super) fn from_query(
        request: &DialectRequest,
        resource_type: &'static ResourceType,
    ) -> Result<Self, RequestError> {
        let get = |name| request.query.get_joined(name);
        Self::new(get("attributes").as_deref(), get("excludedAttributes").as_deref(), resource_type)
    }

    pub(super) fn new(
        attributes: Option<&str>,
        excluded_attributes: Option<&str>,
        resource_type: &'static ResourceType,
    ) -> Result<Self, RequestError> {
        if attributes.is_some() && excluded_attributes.is_some() {
            let text = "attributes and excludedAttributes cannot be combined";
            return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidValue", text));
        }
        let paths = |text: &str| -> Vec<AttributePath> {
            let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
            let mut paths = Vec::new();
            for path in names.filter_map(|name| attribute_path(name, resource_type)) {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
            paths
        };
        Ok(Self { included: attributes.map(paths), excluded: excluded_attributes.map(paths).unwrap_or_default() })
    }

    /// In a body: a list of strings, or one comma-separated string.
    pub(super) fn attribute_list(object: &Object, name: &str) -> Option<String> {
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

    pub(super) fn is_explicit(&self) -> bool {
        self.included.is_some()
    }

    /// Whether any part of an attribute or extension may be returned; if not, it need not be read.
    pub(super) fn includes(&self, name: &str) -> bool {
        let is_it = |path: &AttributePath| path.names.first().is_some_and(|first| *first == name);
        let is_wanted = self.included.as_ref().is_none_or(|only| only.iter().any(is_it));
        is_wanted && !self.excluded.iter().any(|path| path.names.len() == 1 && is_it(path))
    }

    pub(super) fn includes_sub_attribute(&self, name: &str, part: &str) -> bool {
        let current_path = [name.to_owned(), part.to_owned()];
        self.includes(name) && !matches!(self.inclusion(&current_path), Inclusion::Excluded)
    }

    pub(super) fn includes_path(&self, names: &[&str]) -> bool {
        let current_path: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        !matches!(self.inclusion(&current_path), Inclusion::Excluded)
    }

    /// Attributes that clients may set. Labels of references are omitted, since each needs a lookup.
    pub(super) fn settable() -> Self {
        let path = |names: &[&'static str]| AttributePath { names: names.to_vec() };
        let more = path(&[super::wire::MUSTER_SCHEMA.urn, "folders"]);
        let manager = path(&[super::wire::ENTERPRISE_SCHEMA.urn, "manager", "$ref"]);
        Self { included: None, excluded: vec![path(&["groups"]), more, manager] }
    }

    pub(super) fn apply(&self, members: Members) -> Members {
        if self.included.is_none() && self.excluded.is_empty() {
            return members;
        }
        let mut current_path = Vec::new();
        self.project_members(members, &mut current_path)
    }

    fn project_members(&self, members: Members, current_path: &mut Vec<String>) -> Members {
        let mut projected = Vec::with_capacity(members.len());
        for (name, out) in members {
            let always = current_path.is_empty() && name == "id";
            current_path.push(name.clone().into_owned());
            let inclusion = if always { Inclusion::Full } else { self.inclusion(current_path) };
            match inclusion {
                Inclusion::Excluded => {}
                Inclusion::Full => projected.push((name, out)),
                Inclusion::Partial => {
                    if let Some(out) = self.project_value(out, current_path) {
                        projected.push((name, out));
                    }
                }
            }
            current_path.pop();
        }
        projected
    }

    fn project_value(&self, out: OutputValue, current_path: &mut Vec<String>) -> Option<OutputValue> {
        match out {
            OutputValue::Object(members) => {
                let members = self.project_members(members, current_path);
                (!members.is_empty()).then_some(OutputValue::Object(members))
            }
            OutputValue::List(name, outs) => {
                let outs: Vec<OutputValue> =
                    outs.into_iter().filter_map(|out| self.project_value(out, current_path)).collect();
                (!outs.is_empty()).then_some(OutputValue::List(name, outs))
            }
            single => Some(single),
        }
    }

    fn inclusion(&self, current_path: &[String]) -> Inclusion {
        let begins = |path: &AttributePath| current_path.iter().zip(&path.names).all(|(a, b)| a == b);
        if self.excluded.iter().any(|path| begins(path) && path.names.len() <= current_path.len()) {
            return Inclusion::Excluded;
        }
        let deeper = |path: &AttributePath| begins(path) && path.names.len() > current_path.len();
        match &self.included {
            Some(only) if only.iter().any(|path| begins(path) && path.names.len() <= current_path.len()) => {
                Inclusion::Full
            }
            Some(only) if only.iter().any(deeper) => Inclusion::Partial,
            Some(_) => Inclusion::Excluded,
            None if self.excluded.iter().any(deeper) => Inclusion::Partial,
            None => Inclusion::Full,
        }
    }
}

enum Inclusion {
    Full,
    Partial,
    Excluded,
}

fn attribute_path(name: &str, resource: &'static ResourceType) -> Option<AttributePath> {
    if name.eq_ignore_ascii_case(resource.schema.urn) {
        return None;
    }
    let names = match find(resource, name)? {
        ResolvedName::Extension(schema) => vec![schema.urn],
        ResolvedName::Attribute(attribute) => {
            let extension = attribute.extension.map(|schema| schema.urn);
            let sub = attribute.sub.map(|sub| sub.name);
            extension.into_iter().chain([attribute.property.name]).chain(sub).collect()
        }
    };
    Some(AttributePath { names })
}
