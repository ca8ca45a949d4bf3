//! A database that is being filled from a stream.

use super::batch_rows::BatchRows;
use super::events::chain_hash;
use super::lease::{SEQUENCER_LEASE, database_time};
use super::managed_connection::Session;
use super::options::ENGINE_NAME;
use super::param::{Param, int, tenant_code};
use super::pg_error::PgError;
use directory::IdGenerator;
use std::collections::{BTreeMap, HashMap};
use store::archive::{
    ArchiveError, Chunk, Entry, EntryTranslator, EventEntry, LinkedEvents, Origin, RestoreProgress, RestoreTarget,
};
use store::event_chain::{self, ChainHash, GENESIS_HASH};
use store::event_row::kind_and_known_subjects;
use store::sql::{self, Sql};
use store::translation::{Owner, Write};
use store::unique_keys::UniqueKey;
use uuid::Uuid;

pub(super) async fn restore_in_progress(session: &Session) -> Result<Option<RestoreProgress>, PgError> {
    let Some(row) = session.query_opt(sql::RESTORE_PROGRESS.postgres, &[]).await? else { return Ok(None) };
    let done = row.try_get::<_, i64>(1)?.unsigned_abs();
    Ok(Some(RestoreProgress { origin: row.try_get(0)?, done, digest: row.try_get(2)? }))
}

impl RestoreTarget for PostgresTarget<'_> {
    const ENGINE: &'static str = ENGINE_NAME;

    async fn progress(&mut self) -> Result<Option<RestoreProgress>, ArchiveError> {
        Ok(restore_in_progress(self.session).await?)
    }

    async fn has_tenants(&mut self) -> Result<bool, ArchiveError> {
        let row = self.session.query_opt(sql::COUNT_TENANTS.postgres, &[]).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get::<_, i64>(0)).map_err(PgError::from)? > 0)
    }

    async fn begin(&mut self, origin: &Origin) -> Result<(), ArchiveError> {
        self.session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        for table in sql::restored_tables().chain(sql::POSTGRES_EVENT_TABLES) {
            self.session.batch_execute(&sql::delete_all_sql(table)).await?;
        }
        self.session.execute(sql::END_RESTORE.postgres, &[]).await?;
        self.session.execute(sql::BEGIN_RESTORE.postgres, &[&origin.name, &Vec::<u8>::new()]).await?;
        self.session.batch_execute(sql::COMMIT.postgres).await?;
        Ok(())
    }

    fn skip(&mut self, chunk: Chunk) -> Result<(), ArchiveError> {
        for entry in chunk.entries {
            if let Entry::Tenant { tenant, .. } = &entry {
                self.chains.insert(*tenant, (0, GENESIS_HASH));
            }
            self.translator.writes_of(entry)?;
        }
        self.last = chunk.history.last().map_or(self.last, |linked| linked.end);
        Ok(())
    }

    /// Reads the ends of partially restored chains.
    async fn resume(&mut self) -> Result<(), ArchiveError> {
        for tenant in std::mem::take(&mut self.chains).into_keys() {
            let end = newest_chain_hash(self.session, tenant).await?;
            self.chains.extend(end.map(|end| (tenant, end)));
        }
        Ok(())
    }

    async fn write(
        &mut self,
        chunk: Chunk,
        keeps_links: bool,
        expected: u64,
        (done, digest): (u64, [u8; 32]),
    ) -> Result<bool, ArchiveError> {
        if chunk.entries.iter().any(|entry| matches!(entry, Entry::ChainEnd { .. })) {
            let last = chunk.history.last().map_or(self.last, |linked| linked.end);
            set_sequencer_position(self.session, last).await?;
        }
        self.session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        self.restore_chunk(self.session, chunk, keeps_links).await?;
        let params: [&dyn Param; 3] = [&signed(done), &digest.to_vec(), &signed(expected)];
        let is_next = self.session.execute(sql::UPDATE_RESTORE_PROGRESS.postgres, &params).await? == 1;
        let end = if is_next { sql::COMMIT } else { sql::ROLLBACK };
        self.session.batch_execute(end.postgres).await?;
        Ok(is_next)
    }
}

/// Marks the store as complete.
pub(super) async fn finish(session: &Session) -> Result<(), PgError> {
    session.execute(sql::END_RESTORE.postgres, &[]).await.map(|_| ())
}

/// Position and hash of the newest event in a tenant's chain.
async fn newest_chain_hash(session: &Session, tenant: u32) -> Result<Option<(u64, ChainHash)>, PgError> {
    let row = session.query_opt(sql::NEWEST_CHAIN_HASH.postgres, &[&int(tenant)]).await?;
    row.map(|row| Ok((row.try_get::<_, i64>(0)?.unsigned_abs(), chain_hash(row.try_get(1)?)))).transpose()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A database that is being filled.
pub(super) struct PostgresTarget<'a> {
    session: &'a Session,
    ids: &'a dyn IdGenerator,
    /// Recomputed chains: position and hash by tenant.
    chains: HashMap<u32, (u64, ChainHash)>,
    translator: EntryTranslator,
    /// The last position.
    last: u64,
}

impl<'a> PostgresTarget<'a> {
    pub(super) fn new(session: &'a Session, ids: &'a dyn IdGenerator) -> Self {
        Self { session, ids, chains: HashMap::new(), translator: EntryTranslator::default(), last: 0 }
    }

    async fn restore_chunk(&mut self, session: &Session, chunk: Chunk, keeps_links: bool) -> Result<(), ArchiveError> {
        let mut history = HistoryRows::default();
        if keeps_links {
            for linked in &chunk.history {
                self.last = linked.end;
                let events: Vec<_> = linked.events.iter().collect();
                history.push_batch(self.ids.next_id(), &events, linked.end, &linked.links);
            }
        } else {
            for linked in Self::batches(&chunk.history) {
                self.last = linked.end;
                let links = self.relink(&linked.events, linked.end);
                history.push_batch(self.ids.next_id(), &linked.events, linked.end, &links);
            }
        }
        history.send(session).await?;
        self.restore_entries(session, chunk.entries, keeps_links).await
    }

    /// Groups events of another engine into batches. Events from before the chain get batches of their own.
    fn batches(history: &[LinkedEvents]) -> Vec<EventBatch<'_>> {
        const MANY: usize = 256;
        let mut all: Vec<EventBatch<'_>> = Vec::new();
        for linked in history {
            for one in &linked.events {
                match all.last_mut() {
                    Some(last) if last.events.len() < MANY && last.events[0].0.is_unchained == one.0.is_unchained => {
                        last.events.push(one);
                        last.end = one.0.position;
                    }
                    _ => all.push(EventBatch { events: vec![one], end: one.0.position }),
                }
            }
        }
        all
    }

    fn relink(&mut self, events: &[&(EventEntry, ChainHash)], end: u64) -> Vec<(u32, ChainHash)> {
        let mut digests: BTreeMap<u32, Vec<ChainHash>> = BTreeMap::new();
        for (event, digest) in events.iter().filter(|(event, _)| !event.is_unchained) {
            digests.entry(event.tenant).or_default().push(*digest);
        }
        let mut links = Vec::new();
        for (tenant, digests) in digests {
            let (at, head) = self.chains.entry(tenant).or_insert((0, GENESIS_HASH));
            (*at, *head) = (end, event_chain::next_chain_hash(head, end, &digests));
            links.push((tenant, *head));
        }
        links
    }

    /// Writes the entries of a chunk, except its history.
    async fn restore_entries(
        &mut self,
        session: &Session,
        entries: Vec<Entry>,
        keeps_links: bool,
    ) -> Result<(), ArchiveError> {
        let mut rows = BatchRows::new(self.ids.next_id());
        let mut keys: BTreeMap<i32, Vec<RestoredKey>> = BTreeMap::new();
        for entry in entries {
            if let Entry::ChainEnd { tenant, position, link, unchained_events } = entry {
                self.restore_chain_end(session, (tenant, position, link, unchained_events), keeps_links).await?;
                continue;
            }
            let (tenant, writes) = self.translator.writes_of(entry)?;
            for write in writes {
                if let Write::AddKeyIfFree { key, owner, otherwise } = write {
                    keys.entry(tenant_code(tenant)).or_default().push(RestoredKey { key, owner, otherwise });
                } else {
                    rows.push(tenant, write, None)?;
                }
            }
        }
        for statement in rows.into_statements() {
            let params: Vec<&dyn Param> = statement.params.iter().map(|param| &**param).collect();
            session.execute(&statement.sql, &params).await?;
        }
        for (tenant, keys) in keys {
            restore_keys(session, tenant, keys).await?;
        }
        Ok(())
    }

    async fn restore_chain_end(
        &self,
        session: &Session,
        (tenant, position, link, older): (u32, u64, Option<ChainHash>, u32),
        keeps_links: bool,
    ) -> Result<(), ArchiveError> {
        let (at, link) = match self.chains.get(&tenant) {
            Some((at, link)) if !keeps_links => (*at, Some(*link)),
            _ => (position, link),
        };
        let link = link.map(|link| link.to_vec());
        let params: [&dyn Param; 4] = [&int(tenant), &signed(at), &link, &i64::from(older)];
        session.execute(sql::BULK_INSERT_CHAIN.postgres, &params).await?;
        Ok(())
    }
}

/// Sets the position after which the sequencer continues. Not part of the chunk's transaction: on a serializable database
/// that would conflict with the renewal of the same lease.
async fn set_sequencer_position(session: &Session, position: u64) -> Result<(), PgError> {
    const MAX_TRIES: u32 = 20;
    let mut tries = 0;
    loop {
        let now = database_time(session).await?;
        let params: [&dyn Param; 4] = [&SEQUENCER_LEASE, &Uuid::nil(), &now, &signed(position)];
        match session.execute(sql::SET_LEASE_VALUE.postgres, &params).await {
            Err(PgError::Conflict(_)) if tries < MAX_TRIES => tries += 1,
            done => return done.map(|_| ()),
        }
    }
}

/// A key, its owner, and the keys that the owner gets if an older one has it.
struct RestoredKey {
    key: UniqueKey,
    owner: Owner,
    otherwise: Vec<UniqueKey>,
}

/// Of two owners with the same key, the older one, which comes first, keeps it.
async fn restore_keys(session: &Session, tenant: i32, keys: Vec<RestoredKey>) -> Result<(), PgError> {
    let added = add_free_keys(session, tenant, keys.iter().map(|restored| (&restored.key, restored.owner))).await?;
    if added == keys.len() as u64 {
        return Ok(());
    }
    let spaces: Vec<i16> = keys.iter().map(|restored| i16::from(restored.key.namespace)).collect();
    let texts: Vec<Vec<u8>> = keys.iter().map(|restored| restored.key.text.clone().into_bytes()).collect();
    let mut owners: HashMap<(i16, Vec<u8>), i32> = HashMap::new();
    for row in session.query(sql::UNIQUE_KEY_OWNERS.postgres, &[&tenant, &spaces, &texts]).await? {
        owners.insert((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?);
    }
    let lost = keys.iter().zip(spaces.into_iter().zip(texts)).filter(|(restored, key)| {
        let owner = owners.get(key);
        owner.is_none_or(|owner| *owner != int(restored.owner.number()))
    });
    let former = lost.flat_map(|(restored, _)| restored.otherwise.iter().map(|key| (key, restored.owner)));
    add_free_keys(session, tenant, former).await?;
    Ok(())
}

async fn add_free_keys<'k>(
    session: &Session,
    tenant: i32,
    keys: impl Iterator<Item = (&'k UniqueKey, Owner)>,
) -> Result<u64, PgError> {
    let (mut spaces, mut texts, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    for (key, owner) in keys {
        spaces.push(i16::from(key.namespace));
        texts.push(key.text.clone().into_bytes());
        owners.push(int(owner.number()));
    }
    session.execute(sql::ADD_FREE_UNIQUE_KEYS.postgres, &[&tenant, &spaces, &texts, &owners]).await
}

struct EventBatch<'e> {
    events: Vec<&'e (EventEntry, ChainHash)>,
    end: u64,
}

async fn execute_if_any(session: &Session, sql: Sql, many: usize, params: &[&dyn Param]) -> Result<(), ArchiveError> {
    if many > 0 {
        session.execute(sql.postgres, params).await?;
    }
    Ok(())
}

#[derive(Default)]
struct HistoryRows {
    batches: (Vec<Uuid>, Vec<i32>, Vec<i64>),
    links: (Vec<Uuid>, Vec<i32>, Vec<Vec<u8>>),
    batch: Vec<Uuid>,
    place: Vec<i32>,
    tenant: Vec<i32>,
    at: Vec<i64>,
    connection: Vec<Option<Uuid>>,
    actor: Vec<String>,
    request: Vec<String>,
    action: Vec<i16>,
    texts: [Vec<Option<String>>; 4],
    password_set: Vec<bool>,
    notes: Vec<Option<String>>,
    digest: Vec<Option<Vec<u8>>>,
    kind: Vec<i16>,
    /// Tenant, subject, batch and place.
    subjects: (Vec<i32>, Vec<Uuid>, Vec<Uuid>, Vec<i32>),
}

impl HistoryRows {
    fn push_batch(&mut self, id: Uuid, events: &[&(EventEntry, ChainHash)], end: u64, links: &[(u32, ChainHash)]) {
        self.batches.0.push(id);
        self.batches.1.push(i32::try_from(events.len()).unwrap_or(i32::MAX));
        self.batches.2.push(signed(end));
        for (tenant, link) in links {
            self.links.0.push(id);
            self.links.1.push(int(*tenant));
            self.links.2.push(link.to_vec());
        }
        for (place, (event, digest)) in (0..).zip(events) {
            self.batch.push(id);
            self.place.push(place);
            self.tenant.push(int(event.tenant));
            self.at.push(event.at);
            self.connection.push(event.connection.map(Uuid::from_bytes));
            self.actor.push(event.actor.clone());
            self.request.push(event.request_id.clone());
            self.action.push(event.action);
            let texts = [&event.before, &event.after, &event.members_added, &event.members_removed];
            self.texts.iter_mut().zip(texts).for_each(|(column, text)| column.push(text.clone()));
            self.password_set.push(event.password_set);
            self.notes.push(event.notes.clone());
            self.digest.push((!event.is_unchained).then(|| digest.to_vec()));
            let (kind, subjects) = kind_and_known_subjects(event);
            self.kind.push(kind.code().into());
            for subject in subjects {
                self.subjects.0.push(int(event.tenant));
                self.subjects.1.push(subject);
                self.subjects.2.push(id);
                self.subjects.3.push(place);
            }
        }
    }

    async fn send(&self, session: &Session) -> Result<(), ArchiveError> {
        let (id, events, position) = &self.batches;
        execute_if_any(session, sql::BULK_INSERT_BATCHES, id.len(), &[id, events, position]).await?;
        let [before, after, members_added, members_removed] = &self.texts;
        let params: [&dyn Param; 16] = [
            &self.batch,
            &self.place,
            &self.tenant,
            &self.at,
            &self.connection,
            &self.actor,
            &self.request,
            &self.action,
            before,
            after,
            members_added,
            members_removed,
            &self.password_set,
            &self.notes,
            &self.digest,
            &self.kind,
        ];
        execute_if_any(session, sql::BULK_INSERT_EVENTS, self.batch.len(), &params).await?;
        let (tenant, subject, batch, place) = &self.subjects;
        let params: [&dyn Param; 4] = [tenant, subject, batch, place];
        execute_if_any(session, sql::BULK_INSERT_EVENT_SUBJECTS, tenant.len(), &params).await?;
        let (batch, tenant, link) = &self.links;
        execute_if_any(session, sql::ADD_LINKS, batch.len(), &[batch, tenant, link]).await
    }
}
