//! What was looked for lately and was not there: domains of e-mails that belong to no organisation.
//!
//! Where looking something up costs a way to another machine, a plain create is decided as if these were still not
//! there, and the change says so ([`crate::UserDiff::absent`]): the store carries it out only if it is so. What turns out
//! to be there after all is forgotten here, and the create is decided again.

use crate::{ItemKey, ItemKind, TenantNumber};
use parking_lot::Mutex;
use std::collections::HashSet;

/// How many are remembered; more, and all are forgotten.
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

    /// This process has brought something new.
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
