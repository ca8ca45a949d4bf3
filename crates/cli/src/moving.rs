//! A whole store on its way to another place: out of one engine or a backup, into the other.

use crate::backup::Backup;
use adapters::redacted_location;
use adapters::{Engine, ExclusiveStore, StoreSettings};
use anyhow::{Context, bail};
use std::sync::mpsc::{Receiver, sync_channel};
use store::archive::{ArchiveError, Entry, EntrySource, Origin, Sums};

/// Entries handed over at a time, and how many such parcels may be under way.
const PARCEL: usize = 500;
const PARCELS: usize = 8;

type Parcel = Result<Vec<Entry>, ArchiveError>;

/// Moves everything from one store into another, which is empty or was begun to be filled from the same one. What has
/// arrived is read back and compared; so is the source, which must not have changed meanwhile. `seen` hears of each entry.
pub(crate) fn carry(
    from: &StoreSettings,
    to: &StoreSettings,
    seen: &mut (dyn FnMut() + Send),
) -> anyhow::Result<Sums> {
    if from.location == to.location {
        bail!("a store cannot be moved to where it is");
    }
    let origin = Origin { engine: Engine::engine_name(from).into(), name: redacted_location(&from.location) };
    // Changes of another process would be lost.
    let (source, target) = (ExclusiveStore::open_existing(from)?, ExclusiveStore::open_target(to)?);
    let mut again = true;
    let sent = loop {
        let (sender, parcels) = sync_channel::<Parcel>(PARCELS);
        let source = &source;
        let filled = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut parcel = Vec::with_capacity(PARCEL);
                let dumped = source.dump(&mut |entry| {
                    parcel.push(entry);
                    if parcel.len() < PARCEL {
                        return Ok(());
                    }
                    let full = std::mem::replace(&mut parcel, Vec::with_capacity(PARCEL));
                    sender.send(Ok(full)).map_err(|_| ArchiveError::Disconnected)
                });
                // Whoever does not take it any more says why.
                drop(sender.send(dumped.map(|()| parcel)));
            });
            let mut entries = Unpacked { parcels, open: Vec::new().into_iter() }.inspect(|_| seen());
            let entries: &mut EntrySource<'_> = &mut entries;
            target.restore(&origin, entries)
        });
        match filled {
            Err(ArchiveError::OriginChanged) if std::mem::take(&mut again) => {}
            done => break done?,
        }
    };
    arrived(&target, &sent)?;
    if sums(&source)? != sent {
        bail!(
            "{} was changed while it was moved: stop what works with it and move again; what has arrived is not used",
            redacted_location(&from.location)
        );
    }
    target.finish_restore()?;
    Ok(sent)
}

/// Fills a store from a backup that was found sound.
pub(crate) fn restore(
    backup: &Backup,
    name: &str,
    to: &StoreSettings,
    seen: &mut (dyn FnMut() + Send),
) -> anyhow::Result<Sums> {
    let origin = Origin {
        engine: backup.contents.about.engine.clone(),
        name: format!("{name} of {}", backup.contents.about.made),
    };
    let target = ExclusiveStore::open_target(to)?;
    let mut again = true;
    let sent = loop {
        let mut entries = backup.entries()?.inspect(|_| seen());
        match target.restore(&origin, &mut entries) {
            Err(ArchiveError::OriginChanged) if std::mem::take(&mut again) => {}
            done => break done?,
        }
    };
    if sent != backup.contents.sums {
        bail!("the backup was changed while it was read; what has arrived is not used");
    }
    arrived(&target, &sent)?;
    target.finish_restore()?;
    Ok(sent)
}

/// What is in a store must be what was sent to it.
fn arrived(target: &ExclusiveStore, sent: &Sums) -> anyhow::Result<()> {
    let found = target.read_back_sums().context("what has arrived cannot be read back")?;
    if found == *sent {
        return Ok(());
    }
    let differs = |tenant: &&u32| found.get(tenant) != sent.get(tenant);
    let which: Vec<String> = sent.keys().chain(found.keys()).filter(differs).map(u32::to_string).collect();
    bail!("what has arrived of tenant {} is not what was sent; it is not used", which.join(", "))
}

/// What a store comes to, read from it.
fn sums(store: &ExclusiveStore) -> anyhow::Result<Sums> {
    let mut running = store::archive::SumsBuilder::default();
    store.dump(&mut |entry| running.add(&entry))?;
    Ok(running.sums())
}

/// Entries, one after the other, as their parcels come in.
struct Unpacked {
    parcels: Receiver<Parcel>,
    open: std::vec::IntoIter<Entry>,
}

impl Iterator for Unpacked {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.open.next() {
                return Some(Ok(entry));
            }
            match self.parcels.recv() {
                Ok(Ok(parcel)) => self.open = parcel.into_iter(),
                Ok(Err(error)) => return Some(Err(error)),
                Err(_) => return None,
            }
        }
    }
}
