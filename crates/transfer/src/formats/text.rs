//! Texts in whatever encoding they come, as UTF-8, and no row of them longer than a row may be.

use super::{FileError, LONGEST_ROW, Reading};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// How much is read at a time.
const STEP: usize = 64 * 1024;

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
pub(super) fn open(path: &Path, reading: &Reading) -> Result<Text, FileError> {
    let encoding = match &reading.encoding {
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            FileError::new(format!("there is no encoding {label}; say utf-8, utf-16le or windows-1252"))
        })?,
        None => guess(path)?,
    };
    let decoded = DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        // What the first bytes say beats what was guessed, and nothing that was said.
        .bom_override(reading.encoding.is_none())
        .strip_bom(true)
        .build(File::open(path)?);
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
fn guess(path: &Path) -> Result<&'static Encoding, FileError> {
    let mut file = File::open(path)?;
    let mut bytes = vec![0; STEP];
    let mut held = 0;
    let mut is_first = true;
    loop {
        let read = file.read(&mut bytes[held..])?;
        let end = held + read;
        if is_first {
            if let Some((encoding, _)) = Encoding::for_bom(&bytes[..end]) {
                return Ok(encoding);
            }
            if let Some(encoding) = wide(&bytes[..end]) {
                return Ok(encoding);
            }
            is_first = false;
        }
        if read == 0 {
            return Ok(if held == 0 { UTF_8 } else { WINDOWS_1252 });
        }
        held = match std::str::from_utf8(&bytes[..end]) {
            Ok(_) => 0,
            // A character may go on in what is read next.
            Err(error) if error.error_len().is_none() => {
                bytes.copy_within(error.valid_up_to()..end, 0);
                end - error.valid_up_to()
            }
            Err(_) => return Ok(WINDOWS_1252),
        };
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
