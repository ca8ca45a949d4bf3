//! Checks a whole file: SQLite's own integrity checks, and whether redundant data agrees.

use super::read;
use crate::check_report::{CheckReport, TenantChecker, filter_roles};
use crate::page_builder::block_of;
use crate::sql;
use crate::unique_keys::{self, UniqueKey, kind_index};
use directory::{Item, ItemId, ItemKind, Tenant, User, UserId};
use rusqlite::{Connection as Db, OptionalExtension, params};
use std::collections::BTreeMap;

pub(super) fn check(db: &Db) -> rusqlite::Result<CheckReport> {
    // One snapshot: concurrent writes would look like errors.
    let view = db.unchecked_transaction()?;
    let mut report = CheckReport::default();
    for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
        let mut statement = view.prepare(pragma)?;
        for row in statement.query_map([], |row| row.get::<_, String>(0))? {
            report.errors.push(row?);
        }
    }
    report.errors.retain(|line| line != "ok");
    // In a corrupt file, further checks are pointless.
    if !report.errors.is_empty() {
        return Ok(report);
    }
    let mut tenants = view.prepare_cached(sql::ROWS_OF_TENANTS.sqlite)?;
    let mut rows = tenants.query([])?;
    while let Some(row) = rows.next()? {
        let tenant: Tenant = super::row_decode::decode(2, row.get_ref(2)?.as_str()?)?;
        report.check_tenant(&tenant, (row.get(0)?, row.get(1)?));
        check_tenant_rows(&view, row.get(0)?, &mut report)?;
    }
    report.report_invalid_memberships(view.query_row(sql::COUNT_INVALID_MEMBERSHIPS.sqlite, [], |row| row.get(0))?);
    let (events, last): (i64, i64) =
        view.query_row(sql::COUNT_EVENTS_AND_LAST_POSITION.sqlite, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = &mut report.errors;
    if events != last {
        found.push(format!("the event history ends at position {last}, but has {events} events"));
    }
    report.truncate_errors();
    Ok(report)
}

fn check_tenant_rows(db: &Db, tenant: u32, report: &mut CheckReport) -> rusqlite::Result<()> {
    let roles = filter_roles(items_of(db, tenant, ItemKind::Role)?.into_iter().map(|(_, role, _)| role));
    let (mut key_count, mut blocks, mut last) = (0_i64, BTreeMap::<u32, i64>::new(), (0_u32, 0_i64));
    let mut checker = TenantChecker::new(tenant);
    let mut users = db.prepare_cached(sql::ROWS_OF_USERS.sqlite)?;
    let mut rows = users.query([tenant])?;
    while let Some(row) = rows.next()? {
        let pk: i64 = row.get(0)?;
        let user: User = super::row_decode::decode(6, row.get_ref(6)?.as_str()?)?;
        let columns = (
            row.get::<_, u32>(1)?,
            UserId(super::row_decode::id(2, row)?),
            row.get::<_, u32>(3)?,
            row.get::<_, u8>(4)?,
            row.get::<_, i64>(5)?,
        );
        report.warn_about_user(tenant, &user, &roles);
        checker.check_user(&user, columns, report);
        // Pages and members rely on the order of rows.
        if (user.number, pk) <= last || pk <= last.1 {
            report.errors.push(format!("tenant {tenant}: user {} is not in the order of numbers", user.number));
        }
        last = (user.number, pk);
        *blocks.entry(block_of(user.number)).or_default() += 1;
        key_count += count_held_keys(db, tenant, (pk, user.number), &unique_keys::of_user(&user), report)?;
    }
    for kind in ItemKind::ALL {
        for (row, item, columns) in items_of(db, tenant, kind)? {
            checker.check_item(&item, &columns, report);
            key_count += count_held_keys(db, tenant, (row, item.number()), &unique_keys::of_item(&item), report)?;
        }
    }
    let stored: i64 = db.query_row(sql::COUNT_UNIQUE_KEYS.sqlite, [tenant], |row| row.get(0))?;
    if stored != key_count {
        report
            .errors
            .push(format!("tenant {tenant}: {stored} unique keys are stored, users and items need {key_count}"));
    }
    check_user_rows(db, tenant, &mut checker, report)?;
    let mut counted = BTreeMap::new();
    let mut statement = db.prepare_cached(sql::BLOCK_COUNTS.sqlite)?;
    for row in statement.query_map([tenant], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?)))? {
        let (block, live) = row?;
        counted.insert(block, live);
    }
    counted.retain(|_, live| *live != 0);
    if counted != blocks {
        report.errors.push(format!("tenant {tenant}: the stored user counts are wrong"));
    }
    Ok(())
}

/// Checks deleted users and the rows derived from the documents of users.
fn check_user_rows(
    db: &Db,
    tenant: u32,
    checker: &mut TenantChecker,
    report: &mut CheckReport,
) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(sql::ROWS_OF_TOMBSTONES.sqlite)?;
    let mut rows = statement.query([tenant])?;
    while let Some(row) = rows.next()? {
        let user: User = super::row_decode::decode(3, row.get_ref(3)?.as_str()?)?;
        let columns = (row.get(0)?, UserId(super::row_decode::id(1, row)?), row.get(2)?);
        checker.check_tombstone(&user, &columns, report);
    }
    let mut statement = db.prepare_cached(sql::ROWS_OF_SECONDARY_EMAILS.sqlite)?;
    let mentions = statement.query_map([tenant], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mentions = mentions.collect::<rusqlite::Result<_>>()?;
    let mut statement = db.prepare_cached(sql::MEMBERSHIPS_OF_KIND.sqlite)?;
    let kind = 1 + kind_index(ItemKind::Organization);
    let members =
        statement.query_map(params![tenant, kind], |row| Ok((row.get(0)?, ItemId(super::row_decode::id(1, row)?))))?;
    let members = members.collect::<rusqlite::Result<_>>()?;
    let last = db.query_row(sql::COUNTER.sqlite, params![tenant, 0], |row| row.get(0))?;
    checker.check_related_rows(&mentions, &members, last, report);
    Ok(())
}

/// Number, id and name key.
type ItemColumns = (u32, ItemId, String);

/// With their row ids.
fn items_of(db: &Db, tenant: u32, kind: ItemKind) -> rusqlite::Result<Vec<(i64, Item, ItemColumns)>> {
    let mut items = db.prepare_cached(sql::ROWS_OF_ITEMS.sqlite)?;
    let rows = items.query_map(params![tenant, 1 + kind_index(kind)], |row| {
        let columns = (row.get(2)?, ItemId(super::row_decode::id(3, row)?), row.get(4)?);
        Ok((row.get(1)?, read::item_from_row(row)?, columns))
    })?;
    rows.collect()
}

/// How many of these keys are stored with this owner; reports the others.
fn count_held_keys(
    db: &Db,
    tenant: u32,
    (owner, number): (i64, u32),
    wanted: &[UniqueKey],
    report: &mut CheckReport,
) -> rusqlite::Result<i64> {
    let mut count = 0;
    for claim in wanted {
        let by: Option<i64> = db
            .prepare_cached(sql::UNIQUE_KEY_OWNERS.sqlite)?
            .query_row(params![tenant, claim.namespace, claim.text], |row| row.get(0))
            .optional()?;
        if by == Some(owner) {
            count += 1;
            continue;
        }
        let sql = if claim.is_of_user() { sql::NUMBER_OF_USER } else { sql::NUMBER_OF_ITEM };
        let holder = by.map(|holder| db.query_row(sql.sqlite, [holder], |row| row.get(0)).optional());
        match holder.transpose()?.flatten() {
            Some(holder) => report.warn_shared_key(tenant, claim, number, holder),
            None => report.errors.push(format!("tenant {tenant}: row {owner} does not hold its {:?}", claim.field)),
        }
    }
    Ok(count)
}
