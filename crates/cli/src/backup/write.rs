//! Writing a backup: beside its name at first, and under it when all of it is on the disk.

use super::read::verify;
use super::{About, BackupError, End, TITLE};
use crate::new_file::NewFile;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use store::archive::{ArchiveError, Entry, EntrySink, Sums, SumsBuilder};

/// How hard it is pressed: three quarters less to write, at the speed of a disk.
const LEVEL: i32 = 1;
/// Bytes on their way from the store to the file, in pieces of so many.
pub(super) const PIECE: usize = 1 << 20;
const PIECES: usize = 8;

/// Makes a backup at `path`, which must not be there yet, from what `dump` gives, and reads it back as a restore would before
/// it gets its name. `seen` hears of each entry.
pub fn write(
    path: &Path,
    about: &About,
    dump: impl FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError>,
    seen: impl FnMut(&Entry) + Send,
) -> Result<Sums, BackupError> {
    let new = NewFile::create(path)?;
    let (output, sums) = encode(BufWriter::with_capacity(PIECE, new.file()), about, dump, seen)?;
    output.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    if verify(File::open(new.part())?, || ())?.sums != sums {
        return Err(BackupError::Damaged("what was written is not what was read from the store".into()));
    }
    new.publish()?;
    Ok(sums)
}

/// Writes a backup from what `dump` gives, and flushes it.
pub(super) fn encode<W: Write + Send>(
    output: W,
    about: &About,
    dump: impl FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError>,
    mut seen: impl FnMut(&Entry) + Send,
) -> Result<(W, Sums), BackupError> {
    std::thread::scope(|scope| {
        let (sender, pieces) = sync_channel::<Piece>(PIECES);
        // One thread reads the store, this one presses and writes.
        let writer = scope.spawn(move || press(output, about, &pieces));
        let mut running = SumsBuilder::default();
        let mut piece = Vec::with_capacity(2 * PIECE);
        let mut sink = |entry: Entry| {
            let bytes = entry.encode()?;
            running.add_encoded(&entry, &bytes);
            seen(&entry);
            let length = u32::try_from(bytes.len()).map_err(|_| ArchiveError::Disconnected)?;
            piece.extend_from_slice(&length.to_le_bytes());
            piece.extend_from_slice(&bytes);
            if piece.len() < PIECE {
                return Ok(());
            }
            let full = std::mem::replace(&mut piece, Vec::with_capacity(2 * PIECE));
            // Whoever does not take it any more says why when it is asked.
            sender.send(Piece::More(full)).map_err(|_| ArchiveError::Disconnected)
        };
        let dumped = dump(&mut sink);
        let sums = running.sums();
        let ended = dumped.and_then(|()| {
            let end = serde_json::to_vec(&End::of(running.entries(), &sums))?;
            let length = u32::try_from(end.len()).map_err(|_| ArchiveError::Disconnected)?;
            piece.extend_from_slice(&0_u32.to_le_bytes());
            piece.extend_from_slice(&length.to_le_bytes());
            piece.extend_from_slice(&end);
            sender.send(Piece::Last(piece)).map_err(|_| ArchiveError::Disconnected)
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

/// Some of the stream.
enum Piece {
    More(Vec<u8>),
    Last(Vec<u8>),
}

fn press<W: Write>(output: W, about: &About, pieces: &Receiver<Piece>) -> Result<W, BackupError> {
    let mut output = Summed { inner: output, sum: Context::new(&SHA256) };
    output.write_all(TITLE)?;
    let mut line = serde_json::to_vec(about).map_err(std::io::Error::from)?;
    line.push(b'\n');
    output.write_all(&line)?;
    let mut pressed = zstd::Encoder::new(output, LEVEL)?;
    // A stream that breaks off lacks its end, and nobody takes it for whole.
    let mut is_whole = false;
    for piece in pieces {
        is_whole = matches!(piece, Piece::Last(_));
        let (Piece::More(bytes) | Piece::Last(bytes)) = piece;
        pressed.write_all(&bytes)?;
    }
    if !is_whole {
        return Err(ArchiveError::Disconnected.into());
    }
    let Summed { mut inner, sum } = pressed.finish()?;
    inner.write_all(sum.finish().as_ref())?;
    inner.flush()?;
    Ok(inner)
}

/// What goes through is summed up.
struct Summed<W> {
    inner: W,
    sum: Context,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}
