//! Random filters: the server selects exactly the users that the model selects.

use super::Fixture;
use super::choices::Choices;
use super::filter::{AttributePath, Comparison, Filter, Literal, parse_micros};
use super::resource::{AttributeLocation, CORE, ENTERPRISE};
use super::users;
use crate::support::runtime;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

/// String attributes, in all path forms outside square brackets.
const TEXTS: [AttributeLocation; 22] = [
    AttributeLocation::core("userName"),
    AttributeLocation::core("nickName"),
    AttributeLocation::core("title"),
    AttributeLocation::core("externalId"),
    AttributeLocation::core("id"),
    AttributeLocation::core("displayName"),
    AttributeLocation::core("userType"),
    AttributeLocation::core("profileUrl"),
    AttributeLocation::core("name").part("givenName"),
    AttributeLocation::core("name").part("familyName"),
    AttributeLocation::core("emails").part("value"),
    AttributeLocation::core("emails").part("type"),
    AttributeLocation::core("emails"),
    AttributeLocation::core("phoneNumbers").part("value"),
    AttributeLocation::core("phoneNumbers"),
    AttributeLocation::core("roles").part("value"),
    AttributeLocation::core("roles"),
    AttributeLocation::core("addresses").part("locality"),
    AttributeLocation::core("photos").part("value"),
    AttributeLocation::of(ENTERPRISE, "department"),
    AttributeLocation::of(ENTERPRISE, "employeeNumber"),
    AttributeLocation::of(ENTERPRISE, "manager").part("value"),
];
/// Additional paths for `pr`.
const PRESENCE_PATHS: [AttributeLocation; 8] = [
    AttributeLocation::core("name"),
    AttributeLocation::core("addresses"),
    AttributeLocation::core("photos"),
    AttributeLocation::core("active"),
    AttributeLocation::core("meta"),
    AttributeLocation::core("emails").part("primary"),
    AttributeLocation::core("emails").part("display"),
    AttributeLocation::of(ENTERPRISE, "manager"),
];
const TEXT_OPERATORS: [&str; 9] = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
const ORDERS: [&str; 6] = ["eq", "ne", "gt", "ge", "lt", "le"];
const MULTI_VALUED: [&str; 5] = ["emails", "phoneNumbers", "roles", "addresses", "photos"];

fn path_of(place: AttributeLocation) -> AttributePath {
    AttributePath { schema: place.schema, attribute: place.attribute, sub_attribute: place.sub_attribute }
}

/// Generates filters from existing values, so that most of them select some but not all users.
pub(crate) struct FilterGenerator<'a> {
    pub(crate) choices: &'a mut Choices,
    pub(crate) users: &'a [Value],
}

impl FilterGenerator<'_> {
    pub(crate) fn filter(&mut self, depth: usize) -> Filter {
        let kinds = if depth == 0 { 7 } else { 13 };
        match self.choices.below(kinds) {
            0..=2 => {
                let place = self.choices.choose(&TEXTS);
                Filter::Comparison(self.text_comparison(path_of(place), None))
            }
            3 => Filter::Comparison(self.boolean_or_time_comparison()),
            4 => {
                let place = if self.choices.once_in(2) {
                    self.choices.choose(&TEXTS)
                } else {
                    self.choices.choose(&PRESENCE_PATHS)
                };
                Filter::Comparison(Comparison { name: path_of(place), operator: "pr", literal: None })
            }
            5 | 6 => self.value_path(depth),
            7 | 8 => Filter::And(Box::new(self.filter(depth - 1)), Box::new(self.filter(depth - 1))),
            9 | 10 => Filter::Or(Box::new(self.filter(depth - 1)), Box::new(self.filter(depth - 1))),
            _ => Filter::Not(Box::new(self.filter(depth - 1))),
        }
    }

    /// A comparison with a part of an existing text, in random case.
    fn text_comparison(&mut self, name: AttributePath, plural: Option<&str>) -> Comparison {
        let found = self.existing_texts(name, plural);
        let text = if found.is_empty() { "x".to_owned() } else { self.choices.choose(&found) };
        let operator = self.choices.choose(&TEXT_OPERATORS);
        let letters: Vec<char> = text.chars().collect();
        let some = 1 + self.choices.below(letters.len().clamp(1, 4));
        let some = some.min(letters.len());
        let part: String = match operator {
            "sw" => letters[..some].iter().collect(),
            "ew" => letters[letters.len() - some..].iter().collect(),
            "co" => {
                let start = self.choices.below(letters.len() - some + 1);
                letters[start..start + some].iter().collect()
            }
            _ => text,
        };
        let part = match self.choices.below(5) {
            3 => part.to_uppercase(),
            4 => part.to_lowercase(),
            _ => part,
        };
        Comparison { name, operator, literal: Some(Literal::Text(part)) }
    }

    /// All users' texts at a path.
    fn existing_texts(&self, name: AttributePath, plural: Option<&str>) -> Vec<String> {
        let place = match plural {
            None => AttributeLocation { schema: name.schema, attribute: name.attribute, sub_attribute: None },
            Some(_) => AttributeLocation::core(""),
        };
        let part = if plural.is_some() { Some(name.attribute) } else { name.sub_attribute };
        let mut texts = Vec::new();
        for user in self.users {
            let value = plural.map_or_else(|| place.get(user), |plural| user.get(plural));
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

    fn boolean_or_time_comparison(&mut self) -> Comparison {
        let flag = Some(Literal::Boolean(self.choices.below(2) == 0));
        match self.choices.below(5) {
            0 => Comparison {
                name: AttributePath::core("active"),
                operator: self.choices.choose(&["eq", "ne"]),
                literal: flag,
            },
            1 => Comparison {
                name: AttributePath { sub_attribute: Some("primary"), ..AttributePath::core("emails") },
                operator: self.choices.choose(&["eq", "ne"]),
                literal: Some(Literal::Boolean(true)),
            },
            2 => Comparison {
                name: AttributePath { sub_attribute: Some("resourceType"), ..AttributePath::core("meta") },
                operator: self.choices.choose(&["eq", "ne"]),
                literal: Some(Literal::Text(self.choices.choose(&["User", "Group"]).to_owned())),
            },
            _ => {
                let part = self.choices.choose(&["lastModified", "created"]);
                let user = self.choices.choose(self.users);
                let exact = parse_micros(user["meta"][part].as_str().expect("a time"));
                let digits = self.choices.choose(&[6, 6, 3, 0]);
                let moved = exact + self.choices.choose(&[0, 0, 0, 1, -1, 86_400_000_000, -3_600_000_000]);
                let unit = 10_i64.pow(6 - u32::try_from(digits).expect("a few"));
                let literal = Literal::Time {
                    micros: moved.div_euclid(unit) * unit,
                    offset: self.choices.choose(&[0, 0, 120, -330]),
                    digits,
                };
                let name = AttributePath { sub_attribute: Some(part), ..AttributePath::core("meta") };
                Comparison { name, operator: self.choices.choose(&ORDERS), literal: Some(literal) }
            }
        }
    }

    /// A value path, with or without a sub-attribute after it.
    fn value_path(&mut self, depth: usize) -> Filter {
        let attribute = self.choices.choose(&MULTI_VALUED);
        let inner = Box::new(self.inner(attribute, depth.min(2)));
        let then = match self.choices.below(4) {
            2 => {
                let name = AttributePath::core(default_sub_attribute(attribute));
                Some(self.text_comparison(name, Some(attribute)))
            }
            3 => Some(Comparison {
                name: AttributePath::core(default_sub_attribute(attribute)),
                operator: "pr",
                literal: None,
            }),
            _ => None,
        };
        Filter::ValuePath { name: AttributePath::core(attribute), inner, then }
    }

    fn inner(&mut self, attribute: &'static str, depth: usize) -> Filter {
        let kinds = if depth == 0 { 6 } else { 10 };
        match self.choices.below(kinds) {
            0 | 1 => Filter::Comparison(self.text_comparison(AttributePath::core("type"), Some(attribute))),
            2 | 3 => Filter::Comparison(
                self.text_comparison(AttributePath::core(default_sub_attribute(attribute)), Some(attribute)),
            ),
            4 => Filter::Comparison(Comparison {
                name: AttributePath::core("primary"),
                operator: self.choices.choose(&["eq", "ne"]),
                literal: Some(Literal::Boolean(self.choices.below(2) == 0)),
            }),
            5 => {
                let part = self.choices.choose(&["type", "primary", "display"]);
                let part = if attribute == "addresses" && part == "display" { "country" } else { part };
                Filter::Comparison(Comparison { name: AttributePath::core(part), operator: "pr", literal: None })
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

fn default_sub_attribute(attribute: &str) -> &'static str {
    if attribute == "addresses" { "locality" } else { "value" }
}

async fn check(world: &Fixture, users: &[Value], mut rng: Choices) -> Result<bool, TestCaseError> {
    let filter = FilterGenerator { choices: &mut rng, users }.filter(3);
    let text = filter.write(&mut rng);
    // Longer filters are rejected.
    prop_assume!(text.chars().count() <= 2048);
    let (status, answer) = world.search(&text).await;
    prop_assert_eq!(status, 200, "{} gave {}", text, answer);
    let label = |user: &Value| user["userName"].as_str().expect("a name").to_owned();
    let mut found: Vec<String> =
        answer["Resources"].as_array().map(|list| list.iter().map(label).collect()).unwrap_or_default();
    found.sort_unstable();
    let mut expected: Vec<String> = users.iter().filter(|user| filter.matches(user)).map(label).collect();
    expected.sort_unstable();
    prop_assert_eq!(answer["totalResults"].as_u64(), u64::try_from(expected.len()).ok(), "{}", text);
    let is_telling = !expected.is_empty() && expected.len() < users.len();
    prop_assert_eq!(found, expected, "{}", text);
    Ok(is_telling)
}

#[test]
fn filters_select_what_the_model_selects() {
    let runtime = runtime();
    let world = runtime.block_on(Fixture::new());
    let users = runtime.block_on(users::create_users(&world));
    assert!(users.iter().all(|user| user["schemas"][0] == CORE));
    let telling = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(testkit::seeds::proptest_config(400, file!()));
    let outcome = runner.run(&Choices::strategy(160), |rng| {
        let is_telling = runtime.block_on(check(&world, &users, rng))?;
        telling.set(telling.get() + u32::from(is_telling));
        Ok(())
    });
    outcome.expect("the same users");
    // Filters that select all users or none test little.
    assert!(telling.get() >= 100, "only {} filters selected some but not all users", telling.get());
}
