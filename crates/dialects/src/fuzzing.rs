//! What must hold of the readers whatever is sent: each function reads some bytes and panics where it does not.
//!
//! The fuzz targets (`fuzz/`) call these functions with what they make up, the tests below with the files of
//! `fuzz/corpus`. None of this is part of the program.

use crate::kit::lenient_json::Leniency;
use crate::kit::xml::{self as kit_xml, WriteOptions};
use crate::kit::{Node, Object, OutputValue, form as kit_form, json as kit_json, jwt as kit_jwt, lenient_json};
pub use crate::scim::fuzzing::{filter, patch};
use std::borrow::Cow;

/// The most objects and lists that may be in one another; XML's elements, too.
const MAX_DEPTH: usize = 32;

/// A public key of RSA, and an assertion signed with its other half, both made with OpenSSL.
pub(crate) const RSA_PUBLIC_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAvfDpNjETd01dALv+nWyb\n\
    2t0Sw4wSadWeIa4JuU9TJ5ccx9GpnDNdbhQzxEH4KZsDLo2wvYOCWvZNG8p54X0Q\n\
    Rvu+sIVAirylg4LeZ1Z4e+eLM0zeDr9TftwFxzc1zVJAqiNWdc+s+S6wA0dadOcZ\n\
    UBPShhz4hZ7MPqsdIKB0MPMztIrr7JZ+CzVg3VURQ2jm6Ehf0WxuPDRtaFwUAqBp\n\
    0WkD6esQeUgXWQlk/qWDUJibuMSUmPVLl5iBBPnZC6T8Xne9hTzH5bG9Ftx8Ptno\n\
    uWygbbzU5713VqN9NxalsNvz0TQOCgutt1MR7ULSse/PVl+Q3xK55B/d9+Y7XDe5\n\
    4QIDAQAB\n\
    -----END PUBLIC KEY-----";
pub(crate) const SIGNED_ASSERTION: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJjIiwic3ViIjoiYyIsImF1ZCI6Imh0dHBzOi8vbSIsImV4cCI6NDEwMjQ0NDgwMH0.FLC_Q7GpLUrXWe_OIKyWmQT1s-t_1zU2abyzNkAPjooVy5nYBOwgBKTFeafwkTNuoOWHN4cRl0pBLv6WBS5_3JPt3edm_7J9EDtcILatvct5Fa9MD5RjaMHYzZjGokcloKo1cqx1jglvLd27XQxVadXRXM7EIegofpmpRJMvhwMprV2SKsWwK4YZGIg_RpELGxQKfzQLpLijqhg_BiyoKlhRMZMmMGNvzhgBEv5MloJcT84HBbegfPe8B1Od6mY3s4HMXlqsWNLVFH9b1C5Wb2aUjpqAr1GwPQh7WcVees1k0WH8ZE_OPhJRlHCa6CmtWe8aLx5nwlmJ7DcAQsu5-g";

/// How deep a tree is.
fn depth(node: &Node) -> usize {
    match node {
        Node::List(nodes) => 1 + nodes.iter().map(depth).max().unwrap_or(0),
        Node::Object(object) => 1 + object.members.iter().map(|(_, node)| depth(node)).max().unwrap_or(0),
        _ => 0,
    }
}

/// The tree as the writers take it. They write whole numbers only, so that other numbers become texts.
fn to_output(node: &Node) -> OutputValue {
    match node {
        Node::Null => OutputValue::Null,
        Node::Text(text) => OutputValue::text(text.as_str()),
        Node::Number(digits) => match digits.parse::<i64>() {
            Ok(number) if number.to_string() == *digits => OutputValue::Integer(number),
            _ => OutputValue::text(digits.as_str()),
        },
        Node::Bool(value) => OutputValue::Bool(*value),
        Node::List(nodes) => OutputValue::List("", nodes.iter().map(to_output).collect()),
        Node::Object(object) => {
            let members = object.members.iter().map(|(name, node)| (Cow::Owned(name.clone()), to_output(node)));
            OutputValue::Object(members.collect())
        }
    }
}

/// Whether two trees say the same, be numbers written as they will.
fn is_equivalent(one: &Node, other: &Node) -> bool {
    match (one, other) {
        (Node::Number(one), Node::Number(other)) => {
            let (one, other): (f64, f64) = (one.parse().expect("a number"), other.parse().expect("a number"));
            (one - other).abs() <= one.abs() * 1e-12
        }
        (Node::List(one), Node::List(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equivalent(one, other))
        }
        (Node::Object(Object { members: one }), Node::Object(Object { members: other })) => {
            let alike =
                |(one, other): (&(String, Node), &(String, Node))| one.0 == other.0 && is_equivalent(&one.1, &other.1);
            one.len() == other.len() && one.iter().zip(other).all(alike)
        }
        _ => one == other,
    }
}

/// Same tree, with numbers that are not whole as texts.
fn with_fractions_as_text(node: &Node) -> Node {
    match node {
        Node::Number(_) => match to_output(node) {
            OutputValue::Text(text) => Node::Text(text),
            _ => node.clone(),
        },
        Node::List(nodes) => Node::List(nodes.iter().map(with_fractions_as_text).collect()),
        Node::Object(object) => {
            let members = object.members.iter().map(|(name, node)| (name.clone(), with_fractions_as_text(node)));
            Node::Object(Object { members: members.collect() })
        }
        other => other.clone(),
    }
}

/// XML keeps its limits, and what the writer makes of a document is the same document.
pub fn xml(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(document) = kit_xml::parse(text) else { return };
    assert!(depth(&document.node) < MAX_DEPTH, "deeper than {MAX_DEPTH}");
    // The reader takes names that are none; the writer is given names that are.
    if !is_xml_name(&document.root) || !has_xml_names(&document.node) {
        return;
    }
    let written = kit_xml::write(WriteOptions::default(), &document.root, &to_output(&document.node));
    assert_eq!(kit_xml::parse(&written), Ok(document), "{written}");
}

fn is_xml_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

fn has_xml_names(node: &Node) -> bool {
    let members = node.as_object().map_or(&[][..], |object| &object.members);
    members.iter().all(|(name, node)| is_xml_name(name) && has_xml_names(node))
}

/// JSON keeps its limits, what the writer makes of a tree is the same tree, and the tolerant reader takes all of it.
pub fn json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(node) = kit_json::parse(text) else { return };
    assert!(depth(&node) <= MAX_DEPTH, "deeper than {MAX_DEPTH}");
    let written = kit_json::write(&to_output(&node));
    assert_eq!(kit_json::parse(&written), Ok(with_fractions_as_text(&node)), "{written}");
    for leniency in [Leniency::TrailingCommas, Leniency::JsonNet] {
        let leniently_read = lenient_json::parse(text, leniency).expect("what is JSON is JSON to the tolerant reader");
        assert!(is_equivalent(&node, &leniently_read), "{leniency:?} read another tree: {leniently_read:?}");
    }
}

/// The tolerant reader keeps the same limits; the less tolerant it is, the less it takes, and it makes the same of it.
pub fn lenient_json(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let net = lenient_json::parse(text, Leniency::JsonNet);
    if let Ok(commas) = lenient_json::parse(text, Leniency::TrailingCommas) {
        assert_eq!(net.as_ref(), Ok(&commas));
    }
    let Ok(node) = net else { return };
    assert!(depth(&node) <= MAX_DEPTH, "deeper than {MAX_DEPTH}");
    let written = kit_json::write(&to_output(&node));
    assert_eq!(kit_json::parse(&written), Ok(with_fractions_as_text(&node)), "{written}");
}

/// A form is texts under names, no more of them than were sent, and the same when it is written and read again.
pub fn form(bytes: &[u8]) {
    let Ok(node) = kit_form::parse(bytes) else { return };
    let members = &node.as_object().expect("a form is an object").members;
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
        assert_eq!(kit_form::parse(written.as_bytes()), Ok(node), "{written}");
    }
}

/// Nothing is believed but what was signed: neither the text itself, nor the good tokens as it changes them.
pub fn jwt(bytes: &[u8]) {
    const KEY: &[u8] = b"a key of the installation";
    let access = kit_jwt::AccessTokenClaims {
        sub: "connection".into(),
        client_id: "connection".into(),
        key_fingerprint: kit_jwt::key_fingerprint(b"key"),
        iat: 1_700_000_000,
        exp: 4_102_444_800,
    };
    let token = kit_jwt::sign_access_token(&access, KEY).expect("signed");
    assert_eq!(kit_jwt::verify_access_token(&token, KEY).map(|access| access.exp), Some(access.exp));
    let audiences = ["https://m".to_owned()];
    let assert_unsigned_rejected = |text: &str| {
        let is_accepted = kit_jwt::verify_access_token(text, KEY).is_some();
        assert!(!is_accepted || text == token, "{text} was never signed");
        let is_accepted = kit_jwt::verify_assertion(text, RSA_PUBLIC_KEY, &audiences).is_some();
        assert!(!is_accepted || text == SIGNED_ASSERTION, "{text} was never signed");
    };
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_unsigned_rejected(text);
        let _ = (kit_jwt::unverified_subject(text), kit_jwt::looks_like_jwt(text), kit_jwt::check_public_key(text));
    }
    for good in [token.as_str(), SIGNED_ASSERTION] {
        let mut changed = good.as_bytes().to_vec();
        let end = changed.len();
        for (index, byte) in bytes.iter().enumerate() {
            changed[index % end] ^= byte;
        }
        if let Ok(text) = std::str::from_utf8(&changed) {
            assert_unsigned_rejected(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use testkit::corpus;

    #[test]
    fn corpus_of_xml() {
        corpus::for_each_input("xml", super::xml);
    }

    #[test]
    fn corpus_of_json() {
        corpus::for_each_input("json", super::json);
    }

    #[test]
    fn corpus_of_lenient_json() {
        corpus::for_each_input("lenient_json", super::lenient_json);
    }

    #[test]
    fn corpus_of_forms() {
        corpus::for_each_input("form", super::form);
    }

    #[test]
    fn corpus_of_filters() {
        corpus::for_each_input("filter", super::filter);
    }

    #[test]
    fn corpus_of_patches() {
        corpus::for_each_input("patch", super::patch);
    }

    #[test]
    fn corpus_of_tokens() {
        corpus::for_each_input("jwt", super::jwt);
    }
}
