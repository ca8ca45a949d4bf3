//! Pages of users. As in the embedded engine, an index narrows the search where there is one, its results are
//! checked against the whole query, and a page in order of numbers costs the same at any depth.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::{ReadFuture, user_from_row};
use directory::{Page, PageBoundary, TenantNumber, User, UserQuery};
use std::collections::BTreeMap;
use store::page_builder::{BLOCK_SIZE, UserPageBuilder, block_of};
use store::query_plan::{IndexLookup, plan_users};
use store::sql;

/// Rows per query of a full scan.
const SCAN_STEP: i64 = 2000;

const USERS_PER_QUERY: usize = 2000;

pub(super) fn users(session: &Session, tenant: TenantNumber, query: UserQuery) -> ReadFuture<'_, Page<User>> {
    Box::pin(async move {
        let code = tenant_code(tenant);
        let plan = plan_users(&query);
        if let Some((source, _)) = plan.as_ref().filter(|(source, _)| source.is_selective()) {
            return indexed_page(session, code, &query, source).await;
        }
        if query.predicates.is_empty() && query.sort.is_by_number() {
            return page_by_number(session, code, &query).await;
        }
        match plan {
            Some((source, true)) if query.sort.is_by_number() => exact_page(session, code, &query, &source).await,
            Some((source, _)) => indexed_page(session, code, &query, &source).await,
            None => scan_all(session, code, &query).await,
        }
    })
}

async fn scan_all(session: &Session, code: i32, query: &UserQuery) -> Result<Page<User>, PgError> {
    let mut found = UserPageBuilder::new(query);
    let mut next = 0;
    loop {
        let rows = session.query(sql::USERS_FROM.postgres, &[&code, &next, &SCAN_STEP]).await?;
        if rows.is_empty() {
            return Ok(found.build());
        }
        for row in rows {
            let user = user_from_row(&row)?;
            next = int(user.number).saturating_add(1);
            found.push(user);
        }
    }
}

/// Checks the users that an index finds against the whole query.
async fn indexed_page(
    session: &Session,
    code: i32,
    query: &UserQuery,
    source: &IndexLookup,
) -> Result<Page<User>, PgError> {
    let mut numbers: Vec<i32> = Vec::new();
    for look in index_queries(source) {
        for row in session.query(look.sql, &look.params(&code)).await? {
            numbers.push(row.try_get(0)?);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    let mut found = UserPageBuilder::new(query);
    for some in numbers.chunks(USERS_PER_QUERY) {
        for user in numbered(session, code, some.to_vec()).await? {
            found.push(user);
        }
    }
    Ok(found.build())
}

/// Users by number, in order. Users deleted meanwhile are omitted.
async fn numbered(session: &Session, code: i32, numbers: Vec<i32>) -> Result<Vec<User>, PgError> {
    if let [number] = numbers.as_slice() {
        let row = session.query_opt(sql::USER_BY_NUMBER.postgres, &[&code, number]).await?;
        return row.iter().map(user_from_row).collect();
    }
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let rows = session.query(sql::USERS_WITH_NUMBERS.postgres, &[&code, &numbers]).await?;
    rows.iter().map(user_from_row).collect()
}

/// A query for user numbers, and its parameters after the tenant.
struct IndexQuery {
    sql: &'static str,
    bound: Vec<Box<dyn Param>>,
}

impl IndexQuery {
    fn params<'a>(&'a self, code: &'a i32) -> Vec<&'a dyn Param> {
        let tenant: &dyn Param = code;
        std::iter::once(tenant).chain(self.bound.iter().map(|param| &**param)).collect()
    }

    fn with<'a>(&'a self, code: &'a i32, more: &[&'a dyn Param]) -> Vec<&'a dyn Param> {
        self.params(code).into_iter().chain(more.iter().copied()).collect()
    }
}

fn index_queries(source: &IndexLookup) -> Vec<IndexQuery> {
    let (sql, bound): (_, Vec<Box<dyn Param>>) = match source {
        IndexLookup::UniqueKeys(space, from, to) => (
            sql::USER_NUMBERS_BY_UNIQUE_KEY,
            vec![Box::new(i16::from(*space)), Box::new(from.clone().into_bytes()), Box::new(to.clone().into_bytes())],
        ),
        IndexLookup::SecondaryEmail(text) => {
            (sql::USER_NUMBERS_BY_SECONDARY_EMAIL, vec![Box::new(text.clone().into_bytes())])
        }
        IndexLookup::Id(user) => (sql::USER_NUMBERS_BY_ID, vec![Box::new(user.0)]),
        IndexLookup::Number(number) => (sql::USER_NUMBERS_BY_NUMBER, vec![Box::new(int(*number))]),
        IndexLookup::Active(active) => (sql::USER_NUMBERS_BY_ACTIVE, vec![Box::new(i16::from(*active))]),
        IndexLookup::UpdatedRange(from, to) => (sql::USER_NUMBERS_BY_UPDATED, vec![Box::new(*from), Box::new(*to)]),
        IndexLookup::Member(kind, item) => {
            (sql::USER_NUMBERS_BY_MEMBERSHIP, vec![Box::new(item.0), Box::new(kind_code(*kind))])
        }
        IndexLookup::Union(sources) => return sources.iter().flat_map(index_queries).collect(),
    };
    vec![IndexQuery { sql: sql.postgres, bound }]
}

/// A page of exactly the users that an index finds. The index counts and cuts it, so only the page itself is read.
async fn exact_page(
    session: &Session,
    code: i32,
    query: &UserQuery,
    source: &IndexLookup,
) -> Result<Page<User>, PgError> {
    let looks = index_queries(source);
    let Some(look) = looks.first() else { return Ok(Page { rows: Vec::new(), total: 0, offset: 0 }) };
    let last = look.bound.len() + 1;
    let below = sql::count_below_sql(look.sql, last);
    let (is_backward, place) = match &query.boundary {
        None => (false, -1),
        Some(PageBoundary::After(place)) => (false, int(place.number)),
        Some(PageBoundary::Before(place)) => (true, int(place.number)),
    };
    let (limit, skip) = (i64::from(query.limit), i64::try_from(query.offset).unwrap_or(i64::MAX));
    let cut = sql::number_page_sql(look.sql, last, is_backward);
    let mut numbers: Vec<i32> = Vec::new();
    for row in session.query(&cut, &look.with(&code, &[&place, &limit, &skip])).await? {
        numbers.push(row.try_get(0)?);
    }
    let rows = numbered(session, code, numbers).await?;
    let total = count(session, &below, &look.with(&code, &[&i32::MAX])).await?;
    let before = match (is_backward, rows.first()) {
        (false, _) => {
            let place = place.saturating_add(1);
            count(session, &below, &look.with(&code, &[&place])).await?.saturating_add(query.offset).min(total)
        }
        (true, None) => 0,
        (true, Some(first)) => count(session, &below, &look.with(&code, &[&int(first.number)])).await?,
    };
    Ok(Page { rows, total, offset: before })
}

async fn count(session: &Session, sql: &str, params: &[&dyn Param]) -> Result<u64, PgError> {
    let row = session.query_opt(sql, params).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get::<_, i64>(0))?.unsigned_abs())
}

/// A page of all users. The block counts give its start and the total.
async fn page_by_number(session: &Session, code: i32, query: &UserQuery) -> Result<Page<User>, PgError> {
    let blocks = blocks(session, code).await?;
    let total = blocks.iter().map(|(_, live)| live).sum();
    let limit = i64::from(query.limit);
    if let Some(PageBoundary::Before(place)) = &query.boundary {
        let params: [&dyn Param; 3] = [&code, &int(place.number), &limit];
        let rows = session.query(sql::USERS_BELOW.postgres, &params).await?;
        let rows = rows.iter().rev().map(user_from_row).collect::<Result<Vec<User>, PgError>>()?;
        let before = match rows.first() {
            Some(first) => rank(session, code, &blocks, first.number).await?,
            None => 0,
        };
        return Ok(Page { rows, total, offset: before });
    }
    let passed = match &query.boundary {
        Some(PageBoundary::After(place)) => rank(session, code, &blocks, place.number.saturating_add(1)).await?,
        _ => 0,
    };
    let skip = passed.saturating_add(query.offset);
    let begin = match &query.boundary {
        Some(PageBoundary::After(place)) if query.offset == 0 => Some(int(place.number).saturating_add(1)),
        _ => number_at(session, code, &blocks, skip).await?,
    };
    let Some(begin) = begin else { return Ok(Page { rows: Vec::new(), total, offset: total }) };
    let rows = session.query(sql::USERS_FROM.postgres, &[&code, &begin, &limit]).await?;
    let rows = rows.iter().map(user_from_row).collect::<Result<Vec<User>, PgError>>()?;
    Ok(Page { rows, total, offset: skip.min(total) })
}

/// The number of the user at an offset.
async fn number_at(session: &Session, code: i32, blocks: &[(u32, u64)], skip: u64) -> Result<Option<i32>, PgError> {
    let mut counted = 0;
    for (block, live) in blocks {
        if counted + live > skip {
            if skip == 0 {
                return Ok(Some(0));
            }
            let (first, rest) = (int(block * BLOCK_SIZE), i64::try_from(skip - counted).unwrap_or(i64::MAX));
            let row = session.query_opt(sql::USER_NUMBER_AT_OFFSET.postgres, &[&code, &first, &rest]).await?;
            return Ok(row.map(|row| row.try_get(0)).transpose()?);
        }
        counted += live;
    }
    Ok(None)
}

/// The users in each block of numbers.
async fn blocks(session: &Session, code: i32) -> Result<Vec<(u32, u64)>, PgError> {
    let sums = block_counts(session, code).await?.into_iter();
    Ok(sums.map(|(block, live)| (block, live.max(0).unsigned_abs())).collect())
}

/// The block counts including pending ones.
pub(super) async fn block_counts(session: &Session, code: i32) -> Result<BTreeMap<u32, i64>, PgError> {
    let mut sums = BTreeMap::new();
    for row in session.query(sql::BLOCK_COUNTS.postgres, &[&code]).await? {
        *sums.entry(unsigned(row.try_get(0)?)).or_default() += row.try_get::<_, i64>(1)?;
    }
    Ok(sums)
}

/// How many users have a lower number.
async fn rank(session: &Session, code: i32, blocks: &[(u32, u64)], number: u32) -> Result<u64, PgError> {
    let block = block_of(number);
    let below: u64 = blocks.iter().filter(|(b, _)| *b < block).map(|(_, live)| live).sum();
    let params: [&dyn Param; 3] = [&code, &int(block * BLOCK_SIZE), &int(number)];
    Ok(below + count(session, sql::COUNT_USERS_IN_RANGE.postgres, &params).await?)
}
