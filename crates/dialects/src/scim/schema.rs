//! Finding attributes in the tables by the names that clients use, and publishing the tables as `/Schemas`.

use super::wire::{COMMON, ENTERPRISE_SCHEMA, Resource, Schema};
use crate::kit::{Direction, ObjectSchema, OutputValue, Property, ValueType};

/// An attribute that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    /// The extension it belongs to; `None` for the core schema and what all resources have.
    pub(super) extension: Option<&'static Schema>,
    pub(super) member: &'static Property,
    /// A part of it, where one was named.
    pub(super) sub: Option<&'static Property>,
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
    pub(super) fn record(&self) -> Option<&'static ObjectSchema> {
        record_of(self.member)
    }

    pub(super) fn is_plural(&self) -> bool {
        matches!(self.member.value_type, ValueType::List(..))
    }

    /// Whether clients may not set it.
    pub(super) fn is_read_only(&self) -> bool {
        self.member.direction == Direction::Response
            || self.sub.is_some_and(|sub| sub.direction == Direction::Response)
    }

    /// The last name of its path.
    pub(super) fn last(&self) -> &'static Property {
        self.sub.unwrap_or(self.member)
    }
}

/// The record of a complex attribute, or of the entries of a plural one.
pub(super) fn record_of(member: &Property) -> Option<&'static ObjectSchema> {
    match member.value_type {
        ValueType::Object(record) => Some(record),
        ValueType::List(_, ValueType::Object(record)) => Some(*record),
        _ => None,
    }
}

/// The member of a record by its name in any case.
pub(super) fn member_of(record: &'static ObjectSchema, name: &str) -> Option<&'static Property> {
    record.properties.iter().find(|member| member.name.eq_ignore_ascii_case(name))
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

fn in_record(record: &'static ObjectSchema, extension: Option<&'static Schema>, name: &str) -> Option<Named> {
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
pub(super) fn describe(schema: &Schema, base: &str) -> OutputValue {
    OutputValue::object(vec![
        ("schemas", texts(&["urn:ietf:params:scim:schemas:core:2.0:Schema"])),
        ("id", OutputValue::text(schema.urn)),
        ("name", OutputValue::text(schema.record.name)),
        ("description", OutputValue::text(schema.record.description)),
        (
            "attributes",
            OutputValue::List(
                "attributes",
                schema.record.properties.iter().map(|m| attribute(m, None)).collect(),
            ),
        ),
        (
            "meta",
            OutputValue::object(vec![
                ("resourceType", OutputValue::text("Schema")),
                ("location", OutputValue::Text(format!("{base}/Schemas/{}", schema.urn))),
            ]),
        ),
    ])
}

/// A list of texts.
pub(super) fn texts(texts: &[&str]) -> OutputValue {
    OutputValue::List("", texts.iter().map(|text| OutputValue::text(*text)).collect())
}

fn attribute(member: &Property, parent: Option<&Property>) -> OutputValue {
    let (kind, is_plural) = match member.value_type {
        ValueType::List(_, kind) => (*kind, true),
        kind => (kind, false),
    };
    let word = match kind {
        ValueType::Text | ValueType::Guid | ValueType::Enum(_) | ValueType::Any => "string",
        ValueType::Integer => "integer",
        ValueType::Boolean => "boolean",
        ValueType::Timestamp => "dateTime",
        ValueType::Reference(_) => "reference",
        ValueType::Binary => "binary",
        ValueType::Object(_) | ValueType::List(..) | ValueType::OneOrMore(_) => "complex",
    };
    let mut out = vec![
        ("name", OutputValue::text(member.name)),
        ("type", OutputValue::text(word)),
        ("multiValued", OutputValue::Bool(is_plural)),
        ("description", OutputValue::text(member.description)),
        ("required", OutputValue::Bool(member.required)),
    ];
    let traits = member.characteristics;
    if let ValueType::Object(record) = kind {
        let subs = record.properties.iter().map(|sub| attribute(sub, Some(member)));
        out.push(("subAttributes", OutputValue::List("subAttributes", subs.collect())));
    } else {
        if !traits.canonical_values.is_empty() {
            out.push(("canonicalValues", texts(traits.canonical_values)));
        }
        if let ValueType::Text | ValueType::Guid | ValueType::Reference(_) | ValueType::Binary = kind {
            out.push(("caseExact", OutputValue::Bool(traits.case_exact)));
        }
    }
    // What cannot be set as a whole cannot be set in part.
    let is_fixed_out = member.direction == Direction::Response
        || parent.is_some_and(|parent| parent.direction == Direction::Response);
    let mutability = match member.direction {
        _ if is_fixed_out => "readOnly",
        Direction::Request => "writeOnly",
        _ if traits.immutable => "immutable",
        _ => "readWrite",
    };
    let returned = match member.direction {
        Direction::Request => "never",
        _ if traits.always_returned => "always",
        _ if traits.returned_on_request => "request",
        _ => "default",
    };
    out.push(("mutability", OutputValue::text(mutability)));
    out.push(("returned", OutputValue::text(returned)));
    out.push(("uniqueness", OutputValue::text(if traits.unique { "server" } else { "none" })));
    if let ValueType::Reference(types) = kind {
        out.push(("referenceTypes", texts(types)));
    }
    OutputValue::object(out)
}
