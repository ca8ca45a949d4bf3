//! The whole database as a stream of entries, from one snapshot, while others may write.

use super::managed_connection::Session;
use super::param::{Param, int, kind_code, unsigned};
use super::pg_error::PgError;
use super::read::{self, ConnectionFilter, item_from_row};
use crate::archive::{ArchiveError, Entry, EntrySink, EventEntry, MAX_MEMBERS_PER_ENTRY};
use crate::event_chain::{self, ChainHash, GENESIS_HASH};
use crate::event_row::to_json;
use crate::sql;
use directory::ItemKind;
use futures_util::future::{MaybeDone, maybe_done, poll_immediate};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use tokio_postgres::Row;
use uuid::Uuid;

/// Rows per query: users and events, which may be long, and members.
const STEP: i64 = 2_000;
const MEMBERS_STEP: i64 = 20_000;

impl From<PgError> for ArchiveError {
    fn from(trouble: PgError) -> Self {
        Self::Store(trouble.message().to_owned())
    }
}

impl From<tokio_postgres::Error> for ArchiveError {
    fn from(error: tokio_postgres::Error) -> Self {
        PgError::from(error).into()
    }
}

pub(super) async fn all(session: &Session, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    session.batch_execute(sql::BEGIN_SNAPSHOT.postgres).await?;
    let tenants = read::tenants(session, None).await?;
    for tenant in &tenants {
        to(Entry::Tenant { tenant: tenant.number.0, doc: to_json(tenant)? })?;
    }
    for row in session.query(sql::ALL_SECRETS.postgres, &[]).await? {
        to(Entry::Secret { name: row.try_get(0)?, bytes: row.try_get(1)? })?;
    }
    let mut connections = read::connections(session, ConnectionFilter::Tenant(None)).await?;
    connections.sort_by_key(|connection| (connection.created, connection.id));
    for connection in connections {
        let (tenant, last_use) = (connection.tenant.0, connection.last_use.map(|time| time.0));
        let doc = to_json(&directory::Connection { last_use: None, ..connection })?;
        to(Entry::Connection { tenant, doc, last_use })?;
    }
    for tenant in &tenants {
        of_tenant(session, int(tenant.number.0), to).await?;
    }
    for row in session.query(sql::ALL_COUNTERS.postgres, &[]).await? {
        let sort = u8::try_from(row.try_get::<_, i16>(1)?).unwrap_or_default();
        to(Entry::Counter { tenant: unsigned(row.try_get(0)?), sequence: sort, last: unsigned(row.try_get(2)?) })?;
    }
    history(session, to).await?;
    session.batch_execute(sql::ROLLBACK.postgres).await?;
    Ok(())
}

async fn of_tenant(session: &Session, code: i32, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let tenant = unsigned(code);
    for kind in ItemKind::ALL {
        let mut after = -1;
        loop {
            let params: [&dyn Param; 5] = [&code, &kind_code(kind), &after, &STEP, &0_i64];
            let rows = session.query(sql::ITEMS_AFTER.postgres, &params).await?;
            for row in &rows {
                let item = item_from_row(row)?;
                after = int(item.number());
                to(Entry::Item { tenant, doc: to_json(&item)? })?;
            }
            if rows.is_empty() {
                break;
            }
        }
    }
    users(session, code, to).await?;
    members(session, code, to).await?;
    let mut after = Uuid::nil();
    loop {
        let rows = session.query(sql::ALL_MAILS.postgres, &[&code, &after, &STEP]).await?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = last.try_get(1)?;
        for row in &rows {
            to(Entry::Mail { tenant, doc: row.try_get(0)? })?;
        }
    }
}

/// Pages of a query, each continuing after the last row of the previous one. The next page is queried while the
/// current one is processed, so that the database and this process work in parallel. Only one query is ahead:
/// unread rows block all other queries of the session.
struct ReadAhead<'a, K> {
    ask: Box<dyn Fn(K) -> RowsFuture<'a> + 'a>,
    key: fn(&Row) -> Result<K, ArchiveError>,
    coming: Option<MaybeDone<RowsFuture<'a>>>,
}

type RowsFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<Row>, PgError>> + 'a>>;

impl<'a, K: 'a> ReadAhead<'a, K> {
    /// `key` is the position of a row; `ask` queries the rows after a position.
    fn new<A: Future<Output = Result<Vec<Row>, PgError>> + 'a>(
        first: K,
        ask: impl Fn(K) -> A + 'a,
        key: fn(&Row) -> Result<K, ArchiveError>,
    ) -> Self {
        let ask = move |after| Box::pin(ask(after)) as RowsFuture<'a>;
        Self { coming: Some(maybe_done(ask(first))), ask: Box::new(ask), key }
    }

    /// The next rows; empty at the end.
    async fn next(&mut self) -> Result<Vec<Row>, ArchiveError> {
        let Some(mut coming) = self.coming.take() else { return Ok(Vec::new()) };
        (&mut coming).await;
        let rows = Pin::new(&mut coming).take_output().transpose()?.unwrap_or_default();
        if let Some(last) = rows.last() {
            let mut coming = maybe_done((self.ask)((self.key)(last)?));
            // Polling starts the query; yielding lets the connection's task send it.
            let _ = poll_immediate(&mut coming).await;
            tokio::task::yield_now().await;
            self.coming = Some(coming);
        }
        Ok(rows)
    }
}

/// Users and deleted users, in order of numbers.
async fn users(session: &Session, code: i32, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let tenant = unsigned(code);
    let ask = move |after: i32| async move { session.query(sql::ALL_USERS.postgres, &[&code, &after, &STEP]).await };
    let mut ahead = ReadAhead::new(0, ask, |row| Ok(row.try_get(0)?));
    loop {
        let rows = ahead.next().await?;
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            let (doc, password) = (row.try_get(1)?, row.try_get(2)?);
            to(match row.try_get(4)? {
                Some(deleted) => Entry::Tombstone { tenant, doc, deleted, password },
                None => Entry::User { tenant, doc, password, account: row.try_get(3)? },
            })?;
        }
    }
}

async fn members(session: &Session, code: i32, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let tenant = unsigned(code);
    let mut open: Option<(Uuid, Vec<u32>)> = None;
    let ask = move |(item, member): (Uuid, i32)| async move {
        session.query(sql::ALL_MEMBERSHIPS.postgres, &[&code, &item, &member, &MEMBERS_STEP]).await
    };
    let mut ahead = ReadAhead::new((Uuid::nil(), 0), ask, |row| Ok((row.try_get(0)?, row.try_get(1)?)));
    loop {
        let rows = ahead.next().await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let (item, member): (Uuid, i32) = (row.try_get(0)?, row.try_get(1)?);
            match &mut open {
                Some((of, numbers)) if *of == item && numbers.len() < MAX_MEMBERS_PER_ENTRY => {
                    numbers.push(unsigned(member));
                }
                _ => {
                    if let Some((of, numbers)) = open.replace((item, vec![unsigned(member)])) {
                        to(Entry::Members { tenant, item: of.into_bytes(), numbers })?;
                    }
                }
            }
        }
    }
    open.map_or(Ok(()), |(of, numbers)| to(Entry::Members { tenant, item: of.into_bytes(), numbers }))
}

/// The ends of the chains by tenant: number of events from before the chain, position, hash.
type ChainEnds = BTreeMap<u32, (u32, u64, Option<ChainHash>)>;

async fn history(session: &Session, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let mut ends = ChainEnds::new();
    for row in session.query(sql::ALL_CHAIN_ENDS.postgres, &[&None::<i32>]).await? {
        let older = u32::try_from(row.try_get::<_, i64>(3)?).unwrap_or(u32::MAX);
        let link = row.try_get::<_, Option<Vec<u8>>>(2)?.map(sum).transpose()?;
        let position = row.try_get::<_, i64>(1)?.unsigned_abs();
        ends.insert(unsigned(row.try_get(0)?), (older, position, link));
    }
    let mut last = 0_i64;
    let mut open: Option<i64> = None;
    let mut links: BTreeMap<u32, ChainHash> = BTreeMap::new();
    let ask = move |after: i64| async move {
        session.query(sql::EVENTS_WITH_LINKS.postgres, &[&after, &None::<i32>, &STEP]).await
    };
    let mut ahead = ReadAhead::new(0, ask, |row| Ok(row.try_get(0)?));
    loop {
        let rows = ahead.next().await?;
        if rows.is_empty() {
            break;
        }
        for row in &rows {
            let end: i64 = row.try_get(15)?;
            if let Some(ended) = open.replace(end).filter(|ended| *ended != end) {
                emit_links(ended, &mut links, to)?;
            }
            last = row.try_get(0)?;
            let event = event(row, last.unsigned_abs())?;
            if let Some(link) = row.try_get::<_, Option<Vec<u8>>>(14)? {
                links.insert(event.tenant, sum(link)?);
            }
            to(Entry::Event(Box::new(event)))?;
        }
    }
    if let Some(ended) = open {
        emit_links(ended, &mut links, to)?;
    }
    unsequenced_events(session, last.unsigned_abs(), &mut ends, to).await?;
    for (tenant, (older, position, link)) in ends {
        to(Entry::ChainEnd { tenant, position, link, unchained_events: older })?;
    }
    Ok(())
}

fn emit_links(end: i64, links: &mut BTreeMap<u32, ChainHash>, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let links = std::mem::take(links).into_iter().collect();
    to(Entry::ChainLinks { end: end.unsigned_abs(), links })
}

/// Recent commits have no position yet. They get the position and chain hash that the sequencer will assign.
async fn unsequenced_events(
    session: &Session,
    last: u64,
    ends: &mut ChainEnds,
    to: &mut EntrySink<'_>,
) -> Result<(), ArchiveError> {
    let rows = session.query(sql::UNSEQUENCED_EVENTS.postgres, &[]).await?;
    let mut position = last;
    let mut at = 0;
    while let Some(first) = rows.get(at) {
        let batch: Uuid = first.try_get(0)?;
        let mut digests: HashMap<u32, Vec<ChainHash>> = HashMap::new();
        while let Some(row) = rows.get(at) {
            if row.try_get::<_, Uuid>(0)? != batch {
                break;
            }
            position += 1;
            let event = event(row, position)?;
            if !event.is_unchained {
                digests.entry(event.tenant).or_default().push(event.digest());
            }
            to(Entry::Event(Box::new(event)))?;
            at += 1;
        }
        let mut links = Vec::new();
        for (tenant, digests) in digests {
            let (_, end, link) = ends.entry(tenant).or_insert((0, 0, None));
            let made = event_chain::next_chain_hash(&link.unwrap_or(GENESIS_HASH), position, &digests);
            (*end, *link) = (position, Some(made));
            links.push((tenant, made));
        }
        links.sort_unstable();
        to(Entry::ChainLinks { end: position, links })?;
    }
    Ok(())
}

/// An event from columns 1 to 13.
fn event(row: &Row, position: u64) -> Result<EventEntry, ArchiveError> {
    let digest: Option<&[u8]> = row.try_get(13)?;
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
        is_unchained: digest.is_none(),
    })
}

fn sum(bytes: Vec<u8>) -> Result<ChainHash, ArchiveError> {
    bytes.try_into().map_err(|_| ArchiveError::Corrupt("a chain hash has the wrong length".into()))
}
