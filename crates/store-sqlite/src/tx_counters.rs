//! Allocated numbers, user counts and chain ends of one transaction, written once at its end; and what it has read once.
//!
//! Every create allocates a number and changes a count. Writing both each time would update the same two rows over
//! and over.

use directory::{EventPosition, TenantNumber, Time};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::{HashMap, HashSet};
use store::event_chain::{self, ChainHash, GENESIS_HASH};
use store::sql;

#[derive(Default)]
pub(super) struct TxCounters {
    numbers: HashMap<(u32, u8), u32>,
    block_counts: HashMap<(u32, u32), i64>,
    /// The last assigned position, once it was read.
    position: Option<i64>,
    /// By tenant.
    chain_ends: HashMap<u32, ChainEnd>,
    /// Time of the newest event, by tenant.
    newest_event_times: HashMap<u32, Option<i64>>,
    /// Tenants that exist.
    tenants: HashSet<u32>,
    undo: Vec<UndoStep>,
}

#[derive(Clone, Copy)]
struct ChainEnd {
    position: i64,
    link: ChainHash,
    is_new: bool,
}

enum UndoStep {
    Number((u32, u8), Option<u32>),
    Live((u32, u32), i64),
    Link(u32, ChainEnd),
}

impl TxCounters {
    /// The position of the last event, if the transaction has one.
    pub(super) fn last_position(&self) -> Option<EventPosition> {
        self.position.and_then(|position| u64::try_from(position).ok()).map(EventPosition)
    }

    /// Starts what [`TxCounters::rollback_to_savepoint`] undoes.
    pub(super) fn savepoint(&mut self) {
        self.undo.clear();
    }

    pub(super) fn rollback_to_savepoint(&mut self) {
        // One of them may have been added since the savepoint.
        self.tenants.clear();
        while let Some(step) = self.undo.pop() {
            match step {
                UndoStep::Number(key, Some(last)) => {
                    self.numbers.insert(key, last);
                }
                UndoStep::Number(key, None) => {
                    self.numbers.remove(&key);
                }
                UndoStep::Live(key, by) => *self.block_counts.entry(key).or_default() -= by,
                UndoStep::Link(tenant, end) => {
                    self.position = self.position.map(|position| position - 1);
                    self.chain_ends.insert(tenant, end);
                }
            }
        }
    }

    pub(super) fn tenant_exists(&mut self, db: &Connection, tenant: u32) -> rusqlite::Result<bool> {
        if self.tenants.contains(&tenant) {
            return Ok(true);
        }
        let found = db.prepare_cached(sql::TENANT_EXISTS.sqlite)?.query_row([tenant], |_| Ok(())).optional()?;
        if found.is_some() {
            self.tenants.insert(tenant);
        }
        Ok(found.is_some())
    }

    /// The next number of a sequence, at least `first`.
    pub(super) fn next_number(
        &mut self,
        db: &Connection,
        tenant: TenantNumber,
        sort: u8,
        first: u32,
    ) -> rusqlite::Result<u32> {
        let next = self.last(db, tenant, sort)?.saturating_add(1).max(first);
        self.set(tenant, sort, next);
        Ok(next)
    }

    /// Changes the number of users in a block of numbers.
    pub(super) fn add_to_block(&mut self, tenant: TenantNumber, block: u32, by: i64) {
        *self.block_counts.entry((tenant.0, block)).or_default() += by;
        self.undo.push(UndoStep::Live((tenant.0, block), by));
    }

    /// Links the next event of a tenant to the previous one. Returns its position and link.
    pub(super) fn link_event(
        &mut self,
        db: &Connection,
        tenant: u32,
        digest: &ChainHash,
    ) -> rusqlite::Result<(i64, ChainHash)> {
        let last = match self.position {
            Some(last) => last,
            None => db.query_row(sql::LAST_POSITION.sqlite, [], |row| row.get(0))?,
        };
        let before = match self.chain_ends.get(&tenant) {
            Some(end) => *end,
            None => db
                .prepare_cached(sql::CHAIN_END.sqlite)?
                .query_row([tenant], |row| {
                    let link = row.get::<_, Option<ChainHash>>(1)?.unwrap_or(GENESIS_HASH);
                    Ok(ChainEnd { position: row.get(0)?, link, is_new: false })
                })
                .optional()?
                .unwrap_or(ChainEnd { position: 0, link: GENESIS_HASH, is_new: false }),
        };
        let position = last + 1;
        let link = event_chain::next_chain_hash(&before.link, position.unsigned_abs(), [digest]);
        self.position = Some(position);
        self.chain_ends.insert(tenant, ChainEnd { position, link, is_new: true });
        self.undo.push(UndoStep::Link(tenant, before));
        Ok((position, link))
    }

    /// The time of a change that is applied now: as decided, or later than everything that can be read already, so
    /// that clients that poll for modifications do not miss it.
    pub(super) fn effective_time(&mut self, db: &Connection, tenant: u32, decided: Time) -> rusqlite::Result<Time> {
        let newest = match self.newest_event_times.get(&tenant) {
            Some(newest) => *newest,
            None => db.prepare_cached(sql::NEWEST_TIME.sqlite)?.query_row([tenant], |row| row.get(0)).optional()?,
        };
        let time = store::commit_time::commit_time(decided, newest.map(Time));
        self.newest_event_times.insert(tenant, newest.max(Some(time.0)));
        Ok(time)
    }

    /// Tenant, position and link of any event of this transaction.
    pub(super) fn any_new_hash(&self) -> Option<(u32, i64, ChainHash)> {
        let mut new = self.chain_ends.iter().filter(|(_, end)| end.is_new);
        new.next().map(|(tenant, end)| (*tenant, end.position, end.link))
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        for ((tenant, sort), last) in &self.numbers {
            db.prepare_cached(sql::SET_COUNTER.sqlite)?.execute(params![tenant, sort, last])?;
        }
        for ((tenant, block), by) in self.block_counts.iter().filter(|(_, by)| **by != 0) {
            db.prepare_cached(sql::ADD_TO_BLOCK_COUNTS.sqlite)?.execute(params![tenant, block, by])?;
        }
        for (tenant, end) in self.chain_ends.iter().filter(|(_, end)| end.is_new) {
            db.prepare_cached(sql::SET_CHAIN_END.sqlite)?.execute(params![tenant, end.position, end.link])?;
        }
        Ok(())
    }

    fn last(&self, db: &Connection, tenant: TenantNumber, sort: u8) -> rusqlite::Result<u32> {
        if let Some(last) = self.numbers.get(&(tenant.0, sort)) {
            return Ok(*last);
        }
        db.prepare_cached(sql::COUNTER.sqlite)?.query_row(params![tenant.0, sort], |row| row.get(0))
    }

    fn set(&mut self, tenant: TenantNumber, sort: u8, last: u32) {
        let key = (tenant.0, sort);
        let before = self.numbers.insert(key, last);
        self.undo.push(UndoStep::Number(key, before));
    }
}
