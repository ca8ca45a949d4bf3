//! How large a workbook is inside, looked at before anything of it is taken into memory: a small file can hold gigabytes
//! of zeros, or a single cell of them.

use super::FileError;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::ZipArchive;

/// The most bytes that all parts may have, and a part that is held in memory: the texts that cells share, styles and the like.
const LARGEST: u64 = 16 << 30;
const LARGEST_TEXTS: u64 = 256 << 20;
/// The longest stretch without a tag: more than a cell can hold.
const LONGEST_TEXT: usize = 1 << 20;
/// The longest stretch of a sheet in which no cell begins: many runs of text make one cell. Links and merged cells, a long
/// list of them, come behind all cells.
const LONGEST_STRETCH: usize = 64 << 20;
/// The most parts.
const PARTS: usize = 10_000;
/// Times a part may grow, where it is large: sheets of real people grow by tens.
const GROWTH: u64 = 400;
const LARGE: u64 = 64 << 20;

/// Looks through all parts.
pub(super) fn check(path: &Path) -> Result<(), FileError> {
    let broken =
        |error: &dyn std::fmt::Display| FileError::new(format!("it is no whole Excel workbook: {error}"));
    let mut zip = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(|error| broken(&error))?;
    if zip.len() > PARTS {
        return Err(FileError::new("it has too many parts for a workbook"));
    }
    let mut total = 0;
    for place in 0..zip.len() {
        let part = zip.by_index(place).map_err(|error| broken(&error))?;
        let name = part.name().map_err(|error| broken(&error))?.to_ascii_lowercase();
        let pressed = part.compressed_size().max(1);
        let is_texts = name.ends_with("sharedstrings.xml");
        let is_sheet = name.contains("worksheets/");
        let is_read = is_texts || (name.contains("xl/") && !name.contains("/media/"));
        let limit =
            if is_read && !is_sheet { LARGEST_TEXTS } else { LARGEST }.min((pressed * GROWTH).max(LARGE));
        total +=
            measure(part, &Expected { limit, is_read, is_texts, is_sheet }).map_err(|error| match error {
                Unfit::Io(error) => broken(&error),
                Unfit::What(what) => FileError::new(format!("its part {name} {what}")),
            })?;
        if total > LARGEST {
            return Err(FileError::new("it is larger than 16 GiB inside"));
        }
    }
    Ok(())
}

enum Unfit {
    Io(std::io::Error),
    What(&'static str),
}

/// What a part may be, and what is made of it.
struct Expected {
    limit: u64,
    is_read: bool,
    is_texts: bool,
    is_sheet: bool,
}

/// The length of a part, which must be within limits.
fn measure(mut part: impl Read, expected: &Expected) -> Result<u64, Unfit> {
    let Expected { limit, is_read, is_texts, is_sheet } = *expected;
    let mut bytes = vec![0; 64 * 1024];
    let (mut length, mut since_tag, mut since_cell) = (0_u64, 0_usize, 0_usize);
    let mut head = Vec::new();
    loop {
        let read = part.read(&mut bytes).map_err(Unfit::Io)?;
        if read == 0 {
            break;
        }
        if is_texts && head.len() < 4096 {
            head.extend_from_slice(&bytes[..read.min(4096)]);
        }
        length += read as u64;
        if length > limit {
            return Err(Unfit::What("is larger inside than a workbook of people can be"));
        }
        if is_sheet {
            // With or without a prefix.
            match bytes[..read].windows(2).rposition(|two| matches!(two, b"<c" | b":c")) {
                Some(place) => since_cell = read - place,
                None => since_cell += read,
            }
            if since_cell > LONGEST_STRETCH {
                return Err(Unfit::What("holds a cell of more than 64 MiB"));
            }
        }
        if is_read {
            match bytes[..read].iter().rposition(|byte| *byte == b'<') {
                Some(place) => since_tag = read - place,
                None => since_tag += read,
            }
            if since_tag > LONGEST_TEXT {
                return Err(Unfit::What("holds a cell of more than 1 MiB"));
            }
        }
    }
    // A number of texts that was made up would have room made for it.
    if is_texts && announced(&head) > length {
        return Err(Unfit::What("announces more texts than it can hold"));
    }
    Ok(length)
}

fn announced(head: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(head);
    let behind = text.split_once("uniqueCount").map(|(_, behind)| behind).unwrap_or_default();
    let digits: String =
        behind.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    if digits.is_empty() { 0 } else { digits.parse().unwrap_or(u64::MAX) }
}
