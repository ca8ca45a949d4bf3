//! Sends everything that a store holds to a sink, from one snapshot.

use super::{
    ArchiveError, Entry, EntrySink, MAX_MEMBERS_PER_ENTRY, Snapshot, StoredUserState, entry_of, for_each_page,
    rows_by_page,
};
use crate::event_chain::{self, ChainHash, GENESIS_HASH};
use crate::event_row::to_json;
use directory::{
    ArchiveForm, Connection, ItemId, ItemKind, Mail, Record, RowQuery, ServerSecret, TABLES, Tenant, TenantNumber,
};
use std::collections::BTreeMap;
use uuid::Uuid;

pub async fn dump(from: &impl Snapshot, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    rows(from, Tenant::table().all(), to).await?;
    rows(from, ServerSecret::table().all(), to).await?;
    rows(from, Connection::listed(None), to).await?;
    for tenant in from.rows(Tenant::table().all()).await? {
        dump_tenant(from, Tenant::from_row(&tenant)?.number, to).await?;
    }
    for (tenant, sequence, last) in from.counters().await? {
        to(Entry::Counter { tenant, sequence, last })?;
    }
    for table in TABLES.iter().map(|table| table()).filter(|table| table.archive == ArchiveForm::Rows) {
        rows(from, table.all(), to).await?;
    }
    history(from, to).await
}

async fn rows(from: &impl Snapshot, query: RowQuery, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let table = query.table;
    rows_by_page(from, query, |row| entry_of(table, row)?.map_or(Ok(()), &mut *to)).await
}

async fn dump_tenant(from: &impl Snapshot, number: TenantNumber, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let tenant = number.0;
    for kind in ItemKind::ALL {
        let ask = async |after| from.items(number, kind, after).await;
        for_each_page(
            None,
            ask,
            |stored| Some(stored.number),
            async |items| {
                items.into_iter().try_for_each(|stored| to(Entry::Item { tenant, doc: to_json(&stored.item)? }))
            },
        )
        .await?;
    }
    for_each_page(
        0,
        async |after| from.users(number, after).await,
        |stored| stored.number,
        async |users| {
            users.into_iter().try_for_each(|stored| {
                let (doc, password) = (stored.doc, stored.password);
                to(match stored.state {
                    StoredUserState::Live { account, .. } => Entry::User { tenant, doc, password, account },
                    StoredUserState::Deleted { at: deleted, .. } => Entry::Tombstone { tenant, doc, deleted, password },
                })
            })
        },
    )
    .await?;
    let mut open: Option<(ItemId, Vec<u32>)> = None;
    let entry = |(item, numbers): (ItemId, Vec<u32>)| Entry::Members { tenant, item: item.0.into_bytes(), numbers };
    let first = (ItemId(Uuid::nil()), 0);
    for_each_page(
        first,
        async |after| from.members(number, after).await,
        |member| *member,
        async |members| {
            for (item, number) in members {
                match &mut open {
                    Some((of, numbers)) if *of == item && numbers.len() < MAX_MEMBERS_PER_ENTRY => numbers.push(number),
                    _ => open.replace((item, vec![number])).map_or(Ok(()), |full| to(entry(full)))?,
                }
            }
            Ok(())
        },
    )
    .await?;
    open.map_or(Ok(()), |last| to(entry(last)))?;
    rows(from, Mail::all_of_tenant(number), to).await
}

async fn history(from: &impl Snapshot, to: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
    let mut ends = from.chain_ends().await?;
    let (mut last, mut open) = (0, None);
    let mut links: BTreeMap<u32, ChainHash> = BTreeMap::new();
    let finish = |end, links: &mut BTreeMap<u32, ChainHash>| Entry::ChainLinks {
        end,
        links: std::mem::take(links).into_iter().collect(),
    };
    for_each_page(
        0,
        async |after| from.events(after).await,
        |stored| stored.event.position,
        async |events| {
            for stored in events {
                if let Some(ended) = open.replace(stored.end).filter(|ended| *ended != stored.end) {
                    to(finish(ended, &mut links))?;
                }
                last = stored.event.position;
                links.extend(stored.link.map(|link| (stored.event.tenant, link)));
                to(Entry::Event(Box::new(stored.event)))?;
            }
            Ok(())
        },
    )
    .await?;
    if let Some(ended) = open {
        to(finish(ended, &mut links))?;
    }
    // Recent commits get the position and chain hash that the engine will assign.
    for batch in from.events_without_position().await? {
        let mut digests: BTreeMap<u32, Vec<ChainHash>> = BTreeMap::new();
        for mut event in batch {
            last += 1;
            event.position = last;
            if !event.is_unchained {
                digests.entry(event.tenant).or_default().push(event.digest());
            }
            to(Entry::Event(Box::new(event)))?;
        }
        for (tenant, digests) in digests {
            let end = ends.entry(tenant).or_default();
            let link = event_chain::next_chain_hash(&end.link.unwrap_or(GENESIS_HASH), last, &digests);
            (end.position, end.link) = (last, Some(link));
            links.insert(tenant, link);
        }
        to(finish(last, &mut links))?;
    }
    for (tenant, end) in ends {
        to(Entry::ChainEnd { tenant, position: end.position, link: end.link, unchained_events: end.unchained })?;
    }
    Ok(())
}
