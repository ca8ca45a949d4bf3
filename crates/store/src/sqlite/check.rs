//! A check of a whole file: what SQLite says of it, and whether what is stored twice agrees.

use super::read;
use crate::checked::{Checked, roles_among};
use crate::claims::{self, Claim, kind_number};
use crate::found::block_of;
use crate::plan::is_active;
use crate::sql;
use directory::{Item, ItemKind, User, UserId};
use rusqlite::{Connection as Db, OptionalExtension, params};
use std::collections::BTreeMap;

/// More of the same say nothing new.
const MANY: usize = 100;

/// What is wrong.
pub(super) fn check(db: &Db) -> rusqlite::Result<Checked> {
    // One view of everything, or what is written meanwhile would look wrong.
    let view = db.unchecked_transaction()?;
    let mut checked = Checked::default();
    for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
        let mut statement = view.prepare(pragma)?;
        for row in statement.query_map([], |row| row.get::<_, String>(0))? {
            checked.damage.push(row?);
        }
    }
    checked.damage.retain(|line| line != "ok");
    // In a file that is not whole, nothing else is worth a look.
    if !checked.damage.is_empty() {
        return Ok(checked);
    }
    for tenant in read::tenants(&view)? {
        of_tenant(&view, tenant.number.0, &mut checked)?;
    }
    let (events, last): (i64, i64) =
        view.query_row(sql::COUNT_POSITIONS.sqlite, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found = &mut checked.damage;
    if events != last {
        found.push(format!("the history ends at {last} and has {events} events"));
    }
    if found.len() > MANY {
        let more = found.len() - MANY;
        found.truncate(MANY);
        found.push(format!("and {more} more"));
    }
    Ok(checked)
}

fn of_tenant(db: &Db, tenant: u32, checked: &mut Checked) -> rusqlite::Result<()> {
    let roles = roles_among(items_of(db, tenant, ItemKind::Role)?.into_iter().map(|(_, role)| role));
    let (mut claims, mut blocks, mut last) = (0_i64, BTreeMap::<u32, i64>::new(), (0_u32, 0_i64));
    let mut people = db.prepare_cached(sql::ROWS_OF_USERS.sqlite)?;
    let mut rows = people.query([tenant])?;
    while let Some(row) = rows.next()? {
        let pk: i64 = row.get(0)?;
        let user: User = super::rows::decode(6, row.get_ref(6)?.as_str()?)?;
        let beside = (
            row.get::<_, u32>(1)?,
            UserId(super::rows::id(2, row)?),
            row.get::<_, u32>(3)?,
            row.get::<_, u8>(4)?,
            row.get::<_, i64>(5)?,
        );
        checked.note_user(tenant, &user, &roles);
        if beside != (user.number, user.id, user.version, is_active(&user), user.updated.0) {
            checked
                .damage
                .push(format!("tenant {tenant}: what stands beside person {} is not theirs", beside.0));
        }
        // Pages and members come in the order of rows.
        if (user.number, pk) <= last || pk <= last.1 {
            checked
                .damage
                .push(format!("tenant {tenant}: person {} is not in the order of numbers", user.number));
        }
        last = (user.number, pk);
        *blocks.entry(block_of(user.number)).or_default() += 1;
        claims += owned(db, tenant, (pk, user.number), &claims::of_user(&user), checked)?;
    }
    for kind in ItemKind::ALL {
        for (row, item) in items_of(db, tenant, kind)? {
            claims += owned(db, tenant, (row, item.number()), &claims::of_item(&item), checked)?;
        }
    }
    let stored: i64 = db.query_row(sql::COUNT_CLAIMS.sqlite, [tenant], |row| row.get(0))?;
    if stored != claims {
        checked.damage.push(format!(
            "tenant {tenant}: {stored} claims are stored where people and items make {claims}"
        ));
    }
    let mut counted = BTreeMap::new();
    let mut statement = db.prepare_cached(sql::BLOCKS.sqlite)?;
    for row in statement.query_map([tenant], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?)))? {
        let (block, live) = row?;
        counted.insert(block, live);
    }
    counted.retain(|_, live| *live != 0);
    if counted != blocks {
        checked.damage.push(format!("tenant {tenant}: people are counted wrongly"));
    }
    Ok(())
}

/// The items of a kind, with their rows.
fn items_of(db: &Db, tenant: u32, kind: ItemKind) -> rusqlite::Result<Vec<(i64, Item)>> {
    let mut items = db.prepare_cached(sql::ROWS_OF_ITEMS.sqlite)?;
    let rows = items.query_map(params![tenant, 1 + kind_number(kind)], |row| {
        Ok((row.get(0)?, super::rows::decode(1, row.get_ref(1)?.as_str()?)?))
    })?;
    rows.collect()
}

/// How many of these claims are stored with their owner.
fn owned(
    db: &Db,
    tenant: u32,
    (owner, number): (i64, u32),
    wanted: &[Claim],
    checked: &mut Checked,
) -> rusqlite::Result<i64> {
    let mut count = 0;
    for claim in wanted {
        let by: Option<i64> = db
            .prepare_cached(sql::CLAIM_OWNERS.sqlite)?
            .query_row(params![tenant, claim.space, claim.text], |row| row.get(0))
            .optional()?;
        if by == Some(owner) {
            count += 1;
            continue;
        }
        let sql = if claim.is_of_user() { sql::NUMBER_OF_USER } else { sql::NUMBER_OF_ITEM };
        let holder = by.map(|holder| db.query_row(sql.sqlite, [holder], |row| row.get(0)).optional());
        match holder.transpose()?.flatten() {
            Some(holder) => checked.note_shared(tenant, claim, number, holder),
            None => checked
                .damage
                .push(format!("tenant {tenant}: row {owner} does not hold its {:?}", claim.field)),
        }
    }
    Ok(count)
}
