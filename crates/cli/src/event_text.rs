//! What events say, in words for the terminal.

use crate::admin::moment;
use directory::{Action, DeliveryOutcome, EntitySnapshot, Event, EventData, Item, Mail, Time, User, UserId};
use serde_json::{Map, Value};

/// What an event can be about.
pub(crate) const KINDS: [&str; 9] =
    ["user", "group", "folder", "organisation", "role", "department", "tenant", "connection", "mail"];

/// What an event means for a user.
pub(crate) fn of_user(event: &Event, user: UserId) -> Vec<String> {
    let what = &event.data;
    let mut words = Vec::new();
    match (&what.before, &what.after) {
        (before, Some(EntitySnapshot::User(after))) if after.id == user => {
            of_person(what, before.as_ref(), after, &mut words);
        }
        (Some(EntitySnapshot::User(before)), None) if before.id == user && what.notes.is_empty() => {
            words.push("deleted".into());
        }
        (Some(EntitySnapshot::User(before)), None) if before.id == user => {
            let is_purge = what.notes.contains(&directory::EventNote::Purged);
            words.push(if is_purge { "gone for good" } else { "deleted; all sign-ins ended" }.into());
        }
        (_, Some(EntitySnapshot::Mail(mail))) | (Some(EntitySnapshot::Mail(mail)), None) => {
            words.push(of_mail(what.action, mail));
        }
        (_, Some(EntitySnapshot::Item(item))) | (Some(EntitySnapshot::Item(item)), None) => {
            of_item(what, item, user, &mut words);
        }
        (_, Some(EntitySnapshot::Connection(connection))) => {
            words.push(format!("connection {} is theirs", connection.name));
        }
        _ => {}
    }
    if words.is_empty() {
        words.push("changed".into());
    }
    words
}

fn of_person(what: &EventData, before: Option<&EntitySnapshot>, after: &User, words: &mut Vec<String>) {
    let before = before.and_then(|record| match record {
        EntitySnapshot::User(user) => Some(user),
        _ => None,
    });
    match before {
        None if what.notes.is_empty() => words.push(format!("created, {}", after.status.as_str())),
        None => words.push("restored".into()),
        Some(before) => {
            if let Some(moved) = before.status.transition_name(after.status) {
                words.push(moved.to_owned());
            }
            let changed = changed(before, after);
            if !changed.is_empty() {
                words.push(format!("changed: {}", changed.join(", ")));
            }
        }
    }
    if what.password_set {
        words.push("password set".into());
    }
    if before.is_some() {
        words.extend(what.notes.iter().map(|note| note.description().to_owned()));
    }
}

/// What is different, as `field "old" → "new"`, less what every change moves on.
fn changed(before: &User, after: &User) -> Vec<String> {
    let (before, after) = (serde_json::to_value(before), serde_json::to_value(after));
    match (before, after) {
        (Ok(before), Ok(after)) => differences(&before, &after, &["status", "last_activity", "invited"]),
        _ => Vec::new(),
    }
}

/// The members that differ between two documents.
fn differences(before: &Value, after: &Value, silent: &[&str]) -> Vec<String> {
    let empty = Map::new();
    let (before, after) = (before.as_object().unwrap_or(&empty), after.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differs = |name: &&String| {
        !["version", "updated"].contains(&name.as_str())
            && !silent.contains(&name.as_str())
            && before.get(*name) != after.get(*name)
    };
    let shown = |name: &str, value: Option<&Value>| match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::Number(time)) if matches!(name, "expires" | "removed") => {
            moment(Time(time.as_i64().unwrap_or_default()))
        }
        Some(value) => value.to_string(),
    };
    names
        .into_iter()
        .filter(differs)
        .map(|name| {
            let [before, after] = [before, after].map(|document| shown(name, document.get(name)));
            format!("{} {before} → {after}", name.replace('_', " "))
        })
        .collect()
}

/// What an event is about, by kind and by name or number, and what it changed.
pub(crate) fn of_record(event: &Event) -> String {
    let what = &event.data;
    let Some(record) = what.after.as_ref().or(what.before.as_ref()) else {
        return what.action.as_str().into();
    };
    let name = match record {
        EntitySnapshot::User(user) => {
            return format!("user {}: {}", user.number, of_user(event, user.id).join("; "));
        }
        EntitySnapshot::Item(item) => format!("{} {:?}", item.kind().as_str(), item.name()),
        EntitySnapshot::Tenant(tenant) => format!("tenant {:?}", tenant.name),
        EntitySnapshot::Connection(connection) => format!("connection {:?}", connection.name),
        EntitySnapshot::Mail(mail) => return of_mail(what.action, mail),
    };
    let document =
        |record: &Option<EntitySnapshot>| serde_json::to_value(record).ok().and_then(|value| inner(&value));
    let mut text = format!("{name} {}", what.action.as_str());
    if let (Some(before), Some(after)) = (document(&what.before), document(&what.after)) {
        let changed = differences(&before, &after, &["last_use"]);
        if !changed.is_empty() {
            text.push_str(&format!(": {}", changed.join(", ")));
        }
    }
    for (ids, word) in [(&what.members_added, "joined"), (&what.members_removed, "left")] {
        if !ids.is_empty() {
            text.push_str(&format!("; {} {word}", ids.len()));
        }
    }
    text
}

/// The document in a record, which its kind is written around.
fn inner(record: &Value) -> Option<Value> {
    record.as_object().and_then(|kinds| kinds.values().next()).cloned()
}

/// The kind of what an event is about, as `--kind` takes it.
pub(crate) fn kind(event: &Event) -> &'static str {
    match event.data.after.as_ref().or(event.data.before.as_ref()) {
        Some(EntitySnapshot::User(_)) => "user",
        Some(EntitySnapshot::Item(item)) => item.kind().as_str(),
        Some(EntitySnapshot::Tenant(_)) => "tenant",
        Some(EntitySnapshot::Connection(_)) => "connection",
        Some(EntitySnapshot::Mail(_)) => "mail",
        None => "other",
    }
}

fn of_mail(action: Action, mail: &Mail) -> String {
    let kind = mail.purpose.as_str();
    match (action, &mail.outcome) {
        (Action::Created, _) => format!("{kind} mail queued"),
        (_, Some(DeliveryOutcome::Failed(cause))) => format!("{kind} mail failed: {cause}"),
        (_, Some(DeliveryOutcome::Sent)) => format!("{kind} mail sent"),
        (_, Some(DeliveryOutcome::Withdrawn)) => {
            format!("{kind} mail withdrawn: its link was no longer open")
        }
        _ => format!("{kind} mail changed"),
    }
}

fn of_item(what: &EventData, item: &Item, user: UserId, words: &mut Vec<String>) {
    let named = format!("{} {}", item.kind().as_str(), item.name());
    if what.members_added.contains(&user) {
        words.push(format!("joined {named}"));
    }
    if what.members_removed.contains(&user) {
        words.push(format!("left {named}"));
    }
}
