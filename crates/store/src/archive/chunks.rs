//! A stream cut into pieces that a store takes as one, with events beside the links they were linked by.

use super::{ArchiveError, Entry, EntrySource, EventEntry, Origin, StreamChainVerifier, Sums, SumsBuilder};
use crate::event_chain::ChainHash;

/// Entries that go into one transaction, and about how many bytes of them.
const MAX_CHUNK_ENTRIES: usize = 2_000;
const MAX_CHUNK_BYTES: usize = 4 << 20;

/// A piece of a stream.
#[derive(Default)]
pub(crate) struct Chunk {
    /// What is not history, in order.
    pub(crate) entries: Vec<Entry>,
    pub(crate) history: Vec<LinkedEvents>,
    bytes: usize,
}

/// Events that were linked together, and the links, by tenant.
pub(crate) struct LinkedEvents {
    pub(crate) events: Vec<(EventEntry, ChainHash)>,
    pub(crate) end: u64,
    pub(crate) links: Vec<(u32, ChainHash)>,
}

/// The pieces of a stream, from behind what has arrived already.
pub(crate) struct Chunks<'a> {
    source: &'a mut EntrySource<'a>,
    sums: SumsBuilder,
    /// Links are proven where they will not be kept.
    verifier: Option<StreamChainVerifier>,
    pending: Vec<(EventEntry, ChainHash)>,
}

impl<'a> Chunks<'a> {
    pub(crate) fn new(source: &'a mut EntrySource<'a>, origin: &Origin, engine: &str) -> Self {
        let proof = (origin.engine != engine).then(StreamChainVerifier::default);
        Self { source, sums: SumsBuilder::with_progress(), verifier: proof, pending: Vec::new() }
    }

    /// Whether links are those of this engine already.
    pub(crate) fn reuses_links(&self) -> bool {
        self.verifier.is_none()
    }

    /// The next piece; nothing at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Chunk>, ArchiveError> {
        let mut chunk = Chunk::default();
        while chunk.entries.len() + chunk.history.len() < MAX_CHUNK_ENTRIES && chunk.bytes < MAX_CHUNK_BYTES
            || !self.pending.is_empty()
        {
            let Some(entry) = self.source.next().transpose()? else {
                if !self.pending.is_empty() {
                    return Err(ArchiveError::Corrupt("the history ends in the middle".into()));
                }
                break;
            };
            self.add(entry, &mut chunk)?;
        }
        Ok((!(chunk.entries.is_empty() && chunk.history.is_empty())).then_some(chunk))
    }

    fn add(&mut self, entry: Entry, chunk: &mut Chunk) -> Result<(), ArchiveError> {
        let bytes = entry.encode()?;
        self.sums.add_encoded(&entry, &bytes);
        chunk.bytes += bytes.len();
        match entry {
            Entry::Event(event) => {
                let digest = event.digest();
                if let Some(proof) = self.verifier.as_mut().filter(|_| !event.is_unchained) {
                    proof.add_event(&event, &digest);
                }
                self.pending.push((*event, digest));
            }
            Entry::ChainLinks { end, links } => {
                if let Some(proof) = &mut self.verifier {
                    proof.verify_links(end, &links)?;
                }
                chunk.history.push(LinkedEvents { events: std::mem::take(&mut self.pending), end, links });
            }
            entry => {
                if let (Entry::ChainEnd { tenant, position, link, .. }, Some(proof)) = (&entry, &self.verifier) {
                    proof.verify_end(*tenant, *position, *link)?;
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
        digest: &[u8],
        mut on_skipped: impl FnMut(Chunk),
    ) -> Result<bool, ArchiveError> {
        while self.sums.entries() < done {
            let mut chunk = Chunk::default();
            while self.sums.entries() < done && chunk.bytes < MAX_CHUNK_BYTES {
                let Some(entry) = self.source.next().transpose()? else { return Ok(false) };
                self.add(entry, &mut chunk)?;
            }
            on_skipped(chunk);
        }
        Ok(self.pending.is_empty() && self.sums.stream_digest()[..] == *digest)
    }

    /// How many entries went by, and their digest.
    pub(crate) fn progress(&self) -> (u64, [u8; 32]) {
        (self.sums.entries(), self.sums.stream_digest())
    }

    pub(crate) fn sums(&self) -> Sums {
        self.sums.sums()
    }
}
