//! Values of multi-valued attributes (RFC 7643 section 2.4): which two are the same, and which are none.

use super::members;
use super::schema::{member_of, record_of};
use crate::kit::{Node, Object, ObjectSchema, Property, ValueType};
use directory::fold;

/// How many values of one attribute may be sent at a time: the core takes no more of any. More are not compared.
pub(super) const MAX_VALUES: usize = 100;

/// The values of an attribute in a tree.
pub(super) fn entries(home: &Object, member: &Property) -> Vec<Object> {
    match members::get(home, member.name) {
        Some(Node::List(nodes)) => nodes.iter().filter_map(Node::as_object).cloned().collect(),
        _ => Vec::new(),
    }
}

/// Puts values in the place of those that are there.
pub(super) fn put_entries(home: &mut Object, member: &Property, entries: Vec<Object>) {
    let nodes: Vec<Node> =
        entries.into_iter().filter(|e| !e.members.is_empty()).map(in_order(member)).collect();
    members::put(home, member.name, (!nodes.is_empty()).then_some(Node::List(nodes)));
}

/// A value with its parts in the order of the table, so that equal ones look alike.
fn in_order(member: &Property) -> impl Fn(Object) -> Node {
    let record = record_of(member);
    move |mut entry| {
        let place =
            |name: &str| record.and_then(|r| r.properties.iter().position(|member| member.name == name));
        entry.members.sort_by_key(|(name, _)| place(name));
        Node::Object(entry)
    }
}

/// Whether two texts of an attribute are equal: in any case, unless it is `caseExact`.
fn is_equal(member: &Property, one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Text(one), Node::Text(other)) if !member.characteristics.case_exact => {
            fold(one) == fold(other)
        }
        _ => one == other,
    }
}

/// What makes two values the same, folded once: each is compared with many.
enum Identity {
    /// A value and its type.
    Value(Node, Option<Node>),
    /// All that is said of an entry without a value, in order.
    Parts(Vec<(String, Node)>),
    /// Nothing is said, so that it is like no other.
    None,
}

impl Identity {
    fn of(record: Option<&'static ObjectSchema>, node: &Node) -> Self {
        let (Some(record), Node::Object(entry)) = (record, node) else {
            return Self::Value(node.clone(), None);
        };
        if !has_value(record, entry) {
            return Self::None;
        }
        let folded = |name: &str| {
            let is_exact = member_of(record, name).is_some_and(|member| member.characteristics.case_exact);
            members::get(entry, name).map(|node| match node {
                Node::Text(text) if !is_exact => Node::Text(fold(text)),
                node => node.clone(),
            })
        };
        if let Some(value) = folded("value") {
            return Self::Value(value, folded("type"));
        }
        let names = entry.members.iter().map(|(name, _)| name).filter(|name| *name != "primary");
        let mut parts: Vec<(String, Node)> =
            names.filter_map(|name| Some((name.clone(), folded(name)?))).collect();
        parts.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self::Parts(parts)
    }

    /// Whether a value that was sent is one that is there; without a type it is of any.
    fn is(&self, known: &Self) -> bool {
        match (self, known) {
            (Self::Value(sent, kind), Self::Value(known, of)) => {
                sent == known && (kind.is_none() || kind == of)
            }
            (Self::Parts(sent), Self::Parts(known)) => sent == known,
            _ => false,
        }
    }
}

/// Whether a value that was sent names one that is there: by its value, or by all that it says.
pub(super) fn covers(record: &'static ObjectSchema, sent: &Object, entry: &Object) -> bool {
    let is_equal_part = |name: &str, part: &Node| {
        let other = members::get(entry, name);
        member_of(record, name)
            .zip(other)
            .map_or(other == Some(part), |(member, other)| is_equal(member, part, other))
    };
    match members::get(sent, "value") {
        Some(value) => is_equal_part("value", value),
        None => sent.members.iter().all(|(name, node)| is_equal_part(name, node)),
    }
}

/// Values of an attribute among which each is there once.
struct Values {
    record: Option<&'static ObjectSchema>,
    nodes: Vec<Node>,
    identities: Vec<Identity>,
}

impl Values {
    fn new(member: &Property, nodes: Vec<Node>) -> Self {
        let record = record_of(member);
        let identities = nodes.iter().map(|node| Identity::of(record, node)).collect();
        Self { record, nodes, identities }
    }

    /// Adds a value unless it is there (RFC 7644 section 3.5.2.1); the parts that were sent of one that is there are set.
    /// Returns its place.
    fn add(&mut self, node: Node) -> usize {
        let identity = Identity::of(self.record, &node);
        let compared = if self.nodes.len() > MAX_VALUES { &[] } else { self.identities.as_slice() };
        let Some(place) = compared.iter().position(|known| identity.is(known)) else {
            self.nodes.push(node);
            self.identities.push(identity);
            return self.nodes.len() - 1;
        };
        let has_value = matches!(identity, Identity::Value(..));
        if let (Some(Node::Object(known)), Node::Object(sent)) = (self.nodes.get_mut(place), node) {
            for (name, part) in sent.members {
                if has_value && name != "value" && name != "type" || name == "primary" {
                    members::put(known, &name, Some(part));
                }
            }
        }
        place
    }
}

/// Adds values to an attribute. A new preference takes over, unless it is of nothing.
pub(super) fn add(home: &mut Object, member: &Property, new: Vec<Node>) {
    let known = match members::take(home, member.name) {
        Some(Node::List(nodes)) => nodes,
        _ => Vec::new(),
    };
    let mut all = Values::new(member, known);
    for node in new {
        let is_preferred =
            |entry: &Object| is_primary(entry) && all.record.is_none_or(|record| has_value(record, entry));
        let takes_over = node.as_object().is_some_and(is_preferred);
        let place = all.add(node);
        if takes_over {
            let others = all.nodes.iter_mut().enumerate().filter(|(n, _)| *n != place);
            for entry in
                others.filter_map(|(_, node)| if let Node::Object(entry) = node { Some(entry) } else { None })
            {
                members::put(entry, "primary", None);
            }
        }
    }
    let all: Vec<Object> = all.nodes.into_iter().filter_map(|node| node.as_object().cloned()).collect();
    put_entries(home, member, all);
}

/// The values of one body, the same ones as one.
pub(super) fn merged(member: &Property, sent: Vec<Node>) -> Vec<Node> {
    if sent.len() < 2 {
        return sent;
    }
    let mut all = Values::new(member, Vec::new());
    for node in sent {
        all.add(node);
    }
    all.nodes
}

pub(super) fn is_primary(entry: &Object) -> bool {
    members::get(entry, "primary") == Some(&Node::Bool(true))
}

/// Whether an entry has a value, and not only a type and a preference.
pub(super) fn has_value(record: &'static ObjectSchema, entry: &Object) -> bool {
    match member_of(record, "value") {
        Some(_) => members::get(entry, "value").is_some(),
        None => entry.members.iter().any(|(name, _)| name != "type" && name != "primary"),
    }
}

/// Takes out entries without a value, and returns the attributes that had them, one name for each entry.
pub(super) fn drop_without_value(home: &mut Object, record: &'static ObjectSchema) -> Vec<&'static str> {
    let mut dropped = Vec::new();
    for member in record.properties {
        let ValueType::List(_, ValueType::Object(of)) = member.value_type else { continue };
        let all = entries(home, member);
        let many = all.len();
        let kept: Vec<Object> = all.into_iter().filter(|entry| has_value(of, entry)).collect();
        if kept.len() < many {
            dropped.extend(std::iter::repeat_n(member.name, many - kept.len()));
            put_entries(home, member, kept);
        }
    }
    dropped
}
