//! Streams a snapshot of the whole file, while other processes can write.

use super::read;
use crate::archive::{ArchiveError, Entry, EntrySink, EventEntry, MAX_MEMBERS_PER_ENTRY};
use crate::event_chain::ChainHash;
use crate::event_row::to_json;
use crate::sql;
use directory::{Item, Tenant};
use rusqlite::{Connection as Db, Row, params};

pub(super) fn all(db: &Db, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let view = db.unchecked_transaction()?;
    let tenants = read::tenants(&view)?;
    for tenant in &tenants {
        to(Entry::Tenant { tenant: tenant.number.0, doc: to_json(tenant)? })?;
    }
    for_each(&view, sql::ALL_SECRETS.sqlite, [], |row| to(Entry::Secret { name: row.get(0)?, bytes: row.get(1)? }))?;
    connections(&view, to)?;
    for tenant in &tenants {
        of_tenant(&view, tenant, to)?;
    }
    for_each(&view, sql::ALL_COUNTERS.sqlite, [], |row| {
        to(Entry::Counter { tenant: row.get(0)?, sequence: row.get(1)?, last: row.get(2)? })
    })?;
    history(&view, to)
}

fn for_each(
    db: &Db,
    sql: &str,
    params: impl rusqlite::Params,
    mut each: impl FnMut(&Row<'_>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    while let Some(row) = rows.next()? {
        each(row)?;
    }
    Ok(())
}

fn connections(db: &Db, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let mut all = read::connections(db, None)?;
    all.sort_by_key(|connection| (connection.created, connection.id));
    for connection in all {
        let (tenant, last_use) = (connection.tenant.0, connection.last_use.map(|time| time.0));
        let doc = to_json(&directory::Connection { last_use: None, ..connection })?;
        to(Entry::Connection { tenant, doc, last_use })?;
    }
    Ok(())
}

fn of_tenant(db: &Db, tenant: &Tenant, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let tenant = tenant.number.0;
    for kind in directory::ItemKind::ALL {
        let sort = 1 + crate::unique_keys::kind_index(kind);
        for_each(db, sql::ALL_ITEMS.sqlite, params![tenant, sort], |row| {
            let item: Item = read::item_from_row(row)?;
            to(Entry::Item { tenant, doc: to_json(&item)? })
        })?;
    }
    let numbers = users(db, tenant, to)?;
    members(db, tenant, &numbers, to)?;
    for_each(db, sql::ALL_MAILS.sqlite, [tenant], |row| to(Entry::Mail { tenant, doc: row.get(0)? }))
}

/// User numbers by row id. Both ascend, mostly by one, so only the start of each run is kept.
#[derive(Default)]
struct RowNumbers(Vec<(i64, u32)>);

impl RowNumbers {
    fn note(&mut self, row: i64, number: u32) {
        let goes_on = self.0.last().is_some_and(|(first, from)| row - first == i64::from(number) - i64::from(*from));
        if !goes_on {
            self.0.push((row, number));
        }
    }

    fn of(&self, row: i64) -> Option<u32> {
        let place = self.0.partition_point(|(first, _)| *first <= row).checked_sub(1)?;
        let (first, number) = self.0[place];
        u32::try_from(row - first).ok()?.checked_add(number)
    }
}

/// Users and deleted users, sorted by number.
fn users(db: &Db, tenant: u32, to: &mut EntrySink<'_>) -> Result<RowNumbers, ArchiveError> {
    let mut numbers = RowNumbers::default();
    let (mut live_rows, mut deleted_rows) =
        (db.prepare_cached(sql::ALL_USERS.sqlite)?, db.prepare_cached(sql::ALL_TOMBSTONES.sqlite)?);
    let everybody = params![tenant, 0, -1];
    let (mut live_rows, mut deleted_rows) = (live_rows.query(everybody)?, deleted_rows.query(everybody)?);
    let number = |row: Option<&Row<'_>>| row.map(|row| row.get::<_, u32>(0)).transpose();
    let (mut next, mut next_deleted) = (live_rows.next()?, deleted_rows.next()?);
    loop {
        let is_gone = match (number(next)?, number(next_deleted)?) {
            (None, None) => return Ok(numbers),
            (Some(next), Some(next_deleted)) => next_deleted < next,
            (next, _) => next.is_none(),
        };
        if is_gone {
            if let Some(row) = next_deleted {
                to(Entry::Tombstone { tenant, doc: row.get(1)?, deleted: row.get(2)?, password: row.get(3)? })?;
            }
            next_deleted = deleted_rows.next()?;
        } else {
            if let Some(row) = next {
                numbers.note(row.get(4)?, row.get(0)?);
                to(Entry::User { tenant, doc: row.get(1)?, password: row.get(2)?, account: row.get(3)? })?;
            }
            next = live_rows.next()?;
        }
    }
}

fn members(db: &Db, tenant: u32, numbers: &RowNumbers, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let mut open: Option<([u8; 16], Vec<u32>)> = None;
    for_each(db, sql::ALL_MEMBERSHIPS.sqlite, [tenant], |row| {
        let (item, member): ([u8; 16], i64) = (row.get(0)?, row.get(1)?);
        let nobody = || ArchiveError::Corrupt("a membership refers to a user that does not exist".into());
        let number = numbers.of(member).ok_or_else(nobody)?;
        match &mut open {
            Some((of, numbers)) if *of == item && numbers.len() < MAX_MEMBERS_PER_ENTRY => {
                numbers.push(number);
            }
            _ => {
                if let Some((item, numbers)) = open.replace((item, vec![number])) {
                    to(Entry::Members { tenant, item, numbers })?;
                }
            }
        }
        Ok(())
    })?;
    open.map_or(Ok(()), |(item, numbers)| to(Entry::Members { tenant, item, numbers }))
}

fn history(db: &Db, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    for_each(db, sql::EVENTS_WITH_LINKS.sqlite, [None::<u32>], |row| {
        let (event, link) = event(row)?;
        let (end, tenant) = (event.position, event.tenant);
        to(Entry::Event(Box::new(event)))?;
        to(Entry::ChainLinks { end, links: link.map(|link| (tenant, link)).into_iter().collect() })
    })?;
    for_each(db, sql::ALL_CHAIN_ENDS.sqlite, [None::<u32>], |row| {
        to(Entry::ChainEnd {
            tenant: row.get(0)?,
            position: row.get::<_, i64>(1)?.unsigned_abs(),
            link: row.get(2)?,
            unchained_events: row.get(3)?,
        })
    })
}

fn event(row: &Row<'_>) -> Result<(EventEntry, Option<ChainHash>), ArchiveError> {
    let link: Option<ChainHash> = row.get(13)?;
    let event = EventEntry {
        position: row.get::<_, i64>(0)?.unsigned_abs(),
        tenant: row.get(1)?,
        at: row.get(2)?,
        connection: row.get(3)?,
        actor: row.get(4)?,
        request_id: row.get(5)?,
        action: row.get(6)?,
        before: row.get(7)?,
        after: row.get(8)?,
        members_added: row.get(9)?,
        members_removed: row.get(10)?,
        password_set: row.get(11)?,
        notes: row.get(12)?,
        is_unchained: link.is_none(),
    };
    Ok((event, link))
}
