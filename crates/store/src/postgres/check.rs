//! Checks a whole database: redundant data must agree, and the event history must have no gaps.

use super::managed_connection::Session;
use super::param::{int, kind_code, unsigned};
use super::pg_error::PgError;
use super::read::{decode, item_from_row};
use crate::check_report::{CheckReport, TenantChecker, filter_roles};
use crate::page_builder::block_of;
use crate::sql;
use crate::unique_keys::{self, UniqueKey};
use directory::{ItemId, ItemKind, Tenant, User, UserId};
use std::collections::{BTreeMap, BTreeSet};

const STEP: i64 = 2000;

pub(super) async fn check(session: &Session) -> Result<CheckReport, PgError> {
    // One snapshot: changes made meanwhile would look like errors.
    session.batch_execute(sql::BEGIN_SERIALIZABLE_READ.postgres).await?;
    let mut checked = CheckReport::default();
    for row in session.query(sql::ROWS_OF_TENANTS.postgres, &[]).await? {
        let (number, version): (i32, i32) = (row.try_get(0)?, row.try_get(1)?);
        let tenant: Tenant = decode(row.try_get(2)?)?;
        checked.check_tenant(&tenant, (unsigned(number), unsigned(version)));
        of_tenant(session, number, &mut checked).await?;
    }
    checked.report_invalid_memberships(query_count(session, sql::COUNT_INVALID_MEMBERSHIPS.postgres, &[]).await?);
    history(session, &mut checked.errors).await?;
    checked.truncate_errors();
    session.batch_execute(sql::ROLLBACK.postgres).await?;
    Ok(checked)
}

async fn of_tenant(session: &Session, code: i32, checked: &mut CheckReport) -> Result<(), PgError> {
    let mut roles = Vec::new();
    for row in session.query(sql::ALL_ITEMS.postgres, &[&code, &kind_code(ItemKind::Role)]).await? {
        roles.push(item_from_row(&row)?);
    }
    let roles = filter_roles(roles);
    let mut documents = TenantChecker::new(unsigned(code));
    let (mut claims, mut blocks, mut next) = (0, BTreeMap::<u32, i64>::new(), 0);
    loop {
        let rows = session.query(sql::ROWS_OF_USERS.postgres, &[&code, &next, &STEP]).await?;
        if rows.is_empty() {
            break;
        }
        let mut wanted: Vec<(UniqueKey, u32)> = Vec::new();
        for row in &rows {
            let user: User = decode(row.try_get(5)?)?;
            let beside = (
                unsigned(row.try_get(0)?),
                UserId(row.try_get(1)?),
                unsigned(row.try_get(2)?),
                u8::try_from(row.try_get::<_, i16>(3)?).unwrap_or(u8::MAX),
                row.try_get::<_, i64>(4)?,
            );
            next = int(beside.0).saturating_add(1);
            documents.check_user(&user, beside, checked);
            checked.warn_about_user(code.unsigned_abs(), &user, &roles);
            *blocks.entry(block_of(user.number)).or_default() += 1;
            wanted.extend(unique_keys::of_user(&user).into_iter().map(|claim| (claim, user.number)));
        }
        claims += count_held_keys(session, code, &wanted, checked).await?;
    }
    for kind in ItemKind::ALL {
        let mut wanted: Vec<(UniqueKey, u32)> = Vec::new();
        for row in session.query(sql::ROWS_OF_ITEMS.postgres, &[&code, &kind_code(kind)]).await? {
            let item = item_from_row(&row)?;
            let key = String::from_utf8_lossy(row.try_get(5)?).into_owned();
            documents.check_item(&item, &(unsigned(row.try_get(3)?), ItemId(row.try_get(4)?), key), checked);
            wanted.extend(unique_keys::of_item(&item).into_iter().map(|claim| (claim, item.number())));
        }
        claims += count_held_keys(session, code, &wanted, checked).await?;
    }
    let stored = query_count(session, sql::COUNT_UNIQUE_KEYS.postgres, &[&code]).await?;
    if stored != claims {
        checked.errors.push(format!("tenant {code}: {stored} unique keys are stored, users and items need {claims}"));
    }
    check_user_rows(session, code, &mut documents, checked).await?;
    let mut counted = super::user_pages::block_counts(session, code).await?;
    counted.retain(|_, live| *live != 0);
    if counted != blocks {
        checked.errors.push(format!("tenant {code}: the stored user counts are wrong"));
    }
    Ok(())
}

/// Checks deleted users, and the rows that belong to documents of users.
async fn check_user_rows(
    session: &Session,
    code: i32,
    documents: &mut TenantChecker,
    checked: &mut CheckReport,
) -> Result<(), PgError> {
    for row in session.query(sql::ROWS_OF_TOMBSTONES.postgres, &[&code]).await? {
        let user: User = decode(row.try_get(3)?)?;
        let key: Option<Vec<u8>> = row.try_get(2)?;
        let key = key.map(|key| String::from_utf8_lossy(&key).into_owned());
        documents.check_tombstone(&user, &(unsigned(row.try_get(0)?), UserId(row.try_get(1)?), key), checked);
    }
    let mut mentions = BTreeSet::new();
    for row in session.query(sql::ROWS_OF_SECONDARY_EMAILS.postgres, &[&code]).await? {
        mentions.insert((unsigned(row.try_get(0)?), String::from_utf8_lossy(row.try_get(1)?).into_owned()));
    }
    let mut members = BTreeSet::new();
    let kind = kind_code(ItemKind::Organization);
    for row in session.query(sql::MEMBERSHIPS_OF_KIND.postgres, &[&code, &kind]).await? {
        members.insert((unsigned(row.try_get(0)?), ItemId(row.try_get(1)?)));
    }
    let last = session.query_opt(sql::COUNTER.postgres, &[&code, &0_i16]).await?;
    let last: i32 = last.map_or(Ok(0), |row| row.try_get(0))?;
    documents.check_related_rows(&mentions, &members, unsigned(last), checked);
    Ok(())
}

/// How many of these keys are stored with their owners.
async fn count_held_keys(
    session: &Session,
    code: i32,
    wanted: &[(UniqueKey, u32)],
    checked: &mut CheckReport,
) -> Result<i64, PgError> {
    if wanted.is_empty() {
        return Ok(0);
    }
    let tenants = vec![code; wanted.len()];
    let spaces: Vec<i16> = wanted.iter().map(|(claim, _)| i16::from(claim.namespace)).collect();
    let texts: Vec<Vec<u8>> = wanted.iter().map(|(claim, _)| claim.text.clone().into_bytes()).collect();
    let mut owners = BTreeMap::new();
    for row in session.query(sql::UNIQUE_KEY_OWNERS.postgres, &[&tenants, &spaces, &texts]).await? {
        owners.insert((row.try_get::<_, i16>(1)?, row.try_get::<_, Vec<u8>>(2)?), row.try_get::<_, i32>(3)?);
    }
    let mut count = 0;
    for ((claim, owner), (space, text)) in wanted.iter().zip(spaces.iter().zip(texts)) {
        match owners.get(&(*space, text)) {
            Some(holder) if *holder == int(*owner) => count += 1,
            Some(holder) => {
                checked.warn_shared_key(code.unsigned_abs(), claim, *owner, holder.unsigned_abs());
            }
            None => checked.errors.push(format!("tenant {code}: number {owner} does not hold its {:?}", claim.field)),
        }
    }
    Ok(count)
}

/// Checks that positions have no gaps and that every event belongs to a batch.
async fn history(session: &Session, found: &mut Vec<String>) -> Result<(), PgError> {
    let Some(row) = session.query_opt(sql::COUNT_BATCHES_AND_LAST_POSITION.postgres, &[]).await? else {
        return Ok(());
    };
    let (events, last): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    if events != last {
        found.push(format!("the event history ends at position {last}, but has {events} positions"));
    }
    let there = query_count(session, sql::COUNT_EVENTS.postgres, &[]).await?;
    if there != events {
        found.push(format!("the event history has {events} positions and {there} events"));
    }
    let strays = query_count(session, sql::COUNT_ORPHANED_EVENTS.postgres, &[]).await?;
    if strays != 0 {
        found.push(format!("{strays} events belong to no batch"));
    }
    Ok(())
}

async fn query_count(session: &Session, sql: &str, params: &[&dyn super::param::Param]) -> Result<i64, PgError> {
    Ok(session.query_opt(sql, params).await?.map_or(Ok(0), |row| row.try_get(0))?)
}
