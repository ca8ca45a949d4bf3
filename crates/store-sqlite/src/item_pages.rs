//! Pages of items, sorted by number.

use super::read::item_from_row;
use directory::{Item, ItemPageBoundary, ItemQuery, Page, TenantNumber};
use rusqlite::types::Value;
use rusqlite::{Connection as Db, params, params_from_iter};
use std::borrow::Cow;
use store::page_builder::ItemPageBuilder;
use store::query_plan::{ItemIndexLookup, plan_items};
use store::sql;
use store::unique_keys::kind_index;

pub(super) fn items(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    if query.predicates.is_empty() {
        return plain_page(db, tenant, query);
    }
    let mut bound = vec![Value::Integer(tenant.0.into()), Value::Integer((1 + kind_index(query.kind)).into())];
    let sql: Cow<'static, str> = match plan_items(query) {
        Some(ItemIndexLookup::Ids(ids)) => {
            bound.extend(ids.iter().map(|id| Value::Blob(id.as_bytes().to_vec())));
            sql::items_with_ids_sql(ids.len()).into()
        }
        Some(ItemIndexLookup::Name(name)) => {
            bound.push(Value::Text(name));
            sql::ITEMS_WITH_NAME.sqlite.into()
        }
        Some(ItemIndexLookup::UniqueKeys(space, from, to)) => {
            bound.extend([Value::Integer(space.into()), Value::Text(from), Value::Text(to)]);
            sql::ITEMS_WITH_UNIQUE_KEY_IN_RANGE.sqlite.into()
        }
        None => sql::ALL_ITEMS.sqlite.into(),
    };
    let mut found = ItemPageBuilder::new(query);
    let mut statement = db.prepare_cached(&sql)?;
    for item in statement.query_map(params_from_iter(bound), item_from_row)? {
        found.push(item?);
    }
    Ok(found.build())
}

/// A page of all items of a kind: counted in the index; only the rows of the page are read.
fn plain_page(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    let _transaction = super::read::begin_read_transaction(db)?;
    let kind = 1 + kind_index(query.kind);
    let count = |below: i64| -> rusqlite::Result<u64> {
        let count = db
            .prepare_cached(sql::COUNT_ITEMS_BELOW.sqlite)?
            .query_row(params![tenant.0, kind, below], |row| row.get::<_, i64>(0));
        count.map(i64::unsigned_abs)
    };
    let (sql, place) = match query.boundary {
        Some(ItemPageBoundary::Before(place)) => (sql::ITEMS_BEFORE.sqlite, i64::from(place)),
        Some(ItemPageBoundary::After(place)) => (sql::ITEMS_AFTER.sqlite, i64::from(place)),
        None => (sql::ITEMS_AFTER.sqlite, -1),
    };
    let is_backward = matches!(query.boundary, Some(ItemPageBoundary::Before(_)));
    let skip = if is_backward { 0 } else { i64::try_from(query.offset).unwrap_or(i64::MAX) };
    let mut rows: Vec<Item> = db
        .prepare_cached(sql)?
        .query_map(params![tenant.0, kind, place, query.limit, skip], item_from_row)?
        .collect::<rusqlite::Result<_>>()?;
    let total = count(i64::MAX)?;
    let before = if is_backward {
        rows.reverse();
        rows.first().map_or(Ok(0), |first| count(first.number().into()))?
    } else {
        count(place + 1)?.saturating_add(query.offset).min(total)
    };
    Ok(Page { rows, total, offset: before })
}
