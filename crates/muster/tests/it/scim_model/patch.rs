//! The model of PATCH: RFC 7644 section 3.5.2 over documents, with the tolerances that Muster documents.

use super::dice::Dice;
use super::filter::{Filter, Literal, Test};
use super::resource::{CORE, Place, home, tidy};
use serde_json::{Map, Value, json};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Add,
    Replace,
    Remove,
}

/// One operation of a PATCH.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Without a path: several attributes of the user.
    Whole { verb: Verb, parts: Vec<(Place, Value)> },
    /// With the path of an attribute or a sub-attribute. To remove, the value is null or a list of what goes.
    At { verb: Verb, place: Place, value: Value },
    /// With a condition: `emails[type eq "work"]`, `emails[type eq "work"].display`.
    Chosen {
        verb: Verb,
        attribute: &'static str,
        condition: Filter,
        part: Option<&'static str>,
        value: Value,
    },
    /// One that every server must refuse, as it is sent.
    Bad(Value),
}

/// An operation that cannot be done; then nothing of its request is done.
#[derive(Debug)]
pub(crate) struct Refused;

/// The user after all operations of a request, in their order.
pub(crate) fn apply(user: &Value, operations: &[Operation]) -> Result<Value, Refused> {
    let mut user = user.clone();
    for operation in operations {
        match operation {
            Operation::Whole { verb, parts } => {
                for (place, value) in parts {
                    put(&mut user, *verb, *place, value);
                }
            }
            Operation::At { verb: Verb::Remove, place, value } => remove(&mut user, *place, value),
            Operation::At { verb, place, value } => put(&mut user, *verb, *place, value),
            Operation::Chosen { verb, attribute, condition, part, value } => {
                change_chosen(&mut user, *verb, attribute, condition, *part, value)?;
            }
            Operation::Bad(_) => return Err(Refused),
        }
        tidy(&mut user);
    }
    Ok(user)
}

/// Adds or replaces.
fn put(user: &mut Value, verb: Verb, place: Place, value: &Value) {
    let home = home(user, place.schema);
    match place.part {
        None if place.is_plural() => {
            let new: Vec<Value> = match value {
                Value::Array(list) => list.iter().map(as_kept).collect(),
                Value::Null => Vec::new(),
                one => vec![as_kept(one)],
            };
            let list = home.entry(place.attribute).or_insert_with(|| json!([]));
            let list = list.as_array_mut().expect("a list");
            match verb {
                Verb::Add => append(list, new),
                _ => *list = new,
            }
        }
        None if place.is_complex() => match value {
            Value::Null => {
                home.remove(place.attribute);
            }
            Value::Object(parts) => merge(home, place.attribute, parts),
            // Some identity providers send a manager as a bare id.
            id => merge(home, place.attribute, &Map::from_iter([("value".to_owned(), id.clone())])),
        },
        None => {
            home.insert(place.attribute.to_owned(), as_flag(place.attribute, value));
        }
        Some(part) => {
            merge(home, place.attribute, &Map::from_iter([(part.to_owned(), value.clone())]));
        }
    }
}

/// Sets the sub-attributes that are mentioned and leaves the others as they are.
fn merge(home: &mut Map<String, Value>, attribute: &str, parts: &Map<String, Value>) {
    let complex = home.entry(attribute).or_insert_with(|| json!({}));
    let complex = complex.as_object_mut().expect("an object");
    complex.extend(parts.clone());
}

/// Appends what is not there yet. The last new primary entry is the only one.
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

/// The entry at `place` has become the primary one: the others say nothing of it any more.
fn keep_one_primary(list: &mut [Value], place: usize) {
    for (other, entry) in list.iter_mut().enumerate() {
        if other != place {
            entry.as_object_mut().expect("an object").remove("primary");
        }
    }
}

/// An entry as it is kept: booleans are booleans, and null says nothing.
fn as_kept(entry: &Value) -> Value {
    let mut kept = with_flags(entry);
    tidy(&mut kept);
    kept
}

fn with_flags(entry: &Value) -> Value {
    let mut entry = entry.clone();
    for (name, value) in entry.as_object_mut().expect("an object") {
        *value = as_flag(name, value);
    }
    entry
}

/// Entra ID sends "True" and "False" where a boolean belongs.
fn as_flag(name: &str, value: &Value) -> Value {
    match (name, value.as_str()) {
        ("active" | "primary", Some("True")) => json!(true),
        ("active" | "primary", Some("False")) => json!(false),
        _ => value.clone(),
    }
}

/// Unassigns an attribute or a sub-attribute; of a plural, with a list, only the entries with these values.
fn remove(user: &mut Value, place: Place, listed: &Value) {
    let home = home(user, place.schema);
    let Some(held) = home.get_mut(place.attribute) else { return };
    match (place.part, listed) {
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

/// Changes the entries of a plural attribute for which a condition holds.
fn change_chosen(
    user: &mut Value,
    verb: Verb,
    attribute: &str,
    condition: &Filter,
    part: Option<&str>,
    value: &Value,
) -> Result<(), Refused> {
    let list = home(user, CORE).entry(attribute).or_insert_with(|| json!([]));
    let list = list.as_array_mut().expect("a list");
    let chosen: Vec<usize> =
        (0..list.len()).filter(|&place| condition.holds_for_entry(attribute, &list[place])).collect();
    if verb == Verb::Remove {
        remove_chosen(list, &chosen, part);
        return Ok(());
    }
    if chosen.is_empty() {
        // Entra ID fills in e-mails and addresses of a type like this, whether they are there or not.
        let (Some(part), Some(kind)) = (part, type_in(condition)) else { return Err(Refused) };
        list.push(json!({"type": kind, part: value}));
        return Ok(());
    }
    for place in chosen {
        let given = match part {
            Some(part) => with_flags(&json!({part: value})),
            None => with_flags(value),
        };
        let entry = list[place].as_object_mut().expect("an object");
        if part.is_none() && verb == Verb::Replace {
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

/// Removes entries or a sub-attribute of them. An entry without its value is none.
fn remove_chosen(list: &mut Vec<Value>, chosen: &[usize], part: Option<&str>) {
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

/// The type that a condition asks for when it asks for nothing else.
fn type_in(condition: &Filter) -> Option<&str> {
    match condition {
        Filter::Test(Test { name, operator: "eq", literal: Some(Literal::Text(kind)) })
            if name.attribute == "type" =>
        {
            Some(kind)
        }
        _ => None,
    }
}

impl Operation {
    /// The operation as a client may send it.
    pub(super) fn write(&self, dice: &mut Dice) -> Value {
        match self {
            Self::Bad(operation) => operation.clone(),
            Self::Whole { verb, parts } => {
                let mut value = json!({});
                for (place, part) in parts {
                    write_key(&mut value, *place, part, dice);
                }
                json!({"op": verb.write(dice), "value": value})
            }
            Self::At { verb, place, value } => with_value(*verb, &place.write(dice), value, dice),
            Self::Chosen { verb, attribute, condition, part, value } => {
                let mut path = Place::core(attribute).write(dice);
                path.push_str(&format!("[{}]", condition.write(dice).trim()));
                if let Some(part) = part {
                    path.push_str(&format!(".{}", dice.cased(part)));
                }
                with_value(*verb, &path, value, dice)
            }
        }
    }
}

/// An operation with a path; one that removes carries a value only when that is a list.
fn with_value(verb: Verb, path: &str, value: &Value, dice: &mut Dice) -> Value {
    let mut operation = json!({"op": verb.write(dice), "path": path});
    if verb != Verb::Remove || value.is_array() {
        operation["value"] = value.clone();
    }
    operation
}

impl Verb {
    /// The word in any case: Entra ID capitalizes it.
    fn write(self, dice: &mut Dice) -> String {
        dice.cased(match self {
            Self::Add => "add",
            Self::Replace => "replace",
            Self::Remove => "remove",
        })
    }
}

impl Place {
    /// As a path; an attribute of an extension needs its schema, one of the core may have it.
    pub(super) fn write(self, dice: &mut Dice) -> String {
        let mut path = String::new();
        if self.schema != CORE || (self.attribute != "externalId" && dice.once_in(6)) {
            path.push_str(&format!("{}:", self.schema));
        }
        path.push_str(&dice.cased(self.attribute));
        if let Some(part) = self.part {
            path.push_str(&format!(".{}", dice.cased(part)));
        }
        path
    }
}

/// Writes a member of a value that stands without a path: nested, or with a dotted or a prefixed key.
fn write_key(value: &mut Value, place: Place, part: &Value, dice: &mut Dice) {
    if dice.once_in(2) {
        value[place.write(dice)] = part.clone();
        return;
    }
    let nested = home(value, place.schema);
    match place.part {
        None => nested.insert(dice.cased(place.attribute), part.clone()),
        Some(inner) => nested.insert(place.attribute.to_owned(), json!({inner: part})),
    };
}
