//! Case folding of what people sign in with.

/// The form in which handles are compared: full Unicode case folding, so that `STRASSE@x` and `straße@x` are one.
pub fn fold(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { unicase::UniCase::unicode(text).to_folded_case() }
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn folds_beyond_ascii() {
        assert_eq!(fold("Ann@Example.COM"), "ann@example.com");
        assert_eq!(fold("STRASSE"), fold("straße"));
        assert_eq!(fold("ΣΑΣ"), fold("σας"));
    }
}
