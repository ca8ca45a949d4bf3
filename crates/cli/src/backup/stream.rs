//! Writes a backup to a pipe. It cannot be read back, so it is verified while it is written.

use super::read::{BackupSummary, verify};
use super::write::{CHUNK_SIZE, encode};
use super::{BackupError, BackupHeader, CHECKSUM_LEN};
use std::io::{BufWriter, Cursor, Error, ErrorKind, IntoInnerError, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use store::archive::{ArchiveError, Entry, EntrySink, Sums};

/// Chunks that may wait for verification.
const CHUNK_QUEUE: usize = 4;

/// Writes the entries of `dump` to `output` as a backup; returns their counts and the size in bytes. Calls `on_entry`
/// for each entry.
///
/// A second thread decodes the written data and compares it with the store. The checksum is written only after that,
/// so a backup that fails the check is incomplete and cannot be restored.
pub fn stream<W: Write + Send>(
    output: W,
    about: &BackupHeader,
    dump: impl FnOnce(&mut EntrySink<'_>) -> Result<(), ArchiveError>,
    on_entry: impl FnMut(&Entry) + Send,
) -> Result<(Sums, u64), BackupError> {
    let output = BufWriter::with_capacity(CHUNK_SIZE, VerifyingWriter::new(output));
    let (output, sums) = encode(output, about, dump, on_entry).map_err(map_broken_pipe)?;
    let output = output.into_inner().map_err(|error| map_broken_pipe(IntoInnerError::into_error(error).into()))?;
    let bytes = output.finish(&sums).map_err(map_broken_pipe)?;
    Ok((sums, bytes))
}

fn map_broken_pipe(error: BackupError) -> BackupError {
    match error {
        BackupError::Io(error) if error.kind() == ErrorKind::BrokenPipe => BackupError::PipeClosed,
        other => other,
    }
}

/// Writes a backup except its checksum, and verifies a copy as a restore would.
struct VerifyingWriter<W> {
    output: W,
    tail: Vec<u8>,
    size: u64,
    chunks: SyncSender<Vec<u8>>,
    verifier: Option<JoinHandle<Result<BackupSummary, BackupError>>>,
}

impl<W: Write> VerifyingWriter<W> {
    fn new(output: W) -> Self {
        let (copies, pieces) = sync_channel(CHUNK_QUEUE);
        let check =
            std::thread::spawn(move || verify(ChunkReader { chunks: pieces, current: Cursor::default() }, || ()));
        Self { output, tail: Vec::new(), size: 0, chunks: copies, verifier: Some(check) }
    }

    /// Writes the checksum if the copy is complete and matches the store.
    fn finish(self, sums: &Sums) -> Result<u64, BackupError> {
        let Self { mut output, tail: held, size: bytes, chunks: copies, verifier: check } = self;
        drop(copies);
        let contents = join_verifier(check)?;
        if contents.sums != *sums {
            return Err(BackupError::Damaged("the written data differs from the store".into()));
        }
        output.write_all(&held)?;
        output.flush()?;
        Ok(bytes)
    }
}

fn join_verifier(check: Option<JoinHandle<Result<BackupSummary, BackupError>>>) -> Result<BackupSummary, BackupError> {
    let ended = check.map(|check| check.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
    ended.unwrap_or_else(|| Err(BackupError::Damaged("the written data is invalid".into())))
}

impl<W: Write> Write for VerifyingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.chunks.send(bytes.to_vec()).is_err() {
            // The verifier ended early, so it failed.
            let failed = join_verifier(self.verifier.take()).err();
            return Err(failed.map_or_else(|| ErrorKind::InvalidData.into(), Error::other));
        }
        self.size += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let ready = self.tail.len().saturating_sub(CHECKSUM_LEN);
        self.output.write_all(&self.tail[..ready])?;
        self.tail.drain(..ready);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.output.flush()
    }
}

struct ChunkReader {
    chunks: Receiver<Vec<u8>>,
    current: Cursor<Vec<u8>>,
}

impl Read for ChunkReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        loop {
            let read = self.current.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            match self.chunks.recv() {
                Ok(piece) => self.current = Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> BackupHeader {
        BackupHeader { created: "2026-11-27T21:00:00Z".into(), engine: "sqlite".into(), version: "0.1.0".into() }
    }

    /// A thousand tenants of the same size.
    fn dump(sink: &mut EntrySink<'_>) -> Result<(), ArchiveError> {
        (1..=1000).try_for_each(|tenant| sink(Entry::Tenant { tenant, doc: format!("{{\"n\":{tenant:04}}}") }))
    }

    #[test]
    fn a_stream_is_a_backup() {
        let mut output = Vec::new();
        let (sums, bytes) = stream(&mut output, &about(), dump, |_| ()).expect("written");
        assert_eq!((sums.len(), bytes), (1000, output.len() as u64));
        let contents = verify(&output[..], || ()).expect("complete");
        assert_eq!((contents.sums, contents.entries, contents.header), (sums, 1000, about()));
    }

    /// A change of any byte leaves the backup incomplete.
    #[test]
    fn a_stream_that_fails_the_check_is_left_incomplete() {
        let (whole, sums) = encode(Vec::new(), &about(), dump, |_| ()).expect("written");
        for changed in (0..whole.len()).step_by(whole.len() / 40) {
            let mut corrupted = whole.clone();
            corrupted[changed] ^= 1;
            let mut output = Vec::new();
            let mut writer = VerifyingWriter::new(&mut output);
            let written = corrupted.chunks(100).try_for_each(|piece| writer.write_all(piece));
            let ended = written.map_err(BackupError::Io).and_then(|()| writer.finish(&sums));
            assert!(ended.is_err(), "byte {changed}");
            assert!(output.len() <= whole.len() - CHECKSUM_LEN && whole.len() > CHECKSUM_LEN);
            assert!(verify(&output[..], || ()).is_err(), "byte {changed}");
        }
    }

    /// Inconsistent entries, as from a store without snapshots: they could not be restored, so no backup is created.
    #[test]
    fn entries_that_do_not_fit_together_make_no_backup() {
        let id = [7; 16];
        let user = |number: u32| Entry::User {
            tenant: 1,
            doc: format!(
                "{{\"id\":\"{}\",\"number\":{number},\"organisation\":null}}",
                uuid::Uuid::from_u128(number.into())
            ),
            password: None,
            account: None,
        };
        let group = || Entry::Item {
            tenant: 1,
            doc: format!("{{\"kind\":\"group\",\"id\":\"{}\"}}", uuid::Uuid::from_bytes(id)),
        };
        let members = |numbers: &[u32]| Entry::Members { tenant: 1, item: id, numbers: numbers.to_vec() };
        let folder = tempfile::tempdir().expect("a folder");
        for (is_sound, entries) in [
            (true, vec![group(), user(1), user(2), members(&[1, 2])]),
            (false, vec![group(), user(1), members(&[1, 2])]),
            (false, vec![user(1), user(2), members(&[1, 2])]),
            (false, vec![group(), user(1), user(1), members(&[1])]),
            (false, vec![group(), group(), user(1)]),
        ] {
            let path = folder.path().join("backup");
            let dump = |sink: &mut EntrySink<'_>| entries.iter().cloned().try_for_each(sink);
            let streamed = stream(Vec::new(), &about(), dump, |_| ());
            let written = super::super::write(&path, &about(), dump, |_| ());
            assert_eq!(
                (streamed.is_ok(), written.is_ok(), path.exists()),
                (is_sound, is_sound, is_sound),
                "{entries:?}"
            );
            let left = std::fs::read_dir(folder.path()).expect("read").count();
            assert_eq!(left, usize::from(is_sound), "no temporary file remains");
            drop(std::fs::remove_file(&path));
        }
    }

    #[test]
    fn a_stream_of_something_else_is_left_incomplete() {
        let (whole, mut sums) = encode(Vec::new(), &about(), dump, |_| ()).expect("written");
        sums.remove(&7);
        let mut output = Vec::new();
        let mut writer = VerifyingWriter::new(&mut output);
        writer.write_all(&whole).expect("written");
        assert!(matches!(writer.finish(&sums), Err(BackupError::Damaged(_))));
        assert_eq!(output, whole[..whole.len() - CHECKSUM_LEN]);
    }

    /// An output that is full or closed.
    struct Refusing(ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_output_that_takes_nothing_is_an_error() {
        let closed = stream(Refusing(ErrorKind::BrokenPipe), &about(), dump, |_| ());
        assert!(matches!(closed, Err(BackupError::PipeClosed)));
        let full = stream(Refusing(ErrorKind::StorageFull), &about(), dump, |_| ());
        assert!(matches!(full, Err(BackupError::Io(error)) if error.kind() == ErrorKind::StorageFull));
    }
}
