//! What was looked for lately and was not there: domains of e-mails that belong to no organisation.
//!
//! Where looking something up costs a way to another machine, a plain create is decided as if these were still not
//! there, and the change says so ([`crate::Change::absent`]): the store carries it out only if it is so. What turns out
//! to be there after all is forgotten here, and the create is decided again.

use crate::{ItemKey, ItemKind, TenantNumber};
use parking_lot::Mutex;
use std::collections::HashSet;

/// How many are remembered; more, and all are forgotten.
const MANY: usize = 10_000;

type Absent = (TenantNumber, ItemKind, ItemKey);

#[derive(Default)]
pub(super) struct Absences(Mutex<HashSet<Absent>>);

impl Absences {
    pub(super) fn holds(&self, tenant: TenantNumber, kind: ItemKind, key: &ItemKey) -> bool {
        let known = self.0.lock();
        known.contains(&(tenant, kind, key.clone()))
    }

    pub(super) fn note(&self, tenant: TenantNumber, kind: ItemKind, key: ItemKey) {
        let mut known = self.0.lock();
        if known.len() >= MANY {
            known.clear();
        }
        known.insert((tenant, kind, key));
    }

    /// This process has brought something new.
    pub(super) fn forget_all_of(&self, tenant: TenantNumber) {
        let mut known = self.0.lock();
        known.retain(|(of, ..)| *of != tenant);
    }

    pub(super) fn forget(&self, tenant: TenantNumber, absent: &[(ItemKind, ItemKey)]) {
        let mut known = self.0.lock();
        for (kind, key) in absent {
            known.remove(&(tenant, *kind, key.clone()));
        }
    }
}
