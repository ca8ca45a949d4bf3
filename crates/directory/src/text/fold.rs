//! The forms in which texts are compared. Texts are stored and shown as sent.

use std::borrow::Cow;
use unicode_normalization::char::decompose_compatible;
use unicode_normalization::{UnicodeNormalization, is_nfc};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// The form for searching and sorting: NFC, width mapping (RFC 8265 section 3.2.2), full case folding, NFC. It is
/// the same for `STRASSE` and `straße`, and for composed and decomposed `é`.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    unicase::UniCase::unicode(nfc_with_mapped_width(text)).to_folded_case().nfc().collect()
}

/// NFC, with fullwidth and halfwidth characters mapped.
fn nfc_with_mapped_width(text: &str) -> String {
    text.nfc().flat_map(map_width).nfc().collect()
}

/// The form for comparing identifiers: [`fold`], with the domain of an email by UTS 46, so that an
/// internationalized domain equals its Punycode.
pub fn identifier_key(text: &str) -> String {
    if text.is_ascii() {
        return fold(text);
    }
    // Also finds a fullwidth @.
    let text = nfc_with_mapped_width(text);
    match text.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{}", fold(local), domain_key(domain)),
        None => fold(&text),
    }
}

/// The form for comparing domains: ASCII by UTS 46, or [`fold`] if it is not a valid domain.
pub fn domain_key(domain: &str) -> String {
    if domain.is_ascii() {
        return domain.to_ascii_lowercase();
    }
    // Case folding knows letters that UTS 46 does not know yet.
    idna::domain_to_ascii(&nfc(domain)).unwrap_or_else(|_| {
        let folded = fold(domain);
        idna::domain_to_ascii(&folded).unwrap_or(folded)
    })
}

/// NFC, for case-sensitive comparison.
pub fn nfc(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// Whether new identifiers may contain the character: no control, format, separator or unassigned characters (Cc,
/// Cf, Zl, Zp, Cn), since users cannot see them.
pub(crate) fn is_visible(c: char) -> bool {
    !matches!(
        c.general_category(),
        GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator
            | GeneralCategory::Unassigned
    )
}

/// Maps a fullwidth or halfwidth character to its decomposition, one level deep.
fn map_width(c: char) -> impl Iterator<Item = char> {
    /// Ranges of halfwidth Hangul letters and the start of the letters they map to; a full decomposition would go
    /// further.
    const HANGUL: [(u32, u32, u32); 6] = [
        (0xFFA0, 0xFFA0, 0x3164),
        (0xFFA1, 0xFFBE, 0x3131),
        (0xFFC2, 0xFFC7, 0x314F),
        (0xFFCA, 0xFFCF, 0x3155),
        (0xFFD2, 0xFFD7, 0x315B),
        (0xFFDA, 0xFFDC, 0x3161),
    ];
    let code = u32::from(c);
    let hangul = HANGUL.iter().find(|(first, last, _)| (first..=last).contains(&&code));
    let mapped = match c {
        '\u{FFE3}' => Some('\u{AF}'),
        _ => hangul.and_then(|(first, _, equal)| char::from_u32(equal + code - first)),
    };
    let mut all = [None; 2];
    if mapped.is_none() && matches!(c, '\u{3000}' | '\u{FF01}'..='\u{FFEF}') {
        let mut places = all.iter_mut();
        decompose_compatible(c, |part| {
            if let Some(place) = places.next() {
                *place = Some(part);
            }
        });
    } else {
        all[0] = mapped.or(Some(c));
    }
    all.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_beyond_ascii() {
        assert_eq!(fold("Ann@Example.COM"), "ann@example.com");
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("ΣΑΣ"), fold("σας"));
    }

    #[test]
    fn spellings_of_one_identifier_have_one_key() {
        for (a, b) in [
            // Composed and decomposed, also where folding decomposes.
            ("Ren\u{e9}e", "rene\u{301}e"),
            ("\u{1F0}@x.example", "J\u{30C}@x.example"),
            ("\u{390}", "\u{1FD3}"),
            ("\u{212B}se", "\u{e5}se"),
            // Fullwidth and halfwidth.
            ("\u{FF41}\u{FF4E}\u{FF4E}", "Ann"),
            ("\u{FF76}\u{FF9E}", "\u{30AC}"),
            ("\u{FFA1}\u{FFC2}", "\u{3131}\u{314F}"),
            ("a\u{3000}b", "a b"),
            ("\u{FFE3}", "\u{AF}"),
            ("\u{FF41}\u{301}", "\u{e1}"),
            // Domains: Punycode, case, dots of other scripts.
            ("ann@b\u{fc}cher.example", "Ann@XN--BCHER-KVA.example"),
            ("ann@bu\u{308}cher\u{3002}example", "ann@b\u{fc}cher.example"),
            ("ann@\u{FF45}xample.com", "ann@example.com"),
            ("ann\u{FF20}b\u{fc}cher.example", "ann@xn--bcher-kva.example"),
        ] {
            assert_eq!(identifier_key(a), identifier_key(b), "{a:?} {b:?}");
        }
        for (a, b) in [
            ("jose", "jos\u{e9}"),
            ("\u{430}nn", "ann"),
            ("ann@stra\u{df}e.example", "ann@strasse.example"),
            ("\u{2460}", "1"),
            ("\u{FB01}x", "fy"),
        ] {
            assert_ne!(identifier_key(a), identifier_key(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn keys_are_idempotent() {
        let odd =
            ["x@\u{301}", "a@b@\u{fc}.de", "@", "\u{fc}@", "a@-\u{fc}-.de", "\u{1E9E}@\u{1E9E}.de", "\u{345}\u{3b1}"];
        // All scripts with letter case or width, and a sample of the others.
        let is_tried = |code: &u32| {
            matches!(code, 0..0x2000 | 0xA640..0xA800 | 0xFB00..0xFB50 | 0xFF00..0x1_0000) || code.is_multiple_of(211)
        };
        let every = (0..=0x0010_FFFF).filter(is_tried).filter_map(char::from_u32);
        for text in every.map(|c| format!("{c}@{c}.example")).chain(odd.map(str::to_owned)) {
            let key = identifier_key(&text);
            assert_eq!(identifier_key(&key), key, "{text:?}");
            assert_eq!(fold(&fold(&text)), fold(&text), "{text:?}");
        }
    }

    #[test]
    fn invisible_characters_are_detected() {
        for c in ['\0', '\u{85}', '\u{ad}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{feff}', '\u{378}', '\u{e0041}'] {
            assert!(!is_visible(c), "{c:?}");
        }
        for c in ['a', ' ', '\u{e9}', '\u{301}', '\u{4e2d}', '\u{1f600}', '\u{a0}'] {
            assert!(is_visible(c), "{c:?}");
        }
    }
}
