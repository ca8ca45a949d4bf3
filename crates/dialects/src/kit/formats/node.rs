//! What came in, whatever it was written in: one small tree for JSON, XML and forms.

/// A value as it was sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// JSON `null`, XML `i:nil`.
    Null,
    /// A text; in XML and forms everything that is not a parent.
    Text(String),
    /// A JSON number, as its digits.
    Number(String),
    /// A JSON boolean.
    Bool(bool),
    /// A JSON array.
    List(Vec<Node>),
    /// Members in the order sent, repeated ones included.
    Object(Object),
}

/// The members of an object or element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Names and values in the order sent.
    pub members: Vec<(String, Node)>,
}

/// Which one counts when a name comes twice (decision 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// XML and forms.
    FirstWins,
    /// JSON.
    LastWins,
}

impl Object {
    /// The member of that name in any case.
    pub fn get(&self, name: &str, duplicates: Duplicates) -> Option<&Node> {
        let has_name = |(n, _): &&(String, Node)| n.eq_ignore_ascii_case(name);
        let found = match duplicates {
            Duplicates::FirstWins => self.members.iter().find(has_name),
            Duplicates::LastWins => self.members.iter().rev().find(has_name),
        };
        found.map(|(_, node)| node)
    }
}

impl Node {
    /// Its members, when it has any.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The entries of a list, however it was written: a JSON array; repeated XML children named `item`; one
    /// bare value; an empty element.
    pub fn entries(&self, item: &str) -> Vec<&Node> {
        match self {
            Self::List(nodes) => nodes.iter().collect(),
            Self::Object(object) => {
                let named: Vec<&Node> =
                    object.members.iter().filter(|(n, _)| n.eq_ignore_ascii_case(item)).map(|(_, v)| v).collect();
                match named.as_slice() {
                    [Self::List(nodes)] => nodes.iter().collect(),
                    [] if object.members.is_empty() => Vec::new(),
                    [] => vec![self],
                    _ => named,
                }
            }
            Self::Null => Vec::new(),
            Self::Text(text) if text.trim().is_empty() => Vec::new(),
            other => vec![other],
        }
    }
}
