//! The rows around a user or item: unique keys, secondary emails, memberships.

use super::apply_error::{ApplyResult, STALE, expect_one_row, map_constraint_error};
use super::tx_counters::TxCounters;
use crate::event_row::to_json;
use crate::sql;
use crate::unique_keys::{self, UniqueKey};
use directory::{AccountEdit, ExposeSecret, Item, ItemId, ItemKey, ItemKind, TenantNumber, Time, User};
use rusqlite::{Connection as Db, params};
use std::collections::BTreeSet;

pub(super) fn claim_unique_keys(db: &Db, tenant: TenantNumber, user: &User, pk: i64) -> ApplyResult {
    unique_keys::of_user(user).iter().try_for_each(|claim| claim_key(db, tenant, claim, pk))
}

/// Adds the rows around a new user, except unique keys.
pub(super) fn add_user_relations(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    (user, pk): (&User, i64),
    belongs: &BTreeSet<ItemId>,
) -> ApplyResult {
    replace_secondary_emails(db, tenant, pk, &[], &unique_keys::secondary_emails(user))?;
    for item in belongs {
        add_membership(db, tenant, *item, pk)?;
    }
    counters.add_to_block(tenant, crate::page_builder::block_of(user.number), 1);
    Ok(())
}

/// `None` for columns that do not change.
pub(super) fn account_columns(account: &AccountEdit) -> ApplyResult<(Option<&str>, Option<String>)> {
    let phc = account.password_hash.as_ref().map(|password| password.0.expose_secret());
    Ok((phc, account.sign_in_state.as_ref().map(to_json).transpose()?))
}

/// A group includes its members: joining and leaving from the user's side changes its version, too.
pub(super) fn bump_group_versions(
    db: &Db,
    tenant: TenantNumber,
    old: &[ItemId],
    new: &[ItemId],
    at: Time,
) -> ApplyResult {
    for group in unique_keys::symmetric_difference(old, new) {
        let key = ItemKey::Id(group);
        let Some(mut item) = super::read::item(db, tenant, ItemKind::Group, &key)? else { continue };
        let pk = item_at(db, tenant, &item)?;
        item.mark_updated(at);
        save_item(db, &item, pk)?;
    }
    Ok(())
}

/// Writes a new version of an item whose name has not changed.
pub(super) fn save_item(db: &Db, item: &Item, pk: i64) -> ApplyResult {
    expect_one_row(db.prepare_cached(sql::BUMP_ITEM_VERSIONS.sqlite)?.execute(params![
        item.version(),
        to_json(item)?,
        pk
    ])?)
}

/// Adds emails that are only in `new` and removes those that are only in `old`.
pub(super) fn replace_secondary_emails(
    db: &Db,
    tenant: TenantNumber,
    owner: i64,
    old: &[String],
    new: &[String],
) -> ApplyResult {
    for removed in old.iter().filter(|text| !new.contains(text)) {
        expect_one_row(
            db.prepare_cached(sql::REMOVE_SECONDARY_EMAILS.sqlite)?.execute(params![tenant.0, removed, owner])?,
        )?;
    }
    for text in new.iter().filter(|text| !old.contains(text)) {
        db.prepare_cached(sql::ADD_SECONDARY_EMAILS.sqlite)?.execute(params![tenant.0, text, owner])?;
    }
    Ok(())
}

/// The row of an item that must still be as in `item`.
pub(super) fn item_at(db: &Db, tenant: TenantNumber, item: &Item) -> ApplyResult<i64> {
    let id = item.id();
    let key = params![tenant.0, id.0.as_bytes(), item.version()];
    let found = db
        .prepare_cached(sql::ITEM_AT_VERSION.sqlite)?
        .query_row(key, |row| Ok((super::read::item_from_row(row)?, row.get(1)?)));
    let (stored, pk) = super::row_decode::optional(found)?.ok_or(STALE)?;
    if stored == *item { Ok(pk) } else { Err(STALE) }
}

pub(super) fn row_or_stale(found: rusqlite::Result<i64>) -> ApplyResult<i64> {
    super::row_decode::optional(found)?.ok_or(STALE)
}

pub(super) fn claim_key(db: &Db, tenant: TenantNumber, claim: &UniqueKey, owner: i64) -> ApplyResult {
    let taken =
        db.prepare_cached(sql::ADD_UNIQUE_KEYS.sqlite)?.execute(params![tenant.0, claim.namespace, claim.text, owner]);
    map_constraint_error(taken.map(|_| 0), claim.field).map(|_| ())
}

/// Adds a user to an item; the change is stale if the item does not exist.
pub(super) fn add_membership(db: &Db, tenant: TenantNumber, item: ItemId, user: i64) -> ApplyResult {
    let bound = params![user, tenant.0, item.0.as_bytes()];
    let added = super::row_decode::optional(
        db.prepare_cached(sql::ADD_MEMBERSHIP_BY_ITEM_ID.sqlite)?.query_row(bound, |_| Ok(())),
    )?;
    if added.is_some() {
        return Ok(());
    }
    let bound = params![tenant.0, item.0.as_bytes()];
    row_or_stale(db.prepare_cached(sql::ITEM_PK.sqlite)?.query_row(bound, |row| row.get(0))).map(|_| ())
}
