//! Finding attributes in the tables by the names that clients use, and publishing the tables as `/Schemas`.

use super::wire::{COMMON, ENTERPRISE_SCHEMA, Resource, Schema};
use crate::kit::{Kind, Member, Out, Record, Way};

/// An attribute that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    /// The extension it belongs to; `None` for the core schema and what all resources have.
    pub(super) extension: Option<&'static Schema>,
    pub(super) member: &'static Member,
    /// A part of it, where one was named.
    pub(super) sub: Option<&'static Member>,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Named {
    /// An attribute or a part of one.
    Attribute(Attribute),
    /// A whole extension.
    Extension(&'static Schema),
}

impl Attribute {
    /// What its values are; the entries' for a plural.
    pub(super) fn record(&self) -> Option<&'static Record> {
        record_of(self.member)
    }

    pub(super) fn is_plural(&self) -> bool {
        matches!(self.member.kind, Kind::List(..))
    }

    /// Whether clients may not set it.
    pub(super) fn is_read_only(&self) -> bool {
        self.member.way == Way::Out || self.sub.is_some_and(|sub| sub.way == Way::Out)
    }

    /// The last name of its path.
    pub(super) fn last(&self) -> &'static Member {
        self.sub.unwrap_or(self.member)
    }
}

/// The record of a complex attribute, or of the entries of a plural one.
pub(super) fn record_of(member: &Member) -> Option<&'static Record> {
    match member.kind {
        Kind::Object(record) => Some(record),
        Kind::List(_, Kind::Object(record)) => Some(*record),
        _ => None,
    }
}

/// The member of a record by its name in any case.
pub(super) fn member_of(record: &'static Record, name: &str) -> Option<&'static Member> {
    record.members.iter().find(|member| member.name.eq_ignore_ascii_case(name))
}

/// What a dotted name stands for, with or without a schema's URN in front, in any case (RFC 7644 section 3.10).
pub(super) fn find(resource: &'static Resource, name: &str) -> Option<Named> {
    for schema in std::iter::once(&resource.schema).chain(resource.extensions) {
        let Some(rest) = strip_prefix(name, schema.urn) else { continue };
        let extension = (schema.urn != resource.schema.urn).then_some(*schema);
        if rest.is_empty() {
            return extension.map(Named::Extension);
        }
        let Some(rest) = rest.strip_prefix(':') else { continue };
        return in_record(schema.record, extension, rest)
            .or_else(|| extension.is_none().then(|| in_record(&COMMON, None, rest))?);
    }
    in_record(resource.schema.record, None, name).or_else(|| in_record(&COMMON, None, name))
}

/// The same as clients write it who do not keep to the standard: with a dot behind the URN, or an attribute of the enterprise
/// extension without its URN.
pub(super) fn find_lenient(resource: &'static Resource, name: &str) -> Option<Named> {
    let with_dot = || {
        let schemas = std::iter::once(&resource.schema).chain(resource.extensions);
        schemas.into_iter().find_map(|schema| {
            let rest = strip_prefix(name, schema.urn)?.strip_prefix('.')?;
            find(resource, &format!("{}:{rest}", schema.urn))
        })
    };
    let without_urn = || {
        let is_enterprise = |schema: &&&'static Schema| schema.urn == ENTERPRISE_SCHEMA.urn;
        let schema = resource.extensions.iter().find(is_enterprise)?;
        in_record(schema.record, Some(schema), name)
    };
    find(resource, name).or_else(with_dot).or_else(without_urn)
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn in_record(record: &'static Record, extension: Option<&'static Schema>, name: &str) -> Option<Named> {
    let (name, sub) = match name.split_once('.') {
        Some((name, sub)) => (name, Some(sub)),
        None => (name, None),
    };
    let member = member_of(record, name)?;
    let sub = match sub {
        Some(sub) => Some(member_of(record_of(member)?, sub)?),
        None => None,
    };
    Some(Named::Attribute(Attribute { extension, member, sub }))
}

/// A schema as `/Schemas` shows it (RFC 7643 section 7).
pub(super) fn describe(schema: &Schema, base: &str) -> Out {
    Out::object(vec![
        ("schemas", texts(&["urn:ietf:params:scim:schemas:core:2.0:Schema"])),
        ("id", Out::text(schema.urn)),
        ("name", Out::text(schema.record.name)),
        ("description", Out::text(schema.record.about)),
        (
            "attributes",
            Out::List("attributes", schema.record.members.iter().map(|m| attribute(m, None)).collect()),
        ),
        (
            "meta",
            Out::object(vec![
                ("resourceType", Out::text("Schema")),
                ("location", Out::Text(format!("{base}/Schemas/{}", schema.urn))),
            ]),
        ),
    ])
}

/// A list of texts.
pub(super) fn texts(texts: &[&str]) -> Out {
    Out::List("", texts.iter().map(|text| Out::text(*text)).collect())
}

fn attribute(member: &Member, parent: Option<&Member>) -> Out {
    let (kind, is_plural) = match member.kind {
        Kind::List(_, kind) => (*kind, true),
        kind => (kind, false),
    };
    let word = match kind {
        Kind::Text | Kind::Guid | Kind::Word(_) | Kind::Any => "string",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::Moment => "dateTime",
        Kind::Reference(_) => "reference",
        Kind::Binary => "binary",
        Kind::Object(_) | Kind::List(..) | Kind::OneOrMore(_) => "complex",
    };
    let mut out = vec![
        ("name", Out::text(member.name)),
        ("type", Out::text(word)),
        ("multiValued", Out::Bool(is_plural)),
        ("description", Out::text(member.about)),
        ("required", Out::Bool(member.required)),
    ];
    let traits = member.traits;
    if let Kind::Object(record) = kind {
        let subs = record.members.iter().map(|sub| attribute(sub, Some(member)));
        out.push(("subAttributes", Out::List("subAttributes", subs.collect())));
    } else {
        if !traits.words.is_empty() {
            out.push(("canonicalValues", texts(traits.words)));
        }
        if let Kind::Text | Kind::Guid | Kind::Reference(_) | Kind::Binary = kind {
            out.push(("caseExact", Out::Bool(traits.exact)));
        }
    }
    // What cannot be set as a whole cannot be set in part.
    let is_fixed_out = member.way == Way::Out || parent.is_some_and(|parent| parent.way == Way::Out);
    let mutability = match member.way {
        _ if is_fixed_out => "readOnly",
        Way::In => "writeOnly",
        _ if traits.fixed => "immutable",
        _ => "readWrite",
    };
    let returned = match member.way {
        Way::In => "never",
        _ if traits.always => "always",
        _ if traits.on_request => "request",
        _ => "default",
    };
    out.push(("mutability", Out::text(mutability)));
    out.push(("returned", Out::text(returned)));
    out.push(("uniqueness", Out::text(if traits.unique { "server" } else { "none" })));
    if let Kind::Reference(types) = kind {
        out.push(("referenceTypes", texts(types)));
    }
    Out::object(out)
}
