//! Parses and writes JSON: `serde_json` for the grammar and escapes, our own tree to keep order and duplicates.

use crate::kit::{Node, Object, OutputValue, SyntaxError};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

pub(crate) const MAX_DEPTH: usize = 32;

/// Parses strictly (RFC 8259), but ignores a leading byte order mark.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = NodeSeed(0).deserialize(&mut reader)?;
    reader.end()?;
    Ok(node)
}

struct NodeSeed(usize);

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl NodeSeed {
    fn next_depth<E: Error>(&self) -> Result<usize, E> {
        if self.0 < MAX_DEPTH { Ok(self.0 + 1) } else { Err(E::custom("nested too deeply")) }
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        // `{:?}` keeps the ".0" that distinguishes 1.0 from 1.
        Ok(Node::Number(format!("{value:?}")))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let depth = self.next_depth()?;
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element_seed(NodeSeed(depth))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let depth = self.next_depth()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(NodeSeed(depth))?));
        }
        Ok(Node::Object(Object { members }))
    }
}

pub(crate) fn write(out: &OutputValue) -> String {
    let mut text = String::with_capacity(256);
    write_value(&mut text, out);
    text
}

fn write_value(text: &mut String, out: &OutputValue) {
    match out {
        OutputValue::Null => text.push_str("null"),
        OutputValue::Text(value) | OutputValue::Link(value) => write_string(text, value),
        OutputValue::Integer(value) => text.push_str(&value.to_string()),
        OutputValue::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        // A single entry is written without an array.
        OutputValue::Repeated(entries) if entries.len() == 1 => write_value(text, &entries[0]),
        OutputValue::List(_, entries) | OutputValue::Repeated(entries) => write_list(text, entries),
        OutputValue::Object(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_string(text, name);
                text.push(':');
                write_value(text, value);
            }
            text.push('}');
        }
    }
}

fn write_list(text: &mut String, entries: &[OutputValue]) {
    text.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write_value(text, entry);
    }
    text.push(']');
}

pub(crate) fn quote(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    write_string(&mut text, value);
    text
}

fn write_string(text: &mut String, value: &str) {
    // A str always serializes.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_duplicates_and_limits_depth() {
        let node = parse("\u{FEFF}{\"b\":1,\"a\":[true,null,1.0],\"b\":\"x\"}").unwrap();
        let names: Vec<&str> = node.as_object().unwrap().members.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse(&format!("{}{}", "[".repeat(40), "]".repeat(40))).unwrap_err().0.contains("deep"));
        assert!(parse("{} {}").is_err());
        assert!(parse("{\"a\":1,}").is_err());
    }
}
