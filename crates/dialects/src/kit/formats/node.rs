//! The tree that JSON, XML and forms are parsed to.

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// JSON `null`, XML `i:nil`.
    Null,
    /// In XML and forms, every value without children.
    Text(String),
    /// A JSON number as text.
    Number(String),
    Bool(bool),
    List(Vec<Node>),
    Object(Object),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Object {
    /// Names and values in the order sent, duplicates included.
    pub members: Vec<(String, Node)>,
}

/// Which of several members with the same name is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicates {
    /// XML and forms.
    FirstWins,
    /// JSON.
    LastWins,
}

impl Object {
    /// Finds a member; names are case-insensitive.
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
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The entries of a list in any notation: a JSON array, repeated XML children named `item`, a single value, or an
    /// empty element.
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
