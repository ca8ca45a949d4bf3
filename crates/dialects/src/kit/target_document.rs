//! What a target is to have of a user, and which attributes the accounts of its API have.

use crate::kit::{ObjectSchema, OutputValue, Property, ValueType};
use directory::MatchKey;
use std::borrow::Cow;

/// The attributes that a target is to have, set or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    pub attributes: Vec<DocumentAttribute>,
    /// The values by which the account can be recognized.
    pub keys: Vec<(MatchKey, String)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DocumentAttribute {
    /// The name in the target's API; for SCIM, the path (RFC 7644 section 3.10).
    pub name: Cow<'static, str>,
    /// `None`: the target is to have no value.
    pub value: Option<OutputValue>,
}

/// Why a user cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomplete {
    #[error("the target requires {0}")]
    Missing(String),
    #[error("{0} is longer than the {1} characters that the target can hold")]
    TooLong(String, usize),
}

/// An attribute of accounts that Muster can set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetAttribute {
    /// As in documents, or `OBJECT.MEMBER` for a member of an attribute that is an object.
    pub name: Cow<'static, str>,
    pub kind: AttributeKind,
    pub required: bool,
    /// 0 for no limit.
    pub max_chars: usize,
}

/// What values an attribute has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    Text,
    Integer,
    Boolean,
    /// Lists and objects: only Muster sets them.
    Complex,
}

impl TargetAttribute {
    pub(crate) fn of(property: &Property, name: impl Into<Cow<'static, str>>) -> Self {
        let kind = match property.value_type {
            ValueType::Integer => AttributeKind::Integer,
            ValueType::Boolean => AttributeKind::Boolean,
            ValueType::Text | ValueType::Enum(_) | ValueType::Reference(_) | ValueType::Timestamp | ValueType::Guid => {
                AttributeKind::Text
            }
            ValueType::Any
            | ValueType::Binary
            | ValueType::Object(_)
            | ValueType::OneOrMore(_)
            | ValueType::List(..) => AttributeKind::Complex,
        };
        Self { name: name.into(), kind, required: property.required, max_chars: property.max_length }
    }

    /// The members of an object, as `OBJECT.MEMBER`.
    pub(crate) fn members_of(schema: &'static ObjectSchema) -> impl Iterator<Item = Self> {
        schema.properties.iter().map(|part| Self::of(part, format!("{}.{}", schema.name, part.name)))
    }

    /// Whether the API can hold the value.
    fn check(&self, value: Option<&OutputValue>) -> Result<(), Incomplete> {
        let length = match value {
            None | Some(OutputValue::Null) => 0,
            Some(OutputValue::Text(text) | OutputValue::Link(text)) => text.chars().count(),
            Some(_) => 1,
        };
        if self.required && length == 0 {
            return Err(Incomplete::Missing(self.name.to_string()));
        }
        if self.max_chars > 0 && length > self.max_chars {
            return Err(Incomplete::TooLong(self.name.to_string(), self.max_chars));
        }
        Ok(())
    }
}

impl Document {
    pub fn key(&self, key: MatchKey) -> Option<&str> {
        self.keys.iter().find(|(known, _)| *known == key).map(|(_, value)| value.as_str())
    }

    /// The value of an attribute, or of a member of one (`OBJECT.MEMBER`).
    pub fn value(&self, name: &str) -> Option<&OutputValue> {
        if let Some(attribute) = self.attributes.iter().find(|attribute| attribute.name == name) {
            return attribute.value.as_ref();
        }
        let (object, member) = name.rsplit_once('.')?;
        match self.attributes.iter().find(|attribute| attribute.name == object)?.value.as_ref()? {
            OutputValue::Object(members) => members.iter().find(|(own, _)| own == member).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Sets an attribute, or a member of one.
    pub fn set(&mut self, name: &str, value: Option<OutputValue>) {
        if let Some(attribute) = self.attributes.iter_mut().find(|attribute| attribute.name == name) {
            attribute.value = value;
            return;
        }
        let object = name.rsplit_once('.').and_then(|(object, member)| {
            Some((self.attributes.iter_mut().find(|attribute| attribute.name == object)?, member))
        });
        let Some((attribute, member)) = object else {
            self.attributes.push(DocumentAttribute { name: name.to_owned().into(), value });
            return;
        };
        let mut members = match attribute.value.take() {
            Some(OutputValue::Object(members)) => members,
            _ => Vec::new(),
        };
        members.retain(|(own, _)| own != member);
        members.extend(value.map(|value| (Cow::Owned(member.to_owned()), value)));
        attribute.value = (!members.is_empty()).then_some(OutputValue::Object(members));
    }

    /// Leaves out an attribute, so that requests do not change it. A member of one has no value then.
    pub fn remove(&mut self, name: &str) {
        if self.attributes.iter().any(|attribute| attribute.name == name) {
            self.attributes.retain(|attribute| attribute.name != name);
        } else if self.value(name).is_some() {
            self.set(name, None);
        }
    }

    /// The attributes whose values the API cannot hold, with the reasons.
    pub fn invalid<'a>(&self, attributes: &'a [TargetAttribute]) -> Vec<(&'a str, Incomplete)> {
        let check = |attribute: &'a TargetAttribute| {
            Some((attribute.name.as_ref(), attribute.check(self.value(&attribute.name)).err()?))
        };
        attributes.iter().filter_map(check).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> OutputValue {
        OutputValue::text(value)
    }

    fn attribute(name: &'static str, required: bool, max_chars: usize) -> TargetAttribute {
        TargetAttribute { name: name.into(), kind: AttributeKind::Text, required, max_chars }
    }

    #[test]
    fn members_of_objects_are_set_and_read() {
        let name = OutputValue::object(vec![("first", OutputValue::text("Ann"))]);
        let attributes = vec![DocumentAttribute { name: "name".into(), value: Some(name) }];
        let mut document = Document { attributes, keys: Vec::new() };
        document.set("name.last", Some(text("Lee")));
        document.set("name.first", Some(text("Bea")));
        assert_eq!(
            (document.value("name.first"), document.value("name.last")),
            (Some(&text("Bea")), Some(&text("Lee")))
        );
        document.set("name.first", None);
        document.set("name.last", None);
        assert_eq!(document.value("name"), None);
        document.set("urn:x:2.0:User:color.code", Some(text("red")));
        assert_eq!(document.value("urn:x:2.0:User:color.code"), Some(&text("red")));
        document.set("name.last", Some(text("Lee")));
        document.remove("name.last");
        assert_eq!(document.value("name"), None);
        document.remove("name");
        assert_eq!(document.attributes.len(), 1);
    }

    #[test]
    fn what_the_api_cannot_hold_is_found() {
        let attributes = [attribute("email", true, 5), attribute("phone", false, 3), attribute("title", false, 0)];
        let mut document = Document::default();
        let names =
            |document: &Document| document.invalid(&attributes).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names(&document), ["email"]);
        document.set("email", Some(text("a@b.c")));
        document.set("phone", Some(text("1234")));
        document.set("title", Some(text("any")));
        assert_eq!(names(&document), ["phone"]);
    }
}
