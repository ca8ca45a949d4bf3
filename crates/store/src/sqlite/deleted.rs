//! Those who were deleted: back in their old row, or gone for good.

use super::failure::{Done, STALE, unique};
use super::tally::Tally;
use super::user_rows::{settle, stored_account, take_all, touch_groups};
use crate::event_row::{EncodedEvent, to_json};
use crate::query_plan::active_code;
use crate::sql;
use directory::{
    AccountEdit, Action, EntitySnapshot, EventNote, Field, Receipt, TenantNumber, Time, Tombstone, User,
};
use rusqlite::{Connection as Db, params};

/// Somebody is back, in the row and under the number they had.
pub(super) fn restore(
    db: &Db,
    tally: &mut Tally,
    tenant: TenantNumber,
    (before, mut user, at): (Tombstone, User, Time),
    (account, keeps_password): (&AccountEdit, bool),
    receipt: &mut Receipt,
) -> Done<EncodedEvent> {
    (user.id, user.number) = (before.user.id, before.user.number);
    let after = Some(to_json(&EntitySnapshot::User(Box::new(user.clone())))?);
    let whole = user.clone();
    let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
    let (phc, sign_ins) = stored_account(account)?;
    let raised = db.prepare_cached(sql::ADD_USER_FROM_TOMBSTONE.sqlite)?.execute(params![
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
    if unique(raised.map(|many| i64::try_from(many).unwrap_or(1)), Field::Id)? == 0 {
        return Err(STALE);
    }
    let pk = db.last_insert_rowid();
    forget(db, tenant, &before)?;
    let belongs = groups.iter().chain(&folders).chain(&user.organization).copied().collect();
    take_all(db, tenant, &user, pk)?;
    settle(db, tally, tenant, (&user, pk), &belongs)?;
    touch_groups(db, tenant, &[], &groups, at)?;
    receipt.users.push(whole);
    let password_set = account.sets_password();
    Ok(EncodedEvent {
        after,
        password_set,
        notes: vec![EventNote::Restored],
        ..EncodedEvent::new(Action::Created)
    })
}

/// What was left of somebody is gone.
pub(super) fn purge(db: &Db, tenant: TenantNumber, stone: &Tombstone) -> Done<EncodedEvent> {
    forget(db, tenant, stone)?;
    let before = Some(to_json(&EntitySnapshot::User(Box::new(stone.user.clone())))?);
    Ok(EncodedEvent { before, notes: vec![EventNote::Purged], ..EncodedEvent::new(Action::Deleted) })
}

fn forget(db: &Db, tenant: TenantNumber, stone: &Tombstone) -> Done {
    let key = params![tenant.0, stone.user.number, stone.deleted.0];
    if db.prepare_cached(sql::REMOVE_TOMBSTONE.sqlite)?.execute(key)? == 0 {
        return Err(STALE);
    }
    Ok(())
}
