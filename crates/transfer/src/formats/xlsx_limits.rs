//! How large a workbook is inside, looked at before anything of it is taken into memory: a small file can hold gigabytes
//! of zeros, or a single cell of them.

use super::FileError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// The most bytes that all parts may have, and a part that is held in memory: the texts that cells share, styles and the like.
const MAX_TOTAL_BYTES: u64 = 16 << 30;
const MAX_IN_MEMORY_PART_BYTES: u64 = 256 << 20;
/// The longest stretch without a tag: more than a cell can hold.
const MAX_BYTES_BETWEEN_TAGS: usize = 1 << 20;
/// The longest stretch of a sheet in which no cell begins: many runs of text make one cell. Links and merged cells, a long
/// list of them, come behind all cells.
const MAX_BYTES_BETWEEN_CELLS: usize = 64 << 20;
/// The most parts.
const MAX_PARTS: usize = 10_000;
/// Times a part may grow, where it is large: sheets of real people grow by tens.
const MAX_COMPRESSION_RATIO: u64 = 400;
const MIN_RATIO_CHECK_BYTES: u64 = 64 << 20;

/// Looks through all parts.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let broken = |error: &dyn std::fmt::Display| FileError::new(format!("it is no whole Excel workbook: {error}"));
    let mut zip = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(|error| broken(&error))?;
    if zip.len() > MAX_PARTS {
        return Err(FileError::new("it has too many parts for a workbook"));
    }
    let mut total = 0;
    for index in 0..zip.len() {
        let part = zip.by_index(index).map_err(|error| broken(&error))?;
        let name = part.name().map_err(|error| broken(&error))?.to_ascii_lowercase();
        let compressed = part.compressed_size().max(1);
        let is_shared_strings = name.ends_with("sharedstrings.xml");
        let is_sheet = name.contains("worksheets/");
        let is_parsed = is_shared_strings || (name.contains("xl/") && !name.contains("/media/"));
        let limit = if is_parsed && !is_sheet { MAX_IN_MEMORY_PART_BYTES } else { MAX_TOTAL_BYTES }
            .min((compressed * MAX_COMPRESSION_RATIO).max(MIN_RATIO_CHECK_BYTES));
        total += check_part(part, &PartLimits { max_bytes: limit, is_parsed, is_shared_strings, is_sheet }).map_err(
            |error| match error {
                PartError::Io(error) => broken(&error),
                PartError::LimitExceeded(what) => FileError::new(format!("its part {name} {what}")),
            },
        )?;
        if total > MAX_TOTAL_BYTES {
            return Err(FileError::new("it is larger than 16 GiB inside"));
        }
    }
    Ok(())
}

enum PartError {
    Io(std::io::Error),
    LimitExceeded(&'static str),
}

/// What a part may be, and what is made of it.
struct PartLimits {
    max_bytes: u64,
    is_parsed: bool,
    is_shared_strings: bool,
    is_sheet: bool,
}

/// The length of a part, which must be within limits.
fn check_part(mut part: impl Read, expected: &PartLimits) -> Result<u64, PartError> {
    let PartLimits { max_bytes: limit, is_parsed: is_read, is_shared_strings: is_texts, is_sheet } = *expected;
    let mut bytes = vec![0; 64 * 1024];
    let (mut length, mut since_tag, mut since_cell) = (0_u64, 0_usize, 0_usize);
    let mut head = Vec::new();
    loop {
        let read = part.read(&mut bytes).map_err(PartError::Io)?;
        if read == 0 {
            break;
        }
        if is_texts && head.len() < 4096 {
            head.extend_from_slice(&bytes[..read.min(4096)]);
        }
        length += read as u64;
        if length > limit {
            return Err(PartError::LimitExceeded("is larger inside than a workbook of people can be"));
        }
        if is_sheet {
            // With or without a prefix.
            match bytes[..read].windows(2).rposition(|two| matches!(two, b"<c" | b":c")) {
                Some(index) => since_cell = read - index,
                None => since_cell += read,
            }
            if since_cell > MAX_BYTES_BETWEEN_CELLS {
                return Err(PartError::LimitExceeded("holds a cell of more than 64 MiB"));
            }
        }
        if is_read {
            match bytes[..read].iter().rposition(|byte| *byte == b'<') {
                Some(index) => since_tag = read - index,
                None => since_tag += read,
            }
            if since_tag > MAX_BYTES_BETWEEN_TAGS {
                return Err(PartError::LimitExceeded("holds a cell of more than 1 MiB"));
            }
        }
    }
    // A number of texts that was made up would have room made for it.
    if is_texts && declared_string_count(&head) > length {
        return Err(PartError::LimitExceeded("announces more texts than it can hold"));
    }
    Ok(length)
}

fn declared_string_count(head: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(head);
    let behind = text.split_once("uniqueCount").map(|(_, behind)| behind).unwrap_or_default();
    let digits: String = behind.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}
