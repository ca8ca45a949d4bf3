//! Mails in the reference engine.

use super::State;
use directory::{Action, Edit, EventDraft, Record};

impl State {
    /// Carries out an edit of a mail; whether there is anything to tell of it.
    pub(super) fn mail(&mut self, edit: Edit, event: &mut EventDraft) -> bool {
        match edit {
            Edit::AddMail(mail) => {
                event.action = Action::Created;
                event.after = Some(Record::Mail(mail.clone()));
                self.mails.insert(mail.id, *mail);
            }
            Edit::ChangeMail { before, after } => {
                self.mails.insert(before.id, (*after).clone());
                if !after.has_failed() {
                    return false;
                }
                event.before = Some(Record::Mail(before));
                event.after = Some(Record::Mail(after));
            }
            Edit::RemoveMail(mail) => {
                self.mails.remove(&mail.id);
                event.action = Action::Deleted;
                event.before = Some(Record::Mail(mail));
            }
            _ => {}
        }
        true
    }
}
