//! The two widest tables as columns, people and events, and the statement that a table's columns make.

use super::param::{Param, int};
use crate::sql::{self, Sql};
use crate::told::{Author, Told, list};
use directory::{ExposeSecret, StoredPassword, User};
use uuid::Uuid;

/// One statement of a batch.
pub(super) struct Statement<'a> {
    pub(super) sql: Sql,
    pub(super) params: Vec<&'a dyn Param>,
    pub(super) must: Option<u64>,
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
    doc: Vec<String>,
}

#[derive(Default)]
pub(super) struct Events {
    pub(super) place: Vec<i32>,
    pub(super) tenant: Vec<i32>,
    at: Vec<i64>,
    connection: Vec<Option<Uuid>>,
    who: Vec<String>,
    request: Vec<String>,
    action: Vec<i16>,
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
    joined: Vec<Option<String>>,
    departed: Vec<Option<String>>,
    password_set: Vec<bool>,
}

impl UserRows {
    pub(super) fn push(
        &mut self,
        tenant: i32,
        user: &User,
        before: u32,
        active: u8,
        password: Option<&StoredPassword>,
        doc: String,
    ) {
        self.tenant.push(tenant);
        self.number.push(int(user.number));
        self.id.push(user.id.0);
        self.before.push(int(before));
        self.version.push(int(user.version));
        self.active.push(i16::from(active));
        self.updated.push(user.updated.0);
        self.password.push(password.map(|password| password.0.expose_secret().to_owned()));
        self.doc.push(doc);
    }

    pub(super) fn many(&self) -> u64 {
        self.tenant.len() as u64
    }

    pub(super) fn add<'a>(&'a self, all: &mut Vec<Statement<'a>>) {
        let Self { tenant, number, id, version, active, updated, password, doc, .. } = self;
        if !tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![tenant, number, id, version, active, updated, password, doc];
            all.push(Statement { sql: sql::ADD_USERS, params, must: Some(self.many()) });
        }
    }

    pub(super) fn change<'a>(&'a self, all: &mut Vec<Statement<'a>>) {
        let Self { tenant, number, before, version, active, updated, password, doc, .. } = self;
        if !tenant.is_empty() {
            let params: Vec<&dyn Param> =
                vec![tenant, number, before, version, active, updated, password, doc];
            all.push(Statement { sql: sql::CHANGE_USERS, params, must: Some(self.many()) });
        }
    }

    pub(super) fn remove<'a>(&'a self, all: &mut Vec<Statement<'a>>) {
        if !self.tenant.is_empty() {
            let params: Vec<&dyn Param> = vec![&self.tenant, &self.number, &self.before];
            all.push(Statement { sql: sql::REMOVE_USERS, params, must: Some(self.many()) });
        }
    }
}

impl Events {
    pub(super) fn push(&mut self, author: &Author, told: Told) -> Result<(), serde_json::Error> {
        self.place.push(i32::try_from(self.place.len()).unwrap_or(i32::MAX));
        self.tenant.push(int(told.tenant.unwrap_or(author.tenant).0));
        self.at.push(author.at.0);
        self.connection.push(author.connection.map(|connection| connection.0));
        self.who.push(author.who.clone());
        self.request.push(author.request.clone());
        self.action.push(told.code());
        self.joined.push(list(&told.joined)?);
        self.departed.push(list(&told.left)?);
        self.password_set.push(told.password_set);
        self.before.push(told.before);
        self.after.push(told.after);
        Ok(())
    }

    pub(super) fn add<'a>(&'a self, batch: &'a Uuid, all: &mut Vec<Statement<'a>>) {
        let params: Vec<&dyn Param> = vec![
            batch,
            &self.place,
            &self.tenant,
            &self.at,
            &self.connection,
            &self.who,
            &self.request,
            &self.action,
            &self.before,
            &self.after,
            &self.joined,
            &self.departed,
            &self.password_set,
        ];
        all.push(Statement { sql: sql::ADD_EVENT, params, must: None });
    }
}
