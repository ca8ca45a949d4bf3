//! The Rust part of the migration `identifiers`: computes unique keys, secondary emails and name keys with the
//! current normalization.
//!
//! Only documents with non-ASCII text are affected. If two users or items get the same key, the older one has it,
//! and `muster check` reports both.

use super::row_decode::{decode, optional};
use directory::{Connection, Item, User, fold};
use rusqlite::{Connection as Db, params};
use store::sql;
use store::unique_keys::{self, FORMER_LOGINS, LEGACY_NORMALIZERS, LOGINS, UniqueKey};

/// Users read at a time.
const PAGE: i64 = 10_000;

pub(super) fn migrate_identifiers(db: &Db) -> rusqlite::Result<()> {
    users(db)?;
    for (pk, tenant, doc) in non_ascii_rows(db, sql::ITEMS_TO_MIGRATE.sqlite, params![])? {
        let item: Item = decode(2, &doc)?;
        replace_unique_keys(
            db,
            tenant,
            pk,
            &unique_keys::of_item_with(&item, &LEGACY_NORMALIZERS),
            &unique_keys::of_item(&item),
        )?;
        let key = Item::name_key(item.kind(), item.name());
        db.prepare_cached(sql::SET_ITEM_NAME_KEY.sqlite)?.execute(params![key, pk])?;
    }
    for (pk, _, doc) in non_ascii_rows(db, sql::TOMBSTONES_TO_MIGRATE.sqlite, params![])? {
        let user: User = decode(2, &doc)?;
        let key = user.external_id.as_deref().map(unique_keys::external_id_key);
        db.prepare_cached(sql::SET_TOMBSTONE_EXTERNAL_KEY.sqlite)?.execute(params![key, pk])?;
    }
    for (_, tenant, doc) in non_ascii_rows(db, sql::CONNECTIONS_TO_MIGRATE.sqlite, params![])? {
        let connection: Connection = decode(2, &doc)?;
        let (new, old) = (fold(&connection.name), unique_keys::case_folded(&connection.name));
        db.prepare_cached(sql::SET_CONNECTION_NAME_KEY.sqlite)?.execute(params![new, tenant, old])?;
    }
    Ok(())
}

fn users(db: &Db) -> rusqlite::Result<()> {
    let mut last = 0;
    loop {
        let mut statement = db.prepare_cached(sql::USERS_TO_MIGRATE.sqlite)?;
        let rows = statement.query_map(params![last, PAGE], read)?.collect::<rusqlite::Result<Vec<_>>>()?;
        let Some((end, ..)) = rows.last() else { return Ok(()) };
        last = *end;
        for (pk, tenant, doc) in rows.into_iter().filter(|(.., doc)| !doc.is_ascii()) {
            let user: User = decode(2, &doc)?;
            let lost = replace_unique_keys(
                db,
                tenant,
                pk,
                &unique_keys::of_user_with(&user, &LEGACY_NORMALIZERS),
                &unique_keys::of_user(&user),
            )?;
            if lost {
                keep_former_logins(db, tenant, pk, &user)?;
            }
            let (old, new) =
                (unique_keys::secondary_emails_with(&user, &LEGACY_NORMALIZERS), unique_keys::secondary_emails(&user));
            for text in old.iter().filter(|text| !new.contains(text)) {
                db.prepare_cached(sql::REMOVE_SECONDARY_EMAILS.sqlite)?.execute(params![tenant, text, pk])?;
            }
            for text in new.iter().filter(|text| !old.contains(text)) {
                db.prepare_cached(sql::ADD_SECONDARY_EMAILS.sqlite)?.execute(params![tenant, text, pk])?;
            }
        }
    }
}

fn non_ascii_rows(db: &Db, sql: &str, params: &[&dyn rusqlite::ToSql]) -> rusqlite::Result<Vec<(i64, u32, String)>> {
    let mut statement = db.prepare(sql)?;
    let rows = statement.query_map(params, read)?;
    rows.filter(|row| row.as_ref().map_or(true, |(.., doc)| !doc.is_ascii())).collect()
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<(i64, u32, String)> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// Returns whether an older owner has a login already.
fn replace_unique_keys(
    db: &Db,
    tenant: u32,
    owner: i64,
    old: &[UniqueKey],
    new: &[UniqueKey],
) -> rusqlite::Result<bool> {
    for claim in old.iter().filter(|claim| !new.iter().any(|other| other.has_same_key(claim))) {
        db.prepare_cached(sql::REMOVE_UNIQUE_KEYS.sqlite)?.execute(params![
            tenant,
            claim.namespace,
            claim.text,
            owner
        ])?;
    }
    let mut is_lost = false;
    for claim in new.iter().filter(|claim| !old.iter().any(|other| other.has_same_key(claim))) {
        is_lost |= !claim_unless_older(db, tenant, claim, owner)? && claim.namespace == LOGINS;
    }
    Ok(is_lost)
}

/// Gives a key to this owner, unless an older one has it. Returns whether this owner has it now. A younger user who
/// loses a login keeps it as a former one.
fn claim_unless_older(db: &Db, tenant: u32, claim: &UniqueKey, owner: i64) -> rusqlite::Result<bool> {
    let key = params![tenant, claim.namespace, claim.text];
    let holder: Option<i64> =
        optional(db.prepare_cached(sql::UNIQUE_KEY_OWNER.sqlite)?.query_row(key, |row| row.get(0)))?;
    match holder {
        Some(holder) if holder <= owner => return Ok(holder == owner),
        // The younger holder keeps it as a former login.
        Some(holder) if claim.namespace == LOGINS => former(db, tenant, &claim.text, holder)?,
        _ => {}
    }
    db.prepare_cached(sql::ADD_UNIQUE_KEY_OLDEST_WINS.sqlite)?.execute(params![
        tenant,
        claim.namespace,
        claim.text,
        owner
    ])?;
    Ok(true)
}

/// Lets a user who has lost a login sign in as before.
pub(super) fn keep_former_logins(db: &Db, tenant: u32, owner: i64, user: &User) -> rusqlite::Result<()> {
    unique_keys::former_logins(user).iter().try_for_each(|text| former(db, tenant, text, owner))
}

fn former(db: &Db, tenant: u32, text: &str, owner: i64) -> rusqlite::Result<()> {
    let bound = params![tenant, FORMER_LOGINS, text, owner];
    db.prepare_cached(sql::ADD_FREE_UNIQUE_KEYS.sqlite)?.execute(bound).map(drop)
}
