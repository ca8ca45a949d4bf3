//! Reads sign-in data, mails and deleted users.

use super::managed_connection::Session;
use super::param::{Param, int, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::{ReadFuture, decode};
use directory::{Account, PasswordHash, SecretString, SignInState, TenantNumber, Time, Tombstone, UserId, UserKey};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use store::{sql, unique_keys};
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) fn accounts(
    session: &Session,
    tenant: TenantNumber,
    users: Vec<UserId>,
) -> ReadFuture<'_, HashMap<UserId, Account>> {
    Box::pin(async move {
        let ids: Vec<Uuid> = users.iter().map(|user| user.0).collect();
        let rows = session.query(sql::ACCOUNTS.postgres, &[&tenant_code(tenant), &ids]).await?;
        let account = |row: &Row| {
            let password: Option<String> = row.try_get(0)?;
            let sign_ins: Option<&str> = row.try_get(1)?;
            let password_hash = password.map(|phc| PasswordHash(SecretString::from(phc)));
            let sign_in_state = sign_ins.map_or(Ok(SignInState::default()), decode)?;
            Ok((UserId(row.try_get(2)?), Account { password_hash, sign_in_state }))
        };
        rows.iter().map(account).collect()
    })
}

pub(super) fn password_hashes(
    session: &Session,
    tenant: TenantNumber,
    numbers: RangeInclusive<u32>,
) -> ReadFuture<'_, Vec<(u32, PasswordHash)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &int(*numbers.start()), &int(*numbers.end())];
        let rows = session.query(sql::PASSWORD_HASHES.postgres, &params).await?;
        let password = |text: String| PasswordHash(SecretString::from(text));
        rows.iter().map(|row| Ok((unsigned(row.try_get(0)?), password(row.try_get(1)?)))).collect()
    })
}

fn tombstone_from_row(row: &Row) -> Result<(TenantNumber, Tombstone), PgError> {
    let tombstone = Tombstone { user: decode(row.try_get(2)?)?, deleted: Time(row.try_get(1)?) };
    Ok((TenantNumber(unsigned(row.try_get(0)?)), tombstone))
}

pub(super) fn tombstone(session: &Session, tenant: TenantNumber, by: UserKey) -> ReadFuture<'_, Option<Tombstone>> {
    Box::pin(async move {
        let code = tenant_code(tenant);
        let found = match by {
            UserKey::Id(id) => session.query_opt(sql::TOMBSTONE_BY_ID.postgres, &[&code, &id.0]).await?,
            UserKey::Number(number) => {
                session.query_opt(sql::TOMBSTONE_BY_NUMBER.postgres, &[&code, &int(number)]).await?
            }
            UserKey::ExternalId(id) => {
                let key = unique_keys::external_id_key(&id).into_bytes();
                session.query_opt(sql::TOMBSTONE_BY_EXTERNAL_ID.postgres, &[&code, &key]).await?
            }
            UserKey::Email(_) | UserKey::Login(_) | UserKey::LoginConstantTime(_) => None,
        };
        found.map(|row| tombstone_from_row(&row).map(|(_, tombstone)| tombstone)).transpose()
    })
}

/// Deleted users with a number above `after`.
pub(super) fn tombstones(
    session: &Session,
    tenant: TenantNumber,
    after: u32,
    limit: u32,
) -> ReadFuture<'_, Vec<(TenantNumber, Tombstone)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &int(after), &i64::from(limit)];
        session.query(sql::TOMBSTONES_AFTER.postgres, &params).await?.iter().map(tombstone_from_row).collect()
    })
}

/// Users of all tenants who were deleted between two times.
pub(super) fn tombstones_between(
    session: &Session,
    (from, to): (Time, Time),
    limit: u32,
) -> ReadFuture<'_, Vec<(TenantNumber, Tombstone)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&from.0, &to.0, &i64::from(limit)];
        session.query(sql::TOMBSTONES_BETWEEN.postgres, &params).await?.iter().map(tombstone_from_row).collect()
    })
}
