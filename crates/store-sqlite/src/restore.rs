//! A file that is being filled from a stream.

use super::apply::RowWriter;
use super::apply_error::ApplyError;
use super::events;
use super::open_error::ENGINE_NAME;
use super::tx_counters::TxCounters;
use rusqlite::{Connection as Db, OptionalExtension, params};
use std::collections::HashMap;
use store::archive::{
    ArchiveError, Chunk, Entry, EntryTranslator, EventEntry, LinkedEvents, Origin, RestoreProgress, RestoreTarget,
};
use store::event_chain::{self, ChainHash, GENESIS_HASH};
use store::event_row::kind_and_known_subjects;
use store::sql;

/// `None` if no restore is in progress.
pub(super) fn restore_in_progress(db: &Db) -> rusqlite::Result<Option<RestoreProgress>> {
    db.query_row(sql::RESTORE_PROGRESS.sqlite, [], |row| {
        Ok(RestoreProgress { origin: row.get(0)?, done: row.get::<_, i64>(1)?.unsigned_abs(), digest: row.get(2)? })
    })
    .optional()
}

/// A file that is being filled.
pub(super) struct SqliteTarget<'d> {
    db: &'d mut Db,
    chains: RebuiltChains,
    translator: EntryTranslator,
}

impl<'d> SqliteTarget<'d> {
    pub(super) fn new(db: &'d mut Db) -> Self {
        Self { db, chains: RebuiltChains::default(), translator: EntryTranslator::default() }
    }
}

impl RestoreTarget for SqliteTarget<'_> {
    const ENGINE: &'static str = ENGINE_NAME;

    async fn progress(&mut self) -> Result<Option<RestoreProgress>, ArchiveError> {
        restore_in_progress(self.db).map_err(failed)
    }

    async fn has_tenants(&mut self) -> Result<bool, ArchiveError> {
        let count = self.db.query_row(sql::COUNT_TENANTS.sqlite, [], |row| row.get::<_, i64>(0));
        Ok(count.map_err(failed)? > 0)
    }

    async fn begin(&mut self, origin: &Origin) -> Result<(), ArchiveError> {
        begin(self.db, &origin.name).map_err(failed)
    }

    fn skip(&mut self, chunk: Chunk) -> Result<(), ArchiveError> {
        for linked in &chunk.history {
            linked.events.iter().for_each(|(event, digest)| self.chains.follow(event, digest));
        }
        chunk.entries.into_iter().try_for_each(|entry| self.translator.writes_of(entry).map(drop))
    }

    async fn resume(&mut self) -> Result<(), ArchiveError> {
        Ok(())
    }

    async fn write(
        &mut self,
        chunk: Chunk,
        keeps_links: bool,
        expected: u64,
        (done, digest): (u64, [u8; 32]),
    ) -> Result<bool, ArchiveError> {
        let step = self.db.transaction().map_err(failed)?;
        restore_chunk(&step, chunk, keeps_links, &mut self.chains, &mut self.translator)?;
        let bound = params![signed(done), digest, signed(expected)];
        let update = |db: &Db| db.prepare_cached(sql::UPDATE_RESTORE_PROGRESS.sqlite)?.execute(bound);
        let is_next = update(&step).map_err(failed)? == 1;
        if is_next {
            step.commit().map_err(failed)?;
        }
        Ok(is_next)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn failed(error: rusqlite::Error) -> ArchiveError {
    ArchiveError::Store(error.to_string())
}

/// Empties the store and marks it as being restored.
fn begin(db: &mut Db, origin: &str) -> rusqlite::Result<()> {
    let step = db.transaction()?;
    for table in sql::restored_tables().chain(sql::SQLITE_EVENT_TABLES) {
        step.execute(&sql::delete_all_sql(table), [])?;
    }
    step.execute(sql::END_RESTORE.sqlite, [])?;
    step.execute(sql::BEGIN_RESTORE.sqlite, params![origin, [0_u8; 0]])?;
    step.commit()
}

pub(super) fn finish(db: &Db) -> rusqlite::Result<()> {
    db.execute(sql::END_RESTORE.sqlite, []).map(|_| ())
}

/// The chains as rebuilt by this engine.
#[derive(Default)]
struct RebuiltChains(HashMap<u32, (u64, ChainHash)>);

impl RebuiltChains {
    fn follow(&mut self, event: &EventEntry, digest: &ChainHash) {
        if !event.is_unchained {
            let (position, link) = self.0.entry(event.tenant).or_insert((0, GENESIS_HASH));
            *link = event_chain::next_chain_hash(link, event.position, [digest]);
            *position = event.position;
        }
    }
}

fn restore_chunk(
    db: &Db,
    chunk: Chunk,
    keeps_links: bool,
    chains: &mut RebuiltChains,
    translator: &mut EntryTranslator,
) -> Result<(), ArchiveError> {
    for linked in chunk.history {
        add_events(db, linked, keeps_links, chains)?;
    }
    let mut counters = TxCounters::default();
    for entry in chunk.entries {
        if let Entry::ChainEnd { tenant, position, link, unchained_events: older } = entry {
            let made = chains.0.get(&tenant).map(|(at, link)| (*at, *link));
            let (at, link) = match made {
                Some((at, link)) if !keeps_links => (at, Some(link)),
                _ => (position, link),
            };
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            let insert = db.prepare_cached(sql::BULK_INSERT_CHAIN.sqlite);
            insert.and_then(|mut insert| insert.execute(params![tenant, at, link, older])).map_err(failed)?;
            continue;
        }
        let (tenant, writes) = translator.writes_of(entry)?;
        let mut writer = RowWriter::new(db, &mut counters, tenant);
        for write in writes {
            writer.write_row(write).map_err(|failure| match failure {
                ApplyError::Rejected(error) => ArchiveError::Corrupt(format!("tenant {tenant}: {error}")),
                ApplyError::Sqlite(error) => failed(error),
            })?;
        }
        // Entries are never rolled back one by one.
        counters.savepoint();
    }
    counters.write(db).map_err(failed)
}

fn add_events(
    db: &Db,
    linked: LinkedEvents,
    keeps_links: bool,
    chains: &mut RebuiltChains,
) -> Result<(), ArchiveError> {
    for (event, digest) in linked.events {
        chains.follow(&event, &digest);
        let made = chains.0.get(&event.tenant).map(|(_, link)| *link);
        let kept = linked.links.first().map(|(_, link)| *link);
        let link = if keeps_links { kept } else { made.filter(|_| !event.is_unchained) };
        let (kind, subjects) = kind_and_known_subjects(&event);
        let position = signed(event.position);
        let inserted = events::insert(db, &event, position, link, kind)
            .and_then(|()| events::add_subjects(db, event.tenant, &subjects, position));
        inserted.map_err(failed)?;
    }
    Ok(())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
