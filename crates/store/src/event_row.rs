//! An event as a row, with its snapshots encoded: before it is written, and after it was read.

use directory::{
    Action, Change, ConnectionId, EntitySnapshot, Event, EventData, EventKind, EventLabels, EventNote, EventPosition,
    TenantNumber, Time, UserId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What the events of a change have in common.
#[derive(Clone, Debug)]
pub struct ChangeContext {
    pub tenant: TenantNumber,
    pub at: Time,
    pub connection: Option<ConnectionId>,
    pub actor: String,
    pub request_id: String,
    pub labels: EventLabels,
}

impl ChangeContext {
    pub fn of(change: &Change) -> Self {
        let Change { tenant, at, connection, actor, request_id, labels, .. } = change;
        let (actor, request_id, labels) = (actor.clone(), request_id.clone(), labels.clone());
        Self { tenant: *tenant, at: *at, connection: *connection, actor, request_id, labels }
    }
}

/// The event of one mutation.
#[derive(Debug)]
pub struct EncodedEvent {
    pub action: Action,
    pub kind: EventKind,
    /// See [`EventData::subjects`].
    pub subjects: Vec<Uuid>,
    pub before: Option<String>,
    pub after: Option<String>,
    pub members_added: Vec<UserId>,
    pub members_removed: Vec<UserId>,
    pub password_set: bool,
    pub notes: Vec<EventNote>,
    /// The tenant of the event, if it is not that of the change.
    pub tenant: Option<TenantNumber>,
}

impl EncodedEvent {
    /// `encoded_after` is the entity after the change, if it is encoded already.
    pub fn new(event: EventData, encoded_after: Option<String>) -> Result<Self, serde_json::Error> {
        let encode = |entity: &Option<EntitySnapshot>| entity.as_ref().map(to_json).transpose();
        Ok(Self {
            action: event.action,
            kind: event.kind(),
            subjects: event.subjects(),
            before: encode(&event.before)?,
            after: encoded_after.map_or_else(|| encode(&event.after), |text| Ok(Some(text)))?,
            members_added: event.members_added,
            members_removed: event.members_removed,
            password_set: event.password_set,
            notes: event.notes,
            tenant: None,
        })
    }

    pub fn action_code(&self) -> i16 {
        match self.action {
            Action::Created => 1,
            Action::Updated => 2,
            Action::Deleted => 3,
        }
    }
}

/// An event as a row, in any engine and in backups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventEntry {
    pub position: u64,
    pub tenant: u32,
    pub at: i64,
    pub connection: Option<[u8; 16]>,
    pub actor: String,
    pub request_id: String,
    pub action: i16,
    pub before: Option<String>,
    pub after: Option<String>,
    pub members_added: Option<String>,
    pub members_removed: Option<String>,
    pub password_set: bool,
    /// A list of notes, or an object with notes and labels, in JSON; `None` if there are neither.
    pub notes: Option<String>,
    /// Whether it was written before events were chained.
    pub is_unchained: bool,
}

impl EventEntry {
    /// The row of an event, which gets its position later.
    pub fn new(context: &ChangeContext, event: EncodedEvent) -> Result<Self, serde_json::Error> {
        Ok(Self {
            position: 0,
            tenant: event.tenant.unwrap_or(context.tenant).0,
            at: context.at.0,
            connection: context.connection.map(|connection| connection.0.into_bytes()),
            actor: context.actor.clone(),
            request_id: context.request_id.clone(),
            action: event.action_code(),
            before: event.before,
            after: event.after,
            members_added: list_to_json(&event.members_added)?,
            members_removed: list_to_json(&event.members_removed)?,
            password_set: event.password_set,
            notes: notes_to_json(event.notes, &context.labels)?,
            is_unchained: false,
        })
    }
}

/// Decodes an event that was read.
pub fn decode_event(row: &EventEntry) -> Result<Event, serde_json::Error> {
    let NotesAndLabels { notes, labels } = notes_and_labels(row.notes.as_deref())?;
    Ok(Event {
        position: EventPosition(row.position),
        data: EventData {
            tenant: TenantNumber(row.tenant),
            at: Time(row.at),
            connection: row.connection.map(|id| ConnectionId(Uuid::from_bytes(id))),
            actor: row.actor.clone(),
            request_id: row.request_id.clone(),
            action: match row.action {
                1 => Action::Created,
                2 => Action::Updated,
                _ => Action::Deleted,
            },
            before: from_json(row.before.as_deref())?,
            after: from_json(row.after.as_deref())?,
            members_added: from_json(row.members_added.as_deref())?.unwrap_or_default(),
            members_removed: from_json(row.members_removed.as_deref())?.unwrap_or_default(),
            password_set: row.password_set,
            notes,
            labels,
        },
    })
}

/// The kind of an event and its subjects, which are stored beside it.
pub fn kind_and_subjects(row: &EventEntry) -> Result<(EventKind, Vec<Uuid>), serde_json::Error> {
    let Event { data, .. } = decode_event(row)?;
    Ok((data.kind(), data.subjects()))
}

/// Like [`kind_and_subjects`]. An event that was changed so that it cannot be decoded has no subjects; `muster audit verify`
/// reports it.
pub fn kind_and_known_subjects(row: &EventEntry) -> (EventKind, Vec<Uuid>) {
    kind_and_subjects(row).unwrap_or_else(|error| {
        tracing::warn!(position = row.position, %error, "cannot decode an event");
        (EventKind::User, Vec::new())
    })
}

fn from_json<T: DeserializeOwned>(text: Option<&str>) -> Result<Option<T>, serde_json::Error> {
    text.map(serde_json::from_str).transpose()
}

pub fn to_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// What is stored as notes of an event that has labels.
#[derive(Default, Serialize, Deserialize)]
struct NotesAndLabels {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<EventNote>,
    labels: EventLabels,
}

fn notes_and_labels(stored: Option<&str>) -> Result<NotesAndLabels, serde_json::Error> {
    match stored {
        Some(list) if list.starts_with('[') => {
            Ok(NotesAndLabels { notes: serde_json::from_str(list)?, ..NotesAndLabels::default() })
        }
        stored => Ok(from_json(stored)?.unwrap_or_default()),
    }
}

fn notes_to_json(notes: Vec<EventNote>, labels: &EventLabels) -> Result<Option<String>, serde_json::Error> {
    if labels.is_empty() {
        return list_to_json(&notes);
    }
    to_json(&NotesAndLabels { notes, labels: labels.clone() }).map(Some)
}

/// `None` for an empty list.
fn list_to_json<T: Serialize>(items: &[T]) -> Result<Option<String>, serde_json::Error> {
    if items.is_empty() { Ok(None) } else { to_json(&items).map(Some) }
}
