//! The error of options that do not exist or do not fit the file.

/// A sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidOption(pub String);

impl<T: Into<String>> From<T> for InvalidOption {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}
