//! Passwords that many people have, which are the first that anybody tries.

use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::LazyLock;

/// The list; its first lines say where it comes from.
const FILE: &[u8] = include_bytes!("../data/common-passwords.txt.gz");

/// The entries in order, decompressed when the first is looked up: 3 MB. Nothing would be
/// listed if that failed, but the file is part of the program and a test reads it.
static ENTRIES: LazyLock<Vec<&str>> = LazyLock::new(|| read().unwrap_or_default());

fn read() -> Option<Vec<&'static str>> {
    let mut text = String::new();
    GzDecoder::new(FILE).read_to_string(&mut text).ok()?;
    let (_, entries) = text.leak().split_once("\n\n")?;
    Some(entries.lines().collect())
}

/// Whether a password, case-folded, is one of the hundred thousand most common ones; or nothing but one of them with
/// something short put to its end, which is the second thing that is tried.
pub(crate) fn is_common(folded: &str) -> bool {
    let bare = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_mostly_bare = bare.chars().count() >= 6 && folded.chars().count() - bare.chars().count() <= 6;
    is_one_sign(folded) || is_listed(folded) || (is_mostly_bare && is_listed(bare))
}

fn is_listed(password: &str) -> bool {
    ENTRIES.binary_search(&password).is_ok()
}

/// The same sign over and over.
fn is_one_sign(text: &str) -> bool {
    let mut signs = text.chars();
    let first = signs.next();
    signs.all(|sign| Some(sign) == first)
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, is_common, is_listed, read};
    use sha2::{Digest, Sha256};

    #[test]
    fn common_ones_are_known() {
        for bad in ["password1234", "qwertyuiop", "password", "aaaaaaaaaaaa", "password2024!"] {
            assert!(is_common(bad), "{bad}");
        }
        for good in ["correct horse battery staple", "unter dem pflaster", "vier rote fische"] {
            assert!(!is_common(good), "{good}");
        }
    }

    /// Who renews the list changes these figures, and nobody else.
    #[test]
    fn the_list_is_the_one_that_was_checked() {
        let entries = read().expect("the file can be read");
        assert_eq!(entries, *ENTRIES);
        assert_eq!(entries.len(), 99_838);
        let sum = Sha256::digest(entries.join("\n") + "\n");
        let sum = sum.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(sum, "0e029100c50d7719fb10a09bc0ed4ee8934a1b898cd82ff2133a2187e3efa6ce");
        assert!(entries.is_sorted_by(|a, b| a < b), "in order, and none twice");
        assert!(entries.iter().all(|entry| !entry.is_empty()));
    }

    #[test]
    fn entries_are_found_as_they_are_spelled() {
        let (first, middle, last) = ("!", "liverpool", "ячсмить");
        for listed in
            [first, middle, last, "123456", "#1angel", "1QAZ2wsx", "$HEX[687474703a2f2f777777]", "пароль"]
        {
            assert!(is_listed(listed), "{listed}");
        }
        let header = "# Common passwords, one a line, in the order of their bytes.";
        for other in ["", "\n", "PASSWORd", "iverpool", "liverpoolq", "123456\n", "яя", header] {
            assert!(!is_listed(other), "{other}");
        }
    }
}
