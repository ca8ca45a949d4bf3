//! The model of PATCH: RFC 7644 §3.5.2 over documents, with Muster's documented tolerances.

use super::choices::Choices;
use super::filter::{Comparison, Filter, Literal};
use super::resource::{AttributeLocation, CORE, remove_unassigned, schema_object};
use serde_json::{Map, Value, json};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Replace,
    Remove,
}

/// An operation of a PATCH.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Without a path: several attributes of the user.
    WithoutPath { verb: Op, parts: Vec<(AttributeLocation, Value)> },
    /// With the path of an attribute or a sub-attribute. For `remove`, the value is null or a list of values to remove.
    AtPath { verb: Op, place: AttributeLocation, value: Value },
    /// With a value filter: `emails[type eq "work"]`, `emails[type eq "work"].display`.
    AtValuePath { verb: Op, attribute: &'static str, condition: Filter, part: Option<&'static str>, value: Value },
    /// The JSON of an operation that must be rejected.
    Invalid(Value),
}

/// The operation is rejected, so its whole request has no effect.
#[derive(Debug)]
pub(crate) struct Rejected;

/// The user after all operations of a request, in order.
pub(crate) fn apply(user: &Value, operations: &[Operation]) -> Result<Value, Rejected> {
    let mut user = user.clone();
    for operation in operations {
        match operation {
            Operation::WithoutPath { verb, parts } => {
                for (place, value) in parts {
                    set(&mut user, *verb, *place, value);
                }
            }
            Operation::AtPath { verb: Op::Remove, place, value } => remove(&mut user, *place, value),
            Operation::AtPath { verb, place, value } => set(&mut user, *verb, *place, value),
            Operation::AtValuePath { verb, attribute, condition, part, value } => {
                change_filtered(&mut user, *verb, attribute, condition, *part, value)?;
            }
            Operation::Invalid(_) => return Err(Rejected),
        }
        remove_unassigned(&mut user);
    }
    Ok(user)
}

fn set(user: &mut Value, verb: Op, place: AttributeLocation, value: &Value) {
    let home = schema_object(user, place.schema);
    match place.sub_attribute {
        None if place.is_multi_valued() => {
            let new: Vec<Value> = match value {
                Value::Array(list) => list.iter().map(normalized).collect(),
                Value::Null => Vec::new(),
                one => vec![normalized(one)],
            };
            let list = home.entry(place.attribute).or_insert_with(|| json!([]));
            let list = list.as_array_mut().expect("a list");
            match verb {
                Op::Add => append(list, new),
                _ => *list = new,
            }
        }
        None if place.is_complex() => match value {
            Value::Null => {
                home.remove(place.attribute);
            }
            Value::Object(parts) => merge(home, place.attribute, parts),
            // Some identity providers send a manager as a plain id.
            id => merge(home, place.attribute, &Map::from_iter([("value".to_owned(), id.clone())])),
        },
        None => {
            home.insert(place.attribute.to_owned(), normalize_boolean(place.attribute, value));
        }
        Some(part) => {
            merge(home, place.attribute, &Map::from_iter([(part.to_owned(), value.clone())]));
        }
    }
}

/// Sets the given sub-attributes and keeps the others.
fn merge(home: &mut Map<String, Value>, attribute: &str, parts: &Map<String, Value>) {
    let complex = home.entry(attribute).or_insert_with(|| json!({}));
    let complex = complex.as_object_mut().expect("an object");
    complex.extend(parts.clone());
}

/// Appends missing entries. The last new primary entry becomes the only one.
fn append(list: &mut Vec<Value>, new: Vec<Value>) {
    for entry in new {
        if !list.contains(&entry) {
            let is_primary = entry["primary"] == true;
            list.push(entry);
            if is_primary {
                let last = list.len() - 1;
                keep_one_primary(list, last);
            }
        }
    }
}

/// Removes `primary` from all entries except the one at `place`.
fn keep_one_primary(list: &mut [Value], place: usize) {
    for (other, entry) in list.iter_mut().enumerate() {
        if other != place {
            entry.as_object_mut().expect("an object").remove("primary");
        }
    }
}

/// An entry in its stored form: strings with boolean values are booleans, and null values are removed.
fn normalized(entry: &Value) -> Value {
    let mut kept = normalize_booleans(entry);
    remove_unassigned(&mut kept);
    kept
}

fn normalize_booleans(entry: &Value) -> Value {
    let mut entry = entry.clone();
    for (name, value) in entry.as_object_mut().expect("an object") {
        *value = normalize_boolean(name, value);
    }
    entry
}

/// Entra ID sends booleans as "True" and "False".
fn normalize_boolean(name: &str, value: &Value) -> Value {
    match (name, value.as_str()) {
        ("active" | "primary", Some("True")) => json!(true),
        ("active" | "primary", Some("False")) => json!(false),
        _ => value.clone(),
    }
}

/// Removes an attribute or a sub-attribute; with a list, only the entries of a multi-valued attribute with these
/// values.
fn remove(user: &mut Value, place: AttributeLocation, listed: &Value) {
    let home = schema_object(user, place.schema);
    let Some(held) = home.get_mut(place.attribute) else { return };
    match (place.sub_attribute, listed) {
        (Some(part), _) => {
            held.as_object_mut().expect("a complex attribute").remove(part);
        }
        (None, Value::Array(listed)) => {
            let is_listed = |entry: &Value| listed.iter().any(|gone| gone["value"] == entry["value"]);
            held.as_array_mut().expect("a list").retain(|entry| !is_listed(entry));
        }
        (None, _) => {
            home.remove(place.attribute);
        }
    }
}

/// Changes the entries of a multi-valued attribute that match a filter.
fn change_filtered(
    user: &mut Value,
    verb: Op,
    attribute: &str,
    condition: &Filter,
    part: Option<&str>,
    value: &Value,
) -> Result<(), Rejected> {
    let list = schema_object(user, CORE).entry(attribute).or_insert_with(|| json!([]));
    let list = list.as_array_mut().expect("a list");
    let chosen: Vec<usize> =
        (0..list.len()).filter(|&place| condition.matches_entry(attribute, &list[place])).collect();
    if verb == Op::Remove {
        remove_filtered(list, &chosen, part);
        return Ok(());
    }
    if chosen.is_empty() {
        // Entra ID sets emails and addresses of a type in this way, whether they exist or not.
        let (Some(part), Some(kind)) = (part, filtered_type(condition)) else { return Err(Rejected) };
        list.push(json!({"type": kind, part: value}));
        return Ok(());
    }
    for place in chosen {
        let given = match part {
            Some(part) => normalize_booleans(&json!({part: value})),
            None => normalize_booleans(value),
        };
        let entry = list[place].as_object_mut().expect("an object");
        if part.is_none() && verb == Op::Replace {
            // "All matching record values SHALL be replaced."
            entry.clear();
        }
        let is_new_primary = given["primary"] == true;
        entry.extend(given.as_object().expect("an object").clone());
        if is_new_primary {
            keep_one_primary(list, place);
        }
    }
    Ok(())
}

/// Removes entries or their sub-attribute. Entries without a value are removed.
fn remove_filtered(list: &mut Vec<Value>, chosen: &[usize], part: Option<&str>) {
    match part {
        None | Some("value") => {
            for place in chosen.iter().rev() {
                list.remove(*place);
            }
        }
        Some(part) => {
            for place in chosen {
                list[*place].as_object_mut().expect("an object").remove(part);
            }
        }
    }
}

/// The type in a filter of the form `type eq "…"`.
fn filtered_type(condition: &Filter) -> Option<&str> {
    match condition {
        Filter::Comparison(Comparison { name, operator: "eq", literal: Some(Literal::Text(kind)) })
            if name.attribute == "type" =>
        {
            Some(kind)
        }
        _ => None,
    }
}

impl Operation {
    /// Writes the operation in a random equivalent form.
    pub(super) fn write(&self, rng: &mut Choices) -> Value {
        match self {
            Self::Invalid(operation) => operation.clone(),
            Self::WithoutPath { verb, parts } => {
                let mut value = json!({});
                for (place, part) in parts {
                    write_key(&mut value, *place, part, rng);
                }
                json!({"op": verb.write(rng), "value": value})
            }
            Self::AtPath { verb, place, value } => with_value(*verb, &place.write(rng), value, rng),
            Self::AtValuePath { verb, attribute, condition, part, value } => {
                let mut path = AttributeLocation::core(attribute).write(rng);
                path.push_str(&format!("[{}]", condition.write(rng).trim()));
                if let Some(part) = part {
                    path.push_str(&format!(".{}", rng.random_case(part)));
                }
                with_value(*verb, &path, value, rng)
            }
        }
    }
}

/// An operation with a path; `remove` has a value only if it is a list.
fn with_value(verb: Op, path: &str, value: &Value, rng: &mut Choices) -> Value {
    let mut operation = json!({"op": verb.write(rng), "path": path});
    if verb != Op::Remove || value.is_array() {
        operation["value"] = value.clone();
    }
    operation
}

impl Op {
    /// The operation in random case, because Entra ID capitalizes it.
    fn write(self, rng: &mut Choices) -> String {
        rng.random_case(match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        })
    }
}

impl AttributeLocation {
    /// Writes the path; extension attributes need their schema URN, for core attributes it is optional.
    pub(super) fn write(self, rng: &mut Choices) -> String {
        let mut path = String::new();
        if self.schema != CORE || (self.attribute != "externalId" && rng.once_in(6)) {
            path.push_str(&format!("{}:", self.schema));
        }
        path.push_str(&rng.random_case(self.attribute));
        if let Some(part) = self.sub_attribute {
            path.push_str(&format!(".{}", rng.random_case(part)));
        }
        path
    }
}

/// Writes a member of a value without path: nested, or with a dotted or URN-prefixed key.
fn write_key(value: &mut Value, place: AttributeLocation, part: &Value, rng: &mut Choices) {
    if rng.once_in(2) {
        value[place.write(rng)] = part.clone();
        return;
    }
    let nested = schema_object(value, place.schema);
    match place.sub_attribute {
        None => nested.insert(rng.random_case(place.attribute), part.clone()),
        Some(inner) => nested.insert(place.attribute.to_owned(), json!({inner: part})),
    };
}
