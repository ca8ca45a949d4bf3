//! Reads the event history: events of batches that have positions.

use super::managed_connection::Session;
use super::param::{Param, tenant_code, unsigned};
use super::pg_error::PgError;
use super::read::{ReadFuture, decode};
use crate::event_chain::{self, ChainHash, EventFields};
use crate::{event_row, sql};
use directory::{ChainReport, ConnectionId, Event, EventData, EventPosition, TenantNumber, Time, UserId};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use tokio_postgres::Row;

pub(super) fn after(session: &Session, position: EventPosition, limit: u32) -> ReadFuture<'_, Vec<Event>> {
    Box::pin(async move {
        let from = i64::try_from(position.0).unwrap_or(i64::MAX);
        let rows = session.query(sql::EVENTS_AFTER.postgres, &[&from, &i64::from(limit)]).await?;
        rows.iter().map(event).collect()
    })
}

/// Events that may concern a user, oldest first.
pub(super) fn user_history(
    session: &Session,
    (tenant, user): (TenantNumber, UserId),
    position: EventPosition,
    limit: u32,
) -> ReadFuture<'_, Vec<Event>> {
    Box::pin(async move {
        let from = i64::try_from(position.0).unwrap_or(i64::MAX);
        let (code, part) = (tenant_code(tenant), format!("%{user}%"));
        let params: [&dyn Param; 4] = [&from, &code, &part, &i64::from(limit)];
        session.query(sql::USER_HISTORY.postgres, &params).await?.iter().map(event).collect()
    })
}

pub(super) fn chain_hash_at(
    session: &Session,
    tenant: TenantNumber,
    at: EventPosition,
) -> ReadFuture<'_, Option<ChainHash>> {
    Box::pin(async move {
        let position = i64::try_from(at.0).unwrap_or(i64::MAX);
        let row = session.query_opt(sql::CHAIN_HASH_AT.postgres, &[&position, &tenant_code(tenant)]).await?;
        let link = row.map(|row| row.try_get::<_, Vec<u8>>(0)).transpose()?;
        Ok(link.and_then(|link| link.try_into().ok()))
    })
}

/// Verifies the chain of a tenant, or all chains in one pass, batch by batch.
pub(super) fn verify_chain(
    session: &Session,
    tenant: Option<TenantNumber>,
) -> ReadFuture<'_, BTreeMap<TenantNumber, ChainReport>> {
    Box::pin(async move {
        let code = tenant.map(tenant_code);
        // Read first: events that are added meanwhile are beyond these ends.
        let ends = session.query(sql::ALL_CHAIN_ENDS.postgres, &[&code]).await?;
        let mut walks: BTreeMap<i32, ChainVerifier> = BTreeMap::new();
        for row in &ends {
            let link = row.try_get::<_, Option<Vec<u8>>>(2)?;
            let end = link.map(|link| Ok::<_, PgError>((row.try_get::<_, i64>(1)?, link))).transpose()?;
            let older = row.try_get::<_, i64>(3)?.unsigned_abs();
            walks.insert(row.try_get(0)?, ChainVerifier { older, end, ..ChainVerifier::default() });
        }
        let mut from = 0_i64;
        loop {
            let rows = session.query(sql::EVENTS_WITH_LINKS.postgres, &[&from, &code, &STEP]).await?;
            for row in &rows {
                from = row.try_get(0)?;
                walks.entry(row.try_get(1)?).or_default().step(row)?;
            }
            if (rows.len() as u64) < STEP.unsigned_abs() {
                break;
            }
        }
        for walk in walks.values_mut() {
            walk.finish_batch();
            walk.check_end();
        }
        Ok(walks.into_iter().map(|(code, walk)| (TenantNumber(unsigned(code)), walk.chain)).collect())
    })
}

/// Events per query.
const STEP: i64 = 10_000;

/// One tenant's events of a batch.
struct BatchEvents {
    /// The position of its last event.
    end: i64,
    link: Vec<u8>,
    digests: Vec<ChainHash>,
    /// The position of its first event.
    first: u64,
}

#[derive(Default)]
struct ChainVerifier {
    chain: ChainReport,
    /// The number of events from before the chain.
    older: u64,
    last: ChainHash,
    /// The batch being read.
    batch: Option<BatchEvents>,
    /// The stored end, until it is reached; newer events may follow it.
    end: Option<(i64, Vec<u8>)>,
}

impl ChainVerifier {
    /// Adds an event. Does nothing once the chain is broken.
    fn step(&mut self, row: &Row) -> Result<(), PgError> {
        let position = row.try_get::<_, i64>(0)?.unsigned_abs();
        let (digest, link): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get(13)?, row.try_get(14)?);
        let end: i64 = row.try_get(15)?;
        if self.batch.as_ref().is_some_and(|batch| batch.end != end) {
            self.finish_batch();
        }
        if self.chain.broken_at.is_some() {
            return Ok(());
        }
        let is_unlinked = digest.is_none() && link.is_none();
        let (Some(digest), Some(link)) = (digest, link) else {
            let is_old = is_unlinked && self.chain.verified_events == 0 && self.batch.is_none();
            if is_old && self.chain.unchained_events < self.older {
                self.chain.unchained_events += 1;
            } else {
                self.chain.broken_at = Some(EventPosition(position));
            }
            return Ok(());
        };
        let real = digest_of(row)?;
        if real[..] != digest[..] {
            self.chain.broken_at = Some(EventPosition(position));
            return Ok(());
        }
        let batch = self.batch.get_or_insert(BatchEvents { end, link, digests: Vec::new(), first: position });
        batch.digests.push(real);
        Ok(())
    }

    fn finish_batch(&mut self) {
        let Some(batch) = self.batch.take().filter(|_| self.chain.broken_at.is_none()) else { return };
        let link = event_chain::next_chain_hash(&self.last, batch.end.unsigned_abs(), &batch.digests);
        if link[..] != batch.link[..] {
            self.chain.broken_at = Some(EventPosition(batch.first));
            return;
        }
        self.last = link;
        self.chain.verified_events += batch.digests.len() as u64;
        self.chain.last_position = EventPosition(batch.end.unsigned_abs());
        self.chain.head_hash = Some(link);
        if self.end.as_ref().is_some_and(|(at, sum)| *at == batch.end && sum[..] == link[..]) {
            self.end = None;
        }
    }

    /// Checks that the stored end was reached, and the number of events from before the chain.
    fn check_end(&mut self) {
        if self.chain.broken_at.is_some() || (self.end.is_none() && self.chain.unchained_events == self.older) {
            return;
        }
        let at = self.end.as_ref().map_or(0, |(at, _)| at.unsigned_abs());
        self.chain.broken_at = Some(EventPosition(at.max(self.chain.last_position.0)));
    }
}

fn digest_of(row: &Row) -> Result<ChainHash, PgError> {
    let connection: Option<uuid::Uuid> = row.try_get(3)?;
    Ok(EventFields {
        tenant: unsigned(row.try_get(1)?),
        at: row.try_get(2)?,
        connection: connection.as_ref().map(|id| &id.as_bytes()[..]),
        actor: row.try_get(4)?,
        request_id: row.try_get(5)?,
        action: row.try_get(6)?,
        before: row.try_get(7)?,
        after: row.try_get(8)?,
        members_added: row.try_get(9)?,
        members_removed: row.try_get(10)?,
        password_set: row.try_get(11)?,
        notes: row.try_get(12)?,
    }
    .digest())
}

fn event(row: &Row) -> Result<Event, PgError> {
    Ok(Event {
        position: EventPosition(row.try_get::<_, i64>(0)?.unsigned_abs()),
        data: EventData {
            tenant: TenantNumber(unsigned(row.try_get(1)?)),
            at: Time(row.try_get(2)?),
            connection: row.try_get::<_, Option<uuid::Uuid>>(3)?.map(ConnectionId),
            actor: row.try_get(4)?,
            request_id: row.try_get(5)?,
            action: event_row::action_from_code(row.try_get(6)?),
            before: document(row, 7)?,
            after: document(row, 8)?,
            members_added: document(row, 9)?.unwrap_or_default(),
            members_removed: document(row, 10)?.unwrap_or_default(),
            password_set: row.try_get(11)?,
            notes: document(row, 12)?.unwrap_or_default(),
        },
    })
}

fn document<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, PgError> {
    row.try_get::<_, Option<&str>>(column)?.map(decode).transpose()
}
