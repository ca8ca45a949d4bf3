//! Limits for the uncompressed size of workbooks, checked before any part is held in memory: a small file can
//! expand to gigabytes, or to a single huge cell.

use super::FileError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// Limits for all parts, and for each part that is held in memory: shared strings, styles and the like.
const MAX_TOTAL_BYTES: u64 = 16 << 30;
const MAX_IN_MEMORY_PART_BYTES: u64 = 256 << 20;
/// The maximum number of bytes without a tag, more than a valid cell has.
const MAX_BYTES_BETWEEN_TAGS: usize = 1 << 20;
/// The maximum number of bytes of a sheet without a new cell. A cell may consist of many text runs; links and
/// merged cells follow after all cells.
const MAX_BYTES_BETWEEN_CELLS: usize = 64 << 20;
const MAX_PARTS: usize = 10_000;
/// The maximum expansion of parts above [`MIN_RATIO_CHECK_BYTES`]. Typical sheets expand by a factor of tens.
const MAX_COMPRESSION_RATIO: u64 = 400;
const MIN_RATIO_CHECK_BYTES: u64 = 64 << 20;

pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let broken = |error: &dyn std::fmt::Display| FileError::new(format!("not a valid Excel workbook: {error}"));
    let mut zip = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(|error| broken(&error))?;
    if zip.len() > MAX_PARTS {
        return Err(FileError::new("the workbook has more than 10,000 parts"));
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
                PartError::LimitExceeded(what) => FileError::new(format!("the workbook's part {name} {what}")),
            },
        )?;
        if total > MAX_TOTAL_BYTES {
            return Err(FileError::new("the workbook is larger than 16 GiB when uncompressed"));
        }
    }
    Ok(())
}

enum PartError {
    Io(std::io::Error),
    LimitExceeded(&'static str),
}

/// The limits of a part, and how it is used.
struct PartLimits {
    max_bytes: u64,
    is_parsed: bool,
    is_shared_strings: bool,
    is_sheet: bool,
}

/// Returns the uncompressed length of a part.
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
            return Err(PartError::LimitExceeded("is too large when uncompressed"));
        }
        if is_sheet {
            // The tag may have a prefix.
            match bytes[..read].windows(2).rposition(|two| matches!(two, b"<c" | b":c")) {
                Some(index) => since_cell = read - index,
                None => since_cell += read,
            }
            if since_cell > MAX_BYTES_BETWEEN_CELLS {
                return Err(PartError::LimitExceeded("contains a cell of more than 64 MiB"));
            }
        }
        if is_read {
            match bytes[..read].iter().rposition(|byte| *byte == b'<') {
                Some(index) => since_tag = read - index,
                None => since_tag += read,
            }
            if since_tag > MAX_BYTES_BETWEEN_TAGS {
                return Err(PartError::LimitExceeded("contains a cell of more than 1 MiB"));
            }
        }
    }
    // Memory would be reserved for the declared number of strings.
    if is_texts && declared_string_count(&head) > length {
        return Err(PartError::LimitExceeded("declares more strings than it can contain"));
    }
    Ok(length)
}

fn declared_string_count(head: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(head);
    let behind = text.split_once("uniqueCount").map(|(_, behind)| behind).unwrap_or_default();
    let digits: String = behind.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}
