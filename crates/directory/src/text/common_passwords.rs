//! The most common passwords, which attackers try first.

use flate2::read::GzDecoder;
use std::io::Read;
use std::sync::LazyLock;

/// The first lines of the file name its source.
const COMPRESSED_LIST: &[u8] = include_bytes!("../../data/common-passwords.txt.gz");

/// The sorted entries, decompressed on first use (3 MB). The list would be empty if that failed, but the file is
/// compiled in and a test reads it.
static PASSWORDS: LazyLock<Vec<&str>> = LazyLock::new(|| load().unwrap_or_default());

fn load() -> Option<Vec<&'static str>> {
    let mut text = String::new();
    GzDecoder::new(COMPRESSED_LIST).read_to_string(&mut text).ok()?;
    let (_, entries) = text.leak().split_once("\n\n")?;
    Some(entries.lines().collect())
}

/// Whether a case-folded password is one of the hundred thousand most common ones, or one of them with a short
/// suffix, which attackers try next.
pub(crate) fn is_common(folded: &str) -> bool {
    let without_suffix = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_mostly_bare =
        without_suffix.chars().count() >= 6 && folded.chars().count() - without_suffix.chars().count() <= 6;
    is_one_repeated_char(folded) || is_listed(folded) || (is_mostly_bare && is_listed(without_suffix))
}

fn is_listed(password: &str) -> bool {
    PASSWORDS.binary_search(&password).is_ok()
}

fn is_one_repeated_char(text: &str) -> bool {
    let mut signs = text.chars();
    let first = signs.next();
    signs.all(|sign| Some(sign) == first)
}

#[cfg(test)]
mod tests {
    use super::{PASSWORDS, is_common, is_listed, load};
    use sha2::{Digest, Sha256};

    #[test]
    fn common_passwords_are_rejected() {
        for bad in ["password1234", "qwertyuiop", "password", "aaaaaaaaaaaa", "password2024!"] {
            assert!(is_common(bad), "{bad}");
        }
        for valid in ["correct horse battery staple", "unter dem pflaster", "vier rote fische"] {
            assert!(!is_common(valid), "{valid}");
        }
    }

    /// Change these values only when the list is updated.
    #[test]
    fn list_matches_its_checksum() {
        let entries = load().expect("the file can be read");
        assert_eq!(entries, *PASSWORDS);
        assert_eq!(entries.len(), 99_838);
        let sum = Sha256::digest(entries.join("\n") + "\n");
        let sum = sum.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(sum, "0e029100c50d7719fb10a09bc0ed4ee8934a1b898cd82ff2133a2187e3efa6ce");
        assert!(entries.is_sorted_by(|a, b| a < b), "in order, and none twice");
        assert!(entries.iter().all(|entry| !entry.is_empty()));
    }

    #[test]
    fn lookup_is_exact() {
        let (first, middle, last) = ("!", "liverpool", "ячсмить");
        for listed in [first, middle, last, "123456", "#1angel", "1QAZ2wsx", "$HEX[687474703a2f2f777777]", "пароль"]
        {
            assert!(is_listed(listed), "{listed}");
        }
        let header = "# Common passwords, one a line, in the order of their bytes.";
        for other in ["", "\n", "PASSWORd", "iverpool", "liverpoolq", "123456\n", "яя", header] {
            assert!(!is_listed(other), "{other}");
        }
    }
}
