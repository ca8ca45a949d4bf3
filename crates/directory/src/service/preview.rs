//! What a command would do, without doing it.

use super::{Caller, Directory, unread};
use crate::decide::{Stamp, decide};
use crate::{Command, Edit, Fault, Field, Refusal, Rule, User, UserId, UserKey, identifier_key};

/// What a command would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// Nothing: all is so already.
    Nothing,
    /// Somebody would be as this says.
    Person(Box<User>),
    /// Something else would change.
    Something,
}

impl Directory {
    /// What a command would do, or why it would be refused. What the store alone refuses is looked up for
    /// people, whose names and keys nobody else may have; nothing is hashed and nothing is kept.
    pub async fn preview(&self, caller: &Caller, command: &Command) -> Result<Preview, Refusal> {
        self.check_hash(command)?;
        let highest_role = self.check_connection(caller, true).await?;
        let known = self.look_up(caller, command, true).await?;
        let stamp = Stamp { now: self.now(), ids: self.ids.as_ref(), highest_role, tenant: caller.tenant };
        let decision = decide(command, &known, &stamp)?;
        let mut preview = if decision.edits.is_empty() { Preview::Nothing } else { Preview::Something };
        for edit in decision.edits {
            if let Edit::AddUser { user, .. }
            | Edit::ChangeUser { after: user, .. }
            | Edit::RestoreUser { user, .. } = edit
            {
                self.free_for(caller, &user).await?;
                preview = Preview::Person(user);
            }
        }
        Ok(preview)
    }

    /// Whether nobody else has what a person would have alone.
    async fn free_for(&self, caller: &Caller, user: &User) -> Result<(), Refusal> {
        let mut keys = vec![(Field::UserName, UserKey::Handle(user.user_name.clone()))];
        if let Some(email) =
            user.email().filter(|email| identifier_key(email) != identifier_key(&user.user_name))
        {
            keys.push((Field::Email, UserKey::Handle(email.to_owned())));
        } else if user.email().is_some() {
            keys[0].0 = Field::Email;
        }
        if let Some(id) = &user.external_id {
            keys.push((Field::ExternalId, UserKey::ExternalId(id.clone())));
        }
        let mut faults = Vec::new();
        for (field, key) in keys {
            let owner: Option<UserId> =
                self.store.user(caller.tenant, key).await.map_err(unread)?.map(|owner| owner.id);
            if owner.is_some_and(|owner| owner != user.id) {
                faults.push(Fault { field, rule: Rule::Taken });
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(Refusal::Invalid(faults)) }
    }
}
