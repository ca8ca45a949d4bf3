//! Converts one member of a body to its type, as each of the framework's parsers does.

use crate::kit::{Format, Node};

/// How the framework reports that a value does not have its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConversionError {
    /// This message under the member's key, or the generic one.
    Member(Option<String>),
    /// The generic message, twice.
    MemberTwice,
    /// The whole body is rejected.
    Body,
}

type Converted<T> = Result<Option<T>, ConversionError>;

const GENERIC: ConversionError = ConversionError::Member(None);

/// In a form, blank text is null; elsewhere it is kept.
pub(super) fn text(node: &Node, format: Format) -> Converted<String> {
    match (node, format) {
        (Node::Null, _) => Ok(None),
        (Node::Text(text), Format::Form) if text.trim().is_empty() => Ok(None),
        (Node::Text(text) | Node::Number(text), _) => Ok(Some(text.clone())),
        (Node::Bool(value), _) => Ok(Some(value.to_string())),
        (Node::List(_) | Node::Object(_), Format::Xml) => Err(ConversionError::Body),
        (Node::List(_) | Node::Object(_), _) => Err(GENERIC),
    }
}

/// An integer from `min` to `max`; `clr` is the member's name in messages.
pub(super) fn integer(node: &Node, format: Format, (min, max): (i64, i64), clr: &str) -> Converted<i64> {
    let within = |number: Option<i64>| number.filter(|n| (min..=max).contains(n));
    match (node, format) {
        (Node::Null, _) => Ok(None),
        (Node::Number(digits), _) => within(digits.parse().ok()).map(Some).ok_or(GENERIC),
        (Node::Text(text), Format::Xml) => within(text.trim().parse().ok()).map(Some).ok_or(ConversionError::Body),
        (Node::Text(text), _) if text.trim().is_empty() => Ok(None),
        (Node::Text(text), Format::Json) => within(parse_decimal_or_hex(text.trim(), &["0x"])).map(Some).ok_or(GENERIC),
        (Node::Text(text), Format::Form) => match parse_decimal_or_hex(text.trim(), &["0x", "&h", "#"]) {
            Some(number) => within(Some(number)).map(Some).ok_or(GENERIC),
            None if is_integer_overflow(text) => Err(GENERIC),
            None => Err(ConversionError::Member(Some(format!("The value '{text}' is not valid for {clr}.")))),
        },
        (Node::Bool(_) | Node::Object(_) | Node::List(_), Format::Json | Format::Form) => {
            Err(ConversionError::MemberTwice)
        }
        (Node::Bool(_) | Node::Object(_) | Node::List(_), Format::Xml) => Err(ConversionError::Body),
    }
}

fn parse_decimal_or_hex(text: &str, hex: &[&str]) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    match hex.iter().find_map(|prefix| lower.strip_prefix(prefix)) {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => i64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok(),
    }
}

/// In the original, overflow is not a format error and gets the generic message.
fn is_integer_overflow(text: &str) -> bool {
    let digits = text.trim().trim_start_matches(['+', '-']);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn boolean(node: &Node, format: Format, clr: &str) -> Converted<bool> {
    let word = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    };
    match (node, format) {
        (Node::Null, _) => Ok(None),
        (Node::Bool(value), _) => Ok(Some(*value)),
        (Node::Number(digits), _) => digits.parse::<f64>().map(|n| Some(n != 0.0)).map_err(|_| GENERIC),
        (Node::Text(text), Format::Xml) => match text.trim() {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => Err(ConversionError::Body),
        },
        (Node::Text(text), _) if text.trim().is_empty() => Ok(None),
        (Node::Text(text), Format::Json) => word(text).map(Some).ok_or(GENERIC),
        (Node::Text(text), Format::Form) => word(text)
            .map(Some)
            .ok_or(ConversionError::Member(Some(format!("The value '{text}' is not valid for {clr}.")))),
        (Node::List(_) | Node::Object(_), Format::Xml) => Err(ConversionError::Body),
        (Node::List(_) | Node::Object(_), _) => Err(GENERIC),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTE: (i64, i64) = (0, 255);

    fn t(text: &str) -> Node {
        Node::Text(text.into())
    }
    fn n(digits: &str) -> Node {
        Node::Number(digits.into())
    }

    #[test]
    fn json_numbers() {
        let int = |node: &Node| integer(node, Format::Json, (-5, 3000), "RoleId");
        for (node, value) in [(n("5"), 5), (t("5"), 5), (t(" 5 "), 5), (t("0x10"), 16), (n("-1"), -1)] {
            assert_eq!(int(&node), Ok(Some(value)), "{node:?}");
        }
        assert_eq!(int(&t("")), Ok(None));
        for bad in [t("abc"), n("1.0"), n("1.5"), n("3000000000")] {
            assert_eq!(int(&bad), Err(GENERIC), "{bad:?}");
        }
        assert_eq!(int(&Node::Bool(true)), Err(ConversionError::MemberTwice));
        assert_eq!(integer(&n("256"), Format::Json, BYTE, "DepartmentId"), Err(GENERIC));
    }

    #[test]
    fn form_and_xml_numbers() {
        let form = |text: &str| integer(&t(text), Format::Form, BYTE, "DepartmentId");
        for (text, value) in [(" 5 ", 5), ("+5", 5), ("0x10", 16), ("#0A", 10), ("&h0A", 10)] {
            assert_eq!(form(text), Ok(Some(value)), "{text}");
        }
        assert_eq!(form("300"), Err(GENERIC));
        assert_eq!(form("99999999999999999999"), Err(GENERIC));
        assert_eq!(
            form("abc"),
            Err(ConversionError::Member(Some("The value 'abc' is not valid for DepartmentId.".into())))
        );
        assert_eq!(integer(&t("x"), Format::Xml, BYTE, ""), Err(ConversionError::Body));
        assert_eq!(integer(&t(""), Format::Xml, BYTE, ""), Err(ConversionError::Body));
    }

    #[test]
    fn booleans() {
        for (node, format, value) in [
            (t(" TRUE "), Format::Json, true),
            (n("2"), Format::Json, true),
            (n("0"), Format::Json, false),
            (t("1"), Format::Xml, true),
            (t("False"), Format::Form, false),
        ] {
            assert_eq!(boolean(&node, format, "F"), Ok(Some(value)), "{node:?}");
        }
        assert_eq!(boolean(&t("on"), Format::Json, "F"), Err(GENERIC));
        assert_eq!(boolean(&t("True"), Format::Xml, "F"), Err(ConversionError::Body));
        assert!(boolean(&t("1"), Format::Form, "F").is_err());
    }
}
