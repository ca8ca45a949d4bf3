//! Entries of multi-valued attributes (RFC 7643 section 2.4): which are equal, and which are empty.

use super::object;
use super::schema::{find_property, object_schema_of};
use crate::kit::{Node, Object, ObjectSchema, Property, ValueType};
use directory::fold;

/// Per attribute and request; the core accepts no more. More are not compared.
pub(super) const MAX_VALUES: usize = 100;

pub(super) fn values(container: &Object, property: &Property) -> Vec<Object> {
    match object::get(container, property.name) {
        Some(Node::List(nodes)) => nodes.iter().filter_map(Node::as_object).cloned().collect(),
        _ => Vec::new(),
    }
}

pub(super) fn set_values(container: &mut Object, property: &Property, entries: Vec<Object>) {
    let nodes: Vec<Node> = entries.into_iter().filter(|e| !e.members.is_empty()).map(sort_members(property)).collect();
    object::set(container, property.name, (!nodes.is_empty()).then_some(Node::List(nodes)));
}

/// In the order of the table, so that equal entries compare equal.
fn sort_members(property: &Property) -> impl Fn(Object) -> Node {
    let object_schema = object_schema_of(property);
    move |mut entry| {
        let index =
            |name: &str| object_schema.and_then(|r| r.properties.iter().position(|property| property.name == name));
        entry.members.sort_by_key(|(name, _)| index(name));
        Node::Object(entry)
    }
}

/// Case-insensitive unless `caseExact`.
fn is_equal(property: &Property, one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Text(one), Node::Text(other)) if !property.characteristics.case_exact => fold(one) == fold(other),
        _ => one == other,
    }
}

/// Folded once, since each entry is compared with many.
enum ComparisonKey {
    Value(Node, Option<Node>),
    /// Of an entry without `value`, sorted by name.
    SubAttributes(Vec<(String, Node)>),
    /// Equal to no other.
    Empty,
}

impl ComparisonKey {
    fn new(object_schema: Option<&'static ObjectSchema>, node: &Node) -> Self {
        let (Some(object_schema), Node::Object(entry)) = (object_schema, node) else {
            return Self::Value(node.clone(), None);
        };
        if !has_value(object_schema, entry) {
            return Self::Empty;
        }
        let folded = |name: &str| {
            let is_exact =
                find_property(object_schema, name).is_some_and(|property| property.characteristics.case_exact);
            object::get(entry, name).map(|node| match node {
                Node::Text(text) if !is_exact => Node::Text(fold(text)),
                node => node.clone(),
            })
        };
        if let Some(value) = folded("value") {
            return Self::Value(value, folded("type"));
        }
        let names = entry.members.iter().map(|(name, _)| name).filter(|name| *name != "primary");
        let mut parts: Vec<(String, Node)> = names.filter_map(|name| Some((name.clone(), folded(name)?))).collect();
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::SubAttributes(parts)
    }

    /// An entry without a type matches any type.
    fn matches(&self, known: &Self) -> bool {
        match (self, known) {
            (Self::Value(sent, kind), Self::Value(known, of)) => sent == known && (kind.is_none() || kind == of),
            (Self::SubAttributes(sent), Self::SubAttributes(known)) => sent == known,
            _ => false,
        }
    }
}

/// Compares `value`, or all sub-attributes if there is none.
pub(super) fn matches_value(object_schema: &'static ObjectSchema, sent: &Object, entry: &Object) -> bool {
    let is_equal_part = |name: &str, part: &Node| {
        let other = object::get(entry, name);
        find_property(object_schema, name)
            .zip(other)
            .map_or(other == Some(part), |(member, other)| is_equal(member, part, other))
    };
    match object::get(sent, "value") {
        Some(value) => is_equal_part("value", value),
        None => sent.members.iter().all(|(name, node)| is_equal_part(name, node)),
    }
}

struct DistinctValues {
    object_schema: Option<&'static ObjectSchema>,
    nodes: Vec<Node>,
    keys: Vec<ComparisonKey>,
}

impl DistinctValues {
    fn new(property: &Property, nodes: Vec<Node>) -> Self {
        let object_schema = object_schema_of(property);
        let identities = nodes.iter().map(|node| ComparisonKey::new(object_schema, node)).collect();
        Self { object_schema, nodes, keys: identities }
    }

    /// Adds an entry, or sets the sub-attributes of an equal one (RFC 7644 section 3.5.2.1). Returns its index.
    fn add(&mut self, node: Node) -> usize {
        let identity = ComparisonKey::new(self.object_schema, &node);
        let compared = if self.nodes.len() > MAX_VALUES { &[] } else { self.keys.as_slice() };
        let Some(index) = compared.iter().position(|known| identity.matches(known)) else {
            self.nodes.push(node);
            self.keys.push(identity);
            return self.nodes.len() - 1;
        };
        let has_value = matches!(identity, ComparisonKey::Value(..));
        if let (Some(Node::Object(known)), Node::Object(sent)) = (self.nodes.get_mut(index), node) {
            for (name, part) in sent.members {
                if has_value && name != "value" && name != "type" || name == "primary" {
                    object::set(known, &name, Some(part));
                }
            }
        }
        index
    }
}

/// A new primary entry replaces the old one, unless it is empty.
pub(super) fn add(container: &mut Object, property: &Property, new: Vec<Node>) {
    let known = match object::remove(container, property.name) {
        Some(Node::List(nodes)) => nodes,
        _ => Vec::new(),
    };
    let mut all = DistinctValues::new(property, known);
    for node in new {
        let is_valid_primary = |entry: &Object| {
            is_primary(entry) && all.object_schema.is_none_or(|object_schema| has_value(object_schema, entry))
        };
        let becomes_primary = node.as_object().is_some_and(is_valid_primary);
        let index = all.add(node);
        if becomes_primary {
            let others = all.nodes.iter_mut().enumerate().filter(|(n, _)| *n != index);
            for entry in others.filter_map(|(_, node)| if let Node::Object(entry) = node { Some(entry) } else { None })
            {
                object::set(entry, "primary", None);
            }
        }
    }
    let all: Vec<Object> = all.nodes.into_iter().filter_map(|node| node.as_object().cloned()).collect();
    set_values(container, property, all);
}

pub(super) fn deduplicate(property: &Property, sent: Vec<Node>) -> Vec<Node> {
    if sent.len() < 2 {
        return sent;
    }
    let mut all = DistinctValues::new(property, Vec::new());
    for node in sent {
        all.add(node);
    }
    all.nodes
}

pub(super) fn is_primary(entry: &Object) -> bool {
    object::get(entry, "primary") == Some(&Node::Bool(true))
}

/// Whether an entry has more than a type and `primary`.
pub(super) fn has_value(object_schema: &'static ObjectSchema, entry: &Object) -> bool {
    match find_property(object_schema, "value") {
        Some(_) => object::get(entry, "value").is_some(),
        None => entry.members.iter().any(|(name, _)| name != "type" && name != "primary"),
    }
}

pub(super) fn drop_empty_values(container: &mut Object, object_schema: &'static ObjectSchema) -> Vec<&'static str> {
    let mut dropped = Vec::new();
    for property in object_schema.properties {
        let ValueType::List(_, ValueType::Object(of)) = property.value_type else { continue };
        let all = values(container, property);
        let count = all.len();
        let retained: Vec<Object> = all.into_iter().filter(|entry| has_value(of, entry)).collect();
        if retained.len() < count {
            dropped.extend(std::iter::repeat_n(property.name, count - retained.len()));
            set_values(container, property, retained);
        }
    }
    dropped
}
