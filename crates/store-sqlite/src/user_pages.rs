//! Pages of users.
//!
//! An index narrows the candidates if there is one; the rest is checked by [`directory::UserPredicate`], so that
//! every engine returns the same. An unfiltered page in number order uses the user counts per block of numbers: its
//! cost does not grow with its depth.

use super::index_lookup::lookup_statements;
use super::read::user_from_row;
use super::row_decode::optional;
use directory::{Page, PageBoundary, TenantNumber, User, UserQuery};
use rusqlite::types::Value;
use rusqlite::{Connection as Db, ffi, params, params_from_iter};
use std::time::{Duration, Instant};
use store::page_builder::{BLOCK_SIZE, UserPageBuilder, block_of};
use store::query_plan::{IndexLookup, plan_users};
use store::sql;

/// Rows per step of a scan.
const SCAN_STEP: u32 = 2000;
/// Time limit of a scan. The client was already asked to try again by then, and others need the thread.
const SCAN_TIMEOUT: Duration = Duration::from_secs(40);

pub(super) fn users(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    let plan = plan_users(query);
    if let Some((source, _)) = plan.as_ref().filter(|(source, _)| source.is_selective()) {
        return indexed_page(db, tenant, query, source);
    }
    if query.predicates.is_empty() && query.sort.is_by_number() {
        return page_by_number(db, tenant, query);
    }
    match plan {
        Some((source, true)) if query.sort.is_by_number() => exact_page(db, tenant, query, &source),
        Some((source, _)) => indexed_page(db, tenant, query, &source),
        None => scan_all(db, tenant, query),
    }
}

fn scan_all(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    let mut found = UserPageBuilder::new(query);
    let mut statement = db.prepare_cached(sql::USERS_FROM.sqlite)?;
    let mut next = 0;
    let begun = Instant::now();
    loop {
        check_time(begun)?;
        let rows: Vec<User> =
            statement.query_map(params![tenant.0, next, SCAN_STEP], user_from_row)?.collect::<rusqlite::Result<_>>()?;
        let Some(end) = rows.last() else { break };
        next = end.number.saturating_add(1);
        for user in rows {
            found.push(user);
        }
    }
    Ok(found.build())
}

fn check_time(begun: Instant) -> rusqlite::Result<()> {
    if begun.elapsed() > SCAN_TIMEOUT {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_INTERRUPT), None));
    }
    Ok(())
}

/// A page of the users that an index finds, each checked against the whole query.
fn indexed_page(
    db: &Db,
    tenant: TenantNumber,
    query: &UserQuery,
    source: &IndexLookup,
) -> rusqlite::Result<Page<User>> {
    let mut numbers: Vec<u32> = Vec::new();
    for (sql, bound) in lookup_statements(source) {
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map(params_from_iter(with_tenant(tenant, bound)), |row| row.get(0))?;
        for number in rows {
            numbers.push(number?);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let mut found = UserPageBuilder::new(query);
    let mut statement = db.prepare_cached(sql::USER_BY_NUMBER.sqlite)?;
    let begun = Instant::now();
    for number in numbers {
        check_time(begun)?;
        // The user may have been deleted since the index was read.
        if let Some(user) = optional(statement.query_row(params![tenant.0, number], user_from_row))? {
            found.push(user);
        }
    }
    Ok(found.build())
}

fn with_tenant(tenant: TenantNumber, bound: Vec<Value>) -> Vec<Value> {
    std::iter::once(Value::Integer(tenant.0.into())).chain(bound).collect()
}

/// A page of an exact index: counted and cut in the index; only the rows of the page are read.
fn exact_page(db: &Db, tenant: TenantNumber, query: &UserQuery, source: &IndexLookup) -> rusqlite::Result<Page<User>> {
    let _transaction = super::read::begin_read_transaction(db)?;
    let statements = lookup_statements(source);
    let Some((numbers, bound)) = statements.first() else {
        return Ok(Page { rows: Vec::new(), total: 0, offset: 0 });
    };
    let bound = with_tenant(tenant, bound.clone());
    let with =
        |more: &[i64]| -> Vec<Value> { bound.iter().cloned().chain(more.iter().map(|n| Value::Integer(*n))).collect() };
    let below = sql::count_below_sql(numbers, bound.len());
    let count = |number: i64| -> rusqlite::Result<u64> {
        let mut statement = db.prepare_cached(&below)?;
        statement.query_row(params_from_iter(with(&[number])), |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
    };
    let (is_backward, place) = match &query.boundary {
        None => (false, -1),
        Some(PageBoundary::After(place)) => (false, i64::from(place.number)),
        Some(PageBoundary::Before(place)) => (true, i64::from(place.number)),
    };
    let skip = i64::try_from(query.offset).unwrap_or(i64::MAX);
    let mut page: Vec<u32> = db
        .prepare_cached(&sql::number_page_sql(numbers, bound.len(), is_backward))?
        .query_map(params_from_iter(with(&[place, query.limit.into(), skip])), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    page.sort_unstable();
    let mut statement = db.prepare_cached(sql::USER_BY_NUMBER.sqlite)?;
    let rows: Vec<User> = page
        .iter()
        .map(|number| statement.query_row(params![tenant.0, number], user_from_row))
        .collect::<rusqlite::Result<_>>()?;
    let total = count(i64::MAX)?;
    let before = match (is_backward, rows.first()) {
        (false, _) => count(place + 1)?.saturating_add(query.offset).min(total),
        (true, None) => 0,
        (true, Some(first)) => count(first.number.into())?,
    };
    Ok(Page { rows, total, offset: before })
}

/// A page of all users: the block counts give the total and the block where the page starts.
fn page_by_number(db: &Db, tenant: TenantNumber, query: &UserQuery) -> rusqlite::Result<Page<User>> {
    // One snapshot for the count and the rows, until it is dropped.
    let _transaction = super::read::begin_read_transaction(db)?;
    if let Some(PageBoundary::Before(place)) = &query.boundary {
        return page_backward(db, tenant, place.number, query.limit);
    }
    let blocks = blocks(db, tenant)?;
    let total = blocks.iter().map(|(_, live)| live).sum();
    let passed = match &query.boundary {
        Some(PageBoundary::After(place)) => rank(db, tenant, &blocks, place.number.saturating_add(1))?,
        _ => 0,
    };
    let skip = passed.saturating_add(query.offset);
    let (mut counted, mut start) = (0_u64, None);
    for (block, live) in blocks {
        if counted + live > skip {
            start = Some((block * BLOCK_SIZE, i64::try_from(skip - counted).unwrap_or(i64::MAX)));
            break;
        }
        counted += live;
    }
    let nothing = Page { rows: Vec::new(), total, offset: total };
    let Some((first, rest)) = start else { return Ok(nothing) };
    let begin = optional(
        db.prepare_cached(sql::USER_NUMBER_AT_OFFSET.sqlite)?
            .query_row(params![tenant.0, first, rest], |row| row.get::<_, u32>(0)),
    )?;
    let Some(begin) = begin else { return Ok(nothing) };
    let mut statement = db.prepare_cached(sql::USERS_FROM.sqlite)?;
    let rows =
        statement.query_map(params![tenant.0, begin, query.limit], user_from_row)?.collect::<rusqlite::Result<_>>()?;
    Ok(Page { rows, total, offset: skip })
}

/// The last page before a number.
fn page_backward(db: &Db, tenant: TenantNumber, number: u32, limit: u32) -> rusqlite::Result<Page<User>> {
    let blocks = blocks(db, tenant)?;
    let mut statement = db.prepare_cached(sql::USERS_BELOW.sqlite)?;
    let mut rows: Vec<User> =
        statement.query_map(params![tenant.0, number, limit], user_from_row)?.collect::<rusqlite::Result<_>>()?;
    rows.reverse();
    let before = rows.first().map_or(Ok(0), |first| rank(db, tenant, &blocks, first.number))?;
    Ok(Page { rows, total: blocks.iter().map(|(_, live)| live).sum(), offset: before })
}

/// Number of users in each block of numbers.
fn blocks(db: &Db, tenant: TenantNumber) -> rusqlite::Result<Vec<(u32, u64)>> {
    let mut statement = db.prepare_cached(sql::BLOCK_COUNTS.sqlite)?;
    let rows = statement.query_map([tenant.0], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?;
    rows.collect()
}

/// How many users have a lower number.
fn rank(db: &Db, tenant: TenantNumber, blocks: &[(u32, u64)], number: u32) -> rusqlite::Result<u64> {
    let block = block_of(number);
    let below: u64 = blocks.iter().filter(|(b, _)| *b < block).map(|(_, live)| live).sum();
    let bound = params![tenant.0, block * BLOCK_SIZE, number];
    let within: i64 = db.prepare_cached(sql::COUNT_USERS_IN_RANGE.sqlite)?.query_row(bound, |row| row.get(0))?;
    Ok(below + within.unsigned_abs())
}
