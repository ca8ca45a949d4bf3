//! Fills an empty store from a stream, chunk by chunk. The store records the progress, and nobody can open it before the
//! end.

use super::{ArchiveError, Chunk, Chunks, EntrySource, Origin, Sums};

/// An unfinished restore: how many entries were restored, and their digest.
pub struct RestoreProgress {
    pub origin: String,
    pub done: u64,
    pub digest: Vec<u8>,
}

/// A store that is being filled.
#[expect(async_fn_in_trait, reason = "polled where it is called, never sent to another thread")]
pub trait RestoreTarget {
    /// Links of the history are stored as they are if the stream comes from the same engine.
    const ENGINE: &'static str;
    /// `None` if no restore is in progress.
    async fn progress(&mut self) -> Result<Option<RestoreProgress>, ArchiveError>;
    async fn has_tenants(&mut self) -> Result<bool, ArchiveError>;
    /// Empties the store and marks it as being restored.
    async fn begin(&mut self, origin: &Origin) -> Result<(), ArchiveError>;
    /// Collects what later chunks need from a chunk that was restored before.
    fn skip(&mut self, chunk: Chunk) -> Result<(), ArchiveError>;
    /// Called once after the last skipped chunk.
    async fn resume(&mut self) -> Result<(), ArchiveError>;
    /// Writes a chunk and the progress in one transaction. Returns false, and writes nothing, if the progress before it
    /// is not as expected.
    async fn write(
        &mut self,
        chunk: Chunk,
        keeps_links: bool,
        expected: u64,
        progress: (u64, [u8; 32]),
    ) -> Result<bool, ArchiveError>;
}

/// Restores a stream, and continues an interrupted restore if it is the same stream. `place` is the name of the target.
pub async fn restore<T: RestoreTarget>(
    target: &mut T,
    place: String,
    origin: &Origin,
    source: &mut EntrySource<'_>,
) -> Result<Sums, ArchiveError> {
    let begun = target.progress().await?;
    if begun.is_none() && target.has_tenants().await? {
        return Err(ArchiveError::NotEmpty(place));
    }
    let mut chunks = Chunks::new(source, origin, T::ENGINE);
    match begun.filter(|begun| begun.done > 0 && begun.origin == origin.name) {
        Some(begun) => {
            if !chunks.skip(begun.done, &begun.digest, |chunk| target.skip(chunk))? {
                // The source has changed meanwhile; the next attempt starts over.
                target.begin(origin).await?;
                return Err(ArchiveError::OriginChanged);
            }
            target.resume().await?;
        }
        None => target.begin(origin).await?,
    }
    loop {
        let before = chunks.progress().0;
        let Some(chunk) = chunks.next()? else { return Ok(chunks.sums()) };
        if !target.write(chunk, chunks.reuses_links(), before, chunks.progress()).await? {
            return Err(ArchiveError::Store("another process is restoring into this store".into()));
        }
    }
}
