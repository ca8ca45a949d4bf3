//! Parsed bodies with the lookup rules of their format, and conversions that dialects share.

use crate::kit::{
    Direction, Duplicates, Format, MemberError, Node, Object, ObjectSchema, RequestError, SyntaxError, xml,
};
use directory::FieldErrorKind;

#[derive(Clone, Debug)]
pub struct ParsedBody {
    pub format: Format,
    /// The XML root's local name.
    pub root: Option<String>,
    pub node: Node,
}

impl ParsedBody {
    /// A JSON or form body.
    pub(crate) fn new(format: Format, node: Node) -> Self {
        Self { format, root: None, node }
    }

    pub(crate) fn from_xml(text: &str) -> Result<Self, SyntaxError> {
        let xml::Document { root, node } = xml::parse(text)?;
        Ok(Self { format: Format::Xml, root: Some(root), node })
    }

    pub fn duplicates(&self) -> Duplicates {
        if self.format == Format::Json { Duplicates::LastWins } else { Duplicates::FirstWins }
    }

    /// `None` if the body is not an object, such as an XML root without children.
    pub fn as_object(&self) -> Option<&Object> {
        self.node.as_object()
    }
}

impl Object {
    /// The number of members that neither `object_schema` nor `others` names.
    pub fn count_unknown(&self, object_schema: &ObjectSchema, others: &[&str]) -> usize {
        let known = |name: &str| {
            if others.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return true;
            }
            let taken =
                |m: &&crate::kit::Property| m.direction != Direction::Response && m.name.eq_ignore_ascii_case(name);
            object_schema.properties.iter().any(|m| taken(&m))
        };
        self.members.iter().filter(|(name, _)| !known(name)).count()
    }
}

/// A member as text; numbers and booleans are converted.
pub fn text_of(node: &Node) -> Result<Option<String>, FieldErrorKind> {
    match node {
        Node::Null => Ok(None),
        Node::Text(text) | Node::Number(text) => Ok(Some(text.clone())),
        Node::Bool(value) => Ok(Some(value.to_string())),
        Node::List(_) | Node::Object(_) => Err(FieldErrorKind::Malformed),
    }
}

/// A member as an integer from 0 to `i32::MAX`; surrounding whitespace is ignored.
pub fn integer_of(node: &Node) -> Result<Option<u32>, FieldErrorKind> {
    match text_of(node)? {
        None => Ok(None),
        Some(text) if text.trim().is_empty() => Ok(None),
        Some(text) => text
            .trim()
            .parse::<i32>()
            .ok()
            .and_then(|n| u32::try_from(n).ok())
            .map(Some)
            .ok_or(FieldErrorKind::Malformed),
    }
}

/// A member as a boolean: `true`, `false`, `1` or `0`, case-insensitive.
pub fn boolean_of(node: &Node) -> Result<Option<bool>, FieldErrorKind> {
    let Some(text) = text_of(node)? else { return Ok(None) };
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(FieldErrorKind::Malformed),
    }
}

/// The entries of a JSON array, or the children of an XML element, whatever their names.
pub fn child_nodes(node: &Node) -> Vec<&Node> {
    match node {
        Node::List(nodes) => nodes.iter().collect(),
        Node::Object(object) => object.members.iter().map(|(_, node)| node).collect(),
        _ => Vec::new(),
    }
}

/// Pairs of keys and values: a list of objects with the members `key` and `value` (elements named `entry` in XML),
/// or one object whose members are the pairs.
pub fn pairs_of(
    node: &Node,
    entry: &str,
    (key, value): (&str, &str),
    duplicates: Duplicates,
) -> Result<Vec<(String, String)>, FieldErrorKind> {
    let mut pairs = Vec::new();
    for node in node.entries(entry) {
        let object = node.as_object().ok_or(FieldErrorKind::Malformed)?;
        let named = |name| object.get(name, duplicates);
        if let (Some(key), value) = (named(key), named(value)) {
            let text = |node: Option<&Node>| node.map_or(Ok(None), text_of).map(Option::unwrap_or_default);
            pairs.push((text(Some(key))?, text(value)?));
        } else {
            for (name, node) in &object.members {
                pairs.push((name.clone(), text_of(node)?.unwrap_or_default()));
            }
        }
    }
    Ok(pairs)
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyUse {
    Create,
    /// A PUT that clears what is missing.
    Replace,
    /// A change that keeps what is missing.
    Update,
}

pub(crate) fn check_members(
    object_schema: &ObjectSchema,
    object: &Object,
    duplicates: Duplicates,
    body_use: BodyUse,
) -> Result<(), RequestError> {
    let errors = validate_members(object_schema, object, duplicates, body_use);
    if errors.is_empty() { Ok(()) } else { Err(RequestError::InvalidMembers(errors)) }
}

/// Checks required members and maximum lengths (in UTF-16 units) by the schema.
pub(crate) fn validate_members(
    object_schema: &ObjectSchema,
    object: &Object,
    duplicates: Duplicates,
    body_use: BodyUse,
) -> Vec<MemberError> {
    let mut errors = Vec::new();
    for member in object_schema.properties.iter().filter(|m| m.direction != Direction::Response) {
        let node = object.get(member.name, duplicates);
        let blank = match node {
            None | Some(Node::Null) => body_use != BodyUse::Update,
            Some(Node::Text(text)) => text.trim().is_empty(),
            Some(_) => false,
        };
        if member.required && blank {
            errors.push(MemberError::new(member.name, FieldErrorKind::Missing));
        } else if let (Some(Node::Text(text)), true) = (node, member.max_length > 0)
            && text.encode_utf16().count() > member.max_length
        {
            errors.push(MemberError::new(member.name, FieldErrorKind::TooLong(member.max_length)));
        }
    }
    errors
}
