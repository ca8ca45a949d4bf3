//! The history as readers see it: events of batches that have their positions.

use super::line::Session;
use super::param::{Param, unsigned};
use super::read::{Reading, decode};
use super::rows::tenant_code;
use super::trouble::Trouble;
use crate::chain::{self, Stored, Sum};
use crate::sql;
use crate::told;
use directory::{Chain, ConnectionId, Event, EventDraft, Position, TenantNumber, Time, UserId};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use tokio_postgres::Row;

/// What happened after a position, oldest first.
pub(super) fn after(session: &Session, position: Position, limit: u32) -> Reading<'_, Vec<Event>> {
    Box::pin(async move {
        let from = i64::try_from(position.0).unwrap_or(i64::MAX);
        let rows = session.rows(sql::EVENTS_AFTER.postgres, &[&from, &i64::from(limit)]).await?;
        rows.iter().map(event).collect()
    })
}

/// What may be about a person after a position, oldest first.
pub(super) fn history(
    session: &Session,
    (tenant, user): (TenantNumber, UserId),
    position: Position,
    limit: u32,
) -> Reading<'_, Vec<Event>> {
    Box::pin(async move {
        let from = i64::try_from(position.0).unwrap_or(i64::MAX);
        let (code, part) = (tenant_code(tenant), format!("%{user}%"));
        let params: [&dyn Param; 4] = [&from, &code, &part, &i64::from(limit)];
        session.rows(sql::HISTORY.postgres, &params).await?.iter().map(event).collect()
    })
}

/// Goes through the chain of a tenant's events, batch by batch.
pub(super) fn verify(session: &Session, tenant: TenantNumber) -> Reading<'_, Chain> {
    Box::pin(async move {
        let code = tenant_code(tenant);
        // Where it ends is read first: what comes behind it meanwhile is none of this look's business.
        let end = session.row(sql::CHAIN_END.postgres, &[&code]).await?;
        let end: Option<(i64, Vec<u8>)> =
            end.map(|row| Ok::<_, Trouble>((row.try_get(0)?, row.try_get(1)?))).transpose()?;
        let mut walk = Walk::default();
        let mut from = 0_i64;
        loop {
            let rows = session.rows(sql::CHAINED.postgres, &[&from, &code, &STEP]).await?;
            for row in &rows {
                from = row.try_get(0)?;
                if !walk.step(row)? {
                    return Ok(walk.found);
                }
            }
            if (rows.len() as u64) < STEP.unsigned_abs() {
                break;
            }
        }
        walk.close();
        let mut found = walk.found;
        let reached = (found.last.0, found.head.map(|head| head.to_vec()).unwrap_or_default());
        let is_whole = match &end {
            None => found.events == 0,
            // The chain may have gone on since its end was read.
            Some((position, link)) => {
                (position.unsigned_abs(), link) == (reached.0, &reached.1)
                    || walk.ends.iter().any(|(at, sum)| *at == *position && sum[..] == link[..])
            }
        };
        if found.broken.is_none() && !is_whole {
            let missing = end.map_or(0, |(position, _)| position.unsigned_abs()).max(found.last.0);
            found.broken = Some(Position(missing));
        }
        Ok(found)
    })
}

/// Events per step of a look at a chain.
const STEP: i64 = 10_000;

/// A look at a chain under way.
#[derive(Default)]
struct Walk {
    found: Chain,
    last: Sum,
    /// The batch that is being gone through: where it ends, its link, the digests so far, and its last event.
    batch: Option<(i64, Vec<u8>, Vec<Sum>, u64)>,
    /// The last few links that were good.
    ends: VecDeque<(i64, Sum)>,
}

impl Walk {
    /// The next event; whether the chain is whole so far.
    fn step(&mut self, row: &Row) -> Result<bool, Trouble> {
        let position = row.try_get::<_, i64>(0)?.unsigned_abs();
        let (digest, link): (Option<Vec<u8>>, Option<Vec<u8>>) = (row.try_get(13)?, row.try_get(14)?);
        let end: i64 = row.try_get(15)?;
        if self.batch.as_ref().is_some_and(|(at, ..)| *at != end) && !self.close() {
            return Ok(false);
        }
        let (Some(digest), Some(link)) = (digest, link) else {
            if self.found.events == 0 && self.batch.is_none() {
                self.found.older += 1;
                return Ok(true);
            }
            return Ok(self.broken(position));
        };
        let real = digest_of(row)?;
        if real[..] != digest[..] {
            return Ok(self.broken(position));
        }
        let (_, _, digests, last) = self.batch.get_or_insert((end, link, Vec::new(), position));
        digests.push(real);
        *last = position;
        Ok(true)
    }

    /// Ends the batch; whether it was linked so.
    fn close(&mut self) -> bool {
        let Some((end, stored, digests, last)) = self.batch.take() else { return true };
        let link = chain::link(&self.last, end.unsigned_abs(), &digests);
        if link[..] != stored[..] {
            let first = (last + 1).saturating_sub(digests.len() as u64);
            return self.broken(first);
        }
        self.last = link;
        self.found.events += digests.len() as u64;
        self.found.last = Position(end.unsigned_abs());
        self.found.head = Some(link);
        self.ends.push_back((end, link));
        if self.ends.len() > 10_000 {
            self.ends.pop_front();
        }
        true
    }

    fn broken(&mut self, position: u64) -> bool {
        self.found.broken = Some(Position(position));
        false
    }
}

fn digest_of(row: &Row) -> Result<Sum, Trouble> {
    let connection: Option<uuid::Uuid> = row.try_get(3)?;
    Ok(Stored {
        tenant: unsigned(row.try_get(1)?),
        at: row.try_get(2)?,
        connection: connection.as_ref().map(|id| &id.as_bytes()[..]),
        who: row.try_get(4)?,
        request: row.try_get(5)?,
        action: row.try_get(6)?,
        before: row.try_get(7)?,
        after: row.try_get(8)?,
        joined: row.try_get(9)?,
        left: row.try_get(10)?,
        password_set: row.try_get(11)?,
        notes: row.try_get(12)?,
    }
    .digest())
}

fn event(row: &Row) -> Result<Event, Trouble> {
    Ok(Event {
        position: Position(row.try_get::<_, i64>(0)?.unsigned_abs()),
        what: EventDraft {
            tenant: TenantNumber(unsigned(row.try_get(1)?)),
            at: Time(row.try_get(2)?),
            connection: row.try_get::<_, Option<uuid::Uuid>>(3)?.map(ConnectionId),
            who: row.try_get(4)?,
            request: row.try_get(5)?,
            action: told::action(row.try_get(6)?),
            before: document(row, 7)?,
            after: document(row, 8)?,
            joined: document(row, 9)?.unwrap_or_default(),
            left: document(row, 10)?.unwrap_or_default(),
            password_set: row.try_get(11)?,
            notes: document(row, 12)?.unwrap_or_default(),
        },
    })
}

fn document<T: DeserializeOwned>(row: &Row, column: usize) -> Result<Option<T>, Trouble> {
    row.try_get::<_, Option<&str>>(column)?.map(decode).transpose()
}
