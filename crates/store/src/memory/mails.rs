//! Mails in the reference engine.

use super::State;
use directory::{Action, CommitError, Edit, EventDraft, Field, Record};

impl State {
    /// Carries out an edit of a mail; whether there is anything to tell of it.
    pub(super) fn mail(&mut self, edit: Edit, event: &mut EventDraft) -> Result<bool, CommitError> {
        match edit {
            Edit::AddMail(mail) => {
                if self.mails.contains_key(&mail.id) {
                    return Err(CommitError::Taken(Field::Id));
                }
                event.action = Action::Created;
                event.after = Some(Record::Mail(mail.clone()));
                self.mails.insert(mail.id, *mail);
            }
            Edit::ChangeMail { before, after } => {
                let stored = self.mails.get_mut(&before.id).filter(|mail| mail.version == before.version);
                *stored.ok_or(CommitError::Stale)? = (*after).clone();
                if !after.has_failed() {
                    return Ok(false);
                }
                event.before = Some(Record::Mail(before));
                event.after = Some(Record::Mail(after));
            }
            Edit::RemoveMail(mail) => {
                if self.mails.get(&mail.id).is_none_or(|stored| stored.version != mail.version) {
                    return Err(CommitError::Stale);
                }
                self.mails.remove(&mail.id);
                event.action = Action::Deleted;
                event.before = Some(Record::Mail(mail));
            }
            _ => {}
        }
        Ok(true)
    }
}
