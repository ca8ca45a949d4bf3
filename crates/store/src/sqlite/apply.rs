//! Applies one change in the caller's transaction: guards, rows and events.
//!
//! The first write that fails determines which conflict is reported, so the rows of a mutation are written in the
//! order of [`crate::guards::guards_of`].

use super::apply_error::{ApplyError, ApplyResult, STALE, expect_one_row, map_constraint_error};
use super::related_rows::{
    account_columns, add_membership, add_user_relations, bump_group_versions, claim_key, claim_unique_keys, item_at,
    replace_secondary_emails, row_or_stale, save_item,
};
use super::tx_counters::TxCounters;
use super::{admin, deleted_users, events, mails};
use crate::event_row::{ChangeContext, EncodedEvent, to_json};
use crate::query_plan::active_code;
use crate::unique_keys::{self, UniqueKey};
use crate::{memberships, sql};
use directory::{
    AccountEdit, Action, Change, CommitError, EntitySnapshot, EventNote, Field, Item, ItemId, ItemKey, ItemKind,
    Mutation, Receipt, TenantNumber, Time, User, UserId,
};
use rusqlite::{Connection as Db, params};
use std::collections::BTreeSet;

pub(super) fn change(db: &Db, counters: &mut TxCounters, mut change: Change) -> ApplyResult<Receipt> {
    let mut receipt = Receipt::default();
    change.set_time(counters.effective_time(db, change.tenant.0, change.at)?);
    let Change { tenant, at, connection, actor, request_id, assumed_absent, assumed_not_deleted, mutations } = change;
    for (kind, key) in &assumed_absent {
        if super::read::item(db, tenant, *kind, key)?.is_some() {
            return Err(STALE);
        }
    }
    if let Some(id) = assumed_not_deleted {
        let key = params![tenant.0, unique_keys::external_id_key(&id)];
        if db.prepare_cached(sql::DELETED_EXTERNAL_IDS.sqlite)?.query_row(key, |row| row.get(0))? {
            return Err(STALE);
        }
    }
    let context = ChangeContext { tenant, at, connection, actor, request_id };
    for edit in mutations {
        let event = match edit {
            Mutation::AddUser { user, account } => add_user(db, counters, tenant, (*user, at), &account, &mut receipt)?,
            Mutation::ChangeUser { before, after, account, notes } => {
                let event = change_user(db, tenant, (*before, *after, at), &account, &mut receipt)?;
                EncodedEvent { notes, ..event }
            }
            Mutation::RestoreUser { before, user, account, keeps_password } => {
                let raised = (*before, *user, at);
                deleted_users::restore_user(db, counters, tenant, raised, (&account, keeps_password), &mut receipt)?
            }
            Mutation::PurgeUser(tombstone) => deleted_users::purge_user(db, tenant, &tombstone)?,
            Mutation::RemoveUser(user) => remove_user(db, counters, tenant, &user, at)?,
            Mutation::AddItem { item, members } => add_item(db, counters, tenant, *item, members, &mut receipt)?,
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                change_item(db, tenant, *before, *after, (members_added, members_removed), &mut receipt)?
            }
            Mutation::ChangeMembers { item, members_added, members_removed } => {
                match change_members(db, tenant, &item, (members_added, members_removed), at, &mut receipt)? {
                    Some(event) => event,
                    None => continue,
                }
            }
            Mutation::AddSecret(name, secret) => {
                let added = db.prepare_cached(sql::ADD_SECRET.sqlite)?.execute(params![name, secret.0]);
                map_constraint_error(added.map(|_| 0), Field::Name)?;
                continue;
            }
            Mutation::RemoveItem(item) => remove_item(db, tenant, *item)?,
            Mutation::AddTenant(new) => admin::add_tenant(db, new, &mut receipt)?,
            Mutation::ChangeTenant { before, after } => admin::change_tenant(db, &before, *after, &mut receipt)?,
            Mutation::AddMail(mail) => match mails::add(db, &mail)? {
                Some(event) => event,
                None => continue,
            },
            Mutation::ChangeMail { before, after } => match mails::change(db, &before, &after)? {
                Some(event) => event,
                None => continue,
            },
            Mutation::RemoveMail(mail) => match mails::remove(db, &mail)? {
                Some(event) => event,
                None => continue,
            },
            Mutation::AddConnection(new) => admin::add_connection(db, &new)?,
            Mutation::ChangeConnection { before, after } => admin::change_connection(db, &before, &after)?,
            Mutation::RecordConnectionUse(id, uses) => {
                admin::record_key_use(db, id, &uses, at)?;
                continue;
            }
        };
        events::write(db, counters, &context, &event)?;
    }
    Ok(receipt)
}

fn add_user(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    (mut user, at): (User, Time),
    account: &AccountEdit,
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    user.number = next_number(db, counters, tenant, 0, 1)?;
    let (groups, folders) = (std::mem::take(&mut user.groups), std::mem::take(&mut user.folders));
    let doc = to_json(&user)?;
    let (phc, sign_ins) = account_columns(account)?;
    let inserted = db.prepare_cached(sql::ADD_USERS.sqlite)?.insert(params![
        tenant.0,
        user.number,
        user.id.0.as_bytes(),
        user.version,
        phc,
        sign_ins,
        doc,
        active_code(&user),
        user.updated.0
    ]);
    let pk = map_constraint_error(inserted, Field::Id)?;
    let belongs = groups.iter().chain(&folders).chain(&user.organization).copied().collect();
    claim_unique_keys(db, tenant, &user, pk)?;
    add_user_relations(db, counters, tenant, (&user, pk), &belongs)?;
    bump_group_versions(db, tenant, &[], &groups, at)?;
    let event = if groups.is_empty() && folders.is_empty() {
        EncodedEvent { after: Some(format!("{{\"user\":{doc}}}")), ..EncodedEvent::new(Action::Created) }
    } else {
        (user.groups, user.folders) = (groups, folders);
        EncodedEvent {
            after: Some(to_json(&EntitySnapshot::User(Box::new(user.clone())))?),
            ..EncodedEvent::new(Action::Created)
        }
    };
    receipt.users.push(user);
    Ok(EncodedEvent { password_set: account.sets_password(), ..event })
}

fn change_user(
    db: &Db,
    tenant: TenantNumber,
    (mut before, mut after, at): (User, User, Time),
    account: &AccountEdit,
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    let (pk, stored) = user_at(db, tenant, &before)?;
    memberships::merge_into(&stored, &mut before, &mut after);
    after.number = before.number;
    let (old, new) = (unique_keys::of_user(&before), unique_keys::of_user(&after));
    replace_unique_keys(db, tenant, &old, &new, pk)?;
    replace_secondary_emails(
        db,
        tenant,
        pk,
        &unique_keys::secondary_emails(&before),
        &unique_keys::secondary_emails(&after),
    )?;
    let (old, new) = (memberships_of(&before), memberships_of(&after));
    for item in old.difference(&new) {
        expect_one_row(db.prepare_cached(sql::REMOVE_MEMBERSHIP_BY_ITEM_ID.sqlite)?.execute(params![
            pk,
            tenant.0,
            item.0.as_bytes()
        ])?)?;
    }
    for item in new.difference(&old) {
        add_membership(db, tenant, *item, pk)?;
    }
    bump_group_versions(db, tenant, &before.groups, &after.groups, at)?;
    let event = EncodedEvent {
        before: Some(to_json(&EntitySnapshot::User(Box::new(before)))?),
        after: Some(to_json(&EntitySnapshot::User(Box::new(after.clone())))?),
        password_set: account.sets_password(),
        ..EncodedEvent::new(Action::Updated)
    };
    receipt.users.push(after.clone());
    (after.groups, after.folders) = (Vec::new(), Vec::new());
    let (phc, sign_ins) = account_columns(account)?;
    let doc = to_json(&after)?;
    expect_one_row(db.prepare_cached(sql::CHANGE_USERS.sqlite)?.execute(params![
        after.version,
        doc,
        phc,
        sign_ins,
        active_code(&after),
        after.updated.0,
        pk
    ])?)?;
    Ok(event)
}

fn memberships_of(user: &User) -> BTreeSet<ItemId> {
    memberships::item_ids(user).collect()
}

fn remove_user(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    user: &User,
    at: Time,
) -> ApplyResult<EncodedEvent> {
    let (pk, user) = user_at(db, tenant, user)?;
    replace_unique_keys(db, tenant, &unique_keys::of_user(&user), &[], pk)?;
    db.prepare_cached(sql::REMOVE_MEMBERSHIPS_OF_USER.sqlite)?.execute([pk])?;
    bump_group_versions(db, tenant, &user.groups, &[], at)?;
    replace_secondary_emails(db, tenant, pk, &unique_keys::secondary_emails(&user), &[])?;
    let key = user.external_id.as_deref().map(unique_keys::external_id_key);
    let inserted = db.prepare_cached(sql::ADD_TOMBSTONE.sqlite)?.execute(params![pk, at.0, key, to_json(&user)?]);
    map_constraint_error(inserted.map(|_| 0), Field::Id)?;
    expect_one_row(db.prepare_cached(sql::REMOVE_USERS.sqlite)?.execute([pk])?)?;
    counters.add_to_block(tenant, crate::page_builder::block_of(user.number), -1);
    let before = Some(to_json(&EntitySnapshot::User(Box::new(user)))?);
    Ok(EncodedEvent { before, notes: vec![EventNote::SignInsEnded], ..EncodedEvent::new(Action::Deleted) })
}

fn add_item(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    mut item: Item,
    members: Vec<UserId>,
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    let kind = item.kind();
    let sequence = 1 + unique_keys::kind_index(kind);
    if item.number() == 0 && kind != ItemKind::Department {
        let mut number = next_number(db, counters, tenant, sequence, unique_keys::first_item_number(kind))?;
        // Skip numbers that were set explicitly.
        while item_numbered(db, tenant, sequence, number)? {
            number = next_number(db, counters, tenant, sequence, 1)?;
        }
        item.set_number(number);
    }
    let inserted = db.prepare_cached(sql::ADD_ITEM.sqlite)?.insert(params![
        tenant.0,
        sequence,
        item.number(),
        item.id().0.as_bytes(),
        item.version(),
        Item::name_key(kind, item.name()),
        to_json(&item)?
    ]);
    let pk = map_constraint_error(inserted, Field::Id)?;
    for claim in unique_keys::of_item(&item) {
        claim_key(db, tenant, &claim, pk)?;
    }
    update_members(db, tenant, pk, &members, &[])?;
    let after = Some(to_json(&EntitySnapshot::Item(Box::new(item.clone())))?);
    receipt.items.push(item);
    Ok(EncodedEvent { after, members_added: members, ..EncodedEvent::new(Action::Created) })
}

fn item_numbered(db: &Db, tenant: TenantNumber, sequence: u8, number: u32) -> ApplyResult<bool> {
    Ok(db
        .prepare_cached(sql::ITEM_NUMBER_EXISTS.sqlite)?
        .query_row(params![tenant.0, sequence, number], |row| row.get(0))?)
}

fn change_item(
    db: &Db,
    tenant: TenantNumber,
    before: Item,
    after: Item,
    (members_added, members_removed): (Vec<UserId>, Vec<UserId>),
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    let pk = item_at(db, tenant, &before)?;
    replace_unique_keys(db, tenant, &unique_keys::of_item(&before), &unique_keys::of_item(&after), pk)?;
    let key = Item::name_key(after.kind(), after.name());
    expect_one_row(db.prepare_cached(sql::CHANGE_ITEM.sqlite)?.execute(params![
        after.version(),
        key,
        to_json(&after)?,
        pk
    ])?)?;
    update_members(db, tenant, pk, &members_added, &members_removed)?;
    item_changed(before, after, (members_added, members_removed), receipt)
}

fn item_changed(
    before: Item,
    after: Item,
    (members_added, members_removed): (Vec<UserId>, Vec<UserId>),
    receipt: &mut Receipt,
) -> ApplyResult<EncodedEvent> {
    let event = EncodedEvent {
        before: Some(to_json(&EntitySnapshot::Item(Box::new(before)))?),
        after: Some(to_json(&EntitySnapshot::Item(Box::new(after.clone())))?),
        members_added,
        members_removed,
        ..EncodedEvent::new(Action::Updated)
    };
    receipt.items.push(after);
    Ok(event)
}

/// Adds and removes members, whatever else has changed in the item. Returns `None` if nothing changed.
fn change_members(
    db: &Db,
    tenant: TenantNumber,
    item: &Item,
    (members_added, members_removed): (Vec<UserId>, Vec<UserId>),
    at: Time,
    receipt: &mut Receipt,
) -> ApplyResult<Option<EncodedEvent>> {
    let Some(before) = super::read::item(db, tenant, item.kind(), &ItemKey::Id(item.id()))? else {
        return Err(STALE);
    };
    let pk = item_at(db, tenant, &before)?;
    let (members_added, members_removed) = update_members(db, tenant, pk, &members_added, &members_removed)?;
    if members_added.is_empty() && members_removed.is_empty() {
        receipt.items.push(before);
        return Ok(None);
    }
    let mut after = before.clone();
    after.mark_updated(at);
    save_item(db, &after, pk)?;
    item_changed(before, after, (members_added, members_removed), receipt).map(Some)
}

fn remove_item(db: &Db, tenant: TenantNumber, item: Item) -> ApplyResult<EncodedEvent> {
    let pk = item_at(db, tenant, &item)?;
    replace_unique_keys(db, tenant, &unique_keys::of_item(&item), &[], pk)?;
    db.prepare_cached(sql::REMOVE_MEMBERSHIPS_OF_ITEM.sqlite)?.execute([pk])?;
    expect_one_row(db.prepare_cached(sql::REMOVE_ITEM.sqlite)?.execute([pk])?)?;
    Ok(EncodedEvent {
        before: Some(to_json(&EntitySnapshot::Item(Box::new(item)))?),
        ..EncodedEvent::new(Action::Deleted)
    })
}

/// The row of a user that must still be as in `user`, and the stored user with the current memberships.
fn user_at(db: &Db, tenant: TenantNumber, user: &User) -> ApplyResult<(i64, User)> {
    let key = params![tenant.0, user.number, user.version];
    let found = db
        .prepare_cached(sql::USER_AT_VERSION.sqlite)?
        .query_row(key, |row| Ok((row.get(2)?, super::read::user_from_row(row)?)));
    let (pk, stored) = super::row_decode::optional(found)?.ok_or(STALE)?;
    // A change decided from another state would release other keys than the user has.
    if memberships::eq_ignoring_memberships(&stored, user) { Ok((pk, stored)) } else { Err(STALE) }
}

fn next_number(db: &Db, counters: &mut TxCounters, tenant: TenantNumber, sequence: u8, first: u32) -> ApplyResult<u32> {
    let next = counters.next_number(db, tenant, sequence, first)?;
    if next > i32::MAX.unsigned_abs() {
        let text = format!("tenant {tenant} has no free numbers left");
        return Err(ApplyError::Rejected(CommitError::Unavailable(text)));
    }
    Ok(next)
}

/// Releases the keys that are only in `old` and claims those that are only in `new`.
fn replace_unique_keys(db: &Db, tenant: TenantNumber, old: &[UniqueKey], new: &[UniqueKey], owner: i64) -> ApplyResult {
    for removed in old.iter().filter(|old| !new.iter().any(|new| new.has_same_key(old))) {
        // In a store of 0.1.0, an older owner may have the same key.
        db.prepare_cached(sql::REMOVE_UNIQUE_KEYS.sqlite)?.execute(params![
            tenant.0,
            removed.namespace,
            removed.text,
            owner
        ])?;
    }
    for claim in new.iter().filter(|new| !old.iter().any(|old| old.has_same_key(new))) {
        claim_key(db, tenant, claim, owner)?;
    }
    Ok(())
}

/// Returns the users that were really added and removed.
fn update_members(
    db: &Db,
    tenant: TenantNumber,
    item: i64,
    members_added: &[UserId],
    members_removed: &[UserId],
) -> ApplyResult<(Vec<UserId>, Vec<UserId>)> {
    let (mut came, mut went) = (Vec::new(), Vec::new());
    for user in members_added {
        let bound = params![tenant.0, user.0.as_bytes()];
        let pk = row_or_stale(db.prepare_cached(sql::USER_PK.sqlite)?.query_row(bound, |row| row.get(0)))?;
        if db.prepare_cached(sql::ADD_MEMBERSHIPS.sqlite)?.execute([item, pk])? > 0 {
            came.push(*user);
        }
    }
    for user in members_removed {
        if db.prepare_cached(sql::REMOVE_MEMBERSHIPS.sqlite)?.execute(params![item, tenant.0, user.0.as_bytes()])? > 0 {
            went.push(*user);
        }
    }
    Ok((came, went))
}
