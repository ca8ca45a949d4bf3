//! Reads the event history: events of batches that have positions.

use super::managed_connection::Session;
use super::param::{Param, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::ReadFuture;
use directory::{ChainReport, Event, EventFilter, EventKind, EventPosition, TenantNumber, UserChange};
use std::collections::BTreeMap;
use store::chain_verifier::ChainsVerifier;
use store::event_chain::{ChainEnd, ChainHash, StoredEvent};
use store::event_row::{EventEntry, decode_event};
use store::sql;
use tokio_postgres::Row;
use uuid::Uuid;

/// Events per query while a chain is verified.
const STEP: i64 = 10_000;

/// Whether there is an event after a position.
pub(super) fn exist_after(session: &Session, position: EventPosition) -> ReadFuture<'_, bool> {
    Box::pin(async move {
        let found = session.query(sql::HAS_EVENTS_AFTER.postgres, &[&signed(position.0)]).await?;
        Ok(!found.is_empty())
    })
}

/// The newest position.
pub(super) fn last_position(session: &Session) -> ReadFuture<'_, EventPosition> {
    Box::pin(async move {
        let rows = session.query(sql::LAST_POSITION.postgres, &[]).await?;
        let last: i64 = rows.first().map_or(Ok(0), |row| row.try_get(0))?;
        Ok(EventPosition(last.unsigned_abs()))
    })
}

/// Events after a position, oldest first.
pub(super) fn after(
    session: &Session,
    filter: EventFilter,
    position: EventPosition,
    limit: u32,
) -> ReadFuture<'_, Vec<Event>> {
    Box::pin(async move {
        let codes = |kinds: &[EventKind]| kinds.iter().map(|kind| i16::from(kind.code())).collect();
        let kinds: Option<Vec<i16>> = (!filter.kinds.is_empty()).then(|| codes(&filter.kinds));
        let (first, limit) = (signed(position.0), i64::from(limit));
        let rows = match (filter.tenant.map(tenant_code), filter.subject) {
            (Some(tenant), Some(subject)) => {
                let params: [&dyn Param; 5] = [&first, &kinds, &tenant, &subject, &limit];
                session.query(sql::EVENTS_OF_SUBJECT.postgres, &params).await?
            }
            (Some(tenant), None) => {
                let params: [&dyn Param; 4] = [&first, &kinds, &tenant, &limit];
                session.query(sql::EVENTS_OF_TENANT.postgres, &params).await?
            }
            (None, _) => session.query(sql::EVENTS_AFTER.postgres, &[&first, &kinds, &limit]).await?,
        };
        rows.iter().map(event).collect()
    })
}

pub(super) fn user_changes(
    session: &Session,
    tenant: TenantNumber,
    with_groups: bool,
    position: EventPosition,
    limit: u32,
) -> ReadFuture<'_, Vec<UserChange>> {
    Box::pin(async move {
        let kinds: Vec<i16> =
            EventFilter::kinds_of_users(with_groups).iter().map(|kind| i16::from(kind.code())).collect();
        let params: [&dyn Param; 4] = [&signed(position.0), &kinds, &tenant_code(tenant), &i64::from(limit)];
        let rows = session.query(sql::USER_CHANGES.postgres, &params).await?;
        let decode = |row: &Row| {
            let position = EventPosition(row.try_get::<_, i64>(0)?.unsigned_abs());
            UserChange::decode(position, (row.try_get(1)?, row.try_get(2)?), [row.try_get(3)?, row.try_get(4)?])
                .map_err(|error| PgError::Other(format!("cannot decode an event: {error}")))
        };
        rows.iter().map(decode).collect()
    })
}

pub(super) fn chain_hash_at(
    session: &Session,
    tenant: TenantNumber,
    at: EventPosition,
) -> ReadFuture<'_, Option<ChainHash>> {
    Box::pin(async move {
        let row = session.query_opt(sql::CHAIN_HASH_AT.postgres, &[&signed(at.0), &tenant_code(tenant)]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(chain_hash))
    })
}

/// Verifies the chain of a tenant, or all chains in one pass, batch by batch.
pub(super) fn verify_chain(
    session: &Session,
    tenant: Option<TenantNumber>,
) -> ReadFuture<'_, BTreeMap<TenantNumber, ChainReport>> {
    Box::pin(async move {
        // Read first: events that are added meanwhile are beyond these ends.
        let ends = chain_ends(session, tenant).await?;
        let mut chains = ChainsVerifier::new(ends);
        let mut last = 0;
        loop {
            let events = stored_after(session, last, tenant, STEP).await?;
            let Some(newest) = events.last() else { break };
            last = newest.event.position;
            for stored in events {
                chains.add(&stored);
            }
        }
        Ok(chains.finish())
    })
}

/// Where chains must end, by tenant.
pub(super) async fn chain_ends(
    session: &Session,
    tenant: Option<TenantNumber>,
) -> Result<BTreeMap<u32, ChainEnd>, PgError> {
    let read = |row: &Row| {
        let link = row.try_get::<_, Option<Vec<u8>>>(2)?.map(chain_hash);
        let position = row.try_get::<_, i64>(1)?.unsigned_abs();
        let unchained = u32::try_from(row.try_get::<_, i64>(3)?).unwrap_or(u32::MAX);
        Ok((unsigned(row.try_get(0)?), ChainEnd { position, link, unchained }))
    };
    session.query(sql::ALL_CHAIN_ENDS.postgres, &[&tenant.map(tenant_code)]).await?.iter().map(read).collect()
}

/// Up to `limit` events of one tenant or of all, with their links.
pub(super) async fn stored_after(
    session: &Session,
    position: u64,
    tenant: Option<TenantNumber>,
    limit: i64,
) -> Result<Vec<StoredEvent>, PgError> {
    let read = |row: &Row| {
        let hash = |place: usize| Ok::<_, PgError>(row.try_get::<_, Option<Vec<u8>>>(place)?.map(chain_hash));
        let end = row.try_get::<_, i64>(15)?.unsigned_abs();
        let position = row.try_get::<_, i64>(0)?.unsigned_abs();
        Ok(StoredEvent { event: event_entry(row, position)?, digest: hash(13)?, link: hash(14)?, end })
    };
    let params: [&dyn Param; 3] = [&signed(position), &tenant.map(tenant_code), &limit];
    session.query(sql::EVENTS_WITH_LINKS.postgres, &params).await?.iter().map(read).collect()
}

fn event(row: &Row) -> Result<Event, PgError> {
    let entry = entry_without_digest(row, row.try_get::<_, i64>(0)?.unsigned_abs())?;
    decode_event(&entry).map_err(|error| PgError::Other(format!("cannot decode an event: {error}")))
}

/// An event from columns 1 to 13.
pub(super) fn event_entry(row: &Row, position: u64) -> Result<EventEntry, PgError> {
    let digest: Option<&[u8]> = row.try_get(13)?;
    Ok(EventEntry { is_unchained: digest.is_none(), ..entry_without_digest(row, position)? })
}

pub(super) fn entry_without_digest(row: &Row, position: u64) -> Result<EventEntry, PgError> {
    Ok(EventEntry {
        position,
        tenant: unsigned(row.try_get(1)?),
        at: row.try_get(2)?,
        connection: row.try_get::<_, Option<Uuid>>(3)?.map(Uuid::into_bytes),
        actor: row.try_get(4)?,
        request_id: row.try_get(5)?,
        action: row.try_get(6)?,
        before: row.try_get(7)?,
        after: row.try_get(8)?,
        members_added: row.try_get(9)?,
        members_removed: row.try_get(10)?,
        password_set: row.try_get(11)?,
        notes: row.try_get(12)?,
        is_unchained: false,
    })
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// A hash that is stored as bytes. One of another length matches no event.
pub(super) fn chain_hash(bytes: Vec<u8>) -> ChainHash {
    bytes.try_into().unwrap_or_default()
}
