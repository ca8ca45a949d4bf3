//! Translates changes of tenants, connections and mails, which are rows of declared tables.

use super::known::stored_connection;
use super::{Encoded, Translation, Write};
use crate::event_row::to_json;
use directory::{
    Action, CommitError, Connection, ConnectionKey, EntitySnapshot, EventData, Expected, Record, RowWrite, Target,
    Tenant, TenantNumber, Value, fold,
};

impl Translation<'_> {
    pub(super) fn add_tenant(&mut self, mut tenant: Tenant) -> Encoded {
        let is_allocated = tenant.number.0 == 0;
        if is_allocated {
            tenant.number = TenantNumber(self.known.highest_tenant + 1);
        }
        let write = RowWrite::Insert(Tenant::table(), tenant.to_row()?);
        self.push(Write::Row { write, is_allocated });
        let after = Some(EntitySnapshot::Tenant(tenant.clone()));
        self.event(EventData { after, tenant: tenant.number, ..self.new_event(Action::Created) })?;
        self.receipt.tenant = Some(tenant);
        Ok(())
    }

    pub(super) fn change_tenant(&mut self, before: Tenant, after: Tenant) -> Encoded {
        self.update(vec![before.number.0.into()], (Tenant::VERSION_COLUMN, before.version), &after)?;
        self.receipt.tenant = Some(after.clone());
        self.event(EventData {
            before: Some(EntitySnapshot::Tenant(before)),
            after: Some(EntitySnapshot::Tenant(after)),
            ..self.new_event(Action::Updated)
        })
    }

    /// Replaces all columns except the key, if one of them still has its old value.
    pub(super) fn update<T: Record>(&mut self, key: Vec<Value>, (column, old): (usize, u32), new: &T) -> Encoded {
        let table = T::table();
        let values = new.to_row()?.into_iter().enumerate().skip(table.key_columns).collect();
        let expected = Expected::Row(vec![(column, old.into())]);
        self.row(RowWrite::Update { table, key, values, expected });
        Ok(())
    }

    pub(super) fn add_connection(&mut self, new: &Connection) -> Encoded {
        if let Some(row) = self.known.row(&Connection::by_name(new.tenant, fold(&new.name)))
            && let Ok(revoked) = Connection::from_row(row)
            && revoked.revoked
        {
            // The name of a revoked connection can be used again.
            let values = vec![(Connection::NAME_COLUMN, revoked.revoked_name_key().into())];
            let (table, key) = (Connection::table(), vec![revoked.id.0.into()]);
            self.row(RowWrite::Update { table, key, values, expected: Expected::Anything });
        }
        self.row(RowWrite::Insert(Connection::table(), new.to_row()?));
        self.put_keys(new)?;
        let after = Some(EntitySnapshot::redacted_connection(new));
        self.event(EventData { after, ..self.new_event(Action::Created) })
    }

    pub(super) fn change_connection(&mut self, before: &Connection, after: &Connection) -> Encoded {
        let row = self.known.row(&stored_connection(before));
        let stored = row.and_then(|row| Some((row, Connection::from_row(row).ok()?)));
        let Some((row, stored)) = stored.filter(|(_, stored)| stored.is_unchanged_since(before)) else {
            self.push(Write::Fail(CommitError::Stale));
            return Ok(());
        };
        let expected = Expected::Row(vec![(Connection::DOC_COLUMN, row[Connection::DOC_COLUMN].clone())]);
        let values = vec![(Connection::DOC_COLUMN, to_json(after)?.into())];
        let (table, key) = (Connection::table(), vec![after.id.0.into()]);
        self.row(RowWrite::Update { table, key, values, expected });
        let kept: Vec<ConnectionKey> = ConnectionKey::all_of(after).collect();
        for key in ConnectionKey::all_of(&stored).filter(|key| !kept.contains(key)) {
            let (table, expected) = (ConnectionKey::table(), Expected::Anything);
            self.row(RowWrite::Delete { table, key: key.to_row()?, expected });
        }
        self.put_keys(after)?;
        self.event(EventData {
            before: Some(EntitySnapshot::redacted_connection(&stored)),
            after: Some(EntitySnapshot::redacted_connection(after)),
            ..self.new_event(Action::Updated)
        })
    }

    pub(super) fn put_target(
        &mut self,
        before: Option<Box<Target>>,
        after: Box<Target>,
        rows: Vec<RowWrite>,
    ) -> Encoded {
        match &before {
            None => self.row(RowWrite::Insert(Target::table(), after.to_row()?)),
            Some(before) => self.update(before.key(), (Target::VERSION_COLUMN, before.version), &*after)?,
        }
        self.writes.extend(rows.into_iter().map(Write::row));
        let action = match (&before, after.is_removed()) {
            (None, _) => Action::Created,
            (Some(_), false) => Action::Updated,
            (Some(_), true) => Action::Deleted,
        };
        let event = self.new_event(action);
        let after = Some(after).filter(|_| action != Action::Deleted).map(EntitySnapshot::Target);
        self.event(EventData { before: before.map(EntitySnapshot::Target), after, ..event })
    }

    pub(super) fn put_keys(&mut self, connection: &Connection) -> Encoded {
        for key in ConnectionKey::all_of(connection) {
            self.row(RowWrite::Put(ConnectionKey::table(), key.to_row()?));
        }
        Ok(())
    }
}
