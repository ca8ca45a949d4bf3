//! Replays the inputs in `fuzz/corpus`: seeds, and inputs that once broke a parser.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// The limit for all files of one target together.
const MAX_BYTES: usize = 1 << 20;

/// Calls `check` with every file of a target's corpus.
///
/// # Panics
/// If `check` panics (the message names the file), or the corpus is empty or larger than 1 MiB.
pub fn for_each_input(target: &str, check: impl Fn(&[u8])) {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = Path::new(&here).join("../../fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    let mut length = 0;
    for file in &files {
        let bytes = std::fs::read(file).expect("a file");
        length += bytes.len();
        let done = catch_unwind(AssertUnwindSafe(|| check(&bytes)));
        assert!(done.is_ok(), "{} breaks {target}", file.display());
    }
    assert!(!files.is_empty(), "{} is empty", folder.display());
    assert!(length <= MAX_BYTES, "the corpus of {target} is too large: {length} bytes");
}
