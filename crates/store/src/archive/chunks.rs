//! Splits a stream into chunks that a store writes in one transaction, and groups events with their chain links.

use super::{ArchiveError, Entry, EntrySource, EventEntry, Origin, StreamChainVerifier, Sums, SumsBuilder};
use crate::event_chain::ChainHash;

/// Maximum number of entries in a chunk, and its approximate size in bytes.
const MAX_CHUNK_ENTRIES: usize = 2_000;
const MAX_CHUNK_BYTES: usize = 4 << 20;

#[derive(Default)]
pub struct Chunk {
    /// All entries except events and links, in stream order.
    pub entries: Vec<Entry>,
    pub history: Vec<LinkedEvents>,
    bytes: usize,
}

/// Events that were linked together, and their links by tenant.
pub struct LinkedEvents {
    pub events: Vec<(EventEntry, ChainHash)>,
    pub end: u64,
    pub links: Vec<(u32, ChainHash)>,
}

/// The chunks of a stream, starting after the part that was restored before.
pub struct Chunks<'a> {
    source: &'a mut EntrySource<'a>,
    sums: SumsBuilder,
    /// Set if the links are rebuilt by this engine: they are verified first.
    verifier: Option<StreamChainVerifier>,
    pending: Vec<(EventEntry, ChainHash)>,
}

impl<'a> Chunks<'a> {
    pub fn new(source: &'a mut EntrySource<'a>, origin: &Origin, engine: &str) -> Self {
        let verifier = (origin.engine != engine).then(StreamChainVerifier::default);
        Self { source, sums: SumsBuilder::with_progress(), verifier, pending: Vec::new() }
    }

    /// Whether links are stored as they are, since the stream comes from the same engine.
    pub fn reuses_links(&self) -> bool {
        self.verifier.is_none()
    }

    /// `None` at the end of the stream.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>, ArchiveError> {
        let mut chunk = Chunk::default();
        while chunk.entries.len() + chunk.history.len() < MAX_CHUNK_ENTRIES && chunk.bytes < MAX_CHUNK_BYTES
            || !self.pending.is_empty()
        {
            let Some(entry) = self.source.next().transpose()? else {
                if !self.pending.is_empty() {
                    return Err(ArchiveError::Corrupt("the stream ends within the event history".into()));
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
                if let Some(verifier) = self.verifier.as_mut().filter(|_| !event.is_unchained) {
                    verifier.add_event(&event, &digest);
                }
                self.pending.push((*event, digest));
            }
            Entry::ChainLinks { end, links } => {
                if let Some(verifier) = &mut self.verifier {
                    verifier.verify_hashes(end, &links)?;
                }
                chunk.history.push(LinkedEvents { events: std::mem::take(&mut self.pending), end, links });
            }
            entry => {
                if let (Entry::ChainEnd { tenant, position, link, .. }, Some(verifier)) = (&entry, &self.verifier) {
                    verifier.verify_end(*tenant, *position, *link)?;
                }
                chunk.entries.push(entry);
            }
        }
        Ok(())
    }

    /// Skips what was restored before and passes it to `on_skipped`. Returns false if it is not the start of this
    /// stream.
    pub fn skip(
        &mut self,
        done: u64,
        digest: &[u8],
        mut on_skipped: impl FnMut(Chunk) -> Result<(), ArchiveError>,
    ) -> Result<bool, ArchiveError> {
        while self.sums.entries() < done {
            let mut chunk = Chunk::default();
            while self.sums.entries() < done && chunk.bytes < MAX_CHUNK_BYTES {
                let Some(entry) = self.source.next().transpose()? else { return Ok(false) };
                self.add(entry, &mut chunk)?;
            }
            on_skipped(chunk)?;
        }
        Ok(self.pending.is_empty() && self.sums.stream_digest()[..] == *digest)
    }

    /// The number of entries read so far, and their digest.
    pub fn progress(&self) -> (u64, [u8; 32]) {
        (self.sums.entries(), self.sums.stream_digest())
    }

    pub fn sums(&self) -> Sums {
        self.sums.sums()
    }
}
