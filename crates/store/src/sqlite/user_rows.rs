//! The rows around a user or item: unique keys, secondary e-mails, memberships.

use super::failure::{Done, STALE, one, unique};
use super::tally::Tally;
use crate::event_row::to_json;
use crate::sql;
use crate::unique_keys::{self, UniqueKey};
use directory::{AccountEdit, ExposeSecret, Item, ItemId, ItemKey, ItemKind, TenantNumber, Time, User};
use rusqlite::{Connection as Db, params};
use std::collections::BTreeSet;

/// Claims what only this user may have.
pub(super) fn take_all(db: &Db, tenant: TenantNumber, user: &User, pk: i64) -> Done {
    unique_keys::of_user(user).iter().try_for_each(|claim| take(db, tenant, claim, pk))
}

/// What a person's row has around it from when it is there, besides claims.
pub(super) fn settle(
    db: &Db,
    tally: &mut Tally,
    tenant: TenantNumber,
    (user, pk): (&User, i64),
    belongs: &BTreeSet<ItemId>,
) -> Done {
    mention(db, tenant, pk, &[], &unique_keys::secondary_emails(user))?;
    for item in belongs {
        join(db, tenant, *item, pk)?;
    }
    tally.count(tenant, crate::page_builder::block_of(user.number), 1);
    Ok(())
}

/// The columns of an account; nothing where it stays as it is.
pub(super) fn stored_account(account: &AccountEdit) -> Done<(Option<&str>, Option<String>)> {
    let phc = account.password_hash.as_ref().map(|password| password.0.expose_secret());
    Ok((phc, account.sign_in_state.as_ref().map(to_json).transpose()?))
}

/// Who is in a group is part of it: one that somebody came to or left, seen from their side, has a new version.
pub(super) fn touch_groups(db: &Db, tenant: TenantNumber, old: &[ItemId], new: &[ItemId], at: Time) -> Done {
    for group in unique_keys::symmetric_difference(old, new) {
        let key = ItemKey::Id(group);
        let Some(mut item) = super::read::item(db, tenant, ItemKind::Group, &key)? else { continue };
        let pk = item_at(db, tenant, &item)?;
        item.mark_updated(at);
        save_item(db, &item, pk)?;
    }
    Ok(())
}

/// Writes an item over what it was; its name stays.
pub(super) fn save_item(db: &Db, item: &Item, pk: i64) -> Done {
    one(db.prepare_cached(sql::BUMP_ITEM_VERSIONS.sqlite)?.execute(params![
        item.version(),
        to_json(item)?,
        pk
    ])?)
}

/// Notes e-mails that are only in `new` and forgets those that are only in `old`.
pub(super) fn mention(db: &Db, tenant: TenantNumber, owner: i64, old: &[String], new: &[String]) -> Done {
    for gone in old.iter().filter(|text| !new.contains(text)) {
        one(db
            .prepare_cached(sql::REMOVE_SECONDARY_EMAILS.sqlite)?
            .execute(params![tenant.0, gone, owner])?)?;
    }
    for text in new.iter().filter(|text| !old.contains(text)) {
        db.prepare_cached(sql::ADD_SECONDARY_EMAILS.sqlite)?.execute(params![tenant.0, text, owner])?;
    }
    Ok(())
}

/// The row of an item that must still be as `item` was.
pub(super) fn item_at(db: &Db, tenant: TenantNumber, item: &Item) -> Done<i64> {
    let id = item.id();
    let key = params![tenant.0, id.0.as_bytes(), item.version()];
    let found = db
        .prepare_cached(sql::ITEM_AT_VERSION.sqlite)?
        .query_row(key, |row| Ok((super::read::stored_item(row)?, row.get(1)?)));
    let (stored, pk) = super::rows::optional(found)?.ok_or(STALE)?;
    if stored == *item { Ok(pk) } else { Err(STALE) }
}

pub(super) fn row_or_stale(found: rusqlite::Result<i64>) -> Done<i64> {
    super::rows::optional(found)?.ok_or(STALE)
}

pub(super) fn take(db: &Db, tenant: TenantNumber, claim: &UniqueKey, owner: i64) -> Done {
    let taken = db.prepare_cached(sql::ADD_UNIQUE_KEYS.sqlite)?.execute(params![
        tenant.0,
        claim.namespace,
        claim.text,
        owner
    ]);
    unique(taken.map(|_| 0), claim.field).map(|_| ())
}

/// Puts a person into a group or folder; one that is gone makes the change stale.
pub(super) fn join(db: &Db, tenant: TenantNumber, item: ItemId, user: i64) -> Done {
    let bound = params![user, tenant.0, item.0.as_bytes()];
    let added = super::rows::optional(
        db.prepare_cached(sql::ADD_MEMBERSHIP_BY_ITEM_ID.sqlite)?.query_row(bound, |_| Ok(())),
    )?;
    if added.is_some() {
        return Ok(());
    }
    let bound = params![tenant.0, item.0.as_bytes()];
    row_or_stale(db.prepare_cached(sql::ITEM_PK.sqlite)?.query_row(bound, |row| row.get(0))).map(|_| ())
}
