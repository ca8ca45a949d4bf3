//! Restores a stream into an empty database, chunk by chunk. The database records the progress, and nobody can
//! open it before the end.

use super::identifier_migration;
use super::lease::SEQUENCER_LEASE;
use super::managed_connection::Session;
use super::param::{Param, int, kind_code};
use super::pg_error::PgError;
use crate::archive::{ArchiveError, Chunk, Chunks, Entry, EntrySource, EventEntry, LinkedEvents, Origin, Sums};
use crate::event_chain::{self, ChainHash, GENESIS_HASH};
use crate::page_builder::block_of;
use crate::query_plan::active_code;
use crate::sql::{self, Sql};
use crate::unique_keys::{self, UniqueKey};
use directory::{Connection, IdGenerator, Item, ItemKind, Mail, Tenant, User, fold};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// An unfinished restore: `done` counts the restored entries, `sum` is their digest.
pub(super) struct RestoreProgress {
    pub(super) origin: String,
    done: u64,
    sum: Vec<u8>,
}

pub(super) async fn restore_in_progress(session: &Session) -> Result<Option<RestoreProgress>, PgError> {
    let Some(row) = session.query_opt(sql::RESTORE_PROGRESS.postgres, &[]).await? else { return Ok(None) };
    let done = row.try_get::<_, i64>(1)?.unsigned_abs();
    Ok(Some(RestoreProgress { origin: row.try_get(0)?, done, sum: row.try_get(2)? }))
}

/// Restores a stream, and continues an interrupted restore if the stream is the same.
pub(super) async fn restore(
    session: &Session,
    place: String,
    origin: &Origin,
    source: &mut EntrySource<'_>,
    ids: &dyn IdGenerator,
) -> Result<Sums, ArchiveError> {
    let begun = restore_in_progress(session).await?;
    let tenants = session.query_opt(sql::COUNT_TENANTS.postgres, &[]).await?;
    let tenants: i64 = tenants.map_or(Ok(0), |row| row.try_get(0))?;
    if begun.is_none() && tenants > 0 {
        return Err(ArchiveError::NotEmpty(place));
    }
    let mut chunks = Chunks::new(source, origin, "postgres");
    let mut filler = Restorer { ids, chains: HashMap::new(), kinds: HashMap::new(), last: 0 };
    match begun.filter(|begun| begun.done > 0 && begun.origin == origin.name) {
        Some(begun) => {
            let is_same = chunks.skip(begun.done, &begun.sum, |chunk| filler.note_restored(&chunk))?;
            if !is_same {
                begin(session, origin).await?;
                return Err(ArchiveError::OriginChanged);
            }
            filler.find_chains(session).await?;
        }
        None => begin(session, origin).await?,
    }
    loop {
        let before = signed(chunks.progress().0);
        let Some(chunk) = chunks.next()? else { break };
        let keeps_links = chunks.reuses_links();
        session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
        filler.restore_chunk(session, chunk, keeps_links).await?;
        let (done, sum) = chunks.progress();
        let params: [&dyn Param; 3] = [&signed(done), &sum.to_vec(), &before];
        if session.execute(sql::UPDATE_RESTORE_PROGRESS.postgres, &params).await? != 1 {
            return Err(ArchiveError::Store("another process is restoring into this store".into()));
        }
        session.batch_execute(sql::COMMIT.postgres).await?;
    }
    Ok(chunks.sums())
}

/// Empties the store and records the origin.
async fn begin(session: &Session, origin: &Origin) -> Result<(), ArchiveError> {
    session.batch_execute(sql::BEGIN_BATCH.postgres).await?;
    for table in sql::RESTORED_TABLES.iter().chain(&sql::POSTGRES_EVENT_TABLES) {
        session.batch_execute(&sql::delete_all_sql(table)).await?;
    }
    session.execute(sql::END_RESTORE.postgres, &[]).await?;
    session.execute(sql::BEGIN_RESTORE.postgres, &[&origin.name, &Vec::<u8>::new()]).await?;
    session.batch_execute(sql::COMMIT.postgres).await?;
    Ok(())
}

/// Marks the store as complete.
pub(super) async fn finish(session: &Session) -> Result<(), PgError> {
    session.execute(sql::END_RESTORE.postgres, &[]).await.map(|_| ())
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

struct Restorer<'a> {
    ids: &'a dyn IdGenerator,
    /// Recomputed chains: position and hash by tenant.
    chains: HashMap<u32, (u64, ChainHash)>,
    /// The kinds of items.
    kinds: HashMap<Uuid, i16>,
    /// The last position.
    last: u64,
}

impl Restorer<'_> {
    /// Collects what later chunks need from a chunk that was restored before.
    fn note_restored(&mut self, chunk: &Chunk) {
        for entry in &chunk.entries {
            match entry {
                Entry::Tenant { tenant, .. } => {
                    self.chains.insert(*tenant, (0, GENESIS_HASH));
                }
                Entry::Item { doc, .. } => {
                    if let Ok(item) = serde_json::from_str::<Item>(doc) {
                        self.kinds.insert(item.id().0, kind_code(item.kind()));
                    }
                }
                _ => {}
            }
        }
        self.last = chunk.history.last().map_or(self.last, |linked| linked.end);
    }

    /// Reads the ends of partially restored chains.
    async fn find_chains(&mut self, session: &Session) -> Result<(), ArchiveError> {
        for tenant in std::mem::take(&mut self.chains).into_keys() {
            let Some(row) = session.query_opt(sql::NEWEST_CHAIN_HASH.postgres, &[&int(tenant)]).await? else {
                continue;
            };
            let link: Vec<u8> = row.try_get(1)?;
            let link =
                link.try_into().map_err(|_| ArchiveError::Corrupt("a chain hash has the wrong length".into()))?;
            self.chains.insert(tenant, (row.try_get::<_, i64>(0)?.unsigned_abs(), link));
        }
        Ok(())
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
        let mut rows = RestoreRows::default();
        for entry in chunk.entries {
            self.restore_entry(session, entry, keeps_links, &mut rows).await?;
        }
        rows.send(session).await
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

    #[expect(clippy::too_many_lines, reason = "one case for each kind of entry")]
    async fn restore_entry(
        &mut self,
        session: &Session,
        entry: Entry,
        keeps_links: bool,
        rows: &mut RestoreRows,
    ) -> Result<(), ArchiveError> {
        match entry {
            Entry::Tenant { tenant, doc } => {
                let version = int(serde_json::from_str::<Tenant>(&doc)?.version);
                session.execute(sql::ADD_TENANT.postgres, &[&int(tenant), &doc, &version]).await?;
            }
            Entry::Secret { name, bytes } => {
                session.execute(sql::ADD_SECRET.postgres, &[&name, &bytes]).await?;
            }
            Entry::Connection { tenant, doc, last_use } => {
                let connection: Connection = serde_json::from_str(&doc)?;
                let (id, created) = (connection.id.0, connection.created.0);
                let name = fold(&connection.name);
                let other_name = format!("{name} {id}").into_bytes();
                let (tenant, name) = (int(tenant), name.into_bytes());
                let params: [&dyn Param; 7] = [&id, &tenant, &name, &other_name, &created, &doc, &last_use];
                session.execute(sql::BULK_INSERT_CONNECTION.postgres, &params).await?;
                for key in &connection.keys {
                    session.execute(sql::ADD_KEY.postgres, &[&key.hash.prefix().to_vec(), &id]).await?;
                }
            }
            Entry::Item { tenant, doc } => {
                let item: Item = serde_json::from_str(&doc)?;
                self.kinds.insert(item.id().0, kind_code(item.kind()));
                let name = Item::name_key(item.kind(), item.name()).into_bytes();
                let params: [&dyn Param; 8] = [
                    &int(tenant),
                    &kind_code(item.kind()),
                    &int(item.number()),
                    &item.id().0,
                    &int(item.version()),
                    &name,
                    &doc,
                    &item.updated().0,
                ];
                session.execute(sql::ADD_ITEM.postgres, &params).await?;
                rows.push_unique_keys(tenant, &unique_keys::of_item(&item), item.number());
            }
            Entry::User { tenant, doc, password, account } => {
                rows.push_user(tenant, doc, password, account)?;
            }
            Entry::Tombstone { tenant, doc, deleted, password } => {
                rows.push_tombstone(tenant, doc, deleted, password)?;
            }
            Entry::Members { tenant, item, numbers } => {
                let item = Uuid::from_bytes(item);
                let kind = self.kinds.get(&item).copied().unwrap_or_default();
                for number in numbers {
                    rows.push_member(tenant, item, number, kind);
                }
            }
            Entry::Mail { tenant: _, doc } => rows.push_mail(&doc)?,
            Entry::Counter { tenant, sequence: sort, last } => {
                let params: [&dyn Param; 3] = [&int(tenant), &i16::from(sort), &int(last)];
                session.execute(sql::BULK_INSERT_COUNTER.postgres, &params).await?;
            }
            Entry::ChainEnd { tenant, position, link, unchained_events: older } => {
                let (at, link) = match self.chains.get(&tenant) {
                    Some((at, link)) if !keeps_links => (*at, Some(*link)),
                    _ => (position, link),
                };
                let link = link.map(|link| link.to_vec());
                let params: [&dyn Param; 4] = [&int(tenant), &signed(at), &link, &i64::from(older)];
                session.execute(sql::BULK_INSERT_CHAIN.postgres, &params).await?;
                let params: [&dyn Param; 3] = [&SEQUENCER_LEASE, &Uuid::nil(), &signed(self.last)];
                session.execute(sql::SET_LEASE_VALUE.postgres, &params).await?;
            }
            Entry::Event(_) | Entry::ChainLinks { .. } => {}
        }
        Ok(())
    }
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

/// The rows of a chunk by table and column.
#[derive(Default)]
struct RestoreRows {
    users: RestoredUserRows,
    tombstones: TombstoneRows,
    claims: (Vec<i32>, Vec<i16>, Vec<Vec<u8>>, Vec<i32>),
    secondary_emails: (Vec<i32>, Vec<Vec<u8>>, Vec<i32>),
    members: (Vec<i32>, Vec<Uuid>, Vec<i32>, Vec<i16>),
    mails: super::table_rows::MailRows,
    blocks: BTreeMap<(i32, i32), i64>,
}

#[derive(Default)]
struct RestoredUserRows {
    tenant: Vec<i32>,
    number: Vec<i32>,
    id: Vec<Uuid>,
    version: Vec<i32>,
    active: Vec<i16>,
    updated: Vec<i64>,
    password: Vec<Option<String>>,
    account: Vec<Option<String>>,
    doc: Vec<String>,
}

#[derive(Default)]
struct TombstoneRows {
    tenant: Vec<i32>,
    number: Vec<i32>,
    id: Vec<Uuid>,
    deleted: Vec<i64>,
    external_key: Vec<Option<Vec<u8>>>,
    password: Vec<Option<String>>,
    doc: Vec<String>,
}

impl RestoreRows {
    fn push_unique_keys(&mut self, tenant: u32, claims: &[UniqueKey], owner: u32) {
        for claim in claims {
            self.claims.0.push(int(tenant));
            self.claims.1.push(i16::from(claim.namespace));
            self.claims.2.push(claim.text.clone().into_bytes());
            self.claims.3.push(int(owner));
        }
    }

    fn push_member(&mut self, tenant: u32, item: Uuid, member: u32, kind: i16) {
        self.members.0.push(int(tenant));
        self.members.1.push(item);
        self.members.2.push(int(member));
        self.members.3.push(kind);
    }

    fn push_user(
        &mut self,
        tenant: u32,
        doc: String,
        password: Option<String>,
        account: Option<String>,
    ) -> Result<(), ArchiveError> {
        let user: User = serde_json::from_str(&doc)?;
        self.push_unique_keys(tenant, &unique_keys::of_user(&user), user.number);
        for text in unique_keys::secondary_emails(&user) {
            self.secondary_emails.0.push(int(tenant));
            self.secondary_emails.1.push(text.into_bytes());
            self.secondary_emails.2.push(int(user.number));
        }
        if let Some(organization) = user.organization {
            self.push_member(tenant, organization.0, user.number, kind_code(ItemKind::Organization));
        }
        *self.blocks.entry((int(tenant), int(block_of(user.number)))).or_default() += 1;
        let users = &mut self.users;
        users.tenant.push(int(tenant));
        users.number.push(int(user.number));
        users.id.push(user.id.0);
        users.version.push(int(user.version));
        users.active.push(i16::from(active_code(&user)));
        users.updated.push(user.updated.0);
        users.password.push(password);
        users.account.push(account);
        users.doc.push(doc);
        Ok(())
    }

    fn push_tombstone(
        &mut self,
        tenant: u32,
        doc: String,
        deleted: i64,
        password: Option<String>,
    ) -> Result<(), ArchiveError> {
        let user: User = serde_json::from_str(&doc)?;
        let removed = &mut self.tombstones;
        removed.tenant.push(int(tenant));
        removed.number.push(int(user.number));
        removed.id.push(user.id.0);
        removed.deleted.push(deleted);
        removed.external_key.push(user.external_id.as_deref().map(|id| unique_keys::external_id_key(id).into_bytes()));
        removed.password.push(password);
        removed.doc.push(doc);
        Ok(())
    }

    fn push_mail(&mut self, doc: &str) -> Result<(), ArchiveError> {
        let mail: Mail = serde_json::from_str(doc)?;
        Ok(self.mails.push(&mail)?)
    }

    /// Of two owners with the same key, the older one, which comes first, keeps it.
    async fn send(&self, session: &Session) -> Result<(), ArchiveError> {
        let RestoredUserRows { tenant, number, id, version, active, updated, password, account, doc } = &self.users;
        let params: [&dyn Param; 9] = [tenant, number, id, version, active, updated, password, account, doc];
        execute_if_any(session, sql::ADD_USERS, tenant.len(), &params).await?;
        let TombstoneRows { tenant, number, id, deleted, external_key, password, doc } = &self.tombstones;
        let params: [&dyn Param; 7] = [tenant, number, id, deleted, external_key, password, doc];
        execute_if_any(session, sql::BULK_INSERT_TOMBSTONES, tenant.len(), &params).await?;
        let (tenant, space, text, owner) = &self.claims;
        if !tenant.is_empty() {
            let claim = sql::ADD_FREE_UNIQUE_KEYS.postgres;
            let taken = session.execute(claim, &[tenant, space, text, owner]).await?;
            if taken < tenant.len() as u64 {
                for (tenant, doc) in self.users.tenant.iter().zip(&self.users.doc) {
                    identifier_migration::keep_lost_logins(session, *tenant, &serde_json::from_str(doc)?).await?;
                }
            }
        }
        let (tenant, text, owner) = &self.secondary_emails;
        execute_if_any(session, sql::ADD_SECONDARY_EMAILS, tenant.len(), &[tenant, text, owner]).await?;
        let (tenant, item, member, kind) = &self.members;
        execute_if_any(session, sql::ADD_MEMBERSHIPS, tenant.len(), &[tenant, item, member, kind]).await?;
        let mut mails = Vec::new();
        self.mails.push_insert(&mut mails);
        for statement in mails {
            session.execute(statement.sql.postgres, &statement.params).await?;
        }
        let tenants: Vec<i32> = self.blocks.keys().map(|(tenant, _)| *tenant).collect();
        let blocks: Vec<i32> = self.blocks.keys().map(|(_, block)| *block).collect();
        let live: Vec<i64> = self.blocks.values().copied().collect();
        execute_if_any(session, sql::ADD_TO_BLOCK_COUNTS, tenants.len(), &[&tenants, &blocks, &live]).await
    }
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
        }
    }

    async fn send(&self, session: &Session) -> Result<(), ArchiveError> {
        let (id, events, position) = &self.batches;
        execute_if_any(session, sql::BULK_INSERT_BATCHES, id.len(), &[id, events, position]).await?;
        let [before, after, members_added, members_removed] = &self.texts;
        let params: [&dyn Param; 15] = [
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
        ];
        execute_if_any(session, sql::BULK_INSERT_EVENTS, self.batch.len(), &params).await?;
        let (batch, tenant, link) = &self.links;
        execute_if_any(session, sql::ADD_LINKS, batch.len(), &[batch, tenant, link]).await
    }
}
