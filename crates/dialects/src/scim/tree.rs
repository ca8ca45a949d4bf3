//! A resource as a normalized tree: names and types as in the schemas of [`super::wire`], and no unset attributes.
//! Requests are normalized once; PATCH works on the tree, and edits are the difference of two trees.

use super::multi_valued;
use super::object;
use super::schema::{Attribute, ResolvedName, find, find_lenient, find_property};
use super::wire::{self, ResourceType};
use crate::kit::{Direction, Duplicates, Node, Object, ObjectSchema, OutputValue, Property, RequestError, ValueType};
use directory::Field;
use http::StatusCode;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Normalizer {
    pub(super) resource_type: &'static ResourceType,
    pub(super) is_strict: bool,
    /// Whether a role's value that is a JSON object in a string (as Entra ID sends app roles) is expanded.
    expands_app_roles: bool,
    ignored: AtomicUsize,
}

pub(super) fn invalid_value(name: &str, reason: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidValue", format!("{name} {reason}"))
}

impl Normalizer {
    pub(super) fn new(resource_type: &'static ResourceType, is_strict: bool) -> Self {
        Self { resource_type, is_strict, expands_app_roles: true, ignored: AtomicUsize::new(0) }
    }

    /// A stored role name that looks like an app role must not become another role.
    pub(super) fn for_stored(resource: &'static ResourceType) -> Self {
        Self { expands_app_roles: false, ..Self::new(resource, false) }
    }

    pub(super) fn ignored_count(&self) -> usize {
        self.ignored.load(Ordering::Relaxed)
    }

    pub(super) fn handle_unknown(&self, name: &str) -> Result<(), RequestError> {
        if self.is_strict {
            let text = format!("Unknown attribute '{name}'");
            return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidSyntax", text));
        }
        self.ignored.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn find(&self, name: &str) -> Option<ResolvedName> {
        if self.is_strict { find(self.resource_type, name) } else { find_lenient(self.resource_type, name) }
    }

    /// Drops and counts entries of multi-valued attributes that have a type or `primary` but no value.
    pub(super) fn reject_or_drop_empty_values(&self, tree: &mut Object) -> Result<(), RequestError> {
        for name in drop_empty_values(tree, self.resource_type) {
            if self.is_strict {
                return Err(invalid_value(name, "must have a value"));
            }
            self.ignored.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// A sub-attribute, and for an app role (a role's `value` that is a whole JSON object) also its `display`.
    pub(super) fn sub_attribute(
        &self,
        object_schema: &'static ObjectSchema,
        part: &'static Property,
        node: &Node,
    ) -> Result<Vec<(&'static str, Option<Node>)>, RequestError> {
        let mut entry = Object { members: Vec::new() };
        object::set(&mut entry, part.name, self.value(part, node)?);
        let is_value = std::ptr::eq(object_schema, &raw const wire::ROLE) && part.name == "value";
        if is_value {
            self.expand_app_role(&mut entry)?;
        }
        let value = object::remove(&mut entry, part.name);
        let display = object::remove(&mut entry, "display");
        Ok(std::iter::once((part.name, value)).chain(display.map(|text| ("display", Some(text)))).collect())
    }

    /// The object that a node stands for. If strict, the node must be an object; otherwise it can be a list of one object,
    /// JSON text of either, or a simple value, which stands for an object with only `value`.
    pub(super) fn value_object(
        &self,
        property: &Property,
        object_schema: &'static ObjectSchema,
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
                    return self.value_object(property, object_schema, &node);
                }
            }
            Node::Null => {}
            bare if find_property(object_schema, "value").is_some() => {
                return Ok(Object { members: vec![("value".into(), bare.clone())] });
            }
            _ => {}
        }
        Err(invalid_value(property.name, "must be an object"))
    }

    pub(super) fn is_bare_value(&self, node: &Node) -> bool {
        let is_bare = match node {
            Node::Text(text) => !text.trim_start().starts_with(['{', '[']),
            Node::Number(_) | Node::Bool(_) => true,
            Node::Null | Node::List(_) | Node::Object(_) => false,
        };
        is_bare && !self.is_strict
    }

    /// Entra ID sends app roles as a JSON object in a string.
    fn expand_app_role(&self, entry: &mut Object) -> Result<(), RequestError> {
        let Some(Node::Text(text)) = object::get(entry, "value") else { return Ok(()) };
        if !self.expands_app_roles || !text.trim_start().starts_with('{') {
            return Ok(());
        }
        let Ok(Node::Object(role)) = crate::kit::json::parse(text) else { return Ok(()) };
        if self.is_strict {
            return Err(invalid_value("roles", "must have plain strings as values"));
        }
        let text_of = |name: &str| match role.get(name, Duplicates::LastWins) {
            Some(Node::Text(text)) if !text.is_empty() => Some(Node::Text(text.clone())),
            _ => None,
        };
        let Some(value) = text_of("value") else { return Ok(()) };
        object::set(entry, "value", Some(value));
        if let Some(display) = text_of("displayName").filter(|_| object::get(entry, "display").is_none()) {
            object::set(entry, "display", Some(display));
        }
        Ok(())
    }

    /// Names may have a URN or dots; read-only attributes are ignored.
    pub(super) fn resource(&self, sent: &Object) -> Result<Object, RequestError> {
        let mut tree = Object::default();
        for (name, node) in &sent.members {
            match self.find(name) {
                Some(ResolvedName::Extension(schema)) => {
                    let inner = match node {
                        Node::Null => continue,
                        node => node.as_object().ok_or_else(|| invalid_value(schema.urn, "must be an object"))?,
                    };
                    let values = self.object(schema.object_schema, inner)?;
                    object::update(&mut tree, schema.urn, |extension| {
                        extension.members.extend(values.members);
                    });
                }
                Some(ResolvedName::Attribute(attribute)) if attribute.is_read_only() => {}
                Some(ResolvedName::Attribute(attribute)) => {
                    let value = self.value(attribute.leaf(), node)?;
                    set_attribute(&mut tree, &attribute, value);
                }
                None => self.handle_unknown(name)?,
            }
        }
        self.reject_or_drop_empty_values(&mut tree)?;
        Ok(tree)
    }

    pub(super) fn object(&self, object_schema: &'static ObjectSchema, sent: &Object) -> Result<Object, RequestError> {
        let mut tree = Object::default();
        for property in object_schema.properties.iter().filter(|property| property.direction != Direction::Response) {
            let node = sent.get(property.name, Duplicates::LastWins);
            if let Some(value) = node.map_or(Ok(None), |node| self.value(property, node))? {
                tree.members.push((property.name.to_owned(), value));
            }
        }
        for (name, _) in &sent.members {
            if !object_schema.properties.iter().any(|property| property.name.eq_ignore_ascii_case(name)) {
                self.handle_unknown(name)?;
            }
        }
        // `$ref` alone implies `value`.
        if let Some(Node::Text(url)) = object::remove(&mut tree, "$ref")
            && object::get(&tree, "value").is_none()
        {
            let id = Some(id_from_uri(&url)).filter(|id| !id.is_empty());
            tree.members.splice(0..0, id.map(|id| ("value".into(), Node::Text(id.into()))));
        }
        if std::ptr::eq(object_schema, &raw const wire::ROLE) {
            self.expand_app_role(&mut tree)?;
        }
        Ok(tree)
    }

    /// `None` means unassigned (RFC 7643 section 2.5).
    pub(super) fn value(&self, property: &'static Property, node: &Node) -> Result<Option<Node>, RequestError> {
        if let ValueType::List(_, kind) = property.value_type {
            let nodes = match node {
                Node::List(nodes) => nodes.as_slice(),
                Node::Null => &[],
                one => std::slice::from_ref(one),
            };
            let values = nodes.iter().map(|node| self.single_value(property, *kind, node));
            let values: Vec<Node> = values.filter_map(Result::transpose).collect::<Result<_, RequestError>>()?;
            // Otherwise members that cannot be read would empty the group.
            if property.field == Some(Field::Members) && values.len() < nodes.len() {
                return Err(invalid_value(property.name, "must have a value"));
            }
            let values = if property.field == Some(Field::Members) {
                values
            } else {
                multi_valued::deduplicate(property, values)
            };
            return Ok((!values.is_empty()).then_some(Node::List(values)));
        }
        self.single_value(property, property.value_type, node)
    }

    fn single_value(
        &self,
        property: &'static Property,
        kind: ValueType,
        node: &Node,
    ) -> Result<Option<Node>, RequestError> {
        if let ValueType::Object(object_schema) = kind {
            let object = match node {
                Node::Null => return Ok(None),
                Node::Object(object) => self.object(object_schema, object)?,
                Node::List(nodes) if nodes.len() <= 1 => {
                    return nodes.first().map_or(Ok(None), |node| self.single_value(property, kind, node));
                }
                // A bare value stands for an object with only `value`.
                bare => match find_property(object_schema, "value") {
                    Some(value) if !self.is_strict => {
                        let value = self.value(value, bare)?;
                        Object { members: value.map(|value| ("value".into(), value)).into_iter().collect() }
                    }
                    _ => return Err(invalid_value(property.name, "must be an object")),
                },
            };
            return Ok((!object.members.is_empty()).then_some(Node::Object(object)));
        }
        normalize_simple_value(property, kind, node)
    }
}

fn normalize_simple_value(property: &Property, kind: ValueType, node: &Node) -> Result<Option<Node>, RequestError> {
    match (kind, node) {
        (_, Node::Null) => Ok(None),
        (_, Node::List(nodes)) if nodes.len() <= 1 => {
            nodes.first().map_or(Ok(None), |node| normalize_simple_value(property, kind, node))
        }
        (_, Node::Object(object)) if object.get("value", Duplicates::LastWins).is_some() => {
            let value = object.get("value", Duplicates::LastWins);
            value.map_or(Ok(None), |value| normalize_simple_value(property, kind, value))
        }
        (ValueType::Boolean, Node::Bool(value)) => Ok(Some(Node::Bool(*value))),
        // As Entra ID sends them.
        (ValueType::Boolean, Node::Text(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(Some(Node::Bool(true))),
            "false" => Ok(Some(Node::Bool(false))),
            "" => Ok(None),
            _ => Err(invalid_value(property.name, "must be true or false")),
        },
        (ValueType::Boolean, _) => Err(invalid_value(property.name, "must be true or false")),
        (ValueType::Integer, Node::Number(text) | Node::Text(text)) => match text.trim().parse::<u32>() {
            Ok(number) if i32::try_from(number).is_ok() => Ok(Some(Node::Number(number.to_string()))),
            _ => Err(invalid_value(property.name, "must be an integer")),
        },
        (ValueType::Integer, _) => Err(invalid_value(property.name, "must be an integer")),
        (_, Node::Text(text) | Node::Number(text)) => Ok((!text.is_empty()).then(|| Node::Text(text.clone()))),
        (_, Node::Bool(value)) => Ok(Some(Node::Text(value.to_string()))),
        (_, Node::List(_) | Node::Object(_)) => Err(invalid_value(property.name, "must be a single value")),
    }
}

pub(super) fn drop_empty_values(tree: &mut Object, resource: &'static ResourceType) -> Vec<&'static str> {
    // Extensions have no writable multi-valued attributes.
    multi_valued::drop_empty_values(tree, resource.schema.object_schema)
}

pub(super) fn id_from_uri(url: &str) -> &str {
    url.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Changes the object that contains an attribute: the resource or its extension.
pub(super) fn update_container<T>(
    tree: &mut Object,
    attribute: &Attribute,
    change: impl FnOnce(&mut Object) -> T,
) -> T {
    match attribute.extension {
        Some(schema) => object::update(tree, schema.urn, change),
        None => change(tree),
    }
}

/// Not for sub-attributes of multi-valued attributes.
pub(super) fn set_attribute(tree: &mut Object, attribute: &Attribute, value: Option<Node>) {
    update_container(tree, attribute, |container| match attribute.sub {
        None => object::set(container, attribute.property.name, value),
        Some(sub) => {
            object::update(container, attribute.property.name, |object| object::set(object, sub.name, value));
        }
    });
}

pub(super) fn from_output(out: &OutputValue) -> Node {
    match out {
        OutputValue::Null => Node::Null,
        OutputValue::Text(text) | OutputValue::Link(text) => Node::Text(text.clone()),
        OutputValue::Integer(number) => Node::Number(number.to_string()),
        OutputValue::Bool(value) => Node::Bool(*value),
        OutputValue::List(_, outs) | OutputValue::Repeated(outs) => Node::List(outs.iter().map(from_output).collect()),
        OutputValue::Object(members) => {
            let members = members.iter().map(|(name, out)| (name.clone().into_owned(), from_output(out)));
            Node::Object(Object { members: members.collect() })
        }
    }
}
