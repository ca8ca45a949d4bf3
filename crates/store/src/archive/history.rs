//! The links of a history on its way to another engine: proven, since they are made anew there.

use super::{ArchiveError, EventEntry};
use crate::chain::{self, START, Stored, Sum};
use std::collections::HashMap;

impl EventEntry {
    /// The digest of all of it.
    pub(crate) fn digest(&self) -> Sum {
        Stored {
            tenant: self.tenant,
            at: self.at,
            connection: self.connection.as_ref().map(|id| &id[..]),
            who: &self.who,
            request: &self.request,
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
pub(crate) struct Proof {
    ends: HashMap<u32, Sum>,
    /// Digests of the events that no links have followed yet, with the first position of each tenant.
    open: HashMap<u32, (u64, Vec<Sum>)>,
}

impl Proof {
    /// An event that is to be linked.
    pub(crate) fn event(&mut self, event: &EventEntry, digest: &Sum) {
        self.open.entry(event.tenant).or_insert((event.position, Vec::new())).1.push(*digest);
    }

    /// The links of the events since: they must be what those events make, and none must be without.
    pub(crate) fn links(&mut self, end: u64, links: &[(u32, Sum)]) -> Result<(), ArchiveError> {
        let mut open = std::mem::take(&mut self.open);
        for (tenant, link) in links {
            let (first, digests) = open.remove(tenant).unwrap_or((end, Vec::new()));
            let before = self.ends.get(tenant).copied().unwrap_or(START);
            if chain::link(&before, end, &digests) != *link {
                return Err(ArchiveError::BrokenHistory { tenant: *tenant, position: first });
            }
            self.ends.insert(*tenant, *link);
        }
        match open.into_iter().next() {
            Some((tenant, (position, _))) => Err(ArchiveError::BrokenHistory { tenant, position }),
            None => Ok(()),
        }
    }

    /// Where a chain is said to end must be where it ended.
    pub(crate) fn end(&self, tenant: u32, position: u64, link: Option<Sum>) -> Result<(), ArchiveError> {
        if self.ends.get(&tenant).copied() == link {
            Ok(())
        } else {
            Err(ArchiveError::BrokenHistory { tenant, position })
        }
    }
}
