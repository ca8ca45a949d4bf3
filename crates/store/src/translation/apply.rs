//! Carries out a change write by write, for engines that read and write in one transaction.

use super::{Known, Read, Write, assumptions_of, reads_of, translate};
use crate::event_row::ChangeContext;
use directory::{Change, Receipt};

/// A transaction in an engine, for one change.
pub trait ChangeTarget {
    type Error: From<serde_json::Error>;
    /// Adds what is stored to `known`.
    fn read(&mut self, wanted: Read, known: &mut Known) -> Result<(), Self::Error>;
    /// Fails with the conflict that the write names.
    fn write(&mut self, write: Write) -> Result<(), Self::Error>;
}

/// Carries out a change. If a write fails, the transaction must be rolled back. `context` is that of the change.
pub fn apply<T: ChangeTarget>(target: &mut T, context: &ChangeContext, change: Change) -> Result<Receipt, T::Error> {
    assumptions_of(&change).into_iter().try_for_each(|write| target.write(write))?;
    let mut receipt = Receipt::default();
    for mutation in change.mutations {
        let mut known = Known::default();
        reads_of(&mutation).into_iter().try_for_each(|wanted| target.read(wanted, &mut known))?;
        let writes = translate(context.tenant, context.at, mutation, &mut known, &mut receipt)?;
        writes.into_iter().try_for_each(|write| target.write(write))?;
    }
    Ok(receipt)
}
