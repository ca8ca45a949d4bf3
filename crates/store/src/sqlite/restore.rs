//! Fills an empty file from a stream, chunk by chunk. The file stores the progress and cannot be opened meanwhile.

use super::apply_error::ApplyError;
use super::related_rows::add_user_relations;
use super::tx_counters::TxCounters;
use crate::archive::{ArchiveError, Chunk, Chunks, Entry, EntrySource, EventEntry, LinkedEvents, Origin, Sums};
use crate::event_chain::{self, ChainHash, GENESIS_HASH};
use crate::unique_keys::{self, LOGINS, UniqueKey, kind_index};

use crate::query_plan::active_code;
use crate::sql;
use directory::{Connection, Item, Mail, Tenant, TenantNumber, User, fold};
use rusqlite::{Connection as Db, OptionalExtension, params};
use std::collections::{BTreeSet, HashMap};

/// Identifies the part that was restored already.
pub(super) struct RestoreProgress {
    pub(super) origin: String,
    done: u64,
    sum: Vec<u8>,
}

/// `None` if no restore is in progress.
pub(super) fn restore_in_progress(db: &Db) -> rusqlite::Result<Option<RestoreProgress>> {
    db.query_row(sql::RESTORE_PROGRESS.sqlite, [], |row| {
        Ok(RestoreProgress { origin: row.get(0)?, done: row.get::<_, i64>(1)?.unsigned_abs(), sum: row.get(2)? })
    })
    .optional()
}

/// Fills a store from a stream. Resumes an interrupted restore if it is the same stream.
pub(super) fn restore(
    db: &mut Db,
    place: &str,
    origin: &Origin,
    source: &mut EntrySource<'_>,
) -> Result<Sums, ArchiveError> {
    let begun = restore_in_progress(db)?;
    let tenants: i64 = db.query_row(sql::COUNT_TENANTS.sqlite, [], |row| row.get(0))?;
    if begun.is_none() && tenants > 0 {
        return Err(ArchiveError::NotEmpty(place.into()));
    }
    let mut chunks = Chunks::new(source, origin, "sqlite");
    let mut chains = RebuiltChains::default();
    match begun.filter(|begun| begun.done > 0 && begun.origin == origin.name) {
        Some(begun) => {
            let is_same = chunks.skip(begun.done, &begun.sum, |chunk| {
                for linked in &chunk.history {
                    linked.events.iter().for_each(|(event, digest)| chains.follow(event, digest));
                }
            })?;
            if !is_same {
                // The source has changed meanwhile; the next attempt starts over.
                begin(db, origin)?;
                return Err(ArchiveError::OriginChanged);
            }
        }
        None => begin(db, origin)?,
    }
    loop {
        let before = chunks.progress().0;
        let Some(chunk) = chunks.next()? else { break };
        let keeps_links = chunks.reuses_links();
        let step = db.transaction()?;
        restore_chunk(&step, chunk, keeps_links, &mut chains)?;
        let (done, sum) = chunks.progress();
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let gone_on = step.prepare_cached(sql::UPDATE_RESTORE_PROGRESS.sqlite)?.execute(params![
            signed(done),
            sum,
            signed(before)
        ])?;
        if gone_on != 1 {
            return Err(ArchiveError::Store("another process is restoring into this store".into()));
        }
        step.commit()?;
    }
    Ok(chunks.sums())
}

/// Empties the store and marks it as being restored.
fn begin(db: &mut Db, origin: &Origin) -> Result<(), ArchiveError> {
    let step = db.transaction()?;
    for table in sql::RESTORED_TABLES.iter().chain(&sql::SQLITE_EVENT_TABLES) {
        step.execute(&sql::delete_all_sql(table), [])?;
    }
    step.execute(sql::END_RESTORE.sqlite, [])?;
    step.execute(sql::BEGIN_RESTORE.sqlite, params![origin.name, [0_u8; 0]])?;
    step.commit()?;
    Ok(())
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

fn restore_chunk(db: &Db, chunk: Chunk, keeps_links: bool, chains: &mut RebuiltChains) -> Result<(), ArchiveError> {
    for linked in chunk.history {
        events(db, linked, keeps_links, chains)?;
    }
    let mut counters = TxCounters::default();
    for entry in chunk.entries {
        restore_entry(db, &mut counters, entry, keeps_links, chains)?;
        // Entries are never rolled back one by one.
        counters.savepoint();
    }
    counters.write(db)?;
    Ok(())
}

fn restore_entry(
    db: &Db,
    counters: &mut TxCounters,
    entry: Entry,
    keeps_links: bool,
    chains: &RebuiltChains,
) -> Result<(), ArchiveError> {
    match entry {
        Entry::Tenant { tenant, doc } => {
            let version = serde_json::from_str::<Tenant>(&doc)?.version;
            db.prepare_cached(sql::ADD_TENANT.sqlite)?.execute(params![tenant, doc, version])?;
        }
        Entry::Secret { name, bytes } => {
            db.prepare_cached(sql::ADD_SECRET.sqlite)?.execute(params![name, bytes])?;
        }
        Entry::Connection { tenant, doc, last_use } => {
            let connection: Connection = serde_json::from_str(&doc)?;
            let (id, name) = (connection.id.0, fold(&connection.name));
            let other_name = format!("{name} {id}");
            let bound = params![id.as_bytes(), tenant, name, other_name, doc, last_use];
            let row = db.prepare_cached(sql::BULK_INSERT_CONNECTION.sqlite)?.insert(bound)?;
            for key in &connection.keys {
                db.prepare_cached(sql::ADD_KEY.sqlite)?.execute(params![key.hash.prefix(), row])?;
            }
        }
        Entry::Item { tenant, doc } => item(db, tenant, &doc)?,
        Entry::User { tenant, doc, password, account } => {
            restore_user(db, counters, TenantNumber(tenant), &doc, (password, account))?;
        }
        Entry::Tombstone { tenant, doc, deleted, password } => {
            let user: User = serde_json::from_str(&doc)?;
            let key = user.external_id.as_deref().map(unique_keys::external_id_key);
            let id = user.id.0.as_bytes();
            let bound = params![next_row(db)?, tenant, user.number, id, deleted, key, password, doc];
            db.prepare_cached(sql::BULK_INSERT_TOMBSTONES.sqlite)?.execute(bound)?;
        }
        Entry::Members { tenant, item, numbers } => {
            let item: i64 =
                db.prepare_cached(sql::ITEM_PK.sqlite)?.query_row(params![tenant, item], |row| row.get(0))?;
            for number in numbers {
                let user: i64 = db
                    .prepare_cached(sql::USER_PK_BY_NUMBER.sqlite)?
                    .query_row(params![tenant, number], |row| row.get(0))?;
                db.prepare_cached(sql::ADD_MEMBERSHIPS.sqlite)?.execute([item, user])?;
            }
        }
        Entry::Mail { tenant, doc } => {
            let mail: Mail = serde_json::from_str(&doc)?;
            let (id, user) = (mail.id.as_bytes(), mail.user.0.as_bytes());
            let due = mail.due.map(|due| due.0);
            let bound = params![id, tenant, user, due, mail.queued.0, mail.version, doc];
            db.prepare_cached(sql::ADD_MAIL.sqlite)?.execute(bound)?;
        }
        Entry::Counter { tenant, sequence: sort, last } => {
            db.prepare_cached(sql::BULK_INSERT_COUNTER.sqlite)?.execute(params![tenant, sort, last])?;
        }
        Entry::ChainEnd { tenant, position, link, unchained_events: older } => {
            let made = chains.0.get(&tenant).map(|(at, link)| (*at, *link));
            let (at, link) = match made {
                Some((at, link)) if !keeps_links => (at, Some(link)),
                _ => (position, link),
            };
            let at = i64::try_from(at).unwrap_or(i64::MAX);
            db.prepare_cached(sql::BULK_INSERT_CHAIN.sqlite)?.execute(params![tenant, at, link, older])?;
        }
        Entry::Event(_) | Entry::ChainLinks { .. } => {}
    }
    Ok(())
}

/// Rows are in the order of numbers, so row ids are assigned in stream order.
fn next_row(db: &Db) -> rusqlite::Result<i64> {
    db.prepare_cached(sql::MAX_USER_PK.sqlite)?.query_row([], |row| row.get::<_, i64>(0)).map(|last| last + 1)
}

fn item(db: &Db, tenant: u32, doc: &str) -> Result<(), ArchiveError> {
    let item: Item = serde_json::from_str(doc)?;
    let row = db.prepare_cached(sql::ADD_ITEM.sqlite)?.insert(params![
        tenant,
        1 + kind_index(item.kind()),
        item.number(),
        item.id().0.as_bytes(),
        item.version(),
        Item::name_key(item.kind(), item.name()),
        doc
    ])?;
    for claim in unique_keys::of_item(&item) {
        claim_if_absent(db, tenant, &claim, row)?;
    }
    Ok(())
}

/// Returns whether the key was claimed: an older owner, which came first in the stream, may have it.
fn claim_if_absent(db: &Db, tenant: u32, claim: &UniqueKey, owner: i64) -> rusqlite::Result<bool> {
    let bound = params![tenant, claim.namespace, claim.text, owner];
    Ok(db.prepare_cached(sql::ADD_FREE_UNIQUE_KEYS.sqlite)?.execute(bound)? > 0)
}

fn restore_user(
    db: &Db,
    counters: &mut TxCounters,
    tenant: TenantNumber,
    doc: &str,
    (password, account): (Option<String>, Option<String>),
) -> Result<(), ArchiveError> {
    let user: User = serde_json::from_str(doc)?;
    let row = next_row(db)?;
    db.prepare_cached(sql::BULK_INSERT_USERS.sqlite)?.execute(params![
        row,
        tenant.0,
        user.number,
        user.id.0.as_bytes(),
        user.version,
        password,
        account,
        doc,
        active_code(&user),
        user.updated.0
    ])?;
    let mut is_lost = false;
    for claim in unique_keys::of_user(&user) {
        is_lost |= !claim_if_absent(db, tenant.0, &claim, row)? && claim.namespace == LOGINS;
    }
    if is_lost {
        super::identifier_migration::keep_former_logins(db, tenant.0, row, &user)?;
    }
    // Members of groups and folders follow as entries of their own; the organization is in the document.
    let belongs: BTreeSet<_> = user.organization.into_iter().collect();
    add_user_relations(db, counters, tenant, (&user, row), &belongs).map_err(|failure| match failure {
        ApplyError::Rejected(refusal) => ArchiveError::Corrupt(format!("user {}: {refusal}", user.number)),
        ApplyError::Sqlite(error) => error.into(),
    })
}

fn events(db: &Db, linked: LinkedEvents, keeps_links: bool, chains: &mut RebuiltChains) -> Result<(), ArchiveError> {
    for (event, digest) in linked.events {
        chains.follow(&event, &digest);
        let made = chains.0.get(&event.tenant).map(|(_, link)| *link);
        let kept = linked.links.first().map(|(_, link)| *link);
        let link = if keeps_links { kept } else { made.filter(|_| !event.is_unchained) };
        db.prepare_cached(sql::ADD_EVENT.sqlite)?.execute(params![
            i64::try_from(event.position).unwrap_or(i64::MAX),
            event.tenant,
            event.at,
            event.connection.as_ref().map(|id| &id[..]),
            event.actor,
            event.request_id,
            event.action,
            event.before,
            event.after,
            event.members_added,
            event.members_removed,
            event.password_set,
            event.notes,
            link,
        ])?;
    }
    Ok(())
}
