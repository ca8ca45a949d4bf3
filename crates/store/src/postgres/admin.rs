//! Plans changes of tenants, connections and mails.

use super::batch_plan::{ApplyResult, BatchPlan};
use super::param::{Param, int};
use super::preconditions::Precondition;
use super::prefetch::Prefetched;
use crate::event_row::{EncodedEvent, mail_event, to_json};
use crate::sql;
use directory::{Action, Connection, EntitySnapshot, Mail, Tenant, TenantNumber, fold};

impl BatchPlan {
    pub(super) fn add_tenant(&mut self, tenant: &Tenant, known: &Prefetched) -> ApplyResult<EncodedEvent> {
        let mut tenant = tenant.clone();
        if tenant.number.0 == 0 {
            tenant.number = TenantNumber(known.next_tenant);
            self.require(Precondition::TenantNumberFree { number: int(tenant.number.0), is_allocated: true });
        }
        let add: Vec<Box<dyn Param>> =
            vec![Box::new(int(tenant.number.0)), Box::new(to_json(&tenant)?), Box::new(int(tenant.version))];
        self.push_late(sql::ADD_TENANT, add, Some(1));
        let after = Some(to_json(&EntitySnapshot::Tenant(tenant.clone()))?);
        let event_row = EncodedEvent { after, tenant: Some(tenant.number), ..EncodedEvent::new(Action::Created) };
        self.receipt().tenant = Some(tenant);
        Ok(event_row)
    }

    pub(super) fn change_tenant(&mut self, before: &Tenant, after: &Tenant) -> ApplyResult<EncodedEvent> {
        let change: Vec<Box<dyn Param>> = vec![
            Box::new(to_json(after)?),
            Box::new(int(after.version)),
            Box::new(int(before.number.0)),
            Box::new(int(before.version)),
        ];
        self.push_late(sql::CHANGE_TENANT, change, Some(1));
        let event_row = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::Tenant(before.clone()))?),
            after: Some(to_json(&EntitySnapshot::Tenant(after.clone()))?),
            ..EncodedEvent::new(Action::Updated)
        };
        self.receipt().tenant = Some(after.clone());
        Ok(event_row)
    }

    /// Updates a mail, or deletes it if `after` is `None`.
    pub(super) fn change_mail(&mut self, before: &Mail, after: Option<&Mail>) -> ApplyResult<Option<EncodedEvent>> {
        let version = int(before.version);
        match after {
            Some(after) => {
                let change: Vec<Box<dyn Param>> = vec![
                    Box::new(after.due.map(|due| due.0)),
                    Box::new(int(after.version)),
                    Box::new(to_json(after)?),
                    Box::new(before.id),
                    Box::new(version),
                ];
                self.push_late(sql::CHANGE_MAIL, change, Some(1));
            }
            None => {
                self.push_late(sql::REMOVE_MAIL, vec![Box::new(before.id), Box::new(version)], Some(1));
            }
        }
        mail_event(Some(before), after)
    }

    pub(super) fn add_connection(&mut self, new: &Connection) -> ApplyResult<EncodedEvent> {
        let name = fold(&new.name).into_bytes();
        let freed = new.revoked_name_key().into_bytes();
        let free: Vec<Box<dyn Param>> = vec![Box::new(freed), Box::new(int(new.tenant.0)), Box::new(name.clone())];
        self.push_late(sql::RELEASE_REVOKED_NAME, free, None);
        let add: Vec<Box<dyn Param>> = vec![
            Box::new(new.id.0),
            Box::new(int(new.tenant.0)),
            Box::new(name),
            Box::new(new.created.0),
            Box::new(to_json(new)?),
        ];
        self.push_late(sql::ADD_CONNECTION, add, Some(1));
        self.insert_keys(new);
        Ok(EncodedEvent {
            after: Some(to_json(&EntitySnapshot::redacted_connection(new))?),
            ..EncodedEvent::new(Action::Created)
        })
    }

    pub(super) fn change_connection(
        &mut self,
        before: &Connection,
        new: &Connection,
        known: &Prefetched,
    ) -> ApplyResult<EncodedEvent> {
        let stored = known.connection(new.id).filter(|(_, stored)| stored.is_unchanged_since(before));
        let Some((text, old)) = stored else {
            return Ok(EncodedEvent::new(Action::Updated));
        };
        let change: Vec<Box<dyn Param>> = vec![Box::new(to_json(new)?), Box::new(new.id.0), Box::new(text.clone())];
        let event_row = EncodedEvent {
            before: Some(to_json(&EntitySnapshot::redacted_connection(old))?),
            after: Some(to_json(&EntitySnapshot::redacted_connection(new))?),
            ..EncodedEvent::new(Action::Updated)
        };
        self.push_late(sql::CHANGE_CONNECTION, change, Some(1));
        self.push_late(sql::REMOVE_KEYS, vec![Box::new(new.id.0)], None);
        self.insert_keys(new);
        Ok(event_row)
    }

    fn insert_keys(&mut self, connection: &Connection) {
        for key in &connection.keys {
            let prefix = key.hash.prefix().to_vec();
            self.push_late(sql::ADD_KEY, vec![Box::new(prefix), Box::new(connection.id.0)], None);
        }
    }
}
