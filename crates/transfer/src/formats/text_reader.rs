//! Decoding of text files of any encoding to UTF-8, with a limit for the length of a row.

use super::{FileError, MAX_ROW_BYTES, ReadOptions};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::cell::Cell;
use std::io::{BufReader, Read};
use std::rc::Rc;

const BUFFER_BYTES: usize = 64 * 1024;

/// Opens a file at its beginning. Detecting the encoding reads the whole file, so files are opened several times.
pub(crate) type Opener<'a> = dyn Fn() -> std::io::Result<Box<dyn Read>> + 'a;

pub(super) struct TextReader {
    pub(super) reader: RowLimitReader,
    /// The bytes that the current row may still have. The reader of rows resets it for each row.
    pub(super) row_budget: Rc<Cell<usize>>,
    pub(super) state: Rc<StreamState>,
    /// Whether undecodable bytes were replaced by U+FFFD.
    pub(super) is_lossy: bool,
}

#[derive(Default)]
pub(super) struct StreamState {
    /// Whether the number of quotes is odd.
    pub(super) odd_quotes: Cell<bool>,
    pub(super) last_byte: Cell<u8>,
}

/// Opens a text file. The encoding is the given one, that of the byte order mark, UTF-8 if the whole file is
/// valid, or else Windows-1252, which has a character for almost every byte.
pub(super) fn open(file: &Opener<'_>, options: &ReadOptions) -> Result<TextReader, FileError> {
    let encoding = match &options.encoding {
        Some(label) => Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            FileError::new(format!("unknown encoding '{label}' (use utf-8, utf-16le or windows-1252, for example)"))
        })?,
        None => detect_encoding(file)?,
    };
    if options.encoding.is_some() && encoding == UTF_8 {
        require_utf8(file)?;
    }
    let decoded = DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        // A byte order mark overrides a detected encoding, but not a given one.
        .bom_override(options.encoding.is_none())
        .strip_bom(true)
        .build(file()?);
    let allowance = Rc::new(Cell::new(MAX_ROW_BYTES));
    let seen = Rc::new(StreamState::default());
    let reader = RowLimitReader {
        inner: Box::new(BufReader::with_capacity(BUFFER_BYTES, decoded)),
        row_budget: Rc::clone(&allowance),
        state: Rc::clone(&seen),
    };
    Ok(TextReader { reader, row_budget: allowance, state: seen, is_lossy: encoding != UTF_8 })
}

fn detect_encoding(file: &Opener<'_>) -> Result<&'static Encoding, FileError> {
    let mut head = vec![0; 64];
    let read = file()?.read(&mut head)?;
    if let Some((encoding, _)) = Encoding::for_bom(&head[..read]) {
        if encoding == UTF_8 {
            require_utf8(file)?;
        }
        return Ok(encoding);
    }
    if let Some(encoding) = detect_utf16(&head[..read]) {
        return Ok(encoding);
    }
    match find_invalid_utf8(file)? {
        None => Ok(UTF_8),
        // A file with UTF-8 characters before this line is damaged UTF-8.
        Some(InvalidUtf8 { line, follows_non_ascii: true }) => Err(invalid_utf8_error(line)),
        Some(_) => Ok(WINDOWS_1252),
    }
}

fn require_utf8(file: &Opener<'_>) -> Result<(), FileError> {
    find_invalid_utf8(file)?.map_or(Ok(()), |broken| Err(invalid_utf8_error(broken.line)))
}

fn invalid_utf8_error(line: u64) -> FileError {
    FileError::at(line, "invalid UTF-8: the file may be damaged, or in another encoding (set it with --encoding)")
}

/// The first invalid UTF-8 of a file.
struct InvalidUtf8 {
    line: u64,
    /// Whether non-ASCII UTF-8 characters precede it.
    follows_non_ascii: bool,
}

fn find_invalid_utf8(file: &Opener<'_>) -> Result<Option<InvalidUtf8>, FileError> {
    let mut file = file()?;
    let mut bytes = vec![0; BUFFER_BYTES];
    let (mut leftover, mut line, mut is_after_letters) = (0, 1, false);
    loop {
        let read = file.read(&mut bytes[leftover..])?;
        let end = leftover + read;
        let (good, is_invalid) = match std::str::from_utf8(&bytes[..end]) {
            Ok(_) => (end, false),
            // The next read may complete a character.
            Err(error) => (error.valid_up_to(), error.error_len().is_some() || read == 0),
        };
        is_after_letters |= !bytes[..good].is_ascii();
        line += bytes[..good].split(|byte| *byte == b'\n').skip(1).count() as u64;
        if is_invalid {
            return Ok(Some(InvalidUtf8 { line, follows_non_ascii: is_after_letters }));
        }
        if read == 0 {
            return Ok(None);
        }
        bytes.copy_within(good..end, 0);
        leftover = end - good;
    }
}

/// UTF-16 without a byte order mark: every other byte of the first characters is zero.
fn detect_utf16(bytes: &[u8]) -> Option<&'static Encoding> {
    let pairs = bytes.get(..bytes.len().min(64) & !1).filter(|head| head.len() >= 8)?;
    let zeros = |odd: usize| pairs.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    let threshold = pairs.len() / 2 * 3 / 4;
    if odd >= threshold && even == 0 {
        Some(encoding_rs::UTF_16LE)
    } else if even >= threshold && odd == 0 {
        Some(encoding_rs::UTF_16BE)
    } else {
        None
    }
}

/// Fails if a row is longer than its budget.
pub(super) struct RowLimitReader {
    inner: Box<dyn Read>,
    row_budget: Rc<Cell<usize>>,
    state: Rc<StreamState>,
}

pub(super) const ROW_TOO_LONG: &str = "the row is longer than 1 MiB; check quotes and the delimiter";

impl Read for RowLimitReader {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        // Parsers read ahead, so the row may exceed the limit a little before this fails.
        if self.row_budget.get() == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, ROW_TOO_LONG));
        }
        let read = self.inner.read(into)?;
        self.row_budget.set(self.row_budget.get().saturating_sub(read));
        let bytes = &into[..read];
        let is_odd = bytes.iter().fold(self.state.odd_quotes.get(), |is_odd, byte| is_odd ^ (*byte == b'"'));
        self.state.odd_quotes.set(is_odd);
        if let Some(last) = bytes.last() {
            self.state.last_byte.set(*last);
        }
        Ok(read)
    }
}
