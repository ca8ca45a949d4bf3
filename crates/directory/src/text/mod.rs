//! Comparison and validation of texts: identifiers, passwords, limits.

pub(crate) mod common_passwords;
pub(crate) mod fold;
mod password_normalization;
pub(crate) mod validation;

pub use fold::{domain_key, fold, identifier_key, nfc};
pub use password_normalization::normalize_password;
pub use validation::{MAX_PASSWORD_BYTES, MIN_PASSWORD_CHARS, forbidden_identifiers, is_email, max_chars};
