//! What a stream came to: how much of everything, and a digest, for each tenant.

use super::{ArchiveError, Entry};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Counts {
    pub users: u64,
    pub items: u64,
    pub memberships: u64,
    pub deleted_users: u64,
    pub connections: u64,
    pub mails: u64,
    pub events: u64,
}

/// What a tenant's part of a stream came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantSums {
    /// How much there is.
    pub counts: Counts,
    /// SHA-256 over all of it but the links of its history, which each engine makes in its own way.
    pub digest: [u8; 32],
}

/// What a stream came to, by tenant; 0 is what belongs to none.
pub type Sums = BTreeMap<u32, TenantSums>;

/// The same while a stream goes by.
#[derive(Clone, Default)]
pub struct SumsBuilder {
    tenants: BTreeMap<u32, (Counts, Sha256)>,
    /// Everything, as it was written, where that is wanted.
    stream_digest: Option<Sha256>,
    entries: u64,
}

impl SumsBuilder {
    /// One that tells how far the stream is, too.
    pub(crate) fn with_progress() -> Self {
        Self { stream_digest: Some(Sha256::new()), ..Self::default() }
    }

    /// Notes the next entry.
    pub fn add(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let bytes = entry.encode()?;
        self.add_encoded(entry, &bytes);
        Ok(())
    }

    /// The same where it is written already.
    pub fn add_encoded(&mut self, entry: &Entry, bytes: &[u8]) {
        if let Some(all) = &mut self.stream_digest {
            all.update((bytes.len() as u64).to_be_bytes());
            all.update(bytes);
        }
        self.entries += 1;
        let tenant = match entry {
            Entry::ChainLinks { .. } | Entry::ChainEnd { .. } => return,
            Entry::Secret { .. } => 0,
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

    /// How many entries went by.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// SHA-256 over everything that went by so far, links too.
    pub(crate) fn stream_digest(&self) -> [u8; 32] {
        self.stream_digest.clone().unwrap_or_default().finalize().into()
    }

    /// What it came to.
    pub fn sums(&self) -> Sums {
        let sums = self.tenants.iter().map(|(tenant, (counts, digest))| {
            (*tenant, TenantSums { counts: *counts, digest: digest.clone().finalize().into() })
        });
        sums.collect()
    }
}
