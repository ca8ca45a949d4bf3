//! Values of multi-valued attributes (RFC 7643 section 2.4): which two are the same, and which are none.

use super::schema::{member_of, record_of};
use super::tree;
use crate::kit::{Kind, Member, Node, Object, Record};
use directory::fold;

/// Values among which the same are looked for; more are rejected later.
const MOST_COMPARED: usize = 1_000;

/// The values of an attribute in a tree.
pub(super) fn entries(home: &Object, member: &Member) -> Vec<Object> {
    match tree::get(home, member.name) {
        Some(Node::List(nodes)) => nodes.iter().filter_map(Node::object).cloned().collect(),
        _ => Vec::new(),
    }
}

/// Puts values in the place of those that are there.
pub(super) fn put_entries(home: &mut Object, member: &Member, entries: Vec<Object>) {
    let nodes: Vec<Node> =
        entries.into_iter().filter(|e| !e.members.is_empty()).map(in_order(member)).collect();
    tree::put(home, member.name, (!nodes.is_empty()).then_some(Node::List(nodes)));
}

/// A value with its parts in the order of the table, so that equal ones look alike.
fn in_order(member: &Member) -> impl Fn(Object) -> Node {
    let record = record_of(member);
    move |mut entry| {
        let place = |name: &str| record.and_then(|r| r.members.iter().position(|member| member.name == name));
        entry.members.sort_by_key(|(name, _)| place(name));
        Node::Object(entry)
    }
}

/// Whether two texts of an attribute are equal: in any case, unless it is `caseExact`.
fn is_equal(member: &Member, one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Text(one), Node::Text(other)) if !member.traits.exact => fold(one) == fold(other),
        _ => one == other,
    }
}

/// Whether a value that was sent is one that is there: by value and type, or by all that was sent of one that has no value.
fn is_same(record: &'static Record, sent: &Object, known: &Object) -> bool {
    let is_equal_part = |name: &str| match (member_of(record, name), tree::get(sent, name)) {
        (Some(member), Some(part)) => {
            tree::get(known, name).is_some_and(|other| is_equal(member, part, other))
        }
        _ => true,
    };
    if tree::get(sent, "value").is_some() {
        return is_equal_part("value") && is_equal_part("type");
    }
    sent.members.iter().all(|(name, _)| name == "primary" || is_equal_part(name))
}

/// Whether a value that was sent names one that is there: by its value, or by all that it says.
pub(super) fn covers(record: &'static Record, sent: &Object, entry: &Object) -> bool {
    let is_equal_part = |name: &str, part: &Node| {
        let other = tree::get(entry, name);
        member_of(record, name)
            .zip(other)
            .map_or(other == Some(part), |(member, other)| is_equal(member, part, other))
    };
    match tree::get(sent, "value") {
        Some(value) => is_equal_part("value", value),
        None => sent.members.iter().all(|(name, node)| is_equal_part(name, node)),
    }
}

/// Adds a value unless it is there (RFC 7644 section 3.5.2.1); the parts that were sent of one that is there are set. Returns its
/// place.
fn add_one(record: Option<&'static Record>, all: &mut Vec<Node>, node: Node) -> usize {
    let sent = node.object();
    let is_there = |known: &Node| match (record, sent, known.object()) {
        (Some(record), Some(sent), Some(known)) => is_same(record, sent, known),
        _ => *known == node,
    };
    let Some(place) = all.iter().position(is_there) else {
        all.push(node);
        return all.len() - 1;
    };
    if let (Some(Node::Object(known)), Node::Object(sent)) = (all.get_mut(place), node) {
        let is_whole = tree::get(&sent, "value").is_none();
        for (name, part) in sent.members {
            if !is_whole && name != "value" && name != "type" || name == "primary" {
                tree::put(known, &name, Some(part));
            }
        }
    }
    place
}

/// Adds values to an attribute. A new preference takes over.
pub(super) fn add(home: &mut Object, member: &Member, new: Vec<Node>) {
    let mut all = match tree::take(home, member.name) {
        Some(Node::List(nodes)) => nodes,
        _ => Vec::new(),
    };
    for node in new {
        let is_primary = node.object().is_some_and(is_primary);
        let place = add_one(record_of(member), &mut all, node);
        if is_primary {
            let others = all.iter_mut().enumerate().filter(|(n, _)| *n != place);
            for entry in
                others.filter_map(|(_, node)| if let Node::Object(entry) = node { Some(entry) } else { None })
            {
                tree::put(entry, "primary", None);
            }
        }
    }
    let all: Vec<Object> = all.into_iter().filter_map(|node| node.object().cloned()).collect();
    put_entries(home, member, all);
}

/// The values of one body, the same ones as one.
pub(super) fn merged(member: &Member, sent: Vec<Node>) -> Vec<Node> {
    if sent.len() < 2 || sent.len() > MOST_COMPARED {
        return sent;
    }
    let mut all = Vec::with_capacity(sent.len());
    for node in sent {
        add_one(record_of(member), &mut all, node);
    }
    all
}

pub(super) fn is_primary(entry: &Object) -> bool {
    tree::get(entry, "primary") == Some(&Node::Bool(true))
}

/// Whether an entry has a value, and not only a type and a preference.
pub(super) fn has_value(record: &'static Record, entry: &Object) -> bool {
    match member_of(record, "value") {
        Some(_) => tree::get(entry, "value").is_some(),
        None => entry.members.iter().any(|(name, _)| name != "type" && name != "primary"),
    }
}

/// Takes out entries without a value, and returns the attributes that had them, one name for each entry.
pub(super) fn drop_without_value(home: &mut Object, record: &'static Record) -> Vec<&'static str> {
    let mut dropped = Vec::new();
    for member in record.members {
        let Kind::List(_, Kind::Object(of)) = member.kind else { continue };
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
