//! PATCH (RFC 7644 section 3.5.2) as a pure function: a resource's tree and operations in, the changed tree or a fault
//! out. Nothing is half done, because nothing is done here at all.
//!
//! Tolerant where identity providers need it: operations in any case, names with dots or URNs as keys of a value
//! without a path, booleans as texts, and a value for an entry that is not there yet makes it.

use super::entries::{self, MAX_VALUES, covers, entries, has_value, is_primary, put_entries};
use super::filter::Parser;
use super::members;
use super::schema::{Attribute, Named, member_of, record_of};
use super::tree::{self, Former, invalid};
use crate::kit::{Direction, Duplicates, Node, Object, ObjectSchema, Property, RequestError, ValueType};
use directory::{AttributeValue, CompareOp, Field, Filter, SubAttributes};
use http::StatusCode;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) verb: Verb,
    pub(super) path: Option<String>,
    pub(super) value: Option<Node>,
}

/// Where an operation points.
pub(super) struct Target {
    pub(super) named: Named,
    pub(super) filter: Option<Filter>,
    /// The part behind a condition.
    pub(super) sub: Option<&'static Property>,
}

/// How many operations one PATCH of a group may have, where each is small: a member comes or goes.
const MAX_OPERATIONS: usize = 10_000;
/// How many one of a person may have, where what each leaves behind is checked as a whole.
const MAX_OPERATIONS_ON_USER: usize = 500;

fn fault(code: &'static str, text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, code, text)
}

/// Reads the operations of a body.
pub(super) fn operations(body: &Object, former: &Former) -> Result<Vec<Operation>, RequestError> {
    let syntax = |text: &str| fault("invalidSyntax", text);
    let list = match body.get("Operations", Duplicates::LastWins) {
        Some(Node::List(nodes)) if !nodes.is_empty() => nodes.as_slice(),
        Some(one @ Node::Object(_)) if !former.is_strict => std::slice::from_ref(one),
        _ => return Err(syntax("Operations must be a list of at least one")),
    };
    let is_user = std::ptr::eq(former.resource, &raw const super::wire::USERS);
    let most = if is_user { MAX_OPERATIONS_ON_USER } else { MAX_OPERATIONS };
    if list.len() > most {
        return Err(fault("tooMany", format!("More than {most} operations")));
    }
    let mut operations = Vec::with_capacity(list.len());
    for node in list {
        let object = node.as_object().ok_or_else(|| syntax("An operation must be an object"))?;
        let get = |name: &str| object.get(name, Duplicates::LastWins);
        let Some(Node::Text(verb)) = get("op") else { return Err(syntax("An operation needs an op")) };
        let verb = match verb.to_ascii_lowercase().as_str() {
            "add" => Verb::Add,
            "replace" => Verb::Replace,
            "remove" => Verb::Remove,
            _ => return Err(syntax("op must be add, replace or remove")),
        };
        let path = match get("path") {
            None | Some(Node::Null) => None,
            Some(Node::Text(path)) if path.trim().is_empty() => None,
            Some(Node::Text(path)) => Some(path.clone()),
            Some(_) => return Err(fault("invalidPath", "path must be a text")),
        };
        let value = get("value").cloned();
        match (verb, &path, &value) {
            (Verb::Remove, None, _) => return Err(fault("noTarget", "remove needs a path")),
            (Verb::Add | Verb::Replace, _, None) => {
                return Err(fault("invalidValue", "add and replace need a value"));
            }
            (_, None, _) if former.is_strict => return Err(syntax("An operation needs a path")),
            _ => operations.push(Operation { verb, path, value }),
        }
    }
    Ok(operations)
}

/// Where a path points; `None` is an attribute that no table has. It is counted when the operation is carried out.
pub(super) fn target(path: &str, former: &Former) -> Result<Option<Target>, RequestError> {
    match Parser::path(path, former.resource, former.is_strict) {
        Ok((named, filter, sub)) => Ok(Some(Target { named, filter, sub })),
        Err(wrong) if wrong.is_unknown && !former.is_strict => Ok(None),
        Err(wrong) => Err(fault("invalidPath", wrong.sentence("path"))),
    }
}

/// Carries out all operations, in order; `check` looks at what each but the last has made, lest a bad value hides
/// behind a good one. A value may get its parts one by one, so one that ends without a value is dropped and counted.
pub(super) fn apply(
    mut tree: Object,
    operations: &[Operation],
    former: &Former,
    check: impl Fn(&Object) -> Result<(), RequestError>,
) -> Result<Object, RequestError> {
    for (n, operation) in (1..).zip(operations) {
        one(&mut tree, operation, former)?;
        if n < operations.len() {
            let mut so_far = tree.clone();
            if former.is_strict {
                former.drop_without_value(&mut so_far)?;
            } else {
                tree::drop_without_value(&mut so_far, former.resource);
            }
            check(&so_far)?;
        }
    }
    former.drop_without_value(&mut tree)?;
    Ok(tree)
}

/// Carries out one operation.
pub(super) fn one(tree: &mut Object, operation: &Operation, former: &Former) -> Result<(), RequestError> {
    let Some(path) = &operation.path else {
        let value = operation.value.as_ref().and_then(Node::as_object);
        let value =
            value.ok_or_else(|| fault("invalidValue", "Without a path the value must be an object"))?;
        return each(tree, operation.verb, value, former);
    };
    let Some(target) = target(path, former)? else { return former.unknown(path) };
    let attribute = match target.named {
        Named::Extension(schema) if operation.verb == Verb::Remove => {
            members::put(tree, schema.urn, None);
            return Ok(());
        }
        Named::Extension(schema) => {
            let value = operation.value.as_ref().and_then(Node::as_object);
            let value = value.ok_or_else(|| invalid(schema.urn, "must be an object"))?;
            return merge_extension(tree, schema, operation.verb, value, former);
        }
        Named::Attribute(attribute) => attribute,
    };
    if attribute.member.name == "schemas" {
        return Ok(()); // what is used follows from what is set
    }
    if attribute.is_read_only() || target.sub.is_some_and(|sub| sub.direction == Direction::Response) {
        return Err(fault("mutability", format!("{path} cannot be set")));
    }
    if operation.verb == Verb::Remove {
        return remove(tree, &attribute, &target, operation.value.as_ref(), former);
    }
    let value = operation.value.as_ref().unwrap_or(&Node::Null);
    if let Some(filter) = &target.filter {
        return put_where(tree, operation.verb, &attribute, (filter, target.sub), value, former);
    }
    put(tree, operation.verb, &attribute, value, former)
}

/// A value without a path: each of its members is set (RFC 7644 section 3.5.2.1). What clients may not set, such as
/// the id they send along, is passed over.
fn each(tree: &mut Object, verb: Verb, value: &Object, former: &Former) -> Result<(), RequestError> {
    for (name, node) in &value.members {
        match former.find(name) {
            Some(Named::Extension(schema)) => match node {
                Node::Null => members::put(tree, schema.urn, None),
                node => {
                    let value = node.as_object().ok_or_else(|| invalid(schema.urn, "must be an object"))?;
                    merge_extension(tree, schema, verb, value, former)?;
                }
            },
            Some(Named::Attribute(attribute))
                if attribute.is_read_only() || attribute.member.name == "schemas" => {}
            Some(Named::Attribute(attribute)) => put(tree, verb, &attribute, node, former)?,
            // `emails[type eq "work"].value` as a key.
            None if name.contains('[') => {
                let operation = Operation { verb, path: Some(name.clone()), value: Some(node.clone()) };
                one(tree, &operation, former)?;
            }
            None => former.unknown(name)?,
        }
    }
    Ok(())
}

fn merge_extension(
    tree: &mut Object,
    schema: &'static super::wire::Schema,
    verb: Verb,
    value: &Object,
    former: &Former,
) -> Result<(), RequestError> {
    for (name, node) in &value.members {
        match former.find(&format!("{}:{name}", schema.urn)) {
            Some(Named::Attribute(attribute)) if attribute.is_read_only() => {}
            Some(Named::Attribute(attribute)) => put(tree, verb, &attribute, node, former)?,
            _ => former.unknown(name)?,
        }
    }
    Ok(())
}

/// Sets an attribute: a plural is added to or replaced, of a complex one the named parts change.
fn put(
    tree: &mut Object,
    verb: Verb,
    attribute: &Attribute,
    node: &Node,
    former: &Former,
) -> Result<(), RequestError> {
    if let Some(value) = value_behind(attribute) {
        let id = match former.value(attribute.last(), node)? {
            Some(Node::Text(url)) => Node::Text(tree::id_of(&url).to_owned()),
            _ => Node::Null,
        };
        return put(tree, verb, &value, &id, former);
    }
    let member = attribute.member;
    if let (ValueType::List(..), Some(sub)) = (member.value_type, attribute.sub) {
        // `emails.value`: of every entry there is, or of a new one.
        let record = record_of(member);
        let parts = match record {
            Some(record) => former.part(record, sub, node)?,
            None => vec![(sub.name, former.value(sub, node)?)],
        };
        return tree::at_home(tree, attribute, |home| {
            let mut entries = entries(home, member);
            if entries.is_empty() {
                entries.push(Object::default());
            }
            for entry in &mut entries {
                for (name, value) in &parts {
                    members::put(entry, name, value.clone());
                }
            }
            put_entries(home, member, entries);
            Ok(())
        });
    }
    if let (ValueType::Object(record), Node::Object(sent), None) = (member.value_type, node, attribute.sub) {
        return put_parts(tree, attribute, record, sent, former);
    }
    let value = former.value(attribute.last(), node)?;
    if value.is_none() && attribute.last().required && attribute.sub.is_none() {
        return Err(invalid(member.name, "is required"));
    }
    if let Some(Node::List(new)) = &value
        && new.len() > MAX_VALUES
    {
        return Err(invalid(member.name, "has too many values"));
    }
    match (member.value_type, value) {
        (ValueType::List(..), Some(Node::List(new))) if verb == Verb::Add => {
            tree::at_home(tree, attribute, |home| entries::add(home, member, new));
        }
        (ValueType::List(..), None) if verb == Verb::Add => {}
        (_, value) => tree::set(tree, attribute, value),
    }
    Ok(())
}

/// `manager.$ref` is another way to say `manager.value`, which is what the tree keeps.
fn value_behind(attribute: &Attribute) -> Option<Attribute> {
    let record = attribute.record().filter(|_| attribute.sub.is_some_and(|sub| sub.name == "$ref"))?;
    Some(Attribute { sub: Some(member_of(record, "value")?), ..*attribute })
}

/// Sets the named parts of a complex attribute, and no other.
fn put_parts(
    tree: &mut Object,
    attribute: &Attribute,
    record: &'static ObjectSchema,
    sent: &Object,
    former: &Former,
) -> Result<(), RequestError> {
    let parts = parts(record, sent, former)?;
    tree::at_home(tree, attribute, |home| {
        members::within(home, attribute.member.name, |object| {
            for (name, part) in parts {
                members::put(object, name, part);
            }
        });
    });
    Ok(())
}

/// The parts that were sent; `None` for one that was sent as unassigned and goes.
fn parts(
    record: &'static ObjectSchema,
    sent: &Object,
    former: &Former,
) -> Result<Vec<(&'static str, Option<Node>)>, RequestError> {
    let formed = former.object(record, sent)?.members;
    let is_formed = |name: &str| formed.iter().any(|(other, _)| other == name);
    let names = record
        .properties
        .iter()
        .filter(|member| member.direction != Direction::Response)
        .map(|member| member.name);
    let gone: Vec<&str> =
        names.filter(|name| sent.get(name, Duplicates::LastWins).is_some() && !is_formed(name)).collect();
    let set = formed
        .into_iter()
        .filter_map(|(name, value)| member_of(record, &name).map(|part| (part.name, Some(value))));
    Ok(set.chain(gone.into_iter().map(|name| (name, None))).collect())
}

/// Sets something of the entries that meet a condition; where none does, an entry that does is made.
fn put_where(
    tree: &mut Object,
    verb: Verb,
    attribute: &Attribute,
    (filter, sub): (&Filter, Option<&'static Property>),
    node: &Node,
    former: &Former,
) -> Result<(), RequestError> {
    let member = attribute.member;
    let record = attribute.record().ok_or_else(|| fault("invalidPath", "it has no parts"))?;
    // A whole value replaces whole values (RFC 7644 section 3.5.2.3), and there must be some.
    let needs_target = verb == Verb::Replace && sub.is_none();
    // A bare value is the value alone: the entry keeps its type.
    let sub = sub.or_else(|| member_of(record, "value").filter(|_| former.is_bare(node)));
    let parts = match sub {
        Some(sub) => former.part(record, sub, node)?,
        None => parts(record, &former.one_value(member, record, node)?, former)?,
    };
    tree::at_home(tree, attribute, |home| {
        let mut all = entries(home, member);
        let mut hit: Vec<usize> =
            (0..all.len()).filter(|n| filter.matches(&parts_of(record, &all[*n]))).collect();
        let replaces = verb == Verb::Replace && sub.is_none();
        if hit.is_empty() {
            let made = made_by(record, filter).filter(|_| !needs_target);
            all.push(made.ok_or_else(|| fault("noTarget", "No value meets the condition"))?);
            hit.push(all.len() - 1);
        }
        let mut prefers = false;
        for place in &hit {
            let entry = &mut all[*place];
            let was_preferred = is_primary(entry) && has_value(record, entry);
            if replaces {
                *entry = Object::default();
            }
            for (name, value) in &parts {
                members::put(entry, name, value.clone());
            }
            // An entry takes the preference over once it has a value.
            prefers |= !was_preferred && is_primary(entry) && has_value(record, entry);
        }
        for (n, entry) in all.iter_mut().enumerate() {
            if prefers && !hit.contains(&n) {
                members::put(entry, "primary", None);
            }
        }
        // What has lost its value is no value any more.
        let lost =
            sub.is_some_and(|sub| sub.name == "value") && parts.iter().all(|(_, value)| value.is_none());
        for place in hit.into_iter().rev().filter(|_| lost) {
            all.remove(place);
        }
        put_entries(home, member, all);
        Ok(())
    })
}

/// An entry of a tree as the core's conditions see one.
pub(super) fn parts_of(record: &'static ObjectSchema, entry: &Object) -> SubAttributes<'static> {
    let part = |(name, node): &(String, Node)| {
        let field = member_of(record, name)?.field?;
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

/// The entry that a condition made of equalities describes.
fn made_by(record: &'static ObjectSchema, filter: &Filter) -> Option<Object> {
    let mut made = Object::default();
    let tests = match filter {
        Filter::All(filters) => filters.as_slice(),
        one => std::slice::from_ref(one),
    };
    for filter in tests {
        let Filter::Comparison(test) = filter else { return None };
        if test.op != CompareOp::Equal {
            return None;
        }
        let member = record.properties.iter().find(|member| member.field == Some(test.field))?;
        let node = match &test.value {
            // What is empty is not set, and so is nothing that would meet the condition.
            AttributeValue::Text(text) if text.is_empty() => return None,
            AttributeValue::Text(text) => Node::Text(text.to_string()),
            AttributeValue::Bool(value) => Node::Bool(*value),
            AttributeValue::Integer(number) => Node::Number(number.to_string()),
            AttributeValue::Time(_) => return None,
        };
        members::put(&mut made, member.name, Some(node));
    }
    Some(made)
}

fn remove(
    tree: &mut Object,
    attribute: &Attribute,
    target: &Target,
    value: Option<&Node>,
    former: &Former,
) -> Result<(), RequestError> {
    let attribute = &value_behind(attribute).unwrap_or(*attribute);
    let member = attribute.member;
    if attribute.last().required && attribute.sub.is_none() && target.filter.is_none() {
        return Err(fault("mutability", format!("{} is required", member.name)));
    }
    let ValueType::List(..) = member.value_type else {
        tree::set(tree, attribute, None);
        return Ok(());
    };
    let record = attribute.record();
    let sub = target.sub.or(attribute.sub);
    // Where values are named, just those go. Otherwise all that meet the condition, or simply all.
    let listed = match value {
        Some(node) if *node != Node::Null && target.filter.is_none() && sub.is_none() => {
            Some(former.value(member, node)?)
        }
        _ => None,
    };
    if let Some(Some(Node::List(nodes))) = &listed
        && nodes.len() > MAX_VALUES
        && member.field != Some(Field::Members)
    {
        return Err(invalid(member.name, "has too many values"));
    }
    tree::at_home(tree, attribute, |home| {
        let mut all = entries(home, member);
        let is_listed = |entry: &Object| match &listed {
            Some(Some(Node::List(nodes))) => {
                let covers = |sent: &Object| record.is_some_and(|record| covers(record, sent, entry));
                nodes.iter().filter_map(Node::as_object).any(covers)
            }
            Some(_) => false,
            None => true,
        };
        let meets = |entry: &Object| match (&target.filter, record) {
            (Some(filter), Some(record)) => filter.matches(&parts_of(record, entry)),
            _ => true,
        };
        match sub {
            Some(sub) if sub.name != "value" => {
                let hit = all.iter_mut().filter(|entry| meets(entry));
                hit.for_each(|entry| members::put(entry, sub.name, None));
            }
            // Without its value an entry is none.
            _ => all.retain(|entry| !(meets(entry) && is_listed(entry))),
        }
        put_entries(home, member, all);
    });
    Ok(())
}
