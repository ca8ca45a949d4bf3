//! Evaluates the guards of a mutation against the stored data.

use super::{State, TenantData};
use crate::guards::{Guard, guards_of};
use crate::memberships;
use directory::{CommitError, Field, Mutation, TenantNumber, fold};

impl State {
    /// Returns the first conflict, in the order that all engines share.
    pub(super) fn check_guards(&self, tenant: TenantNumber, mutation: &Mutation) -> Result<(), CommitError> {
        let needs_no_tenant = matches!(
            mutation,
            Mutation::AddTenant(_)
                | Mutation::ChangeTenant { .. }
                | Mutation::AddSecret(..)
                | Mutation::RecordConnectionUse(..)
                | Mutation::ChangeConnection { .. }
        );
        if !needs_no_tenant && !self.tenants.contains_key(&tenant) {
            return Err(CommitError::MissingReference(Field::Number));
        }
        let empty = TenantData::default();
        let data = self.tenant_data.get(&tenant).map_or(&empty, |data| data);
        match guards_of(mutation).into_iter().find(|guard| !self.holds(tenant, data, guard)) {
            Some(guard) => Err(guard.error()),
            None => Ok(()),
        }
    }

    fn holds(&self, tenant: TenantNumber, data: &TenantData, guard: &Guard<'_>) -> bool {
        match guard {
            Guard::UserUnchanged(user) => {
                let stored = data.users.get(&user.number);
                stored.is_some_and(|stored| memberships::eq_ignoring_memberships(stored, user))
            }
            Guard::TombstoneExists(tombstone) => {
                let stored = data.tombstones.get(&tombstone.user.number);
                stored.is_some_and(|(stored, _)| stored.deleted == tombstone.deleted)
            }
            Guard::ItemUnchanged(item) => {
                let stored = data.items.get(&(item.kind(), item.number()));
                stored == Some(*item)
            }
            Guard::TenantVersion(tenant) => {
                self.tenants.get(&tenant.number).is_some_and(|stored| stored.version == tenant.version)
            }
            Guard::ConnectionUnchanged(connection) => {
                let stored = self.connections.iter().find(|stored| stored.id == connection.id);
                stored.is_some_and(|stored| stored.is_unchanged_since(connection))
            }
            Guard::MailVersion(mail) => self.mails.get(&mail.id).is_some_and(|stored| stored.version == mail.version),
            Guard::UserIdFree(id) => data.users.values().all(|user| user.id != *id),
            Guard::TombstoneIdFree(id) => data.tombstones.values().all(|(tombstone, _)| tombstone.user.id != *id),
            Guard::ItemNumberFree(kind, number) => !data.items.contains_key(&(*kind, *number)),
            Guard::ItemIdFree(id) => data.items.values().all(|item| item.id() != *id),
            Guard::TenantNumberFree(number) => !self.tenants.contains_key(number),
            Guard::ConnectionIdFree(id) => self.connections.iter().all(|connection| connection.id != *id),
            Guard::ConnectionNameFree(name) => {
                // The name of a revoked connection is free.
                let is_own = |connection: &&directory::Connection| connection.tenant == tenant && !connection.revoked;
                let mut own = self.connections.iter().filter(is_own);
                own.all(|connection| fold(&connection.name) != *name)
            }
            Guard::MailIdFree(id) => !self.mails.contains_key(id),
            Guard::SecretFree(name) => !self.secrets.contains_key(name),
            Guard::KeyFree(key) => !data.unique_keys.contains_key(&(key.namespace, key.text.clone())),
            Guard::DuplicateKey(_) => false,
            Guard::UserExists(id) => data.users.values().any(|user| user.id == *id),
            Guard::ItemExists(id) => data.items.values().any(|item| item.id() == *id),
        }
    }
}
