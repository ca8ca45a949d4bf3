//! PATCH (RFC 7644 section 3.5.2) as a pure function from tree and operations to the changed tree or an error,
//! so that a failed request changes nothing.
//!
//! Lenient where identity providers need it: `op` in any case, dotted names or URNs as keys of a value without
//! a path, booleans as strings, and setting part of a missing value creates the value.

use super::filter::Parser;
use super::multi_valued::{self, MAX_VALUES, has_value, is_primary, matches_value, set_values, values};
use super::object;
use super::schema::{Attribute, ResolvedName, find_property, object_schema_of};
use super::tree::{self, Normalizer, invalid_value};
use crate::kit::{Direction, Duplicates, Node, Object, ObjectSchema, Property, RequestError, ValueType};
use directory::{AttributeValue, CompareOp, Field, Filter, SubAttributes};
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchOp {
    Add,
    Replace,
    Remove,
}

#[derive(Clone, Debug)]
pub(super) struct PatchOperation {
    pub(super) op: PatchOp,
    pub(super) path: Option<String>,
    pub(super) value: Option<Node>,
}

pub(super) struct Target {
    pub(super) resolved: ResolvedName,
    pub(super) filter: Option<Filter>,
    pub(super) sub_attribute: Option<&'static Property>,
}

/// Each operation on a group is cheap: it adds or removes members.
const MAX_GROUP_OPERATIONS: usize = 10_000;
/// The result of each operation on a user is validated as a whole.
const MAX_USER_OPERATIONS: usize = 500;

fn bad_request(code: &'static str, text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, code, text)
}

pub(super) fn parse_operations(body: &Object, normalizer: &Normalizer) -> Result<Vec<PatchOperation>, RequestError> {
    let syntax = |text: &str| bad_request("invalidSyntax", text);
    let list = match body.get("Operations", Duplicates::LastWins) {
        Some(Node::List(nodes)) if !nodes.is_empty() => nodes.as_slice(),
        Some(one @ Node::Object(_)) if !normalizer.is_strict => std::slice::from_ref(one),
        _ => return Err(syntax("Operations must be a list with at least one operation")),
    };
    let is_user = std::ptr::eq(normalizer.resource_type, &raw const super::wire::USER_TYPE);
    let max_operations = if is_user { MAX_USER_OPERATIONS } else { MAX_GROUP_OPERATIONS };
    if list.len() > max_operations {
        return Err(bad_request("tooMany", format!("At most {max_operations} operations are allowed")));
    }
    let mut operations = Vec::with_capacity(list.len());
    for node in list {
        let object = node.as_object().ok_or_else(|| syntax("An operation must be an object"))?;
        let get = |name: &str| object.get(name, Duplicates::LastWins);
        let Some(Node::Text(op)) = get("op") else { return Err(syntax("An operation needs an op")) };
        let op = match op.to_ascii_lowercase().as_str() {
            "add" => PatchOp::Add,
            "replace" => PatchOp::Replace,
            "remove" => PatchOp::Remove,
            _ => return Err(syntax("op must be add, replace or remove")),
        };
        let path = match get("path") {
            None | Some(Node::Null) => None,
            Some(Node::Text(path)) if path.trim().is_empty() => None,
            Some(Node::Text(path)) => Some(path.clone()),
            Some(_) => return Err(bad_request("invalidPath", "path must be a string")),
        };
        let value = get("value").cloned();
        match (op, &path, &value) {
            (PatchOp::Remove, None, _) => return Err(bad_request("noTarget", "remove needs a path")),
            (PatchOp::Add | PatchOp::Replace, _, None) => {
                return Err(bad_request("invalidValue", "add and replace need a value"));
            }
            (_, None, _) if normalizer.is_strict => return Err(syntax("An operation needs a path")),
            _ => operations.push(PatchOperation { op, path, value }),
        }
    }
    Ok(operations)
}

/// `None` is an unknown attribute, which is counted when the operation is applied.
pub(super) fn parse_target(path: &str, normalizer: &Normalizer) -> Result<Option<Target>, RequestError> {
    match Parser::parse_path(path, normalizer.resource_type, normalizer.is_strict) {
        Ok((named, filter, sub)) => Ok(Some(Target { resolved: named, filter, sub_attribute: sub })),
        Err(wrong) if wrong.is_unknown_attribute && !normalizer.is_strict => Ok(None),
        Err(wrong) => Err(bad_request("invalidPath", wrong.message("path"))),
    }
}

/// `check` validates every intermediate result, so that a later operation cannot hide an invalid value. Entries
/// may get their sub-attributes one by one; those that end up without `value` are dropped and counted.
pub(super) fn apply(
    mut tree: Object,
    operations: &[PatchOperation],
    normalizer: &Normalizer,
    check: impl Fn(&Object) -> Result<(), RequestError>,
) -> Result<Object, RequestError> {
    for (n, operation) in (1..).zip(operations) {
        apply_operation(&mut tree, operation, normalizer)?;
        if n < operations.len() {
            let mut intermediate = tree.clone();
            if normalizer.is_strict {
                normalizer.reject_or_drop_empty_values(&mut intermediate)?;
            } else {
                tree::drop_empty_values(&mut intermediate, normalizer.resource_type);
            }
            check(&intermediate)?;
        }
    }
    normalizer.reject_or_drop_empty_values(&mut tree)?;
    Ok(tree)
}

pub(super) fn apply_operation(
    tree: &mut Object,
    operation: &PatchOperation,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    let Some(path) = &operation.path else {
        let value = operation.value.as_ref().and_then(Node::as_object);
        let value = value.ok_or_else(|| bad_request("invalidValue", "Without a path the value must be an object"))?;
        return apply_object(tree, operation.op, value, normalizer);
    };
    let Some(target) = parse_target(path, normalizer)? else { return normalizer.handle_unknown(path) };
    let attribute = match target.resolved {
        ResolvedName::Extension(schema) if operation.op == PatchOp::Remove => {
            object::set(tree, schema.urn, None);
            return Ok(());
        }
        ResolvedName::Extension(schema) => {
            let value = operation.value.as_ref().and_then(Node::as_object);
            let value = value.ok_or_else(|| invalid_value(schema.urn, "must be an object"))?;
            return merge_extension(tree, schema, operation.op, value, normalizer);
        }
        ResolvedName::Attribute(attribute) => attribute,
    };
    if attribute.property.name == "schemas" {
        return Ok(()); // derived from the attributes
    }
    if attribute.is_read_only()
        || target.sub_attribute.is_some_and(|sub_attribute| sub_attribute.direction == Direction::Response)
    {
        return Err(bad_request("mutability", format!("{path} is read-only")));
    }
    if operation.op == PatchOp::Remove {
        return apply_remove(tree, &attribute, &target, operation.value.as_ref(), normalizer);
    }
    let value = operation.value.as_ref().unwrap_or(&Node::Null);
    if let Some(filter) = &target.filter {
        return apply_to_matching(tree, operation.op, &attribute, (filter, target.sub_attribute), value, normalizer);
    }
    apply_to_attribute(tree, operation.op, &attribute, value, normalizer)
}

/// A value without a path (RFC 7644 section 3.5.2.1). Read-only members, such as `id`, are ignored.
fn apply_object(tree: &mut Object, op: PatchOp, value: &Object, normalizer: &Normalizer) -> Result<(), RequestError> {
    for (name, node) in &value.members {
        match normalizer.find(name) {
            Some(ResolvedName::Extension(schema)) => match node {
                Node::Null => object::set(tree, schema.urn, None),
                node => {
                    let value = node.as_object().ok_or_else(|| invalid_value(schema.urn, "must be an object"))?;
                    merge_extension(tree, schema, op, value, normalizer)?;
                }
            },
            Some(ResolvedName::Attribute(attribute))
                if attribute.is_read_only() || attribute.property.name == "schemas" => {}
            Some(ResolvedName::Attribute(attribute)) => {
                apply_to_attribute(tree, op, &attribute, node, normalizer)?;
            }
            // `emails[type eq "work"].value` as a key.
            None if name.contains('[') => {
                let operation = PatchOperation { op, path: Some(name.clone()), value: Some(node.clone()) };
                apply_operation(tree, &operation, normalizer)?;
            }
            None => normalizer.handle_unknown(name)?,
        }
    }
    Ok(())
}

fn merge_extension(
    tree: &mut Object,
    schema: &'static super::wire::Schema,
    op: PatchOp,
    value: &Object,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    for (name, node) in &value.members {
        match normalizer.find(&format!("{}:{name}", schema.urn)) {
            Some(ResolvedName::Attribute(attribute)) if attribute.is_read_only() => {}
            Some(ResolvedName::Attribute(attribute)) => {
                apply_to_attribute(tree, op, &attribute, node, normalizer)?;
            }
            _ => normalizer.handle_unknown(name)?,
        }
    }
    Ok(())
}

fn apply_to_attribute(
    tree: &mut Object,
    op: PatchOp,
    attribute: &Attribute,
    node: &Node,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    if let Some(value) = value_for_ref(attribute) {
        let id = match normalizer.value(attribute.leaf(), node)? {
            Some(Node::Text(url)) => Node::Text(tree::id_from_uri(&url).to_owned()),
            _ => Node::Null,
        };
        return apply_to_attribute(tree, op, &value, &id, normalizer);
    }
    let property = attribute.property;
    if let (ValueType::List(..), Some(sub_attribute)) = (property.value_type, attribute.sub) {
        // `emails.value`: of every existing value, or of a new one.
        let object_schema = object_schema_of(property);
        let parts = match object_schema {
            Some(object_schema) => normalizer.sub_attribute(object_schema, sub_attribute, node)?,
            None => vec![(sub_attribute.name, normalizer.value(sub_attribute, node)?)],
        };
        return tree::update_container(tree, attribute, |container| {
            let mut entries = values(container, property);
            if entries.is_empty() {
                entries.push(Object::default());
            }
            for entry in &mut entries {
                for (name, value) in &parts {
                    object::set(entry, name, value.clone());
                }
            }
            set_values(container, property, entries);
            Ok(())
        });
    }
    if let (ValueType::Object(object_schema), Node::Object(sent), None) = (property.value_type, node, attribute.sub) {
        return set_sub_attributes(tree, attribute, object_schema, sent, normalizer);
    }
    let value = normalizer.value(attribute.leaf(), node)?;
    if value.is_none() && attribute.leaf().required && attribute.sub.is_none() {
        return Err(invalid_value(property.name, "is required"));
    }
    if let Some(Node::List(new)) = &value
        && new.len() > MAX_VALUES
    {
        return Err(invalid_value(property.name, "has too many values"));
    }
    match (property.value_type, value) {
        (ValueType::List(..), Some(Node::List(new))) if op == PatchOp::Add => {
            tree::update_container(tree, attribute, |container| multi_valued::add(container, property, new));
        }
        (ValueType::List(..), None) if op == PatchOp::Add => {}
        (_, value) => tree::set_attribute(tree, attribute, value),
    }
    Ok(())
}

/// `manager.$ref` stands for `manager.value`, which the tree stores.
fn value_for_ref(attribute: &Attribute) -> Option<Attribute> {
    let object_schema = attribute
        .object_schema()
        .filter(|_| attribute.sub.is_some_and(|sub_attribute| sub_attribute.name == "$ref"))?;
    Some(Attribute { sub: Some(find_property(object_schema, "value")?), ..*attribute })
}

fn set_sub_attributes(
    tree: &mut Object,
    attribute: &Attribute,
    object_schema: &'static ObjectSchema,
    sent: &Object,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    let parts = sub_attribute_values(object_schema, sent, normalizer)?;
    tree::update_container(tree, attribute, |container| {
        object::update(container, attribute.property.name, |object| {
            for (name, part) in parts {
                object::set(object, name, part);
            }
        });
    });
    Ok(())
}

/// `None` clears a sub-attribute that was sent as null or empty.
fn sub_attribute_values(
    object_schema: &'static ObjectSchema,
    sent: &Object,
    normalizer: &Normalizer,
) -> Result<Vec<(&'static str, Option<Node>)>, RequestError> {
    let normalized = normalizer.object(object_schema, sent)?.members;
    let is_set = |name: &str| normalized.iter().any(|(other, _)| other == name);
    let names = object_schema
        .properties
        .iter()
        .filter(|property| property.direction != Direction::Response)
        .map(|property| property.name);
    let unset: Vec<&str> =
        names.filter(|name| sent.get(name, Duplicates::LastWins).is_some() && !is_set(name)).collect();
    let set = normalized
        .into_iter()
        .filter_map(|(name, value)| find_property(object_schema, &name).map(|part| (part.name, Some(value))));
    Ok(set.chain(unset.into_iter().map(|name| (name, None))).collect())
}

fn apply_to_matching(
    tree: &mut Object,
    op: PatchOp,
    attribute: &Attribute,
    (filter, sub): (&Filter, Option<&'static Property>),
    node: &Node,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    let property = attribute.property;
    let object_schema = attribute.object_schema().ok_or_else(|| bad_request("invalidPath", "path is not complex"))?;
    // Replacing complete values needs a match (RFC 7644 section 3.5.2.3).
    let needs_target = op == PatchOp::Replace && sub.is_none();
    // A bare value sets only `value`, and the type stays.
    let sub_attribute =
        sub.or_else(|| find_property(object_schema, "value").filter(|_| normalizer.is_bare_value(node)));
    let parts = match sub_attribute {
        Some(sub_attribute) => normalizer.sub_attribute(object_schema, sub_attribute, node)?,
        None => {
            sub_attribute_values(object_schema, &normalizer.value_object(property, object_schema, node)?, normalizer)?
        }
    };
    tree::update_container(tree, attribute, |container| {
        let mut all = values(container, property);
        let mut matching: Vec<usize> =
            (0..all.len()).filter(|n| filter.matches(&sub_attributes_of(object_schema, &all[*n]))).collect();
        let replaces = op == PatchOp::Replace && sub_attribute.is_none();
        if matching.is_empty() {
            let new_entry = value_from_filter(object_schema, filter).filter(|_| !needs_target);
            all.push(new_entry.ok_or_else(|| bad_request("noTarget", "No value matches the filter"))?);
            matching.push(all.len() - 1);
        }
        let mut sets_primary = false;
        for index in &matching {
            let entry = &mut all[*index];
            let was_primary = is_primary(entry) && has_value(object_schema, entry);
            if replaces {
                *entry = Object::default();
            }
            for (name, value) in &parts {
                object::set(entry, name, value.clone());
            }
            // An entry becomes primary once it has a value.
            sets_primary |= !was_primary && is_primary(entry) && has_value(object_schema, entry);
        }
        for (n, entry) in all.iter_mut().enumerate() {
            if sets_primary && !matching.contains(&n) {
                object::set(entry, "primary", None);
            }
        }
        // An entry without its value is removed.
        let lost_value =
            sub_attribute.is_some_and(|part| part.name == "value") && parts.iter().all(|(_, value)| value.is_none());
        for index in matching.into_iter().rev().filter(|_| lost_value) {
            all.remove(index);
        }
        set_values(container, property, all);
        Ok(())
    })
}

pub(super) fn sub_attributes_of(object_schema: &'static ObjectSchema, entry: &Object) -> SubAttributes<'static> {
    let part = |(name, node): &(String, Node)| {
        let field = find_property(object_schema, name)?.field?;
        let value = match node {
            Node::Text(text) => AttributeValue::text(text.clone()),
            Node::Bool(value) => AttributeValue::Bool(*value),
            Node::Number(number) => AttributeValue::Integer(number.parse().ok()?),
            _ => return None,
        };
        Some((field, value))
    };
    entry.members.iter().filter_map(part).collect()
}

fn value_from_filter(object_schema: &'static ObjectSchema, filter: &Filter) -> Option<Object> {
    let mut new_entry = Object::default();
    let tests = match filter {
        Filter::All(filters) => filters.as_slice(),
        one => std::slice::from_ref(one),
    };
    for filter in tests {
        let Filter::Comparison(test) = filter else { return None };
        if test.op != CompareOp::Equal {
            return None;
        }
        let property = object_schema.properties.iter().find(|property| property.field == Some(test.field))?;
        let node = match &test.value {
            // Empty means unset, so the entry would not match.
            AttributeValue::Text(text) if text.is_empty() => return None,
            AttributeValue::Text(text) => Node::Text(text.to_string()),
            AttributeValue::Bool(value) => Node::Bool(*value),
            AttributeValue::Integer(number) => Node::Number(number.to_string()),
            AttributeValue::Time(_) => return None,
        };
        object::set(&mut new_entry, property.name, Some(node));
    }
    Some(new_entry)
}

fn apply_remove(
    tree: &mut Object,
    attribute: &Attribute,
    target: &Target,
    value: Option<&Node>,
    normalizer: &Normalizer,
) -> Result<(), RequestError> {
    let attribute = &value_for_ref(attribute).unwrap_or(*attribute);
    let property = attribute.property;
    if attribute.leaf().required && attribute.sub.is_none() && target.filter.is_none() {
        return Err(bad_request("mutability", format!("{} is required", property.name)));
    }
    let ValueType::List(..) = property.value_type else {
        tree::set_attribute(tree, attribute, None);
        return Ok(());
    };
    let object_schema = attribute.object_schema();
    let sub_attribute = target.sub_attribute.or(attribute.sub);
    // Removes the listed entries, else those that match the filter, else all.
    let listed = match value {
        Some(node) if *node != Node::Null && target.filter.is_none() && sub_attribute.is_none() => {
            Some(normalizer.value(property, node)?)
        }
        _ => None,
    };
    if let Some(Some(Node::List(nodes))) = &listed
        && nodes.len() > MAX_VALUES
        && property.field != Some(Field::Members)
    {
        return Err(invalid_value(property.name, "has too many values"));
    }
    tree::update_container(tree, attribute, |container| {
        let mut all = values(container, property);
        let is_listed = |entry: &Object| match &listed {
            Some(Some(Node::List(nodes))) => {
                let covers = |sent: &Object| {
                    object_schema.is_some_and(|object_schema| matches_value(object_schema, sent, entry))
                };
                nodes.iter().filter_map(Node::as_object).any(covers)
            }
            Some(_) => false,
            None => true,
        };
        let meets = |entry: &Object| match (&target.filter, object_schema) {
            (Some(filter), Some(object_schema)) => filter.matches(&sub_attributes_of(object_schema, entry)),
            _ => true,
        };
        match sub_attribute {
            Some(sub_attribute) if sub_attribute.name != "value" => {
                let matching = all.iter_mut().filter(|entry| meets(entry));
                matching.for_each(|entry| object::set(entry, sub_attribute.name, None));
            }
            _ => all.retain(|entry| !(meets(entry) && is_listed(entry))),
        }
        set_values(container, property, all);
    });
    Ok(())
}
