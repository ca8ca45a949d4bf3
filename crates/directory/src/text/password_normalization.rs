//! Normalizes passwords: keyboards send different bytes for the same password, since `é` is one code point or two
//! and a space can be a no-break space.

use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization, is_nfc};

/// The password in the `OpaqueString` profile (RFC 8265 section 4.2.2): NFC, and every space separator as U+0020.
pub fn normalize_password(text: &str) -> Cow<'_, str> {
    if !text.contains(is_non_ascii_space) && is_nfc(text) {
        return Cow::Borrowed(text);
    }
    let spaced = text.chars().map(|c| if is_non_ascii_space(c) { ' ' } else { c });
    Cow::Owned(spaced.nfc().collect())
}

/// A space separator (Zs) that is not U+0020.
fn is_non_ascii_space(c: char) -> bool {
    matches!(c, '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_passwords_normalize_equally() {
        for (sent, hashed) in [
            ("vier rote fische", "vier rote fische"),
            ("e\u{301}te\u{301}", "\u{e9}t\u{e9}"),
            ("\u{e9}t\u{e9}", "\u{e9}t\u{e9}"),
            ("vier\u{a0}rote\u{3000}fische", "vier rote fische"),
            // Letter case and width are significant.
            ("\u{ff21}a", "\u{ff21}a"),
            ("\u{200b}x", "\u{200b}x"),
        ] {
            assert_eq!(normalize_password(sent), hashed, "{sent:?}");
        }
    }
}
