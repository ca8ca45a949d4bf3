//! Translates a change into writes of rows: once, for all engines, and without I/O.
//!
//! A change can conflict with stored data in several ways at once: a new user may have an id, an email and an external
//! id that other users have. Every engine must report the same conflict, so the order of the writes is the order of
//! reporting:
//!
//! 1. Before any mutation: what the change assumed absent (`Change::assumed_absent`, then
//!    `Change::assumed_not_deleted`).
//! 2. Mutation by mutation, in the order of the change; each sees the effects of those before it.
//! 3. Within a mutation: first the state it was decided from, then ids and numbers, then unique keys in the order of
//!    [`unique_keys::of_user`] and [`unique_keys::of_item`], last the users and items it refers to.
//!
//! `testkit::conflict_conformance` tests all engines.

mod apply;
mod items;
mod known;
mod records;
mod users;
mod write;

pub use apply::{ChangeTarget, apply};
pub use known::{Known, Read, Sequence, reads_of};
pub use write::{ItemColumns, Memberships, Owner, RemovedUser, Side, UserColumns, Write, created_id};

use crate::event_row::{EncodedEvent, to_json};
use crate::unique_keys::{self, UniqueKey};
use directory::{
    Action, Change, CommitError, Connection, EntitySnapshot, EventData, EventLabels, Expected, Mail, Mutation, Receipt,
    Record, RowWrite, ServerSecret, TenantNumber, Time,
};

pub type Encoded<T = ()> = Result<T, serde_json::Error>;

/// The writes that precede those of the mutations: what was assumed absent.
pub fn assumptions_of(change: &Change) -> Vec<Write> {
    let absent = change.assumed_absent.iter().filter_map(|(kind, key)| unique_keys::of_key(*kind, key));
    let not_deleted = change.assumed_not_deleted.as_deref().map(unique_keys::external_id_key);
    absent.map(Write::RequireKeyAbsent).chain(not_deleted.map(Write::RequireNotDeleted)).collect()
}

/// Translates a mutation and adds what it returns to the receipt.
pub fn translate(
    tenant: TenantNumber,
    at: Time,
    mutation: Mutation,
    known: &mut Known,
    receipt: &mut Receipt,
) -> Encoded<Vec<Write>> {
    let mut translation = Translation { tenant, at, known, receipt, writes: Vec::with_capacity(8) };
    translation.mutation(mutation)?;
    Ok(translation.writes)
}

struct Translation<'a> {
    tenant: TenantNumber,
    at: Time,
    known: &'a mut Known,
    receipt: &'a mut Receipt,
    writes: Vec<Write>,
}

impl Translation<'_> {
    fn mutation(&mut self, mutation: Mutation) -> Encoded {
        if is_within_tenant(&mutation) {
            self.push(Write::RequireTenant);
        }
        match mutation {
            Mutation::AddUser { user, account } => self.add_user(*user, &account),
            Mutation::ChangeUser { before, after, account, notes } => {
                self.change_user((*before, *after), &account, notes)
            }
            Mutation::RemoveUser(user) => self.remove_user(*user),
            Mutation::RestoreUser { before, user, account, keeps_password } => {
                self.restore_user((&before, *user), &account, keeps_password)
            }
            Mutation::PurgeUser(tombstone) => self.purge_user(*tombstone),
            Mutation::AddItem { item, members } => self.add_item(*item, members),
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                self.change_item((*before, *after), members_added, members_removed)
            }
            Mutation::ChangeMembers { item, members_added, members_removed } => {
                self.change_members(item.id(), &members_added, &members_removed)
            }
            Mutation::RemoveItem(item) => self.remove_item(*item),
            Mutation::AddTenant(tenant) => self.add_tenant(tenant),
            Mutation::ChangeTenant { before, after } => self.change_tenant(*before, *after),
            Mutation::AddMail(mail) => {
                self.row(RowWrite::Insert(Mail::table(), mail.to_row()?));
                self.mail_event(None, Some(mail))
            }
            Mutation::ChangeMail { before, after } => {
                self.update(before.key(), (Mail::VERSION_COLUMN, before.version), &*after)?;
                if after.has_failed() { self.mail_event(Some(before), Some(after)) } else { Ok(()) }
            }
            Mutation::RemoveMail(mail) => {
                let expected = Expected::Row(vec![(Mail::VERSION_COLUMN, mail.version.into())]);
                self.row(RowWrite::Delete { table: Mail::table(), key: mail.key(), expected });
                self.mail_event(Some(mail), None)
            }
            Mutation::AddConnection(new) => self.add_connection(&new),
            Mutation::ChangeConnection { before, after } => self.change_connection(&before, &after),
            Mutation::PutTarget { before, after, rows } => self.put_target(before, after, rows),
            Mutation::RecordConnectionUse(id, uses) => {
                let values = vec![
                    (Connection::LAST_USE_COLUMN, self.at.0.into()),
                    (Connection::KEY_USES_COLUMN, to_json(&uses)?.into()),
                ];
                let (table, key) = (Connection::table(), vec![id.0.into()]);
                self.row(RowWrite::Update { table, key, values, expected: Expected::Anything });
                Ok(())
            }
            Mutation::AddSecret(secret) => {
                self.row(RowWrite::Insert(ServerSecret::table(), secret.to_row()?));
                Ok(())
            }
            Mutation::Rows(rows) => {
                self.writes.extend(rows.into_iter().map(Write::row));
                Ok(())
            }
        }
    }

    fn push(&mut self, write: Write) {
        self.writes.push(write);
    }

    fn row(&mut self, write: RowWrite) {
        self.push(Write::row(write));
    }

    fn event(&mut self, event: EventData) -> Encoded {
        self.event_encoded(event, None)
    }

    /// `encoded_after` is the entity after the change, if it is encoded already.
    fn event_encoded(&mut self, event: EventData, encoded_after: Option<String>) -> Encoded {
        let tenant = Some(event.tenant).filter(|tenant| *tenant != self.tenant);
        let event = EncodedEvent { tenant, ..EncodedEvent::new(event, encoded_after)? };
        self.push(Write::Event(event));
        Ok(())
    }

    /// An event without content. Its origin and labels are those of the change.
    fn new_event(&self, action: Action) -> EventData {
        EventData {
            tenant: self.tenant,
            at: self.at,
            connection: None,
            actor: String::new(),
            request_id: String::new(),
            action,
            before: None,
            after: None,
            members_added: Vec::new(),
            members_removed: Vec::new(),
            password_set: false,
            notes: Vec::new(),
            labels: EventLabels::default(),
        }
    }

    fn add_and_remove(&mut self, added: Memberships, removed: Memberships) {
        if !added.rows.is_empty() {
            self.push(Write::AddMemberships(added));
        }
        if !removed.rows.is_empty() {
            self.push(Write::RemoveMemberships(removed));
        }
    }

    /// Releases keys that are only in `old` and claims those that are only in `new`, once each.
    fn replace_keys(&mut self, old: &[UniqueKey], new: Vec<UniqueKey>, owner: Owner) {
        for key in old.iter().filter(|old| !new.iter().any(|new| new.has_same_key(old))) {
            self.push(Write::RemoveKey(key.clone(), owner));
        }
        let mut added: Vec<UniqueKey> = Vec::new();
        for key in new.into_iter().filter(|new| !old.iter().any(|old| old.has_same_key(new))) {
            if added.iter().any(|other| other.has_same_key(&key)) {
                self.push(Write::Fail(CommitError::Taken(key.field)));
            } else {
                self.push(Write::AddKey(key.clone(), owner));
            }
            added.push(key);
        }
    }

    fn mail_event(&mut self, before: Option<Box<Mail>>, after: Option<Box<Mail>>) -> Encoded {
        let action = match (&before, &after) {
            (None, _) => Action::Created,
            (Some(_), Some(_)) => Action::Updated,
            (Some(_), None) => Action::Deleted,
        };
        let snapshot = |mail: Option<Box<Mail>>| mail.map(EntitySnapshot::Mail);
        self.event(EventData { before: snapshot(before), after: snapshot(after), ..self.new_event(action) })
    }
}

/// Whether the tenant of the change must exist.
pub fn is_within_tenant(mutation: &Mutation) -> bool {
    !matches!(
        mutation,
        Mutation::AddTenant(_)
            | Mutation::ChangeTenant { .. }
            | Mutation::AddSecret(_)
            | Mutation::RecordConnectionUse(..)
            | Mutation::ChangeConnection { .. }
            | Mutation::Rows(_)
    )
}
