//! Reading a backup: once to see that all of it is what was written, and again to use it.

use super::{About, BackupError, CHECKSUM, ENCRYPTED, End, FIRST_TITLE, LONGEST_ABOUT, LONGEST_ENTRY, TITLE};
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use store::archive::{ArchiveError, ConsistencyChecker, Entry, Sums, SumsBuilder};

/// What a complete and undamaged backup contains.
pub struct Contents {
    /// What it says of itself.
    pub about: About,
    /// Counts and digests, by tenant, as this version stores it.
    pub sums: Sums,
    /// The number of entries.
    pub entries: u64,
}

/// A backup that was read whole and found sound.
pub struct Backup {
    /// What is in it.
    pub contents: Contents,
    file: File,
}

impl Backup {
    /// Reads all of it. `seen` hears of each entry.
    pub fn check(file: File, seen: impl FnMut()) -> Result<Self, BackupError> {
        Ok(Self { contents: verify(&file, seen)?, file })
    }

    /// Reads a backup that can be read only once, and keeps it in `spool`. What is no backup is rejected at its first
    /// bytes, so that it cannot fill the disk.
    pub fn receive(input: impl Read, spool: File, seen: impl FnMut()) -> Result<Self, BackupError> {
        let mut failed = None;
        let contents = verify(Spooled { input, spool: &spool, failed: &mut failed }, seen);
        match failed {
            Some(error) => Err(BackupError::Spool(error)),
            None => Ok(Self { contents: contents?, file: spool }),
        }
    }

    /// What is in it, once more.
    pub fn entries(&self) -> Result<Entries<&File>, BackupError> {
        let mut file = &self.file;
        file.rewind()?;
        Ok(open(file)?.1)
    }
}

/// Reads a backup to its end and checks all of it: checksum, counts and digests. `seen` hears of each entry.
pub fn verify(input: impl Read, mut seen: impl FnMut()) -> Result<Contents, BackupError> {
    let (about, mut entries) = open(input)?;
    let (mut running, mut consistency) = (SumsBuilder::default(), Ok(ConsistencyChecker::default()));
    let mut upgraded = entries.is_first.then(SumsBuilder::default);
    while let Some((entry, bytes)) = entries.read()? {
        running.add_encoded(&entry, &bytes);
        consistency = consistency.and_then(|mut consistency: ConsistencyChecker| {
            consistency.check(&entry)?;
            Ok(consistency)
        });
        if let Some(upgraded) = &mut upgraded {
            upgraded.add(&entry.upgraded())?;
        }
        seen();
    }
    let (sums, many) = (running.sums(), running.entries());
    let end = entries.end.take().ok_or_else(|| BackupError::Damaged("it has no end".into()))?;
    let said: End = serde_json::from_slice(&end).map_err(|error| BackupError::Damaged(error.to_string()))?;
    let found = serde_json::to_value(End::of(many, &sums)).ok();
    if serde_json::to_value(said).ok() != found {
        return Err(BackupError::Damaged("what is in it is not what it says".into()));
    }
    entries.finish()?;
    // Reported after the checksum: in a damaged file, missing references are a consequence.
    consistency.map_err(|error: ArchiveError| BackupError::Damaged(error.to_string()))?;
    let sums = upgraded.map_or(sums, |upgraded| upgraded.sums());
    Ok(Contents { about, sums, entries: many })
}

/// The entries of a backup, in order.
pub struct Entries<R: Read> {
    pressed: zstd::Decoder<'static, BufReader<Summed<R>>>,
    /// Muster 0.1.0 made it.
    is_first: bool,
    /// What the stream came to, once it was read.
    end: Option<Vec<u8>>,
}

fn open<R: Read>(input: R) -> Result<(About, Entries<R>), BackupError> {
    let summed = Summed { inner: input, sum: Context::new(&SHA256), held: Vec::new() };
    let mut input = BufReader::with_capacity(1 << 17, summed);
    let mut title = Vec::new();
    input.by_ref().take(TITLE.len() as u64).read_to_end(&mut title).map_err(damaged)?;
    let is_first = title == FIRST_TITLE;
    if title != TITLE && !is_first {
        return Err(not_a_backup(&title, input));
    }
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_ABOUT as u64).read_until(b'\n', &mut line).map_err(damaged)?;
    let about = serde_json::from_slice(&line).map_err(|error| BackupError::Damaged(error.to_string()))?;
    let pressed = zstd::Decoder::with_buffer(input).map_err(damaged)?.single_frame();
    Ok((about, Entries { pressed, is_first, end: None }))
}

/// What it is that begins with `title` instead.
fn not_a_backup(title: &[u8], rest: impl Read) -> BackupError {
    let known = TITLE.len() - 2;
    if title.get(..known) == TITLE.get(..known) {
        return BackupError::Newer;
    }
    let mut begins = title.to_vec();
    let longest = ENCRYPTED.iter().map(|header| header.len()).max().unwrap_or_default();
    let missing = longest.saturating_sub(begins.len()) as u64;
    if let Err(error) = rest.take(missing).read_to_end(&mut begins) {
        return damaged(error);
    }
    let is_encrypted = ENCRYPTED.iter().any(|header| begins.starts_with(header));
    if is_encrypted { BackupError::Encrypted } else { BackupError::Foreign }
}

/// Files that end too early or do not open are damaged; only a disk that does not read is another matter.
fn damaged(error: std::io::Error) -> BackupError {
    if error.raw_os_error().is_some() { error.into() } else { BackupError::Damaged(error.to_string()) }
}

impl<R: Read> Entries<R> {
    fn length(&mut self) -> Result<usize, BackupError> {
        let mut length = [0; 4];
        self.pressed.read_exact(&mut length).map_err(damaged)?;
        Ok(usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX))
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, BackupError> {
        if length > LONGEST_ENTRY {
            return Err(BackupError::Damaged("an entry is too long".into()));
        }
        let mut bytes = Vec::new();
        // A length that was made up takes no more memory than there is behind it.
        self.pressed.by_ref().take(length as u64).read_to_end(&mut bytes).map_err(damaged)?;
        if bytes.len() < length {
            return Err(BackupError::Damaged("it ends in the middle".into()));
        }
        Ok(bytes)
    }

    fn read(&mut self) -> Result<Option<(Entry, Vec<u8>)>, BackupError> {
        if self.end.is_some() {
            return Ok(None);
        }
        match self.length()? {
            0 => {
                let length = self.length()?;
                self.end = Some(self.bytes(length)?);
                Ok(None)
            }
            length => {
                let bytes = self.bytes(length)?;
                let entry = Entry::decode(&bytes).map_err(|error| BackupError::Damaged(error.to_string()))?;
                Ok(Some((entry, bytes)))
            }
        }
    }

    /// Nothing may follow but the sum of it all, and that must be right.
    fn finish(mut self) -> Result<(), BackupError> {
        let wrong = |what: &str| BackupError::Damaged(what.into());
        if self.pressed.read(&mut [0]).map_err(damaged)? != 0 {
            return Err(wrong("there is more behind its end"));
        }
        let mut input = self.pressed.finish();
        let mut sum = Vec::new();
        input.by_ref().take(1024).read_to_end(&mut sum).map_err(damaged)?;
        let Summed { sum: counted, held, .. } = input.into_inner();
        if sum.len() != CHECKSUM || sum != held {
            return Err(wrong("its checksum is missing or followed by more"));
        }
        if counted.finish().as_ref() != &held[..] {
            return Err(wrong("its checksum is wrong"));
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Entries<R> {
    type Item = Result<Entry, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        let told = |error: BackupError| match error {
            BackupError::Store(error) => error,
            other => ArchiveError::Corrupt(other.to_string()),
        };
        let is_first = self.is_first;
        let upgrade = |entry: Entry| if is_first { entry.upgraded() } else { entry };
        self.read().map(|read| read.map(|(entry, _)| upgrade(entry))).map_err(told).transpose()
    }
}

/// What goes through is summed up, all but the checksum at the end.
struct Summed<R> {
    inner: R,
    sum: Context,
    /// The last bytes, which may be the checksum.
    held: Vec<u8>,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(into)?;
        self.held.extend_from_slice(&into[..read]);
        let over = self.held.len().saturating_sub(CHECKSUM);
        self.sum.update(&self.held[..over]);
        self.held.drain(..over);
        Ok(read)
    }
}

/// What is read is written to a file, too.
struct Spooled<'a, R> {
    input: R,
    spool: &'a File,
    /// Why the file could not be written.
    failed: &'a mut Option<std::io::Error>,
}

impl<R: Read> Read for Spooled<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(into)?;
        if let Err(error) = self.spool.write_all(&into[..read]) {
            *self.failed = Some(error);
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        Ok(read)
    }
}
