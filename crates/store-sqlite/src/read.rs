//! Short reads by an index: one user, item, connection and so on.

use super::row_decode::{decode, id, optional};
use directory::{
    Account, Item, ItemId, ItemKey, ItemKind, Members, PasswordHash, SecretString, SignInState, TenantNumber, Time,
    Tombstone, User, UserId, UserKey, identifier_key,
};
use rusqlite::{Connection as Db, Transaction, params};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use store::unique_keys::{self, FORMER_LOGINS, LOGINS, USER_EXTERNAL_IDS, kind_index};
use store::{memberships, sql};

/// A read transaction, or `None` if the caller has begun one.
pub(super) fn begin_read_transaction(db: &Db) -> rusqlite::Result<Option<Transaction<'_>>> {
    db.is_autocommit().then(|| db.unchecked_transaction()).transpose()
}

pub(super) fn user(db: &Db, tenant: TenantNumber, by: &UserKey) -> rusqlite::Result<Option<User>> {
    let number = tenant.0;
    let found = match by {
        UserKey::Id(id) => {
            db.prepare_cached(sql::USER_BY_ID.sqlite)?.query_row(params![number, id.0.as_bytes()], user_from_row)
        }
        UserKey::Number(wanted) => {
            db.prepare_cached(sql::USER_BY_NUMBER.sqlite)?.query_row(params![number, wanted], user_from_row)
        }
        UserKey::Email(handle) | UserKey::Login(handle) | UserKey::LoginConstantTime(handle) => {
            let holder = user_by_unique_key(db, number, LOGINS, &identifier_key(handle));
            if holder.as_ref().is_ok_and(|holder| unique_keys::has_login_spelling(holder, handle)) {
                holder
            } else {
                let former =
                    optional(user_by_unique_key(db, number, FORMER_LOGINS, &unique_keys::former_login_key(handle)))?;
                former.filter(|user| unique_keys::has_login_spelling(user, handle)).map_or(holder, Ok)
            }
        }
        UserKey::ExternalId(id) => user_by_unique_key(db, number, USER_EXTERNAL_IDS, &unique_keys::external_id_key(id)),
    };
    let found = optional(found)?;
    let UserKey::Email(email) = by else { return Ok(found) };
    let has_email = |user: &User| user.email().is_some_and(|e| identifier_key(e) == identifier_key(email));
    Ok(found.filter(has_email))
}

fn user_by_unique_key(db: &Db, tenant: u32, space: u8, text: &str) -> rusqlite::Result<User> {
    db.prepare_cached(sql::USER_BY_UNIQUE_KEY.sqlite)?.query_row(params![tenant, space, text], user_from_row)
}

/// Columns: the document, and the memberships or NULL.
pub(super) fn user_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<User> {
    let mut user: User = decode(0, row.get_ref(0)?.as_str()?)?;
    let Some(memberships) = row.get_ref(1)?.as_str_or_null()? else { return Ok(user) };
    memberships::add_to_user(&mut user, memberships).map_err(|_| rusqlite::types::FromSqlError::InvalidType)?;
    Ok(user)
}

pub(super) fn item(db: &Db, tenant: TenantNumber, kind: ItemKind, by: &ItemKey) -> rusqlite::Result<Option<Item>> {
    let (tenant, sort) = (tenant.0, 1 + kind_index(kind));
    let found = match by {
        ItemKey::Id(id) => {
            db.prepare_cached(sql::ITEM_BY_ID.sqlite)?.query_row(params![tenant, id.0.as_bytes(), sort], item_from_row)
        }
        ItemKey::Number(number) => {
            db.prepare_cached(sql::ITEM_BY_NUMBER.sqlite)?.query_row(params![tenant, sort, number], item_from_row)
        }
        ItemKey::Name(name) => db
            .prepare_cached(sql::ITEM_BY_NAME.sqlite)?
            .query_row(params![tenant, sort, Item::name_key(kind, name)], item_from_row),
        ItemKey::ExternalId(_) | ItemKey::Domain(_) | ItemKey::OfficeNumber(_) => {
            let Some(claim) = unique_keys::of_key(kind, by) else { return Ok(None) };
            db.prepare_cached(sql::ITEM_BY_UNIQUE_KEY.sqlite)?
                .query_row(params![tenant, claim.namespace, claim.text], item_from_row)
        }
    };
    optional(found)
}

pub(super) fn item_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Item> {
    decode(0, row.get_ref(0)?.as_str()?)
}

pub(super) fn members_of(db: &Db, tenant: TenantNumber, items: &[ItemId]) -> rusqlite::Result<Members> {
    let mut statement = db.prepare_cached(sql::MEMBERS.sqlite)?;
    let mut members = Members::new();
    for item in items {
        let bound = params![tenant.0, item.0.as_bytes()];
        let rows: Vec<(UserId, u32)> = statement
            .query_map(bound, |row| Ok((UserId(id(0, row)?), row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        if !rows.is_empty() {
            members.insert(*item, rows);
        }
    }
    Ok(members)
}

/// Members with a number above `after`, sorted by number.
pub(super) fn members_after(
    db: &Db,
    tenant: TenantNumber,
    item: ItemId,
    after: u32,
    limit: u32,
) -> rusqlite::Result<Vec<(UserId, u32)>> {
    let mut statement = db.prepare_cached(sql::MEMBERS_AFTER.sqlite)?;
    let bound = params![tenant.0, item.0.as_bytes(), after, limit];
    let rows = statement.query_map(bound, |row| Ok((UserId(id(0, row)?), row.get(1)?)))?;
    rows.collect()
}

pub(super) fn accounts(db: &Db, tenant: TenantNumber, users: &[UserId]) -> rusqlite::Result<HashMap<UserId, Account>> {
    let mut statement = db.prepare_cached(sql::ACCOUNT.sqlite)?;
    let mut accounts = HashMap::with_capacity(users.len());
    for user in users {
        let found = statement.query_row(params![tenant.0, user.0.as_bytes()], |row| {
            let password: Option<String> = row.get(0)?;
            let sign_ins: Option<String> = row.get(1)?;
            Ok(Account {
                password_hash: password.map(|phc| PasswordHash(SecretString::from(phc))),
                sign_in_state: sign_ins.map_or(Ok(SignInState::default()), |text| decode(1, &text))?,
            })
        });
        if let Some(account) = optional(found)? {
            accounts.insert(*user, account);
        }
    }
    Ok(accounts)
}

fn tombstone_from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<(TenantNumber, Tombstone)> {
    let user = decode(2, row.get_ref(2)?.as_str()?)?;
    Ok((TenantNumber(row.get(0)?), Tombstone { user, deleted: Time(row.get(1)?) }))
}

/// Deleted users are not found by email or login, since other users can have these.
pub(super) fn tombstone(db: &Db, tenant: TenantNumber, by: &UserKey) -> rusqlite::Result<Option<Tombstone>> {
    let found = match by {
        UserKey::Id(id) => db
            .prepare_cached(sql::TOMBSTONE_BY_ID.sqlite)?
            .query_row(params![tenant.0, id.0.as_bytes()], tombstone_from_row),
        UserKey::Number(number) => {
            db.prepare_cached(sql::TOMBSTONE_BY_NUMBER.sqlite)?.query_row(params![tenant.0, number], tombstone_from_row)
        }
        UserKey::ExternalId(id) => db
            .prepare_cached(sql::TOMBSTONE_BY_EXTERNAL_ID.sqlite)?
            .query_row(params![tenant.0, unique_keys::external_id_key(id)], tombstone_from_row),
        UserKey::Email(_) | UserKey::Login(_) | UserKey::LoginConstantTime(_) => return Ok(None),
    };
    Ok(optional(found)?.map(|(_, tombstone)| tombstone))
}

pub(super) fn password_hashes(
    db: &Db,
    tenant: TenantNumber,
    numbers: RangeInclusive<u32>,
) -> rusqlite::Result<Vec<(u32, PasswordHash)>> {
    let mut statement = db.prepare_cached(sql::PASSWORD_HASHES.sqlite)?;
    let rows = statement.query_map(params![tenant.0, numbers.start(), numbers.end()], |row| {
        Ok((row.get(0)?, PasswordHash(SecretString::from(row.get::<_, String>(1)?))))
    })?;
    rows.collect()
}

pub(super) fn tombstones(db: &Db, tenant: TenantNumber, after: u32, limit: u32) -> rusqlite::Result<Vec<Tombstone>> {
    let mut statement = db.prepare_cached(sql::TOMBSTONES_AFTER.sqlite)?;
    let rows = statement.query_map(params![tenant.0, after, limit], tombstone_from_row)?;
    rows.map(|row| row.map(|(_, tombstone)| tombstone)).collect()
}

/// Of all tenants.
pub(super) fn tombstones_between(
    db: &Db,
    (from, to): (Time, Time),
    limit: u32,
) -> rusqlite::Result<Vec<(TenantNumber, Tombstone)>> {
    let mut statement = db.prepare_cached(sql::TOMBSTONES_BETWEEN.sqlite)?;
    statement.query_map(params![from.0, to.0, limit], tombstone_from_row)?.collect()
}
