//! Users as documents: locations and types of attributes, and comparison of two documents.

use serde_json::{Map, Value, json};

pub(crate) const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
pub(crate) const MUSTER_EXTENSION: &str = "urn:muster:params:scim:schemas:extension:2.0:User";

/// The multi-valued attributes that these tests use.
pub(crate) const MULTI_VALUED: [&str; 7] =
    ["emails", "phoneNumbers", "addresses", "ims", "entitlements", "roles", "photos"];

/// An attribute of a schema, or a sub-attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AttributeLocation {
    pub(crate) schema: &'static str,
    pub(crate) attribute: &'static str,
    pub(crate) sub_attribute: Option<&'static str>,
}

impl AttributeLocation {
    pub(crate) const fn core(attribute: &'static str) -> Self {
        Self { schema: CORE, attribute, sub_attribute: None }
    }

    pub(crate) const fn of(schema: &'static str, attribute: &'static str) -> Self {
        Self { schema, attribute, sub_attribute: None }
    }

    pub(crate) const fn part(self, part: &'static str) -> Self {
        Self { sub_attribute: Some(part), ..self }
    }

    /// The attribute's value, ignoring the sub-attribute.
    pub(crate) fn get(self, user: &Value) -> Option<&Value> {
        let home = if self.schema == CORE { Some(user) } else { user.get(self.schema) };
        home?.get(self.attribute).filter(|value| !value.is_null())
    }

    pub(crate) fn is_multi_valued(self) -> bool {
        self.schema == CORE && MULTI_VALUED.contains(&self.attribute)
    }

    pub(crate) fn is_complex(self) -> bool {
        matches!(self.attribute, "name" | "manager")
    }
}

/// The object with the attributes of a schema; created if it is missing.
pub(crate) fn schema_object<'a>(user: &'a mut Value, schema: &str) -> &'a mut Map<String, Value> {
    let top = user.as_object_mut().expect("an object");
    if schema == CORE {
        return top;
    }
    top.entry(schema).or_insert_with(|| json!({})).as_object_mut().expect("an object")
}

/// The entries of a multi-valued attribute of the core schema.
pub(crate) fn entries<'a>(user: &'a Value, attribute: &str) -> &'a [Value] {
    user.get(attribute).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Removes null, empty objects and empty lists, which are all "unassigned" (RFC 7643 §2.5).
pub(crate) fn remove_unassigned(value: &mut Value) {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => {
            map.values_mut().for_each(remove_unassigned);
            map.retain(|_, inner| !says_nothing(inner));
        }
        Value::Array(list) => {
            list.iter_mut().for_each(remove_unassigned);
            list.retain(|inner| !says_nothing(inner));
        }
        _ => {}
    }
}

/// A document without attributes that the server sets.
pub(crate) fn comparable(user: &Value) -> Value {
    let mut user = user.clone();
    for name in ["meta", "schemas"] {
        user.as_object_mut().expect("an object").remove(name);
    }
    drop_references(&mut user);
    remove_unassigned(&mut user);
    user
}

fn drop_references(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("$ref");
            map.values_mut().for_each(drop_references);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_references),
        _ => {}
    }
}
