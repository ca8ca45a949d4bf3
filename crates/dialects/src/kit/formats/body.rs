//! A body with the rules by which its members are found, and the small conversions dialects share.

use crate::kit::{Direction, Duplicates, Format, MemberError, Node, Object, ObjectSchema};
use directory::FieldErrorKind;

/// A body that was parsed.
#[derive(Clone, Debug)]
pub struct ParsedBody {
    /// What it was written in.
    pub format: Format,
    /// The XML root's local name.
    pub root: Option<String>,
    /// What is in it.
    pub node: Node,
}

impl ParsedBody {
    /// Which of repeated members counts.
    pub fn duplicates(&self) -> Duplicates {
        if self.format == Format::Json { Duplicates::LastWins } else { Duplicates::FirstWins }
    }

    /// Its members; none when it is no object. An XML root without children has none.
    pub fn as_object(&self) -> Option<&Object> {
        self.node.as_object()
    }
}

impl Object {
    /// How many members are in here that neither `record` nor `others` name.
    pub fn count_unknown(&self, record: &ObjectSchema, others: &[&str]) -> usize {
        let known = |name: &str| {
            if others.iter().any(|other| other.eq_ignore_ascii_case(name)) {
                return true;
            }
            let taken =
                |m: &&crate::kit::Property| m.direction != Direction::Response && m.name.eq_ignore_ascii_case(name);
            record.properties.iter().any(|m| taken(&m))
        };
        self.members.iter().filter(|(name, _)| !known(name)).count()
    }
}

/// A member as text: texts, and the digits or words of scalars.
pub fn text_of(node: &Node) -> Result<Option<String>, FieldErrorKind> {
    match node {
        Node::Null => Ok(None),
        Node::Text(text) | Node::Number(text) => Ok(Some(text.clone())),
        Node::Bool(value) => Ok(Some(value.to_string())),
        Node::List(_) | Node::Object(_) => Err(FieldErrorKind::Malformed),
    }
}

/// A member as a whole number that is not negative and fits; blanks around it are let pass.
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

/// A member as true or false: `true`, `false`, `1`, `0` in any case.
pub fn boolean_of(node: &Node) -> Result<Option<bool>, FieldErrorKind> {
    let Some(text) = text_of(node)? else { return Ok(None) };
    match text.trim().to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" => Ok(Some(true)),
        "false" | "0" => Ok(Some(false)),
        _ => Err(FieldErrorKind::Malformed),
    }
}

/// The parts of a list whatever they are called: the entries of a JSON array, the children of an element.
pub fn child_nodes(node: &Node) -> Vec<&Node> {
    match node {
        Node::List(nodes) => nodes.iter().collect(),
        Node::Object(object) => object.members.iter().map(|(_, node)| node).collect(),
        _ => Vec::new(),
    }
}

/// Keys and values: a list of objects with two members of those names (called `entry` in XML), or one object
/// whose members they are.
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

/// Checks what a record's table says of the members: what is needed, and how long it may be, in UTF-16 units.
pub(crate) fn validate_members(
    record: &ObjectSchema,
    object: &Object,
    duplicates: Duplicates,
    is_new: bool,
) -> Vec<MemberError> {
    let mut faults = Vec::new();
    for member in record.properties.iter().filter(|m| m.direction != Direction::Response) {
        let node = object.get(member.name, duplicates);
        let blank = match node {
            None | Some(Node::Null) => is_new,
            Some(Node::Text(text)) => text.trim().is_empty(),
            Some(_) => false,
        };
        if member.required && blank {
            faults.push(MemberError::new(member.name, FieldErrorKind::Missing));
        } else if let (Some(Node::Text(text)), true) = (node, member.max_length > 0)
            && text.encode_utf16().count() > member.max_length
        {
            faults.push(MemberError::new(member.name, FieldErrorKind::TooLong(member.max_length)));
        }
    }
    faults
}
