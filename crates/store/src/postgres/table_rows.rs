//! Rows of users, mails and events as columns, and the statements that send them.

use super::param::{Param, int};
use crate::event_chain::EventFields;
use crate::event_row::{ChangeContext, EncodedEvent, list_to_json, to_json};
use crate::sql::{self, Sql};
use directory::{AccountEdit, ExposeSecret, Mail, User};
use uuid::Uuid;

pub(super) struct BatchStatement<'a> {
    pub(super) sql: Sql,
    pub(super) params: Vec<&'a dyn Param>,
    pub(super) expected_rows: Option<u64>,
}

#[derive(Default)]
pub(super) struct UserRows {
    pub(super) tenant: Vec<i32>,
    number: Vec<i32>,
    id: Vec<Uuid>,
    before: Vec<i32>,
    version: Vec<i32>,
    active: Vec<i16>,
    updated: Vec<i64>,
    password: Vec<Option<String>>,
    account: Vec<Option<String>>,
    doc: Vec<String>,
}

#[derive(Default)]
pub(super) struct MailRows {
    id: Vec<Uuid>,
    tenant: Vec<i32>,
    user: Vec<Uuid>,
    due: Vec<Option<i64>>,
    queued: Vec<i64>,
    version: Vec<i32>,
    doc: Vec<String>,
}

/// The encoded columns of a user.
pub(super) struct EncodedUser {
    pub(super) active: u8,
    pub(super) password: Option<String>,
    pub(super) account: Option<String>,
    pub(super) doc: String,
}

impl EncodedUser {
    pub(super) fn new(active: u8, account: &AccountEdit, doc: String) -> Result<Self, serde_json::Error> {
        Ok(Self {
            active,
            password: account.password_hash.as_ref().map(|password| password.0.expose_secret().to_owned()),
            account: account.sign_in_state.as_ref().map(to_json).transpose()?,
            doc,
        })
    }
}

#[derive(Default)]
pub(super) struct EventRows {
    pub(super) place: Vec<i32>,
    pub(super) tenant: Vec<i32>,
    at: Vec<i64>,
    connection: Vec<Option<Uuid>>,
    actor: Vec<String>,
    request: Vec<String>,
    action: Vec<i16>,
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
    members_added: Vec<Option<String>>,
    members_removed: Vec<Option<String>>,
    password_set: Vec<bool>,
    notes: Vec<Option<String>>,
    digest: Vec<Vec<u8>>,
}

impl UserRows {
    pub(super) fn push(&mut self, tenant: i32, user: &User, before: u32, columns: EncodedUser) {
        self.tenant.push(tenant);
        self.number.push(int(user.number));
        self.id.push(user.id.0);
        self.before.push(int(before));
        self.version.push(int(user.version));
        self.active.push(i16::from(columns.active));
        self.updated.push(user.updated.0);
        self.password.push(columns.password);
        self.account.push(columns.account);
        self.doc.push(columns.doc);
    }

    /// A deletion needs only the key and the expected version.
    pub(super) fn push_removed(&mut self, tenant: i32, user: &User) {
        self.tenant.push(tenant);
        self.number.push(int(user.number));
        self.before.push(int(user.version));
    }

    pub(super) fn len(&self) -> u64 {
        self.tenant.len() as u64
    }

    pub(super) fn push_insert<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        let Self { tenant, number, id, version, active, updated, password, account, doc, .. } = self;
        if !tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![tenant, number, id, version, active, updated, password, account, doc];
            all.push(BatchStatement { sql: sql::ADD_USERS, params, expected_rows: Some(self.len()) });
        }
    }

    pub(super) fn push_update<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        let Self { tenant, number, before, version, active, updated, password, account, doc, .. } = self;
        if !tenant.is_empty() {
            let params: Vec<&dyn Param> =
                vec![tenant, number, before, version, active, updated, password, account, doc];
            all.push(BatchStatement { sql: sql::CHANGE_USERS, params, expected_rows: Some(self.len()) });
        }
    }

    pub(super) fn push_delete<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.number, &self.before];
            all.push(BatchStatement { sql: sql::REMOVE_USERS, params, expected_rows: Some(self.len()) });
        }
    }
}

impl MailRows {
    pub(super) fn push(&mut self, mail: &Mail) -> Result<(), serde_json::Error> {
        self.id.push(mail.id);
        self.tenant.push(int(mail.tenant.0));
        self.user.push(mail.user.0);
        self.due.push(mail.due.map(|due| due.0));
        self.queued.push(mail.queued.0);
        self.version.push(int(mail.version));
        self.doc.push(to_json(mail)?);
        Ok(())
    }

    pub(super) fn push_insert<'a>(&'a self, all: &mut Vec<BatchStatement<'a>>) {
        let Self { id, tenant, user: person, due, queued, version, doc } = self;
        if !id.is_empty() {
            let params: Vec<&dyn Param> = vec![id, tenant, person, due, queued, version, doc];
            all.push(BatchStatement { sql: sql::ADD_MAIL, params, expected_rows: Some(id.len() as u64) });
        }
    }
}

impl EventRows {
    pub(super) fn push(&mut self, author: &ChangeContext, event_row: EncodedEvent) -> Result<(), serde_json::Error> {
        let (members_added, members_removed, notes) = (
            list_to_json(&event_row.members_added)?,
            list_to_json(&event_row.members_removed)?,
            list_to_json(&event_row.notes)?,
        );
        let lists = [members_added.as_deref(), members_removed.as_deref(), notes.as_deref()];
        let stored = EventFields::from_encoded(author, &event_row, lists);
        self.digest.push(stored.digest().to_vec());
        self.place.push(i32::try_from(self.place.len()).unwrap_or(i32::MAX));
        self.tenant.push(int(event_row.tenant.unwrap_or(author.tenant).0));
        self.at.push(author.at.0);
        self.connection.push(author.connection.map(|connection| connection.0));
        self.actor.push(author.actor.clone());
        self.request.push(author.request_id.clone());
        self.action.push(event_row.action_code());
        self.members_added.push(members_added);
        self.members_removed.push(members_removed);
        self.notes.push(notes);
        self.password_set.push(event_row.password_set);
        self.before.push(event_row.before);
        self.after.push(event_row.after);
        Ok(())
    }

    pub(super) fn push_insert<'a>(&'a self, batch: &'a Uuid, all: &mut Vec<BatchStatement<'a>>) {
        let params: Vec<&dyn Param> = vec![
            batch,
            &self.place,
            &self.tenant,
            &self.at,
            &self.connection,
            &self.actor,
            &self.request,
            &self.action,
            &self.before,
            &self.after,
            &self.members_added,
            &self.members_removed,
            &self.password_set,
            &self.notes,
            &self.digest,
        ];
        all.push(BatchStatement { sql: sql::ADD_EVENT, params, expected_rows: None });
    }
}
