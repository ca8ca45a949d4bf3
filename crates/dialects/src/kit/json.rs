//! JSON in and out: `serde_json` for the grammar and the escapes, a tree of our own to keep order and repeats.

use super::{Node, Object, Out};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// How deep a body may nest.
pub(crate) const MAX_DEPTH: usize = 32;

/// Reads a body strictly (RFC 8259); a byte order mark in front is let pass.
pub(crate) fn read(text: &str) -> Result<Node, String> {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let mut reader = serde_json::Deserializer::from_str(text);
    let node = Depth(0).deserialize(&mut reader).map_err(|error| error.to_string())?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(node)
}

struct Depth(usize);

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Depth {
    fn deeper<E: Error>(&self) -> Result<usize, E> {
        if self.0 < MAX_DEPTH { Ok(self.0 + 1) } else { Err(E::custom("nested too deeply")) }
    }
}

impl<'de> Visitor<'de> for Depth {
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
        // `{:?}` keeps the ".0" that tells 1.0 from 1.
        Ok(Node::Number(format!("{value:?}")))
    }
    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Node, E> {
        Ok(Node::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element_seed(Depth(depth))? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let depth = self.deeper()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            members.push((name, map.next_value_seed(Depth(depth))?));
        }
        Ok(Node::Object(Object { members }))
    }
}

/// Writes an answer, compact.
pub(crate) fn write(out: &Out) -> String {
    let mut text = String::with_capacity(256);
    put(&mut text, out);
    text
}

fn put(text: &mut String, out: &Out) {
    match out {
        Out::Null => text.push_str("null"),
        Out::Text(value) | Out::Link(value) => put_text(text, value),
        Out::Integer(value) => text.push_str(&value.to_string()),
        Out::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        // One stands bare, several in an array.
        Out::Repeated(entries) if entries.len() == 1 => put(text, &entries[0]),
        Out::List(_, entries) | Out::Repeated(entries) => put_list(text, entries),
        Out::Object(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                put_text(text, name);
                text.push(':');
                put(text, value);
            }
            text.push('}');
        }
    }
}

fn put_list(text: &mut String, entries: &[Out]) {
    text.push('[');
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        put(text, entry);
    }
    text.push(']');
}

/// A text as JSON writes one.
pub(crate) fn quoted(value: &str) -> String {
    let mut text = String::with_capacity(value.len() + 2);
    put_text(&mut text, value);
    text
}

fn put_text(text: &mut String, value: &str) {
    // A str always serializes.
    text.push_str(&serde_json::to_string(value).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_repeats_and_bounds_the_depth() {
        let node = read("\u{FEFF}{\"b\":1,\"a\":[true,null,1.0],\"b\":\"x\"}").unwrap();
        let names: Vec<&str> = node.object().unwrap().members.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "a", "b"]);
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&format!("{}{}", "[".repeat(40), "]".repeat(40))).unwrap_err().contains("deep"));
        assert!(read("{} {}").is_err());
        assert!(read("{\"a\":1,}").is_err());
    }
}
