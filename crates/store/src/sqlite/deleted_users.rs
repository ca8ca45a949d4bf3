//! Deleted users: restored to their old row, or purged.

use super::apply_error::{ApplyResult, STALE, map_constraint_error};
use super::related_rows::{account_columns, add_user_relations, bump_group_versions, claim_unique_keys};
use super::tx_counters::TxCounters;
use crate::event_row::{EncodedEvent, to_json};
use crate::query_plan::active_code;
use crate::sql;
use directory::{AccountEdit, Action, EntitySnapshot, EventNote, Field, Receipt, TenantNumber, Time, Tombstone, User};
use rusqlite::{Connection as Db, params};

/// Restores a user with the old row and number.
pub(super) fn restore_user(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    (before, mut user, at): (Tombstone, User, Time),
    (account, keeps_password): (&AccountEdit, bool),
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    (user.id, user.number) = (before.user.id, before.user.number);
    let after = Some(to_json(&EntitySnapshot::User(Box::new(user.clone())))?);
    let with_memberships = user.clone();
    let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
    let (phc, sign_ins) = account_columns(account)?;
    let restored = db.prepare_cached(sql::ADD_USER_FROM_TOMBSTONE.sqlite)?.execute(params![
        tenant.0,
        user.number,
        before.deleted.0,
        user.version,
        keeps_password,
        phc,
        sign_ins,
        to_json(&user)?,
        active_code(&user),
        user.updated.0
    ]);
    if map_constraint_error(restored.map(|many| i64::try_from(many).unwrap_or(1)), Field::Id)? == 0 {
        return Err(STALE);
    }
    let pk = db.last_insert_rowid();
    delete_tombstone(db, tenant, &before)?;
    let belongs = groups.iter().chain(&folders).chain(&user.organization).copied().collect();
    claim_unique_keys(db, tenant, &user, pk)?;
    add_user_relations(db, counters, tenant, (&user, pk), &belongs)?;
    bump_group_versions(db, tenant, &[], &groups, at)?;
    receipt.users.push(with_memberships);
    let password_set = account.sets_password();
    Ok(EncodedEvent { after, password_set, notes: vec![EventNote::Restored], ..EncodedEvent::new(Action::Created) })
}

pub(super) fn purge_user(db: &Db, tenant: TenantNumber, tombstone: &Tombstone) -> ApplyResult<EncodedEvent> {
    delete_tombstone(db, tenant, tombstone)?;
    let before = Some(to_json(&EntitySnapshot::User(Box::new(tombstone.user.clone())))?);
    Ok(EncodedEvent { before, notes: vec![EventNote::Purged], ..EncodedEvent::new(Action::Deleted) })
}

fn delete_tombstone(db: &Db, tenant: TenantNumber, tombstone: &Tombstone) -> ApplyResult {
    let key = params![tenant.0, tombstone.user.number, tombstone.deleted.0];
    if db.prepare_cached(sql::REMOVE_TOMBSTONE.sqlite)?.execute(key)? == 0 {
        return Err(STALE);
    }
    Ok(())
}
