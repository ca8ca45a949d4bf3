//! Translates entries of a stream into writes of rows, for all engines.

use super::{ArchiveError, Entry};
use crate::event_row::to_json;
use crate::query_plan::active_code;
use crate::translation::{ItemColumns, Memberships, Owner, RemovedUser, Sequence, Side, UserColumns, Write};
use crate::unique_keys::{self, FORMER_LOGINS, UniqueKey};
use directory::{
    ArchiveForm, Connection, ConnectionKey, Field, Item, ItemId, ItemKind, Mail, Record, Row, RowReader, RowWrite,
    ServerSecret, TABLES, Table, Tenant, TenantNumber, Time, User, fold,
};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The entry of a row of a declared table; `None` if a restore derives the row from others.
pub fn entry_of(table: &'static Table, row: Row) -> Result<Option<Entry>, ArchiveError> {
    let entry = if table.name == Tenant::table().name {
        let tenant = Tenant::from_row(&row)?;
        Entry::Tenant { tenant: tenant.number.0, doc: to_json(&tenant)? }
    } else if table.name == ServerSecret::table().name {
        let secret = ServerSecret::from_row(&row)?;
        Entry::Secret { name: secret.name, bytes: secret.bytes.to_vec() }
    } else if table.name == Connection::table().name {
        let connection = Connection::from_row(&row)?;
        let (tenant, last_use) = (connection.tenant.0, connection.last_use.map(|time| time.0));
        Entry::Connection { tenant, doc: to_json(&Connection { last_use: None, ..connection })?, last_use }
    } else if table.name == Mail::table().name {
        let mail = Mail::from_row(&row)?;
        let doc = RowReader::new(table, &row).text(Mail::DOC_COLUMN)?.to_owned();
        Entry::Mail { tenant: mail.tenant.0, doc }
    } else if table.archive == ArchiveForm::Rows {
        Entry::Row { table: table.name.to_owned(), row }
    } else {
        return Ok(None);
    };
    Ok(Some(entry))
}

/// What entries refer to, from those before them.
#[derive(Default)]
pub struct EntryTranslator {
    kinds: HashMap<(u32, ItemId), ItemKind>,
    connection_names: HashSet<(TenantNumber, String)>,
}

impl EntryTranslator {
    /// The tenant of an entry and its writes. Entries of the history have none.
    pub fn writes_of(&mut self, entry: Entry) -> Result<(TenantNumber, Vec<Write>), ArchiveError> {
        let none = TenantNumber(0);
        Ok(match entry {
            Entry::Tenant { tenant, doc } => {
                (TenantNumber(tenant), vec![insert(&serde_json::from_str::<Tenant>(&doc)?)?])
            }
            Entry::Secret { name, bytes } => {
                let wrong = |_| ArchiveError::Corrupt("a secret has the wrong length".into());
                (none, vec![insert(&ServerSecret { name, bytes: bytes.try_into().map_err(wrong)? })?])
            }
            Entry::Connection { tenant, doc, last_use } => {
                let connection = Connection { last_use: last_use.map(Time), ..serde_json::from_str(&doc)? };
                (TenantNumber(tenant), self.connection(&connection, doc)?)
            }
            Entry::Item { tenant, doc } => {
                let item: Item = serde_json::from_str(&doc)?;
                self.kinds.insert((tenant, item.id()), item.kind());
                (TenantNumber(tenant), item_writes(&item, doc))
            }
            Entry::User { tenant, doc, password, account } => {
                let user: User = serde_json::from_str(&doc)?;
                (TenantNumber(tenant), user_writes(&user, doc, password, account))
            }
            Entry::Tombstone { tenant, doc, deleted, password } => {
                let user: User = serde_json::from_str(&doc)?;
                let removed = RemovedUser {
                    id: user.id,
                    number: user.number,
                    version: user.version,
                    deleted: Time(deleted),
                    external_key: user.external_id.as_deref().map(unique_keys::external_id_key),
                    doc,
                };
                (TenantNumber(tenant), vec![Write::AddTombstone { removed, password }])
            }
            Entry::Members { tenant, item, numbers } => {
                let item = ItemId(Uuid::from_bytes(item));
                let unknown = || ArchiveError::Corrupt(format!("item {item} has members, but is missing"));
                let kind = *self.kinds.get(&(tenant, item)).ok_or_else(unknown)?;
                let rows = numbers.into_iter().map(|number| (item, kind, number)).collect();
                let members = Memberships { rows, side: Side::User, is_exact: false };
                (TenantNumber(tenant), vec![Write::AddMemberships(members)])
            }
            Entry::Mail { tenant, doc } => {
                let mut row = serde_json::from_str::<Mail>(&doc)?.to_row()?;
                row[Mail::DOC_COLUMN] = doc.into();
                (TenantNumber(tenant), vec![Write::row(RowWrite::Insert(Mail::table(), row))])
            }
            Entry::Counter { tenant, sequence, last } => {
                let unknown = || ArchiveError::Corrupt(format!("there is no sequence {sequence}"));
                let sequence = Sequence::from_code(sequence).ok_or_else(unknown)?;
                (TenantNumber(tenant), vec![Write::SetLastNumber(sequence, last)])
            }
            Entry::Row { table, row } => {
                let found = TABLES.iter().map(|table| table()).find(|declared| declared.name == table);
                let unknown = || ArchiveError::Corrupt(format!("there is no table {table}"));
                (none, vec![Write::row(RowWrite::Insert(found.ok_or_else(unknown)?, row))])
            }
            Entry::Event(_) | Entry::ChainLinks { .. } | Entry::ChainEnd { .. } => (none, Vec::new()),
        })
    }

    /// Only a connection that is not revoked has its name. If two have the same, since an earlier version compared names
    /// differently, the older one keeps it.
    fn connection(&mut self, connection: &Connection, doc: String) -> Result<Vec<Write>, ArchiveError> {
        let mut row = connection.to_row()?;
        row[Connection::DOC_COLUMN] = doc.into();
        if connection.revoked || !self.connection_names.insert((connection.tenant, fold(&connection.name))) {
            row[Connection::NAME_COLUMN] = connection.revoked_name_key().into();
        }
        let mut writes = vec![Write::row(RowWrite::Insert(Connection::table(), row))];
        for key in ConnectionKey::all_of(connection) {
            writes.push(Write::row(RowWrite::Put(ConnectionKey::table(), key.to_row()?)));
        }
        Ok(writes)
    }
}

fn insert<T: Record>(record: &T) -> Result<Write, ArchiveError> {
    Ok(Write::row(RowWrite::Insert(T::table(), record.to_row()?)))
}

/// The document stays as it is.
fn item_writes(item: &Item, doc: String) -> Vec<Write> {
    let (id, kind, number) = (item.id(), item.kind(), item.number());
    let name_key = Item::name_key(kind, item.name());
    let columns = ItemColumns { id, kind, number, version: item.version(), updated: item.updated(), name_key, doc };
    let keys = unique_keys::of_item(item).into_iter();
    let keys = keys.map(|key| Write::AddKeyIfFree { key, owner: Owner::Item(kind, number), otherwise: Vec::new() });
    std::iter::once(Write::AddItem { columns, is_allocated: false }).chain(keys).collect()
}

fn user_writes(user: &User, doc: String, password: Option<String>, account: Option<String>) -> Vec<Write> {
    let (id, number, version) = (user.id, user.number, user.version);
    let (active, updated) = (active_code(user), user.updated);
    let mut writes = vec![Write::AddUser(UserColumns { id, number, version, active, updated, password, account, doc })];
    for key in unique_keys::of_user(user) {
        // In a store of 0.1.0, an older user may have the same login in the current normalization.
        let former = |text| UniqueKey { namespace: FORMER_LOGINS, text, field: Field::UserName };
        let otherwise = if key.namespace == unique_keys::LOGINS {
            unique_keys::former_logins(user).into_iter().map(former).collect()
        } else {
            Vec::new()
        };
        writes.push(Write::AddKeyIfFree { key, owner: Owner::User(number), otherwise });
    }
    let emails = unique_keys::secondary_emails(user).into_iter();
    writes.extend(emails.map(|text| Write::AddSecondaryEmail { text, number }));
    if let Some(organization) = user.organization {
        let rows = vec![(organization, ItemKind::Organization, number)];
        writes.push(Write::AddMemberships(Memberships { rows, side: Side::User, is_exact: false }));
    }
    writes
}
