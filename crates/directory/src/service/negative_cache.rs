//! Keys that recent lookups did not find: domains of emails that belong to no organization.
//!
//! Where a lookup costs a network round trip, a plain create is decided on the assumption that these keys are still
//! absent. The change says so ([`crate::Change::assumed_absent`]), and the store rejects it as stale if one of them
//! exists. That key is then removed here, and the create is decided again.

use crate::{ItemKey, ItemKind, TenantNumber};
use parking_lot::Mutex;
use std::collections::HashSet;

/// At this size, all entries are removed.
const CAPACITY: usize = 10_000;

type CacheKey = (TenantNumber, ItemKind, ItemKey);

#[derive(Default)]
pub(super) struct NegativeCache(Mutex<HashSet<CacheKey>>);

impl NegativeCache {
    pub(super) fn contains(&self, tenant: TenantNumber, kind: ItemKind, key: &ItemKey) -> bool {
        let entries = self.0.lock();
        entries.contains(&(tenant, kind, key.clone()))
    }

    pub(super) fn insert(&self, tenant: TenantNumber, kind: ItemKind, key: ItemKey) {
        let mut entries = self.0.lock();
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert((tenant, kind, key));
    }

    /// Called when this process has added or changed an item.
    pub(super) fn clear_tenant(&self, tenant: TenantNumber) {
        let mut entries = self.0.lock();
        entries.retain(|(of, ..)| *of != tenant);
    }

    pub(super) fn remove_all(&self, tenant: TenantNumber, absent: &[(ItemKind, ItemKey)]) {
        let mut entries = self.0.lock();
        for (kind, key) in absent {
            entries.remove(&(tenant, *kind, key.clone()));
        }
    }
}
