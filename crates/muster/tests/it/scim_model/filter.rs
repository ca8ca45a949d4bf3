//! The model of filters: a tree, its evaluation over a document, and the texts in which a client may write it.

use super::choices::Choices;
use super::resource::{CORE, ENTERPRISE, MUSTER_EXTENSION};
use serde_json::Value;

#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Comparison(Comparison),
    /// `attribute[inner]`, or with `then`, a sub-attribute of the selected values: `attribute[inner].value eq "x"`.
    ValuePath {
        name: AttributePath,
        inner: Box<Filter>,
        then: Option<Comparison>,
    },
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// A comparison; `pr` has no literal.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(super) name: AttributePath,
    pub(super) operator: &'static str,
    pub(super) literal: Option<Literal>,
}

/// The left operand; inside square brackets, the sub-attribute is the `attribute`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttributePath {
    pub(super) schema: &'static str,
    pub(super) attribute: &'static str,
    pub(super) sub_attribute: Option<&'static str>,
}

/// The right operand.
#[derive(Clone, Debug)]
pub(crate) enum Literal {
    Text(String),
    Boolean(bool),
    /// Microseconds since 1970, and the format: UTC offset in minutes and number of fractional digits.
    Time {
        micros: i64,
        offset: i64,
        digits: usize,
    },
}

impl AttributePath {
    pub(super) const fn core(attribute: &'static str) -> Self {
        Self { schema: CORE, attribute, sub_attribute: None }
    }
}

impl Comparison {
    pub(crate) fn text(attribute: &'static str, operator: &'static str, text: impl Into<String>) -> Self {
        Self { name: AttributePath::core(attribute), operator, literal: Some(Literal::Text(text.into())) }
    }
}

/// Whether the attribute is `caseExact` according to RFC 7643 §4 and the discovered schemas.
fn is_case_exact(plural: Option<&str>, name: AttributePath) -> bool {
    let full = match (plural, name.sub_attribute) {
        (Some(plural), _) => format!("{plural}.{}", name.attribute),
        (None, Some(part)) => format!("{}.{part}", name.attribute),
        // Without a sub-attribute, a comparison uses `value`.
        (None, None) if name.attribute == "photos" => "photos.value".to_owned(),
        (None, None) => name.attribute.to_owned(),
    };
    matches!(
        full.as_str(),
        "id" | "externalId"
            | "profileUrl"
            | "photos.value"
            | "manager.value"
            | "x509Certificates.value"
            | "meta.resourceType"
    )
}

impl Filter {
    /// Whether the filter selects a user.
    pub(crate) fn matches(&self, user: &Value) -> bool {
        self.matches_in(user, None)
    }

    /// Whether the filter selects an entry of a multi-valued attribute.
    pub(crate) fn matches_entry(&self, attribute: &str, entry: &Value) -> bool {
        self.matches_in(entry, Some(attribute))
    }

    fn matches_in(&self, value: &Value, plural: Option<&str>) -> bool {
        match self {
            Self::Comparison(test) => test.matches([value].into_iter(), plural),
            Self::ValuePath { name, inner, then } => {
                let entries = value.get(name.attribute).and_then(Value::as_array);
                let is_chosen = |entry: &&Value| inner.matches_entry(name.attribute, entry);
                let mut chosen = entries.into_iter().flatten().filter(is_chosen);
                match then {
                    None => chosen.next().is_some(),
                    Some(test) => test.matches(chosen, Some(name.attribute)),
                }
            }
            Self::And(left, right) => left.matches_in(value, plural) && right.matches_in(value, plural),
            Self::Or(left, right) => left.matches_in(value, plural) || right.matches_in(value, plural),
            Self::Not(inner) => !inner.matches_in(value, plural),
        }
    }
}

impl Comparison {
    /// Whether the comparison is true for any of the `holders`: one user, or entries of the `plural` attribute.
    fn matches<'a>(&self, mut holders: impl Iterator<Item = &'a Value>, plural: Option<&str>) -> bool {
        let fold = |text: &str| {
            if is_case_exact(plural, self.name) { text.to_owned() } else { text.to_lowercase() }
        };
        let passes = |value: &Value, operator: &str| match (self.literal.as_ref(), value) {
            (Some(Literal::Text(wanted)), Value::String(text)) => compare_texts(&fold(text), operator, &fold(wanted)),
            (Some(Literal::Boolean(wanted)), Value::Bool(flag)) => operator == "eq" && flag == wanted,
            (Some(Literal::Time { micros, .. }), Value::String(text)) => compare(&parse_micros(text), operator, micros),
            _ => false,
        };
        let is_false = matches!(self.literal, Some(Literal::Boolean(false)));
        let means_unset = plural.is_some() && self.name.attribute == "primary" && is_false;
        let mut holds = |operator: &str| {
            holders.any(|holder| {
                let values = values(holder, self.name);
                if values.is_empty() && means_unset {
                    return operator == "eq";
                }
                values.into_iter().any(|value| operator == "pr" || passes(value, operator))
            })
        };
        if self.operator == "ne" { !holds("eq") } else { holds(self.operator) }
    }
}

/// The values of a path; those of all entries of a multi-valued attribute.
fn values(holder: &Value, name: AttributePath) -> Vec<&Value> {
    let home =
        if matches!(name.schema, ENTERPRISE | MUSTER_EXTENSION) { holder.get(name.schema) } else { Some(holder) };
    let Some(value) = home.and_then(|home| home.get(name.attribute)) else { return Vec::new() };
    match value {
        Value::Array(list) => list.iter().filter_map(|entry| sub_attribute(entry, name.sub_attribute)).collect(),
        value => sub_attribute(value, name.sub_attribute).into_iter().collect(),
    }
}

fn sub_attribute<'a>(value: &'a Value, part: Option<&str>) -> Option<&'a Value> {
    match (value, part) {
        (Value::Object(map), Some(part)) => map.get(part),
        // An address has no `value`, but is present.
        (Value::Object(map), None) => map.get("value").or(Some(value)),
        _ => Some(value),
    }
}

fn compare_texts(text: &str, operator: &str, wanted: &str) -> bool {
    match operator {
        "co" => text.contains(wanted),
        "sw" => text.starts_with(wanted),
        "ew" => text.ends_with(wanted),
        // UTF-8 byte order equals code point order.
        _ => compare(&text, operator, &wanted),
    }
}

fn compare<T: Ord>(value: &T, operator: &str, wanted: &T) -> bool {
    match operator {
        "eq" => value == wanted,
        "gt" => value > wanted,
        "ge" => value >= wanted,
        "lt" => value < wanted,
        "le" => value <= wanted,
        _ => false,
    }
}

/// Parses the server's time format to microseconds since 1970.
pub(crate) fn parse_micros(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("a number");
    assert!(text.ends_with('Z'), "{text} is not in UTC");
    let days = days_since_epoch(number(0, 4), number(5, 7)) + number(8, 10) - 1;
    let seconds = (number(11, 13) * 60 + number(14, 16)) * 60 + number(17, 19);
    let fraction = text[19..text.len() - 1].trim_start_matches('.');
    let micros: i64 = format!("{fraction:0<6}")[..6].parse().expect("a fraction");
    (days * 86_400 + seconds) * 1_000_000 + micros
}

/// Days from 1970-01-01 to the first day of a month.
fn days_since_epoch(year: i64, month: i64) -> i64 {
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    let february = if is_leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = usize::try_from(month - 1).expect("a month");
    years + lengths[..months].iter().sum::<i64>()
}

/// Formats a time with a UTC offset.
fn format_time(micros: i64, offset: i64, digits: usize) -> String {
    let local = micros + offset * 60_000_000;
    let (seconds, fraction) = (local.div_euclid(1_000_000), local.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let year = (1970..3000).take_while(|&year| days_since_epoch(year, 1) <= days).last().expect("a year");
    let month = (1..=12).take_while(|&month| days_since_epoch(year, month) <= days).last().expect("a month");
    let day = days - days_since_epoch(year, month) + 1;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = match digits {
        0 => String::new(),
        digits => format!(".{}", &format!("{fraction:06}")[..digits]),
    };
    let zone = if offset == 0 {
        "Z".to_owned()
    } else {
        let sign = if offset < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60)
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")
}

/// Operator precedence: a node with lower precedence needs parentheses inside one with higher precedence.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
enum Precedence {
    Or,
    And,
    Single,
}

impl Filter {
    /// Writes the filter in a random equivalent form.
    pub(crate) fn write(&self, rng: &mut Choices) -> String {
        let mut text = String::new();
        if rng.once_in(8) {
            text.push_str("  ");
        }
        self.write_in(&mut text, Precedence::Or, rng);
        if rng.once_in(8) {
            text.push(' ');
        }
        text
    }

    fn write_in(&self, text: &mut String, around: Precedence, rng: &mut Choices) {
        let bond = match self {
            Self::Or(..) => Precedence::Or,
            Self::And(..) => Precedence::And,
            _ => Precedence::Single,
        };
        if bond < around || rng.once_in(12) {
            let (open, close) = rng.choose(&[("(", ")"), ("(", ")"), ("( ", " )")]);
            text.push_str(open);
            self.write_bare(text, rng);
            text.push_str(close);
        } else {
            self.write_bare(text, rng);
        }
    }

    fn write_bare(&self, text: &mut String, rng: &mut Choices) {
        match self {
            Self::Comparison(test) => test.write(text, rng),
            Self::ValuePath { name, inner, then } => {
                name.write(text, rng);
                let (open, close) = rng.choose(&[("[", "]"), ("[", "]"), ("[", "]"), ("[ ", " ]")]);
                text.push_str(open);
                inner.write_in(text, Precedence::Or, rng);
                text.push_str(close);
                if let Some(test) = then {
                    text.push('.');
                    test.write(text, rng);
                }
            }
            Self::And(left, right) => {
                left.write_in(text, Precedence::And, rng);
                write_word(text, "and", rng);
                right.write_in(text, Precedence::And, rng);
            }
            Self::Or(left, right) => {
                left.write_in(text, Precedence::Or, rng);
                write_word(text, "or", rng);
                right.write_in(text, Precedence::Or, rng);
            }
            Self::Not(inner) => {
                text.push_str(&rng.random_case("not"));
                text.push_str(rng.choose(&[" (", " (", "(", "  ("]));
                inner.write_in(text, Precedence::Or, rng);
                text.push(')');
            }
        }
    }
}

/// Writes a word with spaces around it.
fn write_word(text: &mut String, word: &str, rng: &mut Choices) {
    let blanks = [" ", " ", " ", "  "];
    text.push_str(rng.choose(&blanks));
    text.push_str(&rng.random_case(word));
    text.push_str(rng.choose(&blanks));
}

impl AttributePath {
    fn write(self, text: &mut String, rng: &mut Choices) {
        // Common attributes such as `id` belong to every schema and have no URN prefix.
        let is_common = matches!(self.attribute, "id" | "externalId" | "meta");
        if self.schema != CORE || (!is_common && !self.is_sub_attribute() && rng.once_in(6)) {
            text.push_str(self.schema);
            text.push(':');
        }
        text.push_str(&rng.random_case(self.attribute));
        if let Some(part) = self.sub_attribute {
            text.push('.');
            text.push_str(&rng.random_case(part));
        }
    }

    /// Whether the path is a sub-attribute inside square brackets.
    fn is_sub_attribute(self) -> bool {
        matches!(
            self.attribute,
            "value"
                | "type"
                | "display"
                | "primary"
                | "formatted"
                | "streetAddress"
                | "locality"
                | "region"
                | "postalCode"
                | "country"
        )
    }
}

impl Comparison {
    fn write(&self, text: &mut String, rng: &mut Choices) {
        self.name.write(text, rng);
        let Some(literal) = &self.literal else {
            text.push_str(rng.choose(&[" ", " ", "   "]));
            text.push_str(&rng.random_case(self.operator));
            return;
        };
        write_word(text, self.operator, rng);
        match literal {
            Literal::Text(wanted) => text.push_str(&quoted(wanted, rng)),
            Literal::Boolean(flag) => text.push_str(if *flag { "true" } else { "false" }),
            Literal::Time { micros, offset, digits } => {
                text.push_str(&format!("\"{}\"", format_time(*micros, *offset, *digits)));
            }
        }
    }
}

/// A JSON string, sometimes with unnecessary escapes.
fn quoted(text: &str, rng: &mut Choices) -> String {
    if !rng.once_in(8) {
        return Value::from(text).to_string();
    }
    let escaped = text.encode_utf16().fold(String::new(), |all, unit| format!("{all}\\u{unit:04x}"));
    format!("\"{escaped}\"")
}

#[test]
fn times_are_read_as_they_are_written() {
    let text = "2026-03-01T00:30:05.192993Z";
    let micros = parse_micros(text);
    assert_eq!(micros, 1_772_325_005_192_993);
    assert_eq!(format_time(micros, 0, 6), text);
    assert_eq!(format_time(micros, -90, 3), "2026-02-28T23:00:05.192-01:30");
}
