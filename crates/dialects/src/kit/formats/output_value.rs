//! The tree that responses are written from, as JSON or XML.

use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// JSON `null`, XML `i:nil`. Dialects that omit nulls omit the member.
    Null,
    Text(String),
    Integer(i64),
    Bool(bool),
    /// A JSON array; in XML, child elements of this name.
    List(&'static str, Vec<OutputValue>),
    /// In XML, repeated elements with the member's name; in JSON, the value if there is one, else an array.
    Repeated(Vec<OutputValue>),
    /// A URL: a string in JSON, an `atom:link` element (RFC 4287) in XML.
    Link(String),
    /// Members keep their order.
    Object(Vec<(Cow<'static, str>, OutputValue)>),
}

impl OutputValue {
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    pub fn object(members: Vec<(&'static str, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
    }
}
