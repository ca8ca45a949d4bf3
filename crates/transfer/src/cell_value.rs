//! Parsing and formatting of cell values. In files without types, cells are text: lists are separated by
//! semicolons, with quotes around entries that contain special characters, and structured values are JSON.

use directory::{Address, FieldUpdate, MetadataEntry, ProfileLink, ProfileLinkKind, TypedValue};
use serde_json::Value;
use std::borrow::Cow;

/// The text follows the name of the column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InvalidValue(pub(crate) String);

type ParseResult<T> = Result<T, InvalidValue>;

fn invalid<T>(what: &str) -> ParseResult<T> {
    Err(InvalidValue(what.to_owned()))
}

/// White space, including zero-width characters.
fn is_invisible(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200B}' | '\u{2060}' | '\u{FEFF}')
}

pub(crate) fn trim_invisible(text: &str) -> &str {
    text.trim_matches(is_invisible)
}

/// Prefixes an apostrophe if a spreadsheet would run the text or an import would trim it.
pub(crate) fn escape_cell(text: &str) -> Cow<'_, str> {
    if needs_escape(text.trim_start_matches('\'')) { format!("'{text}").into() } else { text.into() }
}

/// Prefixes an apostrophe if a spreadsheet would run the cell of a rejected row.
pub(crate) fn escape_formula(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { format!("'{cell}").into() } else { cell.into() }
}

/// Reverses [`escape_cell`]; trims other cells.
pub(crate) fn unescape_cell(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(inner) if needs_escape(inner.trim_start_matches('\'')) => inner,
        _ => trim_invisible(cell),
    }
}

fn needs_escape(text: &str) -> bool {
    is_formula(text) || trim_invisible(text) != text
}

/// Whether a spreadsheet would run a text as a formula. Numbers and phone numbers are not formulas.
fn is_formula(text: &str) -> bool {
    let is_number_char = |c: char| c.is_ascii_digit() || " ()./-+".contains(c);
    match text.chars().next() {
        Some('=' | '@' | '\t' | '\r') => true,
        Some('+' | '-') => !text.chars().all(is_number_char),
        _ => false,
    }
}

/// A text; an empty one clears.
pub(crate) fn text(value: &Value) -> ParseResult<FieldUpdate<String>> {
    Ok(match single_text(value)? {
        None => FieldUpdate::Clear,
        Some(text) if text.is_empty() => FieldUpdate::Clear,
        Some(text) => FieldUpdate::Set(text),
    })
}

/// An email or user name, without white space around it and without the `mailto:` of spreadsheet links.
pub(crate) fn identifier(value: &Value) -> ParseResult<FieldUpdate<String>> {
    Ok(match text(value)? {
        FieldUpdate::Set(text) => {
            let text = trim_invisible(&text);
            let text = text.strip_prefix("mailto:").unwrap_or(text);
            if text.is_empty() { FieldUpdate::Clear } else { FieldUpdate::Set(text.to_owned()) }
        }
        given => given,
    })
}

/// One text of a value: the first of a list, the name of an object.
fn single_text(value: &Value) -> ParseResult<Option<String>> {
    Ok(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(list) => list.first().map_or(Ok(None), single_text)?,
        Value::Object(parts) => {
            let named = ["value", "name", "display", "orgname"].iter().find_map(|name| parts.get(*name));
            match named {
                Some(named) if !named.is_object() => single_text(named)?,
                _ => return invalid("must be text, not an object"),
            }
        }
    })
}

pub(crate) fn boolean(value: &Value) -> ParseResult<FieldUpdate<bool>> {
    if let Value::Bool(flag) = value {
        return Ok(FieldUpdate::Set(*flag));
    }
    let FieldUpdate::Set(text) = text(value)? else { return Ok(FieldUpdate::Clear) };
    match text.trim().to_lowercase().as_str() {
        "true" | "yes" | "y" | "1" | "on" | "x" | "wahr" | "ja" | "vrai" | "oui" | "verdadero" | "sí" | "si"
        | "vero" | "sì" | "verdadeiro" | "sim" | "waar" => Ok(FieldUpdate::Set(true)),
        "false" | "no" | "n" | "0" | "off" | "falsch" | "nein" | "faux" | "non" | "falso" | "não" | "onwaar"
        | "nee" => Ok(FieldUpdate::Set(false)),
        _ => invalid("must be true or false"),
    }
}

pub(crate) fn number(value: &Value) -> ParseResult<FieldUpdate<u32>> {
    let FieldUpdate::Set(text) = text(value)? else { return Ok(FieldUpdate::Clear) };
    text.trim().parse().map(FieldUpdate::Set).or_else(|_| invalid("must be a whole number"))
}

pub(crate) fn number_list(value: &Value) -> ParseResult<Vec<u32>> {
    let all = text_list(value)?.into_iter().map(|text| text.trim().parse());
    all.collect::<Result<_, _>>().or_else(|_| invalid("must contain whole numbers only"))
}

pub(crate) fn text_list(value: &Value) -> ParseResult<Vec<String>> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => {
            let all = list.iter().map(single_text).collect::<ParseResult<Vec<_>>>()?;
            Ok(all.into_iter().flatten().collect())
        }
        Value::String(text) => split_list(text),
        other => Ok(single_text(other)?.into_iter().collect()),
    }
}

/// The entries of a list in a text cell.
fn split_list(text: &str) -> ParseResult<Vec<String>> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix('"') {
            let (entry, after) = take_quoted(quoted)?;
            all.push(entry);
            let after = after.trim_start();
            rest = match after.strip_prefix(';') {
                Some(more) => more.trim_start(),
                None if after.is_empty() => "",
                None => return invalid("has text after a quoted list entry (separate entries with semicolons)"),
            };
        } else {
            let (entry, more) = rest.split_once(';').unwrap_or((rest, ""));
            if !entry.trim().is_empty() {
                all.push(entry.trim().to_owned());
            }
            rest = more.trim_start();
        }
    }
    Ok(all)
}

/// The text up to the closing quote, and the text after it.
fn take_quoted(text: &str) -> ParseResult<(String, &str)> {
    let mut entry = String::new();
    let mut rest = text;
    loop {
        let Some((before, behind)) = rest.split_once('"') else {
            return invalid("has a list entry without a closing quote");
        };
        entry.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                entry.push('"');
                rest = more;
            }
            None => return Ok((entry, behind)),
        }
    }
}

fn join_list<'a>(all: impl IntoIterator<Item = &'a str>) -> String {
    let quoted = |entry: &str| {
        let is_plain = !entry.is_empty()
            && entry.trim() == entry
            && !entry.contains([';', '"', '\n', '\r'])
            && !entry.starts_with(['[', '{', '\'']);
        if is_plain { entry.to_owned() } else { format!("\"{}\"", entry.replace('"', "\"\"")) }
    };
    all.into_iter().map(quoted).collect::<Vec<_>>().join("; ")
}

/// The text of a cell in formats without types.
pub(crate) fn to_cell_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.iter().all(Value::is_string) => join_list(list.iter().filter_map(Value::as_str)),
        other => other.to_string(),
    }
}

/// JSON in a text cell, a list in a text cell, or a JSON value.
fn parse_json_cell(value: &Value) -> ParseResult<Value> {
    match value {
        Value::String(text) if text.trim_start().starts_with(['[', '{']) => {
            serde_json::from_str(text).or_else(|error| invalid(&format!("is not valid JSON: {error}")))
        }
        Value::String(text) => Ok(split_list(text)?.into_iter().map(Value::String).collect()),
        other => Ok(other.clone()),
    }
}

/// A list; a single value becomes a list of one.
fn to_list(value: &Value) -> ParseResult<Vec<Value>> {
    Ok(match parse_json_cell(value)? {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        other => vec![other],
    })
}

fn deserialize<T: serde::de::DeserializeOwned>(value: Value) -> ParseResult<T> {
    serde_json::from_value(value).or_else(|error| invalid(&format!("has an invalid entry: {error}")))
}

/// Multi-valued attributes. Plain values get `default_type`; the first may be the primary one.
pub(crate) fn multi_valued(value: &Value, default_type: &str, first_is_primary: bool) -> ParseResult<Vec<TypedValue>> {
    let list = to_list(value)?;
    let plain_value = |index: usize, text: String| {
        let entry = TypedValue::new(default_type, text);
        if index == 0 && first_is_primary { entry.with_primary() } else { entry }
    };
    let entry = |(place, value): (usize, Value)| match value {
        Value::String(text) if default_type.is_empty() => Ok(TypedValue { value: text, ..TypedValue::default() }),
        Value::String(text) => Ok(plain_value(place, text)),
        other => deserialize(other),
    };
    list.into_iter().enumerate().map(entry).collect()
}

/// Postal addresses, also with SCIM's names of their parts.
pub(crate) fn addresses(value: &Value) -> ParseResult<Vec<Address>> {
    let address = |mut value: Value| {
        if let Some(parts) = value.as_object_mut() {
            for (theirs, ours) in [("streetAddress", "line1"), ("locality", "city"), ("postalCode", "postal_code")] {
                if let Some(part) = parts.remove(theirs) {
                    parts.insert(ours.into(), part);
                }
            }
        }
        deserialize(value)
    };
    to_list(value)?.into_iter().map(address).collect()
}

/// Links of one kind, as exported or as multi-valued attributes of SCIM (`type`, `value`).
pub(crate) fn links(value: &Value, kind: ProfileLinkKind) -> ParseResult<Vec<ProfileLink>> {
    let link = |value: Value| {
        let Value::Object(mut parts) = value else {
            return Ok(ProfileLink::new(kind, "", single_text(&value)?.unwrap_or_default()));
        };
        let mut take = |name: &str| parts.remove(name).filter(|part| !part.is_null());
        let mut take_text =
            |names: &[&str]| names.iter().find_map(|name| take(name)).map_or(Ok(None), |part| single_text(&part));
        let (name, target) = (take_text(&["name", "type"])?, take_text(&["value", "url"])?);
        let display = take_text(&["display"])?;
        let primary = parts.remove("primary").and_then(|part| part.as_bool());
        Ok(ProfileLink {
            display,
            primary,
            ..ProfileLink::new(kind, name.unwrap_or_default(), target.unwrap_or_default())
        })
    };
    to_list(value)?.into_iter().map(link).collect()
}

/// Key-value pairs: a list of `key` and `value`, one object, or `key=value` texts.
pub(crate) fn pairs(value: &Value) -> ParseResult<Vec<MetadataEntry>> {
    let mut all = Vec::new();
    for value in to_list(value)? {
        match value {
            Value::String(text) => {
                let (key, value) = text.split_once('=').ok_or(InvalidValue("has an entry without `=`".into()))?;
                all.push(MetadataEntry { key: key.trim().to_owned(), value: value.trim().to_owned() });
            }
            Value::Object(parts) if parts.contains_key("key") => all.push(deserialize(Value::Object(parts))?),
            Value::Object(parts) => {
                for (key, value) in parts {
                    all.push(MetadataEntry { key, value: single_text(&value)?.unwrap_or_default() });
                }
            }
            _ => return invalid("must be a list of key=value pairs"),
        }
    }
    Ok(all)
}

/// Letters and digits of a text, case-folded.
pub(crate) fn normalize_header(text: &str) -> String {
    directory::fold(text).chars().filter(|c| c.is_alphanumeric()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_in_a_cell_lose_nothing() {
        let awkward = ["a", "", " spaced ", "semi;colon", "quo\"te", "two\nlines", "[x]", "ünï 🦀", "'=1+1", ";"];
        for some in 0..awkward.len() {
            let list: Vec<&str> = awkward[some..].to_vec();
            let cell = to_cell_text(&json!(list));
            assert_eq!(text_list(&json!(cell)).expect("a list"), list, "{cell}");
        }
        assert_eq!(text_list(&json!("Sales; Support ;; x")).expect("a list"), ["Sales", "Support", "x"]);
        assert!(text_list(&json!("\"open")).is_err());
        assert!(text_list(&json!("\"a\" b; c")).is_err());
    }

    #[test]
    fn nothing_is_run_and_nothing_is_lost() {
        for text in [
            "=1+1",
            "@x",
            "-R&D",
            "+cmd|' /C calc'!A0",
            "'=1",
            "''=1",
            "\tx",
            "'",
            "'x",
            "+49 30 1234",
            "-5",
            "x",
            " x",
            "x\u{A0}",
            "' x",
            "\u{200B}",
        ] {
            let written = escape_cell(text);
            assert!(!written.starts_with(['=', '@', '\t']), "{written}");
            assert_eq!(unescape_cell(&written), text);
        }
        assert_eq!(escape_cell("+49 (0)30 1234"), "+49 (0)30 1234", "a phone number is one");
        assert_eq!(unescape_cell(" \u{A0}ann@example.com\u{200B}"), "ann@example.com");
    }

    #[test]
    fn cells_are_what_they_look_like() {
        assert_eq!(text(&json!(1234)), Ok(FieldUpdate::Set("1234".into())));
        assert_eq!(text(&json!(["a", "b"])), Ok(FieldUpdate::Set("a".into())));
        assert_eq!(text(&Value::Null), Ok(FieldUpdate::Clear));
        assert!(text(&json!({"x": {}})).is_err());
        assert_eq!(boolean(&json!("Yes")), Ok(FieldUpdate::Set(true)));
        assert!(boolean(&json!("perhaps")).is_err());
        assert_eq!(number(&json!("7")), Ok(FieldUpdate::Set(7)));
        assert!(number(&json!("-7")).is_err());
        assert_eq!(number_list(&json!("1; 2")), Ok(vec![1, 2]));
        assert_eq!(
            multi_valued(&json!("a@b; c@d"), "work", true).expect("two")[0],
            TypedValue::new("work", "a@b").with_primary()
        );
        assert_eq!(
            pairs(&json!("a=1; b = 2=3")).expect("two")[1],
            MetadataEntry { key: "b".into(), value: "2=3".into() }
        );
        assert_eq!(pairs(&json!({"a": 1})).expect("one")[0].value, "1");
        assert!(multi_valued(&json!("[{"), "work", true).is_err());
        let scim = json!([{"type": "work", "streetAddress": "S", "locality": "C"}]);
        assert_eq!(addresses(&scim).expect("one")[0].city.as_deref(), Some("C"));
    }
}
