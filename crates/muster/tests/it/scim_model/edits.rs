//! Random PATCH requests: after each of them the server's user is the model's.

use super::World;
use super::dice::Dice;
use super::filter::{Filter, Literal, Name, Test};
use super::patch::{Operation, Verb, apply};
use super::refusals;
use super::resource::{ENTERPRISE, OURS, Place, comparable, entries};
use crate::support::runtime;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

const PLURALS: [&str; 5] = ["emails", "phoneNumbers", "addresses", "ims", "entitlements"];
const NAME_PARTS: [&str; 6] =
    ["givenName", "familyName", "middleName", "honorificPrefix", "honorificSuffix", "formatted"];
const ADDRESS_PARTS: [&str; 5] = ["locality", "streetAddress", "region", "postalCode", "country"];
const SINGLES: [Place; 17] = [
    Place::core("nickName"),
    Place::core("displayName"),
    Place::core("title"),
    Place::core("userType"),
    Place::core("preferredLanguage"),
    Place::core("locale"),
    Place::core("timezone"),
    Place::core("externalId"),
    Place::core("profileUrl"),
    Place::of(ENTERPRISE, "department"),
    Place::of(ENTERPRISE, "employeeNumber"),
    Place::of(ENTERPRISE, "costCenter"),
    Place::of(ENTERPRISE, "division"),
    Place::of(ENTERPRISE, "organization"),
    Place::of(OURS, "bio"),
    Place::of(OURS, "source"),
    Place::of(OURS, "licence"),
];
const MANAGER: Place = Place::of(ENTERPRISE, "manager");
const NAME: Place = Place::core("name");

/// Makes operations that fit the user as it is then. Every text is a new one, so that it is never in question
/// whether two entries are the same.
struct Maker<'a> {
    dice: &'a mut Dice,
    next: &'a mut usize,
}

impl Maker<'_> {
    fn text(&mut self) -> String {
        *self.next += 1;
        let form = self.dice.pick(&["Text", "é Ö", "日本", "a\"b\\c", "O'Neill & <Co>", "🦀"]);
        format!("{form} {}", self.next)
    }

    fn new_or_more(&mut self) -> Verb {
        self.dice.pick(&[Verb::Replace, Verb::Add])
    }

    fn value_of(&mut self, attribute: &str) -> String {
        match attribute {
            "emails" => {
                *self.next += 1;
                format!("Person.{}@Example.com", self.next)
            }
            _ => self.text(),
        }
    }

    fn kind_of(&mut self, attribute: &str) -> &'static str {
        match attribute {
            "phoneNumbers" => self.dice.pick(&["work", "mobile", "home", "other"]),
            "ims" => self.dice.pick(&["xmpp", "skype", "icq"]),
            _ => self.dice.pick(&["work", "home", "other"]),
        }
    }

    fn part_of(&mut self, attribute: &str) -> &'static str {
        if attribute == "addresses" { self.dice.pick(&ADDRESS_PARTS) } else { "value" }
    }

    /// A new entry; one of a list may be the primary one.
    fn entry(&mut self, attribute: &'static str, primary: bool) -> Value {
        let mut entry = json!({});
        if attribute == "addresses" {
            // Two of its parts, so that one can be taken away again.
            entry["formatted"] = json!(self.text());
        }
        let part = self.part_of(attribute);
        entry[part] = json!(self.value_of(attribute));
        if !self.dice.once_in(8) {
            entry["type"] = json!(self.kind_of(attribute));
        }
        if attribute != "addresses" && self.dice.once_in(3) {
            entry["display"] = if self.dice.once_in(4) { Value::Null } else { json!(self.text()) };
        }
        if primary {
            entry["primary"] = self.dice.pick(&[json!(true), json!(true), json!("True")]);
        } else if self.dice.once_in(6) {
            entry["primary"] = json!(false);
        }
        entry
    }

    fn some_entries(&mut self, attribute: &'static str, least: usize) -> Vec<Value> {
        let count = least + self.dice.below(3);
        let primary = self.dice.below(2 * count.max(1));
        (0..count).map(|place| self.entry(attribute, place == primary)).collect()
    }

    /// One attribute with a value that fits it.
    fn assignment(&mut self) -> (Place, Value) {
        match self.dice.below(6) {
            0 | 1 => {
                let place = self.dice.pick(&SINGLES);
                let value = match place.attribute {
                    "timezone" => self.dice.pick(&["Europe/Oslo", "Asia/Tokyo"]).to_owned(),
                    "locale" | "preferredLanguage" => self.dice.pick(&["en-US", "nb-NO"]).to_owned(),
                    "profileUrl" => format!("https://example.com/{}", self.dice.below(1000)),
                    _ => self.text(),
                };
                (place, json!(value))
            }
            2 => {
                let part = self.dice.pick(&NAME_PARTS);
                (NAME.part(part), json!(self.text()))
            }
            3 => {
                let (one, other) = (self.dice.pick(&NAME_PARTS), self.dice.pick(&NAME_PARTS));
                let mut name = json!({one: self.text()});
                name[other] = json!(self.text());
                (NAME, name)
            }
            4 => {
                let value = [json!("False"), json!("True"), json!(true), json!(false)];
                (Place::core("active"), self.dice.pick(&value))
            }
            _ => {
                let id = json!(self.text());
                match self.dice.below(3) {
                    0 => (MANAGER, id),
                    1 => (MANAGER, json!({"value": id})),
                    _ => (MANAGER.part("value"), id),
                }
            }
        }
    }

    fn operation(&mut self, user: &Value) -> Operation {
        let attribute = self.dice.pick(&PLURALS);
        let place = Place::core(attribute);
        match self.dice.below(12) {
            0 | 1 => {
                let verb = self.new_or_more();
                let (place, value) = self.assignment();
                Operation::At { verb, place, value }
            }
            2 => self.take_away(),
            3 => self.whole(),
            4 => {
                let verb = self.new_or_more();
                let known = entries(user, attribute);
                if verb == Verb::Add && !known.is_empty() && self.dice.once_in(3) {
                    let again = self.dice.pick(known);
                    return Operation::At { verb, place, value: json!([again]) };
                }
                let value = self.some_entries(attribute, 1);
                let single = verb == Verb::Add && value.len() == 1 && self.dice.once_in(3);
                let value = if single { value[0].clone() } else { json!(value) };
                Operation::At { verb, place, value }
            }
            5 => match self.dice.below(3) {
                0 => Operation::At { verb: Verb::Remove, place, value: Value::Null },
                1 => Operation::At { verb: Verb::Replace, place, value: json!([]) },
                _ => Operation::At { verb: Verb::Replace, place, value: Value::Null },
            },
            6 => self.remove_listed(user, attribute),
            7 => self.create_of_type(user, attribute),
            8 => self.remove_chosen(user, attribute),
            9 => self.replace_chosen(user, attribute),
            _ => self.set_part(user, attribute),
        }
    }

    /// Unassigns a singular attribute or a part of one.
    fn take_away(&mut self) -> Operation {
        let place = match self.dice.below(6) {
            0..=2 => self.dice.pick(&SINGLES),
            3 => NAME,
            4 => NAME.part(self.dice.pick(&NAME_PARTS)),
            _ => self.dice.pick(&[MANAGER, MANAGER.part("value")]),
        };
        let verb = self.dice.pick(&[Verb::Remove, Verb::Replace]);
        Operation::At { verb, place, value: Value::Null }
    }

    /// Several attributes without a path.
    fn whole(&mut self) -> Operation {
        let verb = self.new_or_more();
        let mut parts: Vec<(Place, Value)> = Vec::new();
        for _ in 0..=self.dice.below(4) {
            let (place, value) = if self.dice.once_in(4) {
                let attribute = self.dice.pick(&PLURALS);
                (Place::core(attribute), json!(self.some_entries(attribute, 1)))
            } else {
                self.assignment()
            };
            if !parts.iter().any(|(other, _)| other.attribute == place.attribute) {
                parts.push((place, value));
            }
        }
        Operation::Whole { verb, parts }
    }

    fn remove_listed(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let place = Place::core(attribute);
        let known = entries(user, attribute);
        if attribute == "addresses" || known.is_empty() {
            return Operation::At { verb: Verb::Remove, place, value: Value::Null };
        }
        let mut listed = Vec::new();
        for _ in 0..=self.dice.below(2) {
            let entry = self.dice.pick(known);
            listed.push(if self.dice.once_in(3) { entry } else { json!({"value": entry["value"]}) });
        }
        if self.dice.once_in(4) {
            listed.push(json!({"value": self.value_of(attribute)}));
        }
        Operation::At { verb: Verb::Remove, place, value: json!(listed) }
    }

    /// Sets the value of an entry of a type that is not there.
    fn create_of_type(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let kind = self.kind_of(attribute);
        let condition = Filter::Test(Test::text("type", "eq", kind));
        let holds = |entry: &Value| condition.holds_for_entry(attribute, entry);
        if entries(user, attribute).iter().any(holds) {
            return self.set_part(user, attribute);
        }
        let verb = self.new_or_more();
        let part = self.part_of(attribute);
        let value = json!(self.value_of(attribute));
        Operation::Chosen { verb, attribute, condition, part: Some(part), value }
    }

    /// A condition that holds for one entry and perhaps for others.
    fn condition(&mut self, known: &[Value]) -> Filter {
        let entry = self.dice.pick(known);
        let part = text_parts(&entry)[0];
        let text = entry[part].as_str().expect("a text").to_owned();
        let start: String = text.chars().take(2).collect();
        let exact = Filter::Test(Test::text(part, "eq", text));
        let kind = entry["type"].as_str().map(|kind| self.dice.cased(kind));
        let of_kind = |operator, kind: &str| Filter::Test(Test::text("type", operator, kind));
        let pair = |one, other| (Box::new(one), Box::new(other));
        match (self.dice.below(7), kind) {
            (1 | 2, Some(kind)) => of_kind("eq", &kind),
            (3, Some(kind)) => {
                let (one, other) = pair(of_kind("eq", &kind), Filter::Test(Test::text(part, "sw", start)));
                Filter::And(one, other)
            }
            (4, Some(kind)) => Filter::Not(Box::new(of_kind("ne", &kind))),
            (5, _) => {
                let (one, other) = pair(exact, of_kind("eq", "fax"));
                Filter::Or(one, other)
            }
            (6, _) if entry["primary"] == true => Filter::Test(Test {
                name: Name::core("primary"),
                operator: "eq",
                literal: Some(Literal::Flag(true)),
            }),
            _ => exact,
        }
    }

    /// Sets a part of the entries for which a condition holds.
    fn set_part(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        if known.is_empty() {
            let value = json!(self.some_entries(attribute, 1));
            return Operation::At { verb: Verb::Add, place: Place::core(attribute), value };
        }
        let verb = self.new_or_more();
        let condition = self.condition(known);
        let chosen = known.iter().filter(|entry| condition.holds_for_entry(attribute, entry)).count();
        let (part, value) = match (self.dice.below(5), chosen) {
            (0, 1) => {
                let part = self.part_of(attribute);
                (part, json!(self.value_of(attribute)))
            }
            (1 | 2, 1) => ("primary", self.dice.pick(&[json!(true), json!("True"), json!(false)])),
            (3, _) => ("type", json!(self.kind_of(attribute))),
            (_, 0) => unreachable!("it holds for one"),
            _ if attribute == "addresses" => (self.dice.pick(&ADDRESS_PARTS), json!(self.text())),
            _ => ("display", json!(self.text())),
        };
        Operation::Chosen { verb, attribute, condition, part: Some(part), value }
    }

    /// Replaces one entry, or adds to it.
    fn replace_chosen(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        let condition = if known.is_empty() { None } else { Some(self.condition(known)) };
        let holds = |condition: &Filter| {
            known.iter().filter(|entry| condition.holds_for_entry(attribute, entry)).count() == 1
        };
        let Some(condition) = condition.filter(holds) else { return self.set_part(user, attribute) };
        let verb = self.new_or_more();
        let primary = self.dice.once_in(3);
        let value = self.entry(attribute, primary);
        Operation::Chosen { verb, attribute, condition, part: None, value }
    }

    fn remove_chosen(&mut self, user: &Value, attribute: &'static str) -> Operation {
        let known = entries(user, attribute);
        let condition = if known.is_empty() || self.dice.once_in(4) {
            Filter::Test(Test::text("type", "eq", self.kind_of(attribute)))
        } else {
            self.condition(known)
        };
        let parts = match attribute {
            "addresses" => [None, Some("locality"), Some("country"), Some("type"), Some("primary")],
            _ => [None, Some("value"), Some("display"), Some("type"), Some("primary")],
        };
        let part = self.dice.pick(&parts);
        // Whether an address of which only the type is left is one, nobody says: then all of it goes.
        let is_last = |entry: &Value| part.is_some_and(|part| text_parts(entry) == [part]);
        let part = if known.iter().any(is_last) { None } else { part };
        Operation::Chosen { verb: Verb::Remove, attribute, condition, part, value: Value::Null }
    }
}

/// The sub-attributes that an entry is about.
fn text_parts(entry: &Value) -> Vec<&'static str> {
    let all = ["value", "formatted"].into_iter().chain(ADDRESS_PARTS);
    all.filter(|part| entry[part].is_string()).collect()
}

async fn check_requests(world: &World, requests: &mut [Dice], next: &mut usize) -> Result<(), TestCaseError> {
    *next += 1;
    let made = world.add(&refusals::newcomer(*next)).await;
    let target = format!("/Users/{}", made["id"].as_str().expect("an id"));
    let mut user = comparable(&made);
    for dice in requests {
        let mut operations = Vec::new();
        let mut seen = user.clone();
        let count = 1 + dice.below(4);
        for _ in 0..count {
            let operation = Maker { dice, next }.operation(&seen);
            // The next operation must fit what this one leaves.
            seen = apply(&seen, std::slice::from_ref(&operation)).unwrap_or(seen);
            operations.push(operation);
        }
        // One request in ten ends badly; then what came before it must not have happened either.
        if dice.once_in(10) {
            operations.push(Operation::Bad(dice.pick(&refusals::bad_operations())));
        }
        let written: Vec<Value> = operations.iter().map(|operation| operation.write(dice)).collect();
        let body =
            json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": written});
        let (status, answer) = world.ask("PATCH", &target, Some(&body)).await;
        let after = apply(&user, &operations);
        let expected: &[u16] = if after.is_ok() { &[200, 204] } else { &[400] };
        prop_assert!(
            expected.contains(&status),
            "{} on {} gave {} {}, not one of {:?}",
            body,
            user,
            status,
            answer,
            expected
        );
        let before = std::mem::take(&mut user);
        user = after.unwrap_or_else(|_| before.clone());
        let (status, read) = world.ask("GET", &target, None).await;
        prop_assert_eq!(status, 200);
        prop_assert_eq!(comparable(&read), user.clone(), "after {} on {}", body, before);
    }
    Ok(())
}

#[test]
fn patched_users_are_what_the_model_says() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let next = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::config(60, file!()));
    let requests = proptest::collection::vec(Dice::strategy(120), 1..=8);
    let outcome = runner.run(&requests, |mut requests| {
        let mut number = next.get();
        let outcome = runtime.block_on(check_requests(&world, &mut requests, &mut number));
        next.set(number);
        outcome
    });
    outcome.expect("the same users");
}
