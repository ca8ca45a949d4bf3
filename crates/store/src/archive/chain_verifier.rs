//! Verifies the event chains of a stream that goes to another engine, since the links are rebuilt there.

use super::{ArchiveError, EventEntry};
use crate::event_chain::{self, ChainHash, GENESIS_HASH};
use std::collections::HashMap;

/// Follows the chains of all tenants through a stream.
#[derive(Default)]
pub struct StreamChainVerifier {
    chain_ends: HashMap<u32, ChainHash>,
    /// Digests of events that no links cover yet, with the position of the first, by tenant.
    pending: HashMap<u32, (u64, Vec<ChainHash>)>,
}

impl StreamChainVerifier {
    pub fn add_event(&mut self, event: &EventEntry, digest: &ChainHash) {
        self.pending.entry(event.tenant).or_insert((event.position, Vec::new())).1.push(*digest);
    }

    /// Checks the chain hashes of the events since the last call; every pending event must be covered.
    pub fn verify_hashes(&mut self, position: u64, hashes: &[(u32, ChainHash)]) -> Result<(), ArchiveError> {
        let mut open = std::mem::take(&mut self.pending);
        for (tenant, hash) in hashes {
            let (first, digests) = open.remove(tenant).unwrap_or((position, Vec::new()));
            let previous = self.chain_ends.get(tenant).copied().unwrap_or(GENESIS_HASH);
            if event_chain::next_chain_hash(&previous, position, &digests) != *hash {
                return Err(ArchiveError::BrokenHistory { tenant: *tenant, position: first });
            }
            self.chain_ends.insert(*tenant, *hash);
        }
        match open.into_iter().next() {
            Some((tenant, (position, _))) => Err(ArchiveError::BrokenHistory { tenant, position }),
            None => Ok(()),
        }
    }

    /// Checks a chain's last hash against the stream's end entry.
    pub fn verify_end(&self, tenant: u32, position: u64, link: Option<ChainHash>) -> Result<(), ArchiveError> {
        if self.chain_ends.get(&tenant).copied() == link {
            Ok(())
        } else {
            Err(ArchiveError::BrokenHistory { tenant, position })
        }
    }
}
