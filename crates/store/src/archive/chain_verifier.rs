//! The links of a history on its way to another engine: proven, since they are made anew there.

use super::{ArchiveError, EventEntry};
use crate::event_chain::{self, ChainHash, EventFields, GENESIS_HASH};
use std::collections::HashMap;

impl EventEntry {
    /// The digest of all of it.
    pub(crate) fn digest(&self) -> ChainHash {
        EventFields {
            tenant: self.tenant,
            at: self.at,
            connection: self.connection.as_ref().map(|id| &id[..]),
            actor: &self.actor,
            request_id: &self.request_id,
            action: self.action,
            before: self.before.as_deref(),
            after: self.after.as_deref(),
            members_added: self.members_added.as_deref(),
            members_removed: self.members_removed.as_deref(),
            password_set: self.password_set,
            notes: self.notes.as_deref(),
        }
        .digest()
    }
}

/// The chains of all tenants, followed as they go by.
#[derive(Default)]
pub(crate) struct StreamChainVerifier {
    chain_ends: HashMap<u32, ChainHash>,
    /// Digests of the events that no links have followed yet, with the first position of each tenant.
    pending: HashMap<u32, (u64, Vec<ChainHash>)>,
}

impl StreamChainVerifier {
    /// An event that is to be linked.
    pub(crate) fn add_event(&mut self, event: &EventEntry, digest: &ChainHash) {
        self.pending.entry(event.tenant).or_insert((event.position, Vec::new())).1.push(*digest);
    }

    /// The links of the events since: they must be what those events make, and none must be without.
    pub(crate) fn verify_links(&mut self, end: u64, links: &[(u32, ChainHash)]) -> Result<(), ArchiveError> {
        let mut open = std::mem::take(&mut self.pending);
        for (tenant, link) in links {
            let (first, digests) = open.remove(tenant).unwrap_or((end, Vec::new()));
            let previous = self.chain_ends.get(tenant).copied().unwrap_or(GENESIS_HASH);
            if event_chain::next_chain_hash(&previous, end, &digests) != *link {
                return Err(ArchiveError::BrokenHistory { tenant: *tenant, position: first });
            }
            self.chain_ends.insert(*tenant, *link);
        }
        match open.into_iter().next() {
            Some((tenant, (position, _))) => Err(ArchiveError::BrokenHistory { tenant, position }),
            None => Ok(()),
        }
    }

    /// Where a chain is said to end must be where it ended.
    pub(crate) fn verify_end(&self, tenant: u32, position: u64, link: Option<ChainHash>) -> Result<(), ArchiveError> {
        if self.chain_ends.get(&tenant).copied() == link {
            Ok(())
        } else {
            Err(ArchiveError::BrokenHistory { tenant, position })
        }
    }
}
