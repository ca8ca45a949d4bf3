//! Random filters: the server selects exactly the users for whom the filter holds by the model.

use super::World;
use super::dice::Dice;
use super::filter::{Filter, Literal, Name, Test, micros_of};
use super::people;
use super::resource::{CORE, ENTERPRISE, Place};
use crate::support::runtime;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// What is compared with texts, in the ways that hold anywhere but inside square brackets.
const TEXTS: [Place; 22] = [
    Place::core("userName"),
    Place::core("nickName"),
    Place::core("title"),
    Place::core("externalId"),
    Place::core("id"),
    Place::core("displayName"),
    Place::core("userType"),
    Place::core("profileUrl"),
    Place::core("name").part("givenName"),
    Place::core("name").part("familyName"),
    Place::core("emails").part("value"),
    Place::core("emails").part("type"),
    Place::core("emails"),
    Place::core("phoneNumbers").part("value"),
    Place::core("phoneNumbers"),
    Place::core("roles").part("value"),
    Place::core("roles"),
    Place::core("addresses").part("locality"),
    Place::core("photos").part("value"),
    Place::of(ENTERPRISE, "department"),
    Place::of(ENTERPRISE, "employeeNumber"),
    Place::of(ENTERPRISE, "manager").part("value"),
];
/// What may be asked for with `pr` besides.
const WHOLES: [Place; 8] = [
    Place::core("name"),
    Place::core("addresses"),
    Place::core("photos"),
    Place::core("active"),
    Place::core("meta"),
    Place::core("emails").part("primary"),
    Place::core("emails").part("display"),
    Place::of(ENTERPRISE, "manager"),
];
const TEXT_OPERATORS: [&str; 9] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
const ORDERS: [&str; 6] = ["eq", "ne", "gt", "ge", "lt", "le"];
const ENTRIES: [&str; 5] = ["emails", "phoneNumbers", "roles", "addresses", "photos"];

fn name_of(place: Place) -> Name {
    Name { schema: place.schema, attribute: place.attribute, part: place.part }
}

/// Makes filters over what the users have, so that most of them select some users and not others.
pub(crate) struct Asker<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) users: &'a [Value],
}

impl Asker<'_> {
    pub(crate) fn filter(&mut self, depth: usize) -> Filter {
        let kinds = if depth == 0 { 7 } else { 13 };
        match self.dice.below(kinds) {
            0..=2 => {
                let place = self.dice.pick(&TEXTS);
                Filter::Test(self.text_test(name_of(place), None))
            }
            3 => Filter::Test(self.flag_or_time()),
            4 => {
                let place =
                    if self.dice.once_in(2) { self.dice.pick(&TEXTS) } else { self.dice.pick(&WHOLES) };
                Filter::Test(Test { name: name_of(place), operator: "pr", literal: None })
            }
            5 | 6 => self.chosen(depth),
            7 | 8 => Filter::And(Box::new(self.filter(depth - 1)), Box::new(self.filter(depth - 1))),
            9 | 10 => Filter::Or(Box::new(self.filter(depth - 1)), Box::new(self.filter(depth - 1))),
            _ => Filter::Not(Box::new(self.filter(depth - 1))),
        }
    }

    /// A comparison with a text that somebody has, or a part of one, in some case.
    fn text_test(&mut self, name: Name, plural: Option<&str>) -> Test {
        let found = self.found(name, plural);
        let text = if found.is_empty() { "x".to_owned() } else { self.dice.pick(&found) };
        let operator = self.dice.pick(&TEXT_OPERATORS);
        let letters: Vec<char> = text.chars().collect();
        let some = 1 + self.dice.below(letters.len().clamp(1, 4));
        let some = some.min(letters.len());
        let part: String = match operator {
            "sw" => letters[..some].iter().collect(),
            "ew" => letters[letters.len() - some..].iter().collect(),
            "co" => {
                let start = self.dice.below(letters.len() - some + 1);
                letters[start..start + some].iter().collect()
            }
            _ => text,
        };
        let part = match self.dice.below(5) {
            3 => part.to_uppercase(),
            4 => part.to_lowercase(),
            _ => part,
        };
        Test { name, operator, literal: Some(Literal::Text(part)) }
    }

    /// The texts that users have under a name.
    fn found(&self, name: Name, plural: Option<&str>) -> Vec<String> {
        let place = match plural {
            None => Place { schema: name.schema, attribute: name.attribute, part: None },
            Some(_) => Place::core(""),
        };
        let part = if plural.is_some() { Some(name.attribute) } else { name.part };
        let mut texts = Vec::new();
        for user in self.users {
            let value = plural.map_or_else(|| place.look_up(user), |plural| user.get(plural));
            let values = match value {
                Some(Value::Array(list)) => list.iter().collect(),
                Some(value) => vec![value],
                None => Vec::new(),
            };
            for value in values {
                let text = value.as_str().or_else(|| value[part.unwrap_or("value")].as_str());
                texts.extend(text.map(str::to_owned));
            }
        }
        texts
    }

    fn flag_or_time(&mut self) -> Test {
        let flag = Some(Literal::Flag(self.dice.below(2) == 0));
        match self.dice.below(5) {
            0 => Test { name: Name::core("active"), operator: self.dice.pick(&["eq", "ne"]), literal: flag },
            1 => Test {
                name: Name { part: Some("primary"), ..Name::core("emails") },
                operator: self.dice.pick(&["eq", "ne"]),
                literal: Some(Literal::Flag(true)),
            },
            2 => Test {
                name: Name { part: Some("resourceType"), ..Name::core("meta") },
                operator: self.dice.pick(&["eq", "ne"]),
                literal: Some(Literal::Text(self.dice.pick(&["User", "Group"]).to_owned())),
            },
            _ => {
                let part = self.dice.pick(&["lastModified", "created"]);
                let user = self.dice.pick(self.users);
                let exact = micros_of(user["meta"][part].as_str().expect("a time"));
                let digits = self.dice.pick(&[6, 6, 3, 0]);
                let moved = exact + self.dice.pick(&[0, 0, 0, 1, -1, 86_400_000_000, -3_600_000_000]);
                let unit = 10_i64.pow(6 - u32::try_from(digits).expect("a few"));
                let literal = Literal::Time {
                    micros: moved.div_euclid(unit) * unit,
                    offset: self.dice.pick(&[0, 0, 120, -330]),
                    digits,
                };
                let name = Name { part: Some(part), ..Name::core("meta") };
                Test { name, operator: self.dice.pick(&ORDERS), literal: Some(literal) }
            }
        }
    }

    /// A value path, with or without a sub-attribute after it.
    fn chosen(&mut self, depth: usize) -> Filter {
        let attribute = self.dice.pick(&ENTRIES);
        let inner = Box::new(self.inner(attribute, depth.min(2)));
        let then = match self.dice.below(4) {
            2 => {
                let name = Name::core(value_part(attribute));
                Some(self.text_test(name, Some(attribute)))
            }
            3 => Some(Test { name: Name::core(value_part(attribute)), operator: "pr", literal: None }),
            _ => None,
        };
        Filter::Chosen { name: Name::core(attribute), inner, then }
    }

    fn inner(&mut self, attribute: &'static str, depth: usize) -> Filter {
        let kinds = if depth == 0 { 6 } else { 10 };
        match self.dice.below(kinds) {
            0 | 1 => Filter::Test(self.text_test(Name::core("type"), Some(attribute))),
            2 | 3 => Filter::Test(self.text_test(Name::core(value_part(attribute)), Some(attribute))),
            4 => Filter::Test(Test {
                name: Name::core("primary"),
                operator: self.dice.pick(&["eq", "ne"]),
                literal: Some(Literal::Flag(self.dice.below(2) == 0)),
            }),
            5 => {
                let part = self.dice.pick(&["type", "primary", "display"]);
                let part = if attribute == "addresses" && part == "display" { "country" } else { part };
                Filter::Test(Test { name: Name::core(part), operator: "pr", literal: None })
            }
            6 | 7 => {
                let (one, other) = (self.inner(attribute, depth - 1), self.inner(attribute, depth - 1));
                Filter::And(Box::new(one), Box::new(other))
            }
            8 => {
                let (one, other) = (self.inner(attribute, depth - 1), self.inner(attribute, depth - 1));
                Filter::Or(Box::new(one), Box::new(other))
            }
            _ => Filter::Not(Box::new(self.inner(attribute, depth - 1))),
        }
    }
}

fn value_part(attribute: &str) -> &'static str {
    if attribute == "addresses" { "locality" } else { "value" }
}

async fn check(world: &World, users: &[Value], mut dice: Dice) -> Result<bool, TestCaseError> {
    let filter = Asker { dice: &mut dice, users }.filter(3);
    let text = filter.write(&mut dice);
    // A longer one is refused, which is right.
    prop_assume!(text.chars().count() <= 2048);
    let (status, answer) = world.search(&text).await;
    prop_assert_eq!(status, 200, "{} gave {}", text, answer);
    let label = |user: &Value| user["userName"].as_str().expect("a name").to_owned();
    let mut found: Vec<String> =
        answer["Resources"].as_array().map(|list| list.iter().map(label).collect()).unwrap_or_default();
    found.sort_unstable();
    let mut expected: Vec<String> = users.iter().filter(|user| filter.holds(user)).map(label).collect();
    expected.sort_unstable();
    prop_assert_eq!(answer["totalResults"].as_u64(), u64::try_from(expected.len()).ok(), "{}", text);
    let is_telling = !expected.is_empty() && expected.len() < users.len();
    prop_assert_eq!(found, expected, "{}", text);
    Ok(is_telling)
}

#[test]
fn filters_select_what_the_model_selects() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let users = runtime.block_on(people::settle(&world));
    assert!(users.iter().all(|user| user["schemas"][0] == CORE));
    let telling = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::config(400, file!()));
    let outcome = runner.run(&Dice::strategy(160), |dice| {
        let is_telling = runtime.block_on(check(&world, &users, dice))?;
        telling.set(telling.get() + u32::from(is_telling));
        Ok(())
    });
    outcome.expect("the same users");
    // Filters that select everybody or nobody show little.
    assert!(telling.get() >= 100, "only {} filters told some users from others", telling.get());
}
