//! Descriptions of events for the terminal.

use crate::session::format_timestamp;
use directory::{
    Action, DeliveryOutcome, EntitySnapshot, Event, EventData, EventLabels, Item, Mail, Time, User, UserId,
    builtin_role_name,
};
use serde_json::{Map, Value};
use uuid::Uuid;

/// The kinds of records that events are about.
pub(crate) const RECORD_KINDS: [&str; 9] =
    ["user", "group", "folder", "organisation", "role", "department", "tenant", "connection", "mail"];

/// Describes an event from the perspective of a user.
pub(crate) fn user_event_text(event: &Event, user: UserId) -> Vec<String> {
    let draft = &event.data;
    let mut phrases = Vec::new();
    match (&draft.before, &draft.after) {
        (before, Some(EntitySnapshot::User(after))) if after.id == user => {
            describe_user_change(draft, before.as_ref(), after, &mut phrases);
        }
        (Some(EntitySnapshot::User(before)), None) if before.id == user && draft.notes.is_empty() => {
            phrases.push("deleted".into());
        }
        (Some(EntitySnapshot::User(before)), None) if before.id == user => {
            let is_purge = draft.notes.contains(&directory::EventNote::Purged);
            phrases.push(if is_purge { "permanently deleted" } else { "deleted; signed out everywhere" }.into());
        }
        (_, Some(EntitySnapshot::Mail(mail))) | (Some(EntitySnapshot::Mail(mail)), None) => {
            phrases.push(mail_event_text(draft.action, mail));
        }
        (_, Some(EntitySnapshot::Item(item))) | (Some(EntitySnapshot::Item(item)), None) => {
            describe_item_change(draft, item, user, &mut phrases);
        }
        (_, Some(EntitySnapshot::Connection(connection))) => {
            phrases.push(format!("owner of connection {}", connection.name));
        }
        _ => {}
    }
    if phrases.is_empty() {
        phrases.push("changed".into());
    }
    phrases
}

fn describe_user_change(draft: &EventData, before: Option<&EntitySnapshot>, after: &User, phrases: &mut Vec<String>) {
    let before = before.and_then(|record| match record {
        EntitySnapshot::User(user) => Some(user),
        _ => None,
    });
    match before {
        None if draft.notes.is_empty() => phrases.push(format!("created, {}", after.status.as_str())),
        None => phrases.push("restored".into()),
        Some(before) => {
            if let Some(transition) = before.status.transition_name(after.status) {
                phrases.push(transition.to_owned());
            }
            let changed = user_differences(before, after, &draft.labels);
            if !changed.is_empty() {
                phrases.push(format!("changed: {}", changed.join(", ")));
            }
        }
    }
    if draft.password_set {
        phrases.push("password set".into());
    }
    if before.is_some() {
        phrases.extend(draft.notes.iter().map(|note| note.description().to_owned()));
    }
}

/// Differences as `field "old" → "new"`, without fields that every change updates.
fn user_differences(before: &User, after: &User, labels: &EventLabels) -> Vec<String> {
    let (before, after) = (serde_json::to_value(before), serde_json::to_value(after));
    match (before, after) {
        (Ok(before), Ok(after)) => differences(&before, &after, labels, &["status", "last_activity", "invited"]),
        _ => Vec::new(),
    }
}

fn differences(before: &Value, after: &Value, labels: &EventLabels, ignored_fields: &[&str]) -> Vec<String> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&String| {
        !["version", "updated"].contains(&name.as_str())
            && !ignored_fields.contains(&name.as_str())
            && before.get(*name) != after.get(*name)
    };
    let format_value = |name: &str, value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::Number(time)) if matches!(name, "expires" | "removed") => {
            format_timestamp(Time(time.as_i64().unwrap_or_default()))
        }
        Some(Value::Number(number)) if name == "role" => role_text(number.as_u64(), labels),
        Some(value) => reference_text(value, labels),
    };
    names
        .into_iter()
        .filter(differs)
        .map(|name| {
            let [before, after] = [before.get(name), after.get(name)];
            if matches!(name.as_str(), "groups" | "folders") {
                return format!("{name} {}", list_differences(before, after, labels));
            }
            let [before, after] = [before, after].map(|value| format_value(name, value));
            format!("{} {before} → {after}", name.replace('_', " "))
        })
        .collect()
}

/// What was added to a list of references and removed from it.
fn list_differences(before: Option<&Value>, after: Option<&Value>, labels: &EventLabels) -> String {
    let entries = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let (before, after) = (entries(before), entries(after));
    let only_in = |list: &[Value], other: &[Value], word: &str| {
        let names = list.iter().filter(|entry| !other.contains(entry)).map(|entry| reference_text(entry, labels));
        let names: Vec<String> = names.collect();
        (!names.is_empty()).then(|| format!("{word} {}", names.join(" ")))
    };
    let parts = [only_in(&after, &before, "added"), only_in(&before, &after, "removed")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A value as text, with names instead of ids.
fn reference_text(value: &Value, labels: &EventLabels) -> String {
    with_names(value, labels).to_string()
}

fn with_names(value: &Value, labels: &EventLabels) -> Value {
    match value {
        Value::String(text) => {
            let label = Uuid::try_parse(text).ok().and_then(|id| labels.names.get(&id));
            Value::String(label.unwrap_or(text).clone())
        }
        Value::Array(entries) => entries.iter().map(|entry| with_names(entry, labels)).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, member)| (name.clone(), with_names(member, labels))).collect()
        }
        other => other.clone(),
    }
}

fn role_text(number: Option<u64>, labels: &EventLabels) -> String {
    let number = number.and_then(|number| u32::try_from(number).ok()).unwrap_or_default();
    match labels.roles.get(&number).map(String::as_str).or_else(|| builtin_role_name(number)) {
        Some(name) => format!("{number} ({name})"),
        None => number.to_string(),
    }
}

/// The names of members, at most ten. Of others, the number.
fn members_text(ids: &[UserId], labels: &EventLabels) -> String {
    let names: Vec<&str> = ids.iter().filter_map(|id| labels.names.get(&id.0).map(String::as_str)).take(10).collect();
    match (names.as_slice(), ids.len() - names.len()) {
        ([], _) => ids.len().to_string(),
        (_, 0) => names.join(", "),
        (_, others) => format!("{} and {others} more", names.join(", ")),
    }
}

/// Describes an event: kind and name or number of the record, and the changes.
pub(crate) fn event_text(event: &Event) -> String {
    let draft = &event.data;
    let Some(record) = draft.after.as_ref().or(draft.before.as_ref()) else {
        return draft.action.as_str().into();
    };
    let name = match record {
        EntitySnapshot::User(user) => {
            return format!("user {}: {}", user.number, user_event_text(event, user.id).join("; "));
        }
        EntitySnapshot::Item(item) => format!("{} {:?}", item.kind().as_str(), item.name()),
        EntitySnapshot::Tenant(tenant) => format!("tenant {:?}", tenant.name),
        EntitySnapshot::Connection(connection) => format!("connection {:?}", connection.name),
        EntitySnapshot::Target(target) => format!("target {:?}", target.name),
        EntitySnapshot::Mail(mail) => return mail_event_text(draft.action, mail),
    };
    let document =
        |record: &Option<EntitySnapshot>| serde_json::to_value(record).ok().and_then(|value| record_document(&value));
    let mut text = format!("{name} {}", draft.action.as_str());
    if let (Some(before), Some(after)) = (document(&draft.before), document(&draft.after)) {
        let changed = differences(&before, &after, &draft.labels, &["last_use"]);
        if !changed.is_empty() {
            text.push_str(&format!(": {}", changed.join(", ")));
        }
    }
    for (ids, word) in [(&draft.members_added, "joined"), (&draft.members_removed, "left")] {
        if !ids.is_empty() {
            text.push_str(&format!("; {word}: {}", members_text(ids, &draft.labels)));
        }
    }
    text
}

/// The document inside a record's wrapper, which names the kind.
fn record_document(record: &Value) -> Option<Value> {
    record.as_object().and_then(|kinds| kinds.values().next()).cloned()
}

/// The kind of an event's record, as in [`RECORD_KINDS`].
pub(crate) fn record_kind(event: &Event) -> &'static str {
    match event.data.after.as_ref().or(event.data.before.as_ref()) {
        Some(EntitySnapshot::User(_)) => "user",
        Some(EntitySnapshot::Item(item)) => item.kind().as_str(),
        Some(EntitySnapshot::Tenant(_)) => "tenant",
        Some(EntitySnapshot::Connection(_)) => "connection",
        Some(EntitySnapshot::Mail(_)) => "mail",
        Some(EntitySnapshot::Target(_)) => "target",
        None => "other",
    }
}

fn mail_event_text(action: Action, mail: &Mail) -> String {
    let kind = mail.purpose.as_str();
    match (action, &mail.outcome) {
        (Action::Created, _) => format!("{kind} mail queued"),
        (_, Some(DeliveryOutcome::Failed(cause))) => format!("{kind} mail failed: {cause}"),
        (_, Some(DeliveryOutcome::Sent)) => format!("{kind} mail sent"),
        (_, Some(DeliveryOutcome::Withdrawn)) => {
            format!("{kind} mail withdrawn: its link was no longer valid")
        }
        _ => format!("{kind} mail changed"),
    }
}

fn describe_item_change(draft: &EventData, item: &Item, user: UserId, phrases: &mut Vec<String>) {
    let named = format!("{} {}", item.kind().as_str(), item.name());
    if draft.members_added.contains(&user) {
        phrases.push(format!("joined {named}"));
    }
    if draft.members_removed.contains(&user) {
        phrases.push(format!("left {named}"));
    }
}
