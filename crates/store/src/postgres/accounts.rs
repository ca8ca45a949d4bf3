//! Reading how people sign in, the mails that go to them, and what is left of those who were deleted.

use super::line::Session;
use super::param::{Param, int, tenant_code, unsigned};
use super::read::{Reading, decode};
use super::trouble::Trouble;
use crate::{sql, unique_keys};
use directory::{
    Account, Mail, PasswordHash, SecretString, SignInState, TenantNumber, Time, Tombstone, UserId, UserKey,
};
use tokio_postgres::Row;
use uuid::Uuid;

pub(super) fn account(session: &Session, tenant: TenantNumber, user: UserId) -> Reading<'_, Option<Account>> {
    Box::pin(async move {
        let row = session.row(sql::ACCOUNT.postgres, &[&tenant_code(tenant), &user.0]).await?;
        let Some(row) = row else { return Ok(None) };
        let password: Option<String> = row.try_get(0)?;
        let sign_ins: Option<&str> = row.try_get(1)?;
        Ok(Some(Account {
            password_hash: password.map(|phc| PasswordHash(SecretString::from(phc))),
            sign_in_state: sign_ins.map_or(Ok(SignInState::default()), decode)?,
        }))
    })
}

/// The passwords of those who have one, from one number to another.
pub(super) fn passwords(
    session: &Session,
    tenant: TenantNumber,
    (first, last): (u32, u32),
) -> Reading<'_, Vec<(u32, PasswordHash)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &int(first), &int(last)];
        let rows = session.rows(sql::PASSWORD_HASHES.postgres, &params).await?;
        let password = |text: String| PasswordHash(SecretString::from(text));
        rows.iter().map(|row| Ok((unsigned(row.try_get(0)?), password(row.try_get(1)?)))).collect()
    })
}

fn stored_tombstone(row: &Row) -> Result<(TenantNumber, Tombstone), Trouble> {
    let stone = Tombstone { user: decode(row.try_get(2)?)?, deleted: Time(row.try_get(1)?) };
    Ok((TenantNumber(unsigned(row.try_get(0)?)), stone))
}

/// What is left of somebody.
pub(super) fn tombstone(
    session: &Session,
    tenant: TenantNumber,
    by: UserKey,
) -> Reading<'_, Option<Tombstone>> {
    Box::pin(async move {
        let code = tenant_code(tenant);
        let found = match by {
            UserKey::Id(id) => session.row(sql::TOMBSTONE_BY_ID.postgres, &[&code, &id.0]).await?,
            UserKey::Number(number) => {
                session.row(sql::TOMBSTONE_BY_NUMBER.postgres, &[&code, &int(number)]).await?
            }
            UserKey::ExternalId(id) => {
                let key = unique_keys::external_id_key(&id).into_bytes();
                session.row(sql::TOMBSTONE_BY_EXTERNAL_ID.postgres, &[&code, &key]).await?
            }
            UserKey::Email(_) | UserKey::Login(_) | UserKey::LoginConstantTime(_) => None,
        };
        found.map(|row| stored_tombstone(&row).map(|(_, stone)| stone)).transpose()
    })
}

/// The deleted of a tenant, from behind a number on.
pub(super) fn tombstones(
    session: &Session,
    tenant: TenantNumber,
    after: u32,
    limit: u32,
) -> Reading<'_, Vec<(TenantNumber, Tombstone)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&tenant_code(tenant), &int(after), &i64::from(limit)];
        session.rows(sql::TOMBSTONES_AFTER.postgres, &params).await?.iter().map(stored_tombstone).collect()
    })
}

/// Those of all tenants who were deleted between two times.
pub(super) fn tombstones_before(
    session: &Session,
    (from, to): (Time, Time),
    limit: u32,
) -> Reading<'_, Vec<(TenantNumber, Tombstone)>> {
    Box::pin(async move {
        let params: [&dyn Param; 3] = [&from.0, &to.0, &i64::from(limit)];
        session.rows(sql::TOMBSTONES_BETWEEN.postgres, &params).await?.iter().map(stored_tombstone).collect()
    })
}

/// Mails to be tried by now.
pub(super) fn mails_due(session: &Session, now: Time, limit: u32) -> Reading<'_, Vec<Mail>> {
    Box::pin(async move {
        let rows = session.rows(sql::MAILS_DUE.postgres, &[&now.0, &i64::from(limit)]).await?;
        rows.iter().map(|row| decode(row.try_get(0)?)).collect()
    })
}

/// Mails of a tenant, or of one of its people.
pub(super) fn mails(
    session: &Session,
    tenant: TenantNumber,
    user: Option<UserId>,
    (queued, id): (Time, Uuid),
    limit: u32,
) -> Reading<'_, Vec<Mail>> {
    Box::pin(async move {
        let (code, limit) = (tenant_code(tenant), i64::from(limit));
        let rows = match user {
            Some(user) => session.rows(sql::MAILS_OF_USER.postgres, &[&code, &user.0, &limit]).await?,
            None => session.rows(sql::MAILS_OF_TENANT.postgres, &[&code, &queued.0, &id, &limit]).await?,
        };
        rows.iter().map(|row| decode(row.try_get(0)?)).collect()
    })
}
