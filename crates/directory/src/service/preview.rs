//! Previews: what a command would do.

use super::{Caller, Directory, read_error};
use crate::decide::{DecisionContext, ResolvedReferences, decide};
use crate::{Command, DirectoryError, Field, FieldError, FieldErrorKind, Mutation, User, UserKey, identifier_key};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// Nothing would change.
    Unchanged,
    /// The user as it would be.
    User(Box<User>),
    /// Something else than a user would change.
    Other,
}

impl Directory {
    /// Decides a command without carrying it out, and returns the error that would reject it. For users, this also
    /// checks the unique keys, which otherwise only the store does. Nothing is hashed or stored.
    pub async fn preview(&self, caller: &Caller, command: &Command) -> Result<Preview, DirectoryError> {
        self.check_password_hash(command)?;
        let authority = self.authority(caller).await?;
        let none = ResolvedReferences::default();
        let input = self.load_input(caller, &authority, command, (true, &none)).await?;
        let (now, ids, tenant) = (self.now(), self.ids.as_ref(), caller.tenant);
        let context = DecisionContext { now, ids, authority: &authority, tenant };
        let decision = decide(command, &input, &context)?;
        let mut preview = if decision.mutations.is_empty() { Preview::Unchanged } else { Preview::Other };
        for edit in decision.mutations {
            if let Mutation::AddUser { user, .. }
            | Mutation::ChangeUser { after: user, .. }
            | Mutation::RestoreUser { user, .. } = edit
            {
                self.check_uniqueness(caller, &user).await?;
                preview = Preview::User(user);
            }
        }
        Ok(preview)
    }

    /// Checks that no other user has one of the user's unique keys.
    async fn check_uniqueness(&self, caller: &Caller, user: &User) -> Result<(), DirectoryError> {
        let mut keys = vec![(Field::UserName, UserKey::Login(user.user_name.clone()))];
        if let Some(email) = user.email().filter(|email| identifier_key(email) != identifier_key(&user.user_name)) {
            keys.push((Field::Email, UserKey::Login(email.to_owned())));
        } else if user.email().is_some() {
            keys[0].0 = Field::Email;
        }
        if let Some(id) = &user.external_id {
            keys.push((Field::ExternalId, UserKey::ExternalId(id.clone())));
        }
        let mut errors = Vec::new();
        let (fields, keys): (Vec<Field>, Vec<UserKey>) = keys.into_iter().unzip();
        let owners = self.store.users(caller.tenant, keys).await.map_err(read_error)?;
        for (field, owner) in fields.into_iter().zip(owners) {
            if owner.is_some_and(|owner| owner.id != user.id) {
                errors.push(FieldError { field, kind: FieldErrorKind::Taken });
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(DirectoryError::Invalid(errors)) }
    }
}
