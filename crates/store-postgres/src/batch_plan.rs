//! Plans a batch without I/O: translates its changes, and collects their rows, preconditions and receipts.

use super::batch_rows::BatchRows;
use super::preconditions::{ChangePrecondition, Precondition, preconditions_of};
use directory::{Change, CommitError, Receipt, TenantNumber};
use std::collections::HashSet;
use store::event_row::ChangeContext;
use store::translation::{Encoded, Known, Write, assumptions_of, created_id, translate};
use uuid::Uuid;

pub(super) struct BatchPlan {
    pub(super) rows: BatchRows,
    /// In the order in which violations are reported.
    pub(super) preconditions: Vec<ChangePrecondition>,
    pub(super) receipts: Vec<Receipt>,
    /// What the batch itself creates and releases; it need not exist or be free beforehand.
    created: HashSet<Uuid>,
    released: HashSet<Key>,
    /// Keys that the change being planned has claimed.
    claimed: HashSet<Key>,
}

/// Tenant, namespace and text of a unique key.
type Key = (TenantNumber, u8, String);

pub(super) fn plan_batch<'a>(
    id: Uuid,
    changes: impl Iterator<Item = &'a Change>,
    known: &mut Known,
) -> Encoded<BatchPlan> {
    let mut plan = BatchPlan {
        rows: BatchRows::new(id),
        preconditions: Vec::new(),
        receipts: Vec::new(),
        created: HashSet::new(),
        released: HashSet::new(),
        claimed: HashSet::new(),
    };
    for change in changes {
        plan.claimed.clear();
        let receipt = plan.change(change, known)?;
        plan.receipts.push(receipt);
    }
    Ok(plan)
}

impl BatchPlan {
    fn change(&mut self, change: &Change, known: &mut Known) -> Encoded<Receipt> {
        let context = ChangeContext::of(change);
        let mut receipt = Receipt::default();
        for write in assumptions_of(change) {
            self.write(&context, write)?;
        }
        for mutation in &change.mutations {
            for write in translate(context.tenant, context.at, mutation.clone(), known, &mut receipt)? {
                self.write(&context, write)?;
            }
        }
        Ok(receipt)
    }

    fn write(&mut self, context: &ChangeContext, write: Write) -> Encoded {
        let tenant = context.tenant;
        let write = match write {
            Write::AddKey(key, owner) => {
                if self.claimed.insert((tenant, key.namespace, key.text.clone())) {
                    Write::AddKey(key, owner)
                } else {
                    // The change itself uses the key twice. Its row would abort the transaction too early.
                    Write::Fail(CommitError::Taken(key.field))
                }
            }
            other => other,
        };
        for precondition in preconditions_of(&write) {
            let is_met = match &precondition {
                Precondition::ItemExists(id) => self.created.contains(id),
                Precondition::KeyFree(key) => self.released.contains(&(tenant, key.namespace, key.text.clone())),
                _ => false,
            };
            if !is_met {
                self.preconditions.push(ChangePrecondition { change: self.receipts.len(), tenant, precondition });
            }
        }
        if let Write::RemoveKey(key, _) = &write {
            self.released.insert((tenant, key.namespace, key.text.clone()));
        }
        self.created.extend(created_id(&write));
        self.rows.push(tenant, write, Some(context))
    }
}
