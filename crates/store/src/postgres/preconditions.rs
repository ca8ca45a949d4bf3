//! Preconditions of changes, and which of them are violated when a batch did not commit.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use super::read::decode;
use crate::guards::Guard;
use crate::sql;
use crate::unique_keys::UniqueKey;
use directory::{CommitError, Field, Tenant};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

#[derive(Clone, Debug)]
pub(super) enum Precondition {
    /// Tenant, number, version.
    UserVersion(i32, i32, i32),
    UserExists(i32, Uuid),
    UserIdFree(i32, Uuid),
    /// Tenant, id, version.
    ItemVersion(i32, Uuid, i32),
    ItemExists(i32, Uuid),
    ItemIdFree(i32, Uuid),
    /// If this process allocated the number (`is_allocated`), a taken one is skipped instead of rejected.
    ItemNumberFree {
        tenant: i32,
        kind: i16,
        number: i32,
        is_allocated: bool,
    },
    KeyFree(i32, UniqueKey),
    /// Always violated: the change itself uses the key twice.
    DuplicateKey(Field),
    /// The change was decided on the assumption that nobody holds the key.
    KeyAssumedAbsent(i32, UniqueKey),
    /// As for [`Precondition::ItemNumberFree`].
    TenantNumberFree {
        number: i32,
        is_allocated: bool,
    },
    TombstoneIdFree(i32, Uuid),
    ConnectionIdFree(Uuid),
    ConnectionNameFree(i32, Vec<u8>),
    SecretFree(&'static str),
    /// The change was decided on the assumption that no deleted user has the external id.
    ExternalIdAssumedNotDeleted(i32, Vec<u8>),
    /// Tenant, number, time of deletion.
    TombstoneExists(i32, i32, i64),
    MailIdFree(Uuid),
    MailVersion(Uuid, i32),
    TenantVersion(i32, u32),
    /// Always violated: the prefetched data differs from that of the decision.
    KnownStale,
}

impl Precondition {
    /// The precondition of a guard; `None` if planning has checked it.
    pub(super) fn from_guard(tenant: i32, guard: Guard<'_>) -> Option<Self> {
        Some(match guard {
            Guard::UserUnchanged(user) => Self::UserVersion(tenant, int(user.number), int(user.version)),
            Guard::TombstoneExists(tombstone) => {
                Self::TombstoneExists(tenant, int(tombstone.user.number), tombstone.deleted.0)
            }
            Guard::ItemUnchanged(item) => Self::ItemVersion(tenant, item.id().0, int(item.version())),
            Guard::TenantVersion(of) => Self::TenantVersion(int(of.number.0), of.version),
            Guard::ConnectionUnchanged(_) => return None,
            Guard::MailVersion(mail) => Self::MailVersion(mail.id, int(mail.version)),
            Guard::UserIdFree(id) => Self::UserIdFree(tenant, id.0),
            Guard::TombstoneIdFree(id) => Self::TombstoneIdFree(tenant, id.0),
            Guard::ItemNumberFree(kind, number) => {
                let (kind, number) = (kind_code(kind), int(number));
                Self::ItemNumberFree { tenant, kind, number, is_allocated: false }
            }
            Guard::ItemIdFree(id) => Self::ItemIdFree(tenant, id.0),
            Guard::TenantNumberFree(number) => Self::TenantNumberFree { number: int(number.0), is_allocated: false },
            Guard::ConnectionIdFree(id) => Self::ConnectionIdFree(id.0),
            Guard::ConnectionNameFree(name) => Self::ConnectionNameFree(tenant, name.into_bytes()),
            Guard::MailIdFree(id) => Self::MailIdFree(id),
            Guard::SecretFree(name) => Self::SecretFree(name),
            Guard::KeyFree(key) => Self::KeyFree(tenant, key),
            Guard::DuplicateKey(key) => Self::DuplicateKey(key.field),
            Guard::UserExists(id) => Self::UserExists(tenant, id.0),
            Guard::ItemExists(id) => Self::ItemExists(tenant, id.0),
        })
    }
}

/// The first violated precondition of each change, with the index of the change. If there is none, the batch
/// can be retried.
pub(super) async fn diagnose(
    session: &Session,
    preconditions: &[(usize, Precondition)],
) -> Result<Vec<(usize, CommitError)>, PgError> {
    let state = StoredState::read(session, preconditions).await?;
    let mut violations: Vec<(usize, CommitError)> = Vec::new();
    for (index, precondition) in preconditions {
        if violations.last().is_some_and(|(last, _)| last == index) {
            continue;
        }
        if let Some(error) = state.violation(precondition) {
            violations.push((*index, error));
        }
    }
    Ok(violations)
}

/// The stored data that preconditions are about.
#[derive(Default)]
struct StoredState {
    unique_keys: HashSet<(i32, i16, Vec<u8>)>,
    users: HashMap<(i32, i32), i32>,
    user_ids: HashSet<(i32, Uuid)>,
    items: HashMap<(i32, Uuid), i32>,
    numbers: HashSet<(i32, i16, i32)>,
    tenants: HashSet<i32>,
    connections: HashSet<(i32, Vec<u8>)>,
    secrets: HashSet<&'static str>,
    tombstones: HashSet<(i32, Uuid)>,
    connection_ids: HashSet<Uuid>,
    mail_ids: HashSet<Uuid>,
    deleted_external_ids: HashSet<(i32, Vec<u8>)>,
    tombstone_rows: HashSet<(i32, i32, i64)>,
    mails: HashSet<(Uuid, i32)>,
    tenant_versions: HashMap<i32, u32>,
}

impl StoredState {
    fn violation(&self, need: &Precondition) -> Option<CommitError> {
        let stale = |is_so: bool| (!is_so).then_some(CommitError::Stale);
        let taken = |is_free: bool, field: Field| (!is_free).then_some(CommitError::Taken(field));
        match need {
            Precondition::UserVersion(tenant, number, version) => {
                stale(self.users.get(&(*tenant, *number)) == Some(version))
            }
            Precondition::UserExists(tenant, id) => stale(self.user_ids.contains(&(*tenant, *id))),
            Precondition::UserIdFree(tenant, id) => taken(!self.user_ids.contains(&(*tenant, *id)), Field::Id),
            Precondition::ItemVersion(tenant, id, version) => stale(self.items.get(&(*tenant, *id)) == Some(version)),
            Precondition::ItemExists(tenant, id) => stale(self.items.contains_key(&(*tenant, *id))),
            Precondition::ItemIdFree(tenant, id) => taken(!self.items.contains_key(&(*tenant, *id)), Field::Id),
            Precondition::ItemNumberFree { tenant, kind, number, is_allocated } => {
                taken(*is_allocated || !self.numbers.contains(&(*tenant, *kind, *number)), Field::Id)
            }
            Precondition::KeyFree(tenant, unique_key) => {
                let key = (*tenant, i16::from(unique_key.namespace), unique_key.text.clone().into_bytes());
                taken(!self.unique_keys.contains(&key), unique_key.field)
            }
            Precondition::KeyAssumedAbsent(tenant, unique_key) => {
                let key = (*tenant, i16::from(unique_key.namespace), unique_key.text.clone().into_bytes());
                stale(!self.unique_keys.contains(&key))
            }
            Precondition::TenantNumberFree { number, is_allocated } => {
                taken(*is_allocated || !self.tenants.contains(number), Field::Number)
            }
            Precondition::TombstoneIdFree(tenant, id) => taken(!self.tombstones.contains(&(*tenant, *id)), Field::Id),
            Precondition::ConnectionIdFree(id) => taken(!self.connection_ids.contains(id), Field::Id),
            Precondition::MailIdFree(id) => taken(!self.mail_ids.contains(id), Field::Id),
            Precondition::ConnectionNameFree(tenant, name) => {
                taken(!self.connections.contains(&(*tenant, name.clone())), Field::Name)
            }
            Precondition::SecretFree(name) => taken(!self.secrets.contains(name), Field::Name),
            Precondition::ExternalIdAssumedNotDeleted(tenant, key) => {
                stale(!self.deleted_external_ids.contains(&(*tenant, key.clone())))
            }
            Precondition::TombstoneExists(tenant, number, at) => {
                stale(self.tombstone_rows.contains(&(*tenant, *number, *at)))
            }
            Precondition::MailVersion(id, version) => stale(self.mails.contains(&(*id, *version))),
            Precondition::TenantVersion(tenant, version) => stale(self.tenant_versions.get(tenant) == Some(version)),
            Precondition::DuplicateKey(field) => Some(CommitError::Taken(*field)),
            Precondition::KnownStale => Some(CommitError::Stale),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one list of rows for each kind of precondition")]
    async fn read(session: &Session, needs: &[(usize, Precondition)]) -> Result<Self, PgError> {
        let mut state = Self::default();
        let (mut users, mut user_ids, mut items) = ((vec![], vec![]), (vec![], vec![]), (vec![], vec![]));
        let (mut claims, mut numbers) = ((vec![], vec![], vec![]), (vec![], vec![], vec![]));
        let (mut deleted_ids, mut tombstones, mut mails) = ((vec![], vec![]), (vec![], vec![]), vec![]);
        for (_, need) in needs {
            match need {
                Precondition::UserVersion(tenant, number, _) => {
                    users.0.push(*tenant);
                    users.1.push(*number);
                }
                Precondition::UserExists(tenant, id) | Precondition::UserIdFree(tenant, id) => {
                    user_ids.0.push(*tenant);
                    user_ids.1.push(*id);
                }
                Precondition::ItemVersion(tenant, id, _)
                | Precondition::ItemExists(tenant, id)
                | Precondition::ItemIdFree(tenant, id) => {
                    items.0.push(*tenant);
                    items.1.push(*id);
                }
                Precondition::ItemNumberFree { tenant, kind, number, .. } => {
                    numbers.0.push(*tenant);
                    numbers.1.push(*kind);
                    numbers.2.push(*number);
                }
                Precondition::KeyFree(tenant, claim) | Precondition::KeyAssumedAbsent(tenant, claim) => {
                    claims.0.push(*tenant);
                    claims.1.push(i16::from(claim.namespace));
                    claims.2.push(claim.text.clone().into_bytes());
                }
                Precondition::ExternalIdAssumedNotDeleted(tenant, key) => {
                    deleted_ids.0.push(*tenant);
                    deleted_ids.1.push(key.clone());
                }
                Precondition::TombstoneIdFree(tenant, id) => {
                    tombstones.0.push(*tenant);
                    tombstones.1.push(*id);
                }
                Precondition::MailIdFree(id) => mails.push(*id),
                single => state.read_single(session, single).await?,
            }
        }
        let params: [&dyn Param; 2] = [&deleted_ids.0, &deleted_ids.1];
        for row in query_if_any(session, sql::DELETED_EXTERNAL_IDS, deleted_ids.0.len(), &params).await? {
            state.deleted_external_ids.insert((row.try_get(0)?, row.try_get(1)?));
        }
        let params: [&dyn Param; 2] = [&tombstones.0, &tombstones.1];
        for row in query_if_any(session, sql::EXISTING_TOMBSTONES, tombstones.0.len(), &params).await? {
            state.tombstones.insert((row.try_get(0)?, row.try_get(1)?));
        }
        for row in query_if_any(session, sql::EXISTING_MAILS, mails.len(), &[&mails]).await? {
            state.mail_ids.insert(row.try_get(0)?);
        }
        for row in query_if_any(session, sql::USER_VERSIONS, users.0.len(), &[&users.0, &users.1]).await? {
            state.users.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        for row in query_if_any(session, sql::EXISTING_USERS, user_ids.0.len(), &[&user_ids.0, &user_ids.1]).await? {
            state.user_ids.insert((row.try_get(0)?, row.try_get(1)?));
        }
        for row in query_if_any(session, sql::ITEM_VERSIONS, items.0.len(), &[&items.0, &items.1]).await? {
            state.items.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
        }
        let params: [&dyn Param; 3] = [&numbers.0, &numbers.1, &numbers.2];
        for row in query_if_any(session, sql::EXISTING_ITEM_NUMBERS, numbers.0.len(), &params).await? {
            state.numbers.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        let params: [&dyn Param; 3] = [&claims.0, &claims.1, &claims.2];
        for row in query_if_any(session, sql::EXISTING_UNIQUE_KEYS, claims.0.len(), &params).await? {
            state.unique_keys.insert((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        }
        Ok(state)
    }
}

impl StoredState {
    /// Preconditions that are rare enough for a query each.
    async fn read_single(&mut self, session: &Session, need: &Precondition) -> Result<(), PgError> {
        match need {
            Precondition::TenantNumberFree { number, .. } => {
                let found = session.query_opt(sql::TENANT.postgres, &[number]).await?;
                self.tenants.extend(found.map(|_| *number));
            }
            Precondition::ConnectionIdFree(id) => {
                let found = session.query_opt(sql::CONNECTION.postgres, &[id]).await?;
                self.connection_ids.extend(found.map(|_| *id));
            }
            Precondition::ConnectionNameFree(tenant, name) => {
                let found = session.query_opt(sql::CONNECTION_BY_NAME.postgres, &[tenant, name]).await?;
                self.connections.extend(found.map(|_| (*tenant, name.clone())));
            }
            Precondition::SecretFree(name) => {
                let found = session.query_opt(sql::SECRET.postgres, &[name]).await?;
                self.secrets.extend(found.map(|_| *name));
            }
            Precondition::TombstoneExists(tenant, number, at) => {
                let found = session.query_opt(sql::TOMBSTONE_EXISTS.postgres, &[tenant, number, at]).await?;
                self.tombstone_rows.extend(found.map(|_| (*tenant, *number, *at)));
            }
            Precondition::MailVersion(id, version) => {
                let found = session.query_opt(sql::MAIL_AT_VERSION.postgres, &[id, version]).await?;
                self.mails.extend(found.map(|_| (*id, *version)));
            }
            Precondition::TenantVersion(tenant, _) => {
                if let Some(row) = session.query_opt(sql::TENANT.postgres, &[tenant]).await? {
                    let stored: Tenant = decode(row.try_get(0)?)?;
                    self.tenant_versions.insert(*tenant, stored.version);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

async fn query_if_any(
    session: &Session,
    sql: sql::Sql,
    many: usize,
    params: &[&dyn Param],
) -> Result<Vec<tokio_postgres::Row>, PgError> {
    if many == 0 { Ok(Vec::new()) } else { session.query(sql.postgres, params).await }
}
