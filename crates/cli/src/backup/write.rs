//! Writes a backup to a temporary file, which gets its name when it is complete and on disk.

use super::read::verify;
use super::{BackupError, BackupHeader, MAGIC, Trailer};
use crate::new_file::NewFile;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use store::archive::{ArchiveError, Entry, EntrySink, Sums, SumsBuilder};

/// Zstandard level 1 saves three quarters of the size at the speed of a disk.
const COMPRESSION_LEVEL: i32 = 1;
/// Bytes per chunk between the reading and the writing thread.
pub(super) const CHUNK_SIZE: usize = 1 << 20;
const CHUNK_QUEUE: usize = 8;

/// Writes the entries of `dump` to a new file at `path`, and verifies the file before it gets its name. Calls
/// `on_entry` for each entry.
pub fn write(
    path: &Path,
    header: &BackupHeader,
    dump: impl FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError>,
    on_entry: impl FnMut(&Entry) + Send,
) -> Result<Sums, BackupError> {
    let file = NewFile::create(path)?;
    let (output, sums) = encode(BufWriter::with_capacity(CHUNK_SIZE, file.file()), header, dump, on_entry)?;
    output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    if verify(File::open(file.temp_path())?, || ())?.sums != sums {
        return Err(BackupError::Damaged("the written data differs from the store".into()));
    }
    file.publish()?;
    Ok(sums)
}

/// Writes the entries of `dump` as a backup, and flushes it.
pub(super) fn encode<W: Write + Send>(
    output: W,
    header: &BackupHeader,
    dump: impl FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError>,
    mut on_entry: impl FnMut(&Entry) + Send,
) -> Result<(W, Sums), BackupError> {
    std::thread::scope(|scope| {
        let (sender, chunks) = sync_channel::<StreamChunk>(CHUNK_QUEUE);
        // This thread reads the store; another compresses and writes.
        let writer = scope.spawn(move || compress(output, header, &chunks));
        let mut builder = SumsBuilder::default();
        let mut chunk = Vec::with_capacity(2 * CHUNK_SIZE);
        let mut sink = |entry: Entry| {
            let bytes = entry.encode()?;
            builder.add_encoded(&entry, &bytes);
            on_entry(&entry);
            let length = u32::try_from(bytes.len()).map_err(|_| ArchiveError::Disconnected)?;
            chunk.extend_from_slice(&length.to_le_bytes());
            chunk.extend_from_slice(&bytes);
            if chunk.len() < CHUNK_SIZE {
                return Ok(());
            }
            let full = std::mem::replace(&mut chunk, Vec::with_capacity(2 * CHUNK_SIZE));
            // If this fails, the writing thread has ended and returns its own error.
            sender.send(StreamChunk::More(full)).map_err(|_| ArchiveError::Disconnected)
        };
        let dumped = dump(&mut sink);
        let sums = builder.sums();
        let ended = dumped.and_then(|()| {
            let end = serde_json::to_vec(&Trailer::new(builder.entries(), &sums))?;
            let length = u32::try_from(end.len()).map_err(|_| ArchiveError::Disconnected)?;
            chunk.extend_from_slice(&0_u32.to_le_bytes());
            chunk.extend_from_slice(&length.to_le_bytes());
            chunk.extend_from_slice(&end);
            sender.send(StreamChunk::Last(chunk)).map_err(|_| ArchiveError::Disconnected)
        });
        drop(sender);
        let output = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (ended, output) {
            (Ok(()) | Err(ArchiveError::Disconnected), Err(error)) => Err(error),
            (Err(error), _) => Err(error.into()),
            (Ok(()), Ok(output)) => Ok((output, sums)),
        }
    })
}

enum StreamChunk {
    More(Vec<u8>),
    Last(Vec<u8>),
}

fn compress<W: Write>(output: W, header: &BackupHeader, chunks: &Receiver<StreamChunk>) -> Result<W, BackupError> {
    let mut output = HashingWriter { inner: output, digest: Context::new(&SHA256) };
    output.write_all(MAGIC)?;
    let mut line = serde_json::to_vec(header).map_err(std::io::Error::from)?;
    line.push(b'\n');
    output.write_all(&line)?;
    let mut encoder = zstd::Encoder::new(output, COMPRESSION_LEVEL)?;
    // An interrupted stream lacks the trailer, so it cannot be mistaken for a complete one.
    let mut is_complete = false;
    for chunk in chunks {
        is_complete = matches!(chunk, StreamChunk::Last(_));
        let (StreamChunk::More(bytes) | StreamChunk::Last(bytes)) = chunk;
        encoder.write_all(&bytes)?;
    }
    if !is_complete {
        return Err(ArchiveError::Disconnected.into());
    }
    let HashingWriter { mut inner, digest } = encoder.finish()?;
    inner.write_all(digest.finish().as_ref())?;
    inner.flush()?;
    Ok(inner)
}

/// Hashes everything that is written.
struct HashingWriter<W> {
    inner: W,
    digest: Context,
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
