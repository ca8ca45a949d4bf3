//! The server's filter parser against another one: what that one takes for a filter over the core schema, the server
//! takes too.

use crate::scim_model::World;
use crate::scim_model::dice::Dice;
use crate::scim_model::people;
use crate::scim_model::questions::Asker;
use crate::scim_model::resource::CORE;
use crate::support::{House, runtime};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use scim_v2::filter::{AttrExp, AttrPath, CompValue, CompareOp, Filter, ValFilter, ValuePath};
use serde_json::Value;

/// The sort of an attribute, which says what it may be compared with.
#[derive(Clone, Copy, PartialEq)]
enum Sort {
    Text,
    Flag,
    Time,
    /// Made of parts and without a value of its own.
    Parts,
}

/// The singular attributes of the core schema and some of the plural ones; many of them no user here has.
const NAMES: [(&str, Sort); 38] = [
    ("id", Sort::Text),
    ("externalId", Sort::Text),
    ("userName", Sort::Text),
    ("displayName", Sort::Text),
    ("nickName", Sort::Text),
    ("profileUrl", Sort::Text),
    ("title", Sort::Text),
    ("userType", Sort::Text),
    ("preferredLanguage", Sort::Text),
    ("locale", Sort::Text),
    ("timezone", Sort::Text),
    ("active", Sort::Flag),
    ("name", Sort::Parts),
    ("name.formatted", Sort::Text),
    ("name.familyName", Sort::Text),
    ("name.givenName", Sort::Text),
    ("name.middleName", Sort::Text),
    ("name.honorificPrefix", Sort::Text),
    ("name.honorificSuffix", Sort::Text),
    ("meta", Sort::Parts),
    ("meta.created", Sort::Time),
    ("meta.lastModified", Sort::Time),
    ("meta.resourceType", Sort::Text),
    ("emails", Sort::Text),
    ("emails.display", Sort::Text),
    ("emails.primary", Sort::Flag),
    ("phoneNumbers.value", Sort::Text),
    ("ims", Sort::Text),
    ("ims.type", Sort::Text),
    ("photos", Sort::Text),
    ("entitlements.value", Sort::Text),
    ("entitlements", Sort::Text),
    ("roles.primary", Sort::Flag),
    ("addresses", Sort::Parts),
    ("addresses.formatted", Sort::Text),
    ("addresses.streetAddress", Sort::Text),
    ("addresses.region", Sort::Text),
    ("addresses.postalCode", Sort::Text),
];

/// The sort of what a path names, outside square brackets; `None` when the core schema has no such attribute, or when
/// it may not be asked for.
fn sort_of(path: &AttrPath) -> Option<Sort> {
    if path.uri.as_deref().is_some_and(|uri| uri != CORE) {
        return None;
    }
    let name = path.name.to_ascii_lowercase();
    if is_common(&name) && path.uri.is_some() {
        return None;
    }
    match &path.sub_attr {
        Some(part) if is_plural(&name) => sort_of_part(&name, &part.to_ascii_lowercase()),
        Some(part) => sort_of_singular(&format!("{name}.{part}")),
        None if is_plural(&name) && name != "addresses" => Some(Sort::Text),
        None => sort_of_singular(&name),
    }
}

/// Whether it belongs to every schema and is written without one.
fn is_common(name: &str) -> bool {
    matches!(name.split('.').next(), Some("id" | "externalid" | "externalId" | "meta"))
}

fn is_plural(name: &str) -> bool {
    matches!(name, "emails" | "phonenumbers" | "ims" | "photos" | "entitlements" | "roles" | "addresses")
}

fn sort_of_singular(name: &str) -> Option<Sort> {
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, sort)| *sort)
}

fn sort_of_part(plural: &str, part: &str) -> Option<Sort> {
    let texts = match plural {
        "addresses" => {
            &["type", "formatted", "streetaddress", "locality", "region", "postalcode", "country"][..]
        }
        _ => &["type", "value", "display"][..],
    };
    match part {
        "primary" => Some(Sort::Flag),
        part if texts.contains(&part) => Some(Sort::Text),
        _ => None,
    }
}

/// Whether a filter asks only for what the core schema has, and compares it with what it may be compared with.
fn is_sound(filter: &Filter) -> bool {
    match filter {
        Filter::Attr(test) => is_sound_test(test, sort_of),
        Filter::ValuePath(ValuePath { attr, filter }) => {
            let plural = attr.name.to_ascii_lowercase();
            attr.sub_attr.is_none()
                && is_plural(&plural)
                && sort_of(attr).is_some()
                && is_sound_inside(filter, &plural)
        }
        Filter::And(all) | Filter::Or(all) => all.as_slice().iter().all(is_sound),
        Filter::Not(inner) => is_sound(inner),
    }
}

fn is_sound_inside(filter: &ValFilter, plural: &str) -> bool {
    match filter {
        ValFilter::Attr(test) => is_sound_test(test, |path| {
            let is_bare = path.uri.is_none() && path.sub_attr.is_none();
            if is_bare { sort_of_part(plural, &path.name.to_ascii_lowercase()) } else { None }
        }),
        ValFilter::And(all) | ValFilter::Or(all) => {
            all.as_slice().iter().all(|inner| is_sound_inside(inner, plural))
        }
        ValFilter::Not(inner) => is_sound_inside(inner, plural),
    }
}

fn is_sound_test(test: &AttrExp, sort_of: impl Fn(&AttrPath) -> Option<Sort>) -> bool {
    let is_equality = |operator: &CompareOp| matches!(operator, CompareOp::Eq | CompareOp::Ne);
    match test {
        AttrExp::Present(path) => sort_of(path).is_some(),
        AttrExp::Comparison(path, operator, value) => match (sort_of(path), value) {
            (None | Some(Sort::Parts), _) => false,
            (_, CompValue::Null) => is_equality(operator),
            (Some(Sort::Text), value) => matches!(value, CompValue::Str(_)),
            (Some(Sort::Flag), value) => {
                is_equality(operator) && matches!(value, CompValue::True | CompValue::False)
            }
            (Some(Sort::Time), CompValue::Str(text)) => {
                let is_substring = matches!(operator, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
                !is_substring && is_time(text)
            }
            (Some(Sort::Time), _) => false,
        },
    }
}

/// Whether it looks as the generator writes times; a mutated one may be anything.
fn is_time(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let shape = shape.replace('-', "+");
    let known = ["0000+00+00T00:00:00", "0000+00+00T00:00:00.000", "0000+00+00T00:00:00.000000"];
    let zones = ["Z", "+00:00"];
    known.iter().any(|known| zones.iter().any(|zone| format!("{known}{zone}") == shape))
}

/// Puts another token in some places, or takes one out.
fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..dice.below(4) {
        let place = dice.below(letters.len().max(1));
        let token = dice.pick(&[
            " ", "  ", "(", ")", "[", "]", ".", "\"", "\\", " and ", " or ", "not (", "not ", " pr", " eq ",
            "null", "true", "type", "title", "emails", ":", "1.5", "-", "x", "urn:",
        ]);
        if dice.once_in(3) && !letters.is_empty() {
            letters.remove(place);
        } else {
            letters.splice(place..place, token.chars());
        }
    }
    letters.into_iter().collect()
}

/// A filter over any of them.
fn any_filter(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 || dice.below(5) < 2 {
        return any_test(dice);
    }
    let left = any_filter(dice, depth - 1);
    match dice.below(5) {
        0 => format!("{left} and {}", any_filter(dice, depth - 1)),
        1 => format!("{left} or {}", any_filter(dice, depth - 1)),
        2 => format!("({left})"),
        3 => format!("not ({left})"),
        _ => {
            let plural = dice.pick(&["emails", "ims", "entitlements", "roles", "photos", "phoneNumbers"]);
            let inner = dice.pick(&["type eq \"work\"", "value pr", "primary eq true", "display co \"x\""]);
            let more = dice.pick(&["", " and not (value sw \"x\")", " or (type pr and primary ne false)"]);
            format!("{plural}[{inner}{more}] and {left}")
        }
    }
}

fn any_test(dice: &mut Dice) -> String {
    let (name, sort) = dice.pick(&NAMES);
    let prefix = if !is_common(name) && dice.once_in(5) { format!("{CORE}:") } else { String::new() };
    let name = format!("{prefix}{}", dice.cased(name));
    if sort == Sort::Parts || dice.once_in(5) {
        return format!("{name} {}", dice.cased("pr"));
    }
    let texts = ["\"\"", "\"x\"", "\"a ] ) b\"", "\"\\u00e9\\/\\t\\\"\"", "\"日本 🦀\""];
    let (operators, values) = match sort {
        Sort::Flag => (&["eq", "ne"][..], &["true", "false"][..]),
        Sort::Time => (&["eq", "ne", "gt", "ge", "lt", "le"][..], &["\"2026-01-02T03:04:05Z\""][..]),
        _ => (&["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"][..], &texts[..]),
    };
    let operator = dice.pick(operators);
    let is_equality = ["eq", "ne"].contains(&operator);
    let value = if is_equality && dice.once_in(6) { "null" } else { dice.pick(values) };
    format!("{name} {} {value}", dice.cased(operator))
}

#[test]
fn what_another_parser_accepts_is_accepted() {
    let runtime = runtime();
    let world = runtime.block_on(World::on(House::in_memory()));
    let users: Vec<Value> = runtime.block_on(people::settle(&world)).into_iter().take(20).collect();
    let compared = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::config(1500, file!()));
    let outcome = runner.run(&Dice::strategy(160), |mut dice| {
        let mut text = if dice.once_in(2) {
            any_filter(&mut dice, 3)
        } else {
            let filter = Asker { dice: &mut dice, users: &users }.filter(3);
            filter.write(&mut dice)
        };
        if dice.once_in(2) {
            text = mutate(&text, &mut dice);
        }
        // The other parser also skips blanks where RFC 7644 section 3.4.2.2 has none, before a bracket.
        let is_lax = text.contains(" [");
        let is_sound_filter = text.parse::<Filter>().is_ok_and(|filter| is_sound(&filter));
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
