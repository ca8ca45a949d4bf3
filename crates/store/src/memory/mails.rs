//! Mail mutations of the reference engine.

use super::State;
use directory::{Action, EntitySnapshot, EventData, Mutation};

impl State {
    /// Returns whether the mutation produces an event.
    pub(super) fn apply_mail_mutation(&mut self, edit: Mutation, event: &mut EventData) -> bool {
        match edit {
            Mutation::AddMail(mail) => {
                event.action = Action::Created;
                event.after = Some(EntitySnapshot::Mail(mail.clone()));
                self.mails.insert(mail.id, *mail);
            }
            Mutation::ChangeMail { before, after } => {
                self.mails.insert(before.id, (*after).clone());
                if !after.has_failed() {
                    return false;
                }
                event.before = Some(EntitySnapshot::Mail(before));
                event.after = Some(EntitySnapshot::Mail(after));
            }
            Mutation::RemoveMail(mail) => {
                self.mails.remove(&mail.id);
                event.action = Action::Deleted;
                event.before = Some(EntitySnapshot::Mail(mail));
            }
            _ => {}
        }
        true
    }
}
