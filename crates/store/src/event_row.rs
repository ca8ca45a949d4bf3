//! An event before it is written as a row; its snapshots are encoded already.

use directory::{Action, ConnectionId, EntitySnapshot, EventNote, Mail, TenantNumber, Time, UserId};
use serde::Serialize;

/// Who made a change.
pub(crate) struct ChangeContext {
    pub(crate) tenant: TenantNumber,
    pub(crate) at: Time,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) actor: String,
    pub(crate) request_id: String,
}

/// The event of one mutation.
pub(crate) struct EncodedEvent {
    pub(crate) action: Action,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) members_added: Vec<UserId>,
    pub(crate) members_removed: Vec<UserId>,
    pub(crate) password_set: bool,
    pub(crate) notes: Vec<EventNote>,
    /// The tenant of the event, if it is not that of the change.
    pub(crate) tenant: Option<TenantNumber>,
}

impl EncodedEvent {
    pub(crate) fn new(action: Action) -> Self {
        Self {
            action,
            before: None,
            after: None,
            members_added: Vec::new(),
            members_removed: Vec::new(),
            password_set: false,
            notes: Vec::new(),
            tenant: None,
        }
    }

    pub(crate) fn action_code(&self) -> i16 {
        match self.action {
            Action::Created => 1,
            Action::Updated => 2,
            Action::Deleted => 3,
        }
    }
}

pub(crate) fn action_from_code(code: i16) -> Action {
    match code {
        1 => Action::Created,
        2 => Action::Updated,
        _ => Action::Deleted,
    }
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// `None` for an empty list.
pub(crate) fn list_to_json<T: Serialize>(items: &[T]) -> Result<Option<String>, serde_json::Error> {
    if items.is_empty() { Ok(None) } else { to_json(&items).map(Some) }
}

/// The event of a changed mail; `None` if it was only tried and will be tried again.
pub(crate) fn mail_event(
    before: Option<&Mail>,
    after: Option<&Mail>,
) -> Result<Option<EncodedEvent>, serde_json::Error> {
    let action = match (before, after) {
        (None, _) => Action::Created,
        (Some(_), Some(after)) if !after.has_failed() => return Ok(None),
        (Some(_), Some(_)) => Action::Updated,
        (Some(_), None) => Action::Deleted,
    };
    let record =
        |mail: Option<&Mail>| mail.map(|mail| to_json(&EntitySnapshot::Mail(Box::new(mail.clone())))).transpose();
    Ok(Some(EncodedEvent { before: record(before)?, after: record(after)?, ..EncodedEvent::new(action) }))
}
