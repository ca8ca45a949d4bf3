//! What goes out, before it is written in a format.

use std::borrow::Cow;

/// A value to be written as JSON or XML.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// JSON `null`, XML `i:nil`. Dialects that leave nulls out do not put the member in.
    Null,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// A JSON array; in XML children of that name.
    List(&'static str, Vec<OutputValue>),
    /// XML elements that repeat under the member's own name; in JSON bare when there is one, else an array.
    Repeated(Vec<OutputValue>),
    /// A link to where something is found: a text in JSON, an `atom:link` element (RFC 4287) in XML.
    Link(String),
    /// Members in the order written.
    Object(Vec<(Cow<'static, str>, OutputValue)>),
}

impl OutputValue {
    /// A text.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    /// An object with fixed names.
    pub fn object(members: Vec<(&'static str, Self)>) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect())
    }
}
