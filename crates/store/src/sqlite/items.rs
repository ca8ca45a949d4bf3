//! Lists of items, in order of number.

use super::read::stored_item;
use crate::claims::{self, kind_number};
use directory::{
    Field, Filter, Item, ItemBound, ItemKey, ItemKind, ItemQuery, ItemTest, Op, Page, Scalar, TenantNumber,
};
use rusqlite::types::Value;
use rusqlite::{Connection as Db, params_from_iter};
use uuid::Uuid;

/// Whether an index finds the few that are asked for.
pub(super) fn is_short(query: &ItemQuery) -> bool {
    matches!(query.kind, ItemKind::Role | ItemKind::Department) || by_index(query).is_some()
}

/// Many items.
pub(super) fn items(db: &Db, tenant: TenantNumber, query: &ItemQuery) -> rusqlite::Result<Page<Item>> {
    let mut bound =
        vec![Value::Integer(tenant.0.into()), Value::Integer((1 + kind_number(query.kind)).into())];
    let narrowed = by_index(query);
    let sql = match narrowed {
        Some((sql, more)) => {
            bound.extend(more);
            sql
        }
        None => "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 ORDER BY number",
    };
    let is_backward = matches!(query.bound, Some(ItemBound::Before(_)));
    let limit = query.limit as usize;
    let (mut rows, mut total, mut within) = (Vec::new(), 0_u64, 0_u64);
    let mut statement = db.prepare_cached(sql)?;
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

/// The statement over an index that serves the question, with what is bound from `?3` on.
fn by_index(query: &ItemQuery) -> Option<(&'static str, Vec<Value>)> {
    let kind = query.kind;
    query.tests.iter().find_map(|test| match test {
        ItemTest::Meets(filter) => of_filter(kind, filter),
        _ => None,
    })
}

fn of_filter(kind: ItemKind, filter: &Filter) -> Option<(&'static str, Vec<Value>)> {
    let test = match filter {
        Filter::All(filters) => return filters.iter().find_map(|filter| of_filter(kind, filter)),
        Filter::Test(test) if test.op == Op::Equal => test,
        _ => return None,
    };
    let Scalar::Text(text) = &test.value else { return None };
    match test.field {
        Field::Name => Some((
            "SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND name_key = ?3 ORDER BY number",
            vec![Value::Text(Item::name_key(kind, text))],
        )),
        Field::Id => {
            let id = Uuid::try_parse(text).map_or(Value::Null, |id| Value::Blob(id.as_bytes().to_vec()));
            Some(("SELECT doc FROM items WHERE tenant = ?1 AND kind = ?2 AND id = ?3", vec![id]))
        }
        Field::ExternalId => {
            let claim = claims::of_key(kind, &ItemKey::ExternalId(text.to_string()))?;
            let (from, to) = claims::external_ids_like(&directory::fold(text));
            Some((
                "SELECT i.doc FROM claims c JOIN items i ON i.pk = c.owner
                WHERE c.tenant = ?1 AND i.kind = ?2 AND c.space = ?3 AND c.text >= ?4 AND c.text < ?5
                ORDER BY i.number",
                vec![Value::Integer(claim.space.into()), Value::Text(from), Value::Text(to)],
            ))
        }
        _ => None,
    }
}
