//! Lists of items, in order of number.

use super::read::stored_item;
use crate::claims::{self, kind_number};
use directory::{
    Field, Filter, Item, ItemBound, ItemKey, ItemKind, ItemQuery, ItemTest, Op, Page, Scalar, TenantNumber,
};
use rusqlite::types::Value;
use rusqlite::{Connection as Db, params, params_from_iter};
use std::borrow::Cow;
use uuid::Uuid;

/// Whether an index finds the few that are asked for.
pub(super) fn is_short(query: &ItemQuery) -> bool {
    matches!(query.kind, ItemKind::Role | ItemKind::Department) || by_index(query).is_some()
}

/// Many items.
pub(super) fn items(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    if query.tests.is_empty() {
        return plain_page(db, tenant, query);
    }
    let mut bound =
        vec![Value::Integer(tenant.0.into()), Value::Integer((1 + kind_number(query.kind)).into())];
    let narrowed = by_index(query);
    let sql = match narrowed {
        Some((sql, more)) => {
            bound.extend(more);
            sql
        }
        None => "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 ORDER BY number".into(),
    };
    let is_backward = matches!(query.bound, Some(ItemBound::Before(_)));
    let limit = query.limit as usize;
    let (mut rows, mut total, mut within) = (Vec::new(), 0_u64, 0_u64);
    let mut statement = db.prepare_cached(&sql)?;
    for item in statement.query_map(params_from_iter(bound), stored_item)? {
        let item = item?;
        if !query.tests.iter().all(|test| test.matches(&item)) {
            continue;
        }
        total += 1;
        if query.bound.is_some_and(|bound| !bound.holds(item.number())) {
            continue;
        }
        within += 1;
        if is_backward {
            rows.push(item);
            if rows.len() > limit.saturating_mul(2).max(1000) {
                rows.drain(..rows.len() - limit);
            }
        } else if within > query.skip && rows.len() < limit {
            rows.push(item);
        }
    }
    let before = if is_backward {
        rows.drain(..rows.len().saturating_sub(limit));
        within - rows.len() as u64
    } else {
        total - within + query.skip.min(within)
    };
    Ok(Page { rows, total, before })
}

/// A page of all items of a kind: counted in the index, and no more of them read than it holds.
fn plain_page(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    let _view = db.unchecked_transaction()?;
    let kind = 1 + kind_number(query.kind);
    let count = |below: i64| -> rusqlite::Result<u64> {
        let sql = "SELECT count(*) FROM items WHERE tenant = ?1 AND kind = ?2 AND number < ?3";
        let count =
            db.prepare_cached(sql)?.query_row(params![tenant.0, kind, below], |row| row.get::<_, i64>(0));
        count.map(i64::unsigned_abs)
    };
    let (sql, place) = match query.bound {
        Some(ItemBound::Before(place)) => (
            "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND number < ?3
            ORDER BY number DESC LIMIT ?4 OFFSET ?5",
            i64::from(place),
        ),
        bound => {
            let place = if let Some(ItemBound::After(place)) = bound { i64::from(place) } else { -1 };
            let sql = "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND number > ?3
                ORDER BY number LIMIT ?4 OFFSET ?5";
            (sql, place)
        }
    };
    let is_backward = matches!(query.bound, Some(ItemBound::Before(_)));
    let skip = if is_backward { 0 } else { i64::try_from(query.skip).unwrap_or(i64::MAX) };
    let mut rows: Vec<Item> = db
        .prepare_cached(sql)?
        .query_map(params![tenant.0, kind, place, query.limit, skip], stored_item)?
        .collect::<rusqlite::Result<_>>()?;
    let total = count(i64::MAX)?;
    let before = if is_backward {
        rows.reverse();
        rows.first().map_or(Ok(0), |first| count(first.number().into()))?
    } else {
        count(place + 1)?.saturating_add(query.skip).min(total)
    };
    Ok(Page { rows, total, before })
}

/// The statement over an index that serves the question, with what is bound from `?3` on.
fn by_index(query: &ItemQuery) -> Option<(Cow<'static, str>, Vec<Value>)> {
    let kind = query.kind;
    query.tests.iter().find_map(|test| match test {
        ItemTest::Meets(filter) => of_filter(kind, filter),
        _ => None,
    })
}

fn of_filter(kind: ItemKind, filter: &Filter) -> Option<(Cow<'static, str>, Vec<Value>)> {
    let test = match filter {
        Filter::All(filters) => return filters.iter().find_map(|filter| of_filter(kind, filter)),
        Filter::Test(test) if test.op == Op::Equal && test.field != Field::Id => test,
        filter => {
            let ids = ids_of(filter)?;
            let places: Vec<String> = (0..ids.len()).map(|n| format!("?{}", n + 3)).collect();
            let sql = "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND id IN";
            return Some((format!("{sql} ({}) ORDER BY number", places.join(",")).into(), ids));
        }
    };
    let Scalar::Text(text) = &test.value else { return None };
    match test.field {
        Field::Name => Some((
            "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND name_key = ?3 ORDER BY number".into(),
            vec![Value::Text(Item::name_key(kind, text))],
        )),
        Field::ExternalId => {
            let claim = claims::of_key(kind, &ItemKey::ExternalId(text.to_string()))?;
            let (from, to) = claims::external_ids_like(&directory::fold(text));
            Some((
                "SELECT i.doc FROM claims c JOIN items i ON i.pk = c.owner
                WHERE c.tenant = ?1 AND i.kind = ?2 AND c.space = ?3 AND c.text >= ?4 AND c.text < ?5
                ORDER BY i.number"
                    .into(),
                vec![Value::Integer(claim.space.into()), Value::Text(from), Value::Text(to)],
            ))
        }
        _ => None,
    }
}

/// The ids of which an item must have one; `None` where a filter asks anything else.
fn ids_of(filter: &Filter) -> Option<Vec<Value>> {
    match filter {
        Filter::Any(filters) => {
            let ids = filters.iter().map(ids_of).collect::<Option<Vec<_>>>()?.concat();
            (ids.len() <= MAX_IDS).then_some(ids)
        }
        Filter::Test(test) if test.field == Field::Id && test.op == Op::Equal => match &test.value {
            Scalar::Text(text) => Some(vec![
                Uuid::try_parse(text).map_or(Value::Null, |id| Value::Blob(id.as_bytes().to_vec())),
            ]),
            _ => None,
        },
        _ => None,
    }
}

/// How many ids are looked up one by one; SQLite binds no more than 32,766 values.
const MAX_IDS: usize = 20_000;
