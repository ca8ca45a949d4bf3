//! Compares the server's filter parser with a third-party one: the server accepts every core schema filter that the
//! other parser accepts.

use crate::scim_model::Fixture;
use crate::scim_model::choices::Choices;
use crate::scim_model::random_filters::FilterGenerator;
use crate::scim_model::resource::CORE;
use crate::scim_model::users;
use crate::support::{TestApp, runtime};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use scim_v2::filter::{AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter, ValuePath};
use serde_json::Value;

/// The type of an attribute, which determines its comparisons.
#[derive(Clone, Copy, PartialEq)]
enum AttributeType {
    Text,
    Boolean,
    Time,
    /// Has sub-attributes and no value.
    Complex,
}

/// The single-valued attributes of the core schema and some of the multi-valued ones; many are unassigned for all
/// users.
const NAMES: [(&str, AttributeType); 38] = [
    ("id", AttributeType::Text),
    ("externalId", AttributeType::Text),
    ("userName", AttributeType::Text),
    ("displayName", AttributeType::Text),
    ("nickName", AttributeType::Text),
    ("profileUrl", AttributeType::Text),
    ("title", AttributeType::Text),
    ("userType", AttributeType::Text),
    ("preferredLanguage", AttributeType::Text),
    ("locale", AttributeType::Text),
    ("timezone", AttributeType::Text),
    ("active", AttributeType::Boolean),
    ("name", AttributeType::Complex),
    ("name.formatted", AttributeType::Text),
    ("name.familyName", AttributeType::Text),
    ("name.givenName", AttributeType::Text),
    ("name.middleName", AttributeType::Text),
    ("name.honorificPrefix", AttributeType::Text),
    ("name.honorificSuffix", AttributeType::Text),
    ("meta", AttributeType::Complex),
    ("meta.created", AttributeType::Time),
    ("meta.lastModified", AttributeType::Time),
    ("meta.resourceType", AttributeType::Text),
    ("emails", AttributeType::Text),
    ("emails.display", AttributeType::Text),
    ("emails.primary", AttributeType::Boolean),
    ("phoneNumbers.value", AttributeType::Text),
    ("ims", AttributeType::Text),
    ("ims.type", AttributeType::Text),
    ("photos", AttributeType::Text),
    ("entitlements.value", AttributeType::Text),
    ("entitlements", AttributeType::Text),
    ("roles.primary", AttributeType::Boolean),
    ("addresses", AttributeType::Complex),
    ("addresses.formatted", AttributeType::Text),
    ("addresses.streetAddress", AttributeType::Text),
    ("addresses.region", AttributeType::Text),
    ("addresses.postalCode", AttributeType::Text),
];

/// The type of a path outside square brackets; `None` if the attribute is unknown in the core schema or not filterable.
fn attribute_type(path: &AttrPath) -> Option<AttributeType> {
    if path.uri.as_deref().is_some_and(|uri| uri != CORE) {
        return None;
    }
    let name = path.name.to_ascii_lowercase();
    if is_common(&name) && path.uri.is_some() {
        return None;
    }
    match &path.sub_attr {
        Some(part) if is_multi_valued(&name) => sub_attribute_type(&name, &part.to_ascii_lowercase()),
        Some(part) => single_valued_type(&format!("{name}.{part}")),
        None if is_multi_valued(&name) && name != "addresses" => Some(AttributeType::Text),
        None => single_valued_type(&name),
    }
}

/// Common attributes belong to every schema and are written without one.
fn is_common(name: &str) -> bool {
    matches!(name.split('.').next(), Some("id" | "externalid" | "externalId" | "meta"))
}

fn is_multi_valued(name: &str) -> bool {
    matches!(name, "emails" | "phonenumbers" | "ims" | "photos" | "entitlements" | "roles" | "addresses")
}

fn single_valued_type(name: &str) -> Option<AttributeType> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, sort)| *sort)
}

fn sub_attribute_type(plural: &str, part: &str) -> Option<AttributeType> {
    let texts = match plural {
        "addresses" => &["type", "formatted", "streetaddress", "locality", "region", "postalcode", "country"][..],
        _ => &["type", "value", "display"][..],
    };
    match part {
        "primary" => Some(AttributeType::Boolean),
        part if texts.contains(&part) => Some(AttributeType::Text),
        _ => None,
    }
}

/// Whether a filter uses only core schema attributes and compares them with values of their type.
fn is_valid(filter: &Filter) -> bool {
    match filter {
        Filter::Attr(test) => is_valid_comparison(test, attribute_type),
        Filter::ValuePath(ValuePath { attr, filter }) => {
            let plural = attr.name.to_ascii_lowercase();
            attr.sub_attr.is_none()
                && is_multi_valued(&plural)
                && attribute_type(attr).is_some()
                && is_valid_in_value_path(filter, &plural)
        }
        Filter::And(all) | Filter::Or(all) => all.as_slice().iter().all(is_valid),
        Filter::Not(inner) => is_valid(inner),
    }
}

fn is_valid_in_value_path(filter: &ValFilter, plural: &str) -> bool {
    match filter {
        ValFilter::Attr(test) => is_valid_comparison(test, |path| {
            let is_bare = path.uri.is_none() && path.sub_attr.is_none();
            if is_bare { sub_attribute_type(plural, &path.name.to_ascii_lowercase()) } else { None }
        }),
        ValFilter::And(all) | ValFilter::Or(all) => {
            all.as_slice().iter().all(|inner| is_valid_in_value_path(inner, plural))
        }
        ValFilter::Not(inner) => is_valid_in_value_path(inner, plural),
    }
}

fn is_valid_comparison(test: &AttrExp, sort_of: impl Fn(&AttrPath) -> Option<AttributeType>) -> bool {
    let is_equality = |operator: &CompareOp| matches!(operator, CompareOp::Eq | CompareOp::Ne);
    match test {
        AttrExp::Present(path) => sort_of(path).is_some(),
        AttrExp::Comparison(path, operator, value) => match (sort_of(path), value) {
            (None | Some(AttributeType::Complex), _) => false,
            (_, CompValue::Null) => is_equality(operator),
            (Some(AttributeType::Text), value) => matches!(value, CompValue::Str(_)),
            (Some(AttributeType::Boolean), value) => {
                is_equality(operator) && matches!(value, CompValue::True | CompValue::False)
            }
            (Some(AttributeType::Time), CompValue::Str(text)) => {
                let is_substring = matches!(operator, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
                !is_substring && is_time(text)
            }
            (Some(AttributeType::Time), _) => false,
        },
    }
}

/// Whether a text has the generator's time format; mutated ones may not.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let shape = shape.replace('-', "+");
    let known = ["0000+00+00T00:00:00", "0000+00+00T00:00:00.000", "0000+00+00T00:00:00.000000"];
    let zones = ["Z", "+00:00"];
    known.iter().any(|known| zones.iter().any(|zone| format!("{known}{zone}") == shape))
}

/// Replaces or removes some tokens.
fn mutate(text: &str, rng: &mut Choices) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..rng.below(4) {
        let place = rng.below(letters.len().max(1));
        let token = rng.choose(&[
            " ", "  ", "(", ")", "[", "]", ".", "\"", "\\", " and ", " or ", "not (", "not ", " pr", " eq ", "null",
            "true", "type", "title", "emails", ":", "1.5", "-", "x", "urn:",
        ]);
        if rng.once_in(3) && !letters.is_empty() {
            letters.remove(place);
        } else {
            letters.splice(place..place, token.chars());
        }
    }
    letters.into_iter().collect()
}

/// A random filter over [`NAMES`].
fn any_filter(rng: &mut Choices, depth: usize) -> String {
    if depth == 0 || rng.below(5) < 2 {
        return any_test(rng);
    }
    let left = any_filter(rng, depth - 1);
    match rng.below(5) {
        0 => format!("{left} and {}", any_filter(rng, depth - 1)),
        1 => format!("{left} or {}", any_filter(rng, depth - 1)),
        2 => format!("({left})"),
        3 => format!("not ({left})"),
        _ => {
            let plural = rng.choose(&["emails", "ims", "entitlements", "roles", "photos", "phoneNumbers"]);
            let inner = rng.choose(&["type eq \"work\"", "value pr", "primary eq true", "display co \"x\""]);
            let more = rng.choose(&["", " and not (value sw \"x\")", " or (type pr and primary ne false)"]);
            format!("{plural}[{inner}{more}] and {left}")
        }
    }
}

fn any_test(rng: &mut Choices) -> String {
    let (name, sort) = rng.choose(&NAMES);
    let prefix = if !is_common(name) && rng.once_in(5) { format!("{CORE}:") } else { String::new() };
    let name = format!("{prefix}{}", rng.random_case(name));
    if sort == AttributeType::Complex || rng.once_in(5) {
        return format!("{name} {}", rng.random_case("pr"));
    }
    let texts = ["\"\"", "\"x\"", "\"a ] ) b\"", "\"\\u00e9\\/\\t\\\"\"", "\"日本 🦀\""];
    let (operators, values) = match sort {
        AttributeType::Boolean => (&["eq", "ne"][..], &["true", "false"][..]),
        AttributeType::Time => (&["eq", "ne", "gt", "ge", "lt", "le"][..], &["\"2026-01-02T03:04:05Z\""][..]),
        _ => (&["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"][..], &texts[..]),
    };
    let operator = rng.choose(operators);
    let is_equality = ["eq", "ne"].contains(&operator);
    let value = if is_equality && rng.once_in(6) { "null" } else { rng.choose(values) };
    format!("{name} {} {value}", rng.random_case(operator))
}

#[test]
fn filters_accepted_by_another_parser_are_accepted() {
    let runtime = runtime();
    let world = runtime.block_on(Fixture::on(TestApp::in_memory()));
    let users: Vec<Value> = runtime.block_on(users::create_users(&world)).into_iter().take(20).collect();
    let compared = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::proptest_config(1500, file!()));
    let outcome = runner.run(&Choices::strategy(160), |mut rng| {
        let mut text = if rng.once_in(2) {
            any_filter(&mut rng, 3)
        } else {
            let filter = FilterGenerator { choices: &mut rng, users: &users }.filter(3);
            filter.write(&mut rng)
        };
        if rng.once_in(2) {
            text = mutate(&text, &mut rng);
        }
        // The other parser also accepts a space before a bracket, which RFC 7644 §3.4.2.2 does not allow.
        let is_lax = text.contains(" [");
        let is_sound_filter = text.parse::<Filter>().is_ok_and(|filter| is_valid(&filter));
        if !is_sound_filter || is_lax || text.chars().count() > 2048 {
            return Ok(());
        }
        compared.set(compared.get() + 1);
        let (status, answer) = runtime.block_on(world.search(&text));
        prop_assert_eq!(status, 200, "{} gave {}", text, answer);
        Ok(())
    });
    outcome.expect("accepted");
    assert!(compared.get() >= 400, "only {} filters could be compared", compared.get());
}
