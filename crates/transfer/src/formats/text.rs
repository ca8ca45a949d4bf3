//! Texts in whatever encoding they come, as UTF-8, and no row of them longer than a row may be.

use super::{FileError, LONGEST_ROW, Reading};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

/// How much is read at a time.
const STEP: usize = 64 * 1024;

/// Opens a file at its beginning, each time anew: its encoding is known only after a look at all of it.
pub(crate) type Opener<'a> = dyn Fn() -> std::io::Result<Box<dyn Read>> + 'a;

/// A text file, decoded.
pub(super) struct Text {
    pub(super) reader: Guard,
    /// What is left of the row that is being read; whoever reads fills it up with each row.
    pub(super) allowance: Rc<Cell<usize>>,
    pub(super) seen: Rc<Seen>,
    /// Whether what could not be decoded is marked by U+FFFD.
    pub(super) is_lossy: bool,
}

/// What has gone by.
#[derive(Default)]
pub(super) struct Seen {
    /// Quotes so far, whether an odd number.
    pub(super) odd_quotes: Cell<bool>,
    /// The last byte.
    pub(super) last: Cell<u8>,
}

/// Opens a text file. The encoding is what is said, what its first bytes say, or UTF-8 where all of it is; everything else
/// is Windows-1252, which has a meaning for almost every byte.
pub(super) fn open(file: &Opener<'_>, reading: &Reading) -> Result<Text, FileError> {
    let encoding = match &reading.encoding {
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            FileError::new(format!("there is no encoding {label}; say utf-8, utf-16le or windows-1252"))
        })?,
        None => guess(file)?,
    };
    if reading.encoding.is_some() && encoding == UTF_8 {
        only_utf8(file)?;
    }
    let decoded = DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        // What the first bytes say beats what was guessed, and nothing that was said.
        .bom_override(reading.encoding.is_none())
        .strip_bom(true)
        .build(file()?);
    let allowance = Rc::new(Cell::new(LONGEST_ROW));
    let seen = Rc::new(Seen::default());
    let reader = Guard {
        inner: Box::new(BufReader::with_capacity(STEP, decoded)),
        allowance: Rc::clone(&allowance),
        seen: Rc::clone(&seen),
    };
    Ok(Text { reader, allowance, seen, is_lossy: encoding != UTF_8 })
}

/// What the bytes look like.
fn guess(file: &Opener<'_>) -> Result<&'static Encoding, FileError> {
    let mut head = vec![0; 64];
    let read = file()?.read(&mut head)?;
    if let Some((encoding, _)) = Encoding::for_bom(&head[..read]) {
        if encoding == UTF_8 {
            only_utf8(file)?;
        }
        return Ok(encoding);
    }
    if let Some(encoding) = wide(&head[..read]) {
        return Ok(encoding);
    }
    match broken_utf8(file)? {
        None => Ok(UTF_8),
        // What has letters of UTF-8 up to there was UTF-8, and is damaged.
        Some(Broken { line, is_after_letters: true }) => Err(not_utf8(line)),
        Some(_) => Ok(WINDOWS_1252),
    }
}

fn only_utf8(file: &Opener<'_>) -> Result<(), FileError> {
    broken_utf8(file)?.map_or(Ok(()), |broken| Err(not_utf8(broken.line)))
}

fn not_utf8(line: u64) -> FileError {
    FileError::at(line, "it is not UTF-8 as the rest is, and may be damaged; say with --encoding what it is")
}

/// Where a file ceases to be UTF-8.
struct Broken {
    line: u64,
    /// There were letters before that only UTF-8 writes so.
    is_after_letters: bool,
}

fn broken_utf8(file: &Opener<'_>) -> Result<Option<Broken>, FileError> {
    let mut file = file()?;
    let mut bytes = vec![0; STEP];
    let (mut held, mut line, mut is_after_letters) = (0, 1, false);
    loop {
        let read = file.read(&mut bytes[held..])?;
        let end = held + read;
        let (good, is_broken) = match std::str::from_utf8(&bytes[..end]) {
            Ok(_) => (end, false),
            // A character may go on in what is read next.
            Err(error) => (error.valid_up_to(), error.error_len().is_some() || read == 0),
        };
        is_after_letters |= !bytes[..good].is_ascii();
        line += bytes[..good].split(|byte| *byte == b'\n').skip(1).count() as u64;
        if is_broken {
            return Ok(Some(Broken { line, is_after_letters }));
        }
        if read == 0 {
            return Ok(None);
        }
        bytes.copy_within(good..end, 0);
        held = end - good;
    }
}

/// UTF-16 without a mark: every other byte of its first letters is zero.
fn wide(bytes: &[u8]) -> Option<&'static Encoding> {
    let pairs = bytes.get(..bytes.len().min(64) & !1).filter(|head| head.len() >= 8)?;
    let zeros = |odd: usize| pairs.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let many = pairs.len() / 2 * 3 / 4;
    if odd >= many && even == 0 {
        Some(encoding_rs::UTF_16LE)
    } else if even >= many && odd == 0 {
        Some(encoding_rs::UTF_16BE)
    } else {
        None
    }
}

/// Lets no more through than a row may have.
pub(super) struct Guard {
    inner: Box<dyn Read>,
    allowance: Rc<Cell<usize>>,
    seen: Rc<Seen>,
}

/// What a guard says.
pub(super) const TOO_LONG: &str = "a row is longer than 1 MiB";

impl Read for Guard {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        // Readers read ahead, so a row may take a little more before it is noticed.
        if self.allowance.get() == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, TOO_LONG));
        }
        let read = self.inner.read(into)?;
        self.allowance.set(self.allowance.get().saturating_sub(read));
        let bytes = &into[..read];
        let is_odd = bytes.iter().fold(self.seen.odd_quotes.get(), |is_odd, byte| is_odd ^ (*byte == b'"'));
        self.seen.odd_quotes.set(is_odd);
        if let Some(last) = bytes.last() {
            self.seen.last.set(*last);
        }
        Ok(read)
    }
}
