//! Pages of items in order of numbers.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code, tenant_code};
use super::pg_error::PgError;
use super::read::{ReadFuture, item_from_row};
use directory::{Item, ItemPageBoundary, ItemQuery, Page, TenantNumber};
use store::page_builder::ItemPageBuilder;
use store::query_plan::{ItemIndexLookup, plan_items};
use store::sql;

pub(super) fn items(session: &Session, tenant: TenantNumber, query: ItemQuery) -> ReadFuture<'_, Page<Item>> {
    Box::pin(async move {
        let (code, kind) = (tenant_code(tenant), kind_code(query.kind));
        let is_everything = query.offset == 0 && query.limit == u32::MAX && query.boundary.is_none();
        if query.predicates.is_empty() && !is_everything {
            return plain_page(session, code, kind, &query).await;
        }
        let rows = match plan_items(&query) {
            Some(ItemIndexLookup::Ids(ids)) => {
                session.query(sql::ITEMS_WITH_IDS.postgres, &[&code, &kind, &ids]).await?
            }
            Some(ItemIndexLookup::Name(name)) => {
                session.query(sql::ITEMS_WITH_NAME.postgres, &[&code, &kind, &name.into_bytes()]).await?
            }
            Some(ItemIndexLookup::UniqueKeys(space, from, to)) => {
                let (space, from, to) = (i16::from(space), from.into_bytes(), to.into_bytes());
                let params: [&dyn Param; 5] = [&code, &kind, &space, &from, &to];
                session.query(sql::ITEMS_WITH_UNIQUE_KEY_IN_RANGE.postgres, &params).await?
            }
            None => session.query(sql::ALL_ITEMS.postgres, &[&code, &kind]).await?,
        };
        let mut found = ItemPageBuilder::new(&query);
        for row in rows {
            found.push(item_from_row(&row)?);
        }
        Ok(found.build())
    })
}

/// A page of all items of a kind. The index counts it, so only the page itself is read.
async fn plain_page(session: &Session, code: i32, kind: i16, query: &ItemQuery) -> Result<Page<Item>, PgError> {
    let (sql, place) = match query.boundary {
        Some(ItemPageBoundary::Before(place)) => (sql::ITEMS_BEFORE, int(place)),
        Some(ItemPageBoundary::After(place)) => (sql::ITEMS_AFTER, int(place)),
        None => (sql::ITEMS_AFTER, -1),
    };
    let is_backward = matches!(query.boundary, Some(ItemPageBoundary::Before(_)));
    let skip = if is_backward { 0 } else { i64::try_from(query.offset).unwrap_or(i64::MAX) };
    let params: [&dyn Param; 5] = [&code, &kind, &place, &i64::from(query.limit), &skip];
    let rows = session.query(sql.postgres, &params).await?;
    let mut rows = rows.iter().map(item_from_row).collect::<Result<Vec<Item>, PgError>>()?;
    let total = count(session, code, kind, i32::MAX).await?;
    let before = if is_backward {
        rows.reverse();
        match rows.first() {
            Some(first) => count(session, code, kind, int(first.number())).await?,
            None => 0,
        }
    } else {
        count(session, code, kind, place.saturating_add(1)).await?.saturating_add(query.offset).min(total)
    };
    Ok(Page { rows, total, offset: before })
}

async fn count(session: &Session, code: i32, kind: i16, below: i32) -> Result<u64, PgError> {
    let row = session.query_opt(sql::COUNT_ITEMS_BELOW.postgres, &[&code, &kind, &below]).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get::<_, i64>(0))?.unsigned_abs())
}
