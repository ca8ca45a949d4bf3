//! Numbers of users and items. A process reserves blocks of them in the database, so that creates do not queue
//! for one row. Unused numbers are returned on close; those of a killed process are never assigned.

use super::managed_connection::Session;
use super::pg_error::PgError;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use store::sql;

/// The largest block. Blocks start at 1 and double, so that a command in the terminal leaves no gap.
const MAX_BLOCK: i32 = 1024;

/// A tenant, and 0 for users or the code of an item kind.
pub(super) type SequenceKey = (i32, i16);

/// Reserved numbers that are not assigned yet.
#[derive(Default)]
pub(super) struct NumberAllocator {
    pools: Mutex<HashMap<SequenceKey, NumberPool>>,
}

#[derive(Default)]
struct NumberPool {
    free: BTreeSet<u32>,
    /// The last number of the newest block.
    last: i32,
    block: i32,
}

impl NumberAllocator {
    /// Takes the lowest numbers, and reserves a block if there are too few.
    pub(super) async fn allocate(
        &self,
        session: &Session,
        sort: SequenceKey,
        many: usize,
    ) -> Result<Vec<u32>, PgError> {
        let (mut taken, block) = {
            let mut sorts = self.pools.lock();
            let held = sorts.entry(sort).or_default();
            let mut taken = Vec::with_capacity(many);
            while taken.len() < many {
                let Some(next) = held.free.pop_first() else { break };
                taken.push(next);
            }
            (taken, (held.block * 2).clamp(1, MAX_BLOCK))
        };
        let missing = many - taken.len();
        if missing == 0 {
            return Ok(taken);
        }
        let block = block.max(i32::try_from(missing).unwrap_or(i32::MAX));
        let last = match allocate_block(session, sort, block).await {
            Ok(last) => last,
            Err(trouble) => {
                self.release(sort, taken);
                return Err(trouble);
            }
        };
        let mut sorts = self.pools.lock();
        let held = sorts.entry(sort).or_default();
        (held.last, held.block) = (held.last.max(last), block);
        let first = last.saturating_sub(block).saturating_add(1);
        held.free.extend((first..=last).map(i32::unsigned_abs));
        while taken.len() < many {
            let Some(next) = held.free.pop_first() else { break };
            taken.push(next);
        }
        Ok(taken)
    }

    /// Never assigns a number that a caller has requested explicitly.
    pub(super) fn exclude(&self, sort: SequenceKey, number: u32) {
        let mut sorts = self.pools.lock();
        sorts.entry(sort).or_default().free.remove(&number);
    }

    /// Puts back numbers that were not used.
    pub(super) fn release(&self, sort: SequenceKey, numbers: impl IntoIterator<Item = u32>) {
        let mut sorts = self.pools.lock();
        sorts.entry(sort).or_default().free.extend(numbers);
    }

    /// Returns the unused ends of blocks to the database, so that the next process continues there.
    pub(super) async fn return_unused(&self, session: &Session) -> Result<(), PgError> {
        let held = std::mem::take(&mut *self.pools.lock());
        for ((tenant, sort), held) in held {
            let mut unused = 0;
            for (free, end) in held.free.iter().rev().zip((0..=held.last).rev()) {
                if i32::try_from(*free) != Ok(end) {
                    break;
                }
                unused += 1;
            }
            if unused > 0 {
                let used = held.last - unused;
                session.execute(sql::RETURN_UNUSED_NUMBERS.postgres, &[&tenant, &sort, &used, &held.last]).await?;
            }
        }
        Ok(())
    }
}

async fn allocate_block(session: &Session, (tenant, sort): SequenceKey, block: i32) -> Result<i32, PgError> {
    let kind = directory::ItemKind::ALL.iter().find(|kind| super::param::kind_code(**kind) == sort);
    let before_first = kind.map_or(1, |kind| store::unique_keys::first_item_number(*kind)).saturating_sub(1);
    let params: [&dyn super::param::Param; 4] = [&tenant, &sort, &super::param::int(before_first), &block];
    match session.query_opt(sql::ALLOCATE_NUMBERS.postgres, &params).await {
        Ok(Some(row)) => Ok(row.try_get(0)?),
        Ok(None) => Err(PgError::Other("no numbers were reserved".into())),
        Err(PgError::Other(text)) if text.starts_with("22003") => {
            Err(PgError::InsufficientResources(format!("tenant {tenant} has used up its numbers")))
        }
        Err(trouble) => Err(trouble),
    }
}
