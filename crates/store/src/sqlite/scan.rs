//! Reads of many rows: pages of people and items.
//!
//! An index narrows the candidates where there is one; what remains is checked by [`directory::UserTest`], so
//! that every engine means the same. A page in order of arrival without conditions goes by the counted blocks
//! of numbers: its cost does not grow with its depth.

use super::read::{stored_item, stored_user, user_sql};
use super::rows::optional;
use crate::claims::{self, HANDLES, USER_EXTERNAL_IDS, kind_number};
use directory::{Item, ItemQuery, Page, TenantNumber, User, UserQuery, UserTest};
use rusqlite::{Connection as Db, ffi, params};
use std::time::{Duration, Instant};

/// Numbers per counted block.
const BLOCK: u32 = 1000;
/// Rows per step of a walk.
const STEP: u32 = 2000;
/// How long one walk may take. Whoever asked has been told to come again by then; the thread is for others.
const WALK_TIME: Duration = Duration::from_secs(40);
/// The largest page that is read on the calling thread.
const SHORT: u32 = 250;

/// The block a number is counted in.
pub(super) fn block_of(number: u32) -> u32 {
    number / BLOCK
}

/// Whether the answer takes no walk through the directory.
pub(super) fn is_short(query: &UserQuery) -> bool {
    let by_index = |test: &UserTest| matches!(test, UserTest::Email(_) | UserTest::ExternalId(_));
    query.tests.iter().any(by_index)
        || (query.tests.is_empty() && query.sort.is_arrival() && query.limit <= SHORT)
}

/// Many people.
pub(super) fn users(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    if query.tests.is_empty() && query.sort.is_arrival() {
        return arrival_page(db, tenant, query.skip, query.limit);
    }
    let mut found = Found::new(query);
    let narrowed = query.tests.iter().find_map(|test| match test {
        UserTest::Email(email) => Some((HANDLES, email.clone(), format!("{email}\0"))),
        UserTest::ExternalId(id) => {
            let (from, to) = claims::external_ids_like(id);
            Some((USER_EXTERNAL_IDS, from, to))
        }
        _ => None,
    });
    if let Some((space, from, to)) = narrowed {
        let sql = user_sql(
            "claims c JOIN users u ON u.pk = c.owner
            WHERE c.tenant = ?1 AND c.space = ?2 AND c.text >= ?3 AND c.text < ?4 ORDER BY u.number",
        );
        let mut statement = db.prepare_cached(&sql)?;
        for user in statement.query_map(params![tenant.0, space, from, to], stored_user)? {
            found.look_at(user?);
        }
        return Ok(found.page());
    }
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number > ?2 ORDER BY u.number LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let mut last = 0;
    let begun = Instant::now();
    loop {
        if begun.elapsed() > WALK_TIME {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
        }
        let rows: Vec<User> = statement
            .query_map(params![tenant.0, last, STEP], stored_user)?
            .collect::<rusqlite::Result<_>>()?;
        let Some(end) = rows.last() else { break };
        last = end.number;
        for user in rows {
            found.look_at(user);
        }
    }
    Ok(found.page())
}

/// What a walk has found so far, never much more than the page asked for.
struct Found<'a> {
    query: &'a UserQuery,
    total: u64,
    page: Vec<User>,
}

impl<'a> Found<'a> {
    fn new(query: &'a UserQuery) -> Self {
        Self { query, total: 0, page: Vec::new() }
    }

    fn look_at(&mut self, user: User) {
        if !self.query.tests.iter().all(|test| test.matches(&user)) {
            return;
        }
        self.total += 1;
        if !self.query.sort.is_arrival() {
            self.page.push(user);
            let enough = self.query.skip.saturating_add(u64::from(self.query.limit));
            if self.page.len() as u64 > enough.saturating_mul(2).max(10_000) {
                self.query.sort.apply(&mut self.page);
                self.page.truncate(usize::try_from(enough).unwrap_or(usize::MAX));
            }
        } else if self.total > self.query.skip && self.page.len() < self.query.limit as usize {
            self.page.push(user);
        }
    }

    fn page(mut self) -> Page<User> {
        if !self.query.sort.is_arrival() {
            self.query.sort.apply(&mut self.page);
            let skip = usize::try_from(self.query.skip).unwrap_or(usize::MAX).min(self.page.len());
            self.page.drain(..skip);
            self.page.truncate(self.query.limit as usize);
        }
        Page { rows: self.page, total: self.total }
    }
}

/// A page of everybody: the blocks say in which one it begins, and how many there are in all.
fn arrival_page(db: &Db, tenant: TenantNumber, skip: u64, limit: u32) -> rusqlite::Result<Page<User>> {
    // One view for the count and the rows; it ends when it is dropped.
    let _view = db.unchecked_transaction()?;
    let sql = "SELECT block, live FROM blocks WHERE tenant = ?1 ORDER BY block";
    let (mut total, mut start) = (0_u64, None);
    let mut statement = db.prepare_cached(sql)?;
    let mut blocks = statement.query([tenant.0])?;
    while let Some(row) = blocks.next()? {
        let (block, live): (u32, u64) = (row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
        if start.is_none() && total + live > skip {
            start = Some((block * BLOCK, i64::try_from(skip - total).unwrap_or(i64::MAX)));
        }
        total += live;
    }
    drop(blocks);
    let Some((first, rest)) = start else { return Ok(Page { rows: Vec::new(), total }) };
    let sql = "SELECT number FROM users WHERE tenant = ?1 AND number >= ?2 ORDER BY number LIMIT 1 OFFSET ?3";
    let begin = optional(
        db.prepare_cached(sql)?.query_row(params![tenant.0, first, rest], |row| row.get::<_, u32>(0)),
    )?;
    let Some(begin) = begin else { return Ok(Page { rows: Vec::new(), total }) };
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number >= ?2 ORDER BY u.number LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![tenant.0, begin, limit], stored_user)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Page { rows, total })
}

/// Many items, in order of number.
pub(super) fn items(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    let sql = "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 ORDER BY number";
    let mut statement = db.prepare_cached(sql)?;
    let (mut rows, mut total) = (Vec::new(), 0_u64);
    for item in statement.query_map(params![tenant.0, 1 + kind_number(query.kind)], stored_item)? {
        let item = item?;
        if !query.tests.iter().all(|test| test.matches(&item)) {
            continue;
        }
        total += 1;
        if total > query.skip && rows.len() < query.limit as usize {
            rows.push(item);
        }
    }
    Ok(Page { rows, total })
}
