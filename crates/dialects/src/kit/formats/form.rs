//! Forms (`application/x-www-form-urlencoded`) as the same tree as JSON and XML.

use crate::kit::{Node, Object};

/// Reads a body. Names and values that are not UTF-8 have their bad bytes replaced, as browsers' peers do.
/// `a[]` is `a`, `a[b]` is `a.b`; a bracket that is not closed spoils the whole body.
pub(crate) fn parse(body: &[u8]) -> Result<Node, String> {
    let mut members = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        let mut plain = String::with_capacity(name.len());
        let mut rest = name.as_ref();
        while let Some((before, after)) = rest.split_once('[') {
            let (inside, after) = after.split_once(']').ok_or("a bracket that is not closed")?;
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
