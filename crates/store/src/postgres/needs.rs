//! What must be so for a change to be carried out, and what is found to stand in its way when a batch did not go in.

use super::line::Session;
use super::param::{Param, int, kind_code};
use super::read::decode;
use super::trouble::Trouble;
use crate::guards::Guard;
use crate::sql;
use crate::unique_keys::UniqueKey;
use directory::{CommitError, Field, Tenant};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// One thing that must be so. Tenants come first where there are several.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// A person of that number is of that version.
    UserAt(i32, i32, i32),
    /// A person of that identity is there.
    UserThere(i32, Uuid),
    /// Nobody has that identity.
    UserIdFree(i32, Uuid),
    /// An item is of that version.
    ItemAt(i32, Uuid, i32),
    /// An item is there.
    ItemThere(i32, Uuid),
    /// No item has that identity.
    ItemIdFree(i32, Uuid),
    /// No item of that kind has that number; one that was given here is passed over instead.
    NumberFree { tenant: i32, kind: i16, number: i32, is_given: bool },
    /// Nobody claims this.
    Free(i32, UniqueKey),
    /// The change takes the same thing twice, which is never so.
    Twice(Field),
    /// Nobody claims this, as was taken for granted.
    Absent(i32, UniqueKey),
    /// No tenant has that number; one that was given here is passed over instead.
    TenantFree { number: i32, is_given: bool },
    /// No deleted user has that id.
    TombstoneIdFree(i32, Uuid),
    /// No connection has that id.
    ConnectionIdFree(Uuid),
    /// No connection of the tenant has that name.
    ConnectionNameFree(i32, Vec<u8>),
    /// No secret has that name.
    SecretFree(&'static str),
    /// Nobody who was deleted had that external id, as was taken for granted.
    NotBuried(i32, Vec<u8>),
    /// What was left of somebody of that number, deleted at that moment, is there.
    Buried(i32, i32, i64),
    /// No mail has that id.
    MailIdFree(Uuid),
    /// A mail is of that version.
    MailAt(Uuid, i32),
    /// A tenant is of that version.
    TenantAt(i32, u32),
    /// What was decided from is not so any more, as was seen beforehand.
    Impossible,
}

impl Need {
    /// What a check asks of the database; nothing where it was made beforehand.
    pub(super) fn of(code: i32, check: Guard<'_>) -> Option<Self> {
        Some(match check {
            Guard::UserVersion(user) => Self::UserAt(code, int(user.number), int(user.version)),
            Guard::TombstoneExists(tombstone) => {
                Self::Buried(code, int(tombstone.user.number), tombstone.deleted.0)
            }
            Guard::ItemVersion(item) => Self::ItemAt(code, item.id().0, int(item.version())),
            Guard::TenantVersion(tenant) => Self::TenantAt(int(tenant.number.0), tenant.version),
            Guard::ConnectionUnchanged(_) => return None,
            Guard::MailVersion(mail) => Self::MailAt(mail.id, int(mail.version)),
            Guard::UserIdFree(id) => Self::UserIdFree(code, id.0),
            Guard::TombstoneIdFree(id) => Self::TombstoneIdFree(code, id.0),
            Guard::ItemNumberFree(kind, number) => {
                let (kind, number) = (kind_code(kind), int(number));
                Self::NumberFree { tenant: code, kind, number, is_given: false }
            }
            Guard::ItemIdFree(id) => Self::ItemIdFree(code, id.0),
            Guard::TenantNumberFree(number) => Self::TenantFree { number: int(number.0), is_given: false },
            Guard::ConnectionIdFree(id) => Self::ConnectionIdFree(id.0),
            Guard::ConnectionNameFree(name) => Self::ConnectionNameFree(code, name.into_bytes()),
            Guard::MailIdFree(id) => Self::MailIdFree(id),
            Guard::SecretFree(name) => Self::SecretFree(name),
            Guard::KeyFree(claim) => Self::Free(code, claim),
            Guard::DuplicateKey(claim) => Self::Twice(claim.field),
            Guard::UserExists(id) => Self::UserThere(code, id.0),
            Guard::ItemExists(id) => Self::ItemThere(code, id.0),
        })
    }
}

/// What stands in the way of each change; its place in the batch. Where nothing does any more, the batch may be tried
/// again.
pub(super) async fn unmet(
    session: &Session,
    needs: &[(usize, Need)],
) -> Result<Vec<(usize, CommitError)>, Trouble> {
    let state = State::read(session, needs).await?;
    let mut unmet: Vec<(usize, CommitError)> = Vec::new();
    for (place, need) in needs {
        if unmet.last().is_some_and(|(last, _)| last == place) {
            continue;
        }
        if let Some(error) = state.against(need) {
            unmet.push((*place, error));
        }
    }
    Ok(unmet)
}

/// What is stored of all that was needed.
#[derive(Default)]
struct State {
    claims: HashSet<(i32, i16, Vec<u8>)>,
    users: HashMap<(i32, i32), i32>,
    people: HashSet<(i32, Uuid)>,
    items: HashMap<(i32, Uuid), i32>,
    numbers: HashSet<(i32, i16, i32)>,
    tenants: HashSet<i32>,
    connections: HashSet<(i32, Vec<u8>)>,
    secrets: HashSet<&'static str>,
    tombstones: HashSet<(i32, Uuid)>,
    connection_ids: HashSet<Uuid>,
    mail_ids: HashSet<Uuid>,
    buried_keys: HashSet<(i32, Vec<u8>)>,
    buried: HashSet<(i32, i32, i64)>,
    mails: HashSet<(Uuid, i32)>,
    tenant_versions: HashMap<i32, u32>,
}

impl State {
    fn against(&self, need: &Need) -> Option<CommitError> {
        let stale = |is_so: bool| (!is_so).then_some(CommitError::Stale);
        let taken = |is_free: bool, field: Field| (!is_free).then_some(CommitError::Taken(field));
        match need {
            Need::UserAt(tenant, number, version) => {
                stale(self.users.get(&(*tenant, *number)) == Some(version))
            }
            Need::UserThere(tenant, id) => stale(self.people.contains(&(*tenant, *id))),
            Need::UserIdFree(tenant, id) => taken(!self.people.contains(&(*tenant, *id)), Field::Id),
            Need::ItemAt(tenant, id, version) => stale(self.items.get(&(*tenant, *id)) == Some(version)),
            Need::ItemThere(tenant, id) => stale(self.items.contains_key(&(*tenant, *id))),
            Need::ItemIdFree(tenant, id) => taken(!self.items.contains_key(&(*tenant, *id)), Field::Id),
            Need::NumberFree { tenant, kind, number, is_given } => {
                taken(*is_given || !self.numbers.contains(&(*tenant, *kind, *number)), Field::Id)
            }
            Need::Free(tenant, claim) => {
                let key = (*tenant, i16::from(claim.namespace), claim.text.clone().into_bytes());
                taken(!self.claims.contains(&key), claim.field)
            }
            Need::Absent(tenant, claim) => {
                let key = (*tenant, i16::from(claim.namespace), claim.text.clone().into_bytes());
                stale(!self.claims.contains(&key))
            }
            Need::TenantFree { number, is_given } => {
                taken(*is_given || !self.tenants.contains(number), Field::Number)
            }
            Need::TombstoneIdFree(tenant, id) => taken(!self.tombstones.contains(&(*tenant, *id)), Field::Id),
            Need::ConnectionIdFree(id) => taken(!self.connection_ids.contains(id), Field::Id),
            Need::MailIdFree(id) => taken(!self.mail_ids.contains(id), Field::Id),
            Need::ConnectionNameFree(tenant, name) => {
                taken(!self.connections.contains(&(*tenant, name.clone())), Field::Name)
            }
            Need::SecretFree(name) => taken(!self.secrets.contains(name), Field::Name),
            Need::NotBuried(tenant, key) => stale(!self.buried_keys.contains(&(*tenant, key.clone()))),
            Need::Buried(tenant, number, at) => stale(self.buried.contains(&(*tenant, *number, *at))),
            Need::MailAt(id, version) => stale(self.mails.contains(&(*id, *version))),
            Need::TenantAt(tenant, version) => stale(self.tenant_versions.get(tenant) == Some(version)),
            Need::Twice(field) => Some(CommitError::Taken(*field)),
            Need::Impossible => Some(CommitError::Stale),
        }
    }

    async fn read(session: &Session, needs: &[(usize, Need)]) -> Result<Self, Trouble> {
        let mut state = Self::default();
        let (mut users, mut people, mut items) = ((vec![], vec![]), (vec![], vec![]), (vec![], vec![]));
        let (mut claims, mut numbers) = ((vec![], vec![], vec![]), (vec![], vec![], vec![]));
        let (mut buried, mut tombstones, mut mails) = ((vec![], vec![]), (vec![], vec![]), vec![]);
        for (_, need) in needs {
            match need {
                Need::UserAt(tenant, number, _) => {
                    users.0.push(*tenant);
                    users.1.push(*number);
                }
                Need::UserThere(tenant, id) | Need::UserIdFree(tenant, id) => {
                    people.0.push(*tenant);
                    people.1.push(*id);
                }
                Need::ItemAt(tenant, id, _) | Need::ItemThere(tenant, id) | Need::ItemIdFree(tenant, id) => {
                    items.0.push(*tenant);
                    items.1.push(*id);
                }
                Need::NumberFree { tenant, kind, number, .. } => {
                    numbers.0.push(*tenant);
                    numbers.1.push(*kind);
                    numbers.2.push(*number);
                }
                Need::Free(tenant, claim) | Need::Absent(tenant, claim) => {
                    claims.0.push(*tenant);
                    claims.1.push(i16::from(claim.namespace));
                    claims.2.push(claim.text.clone().into_bytes());
                }
                Need::NotBuried(tenant, key) => {
                    buried.0.push(*tenant);
                    buried.1.push(key.clone());
                }
                Need::TombstoneIdFree(tenant, id) => {
                    tombstones.0.push(*tenant);
                    tombstones.1.push(*id);
                }
                Need::MailIdFree(id) => mails.push(*id),
                single => state.read_single(session, single).await?,
            }
        }
        for row in ask(session, sql::DELETED_EXTERNAL_IDS, buried.0.len(), &[&buried.0, &buried.1]).await? {
            state.buried_keys.insert((row.try_get(0)?, row.try_get(1)?));
        }
        let params: [&dyn Param; 2] = [&tombstones.0, &tombstones.1];
        for row in ask(session, sql::EXISTING_TOMBSTONES, tombstones.0.len(), &params).await? {
            state.tombstones.insert((row.try_get(0)?, row.try_get(1)?));
        }
        for row in ask(session, sql::EXISTING_MAILS, mails.len(), &[&mails]).await? {
            state.mail_ids.insert(row.try_get(0)?);
        }
        for row in ask(session, sql::USER_VERSIONS, users.0.len(), &[&users.0, &users.1]).await? {
            state.users.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        for row in ask(session, sql::EXISTING_USERS, people.0.len(), &[&people.0, &people.1]).await? {
            state.people.insert((row.try_get(0)?, row.try_get(1)?));
        }
        for row in ask(session, sql::ITEM_VERSIONS, items.0.len(), &[&items.0, &items.1]).await? {
            state.items.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        let params: [&dyn Param; 3] = [&numbers.0, &numbers.1, &numbers.2];
        for row in ask(session, sql::EXISTING_ITEM_NUMBERS, numbers.0.len(), &params).await? {
            state.numbers.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        let params: [&dyn Param; 3] = [&claims.0, &claims.1, &claims.2];
        for row in ask(session, sql::EXISTING_UNIQUE_KEYS, claims.0.len(), &params).await? {
            state.claims.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        Ok(state)
    }
}

impl State {
    /// What is rare enough to be asked for by itself.
    async fn read_single(&mut self, session: &Session, need: &Need) -> Result<(), Trouble> {
        match need {
            Need::TenantFree { number, .. } => {
                let found = session.row(sql::TENANT.postgres, &[number]).await?;
                self.tenants.extend(found.map(|_| *number));
            }
            Need::ConnectionIdFree(id) => {
                let found = session.row(sql::CONNECTION.postgres, &[id]).await?;
                self.connection_ids.extend(found.map(|_| *id));
            }
            Need::ConnectionNameFree(tenant, name) => {
                let found = session.row(sql::CONNECTION_BY_NAME.postgres, &[tenant, name]).await?;
                self.connections.extend(found.map(|_| (*tenant, name.clone())));
            }
            Need::SecretFree(name) => {
                let found = session.row(sql::SECRET.postgres, &[name]).await?;
                self.secrets.extend(found.map(|_| *name));
            }
            Need::Buried(tenant, number, at) => {
                let found = session.row(sql::TOMBSTONE_EXISTS.postgres, &[tenant, number, at]).await?;
                self.buried.extend(found.map(|_| (*tenant, *number, *at)));
            }
            Need::MailAt(id, version) => {
                let found = session.row(sql::MAIL_AT_VERSION.postgres, &[id, version]).await?;
                self.mails.extend(found.map(|_| (*id, *version)));
            }
            Need::TenantAt(tenant, _) => {
                if let Some(row) = session.row(sql::TENANT.postgres, &[tenant]).await? {
                    let stored: Tenant = decode(row.try_get(0)?)?;
                    self.tenant_versions.insert(*tenant, stored.version);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

async fn ask(
    session: &Session,
    sql: sql::Sql,
    many: usize,
    params: &[&dyn Param],
) -> Result<Vec<tokio_postgres::Row>, Trouble> {
    if many == 0 { Ok(Vec::new()) } else { session.rows(sql.postgres, params).await }
}
