//! A stream cut into pieces that a store takes as one, with events beside the links they were linked by.

use super::{ArchiveError, Entry, EventEntry, Origin, Proof, Running, Source, Sums};
use crate::chain::Sum;

/// Entries that go into one transaction, and about how many bytes of them.
const MANY: usize = 2_000;
const BYTES: usize = 4 << 20;

/// A piece of a stream.
#[derive(Default)]
pub(crate) struct Chunk {
    /// What is not history, in order.
    pub(crate) entries: Vec<Entry>,
    pub(crate) history: Vec<Linked>,
    bytes: usize,
}

/// Events that were linked together, and the links, by tenant.
pub(crate) struct Linked {
    pub(crate) events: Vec<(EventEntry, Sum)>,
    pub(crate) end: u64,
    pub(crate) links: Vec<(u32, Sum)>,
}

/// The pieces of a stream, from behind what has arrived already.
pub(crate) struct Chunks<'a> {
    source: &'a mut Source<'a>,
    running: Running,
    /// Links are proven where they will not be kept.
    proof: Option<Proof>,
    open: Vec<(EventEntry, Sum)>,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(source: &'a mut Source<'a>, origin: &Origin, engine: &str) -> Self {
        let proof = (origin.engine != engine).then(Proof::default);
        Self { source, running: Running::with_progress(), proof, open: Vec::new() }
    }

    /// Whether links are those of this engine already.
    pub(crate) fn keeps_links(&self) -> bool {
        self.proof.is_none()
    }

    /// The next piece; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>, ArchiveError> {
        let mut chunk = Chunk::default();
        while chunk.entries.len() + chunk.history.len() < MANY && chunk.bytes < BYTES || !self.open.is_empty()
        {
            let Some(entry) = self.source.next().transpose()? else {
                if !self.open.is_empty() {
                    return Err(ArchiveError::Damaged("the history ends in the middle".into()));
                }
                break;
            };
            self.take(entry, &mut chunk)?;
        }
        Ok((!(chunk.entries.is_empty() && chunk.history.is_empty())).then_some(chunk))
    }

    fn take(&mut self, entry: Entry, chunk: &mut Chunk) -> Result<(), ArchiveError> {
        let bytes = entry.encode()?;
        self.running.note_written(&entry, &bytes);
        chunk.bytes += bytes.len();
        match entry {
            Entry::Event(event) => {
                let digest = event.digest();
                if let Some(proof) = self.proof.as_mut().filter(|_| !event.is_older) {
                    proof.event(&event, &digest);
                }
                self.open.push((*event, digest));
            }
            Entry::Links { end, links } => {
                if let Some(proof) = &mut self.proof {
                    proof.links(end, &links)?;
                }
                chunk.history.push(Linked { events: std::mem::take(&mut self.open), end, links });
            }
            entry => {
                if let (Entry::ChainEnd { tenant, position, link, .. }, Some(proof)) = (&entry, &self.proof) {
                    proof.end(*tenant, *position, *link)?;
                }
                chunk.entries.push(entry);
            }
        }
        Ok(())
    }

    /// Goes past what has arrived already; whether it is the beginning of this stream. `heed` sees what is passed over.
    pub(crate) fn skip(
        &mut self,
        done: u64,
        sum: &[u8],
        mut heed: impl FnMut(Chunk),
    ) -> Result<bool, ArchiveError> {
        while self.running.entries() < done {
            let mut chunk = Chunk::default();
            while self.running.entries() < done && chunk.bytes < BYTES {
                let Some(entry) = self.source.next().transpose()? else { return Ok(false) };
                self.take(entry, &mut chunk)?;
            }
            heed(chunk);
        }
        Ok(self.open.is_empty() && self.running.so_far()[..] == *sum)
    }

    /// How many entries went by, and their digest.
    pub(crate) fn done(&self) -> (u64, [u8; 32]) {
        (self.running.entries(), self.running.so_far())
    }

    pub(crate) fn sums(&self) -> Sums {
        self.running.sums()
    }
}
