//! Random PATCH requests: after each, the server's user equals the model's.

use super::Fixture;
use super::choices::Choices;
use super::filter::{AttributePath, Comparison, Filter, Literal};
use super::patch::{Op, Operation, apply};
use super::rejected_patches;
use super::resource::{AttributeLocation, ENTERPRISE, MUSTER_EXTENSION, comparable, entries};
use crate::support::runtime;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use std::sync::OnceLock;

const MULTI_VALUED: [&str; 5] = ["emails", "phoneNumbers", "addresses", "ims", "entitlements"];
const NAME_PARTS: [&str; 6] =
    ["givenName", "familyName", "middleName", "honorificPrefix", "honorificSuffix", "formatted"];
const ADDRESS_PARTS: [&str; 5] = ["locality", "streetAddress", "region", "postalCode", "country"];
const SINGLE_VALUED_OF_RFC: &[AttributeLocation] = &[
    AttributeLocation::core("nickName"),
    AttributeLocation::core("displayName"),
    AttributeLocation::core("title"),
    AttributeLocation::core("userType"),
    AttributeLocation::core("preferredLanguage"),
    AttributeLocation::core("locale"),
    AttributeLocation::core("timezone"),
    AttributeLocation::core("externalId"),
    AttributeLocation::core("profileUrl"),
    AttributeLocation::of(ENTERPRISE, "department"),
    AttributeLocation::of(ENTERPRISE, "employeeNumber"),
    AttributeLocation::of(ENTERPRISE, "costCenter"),
    AttributeLocation::of(ENTERPRISE, "division"),
    AttributeLocation::of(ENTERPRISE, "organization"),
];
/// Texts of our extension that must have a certain form.
const FORMATTED: [&str; 4] = ["secretaryEmail", "socialLinks", "customLinks", "metadata"];
const MANAGER: AttributeLocation = AttributeLocation::of(ENTERPRISE, "manager");
const NAME: AttributeLocation = AttributeLocation::core("name");

/// With all texts of our extension, as `/Schemas` lists them.
fn single_valued() -> &'static [AttributeLocation] {
    static ALL: OnceLock<Vec<AttributeLocation>> = OnceLock::new();
    ALL.get_or_init(|| {
        let recorded = include_str!("../../../../dialects/src/scim/transcripts/discovery.http");
        let schemas = recorded.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let extension = schemas.into_iter().find(|schema| schema["id"] == MUSTER_EXTENSION).expect("our extension");
        let attributes = extension["attributes"].as_array().expect("attributes").clone();
        let is_text = |attribute: &Value| {
            (&attribute["type"], &attribute["multiValued"], &attribute["mutability"])
                == (&json!("string"), &json!(false), &json!("readWrite"))
        };
        let names =
            attributes.into_iter().filter(is_text).map(|attribute| attribute["name"].as_str().map(str::to_owned));
        let names = names.flatten().filter(|name| !FORMATTED.contains(&name.as_str()));
        let extension = names.map(|name| AttributeLocation::of(MUSTER_EXTENSION, String::leak(name)));
        SINGLE_VALUED_OF_RFC.iter().copied().chain(extension).collect()
    })
}

/// Generates operations for the user's current state. Every text is unique, so that no two entries are ambiguous
/// duplicates.
struct OperationGenerator<'a> {
    choices: &'a mut Choices,
    next: &'a mut usize,
}

impl OperationGenerator<'_> {
    fn text(&mut self) -> String {
        *self.next += 1;
        let form = self.choices.choose(&["Text", "é Ö", "日本", "a\"b\\c", "O'Neill & <Co>", "🦀"]);
        format!("{form} {}", self.next)
    }

    fn add_or_replace(&mut self) -> Op {
        self.choices.choose(&[Op::Replace, Op::Add])
    }

    fn unique_value(&mut self, attribute: &str) -> String {
        match attribute {
            "emails" => {
                *self.next += 1;
                format!("Person.{}@Example.com", self.next)
            }
            _ => self.text(),
        }
    }

    fn type_of(&mut self, attribute: &str) -> &'static str {
        match attribute {
            "phoneNumbers" => self.choices.choose(&["work", "mobile", "home", "other"]),
            "ims" => self.choices.choose(&["xmpp", "skype", "icq"]),
            _ => self.choices.choose(&["work", "home", "other"]),
        }
    }

    fn sub_attribute_of(&mut self, attribute: &str) -> &'static str {
        if attribute == "addresses" { self.choices.choose(&ADDRESS_PARTS) } else { "value" }
    }

    /// A new entry, which may be primary.
    fn entry(&mut self, attribute: &'static str, primary: bool) -> Value {
        let mut entry = json!({});
        if attribute == "addresses" {
            // Two sub-attributes, so that one can be removed later.
            entry["formatted"] = json!(self.text());
        }
        let part = self.sub_attribute_of(attribute);
        entry[part] = json!(self.unique_value(attribute));
        if !self.choices.once_in(8) {
            entry["type"] = json!(self.type_of(attribute));
        }
        if attribute != "addresses" && self.choices.once_in(3) {
            entry["display"] = if self.choices.once_in(4) { Value::Null } else { json!(self.text()) };
        }
        if primary {
            entry["primary"] = self.choices.choose(&[json!(true), json!(true), json!("True")]);
        } else if self.choices.once_in(6) {
            entry["primary"] = json!(false);
        }
        entry
    }

    fn entries(&mut self, attribute: &'static str, least: usize) -> Vec<Value> {
        let count = least + self.choices.below(3);
        let primary = self.choices.below(2 * count.max(1));
        (0..count).map(|place| self.entry(attribute, place == primary)).collect()
    }

    /// An attribute with a valid value.
    fn assignment(&mut self) -> (AttributeLocation, Value) {
        match self.choices.below(6) {
            0 | 1 => {
                let place = self.choices.choose(single_valued());
                let value = match place.attribute {
                    "timezone" => self.choices.choose(&["Europe/Oslo", "Asia/Tokyo"]).to_owned(),
                    "locale" | "preferredLanguage" => self.choices.choose(&["en-US", "nb-NO"]).to_owned(),
                    "profileUrl" => format!("https://example.com/{}", self.choices.below(1000)),
                    _ => self.text(),
                };
                (place, json!(value))
            }
            2 => {
                let part = self.choices.choose(&NAME_PARTS);
                (NAME.part(part), json!(self.text()))
            }
            3 => {
                let (one, other) = (self.choices.choose(&NAME_PARTS), self.choices.choose(&NAME_PARTS));
                let mut name = json!({one: self.text()});
                name[other] = json!(self.text());
                (NAME, name)
            }
            4 => {
                let value = [json!("False"), json!("True"), json!(true), json!(false)];
                (AttributeLocation::core("active"), self.choices.choose(&value))
            }
            _ => {
                let id = json!(self.text());
                match self.choices.below(3) {
                    0 => (MANAGER, id),
                    1 => (MANAGER, json!({"value": id})),
                    _ => (MANAGER.part("value"), id),
                }
            }
        }
    }

    fn operation(&mut self, user: &Value) -> Operation {
        let attribute = self.choices.choose(&MULTI_VALUED);
        let place = AttributeLocation::core(attribute);
        match self.choices.below(12) {
            0 | 1 => {
                let verb = self.add_or_replace();
                let (place, value) = self.assignment();
                Operation::AtPath { verb, place, value }
            }
            2 => self.unassign(),
            3 => self.without_path(),
            4 => {
                let verb = self.add_or_replace();
                let known = entries(user, attribute);
                if verb == Op::Add && !known.is_empty() && self.choices.once_in(3) {
                    let again = self.choices.choose(known);
                    return Operation::AtPath { verb, place, value: json!([again]) };
                }
                let value = self.entries(attribute, 1);
                let single = verb == Op::Add && value.len() == 1 && self.choices.once_in(3);
                let value = if single { value[0].clone() } else { json!(value) };
                Operation::AtPath { verb, place, value }
            }
            5 => match self.choices.below(3) {
                0 => Operation::AtPath { verb: Op::Remove, place, value: Value::Null },
                1 => Operation::AtPath { verb: Op::Replace, place, value: json!([]) },
                _ => Operation::AtPath { verb: Op::Replace, place, value: Value::Null },
            },
            6 => self.remove_listed(user, attribute),
            7 => self.create_of_type(user, attribute),
            8 => self.remove_filtered(user, attribute),
            9 => self.replace_filtered(user, attribute),
            _ => self.set_part(user, attribute),
        }
    }

    /// Removes a single-valued attribute or a sub-attribute.
    fn unassign(&mut self) -> Operation {
        let place = match self.choices.below(6) {
            0..=2 => self.choices.choose(single_valued()),
            3 => NAME,
            4 => NAME.part(self.choices.choose(&NAME_PARTS)),
            _ => self.choices.choose(&[MANAGER, MANAGER.part("value")]),
        };
        let verb = self.choices.choose(&[Op::Remove, Op::Replace]);
        Operation::AtPath { verb, place, value: Value::Null }
    }

    /// Several attributes without a path.
    fn without_path(&mut self) -> Operation {
        let verb = self.add_or_replace();
        let mut parts: Vec<(AttributeLocation, Value)> = Vec::new();
        for _ in 0..=self.choices.below(4) {
            let (place, value) = if self.choices.once_in(4) {
                let attribute = self.choices.choose(&MULTI_VALUED);
                (AttributeLocation::core(attribute), json!(self.entries(attribute, 1)))
            } else {
                self.assignment()
            };
            if !parts.iter().any(|(other, _)| other.attribute == place.attribute) {
                parts.push((place, value));
            }
        }
        Operation::WithoutPath { verb, parts }
    }

    fn remove_listed(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let place = AttributeLocation::core(attribute);
        let known = entries(user, attribute);
        if attribute == "addresses" || known.is_empty() {
            return Operation::AtPath { verb: Op::Remove, place, value: Value::Null };
        }
        let mut listed = Vec::new();
        for _ in 0..=self.choices.below(2) {
            let entry = self.choices.choose(known);
            listed.push(if self.choices.once_in(3) { entry } else { json!({"value": entry["value"]}) });
        }
        if self.choices.once_in(4) {
            listed.push(json!({"value": self.unique_value(attribute)}));
        }
        Operation::AtPath { verb: Op::Remove, place, value: json!(listed) }
    }

    /// Sets the value of a missing entry of a type.
    fn create_of_type(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let kind = self.type_of(attribute);
        let condition = Filter::Comparison(Comparison::text("type", "eq", kind));
        let holds = |entry: &Value| condition.matches_entry(attribute, entry);
        if entries(user, attribute).iter().any(holds) {
            return self.set_part(user, attribute);
        }
        let verb = self.add_or_replace();
        let part = self.sub_attribute_of(attribute);
        let value = json!(self.unique_value(attribute));
        Operation::AtValuePath { verb, attribute, condition, part: Some(part), value }
    }

    /// A filter that matches at least one entry.
    fn condition(&mut self, known: &[Value]) -> Filter {
        let entry = self.choices.choose(known);
        let part = text_sub_attributes(&entry)[0];
        let text = entry[part].as_str().expect("a text").to_owned();
        let start: String = text.chars().take(2).collect();
        let exact = Filter::Comparison(Comparison::text(part, "eq", text));
        let kind = entry["type"].as_str().map(|kind| self.choices.random_case(kind));
        let of_kind = |operator, kind: &str| Filter::Comparison(Comparison::text("type", operator, kind));
        let pair = |one, other| (Box::new(one), Box::new(other));
        match (self.choices.below(7), kind) {
            (1 | 2, Some(kind)) => of_kind("eq", &kind),
            (3, Some(kind)) => {
                let (one, other) = pair(of_kind("eq", &kind), Filter::Comparison(Comparison::text(part, "sw", start)));
                Filter::And(one, other)
            }
            (4, Some(kind)) => Filter::Not(Box::new(of_kind("ne", &kind))),
            (5, _) => {
                let (one, other) = pair(exact, of_kind("eq", "fax"));
                Filter::Or(one, other)
            }
            (6, _) if entry["primary"] == true => Filter::Comparison(Comparison {
                name: AttributePath::core("primary"),
                operator: "eq",
                literal: Some(Literal::Boolean(true)),
            }),
            _ => exact,
        }
    }

    /// Sets a sub-attribute of the entries that match a filter.
    fn set_part(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        if known.is_empty() {
            let value = json!(self.entries(attribute, 1));
            return Operation::AtPath { verb: Op::Add, place: AttributeLocation::core(attribute), value };
        }
        let verb = self.add_or_replace();
        let condition = self.condition(known);
        let chosen = known.iter().filter(|entry| condition.matches_entry(attribute, entry)).count();
        let (part, value) = match (self.choices.below(5), chosen) {
            (0, 1) => {
                let part = self.sub_attribute_of(attribute);
                (part, json!(self.unique_value(attribute)))
            }
            (1 | 2, 1) => ("primary", self.choices.choose(&[json!(true), json!("True"), json!(false)])),
            (3, _) => ("type", json!(self.type_of(attribute))),
            (_, 0) => unreachable!("the filter matches one"),
            _ if attribute == "addresses" => (self.choices.choose(&ADDRESS_PARTS), json!(self.text())),
            _ => ("display", json!(self.text())),
        };
        Operation::AtValuePath { verb, attribute, condition, part: Some(part), value }
    }

    /// Replaces an entry or adds to it.
    fn replace_filtered(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        let condition = if known.is_empty() { None } else { Some(self.condition(known)) };
        let holds =
            |condition: &Filter| known.iter().filter(|entry| condition.matches_entry(attribute, entry)).count() == 1;
        let Some(condition) = condition.filter(holds) else { return self.set_part(user, attribute) };
        let verb = self.add_or_replace();
        let primary = self.choices.once_in(3);
        let value = self.entry(attribute, primary);
        Operation::AtValuePath { verb, attribute, condition, part: None, value }
    }

    fn remove_filtered(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        let condition = if known.is_empty() || self.choices.once_in(4) {
            Filter::Comparison(Comparison::text("type", "eq", self.type_of(attribute)))
        } else {
            self.condition(known)
        };
        let parts = match attribute {
            "addresses" => [None, Some("locality"), Some("country"), Some("type"), Some("primary")],
            _ => [None, Some("value"), Some("display"), Some("type"), Some("primary")],
        };
        let part = self.choices.choose(&parts);
        // The specification does not say whether an address with only a type is removed, so remove the whole entry.
        let is_last = |entry: &Value| part.is_some_and(|part| text_sub_attributes(entry) == [part]);
        let part = if known.iter().any(is_last) { None } else { part };
        Operation::AtValuePath { verb: Op::Remove, attribute, condition, part, value: Value::Null }
    }
}

/// The sub-attributes with the content of an entry.
fn text_sub_attributes(entry: &Value) -> Vec<&'static str> {
    let all = ["value", "formatted"].into_iter().chain(ADDRESS_PARTS);
    all.filter(|part| entry[part].is_string()).collect()
}

async fn check_requests(world: &Fixture, requests: &mut [Choices], next: &mut usize) -> Result<(), TestCaseError> {
    *next += 1;
    let made = world.add(&rejected_patches::new_user(*next)).await;
    let target = format!("/Users/{}", made["id"].as_str().expect("an id"));
    let mut user = comparable(&made);
    for rng in requests {
        let mut operations = Vec::new();
        let mut seen = user.clone();
        let count = 1 + rng.below(4);
        for _ in 0..count {
            let operation = OperationGenerator { choices: rng, next }.operation(&seen);
            // Generate the next operation for the result of this one.
            seen = apply(&seen, std::slice::from_ref(&operation)).unwrap_or(seen);
            operations.push(operation);
        }
        // One request in ten ends with an invalid operation; then the earlier operations must have no effect, either.
        if rng.once_in(10) {
            operations.push(Operation::Invalid(rng.choose(&rejected_patches::invalid_operations())));
        }
        let written: Vec<Value> = operations.iter().map(|operation| operation.write(rng)).collect();
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": written});
        let (status, answer) = world.send_request("PATCH", &target, Some(&body)).await;
        let after = apply(&user, &operations);
        let expected: &[u16] = if after.is_ok() { &[200, 204] } else { &[400] };
        prop_assert!(
            expected.contains(&status),
            "{} on {} returned {} {}, not one of {:?}",
            body,
            user,
            status,
            answer,
            expected
        );
        let before = std::mem::take(&mut user);
        user = after.unwrap_or_else(|_| before.clone());
        let (status, read) = world.send_request("GET", &target, None).await;
        prop_assert_eq!(status, 200);
        prop_assert_eq!(comparable(&read), user.clone(), "after {} on {}", body, before);
    }
    Ok(())
}

#[test]
fn patched_users_match_the_model() {
    let runtime = runtime();
    let world = runtime.block_on(Fixture::new());
    let next = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::proptest_config(60, file!()));
    let requests = proptest::collection::vec(Choices::strategy(120), 1..=8);
    let outcome = runner.run(&requests, |mut requests| {
        let mut number = next.get();
        let outcome = runtime.block_on(check_requests(&world, &mut requests, &mut number));
        next.set(number);
        outcome
    });
    outcome.expect("the same users");
}
