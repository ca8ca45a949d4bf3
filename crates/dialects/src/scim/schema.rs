//! Resolves attribute names to rows of the tables, and writes the tables as `/Schemas`.

use super::wire::{COMMON_ATTRIBUTES, ENTERPRISE_SCHEMA, ResourceType, Schema};
use crate::kit::{Direction, ObjectSchema, OutputValue, Property, ValueType};

#[derive(Clone, Copy, Debug)]
pub(super) struct Attribute {
    /// `None` for core and common attributes.
    pub(super) extension: Option<&'static Schema>,
    pub(super) property: &'static Property,
    pub(super) sub: Option<&'static Property>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum ResolvedName {
    Attribute(Attribute),
    Extension(&'static Schema),
}

impl Attribute {
    pub(super) fn object_schema(&self) -> Option<&'static ObjectSchema> {
        object_schema_of(self.property)
    }

    pub(super) fn is_multi_valued(&self) -> bool {
        matches!(self.property.value_type, ValueType::List(..))
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.property.direction == Direction::Response
            || self.sub.is_some_and(|sub| sub.direction == Direction::Response)
    }

    pub(super) fn leaf(&self) -> &'static Property {
        self.sub.unwrap_or(self.property)
    }
}

pub(super) fn object_schema_of(property: &Property) -> Option<&'static ObjectSchema> {
    match property.value_type {
        ValueType::Object(object_schema) => Some(object_schema),
        ValueType::List(_, ValueType::Object(object_schema)) => Some(*object_schema),
        _ => None,
    }
}

pub(super) fn find_property(object_schema: &'static ObjectSchema, name: &str) -> Option<&'static Property> {
    object_schema.properties.iter().find(|property| property.name.eq_ignore_ascii_case(name))
}

/// Resolves a dotted name, with or without URN, case-insensitively (RFC 7644 section 3.10).
pub(super) fn find(resource_type: &'static ResourceType, name: &str) -> Option<ResolvedName> {
    for schema in std::iter::once(&resource_type.schema).chain(resource_type.extensions) {
        let Some(rest) = strip_prefix_ignore_case(name, schema.urn) else { continue };
        let extension = (schema.urn != resource_type.schema.urn).then_some(*schema);
        if rest.is_empty() {
            return extension.map(ResolvedName::Extension);
        }
        let Some(rest) = rest.strip_prefix(':') else { continue };
        return find_in_schema(schema.object_schema, extension, rest)
            .or_else(|| extension.is_none().then(|| find_in_schema(&COMMON_ATTRIBUTES, None, rest))?);
    }
    find_in_schema(resource_type.schema.object_schema, None, name)
        .or_else(|| find_in_schema(&COMMON_ATTRIBUTES, None, name))
}

/// Also accepts a dot after the URN, and enterprise attributes without their URN.
pub(super) fn find_lenient(resource_type: &'static ResourceType, name: &str) -> Option<ResolvedName> {
    let with_dot = || {
        let schemas = std::iter::once(&resource_type.schema).chain(resource_type.extensions);
        schemas.into_iter().find_map(|schema| {
            let rest = strip_prefix_ignore_case(name, schema.urn)?.strip_prefix('.')?;
            find(resource_type, &format!("{}:{rest}", schema.urn))
        })
    };
    let without_urn = || {
        let is_enterprise = |schema: &&&'static Schema| schema.urn == ENTERPRISE_SCHEMA.urn;
        let schema = resource_type.extensions.iter().find(is_enterprise)?;
        find_in_schema(schema.object_schema, Some(schema), name)
    };
    find(resource_type, name).or_else(with_dot).or_else(without_urn)
}

fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn find_in_schema(
    object_schema: &'static ObjectSchema,
    extension: Option<&'static Schema>,
    name: &str,
) -> Option<ResolvedName> {
    let (name, sub) = match name.split_once('.') {
        Some((name, sub)) => (name, Some(sub)),
        None => (name, None),
    };
    let property = find_property(object_schema, name)?;
    let sub = match sub {
        Some(sub) => Some(find_property(object_schema_of(property)?, sub)?),
        None => None,
    };
    Some(ResolvedName::Attribute(Attribute { extension, property, sub }))
}

/// RFC 7643 section 7.
pub(super) fn describe(schema: &Schema, base: &str) -> OutputValue {
    OutputValue::object(vec![
        ("schemas", text_list(&["urn:ietf:params:scim:schemas:core:2.0:Schema"])),
        ("id", OutputValue::text(schema.urn)),
        ("name", OutputValue::text(schema.object_schema.name)),
        ("description", OutputValue::text(schema.object_schema.description)),
        (
            "attributes",
            OutputValue::List(
                "attributes",
                schema.object_schema.properties.iter().map(|m| describe_attribute(m, None)).collect(),
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

pub(super) fn text_list(texts: &[&str]) -> OutputValue {
    OutputValue::List("", texts.iter().map(|text| OutputValue::text(*text)).collect())
}

fn describe_attribute(property: &Property, parent: Option<&Property>) -> OutputValue {
    let (kind, is_multi_valued) = match property.value_type {
        ValueType::List(_, kind) => (*kind, true),
        kind => (kind, false),
    };
    let type_name = match kind {
        ValueType::Text | ValueType::Guid | ValueType::Enum(_) | ValueType::Any => "string",
        ValueType::Integer => "integer",
        ValueType::Boolean => "boolean",
        ValueType::Timestamp => "dateTime",
        ValueType::Reference(_) => "reference",
        ValueType::Binary => "binary",
        ValueType::Object(_) | ValueType::List(..) | ValueType::OneOrMore(_) => "complex",
    };
    let mut out = vec![
        ("name", OutputValue::text(property.name)),
        ("type", OutputValue::text(type_name)),
        ("multiValued", OutputValue::Bool(is_multi_valued)),
        ("description", OutputValue::text(property.description)),
        ("required", OutputValue::Bool(property.required)),
    ];
    let traits = property.characteristics;
    if let ValueType::Object(object_schema) = kind {
        let sub_attributes = object_schema.properties.iter().map(|sub| describe_attribute(sub, Some(property)));
        out.push(("subAttributes", OutputValue::List("subAttributes", sub_attributes.collect())));
    } else {
        if !traits.canonical_values.is_empty() {
            out.push(("canonicalValues", text_list(traits.canonical_values)));
        }
        if let ValueType::Text | ValueType::Guid | ValueType::Reference(_) | ValueType::Binary = kind {
            out.push(("caseExact", OutputValue::Bool(traits.case_exact)));
        }
    }
    // Sub-attributes of a read-only attribute are read-only.
    let is_read_only = property.direction == Direction::Response
        || parent.is_some_and(|parent| parent.direction == Direction::Response);
    let mutability = match property.direction {
        _ if is_read_only => "readOnly",
        Direction::Request => "writeOnly",
        _ if traits.immutable => "immutable",
        _ => "readWrite",
    };
    let returned = match property.direction {
        Direction::Request => "never",
        _ if traits.always_returned => "always",
        _ if traits.returned_on_request => "request",
        _ => "default",
    };
    out.push(("mutability", OutputValue::text(mutability)));
    out.push(("returned", OutputValue::text(returned)));
    out.push(("uniqueness", OutputValue::text(if traits.unique { "server" } else { "none" })));
    if let ValueType::Reference(types) = kind {
        out.push(("referenceTypes", text_list(types)));
    }
    OutputValue::object(out)
}
