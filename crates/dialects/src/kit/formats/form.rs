//! Parses forms (`application/x-www-form-urlencoded`) to the same tree as JSON and XML.

use crate::kit::{Node, Object, SyntaxError};

/// Invalid UTF-8 is replaced by U+FFFD. `a[]` becomes `a`, `a[b]` becomes `a.b`; an unclosed bracket is an error.
pub(crate) fn parse(body: &[u8]) -> Result<Node, SyntaxError> {
    let mut members = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        let mut plain = String::with_capacity(name.len());
        let mut rest = name.as_ref();
        while let Some((before, after)) = rest.split_once('[') {
            let (inside, after) = after.split_once(']').ok_or("unclosed bracket in a name")?;
            plain.push_str(before);
            if !inside.is_empty() {
                plain.push('.');
                plain.push_str(inside);
            }
            rest = after;
        }
        plain.push_str(rest);
        members.push((plain, Node::Text(value.into_owned())));
    }
    Ok(Node::Object(Object { members }))
}
