//! What a change tells: an event on its way into a row, its records written already.

use directory::{Action, ConnectionId, EntitySnapshot, EventNote, Mail, TenantNumber, Time, UserId};
use serde::Serialize;

/// Who made a change.
pub(crate) struct Author {
    pub(crate) tenant: TenantNumber,
    pub(crate) at: Time,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) who: String,
    pub(crate) request: String,
}

/// What one edit tells, its records encoded already.
pub(crate) struct Told {
    pub(crate) action: Action,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) members_added: Vec<UserId>,
    pub(crate) members_removed: Vec<UserId>,
    pub(crate) password_set: bool,
    pub(crate) notes: Vec<EventNote>,
    /// The tenant it is about, where that is not the author's.
    pub(crate) tenant: Option<TenantNumber>,
}

impl Told {
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

    /// How the action is stored.
    pub(crate) fn code(&self) -> i16 {
        match self.action {
            Action::Created => 1,
            Action::Updated => 2,
            Action::Deleted => 3,
        }
    }
}

/// An action as stored.
pub(crate) fn action(code: i16) -> Action {
    match code {
        1 => Action::Created,
        2 => Action::Updated,
        _ => Action::Deleted,
    }
}

/// A document as stored.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value)
}

/// A list as stored; nothing for an empty one.
pub(crate) fn list<T: Serialize>(list: &[T]) -> Result<Option<String>, serde_json::Error> {
    if list.is_empty() { Ok(None) } else { encode(&list).map(Some) }
}

/// What is told of a mail, where that is news: the one before, and the one after.
pub(crate) fn of_mail(
    before: Option<&Mail>,
    after: Option<&Mail>,
) -> Result<Option<Told>, serde_json::Error> {
    let action = match (before, after) {
        (None, _) => Action::Created,
        // Only that it was tried and will be again.
        (Some(_), Some(after)) if !after.has_failed() => return Ok(None),
        (Some(_), Some(_)) => Action::Updated,
        (Some(_), None) => Action::Deleted,
    };
    let record = |mail: Option<&Mail>| {
        mail.map(|mail| encode(&EntitySnapshot::Mail(Box::new(mail.clone())))).transpose()
    };
    Ok(Some(Told { before: record(before)?, after: record(after)?, ..Told::new(action) }))
}
