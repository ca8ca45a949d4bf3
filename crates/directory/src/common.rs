//! Passwords that many people have, which are the first that anybody tries.

use passwords::analyzer::is_common_password;

/// Whether a password, case-folded, is one of the hundred thousand most common ones; or nothing but one of them with
/// something short put to its end, which is the second thing that is tried.
pub(crate) fn is_common(folded: &str) -> bool {
    let bare = folded.trim_end_matches(|c: char| !c.is_alphabetic());
    let is_mostly_bare = bare.chars().count() >= 6 && folded.chars().count() - bare.chars().count() <= 6;
    is_one_sign(folded) || is_common_password(folded) || (is_mostly_bare && is_common_password(bare))
}

/// The same sign over and over.
fn is_one_sign(text: &str) -> bool {
    let mut signs = text.chars();
    let first = signs.next();
    signs.all(|sign| Some(sign) == first)
}

#[cfg(test)]
mod tests {
    use super::is_common;

    #[test]
    fn common_ones_are_known() {
        for bad in ["password1234", "qwertyuiop", "password", "aaaaaaaaaaaa", "password2024!"] {
            assert!(is_common(bad), "{bad}");
        }
        for good in ["correct horse battery staple", "unter dem pflaster", "vier rote fische"] {
            assert!(!is_common(good), "{good}");
        }
    }
}
