//! Reads of many rows: pages of people and items.
//!
//! An index narrows the candidates where there is one; what remains is checked by [`directory::UserTest`], so
//! that every engine means the same. A page in order of arrival without conditions goes by the counted blocks
//! of numbers: its cost does not grow with its depth.

use super::plan::{Source, plan};
use super::read::{stored_user, user_sql};
use super::rows::optional;
use directory::{Bound, Page, SortKey, TenantNumber, User, UserQuery};
use rusqlite::types::Value;
use rusqlite::{Connection as Db, ffi, params, params_from_iter};
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
    match plan(query) {
        Some((source, _)) => source.is_short(),
        None => query.tests.is_empty() && query.sort.is_arrival() && query.limit <= SHORT,
    }
}

/// Many people.
pub(super) fn users(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    let plan = plan(query);
    if let Some((source, _)) = plan.as_ref().filter(|(source, _)| source.is_short()) {
        return narrowed(db, tenant, query, source);
    }
    if query.tests.is_empty() && query.sort.is_arrival() {
        return arrival_page(db, tenant, query);
    }
    match plan {
        Some((source, true)) if query.sort.is_arrival() => exact_page(db, tenant, query, &source),
        Some((source, _)) => narrowed(db, tenant, query, &source),
        None => walk(db, tenant, query),
    }
}

/// Everybody, one after the other.
fn walk(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    let mut found = Found::new(query);
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number > ?2 ORDER BY u.number LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let mut last = 0;
    let begun = Instant::now();
    loop {
        check_time(begun)?;
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

fn check_time(begun: Instant) -> rusqlite::Result<()> {
    if begun.elapsed() > WALK_TIME {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
    }
    Ok(())
}

/// Those an index finds, each checked against the whole question.
fn narrowed(
    db: &Db,
    tenant: TenantNumber,
    query: &UserQuery,
    source: &Source,
) -> rusqlite::Result<Page<User>> {
    let mut numbers: Vec<u32> = Vec::new();
    for (sql, bound) in source.statements() {
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params_from_iter(with_tenant(tenant, bound)), |row| row.get(0))?;
        for number in rows {
            numbers.push(number?);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let mut found = Found::new(query);
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number = ?2");
    let mut statement = db.prepare_cached(&sql)?;
    let begun = Instant::now();
    for number in numbers {
        check_time(begun)?;
        // Somebody may have gone since the index was read.
        if let Some(user) = optional(statement.query_row(params![tenant.0, number], stored_user))? {
            found.look_at(user);
        }
    }
    Ok(found.page())
}

fn with_tenant(tenant: TenantNumber, bound: Vec<Value>) -> Vec<Value> {
    std::iter::once(Value::Integer(tenant.0.into())).chain(bound).collect()
}

/// A page of exactly those an index finds: counted and cut in the index, so that only the page itself is read.
fn exact_page(
    db: &Db,
    tenant: TenantNumber,
    query: &UserQuery,
    source: &Source,
) -> rusqlite::Result<Page<User>> {
    let _view = db.unchecked_transaction()?;
    let statements = source.statements();
    let Some((numbers, bound)) = statements.first() else {
        return Ok(Page { rows: Vec::new(), total: 0, before: 0 });
    };
    let bound = with_tenant(tenant, bound.clone());
    let count = |condition: &str| -> rusqlite::Result<u64> {
        let sql = format!("SELECT count(*) FROM ({numbers}) {condition}");
        db.prepare_cached(&sql)?
            .query_row(params_from_iter(&bound), |row| row.get::<_, i64>(0))
            .map(i64::unsigned_abs)
    };
    let total = count("")?;
    let (side, order, place) = match &query.bound {
        None => (">", "", 0),
        Some(Bound::After(place)) => (">", "", place.number),
        Some(Bound::Before(place)) => ("<", "DESC", place.number),
    };
    let skip = i64::try_from(query.skip).unwrap_or(i64::MAX);
    let inner = format!(
        "SELECT number FROM ({numbers}) WHERE number {side} {place} ORDER BY number {order} LIMIT {} OFFSET {skip}",
        query.limit
    );
    let sql = user_sql(&format!("users u WHERE u.tenant = ?1 AND u.number IN ({inner}) ORDER BY u.number"));
    let rows: Vec<User> = db
        .prepare(&sql)?
        .query_map(params_from_iter(&bound), stored_user)?
        .collect::<rusqlite::Result<_>>()?;
    let before = match (&query.bound, rows.first()) {
        (None, _) => query.skip.min(total),
        (Some(Bound::After(_)), _) => {
            count(&format!("WHERE number <= {place}"))?.saturating_add(query.skip).min(total)
        }
        (Some(Bound::Before(_)), None) => 0,
        (Some(Bound::Before(_)), Some(first)) => count(&format!("WHERE number < {}", first.number))?,
    };
    Ok(Page { rows, total, before })
}

/// What a walk has found so far: never much more than the page asked for, and of a sorted one than all up to its end.
struct Found<'a> {
    query: &'a UserQuery,
    total: u64,
    /// On the right side of the bound.
    within: u64,
    page: Vec<User>,
}

impl<'a> Found<'a> {
    fn new(query: &'a UserQuery) -> Self {
        Self { query, total: 0, within: 0, page: Vec::new() }
    }

    fn is_backward(&self) -> bool {
        matches!(self.query.bound, Some(Bound::Before(_)))
    }

    fn is_cut(&self) -> bool {
        matches!((&self.query.sort.key, self.query.sort.descending), (SortKey::Arrival, false))
            && !self.is_backward()
    }

    /// How many in order are enough to cut the page from.
    fn enough(&self) -> usize {
        usize::try_from(self.query.skip.saturating_add(u64::from(self.query.limit))).unwrap_or(usize::MAX)
    }

    fn look_at(&mut self, user: User) {
        let query = self.query;
        if !query.tests.iter().all(|test| test.matches(&user)) {
            return;
        }
        self.total += 1;
        if !query.sort.is_within(&user, query.bound.as_ref()) {
            return;
        }
        self.within += 1;
        // In order of arrival a page is cut as it comes by.
        if self.is_cut() && (self.within <= query.skip || self.within > self.enough() as u64) {
            return;
        }
        self.page.push(user);
        if self.page.len() > self.enough().saturating_add(5_000) {
            self.trim();
        }
    }

    /// Puts what was found in order and leaves no more of it than is enough.
    fn trim(&mut self) {
        self.query.sort.apply(&mut self.page);
        let enough = self.enough();
        if self.is_backward() {
            self.page.drain(..self.page.len().saturating_sub(enough));
        } else {
            self.page.truncate(enough);
        }
    }

    fn page(mut self) -> Page<User> {
        self.trim();
        let outside = self.total - self.within;
        let (rows, before) = if self.is_backward() {
            let before = self.within - self.page.len() as u64;
            (self.page, before)
        } else {
            let skip = if self.is_cut() { 0 } else { self.query.skip };
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.page.len());
            (self.page.split_off(skip), outside + self.query.skip.min(self.within))
        };
        Page { rows, total: self.total, before }
    }
}

/// A page of everybody: the blocks say in which one it begins, and how many there are in all.
fn arrival_page(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    // One view for the count and the rows; it ends when it is dropped.
    let _view = db.unchecked_transaction()?;
    if let Some(Bound::Before(place)) = &query.bound {
        return page_before(db, tenant, place.number, query.limit);
    }
    let blocks = blocks(db, tenant)?;
    let total = blocks.iter().map(|(_, live)| live).sum();
    let passed = match &query.bound {
        Some(Bound::After(place)) => rank(db, tenant, &blocks, place.number.saturating_add(1))?,
        _ => 0,
    };
    let skip = passed.saturating_add(query.skip);
    let (mut counted, mut start) = (0_u64, None);
    for (block, live) in blocks {
        if counted + live > skip {
            start = Some((block * BLOCK, i64::try_from(skip - counted).unwrap_or(i64::MAX)));
            break;
        }
        counted += live;
    }
    let nothing = Page { rows: Vec::new(), total, before: total };
    let Some((first, rest)) = start else { return Ok(nothing) };
    let sql = "SELECT number FROM users WHERE tenant = ?1 AND number >= ?2 ORDER BY number LIMIT 1 OFFSET ?3";
    let begin = optional(
        db.prepare_cached(sql)?.query_row(params![tenant.0, first, rest], |row| row.get::<_, u32>(0)),
    )?;
    let Some(begin) = begin else { return Ok(nothing) };
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number >= ?2 ORDER BY u.number LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement
        .query_map(params![tenant.0, begin, query.limit], stored_user)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Page { rows, total, before: skip })
}

/// The last page in front of a number.
fn page_before(db: &Db, tenant: TenantNumber, number: u32, limit: u32) -> rusqlite::Result<Page<User>> {
    let blocks = blocks(db, tenant)?;
    let sql = user_sql("users u WHERE u.tenant = ?1 AND u.number < ?2 ORDER BY u.number DESC LIMIT ?3");
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows: Vec<User> = statement
        .query_map(params![tenant.0, number, limit], stored_user)?
        .collect::<rusqlite::Result<_>>()?;
    rows.reverse();
    let before = rows.first().map_or(Ok(0), |first| rank(db, tenant, &blocks, first.number))?;
    Ok(Page { rows, total: blocks.iter().map(|(_, live)| live).sum(), before })
}

/// How many live in each block of numbers.
fn blocks(db: &Db, tenant: TenantNumber) -> rusqlite::Result<Vec<(u32, u64)>> {
    let sql = "SELECT block, live FROM blocks WHERE tenant = ?1 ORDER BY block";
    let mut statement = db.prepare_cached(sql)?;
    let rows =
        statement.query_map([tenant.0], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// How many people have a lower number.
fn rank(db: &Db, tenant: TenantNumber, blocks: &[(u32, u64)], number: u32) -> rusqlite::Result<u64> {
    let block = block_of(number);
    let below: u64 = blocks.iter().filter(|(b, _)| *b < block).map(|(_, live)| live).sum();
    let sql = "SELECT count(*) FROM users WHERE tenant = ?1 AND number >= ?2 AND number < ?3";
    let bound = params![tenant.0, block * BLOCK, number];
    let within: i64 = db.prepare_cached(sql)?.query_row(bound, |row| row.get(0))?;
    Ok(below + within.unsigned_abs())
}
