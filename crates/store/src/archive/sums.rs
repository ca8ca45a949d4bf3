//! Counts and a digest for each tenant of a stream, to compare stores.

use super::{ArchiveError, Entry};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub users: u64,
    pub items: u64,
    pub memberships: u64,
    pub deleted_users: u64,
    pub connections: u64,
    pub mails: u64,
    pub events: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSums {
    pub counts: Counts,
    /// SHA-256 over all entries except chain links, which differ between engines.
    pub digest: [u8; 32],
}

/// By tenant; 0 has the entries that belong to no tenant.
pub type Sums = BTreeMap<u32, TenantSums>;

/// Computes [`Sums`] while a stream passes.
#[derive(Clone, Default)]
pub struct SumsBuilder {
    tenants: BTreeMap<u32, (Counts, Sha256)>,
    /// Over all entries as encoded, if the progress of a restore is needed.
    stream_digest: Option<Sha256>,
    entries: u64,
}

impl SumsBuilder {
    /// Also computes the digest of the stream so far, which identifies the progress of a restore.
    pub fn with_progress() -> Self {
        Self { stream_digest: Some(Sha256::new()), ..Self::default() }
    }

    pub fn add(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let bytes = entry.encode()?;
        self.add_encoded(entry, &bytes);
        Ok(())
    }

    /// Adds an entry that is encoded already.
    pub fn add_encoded(&mut self, entry: &Entry, bytes: &[u8]) {
        if let Some(all) = &mut self.stream_digest {
            all.update((bytes.len() as u64).to_be_bytes());
            all.update(bytes);
        }
        self.entries += 1;
        let tenant = match entry {
            Entry::ChainLinks { .. } | Entry::ChainEnd { .. } => return,
            // The digest of the installation includes the rows of all tenants.
            Entry::Secret { .. } | Entry::Row { .. } => 0,
            Entry::Event(event) => event.tenant,
            Entry::Tenant { tenant, .. }
            | Entry::Connection { tenant, .. }
            | Entry::Item { tenant, .. }
            | Entry::User { tenant, .. }
            | Entry::Tombstone { tenant, .. }
            | Entry::Members { tenant, .. }
            | Entry::Mail { tenant, .. }
            | Entry::Counter { tenant, .. } => *tenant,
        };
        let (counts, digest) = self.tenants.entry(tenant).or_default();
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
        match entry {
            Entry::User { .. } => counts.users += 1,
            Entry::Item { .. } => counts.items += 1,
            Entry::Members { numbers, .. } => counts.memberships += numbers.len() as u64,
            Entry::Tombstone { .. } => counts.deleted_users += 1,
            Entry::Connection { .. } => counts.connections += 1,
            Entry::Mail { .. } => counts.mails += 1,
            Entry::Event(_) => counts.events += 1,
            _ => {}
        }
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// SHA-256 over all entries so far, including chain links.
    pub fn stream_digest(&self) -> [u8; 32] {
        self.stream_digest.clone().unwrap_or_default().finalize().into()
    }

    pub fn sums(&self) -> Sums {
        let sums = self.tenants.iter().map(|(tenant, (counts, digest))| {
            (*tenant, TenantSums { counts: *counts, digest: digest.clone().finalize().into() })
        });
        sums.collect()
    }
}
