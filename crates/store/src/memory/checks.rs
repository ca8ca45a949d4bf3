//! What is stored, held against what an edit needs.

use super::{Shelf, State};
use crate::conflicts::{Check, checks};
use crate::memberships;
use directory::{CommitError, Field, Mutation, TenantNumber, fold};

impl State {
    /// The first conflict of an edit, in the order that all engines share.
    pub(super) fn check(&self, tenant: TenantNumber, edit: &Mutation) -> Result<(), CommitError> {
        let is_anywhere = matches!(
            edit,
            Mutation::AddTenant(_)
                | Mutation::ChangeTenant { .. }
                | Mutation::AddSecret(..)
                | Mutation::RecordConnectionUse(..)
                | Mutation::ChangeConnection { .. }
        );
        if !is_anywhere && !self.tenants.contains_key(&tenant) {
            return Err(CommitError::MissingReference(Field::Number));
        }
        let nothing = Shelf::default();
        let shelf = self.shelves.get(&tenant).map_or(&nothing, |shelf| shelf);
        match checks(edit).into_iter().find(|check| !self.is_so(tenant, shelf, check)) {
            Some(check) => Err(check.error()),
            None => Ok(()),
        }
    }

    fn is_so(&self, tenant: TenantNumber, shelf: &Shelf, check: &Check<'_>) -> bool {
        match check {
            Check::User(user) => {
                let stored = shelf.users.get(&user.number);
                stored.is_some_and(|stored| memberships::is_same_but_for_them(stored, user))
            }
            Check::Tombstone(tombstone) => {
                let stored = shelf.tombstones.get(&tombstone.user.number);
                stored.is_some_and(|(stored, _)| stored.deleted == tombstone.deleted)
            }
            Check::Item(item) => {
                let stored = shelf.items.get(&(item.kind(), item.number()));
                stored == Some(*item)
            }
            Check::Tenant(tenant) => {
                self.tenants.get(&tenant.number).is_some_and(|stored| stored.version == tenant.version)
            }
            Check::Connection(connection) => {
                let stored = self.connections.iter().find(|stored| stored.id == connection.id);
                stored.is_some_and(|stored| stored.is_unchanged_since(connection))
            }
            Check::Mail(mail) => {
                self.mails.get(&mail.id).is_some_and(|stored| stored.version == mail.version)
            }
            Check::NoUser(id) => shelf.users.values().all(|user| user.id != *id),
            Check::NoTombstone(id) => {
                shelf.tombstones.values().all(|(tombstone, _)| tombstone.user.id != *id)
            }
            Check::NoItemNumber(kind, number) => !shelf.items.contains_key(&(*kind, *number)),
            Check::NoItem(id) => shelf.items.values().all(|item| item.id() != *id),
            Check::NoTenant(number) => !self.tenants.contains_key(number),
            Check::NoConnection(id) => self.connections.iter().all(|connection| connection.id != *id),
            Check::NoConnectionName(name) => {
                // A revoked connection gives its name to a new one.
                let is_own =
                    |connection: &&directory::Connection| connection.tenant == tenant && !connection.revoked;
                let mut own = self.connections.iter().filter(is_own);
                own.all(|connection| fold(&connection.name) != *name)
            }
            Check::NoMail(id) => !self.mails.contains_key(id),
            Check::NoSecret(name) => !self.secrets.contains_key(name),
            Check::Free(claim) => !shelf.claims.contains_key(&(claim.space, claim.text.clone())),
            Check::Twice(_) => false,
            Check::UserExists(id) => shelf.users.values().any(|user| user.id == *id),
            Check::ItemExists(id) => shelf.items.values().any(|item| item.id() == *id),
        }
    }
}
