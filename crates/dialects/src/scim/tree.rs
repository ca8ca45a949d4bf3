//! A resource as a tree: every name and type as the tables have them, and nothing that is not set. What clients send is
//! brought into this form once; PATCH works on it, and what changed is read off two such trees.

use super::entries;
use super::members;
use super::schema::{Attribute, Named, find, find_lenient, member_of};
use super::wire::{self, Resource};
use crate::kit::{
    Direction, Duplicates, Node, Object, ObjectSchema, OutputValue, Property, RequestError, ValueType,
};
use directory::Field;
use http::StatusCode;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Brings what was sent into form.
pub(super) struct Former {
    pub(super) resource: &'static Resource,
    /// Whether unknown attributes are a fault.
    pub(super) is_strict: bool,
    /// Whether the resource is one that is stored, of which every text is taken as it is.
    is_stored: bool,
    /// How many were not.
    unknown: AtomicUsize,
}

/// A value that is not of its attribute's type, or breaks its rules.
pub(super) fn invalid(name: &str, what: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidValue", format!("{name} {what}"))
}

impl Former {
    pub(super) fn new(resource: &'static Resource, is_strict: bool) -> Self {
        Self { resource, is_strict, is_stored: false, unknown: AtomicUsize::new(0) }
    }

    /// For what is stored. A text that was a role's name when it was stored must not become another role.
    pub(super) fn of_stored(resource: &'static Resource) -> Self {
        Self { is_stored: true, ..Self::new(resource, false) }
    }

    /// How many attributes no table has.
    pub(super) fn ignored(&self) -> usize {
        self.unknown.load(Ordering::Relaxed)
    }

    /// An attribute that no table has: counted, or a fault.
    pub(super) fn unknown(&self, name: &str) -> Result<(), RequestError> {
        if self.is_strict {
            let text = format!("There is no attribute {name}");
            return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidSyntax", text));
        }
        self.unknown.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// What a name stands for.
    pub(super) fn find(&self, name: &str) -> Option<Named> {
        if self.is_strict { find(self.resource, name) } else { find_lenient(self.resource, name) }
    }

    /// Drops and counts values of multi-valued attributes that have a type or a preference, and no value.
    pub(super) fn drop_without_value(&self, tree: &mut Object) -> Result<(), RequestError> {
        for name in drop_without_value(tree, self.resource) {
            if self.is_strict {
                return Err(invalid(name, "need a value"));
            }
            self.unknown.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A part of a value, and what else a role says of it in the same text.
    pub(super) fn part(
        &self,
        record: &'static ObjectSchema,
        part: &'static Property,
        node: &Node,
    ) -> Result<Vec<(&'static str, Option<Node>)>, RequestError> {
        let mut entry = Object { members: Vec::new() };
        members::put(&mut entry, part.name, self.value(part, node)?);
        let is_value = std::ptr::eq(record, &raw const wire::ROLE) && part.name == "value";
        if is_value {
            self.app_role(&mut entry)?;
        }
        let value = members::take(&mut entry, part.name);
        let display = members::take(&mut entry, "display");
        Ok(std::iter::once((part.name, value)).chain(display.map(|text| ("display", Some(text)))).collect())
    }

    /// One value of a multi-valued attribute: an object, or leniently a list of one, the same as JSON text, or the bare value.
    pub(super) fn one_value(
        &self,
        member: &Property,
        record: &'static ObjectSchema,
        node: &Node,
    ) -> Result<Object, RequestError> {
        let parsed = |text: &str| {
            let is_json = text.trim_start().starts_with(['{', '[']);
            crate::kit::json::parse(text).ok().filter(|_| is_json)
        };
        match node {
            Node::Object(object) => return Ok(object.clone()),
            _ if self.is_strict => {}
            Node::List(nodes) => {
                if let [Node::Object(object)] = nodes.as_slice() {
                    return Ok(object.clone());
                }
            }
            Node::Text(text) if parsed(text).is_some() => {
                if let Some(node @ (Node::Object(_) | Node::List(_))) = parsed(text) {
                    return self.one_value(member, record, &node);
                }
            }
            Node::Null => {}
            bare if member_of(record, "value").is_some() => {
                return Ok(Object { members: vec![("value".into(), bare.clone())] });
            }
            _ => {}
        }
        Err(invalid(member.name, "must be an object"))
    }

    /// Whether an entry is sent as its value alone.
    pub(super) fn is_bare(&self, node: &Node) -> bool {
        let is_bare = match node {
            Node::Text(text) => !text.trim_start().starts_with(['{', '[']),
            Node::Number(_) | Node::Bool(_) => true,
            Node::Null | Node::List(_) | Node::Object(_) => false,
        };
        is_bare && !self.is_strict
    }

    /// The role in an object in a text, as Entra ID sends app roles.
    fn app_role(&self, entry: &mut Object) -> Result<(), RequestError> {
        let Some(Node::Text(text)) = members::get(entry, "value") else { return Ok(()) };
        if self.is_stored || !text.trim_start().starts_with('{') {
            return Ok(());
        }
        let Ok(Node::Object(role)) = crate::kit::json::parse(text) else { return Ok(()) };
        if self.is_strict {
            return Err(invalid("roles", "have plain texts as their values"));
        }
        let text_of = |name: &str| match role.get(name, Duplicates::LastWins) {
            Some(Node::Text(text)) if !text.is_empty() => Some(Node::Text(text.clone())),
            _ => None,
        };
        let Some(value) = text_of("value") else { return Ok(()) };
        members::put(entry, "value", Some(value));
        if let Some(display) = text_of("displayName").filter(|_| members::get(entry, "display").is_none()) {
            members::put(entry, "display", Some(display));
        }
        Ok(())
    }

    /// A whole resource. Names may carry their schema's URN, or be dotted; what clients may not set is passed over.
    pub(super) fn resource(&self, sent: &Object) -> Result<Object, RequestError> {
        let mut tree = Object::default();
        for (name, node) in &sent.members {
            match self.find(name) {
                Some(Named::Extension(schema)) => {
                    let inner = match node {
                        Node::Null => continue,
                        node => node.as_object().ok_or_else(|| invalid(schema.urn, "must be an object"))?,
                    };
                    let values = self.object(schema.record, inner)?;
                    members::within(&mut tree, schema.urn, |extension| {
                        extension.members.extend(values.members);
                    });
                }
                Some(Named::Attribute(attribute)) if attribute.is_read_only() => {}
                Some(Named::Attribute(attribute)) => {
                    let value = self.value(attribute.last(), node)?;
                    set(&mut tree, &attribute, value);
                }
                None => self.unknown(name)?,
            }
        }
        self.drop_without_value(&mut tree)?;
        Ok(tree)
    }

    /// The members of a record, in its order.
    pub(super) fn object(
        &self,
        record: &'static ObjectSchema,
        sent: &Object,
    ) -> Result<Object, RequestError> {
        let mut tree = Object::default();
        for member in record.properties.iter().filter(|member| member.direction != Direction::Response) {
            let node = sent.get(member.name, Duplicates::LastWins);
            if let Some(value) = node.map_or(Ok(None), |node| self.value(member, node))? {
                tree.members.push((member.name.to_owned(), value));
            }
        }
        for (name, _) in &sent.members {
            if !record.properties.iter().any(|member| member.name.eq_ignore_ascii_case(name)) {
                self.unknown(name)?;
            }
        }
        // Who says where something is says what it is.
        if let Some(Node::Text(url)) = members::take(&mut tree, "$ref")
            && members::get(&tree, "value").is_none()
        {
            let id = Some(id_of(&url)).filter(|id| !id.is_empty());
            tree.members.splice(0..0, id.map(|id| ("value".into(), Node::Text(id.into()))));
        }
        if std::ptr::eq(record, &raw const wire::ROLE) {
            self.app_role(&mut tree)?;
        }
        Ok(tree)
    }

    /// A value of an attribute's type; `None` when it says "unassigned" (RFC 7643 section 2.5).
    pub(super) fn value(&self, member: &'static Property, node: &Node) -> Result<Option<Node>, RequestError> {
        if let ValueType::List(_, kind) = member.value_type {
            let nodes = match node {
                Node::List(nodes) => nodes.as_slice(),
                Node::Null => &[],
                one => std::slice::from_ref(one),
            };
            let values = nodes.iter().map(|node| self.single(member, *kind, node));
            let values: Vec<Node> =
                values.filter_map(Result::transpose).collect::<Result<_, RequestError>>()?;
            // A group is not emptied by members that nobody can read.
            if member.field == Some(Field::Members) && values.len() < nodes.len() {
                return Err(invalid(member.name, "need a value"));
            }
            let values =
                if member.field == Some(Field::Members) { values } else { entries::merged(member, values) };
            return Ok((!values.is_empty()).then_some(Node::List(values)));
        }
        self.single(member, member.value_type, node)
    }

    fn single(
        &self,
        member: &'static Property,
        kind: ValueType,
        node: &Node,
    ) -> Result<Option<Node>, RequestError> {
        if let ValueType::Object(record) = kind {
            let object = match node {
                Node::Null => return Ok(None),
                Node::Object(object) => self.object(record, object)?,
                Node::List(nodes) if nodes.len() <= 1 => {
                    return nodes.first().map_or(Ok(None), |node| self.single(member, kind, node));
                }
                // A bare value stands for the object that has nothing else.
                bare => match member_of(record, "value") {
                    Some(value) if !self.is_strict => {
                        let value = self.value(value, bare)?;
                        Object { members: value.map(|value| ("value".into(), value)).into_iter().collect() }
                    }
                    _ => return Err(invalid(member.name, "must be an object")),
                },
            };
            return Ok((!object.members.is_empty()).then_some(Node::Object(object)));
        }
        scalar(member, kind, node)
    }
}

fn scalar(member: &Property, kind: ValueType, node: &Node) -> Result<Option<Node>, RequestError> {
    match (kind, node) {
        (_, Node::Null) => Ok(None),
        (_, Node::List(nodes)) if nodes.len() <= 1 => {
            nodes.first().map_or(Ok(None), |node| scalar(member, kind, node))
        }
        (_, Node::Object(object)) if object.get("value", Duplicates::LastWins).is_some() => {
            let value = object.get("value", Duplicates::LastWins);
            value.map_or(Ok(None), |value| scalar(member, kind, value))
        }
        (ValueType::Boolean, Node::Bool(value)) => Ok(Some(Node::Bool(*value))),
        // As Entra sends them.
        (ValueType::Boolean, Node::Text(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(Node::Bool(true))),
            "false" => Ok(Some(Node::Bool(false))),
            "" => Ok(None),
            _ => Err(invalid(member.name, "must be true or false")),
        },
        (ValueType::Boolean, _) => Err(invalid(member.name, "must be true or false")),
        (ValueType::Integer, Node::Number(text) | Node::Text(text)) => match text.trim().parse::<u32>() {
            Ok(number) if i32::try_from(number).is_ok() => Ok(Some(Node::Number(number.to_string()))),
            _ => Err(invalid(member.name, "must be a whole number")),
        },
        (ValueType::Integer, _) => Err(invalid(member.name, "must be a whole number")),
        (_, Node::Text(text) | Node::Number(text)) => {
            Ok((!text.is_empty()).then(|| Node::Text(text.clone())))
        }
        (_, Node::Bool(value)) => Ok(Some(Node::Text(value.to_string()))),
        (_, Node::List(_) | Node::Object(_)) => Err(invalid(member.name, "must be a single value")),
    }
}

/// Takes values without a value out of a resource; the attributes that had them.
pub(super) fn drop_without_value(tree: &mut Object, resource: &'static Resource) -> Vec<&'static str> {
    // Extensions have none that clients may set.
    entries::drop_without_value(tree, resource.schema.record)
}

/// The id at the end of where something is.
pub(super) fn id_of(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Changes what an attribute is in: the resource itself, or its extension.
pub(super) fn at_home<T>(
    tree: &mut Object,
    attribute: &Attribute,
    change: impl FnOnce(&mut Object) -> T,
) -> T {
    match attribute.extension {
        Some(schema) => members::within(tree, schema.urn, change),
        None => change(tree),
    }
}

/// Puts the value of an attribute, or of a part of one that is no plural, in its place.
pub(super) fn set(tree: &mut Object, attribute: &Attribute, value: Option<Node>) {
    at_home(tree, attribute, |home| match attribute.sub {
        None => members::put(home, attribute.member.name, value),
        Some(sub) => {
            members::within(home, attribute.member.name, |object| members::put(object, sub.name, value));
        }
    });
}

/// A written resource as a tree: what is there to be changed.
pub(super) fn of_out(out: &OutputValue) -> Node {
    match out {
        OutputValue::Null => Node::Null,
        OutputValue::Text(text) | OutputValue::Link(text) => Node::Text(text.clone()),
        OutputValue::Integer(number) => Node::Number(number.to_string()),
        OutputValue::Bool(value) => Node::Bool(*value),
        OutputValue::List(_, outs) | OutputValue::Repeated(outs) => {
            Node::List(outs.iter().map(of_out).collect())
        }
        OutputValue::Object(members) => {
            let members = members.iter().map(|(name, out)| (name.clone().into_owned(), of_out(out)));
            Node::Object(Object { members: members.collect() })
        }
    }
}
