//! What events say, in words for the terminal.

use crate::admin::moment;
use directory::{Action, Event, EventDraft, Item, Mail, Outcome, Record, Time, User, UserId};
use serde_json::{Map, Value};

/// What an event can be about.
pub(crate) const KINDS: [&str; 9] =
    ["user", "group", "folder", "organisation", "role", "department", "tenant", "connection", "mail"];

/// What an event means for a user.
pub(crate) fn of_user(event: &Event, user: UserId) -> Vec<String> {
    let what = &event.what;
    let mut words = Vec::new();
    match (&what.before, &what.after) {
        (before, Some(Record::User(after))) if after.id == user => {
            of_person(what, before.as_ref(), after, &mut words);
        }
        (Some(Record::User(before)), None) if before.id == user && what.notes.is_empty() => {
            words.push("deleted".into());
        }
        (Some(Record::User(before)), None) if before.id == user => {
            let is_purge = what.notes.contains(&directory::Note::Purged);
            words.push(if is_purge { "gone for good" } else { "deleted; all sign-ins ended" }.into());
        }
        (_, Some(Record::Mail(mail))) | (Some(Record::Mail(mail)), None) => {
            words.push(of_mail(what.action, mail));
        }
        (_, Some(Record::Item(item))) | (Some(Record::Item(item)), None) => {
            of_item(what, item, user, &mut words);
        }
        (_, Some(Record::Connection(connection))) => {
            words.push(format!("connection {} is theirs", connection.name));
        }
        _ => {}
    }
    if words.is_empty() {
        words.push("changed".into());
    }
    words
}

fn of_person(what: &EventDraft, before: Option<&Record>, after: &User, words: &mut Vec<String>) {
    let before = before.and_then(|record| match record {
        Record::User(user) => Some(user),
        _ => None,
    });
    match before {
        None if what.notes.is_empty() => words.push(format!("created, {}", after.status.word())),
        None => words.push("restored".into()),
        Some(before) => {
            if let Some(moved) = before.status.move_to(after.status) {
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
        words.extend(what.notes.iter().map(|note| note.words().to_owned()));
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
    let what = &event.what;
    let Some(record) = what.after.as_ref().or(what.before.as_ref()) else { return what.action.word().into() };
    let name = match record {
        Record::User(user) => {
            return format!("user {}: {}", user.number, of_user(event, user.id).join("; "));
        }
        Record::Item(item) => format!("{} {:?}", item.kind().word(), item.name()),
        Record::Tenant(tenant) => format!("tenant {:?}", tenant.name),
        Record::Connection(connection) => format!("connection {:?}", connection.name),
        Record::Mail(mail) => return of_mail(what.action, mail),
    };
    let document =
        |record: &Option<Record>| serde_json::to_value(record).ok().and_then(|value| inner(&value));
    let mut text = format!("{name} {}", what.action.word());
    if let (Some(before), Some(after)) = (document(&what.before), document(&what.after)) {
        let changed = differences(&before, &after, &["last_use"]);
        if !changed.is_empty() {
            text.push_str(&format!(": {}", changed.join(", ")));
        }
    }
    for (ids, word) in [(&what.joined, "joined"), (&what.left, "left")] {
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
    match event.what.after.as_ref().or(event.what.before.as_ref()) {
        Some(Record::User(_)) => "user",
        Some(Record::Item(item)) => item.kind().word(),
        Some(Record::Tenant(_)) => "tenant",
        Some(Record::Connection(_)) => "connection",
        Some(Record::Mail(_)) => "mail",
        None => "other",
    }
}

fn of_mail(action: Action, mail: &Mail) -> String {
    let kind = mail.purpose.word();
    match (action, &mail.outcome) {
        (Action::Created, _) => format!("{kind} mail queued"),
        (_, Some(Outcome::Failed(cause))) => format!("{kind} mail failed: {cause}"),
        (_, Some(Outcome::Sent)) => format!("{kind} mail sent"),
        (_, Some(Outcome::Withdrawn)) => format!("{kind} mail withdrawn: its link was no longer open"),
        _ => format!("{kind} mail changed"),
    }
}

fn of_item(what: &EventDraft, item: &Item, user: UserId, words: &mut Vec<String>) {
    let named = format!("{} {}", item.kind().word(), item.name());
    if what.joined.contains(&user) {
        words.push(format!("joined {named}"));
    }
    if what.left.contains(&user) {
        words.push(format!("left {named}"));
    }
}
