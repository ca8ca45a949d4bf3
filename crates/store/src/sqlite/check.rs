//! A check of a whole file: what SQLite says of it, and whether what is stored twice agrees.

use super::read;
use crate::claims::{self, Claim, kind_number};
use crate::found::block_of;
use crate::plan::is_active;
use crate::sql;
use directory::{Item, ItemKind, User, UserId};
use rusqlite::{Connection as Db, OptionalExtension, params};
use std::collections::BTreeMap;

/// More of the same say nothing new.
const MANY: usize = 100;

/// What is wrong, in sentences that name no person.
pub(super) fn check(db: &Db) -> rusqlite::Result<Vec<String>> {
    // One view of everything, or what is written meanwhile would look wrong.
    let view = db.unchecked_transaction()?;
    let mut found = Vec::new();
    for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
        let mut statement = view.prepare(pragma)?;
        for row in statement.query_map([], |row| row.get::<_, String>(0))? {
            found.push(row?);
        }
    }
    found.retain(|line| line != "ok");
    // In a file that is not whole, nothing else is worth a look.
    if !found.is_empty() {
        return Ok(found);
    }
    for tenant in read::tenants(&view)? {
        of_tenant(&view, tenant.number.0, &mut found)?;
    }
    let (events, last): (i64, i64) =
        view.query_row(sql::COUNT_POSITIONS.sqlite, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if events != last {
        found.push(format!("the history ends at {last} and has {events} events"));
    }
    if found.len() > MANY {
        let more = found.len() - MANY;
        found.truncate(MANY);
        found.push(format!("and {more} more"));
    }
    Ok(found)
}

fn of_tenant(db: &Db, tenant: u32, found: &mut Vec<String>) -> rusqlite::Result<()> {
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
        if beside != (user.number, user.id, user.version, is_active(&user), user.updated.0) {
            found.push(format!("tenant {tenant}: what stands beside person {} is not theirs", beside.0));
        }
        // Pages and members come in the order of rows.
        if (user.number, pk) <= last || pk <= last.1 {
            found.push(format!("tenant {tenant}: person {} is not in the order of numbers", user.number));
        }
        last = (user.number, pk);
        *blocks.entry(block_of(user.number)).or_default() += 1;
        claims += owned(db, tenant, pk, &claims::of_user(&user), found)?;
    }
    for kind in ItemKind::ALL {
        let mut items = db.prepare_cached(sql::ROWS_OF_ITEMS.sqlite)?;
        let mut rows = items.query(params![tenant, 1 + kind_number(kind)])?;
        while let Some(row) = rows.next()? {
            let item: Item = super::rows::decode(1, row.get_ref(1)?.as_str()?)?;
            claims += owned(db, tenant, row.get(0)?, &claims::of_item(&item), found)?;
        }
    }
    let stored: i64 = db.query_row(sql::COUNT_CLAIMS.sqlite, [tenant], |row| row.get(0))?;
    if stored != claims {
        found.push(format!(
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
        found.push(format!("tenant {tenant}: people are counted wrongly"));
    }
    Ok(())
}

/// How many of these claims are stored with their owner.
fn owned(
    db: &Db,
    tenant: u32,
    owner: i64,
    wanted: &[Claim],
    found: &mut Vec<String>,
) -> rusqlite::Result<i64> {
    let mut count = 0;
    for claim in wanted {
        let by: Option<i64> = db
            .prepare_cached(sql::CLAIM_OWNERS.sqlite)?
            .query_row(params![tenant, claim.space, claim.text], |row| row.get(0))
            .optional()?;
        if by == Some(owner) {
            count += 1;
        } else {
            found.push(format!("tenant {tenant}: row {owner} does not hold its {:?}", claim.field));
        }
    }
    Ok(count)
}
