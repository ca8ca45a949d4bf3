//! Reads a backup: once to verify it completely, and again to use it.

use super::{
    AGE_MAGIC, BackupError, BackupHeader, CHECKSUM_LEN, MAGIC, MAGIC_V1, MAX_ENTRY_LEN, MAX_HEADER_LEN, Trailer,
};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use store::archive::{ArchiveError, ConsistencyChecker, Entry, Sums, SumsBuilder};

pub struct BackupSummary {
    pub header: BackupHeader,
    /// Counts and digests by tenant, after an upgrade of the entries to this version.
    pub sums: Sums,
    pub entries: u64,
}

/// A verified backup.
pub struct Backup {
    pub summary: BackupSummary,
    file: File,
}

impl Backup {
    /// Verifies the backup. Calls `on_entry` for each entry.
    pub fn open(file: File, on_entry: impl FnMut()) -> Result<Self, BackupError> {
        Ok(Self { summary: verify(&file, on_entry)?, file })
    }

    /// Verifies a backup that can be read only once, and stores it in `spool`. Other data is rejected at its first
    /// bytes, so that it cannot fill the disk.
    pub fn open_pipe(input: impl Read, spool: File, on_entry: impl FnMut()) -> Result<Self, BackupError> {
        let mut failed = None;
        let summary = verify(TeeReader { input, spool: &spool, write_error: &mut failed }, on_entry);
        match failed {
            Some(error) => Err(BackupError::Spool(error)),
            None => Ok(Self { summary: summary?, file: spool }),
        }
    }

    /// Reads the entries again.
    pub fn entries(&self) -> Result<Entries<&File>, BackupError> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(open_stream(file)?.1)
    }
}

/// Reads a backup to its end and verifies checksum, counts and digests. Calls `on_entry` for each entry.
pub fn verify(input: impl Read, mut on_entry: impl FnMut()) -> Result<BackupSummary, BackupError> {
    let (header, mut entries) = open_stream(input)?;
    let (mut running, mut consistency) = (SumsBuilder::default(), Ok(ConsistencyChecker::default()));
    let mut upgraded = entries.is_v1.then(SumsBuilder::default);
    while let Some((entry, bytes)) = entries.read_entry()? {
        running.add_encoded(&entry, &bytes);
        consistency = consistency.and_then(|mut consistency: ConsistencyChecker| {
            consistency.check(&entry)?;
            Ok(consistency)
        });
        if let Some(upgraded) = &mut upgraded {
            upgraded.add(&entry.upgraded())?;
        }
        on_entry();
    }
    let (sums, count) = (running.sums(), running.entries());
    let end = entries.trailer.take().ok_or_else(|| BackupError::Damaged("its trailer is missing".into()))?;
    let expected: Trailer = serde_json::from_slice(&end).map_err(|error| BackupError::Damaged(error.to_string()))?;
    let actual = serde_json::to_value(Trailer::new(count, &sums)).ok();
    if serde_json::to_value(expected).ok() != actual {
        return Err(BackupError::Damaged("its entries do not match its trailer".into()));
    }
    entries.verify_checksum()?;
    // Check this after the checksum: in a damaged file, missing references are only a consequence.
    consistency.map_err(|error: ArchiveError| BackupError::Damaged(error.to_string()))?;
    let sums = upgraded.map_or(sums, |upgraded| upgraded.sums());
    Ok(BackupSummary { header, sums, entries: count })
}

pub struct Entries<R: Read> {
    decoder: zstd::Decoder<'static, BufReader<HashingReader<R>>>,
    /// The format of Muster 0.1.0.
    is_v1: bool,
    /// Set at the end of the stream.
    trailer: Option<Vec<u8>>,
}

fn open_stream<R: Read>(input: R) -> Result<(BackupHeader, Entries<R>), BackupError> {
    let summed = HashingReader { inner: input, digest: Context::new(&SHA256), tail: Vec::new() };
    let mut input = BufReader::with_capacity(1 << 17, summed);
    let mut magic = Vec::new();
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut magic).map_err(read_error)?;
    let is_v1 = magic == MAGIC_V1;
    if magic != MAGIC && !is_v1 {
        return Err(unrecognized(&magic, input));
    }
    let mut line = Vec::new();
    input.by_ref().take(MAX_HEADER_LEN as u64).read_until(b'\n', &mut line).map_err(read_error)?;
    let header = serde_json::from_slice(&line).map_err(|error| BackupError::Damaged(error.to_string()))?;
    let decoder = zstd::Decoder::with_buffer(input).map_err(read_error)?.single_frame();
    Ok((header, Entries { decoder, is_v1, trailer: None }))
}

/// The error for a file that starts with `magic`.
fn unrecognized(magic: &[u8], rest: impl Read) -> BackupError {
    let prefix_len = MAGIC.len() - 2;
    if magic.get(..prefix_len) == MAGIC.get(..prefix_len) {
        return BackupError::NewerVersion;
    }
    let mut start = magic.to_vec();
    let longest = AGE_MAGIC.iter().map(|magic| magic.len()).max().unwrap_or_default();
    let missing = longest.saturating_sub(start.len()) as u64;
    if let Err(error) = rest.take(missing).read_to_end(&mut start) {
        return read_error(error);
    }
    let is_encrypted = AGE_MAGIC.iter().any(|magic| start.starts_with(magic));
    if is_encrypted { BackupError::Encrypted } else { BackupError::NotABackup }
}

/// Truncated or undecodable files are damaged; errors of the operating system are not.
fn read_error(error: std::io::Error) -> BackupError {
    if error.raw_os_error().is_some() { error.into() } else { BackupError::Damaged(error.to_string()) }
}

impl<R: Read> Entries<R> {
    fn read_length(&mut self) -> Result<usize, BackupError> {
        let mut length = [0; 4];
        self.decoder.read_exact(&mut length).map_err(read_error)?;
        Ok(usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX))
    }

    fn read_bytes(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        if length > MAX_ENTRY_LEN {
            return Err(BackupError::Damaged("an entry is too long".into()));
        }
        let mut bytes = Vec::new();
        // `take` limits the memory to the data that exists, even if the length is wrong.
        self.decoder.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(read_error)?;
        if bytes.len() < length {
            return Err(BackupError::Damaged("it is truncated".into()));
        }
        Ok(bytes)
    }

    fn read_entry(&mut self) -> Result<Option<(Entry, Vec<u8>)>, BackupError> {
        if self.trailer.is_some() {
            return Ok(None);
        }
        match self.read_length()? {
            0 => {
                let length = self.read_length()?;
                self.trailer = Some(self.read_bytes(length)?);
                Ok(None)
            }
            length => {
                let bytes = self.read_bytes(length)?;
                let entry = Entry::decode(&bytes).map_err(|error| BackupError::Damaged(error.to_string()))?;
                Ok(Some((entry, bytes)))
            }
        }
    }

    /// Requires that only a correct checksum follows.
    fn verify_checksum(mut self) -> Result<(), BackupError> {
        let wrong = |what: &str| BackupError::Damaged(what.into());
        if self.decoder.read(&mut [0]).map_err(read_error)? != 0 {
            return Err(wrong("it has data after its end"));
        }
        let mut input = self.decoder.finish();
        let mut sum = Vec::new();
        input.by_ref().take(1024).read_to_end(&mut sum).map_err(read_error)?;
        let HashingReader { digest, tail, .. } = input.into_inner();
        if sum.len() != CHECKSUM_LEN || sum != tail {
            return Err(wrong("its checksum is missing or followed by other data"));
        }
        if digest.finish().as_ref() != &tail[..] {
            return Err(wrong("its checksum is wrong"));
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let archive_error = |error: BackupError| match error {
            BackupError::Store(error) => error,
            other => ArchiveError::Corrupt(other.to_string()),
        };
        let is_v1 = self.is_v1;
        let upgrade = |entry: Entry| if is_v1 { entry.upgraded() } else { entry };
        self.read_entry().map(|read| read.map(|(entry, _)| upgrade(entry))).map_err(archive_error).transpose()
    }
}

/// Hashes everything that is read, except the checksum at the end.
struct HashingReader<R> {
    inner: R,
    digest: Context,
    /// The last bytes, which may be the checksum.
    tail: Vec<u8>,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.tail.extend_from_slice(&into[..read]);
        let hashable = self.tail.len().saturating_sub(CHECKSUM_LEN);
        self.digest.update(&self.tail[..hashable]);
        self.tail.drain(..hashable);
        Ok(read)
    }
}

/// Copies everything that is read to a file.
struct TeeReader<'a, R> {
    input: R,
    spool: &'a File,
    /// The error of a failed write.
    write_error: &'a mut Option<std::io::Error>,
}

impl<R: Read> Read for TeeReader<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(into)?;
        if let Err(error) = self.spool.write_all(&into[..read]) {
            *self.write_error = Some(error);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(read)
    }
}
