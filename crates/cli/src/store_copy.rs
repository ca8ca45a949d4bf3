//! Copies a whole store: from another store or a backup into an empty one.

use crate::backup::Backup;
use adapters::{ExclusiveStore, OpenMode, StoreSettings, redacted_location};
use anyhow::{Context, bail};
use std::sync::mpsc::{Receiver, sync_channel};
use store::archive::{ArchiveError, Entry, EntrySource, Origin, Sums};

/// Entries per batch, and how many batches may be queued.
const BATCH_SIZE: usize = 500;
const BATCH_QUEUE: usize = 8;

type EntryBatch = Result<Vec<Entry>, ArchiveError>;

/// Copies a store into another one, which is empty or partly filled from the same source. Then reads both again: the
/// target to verify the copy, the source to detect changes during it. Calls `on_entry` for each entry.
pub(crate) fn copy_store(
    from: &StoreSettings,
    to: &StoreSettings,
    on_entry: &mut (dyn FnMut() + Send),
) -> anyhow::Result<Sums> {
    if from.location == to.location {
        bail!("--from and --to are the same store");
    }
    let (from_engine, to_engine) = (from.engine()?, to.engine()?);
    let origin = Origin { engine: from_engine.name().into(), name: redacted_location(&from.location) };
    // Lock both stores: changes of another process would be lost.
    let (source, target) = (from_engine.acquire(OpenMode::Existing)?, to_engine.acquire(OpenMode::Create)?);
    let mut may_retry = true;
    let source_sums = loop {
        let (sender, batches) = sync_channel::<EntryBatch>(BATCH_QUEUE);
        let source = &*source;
        let filled = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut batch = Vec::with_capacity(BATCH_SIZE);
                let dumped = source.dump(&mut |entry| {
                    batch.push(entry);
                    if batch.len() < BATCH_SIZE {
                        return Ok(());
                    }
                    let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH_SIZE));
                    sender.send(Ok(full)).map_err(|_| ArchiveError::Disconnected)
                });
                // If this fails, the receiver has ended and returns its own error.
                drop(sender.send(dumped.map(|()| batch)));
            });
            let mut entries = BatchEntries { batches, current: Vec::new().into_iter() }.inspect(|_| on_entry());
            let entries: &mut EntrySource<'_> = &mut entries;
            target.restore(&origin, entries)
        });
        match filled {
            // The target held a part of another source and was emptied: start over once.
            Err(ArchiveError::OriginChanged) if std::mem::take(&mut may_retry) => {}
            done => break done?,
        }
    };
    verify_copy(&*target, &source_sums)?;
    if compute_sums(&*source)? != source_sums {
        bail!(
            "{} was changed during the move; stop all processes that use it and try again (the target cannot be used: delete it)",
            redacted_location(&from.location)
        );
    }
    target.finish_restore()?;
    Ok(source_sums)
}

pub(crate) fn restore_backup(
    backup: &Backup,
    name: &str,
    to: &StoreSettings,
    on_entry: &mut (dyn FnMut() + Send),
) -> anyhow::Result<Sums> {
    let origin = Origin {
        engine: backup.summary.header.engine.clone(),
        name: format!("{name} of {}", backup.summary.header.created),
    };
    let target = to.engine()?.acquire(OpenMode::Create)?;
    let mut may_retry = true;
    let source_sums = loop {
        let mut entries = backup.entries()?.inspect(|_| on_entry());
        match target.restore(&origin, &mut entries) {
            Err(ArchiveError::OriginChanged) if std::mem::take(&mut may_retry) => {}
            done => break done?,
        }
    };
    if source_sums != backup.summary.sums {
        bail!("the backup was changed while it was read; the target cannot be used: delete it and try again");
    }
    verify_copy(&*target, &source_sums)?;
    target.finish_restore()?;
    Ok(source_sums)
}

/// Compares the target's data with what was sent.
fn verify_copy(target: &dyn ExclusiveStore, source_sums: &Sums) -> anyhow::Result<()> {
    let target_sums = target.read_back_sums().context("cannot read back the target")?;
    if target_sums == *source_sums {
        return Ok(());
    }
    let differs = |tenant: &&u32| target_sums.get(tenant) != source_sums.get(tenant);
    let tenants: Vec<String> =
        source_sums.keys().chain(target_sums.keys()).filter(differs).map(u32::to_string).collect();
    let tenants = tenants.join(", ");
    bail!("the copied data of tenant {tenants} differs from the source; delete the target and try again")
}

fn compute_sums(store: &dyn ExclusiveStore) -> anyhow::Result<Sums> {
    let mut running = store::archive::SumsBuilder::default();
    store.dump(&mut |entry| running.add(&entry))?;
    Ok(running.sums())
}

struct BatchEntries {
    batches: Receiver<EntryBatch>,
    current: std::vec::IntoIter<Entry>,
}

impl Iterator for BatchEntries {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.current.next() {
                return Some(Ok(entry));
            }
            match self.batches.recv() {
                Ok(Ok(batch)) => self.current = batch.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => return None,
            }
        }
    }
}
