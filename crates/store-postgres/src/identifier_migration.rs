//! The part of the migration `identifiers` that SQL cannot do: recomputes unique keys, secondary emails and
//! name keys. It may run twice.
//!
//! Only documents with non-ASCII characters are affected. If two users or items get the same key, the older one
//! keeps it, and `muster check` reports both.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use super::read::{decode, item_from_row};
use directory::{Connection, Item, ItemKind, User, fold};
use store::sql;
use store::unique_keys::{self, FORMER_LOGINS, LEGACY_NORMALIZERS, LOGINS, UniqueKey};
use uuid::Uuid;

/// Rows per query.
const PAGE: i64 = 200;

/// Runs the step. `renew_lease` renews the migration lease and fails if another process holds it.
pub(super) async fn migrate_identifiers<F>(session: &Session, renew_lease: impl Fn() -> F) -> Result<(), PgError>
where
    F: Future<Output = Result<(), PgError>>,
{
    for row in session.query(sql::TENANT_NUMBERS.postgres, &[]).await? {
        let tenant: i32 = row.try_get(0)?;
        let mut next = 0;
        loop {
            renew_lease().await?;
            let rows = session.query(sql::USERS_FROM.postgres, &[&tenant, &next, &PAGE]).await?;
            let Some(last) = rows.last() else { break };
            let last: User = decode(last.try_get(0)?)?;
            next = int(last.number).saturating_add(1);
            for row in &rows {
                let doc: &str = row.try_get(0)?;
                if !doc.is_ascii() {
                    user(session, tenant, &decode(doc)?).await?;
                }
            }
        }
        for kind in ItemKind::ALL {
            renew_lease().await?;
            for row in session.query(sql::ALL_ITEMS.postgres, &[&tenant, &kind_code(kind)]).await? {
                if !row.try_get::<_, &str>(0)?.is_ascii() {
                    renew_lease().await?;
                    item(session, tenant, &item_from_row(&row)?).await?;
                }
            }
        }
        tombstones(session, tenant, &renew_lease).await?;
    }
    for row in session.query(sql::CONNECTIONS_TO_MIGRATE.postgres, &[]).await? {
        let (tenant, connection): (i32, Connection) = (row.try_get(1)?, decode(row.try_get(2)?)?);
        let (new, old) = (fold(&connection.name), unique_keys::case_folded(&connection.name));
        if new != old {
            let params: [&dyn Param; 3] = [&new.into_bytes(), &tenant, &old.into_bytes()];
            session.execute(sql::SET_CONNECTION_NAME_KEY.postgres, &params).await?;
        }
    }
    Ok(())
}

async fn user(session: &Session, tenant: i32, user: &User) -> Result<(), PgError> {
    let (old, new) = (unique_keys::of_user_with(user, &LEGACY_NORMALIZERS), unique_keys::of_user(user));
    if replace_unique_keys(session, tenant, user.number, &old, &new).await? {
        keep_former_logins(session, tenant, user).await?;
    }
    let (old, new) =
        (unique_keys::secondary_emails_with(user, &LEGACY_NORMALIZERS), unique_keys::secondary_emails(user));
    for (sql, texts, others) in [(sql::REMOVE_SECONDARY_EMAILS, &old, &new), (sql::ADD_SECONDARY_EMAILS, &new, &old)] {
        let texts = texts.iter().filter(|text| !others.contains(text));
        let texts: Vec<Vec<u8>> = texts.map(|text| text.clone().into_bytes()).collect();
        if texts.is_empty() {
            continue;
        }
        let owners = vec![int(user.number); texts.len()];
        session.execute(sql.postgres, &[&tenant, &texts, &owners]).await?;
    }
    Ok(())
}

async fn item(session: &Session, tenant: i32, item: &Item) -> Result<(), PgError> {
    let (old, new) = (unique_keys::of_item_with(item, &LEGACY_NORMALIZERS), unique_keys::of_item(item));
    replace_unique_keys(session, tenant, item.number(), &old, &new).await?;
    let key = Item::name_key(item.kind(), item.name()).into_bytes();
    let id: Uuid = item.id().0;
    session.execute(sql::SET_ITEM_NAME_KEY.postgres, &[&key, &tenant, &id]).await?;
    Ok(())
}

async fn tombstones<F>(session: &Session, tenant: i32, renew_lease: &impl Fn() -> F) -> Result<(), PgError>
where
    F: Future<Output = Result<(), PgError>>,
{
    let mut last = 0;
    loop {
        renew_lease().await?;
        let rows = session.query(sql::TOMBSTONE_PAGE_TO_MIGRATE.postgres, &[&tenant, &last, &PAGE]).await?;
        let Some(end) = rows.last() else { return Ok(()) };
        last = end.try_get(0)?;
        for row in &rows {
            let doc: &str = row.try_get(1)?;
            if doc.is_ascii() {
                continue;
            }
            let user: User = decode(doc)?;
            let key = user.external_id.as_deref().map(|id| unique_keys::external_id_key(id).into_bytes());
            session.execute(sql::SET_TOMBSTONE_EXTERNAL_KEY.postgres, &[&key, &tenant, &int(user.number)]).await?;
        }
    }
}

/// Returns whether an older owner holds one of the new logins.
async fn replace_unique_keys(
    session: &Session,
    tenant: i32,
    owner: u32,
    old: &[UniqueKey],
    new: &[UniqueKey],
) -> Result<bool, PgError> {
    let only_in = |a: &[UniqueKey], b: &[UniqueKey]| {
        a.iter().filter(|claim| !b.iter().any(|other| other.has_same_key(claim))).cloned().collect::<Vec<_>>()
    };
    for claim in only_in(old, new) {
        let (space, text, owner) = (vec![i16::from(claim.namespace)], vec![claim.text.into_bytes()], vec![int(owner)]);
        session.execute(sql::REMOVE_UNIQUE_KEYS.postgres, &[&tenant, &space, &text, &owner]).await?;
    }
    let mut is_lost = false;
    for claim in only_in(new, old) {
        is_lost |= !claim_unless_older(session, tenant, &claim, int(owner)).await? && claim.namespace == LOGINS;
    }
    Ok(is_lost)
}

/// Assigns a key unless an older owner holds it. Returns whether `owner` holds it then. A younger user who
/// loses a login keeps it as a former one.
async fn claim_unless_older(session: &Session, tenant: i32, claim: &UniqueKey, owner: i32) -> Result<bool, PgError> {
    let (space, text) = (i16::from(claim.namespace), claim.text.clone().into_bytes());
    let holder = session.query_opt(sql::UNIQUE_KEY_OWNER.postgres, &[&tenant, &space, &text]).await?;
    match holder.map(|row| row.try_get::<_, i32>(0)).transpose()? {
        Some(holder) if holder <= owner => return Ok(holder == owner),
        // The holder had this key before the migration, too.
        Some(holder) if claim.namespace == LOGINS => former(session, tenant, &claim.text, holder).await?,
        _ => {}
    }
    session.execute(sql::ADD_UNIQUE_KEY_OLDEST_WINS.postgres, &[&tenant, &space, &text, &owner]).await?;
    Ok(true)
}

async fn keep_former_logins(session: &Session, tenant: i32, user: &User) -> Result<(), PgError> {
    for text in unique_keys::former_logins(user) {
        former(session, tenant, &text, int(user.number)).await?;
    }
    Ok(())
}

async fn former(session: &Session, tenant: i32, text: &str, owner: i32) -> Result<(), PgError> {
    let (space, text) = (vec![i16::from(FORMER_LOGINS)], vec![text.as_bytes().to_vec()]);
    let params: [&dyn Param; 4] = [&tenant, &space, &text, &vec![owner]];
    session.execute(sql::ADD_FREE_UNIQUE_KEYS.postgres, &params).await.map(drop)
}
