//! Properties of filters and PATCH that hold for any input (see `crate::fuzzing`).

use super::filter::{MAX_LENGTH, Parser, extension_present, parse};
use super::patch::{self, parse_operations};
use super::read::{group_patch, needs_all_members, user_edit};
use super::schema::object_schema_of;
use super::tree::Normalizer;
use super::wire::{COMMON_ATTRIBUTES, GROUP_TYPE, ResourceType, USER_TYPE};
use crate::kit::json::{self, quote};
use crate::kit::{Direction, Node, Object, ObjectSchema, Property};
use directory::{AttributeValue, CompareOp, Comparison, Filter, MemberEdit, SubAttributes, UserId};
use uuid::Uuid;

/// A parsed filter is the same after printing and parsing it again, and evaluating it does not fail.
pub fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for (resource, is_strict) in [(&USER_TYPE, false), (&GROUP_TYPE, false), (&USER_TYPE, true), (&GROUP_TYPE, true)] {
        let parse = |text: &str| parse(text, resource, is_strict, MAX_LENGTH);
        let characters = text.chars().count();
        let _ = Parser::parse_path(text, resource, is_strict).map_err(|error| assert!(error.position >= 1));
        let filter = match parse(text) {
            Ok(filter) => filter,
            Err(error) => {
                assert!((1..=characters + 1).contains(&error.position), "{error:?}");
                continue;
            }
        };
        let nobody: SubAttributes<'_> = Vec::new();
        let opposite = Filter::Not(Box::new(filter.clone()));
        assert_ne!(filter.matches(&nobody), opposite.matches(&nobody));
        let Some(written) = Printer::Resource(resource).print(&filter, Precedence::Or) else { continue };
        match parse(&written) {
            Ok(read) => assert_eq!(without_presence_case(read), without_presence_case(filter), "{written}"),
            Err(error) => {
                let is_limit = ["nested deeper", "longer than"].iter().any(|what| error.reason.contains(what));
                assert!(is_limit, "{written}: {error:?}");
            }
        }
    }
}

fn without_presence_case(filter: Filter) -> Filter {
    let all = |filters: Vec<Filter>| filters.into_iter().map(without_presence_case).collect();
    match filter {
        Filter::All(filters) => Filter::All(all(filters)),
        Filter::Any(filters) => Filter::Any(all(filters)),
        Filter::Not(inner) => Filter::Not(Box::new(without_presence_case(*inner))),
        Filter::ValuePath(field, inner) => Filter::ValuePath(field, Box::new(without_presence_case(*inner))),
        Filter::Comparison(test) if test.op == CompareOp::Present => {
            Filter::Comparison(Comparison { case_exact: true, ..test })
        }
        test @ Filter::Comparison(_) => test,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Precedence {
    Or,
    And,
    Term,
}

#[derive(Clone, Copy)]
enum Printer {
    Resource(&'static ResourceType),
    ValuePath(&'static ObjectSchema),
}

impl Printer {
    /// `None` for filters that no client can write.
    fn print(self, filter: &Filter, level: Precedence) -> Option<String> {
        let bracketed = |own: Precedence, text: String| if own < level { format!("({text})") } else { text };
        let joined = |filters: &[Filter], own: Precedence, word: &str, inner: Precedence| {
            let parts = filters.iter().map(|filter| self.print(filter, inner)).collect::<Option<Vec<_>>>()?;
            Some(bracketed(own, parts.join(word)))
        };
        if let Self::Resource(resource) = self {
            let used = resource.extensions.iter().find(|schema| *filter == extension_present(schema.object_schema));
            match (used, filter) {
                (Some(schema), _) => return Some(format!("schemas eq {}", quote(schema.urn))),
                (_, Filter::All(filters)) if filters.is_empty() => return Some("schemas pr".into()),
                (_, Filter::Any(filters)) if filters.is_empty() => return Some("schemas eq \"\"".into()),
                _ => {}
            }
        }
        match filter {
            Filter::All(filters) if filters.len() > 1 => joined(filters, Precedence::And, " and ", Precedence::Term),
            Filter::Any(filters) if filters.len() > 1 => joined(filters, Precedence::Or, " or ", Precedence::And),
            Filter::All(_) | Filter::Any(_) => None,
            Filter::Not(inner) => Some(format!("not ({})", self.print(inner, Precedence::Or)?)),
            Filter::Comparison(test) => self.print_comparison(test),
            Filter::ValuePath(field, inner) => {
                let Self::Resource(resource) = self else { return None };
                let is_it =
                    |property: &&Property| property.field == Some(*field) && object_schema_of(property).is_some();
                let (prefix, property) = members(resource).find(|(_, member)| is_it(member))?;
                let inner = Self::ValuePath(object_schema_of(property)?).print(inner, Precedence::Or)?;
                Some(format!("{prefix}{}[{inner}]", property.name))
            }
        }
    }

    fn print_comparison(self, test: &Comparison) -> Option<String> {
        let fits = |property: &Property| {
            let is_alike = property.characteristics.case_exact == test.case_exact || test.op == CompareOp::Present;
            is_alike && !property.characteristics.not_filterable && property.direction != Direction::Request
        };
        let name = match self {
            Self::ValuePath(object_schema) => {
                let mut found = object_schema.properties.iter().filter(|property| property.field == Some(test.field));
                found.find(|property| fits(property))?.name.to_owned()
            }
            Self::Resource(resource) => members(resource).find_map(|(prefix, member)| {
                let Some(object_schema) = object_schema_of(member) else {
                    let is_it = test.sub_attribute.is_none() && member.field == Some(test.field) && fits(member);
                    return is_it.then(|| format!("{prefix}{}", member.name));
                };
                let (plural, leaf) = test.sub_attribute.map_or((None, test.field), |part| (Some(test.field), part));
                let mut subs = object_schema.properties.iter().filter(|sub| sub.field == Some(leaf) && fits(sub));
                let sub = subs.find(|_| member.field == plural)?;
                Some(format!("{prefix}{}.{}", member.name, sub.name))
            })?,
        };
        let op = match test.op {
            CompareOp::Present => return Some(format!("{name} pr")),
            CompareOp::Equal => "eq",
            CompareOp::NotEqual => "ne",
            CompareOp::Contains => "co",
            CompareOp::StartsWith => "sw",
            CompareOp::EndsWith => "ew",
            CompareOp::Greater => "gt",
            CompareOp::GreaterOrEqual => "ge",
            CompareOp::Less => "lt",
            CompareOp::LessOrEqual => "le",
        };
        let value = match &test.value {
            AttributeValue::Text(text) => quote(text),
            AttributeValue::Bool(value) => value.to_string(),
            AttributeValue::Integer(number) => number.to_string(),
            AttributeValue::Time(time) => quote(&jiff::Timestamp::from_microsecond(time.0).ok()?.to_string()),
        };
        Some(format!("{name} {op} {value}"))
    }
}

fn members(resource: &'static ResourceType) -> impl Iterator<Item = (String, &'static Property)> {
    let own = [resource.schema.object_schema, &COMMON_ATTRIBUTES].map(|object_schema| (String::new(), object_schema));
    let extensions = resource.extensions.iter().map(|schema| (format!("{}:", schema.urn), schema.object_schema));
    own.into_iter()
        .chain(extensions)
        .flat_map(|(prefix, schema)| schema.properties.iter().map(move |property| (prefix.clone(), property)))
}

const USER: &str = r#"{"userName":"ann@example.com","externalId":"7","active":true,"displayName":"Ann",
    "name":{"givenName":"Ann","familyName":"Lee","honorificPrefix":"Dr"},
    "emails":[{"value":"ann@example.com","type":"work","primary":true},{"value":"a@x.y","type":"home"}],
    "phoneNumbers":[{"value":"1","type":"work"},{"value":"2","type":"mobile"}],
    "addresses":[{"streetAddress":"S","locality":"C","type":"work"}],
    "roles":[{"value":"Admin","primary":true}],"photos":[{"value":"https://x.y/p","type":"photo"}],
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D","manager":{"value":"8"}},
    "urn:muster:params:scim:schemas:extension:2.0:User":{"bio":"B","office":3}}"#;

const GROUP: &str = r#"{"displayName":"G","externalId":"g"}"#;

fn object(text: &str) -> Object {
    match json::parse(text) {
        Ok(Node::Object(object)) => object,
        other => panic!("{other:?}"),
    }
}

/// PATCH keeps the tree normalized: names and types as in the tables, nothing empty.
pub fn patch(bytes: &[u8]) {
    let Some(Ok(node)) = std::str::from_utf8(bytes).ok().map(json::parse) else { return };
    let body = match node {
        Node::Object(object) => object,
        list @ Node::List(_) => Object { members: vec![("Operations".into(), list)] },
        _ => return,
    };
    for is_strict in [false, true] {
        patch_user(&body, is_strict);
        patch_group(&body, is_strict);
    }
}

fn patch_user(body: &Object, is_strict: bool) {
    let normalizer = Normalizer::new(&USER_TYPE, is_strict);
    let Ok(operations) = parse_operations(body, &normalizer) else { return };
    let before = Normalizer::new(&USER_TYPE, true).resource(&object(USER)).expect("normalized");
    let check = |tree: &Object| Ok(directory::validate_user_edit(&user_edit(&before, tree)?)?);
    let Ok(after) = patch::apply(before.clone(), &operations, &normalizer, check) else { return };
    assert_normalized(&after, &USER_TYPE);
    drop(user_edit(&before, &after));
}

fn patch_group(body: &Object, is_strict: bool) {
    let normalizer = Normalizer::new(&GROUP_TYPE, is_strict);
    let Ok(operations) = parse_operations(body, &normalizer) else { return };
    let before = Normalizer::new(&GROUP_TYPE, true).resource(&object(GROUP)).expect("normalized");
    let all_members = [1, 2].map(|number| UserId(Uuid::from_u128(number)));
    if needs_all_members(&operations, &normalizer).is_err() {
        return;
    }
    let Ok(edit) = group_patch(&before, &all_members, &operations, &normalizer) else { return };
    if let Some(MemberEdit::Change { add: join, remove: leave }) = edit.members {
        assert!(!join.iter().any(|user| leave.contains(user)), "added and removed at once: {join:?}");
    }
}

/// Normalizing again changes nothing and finds no unknown attributes.
fn assert_normalized(tree: &Object, resource: &'static ResourceType) {
    let again = Normalizer::new(resource, true).resource(tree);
    let again = again.unwrap_or_else(|error| panic!("{error:?} in {tree:?}"));
    let (again, tree) = (sorted(&again), sorted(tree));
    for (one, other) in again.members.iter().zip(&tree.members) {
        assert_eq!(one, other);
    }
    assert_eq!(again.members.len(), tree.members.len());
}

fn sorted(object: &Object) -> Object {
    fn of(node: &Node) -> Node {
        match node {
            Node::Object(object) => Node::Object(sorted(object)),
            Node::List(nodes) => Node::List(nodes.iter().map(of).collect()),
            other => other.clone(),
        }
    }
    let mut members: Vec<_> = object.members.iter().map(|(name, node)| (name.clone(), of(node))).collect();
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    Object { members }
}
