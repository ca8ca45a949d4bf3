//! What must hold of the readers whatever is sent: each function reads some bytes and panics where it does not.
//!
//! The fuzz targets (`fuzz/`) call these functions with what they make up, the tests below with the files of
//! `fuzz/corpus`. None of this is part of the program.

use crate::kit::lenient::Leniency;
use crate::kit::xml::{self as kit_xml, Frame};
use crate::kit::{Node, Object, Out, form as kit_form, json as kit_json, jwt as kit_jwt, lenient};
pub use crate::scim::fuzzing::{filter, patch};
use std::borrow::Cow;

/// The most objects and lists that may be in one another; XML's elements, too.
const MAX_DEPTH: usize = 32;

/// A public key of RSA, and an assertion signed with its other half, both made with OpenSSL.
pub(crate) const RSA: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvfDpNjETd01dALv+nWyb\n\
    2t0Sw4wSadWeIa4JuU9TJ5ccx9GpnDNdbhQzxEH4KZsDLo2wvYOCWvZNG8p54X0Q\n\
    Rvu+sIVAirylg4LeZ1Z4e+eLM0zeDr9TftwFxzc1zVJAqiNWdc+s+S6wA0dadOcZ\n\
    UBPShhz4hZ7MPqsdIKB0MPMztIrr7JZ+CzVg3VURQ2jm6Ehf0WxuPDRtaFwUAqBp\n\
    0WkD6esQeUgXWQlk/qWDUJibuMSUmPVLl5iBBPnZC6T8Xne9hTzH5bG9Ftx8Ptno\n\
    uWygbbzU5713VqN9NxalsNvz0TQOCgutt1MR7ULSse/PVl+Q3xK55B/d9+Y7XDe5\n\
    4QIDAQAB\n\
    -----END PUBLIC KEY-----";
pub(crate) const SIGNED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJjIiwic3ViIjoiYyIsImF1ZCI6Imh0dHBzOi8vbSIsImV4cCI6NDEwMjQ0NDgwMH0.FLC_Q7GpLUrXWe_OIKyWmQT1s-t_1zU2abyzNkAPjooVy5nYBOwgBKTFeafwkTNuoOWHN4cRl0pBLv6WBS5_3JPt3edm_7J9EDtcILatvct5Fa9MD5RjaMHYzZjGokcloKo1cqx1jglvLd27XQxVadXRXM7EIegofpmpRJMvhwMprV2SKsWwK4YZGIg_RpELGxQKfzQLpLijqhg_BiyoKlhRMZMmMGNvzhgBEv5MloJcT84HBbegfPe8B1Od6mY3s4HMXlqsWNLVFH9b1C5Wb2aUjpqAr1GwPQh7WcVees1k0WH8ZE_OPhJRlHCa6CmtWe8aLx5nwlmJ7DcAQsu5-g";

/// How deep a tree is.
fn depth(node: &Node) -> usize {
    match node {
        Node::List(nodes) => 1 + nodes.iter().map(depth).max().unwrap_or(0),
        Node::Object(object) => 1 + object.members.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
        _ => 0,
    }
}

/// The tree as the writers take it. They write whole numbers only, so that other numbers become texts.
fn out(node: &Node) -> Out {
    match node {
        Node::Null => Out::Null,
        Node::Text(text) => Out::text(text.as_str()),
        Node::Number(digits) => match digits.parse::<i64>() {
            Ok(number) if number.to_string() == *digits => Out::Integer(number),
            _ => Out::text(digits.as_str()),
        },
        Node::Bool(value) => Out::Bool(*value),
        Node::List(nodes) => Out::List("", nodes.iter().map(out).collect()),
        Node::Object(object) => {
            let members = object.members.iter().map(|(name, node)| (Cow::Owned(name.clone()), out(node)));
            Out::Object(members.collect())
        }
    }
}

/// Whether two trees say the same, be numbers written as they will.
fn is_same(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Number(one), Node::Number(other)) => {
            let (one, other): (f64, f64) = (one.parse().expect("a number"), other.parse().expect("a number"));
            (one - other).abs() <= one.abs() * 1e-12
        }
        (Node::List(one), Node::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
        }
        (Node::Object(Object { members: one }), Node::Object(Object { members: other })) => {
            let alike = |(one, other): (&(String, Node), &(String, Node))| {
                one.0 == other.0 && is_same(&one.1, &other.1)
            };
            one.len() == other.len() && one.iter().zip(other).all(alike)
        }
        _ => one == other,
    }
}

/// Same tree, with numbers that are not whole as texts.
fn plain(node: &Node) -> Node {
    match node {
        Node::Number(_) => match out(node) {
            Out::Text(text) => Node::Text(text),
            _ => node.clone(),
        },
        Node::List(nodes) => Node::List(nodes.iter().map(plain).collect()),
        Node::Object(object) => {
            let members = object.members.iter().map(|(name, node)| (name.clone(), plain(node)));
            Node::Object(Object { members: members.collect() })
        }
        other => other.clone(),
    }
}

/// XML keeps its limits, and what the writer makes of a document is the same document.
pub fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(document) = kit_xml::read(text) else { return };
    assert!(depth(&document.node) < MAX_DEPTH, "deeper than {MAX_DEPTH}");
    // The reader takes names that are none; the writer is given names that are.
    if !is_named(&document.root) || !has_names(&document.node) {
        return;
    }
    let written = kit_xml::write(Frame::default(), &document.root, &out(&document.node));
    assert_eq!(kit_xml::read(&written), Ok(document), "{written}");
}

fn is_named(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn has_names(node: &Node) -> bool {
    let members = node.object().map_or(&[][..], |object| &object.members);
    members.iter().all(|(name, node)| is_named(name) && has_names(node))
}

/// JSON keeps its limits, what the writer makes of a tree is the same tree, and the tolerant reader takes all of it.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(node) = kit_json::read(text) else { return };
    assert!(depth(&node) <= MAX_DEPTH, "deeper than {MAX_DEPTH}");
    let written = kit_json::write(&out(&node));
    assert_eq!(kit_json::read(&written), Ok(plain(&node)), "{written}");
    for leniency in [Leniency::TrailingCommas, Leniency::JsonNet] {
        let tolerated = lenient::read(text, leniency).expect("what is JSON is JSON to the tolerant reader");
        assert!(is_same(&node, &tolerated), "{leniency:?} read another tree: {tolerated:?}");
    }
}

/// The tolerant reader keeps the same limits; the less tolerant it is, the less it takes, and it makes the same of it.
pub fn lenient_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let net = lenient::read(text, Leniency::JsonNet);
    if let Ok(commas) = lenient::read(text, Leniency::TrailingCommas) {
        assert_eq!(net.as_ref(), Ok(&commas));
    }
    let Ok(node) = net else { return };
    assert!(depth(&node) <= MAX_DEPTH, "deeper than {MAX_DEPTH}");
    let written = kit_json::write(&out(&node));
    assert_eq!(kit_json::read(&written), Ok(plain(&node)), "{written}");
}

/// A form is texts under names, no more of them than were sent, and the same when it is written and read again.
pub fn form(bytes: &[u8]) {
    let Ok(node) = kit_form::read(bytes) else { return };
    let members = &node.object().expect("a form is an object").members;
    assert!(members.len() <= bytes.split(|byte| *byte == b'&').count());
    let mut written = form_urlencoded::Serializer::new(String::new());
    let (mut length, mut has_brackets) = (0, false);
    for (name, value) in members {
        let Node::Text(value) = value else { panic!("{value:?} in a form") };
        written.append_pair(name, value);
        length += name.len() + value.len();
        has_brackets |= name.contains('[');
    }
    // U+FFFD takes three bytes.
    assert!(length <= bytes.len() * 3);
    if !has_brackets {
        let written = written.finish();
        assert_eq!(kit_form::read(written.as_bytes()), Ok(node), "{written}");
    }
}

/// Nothing is believed but what was signed: neither the text itself, nor the good tokens as it changes them.
pub fn jwt(bytes: &[u8]) {
    const KEY: &[u8] = b"a key of the installation";
    let access = kit_jwt::Access {
        sub: "connection".into(),
        client_id: "connection".into(),
        key: kit_jwt::mark(b"key"),
        iat: 1_700_000_000,
        exp: 4_102_444_800,
    };
    let token = kit_jwt::sign(&access, KEY).expect("signed");
    assert_eq!(kit_jwt::verify(&token, KEY).map(|access| access.exp), Some(access.exp));
    let audiences = ["https://m".to_owned()];
    let try_out = |text: &str| {
        let is_believed = kit_jwt::verify(text, KEY).is_some();
        assert!(!is_believed || text == token, "{text} was never signed");
        let is_believed = kit_jwt::assertion(text, RSA, &audiences).is_some();
        assert!(!is_believed || text == SIGNED, "{text} was never signed");
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        try_out(text);
        let _ = (kit_jwt::claimed(text), kit_jwt::is_token(text), kit_jwt::check_public_key(text));
    }
    for good in [token.as_str(), SIGNED] {
        let mut changed = good.as_bytes().to_vec();
        let end = changed.len();
        for (place, byte) in bytes.iter().enumerate() {
            changed[place % end] ^= byte;
        }
        if let Ok(text) = std::str::from_utf8(&changed) {
            try_out(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::corpus;

    #[test]
    fn corpus_of_xml() {
        corpus::each("xml", super::xml);
    }

    #[test]
    fn corpus_of_json() {
        corpus::each("json", super::json);
    }

    #[test]
    fn corpus_of_lenient_json() {
        corpus::each("lenient_json", super::lenient_json);
    }

    #[test]
    fn corpus_of_forms() {
        corpus::each("form", super::form);
    }

    #[test]
    fn corpus_of_filters() {
        corpus::each("filter", super::filter);
    }

    #[test]
    fn corpus_of_patches() {
        corpus::each("patch", super::patch);
    }

    #[test]
    fn corpus_of_tokens() {
        corpus::each("jwt", super::jwt);
    }
}
