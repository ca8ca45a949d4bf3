//! Every way a request can fail, without protocol details: each dialect maps these errors to its own answers in one
//! exhaustive match. The text of [`DirectoryError::Internal`] is for the log and never reaches an answer.

use crate::{Field, ItemKind};

/// Why a request failed. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryError {
    /// The request breaks validation rules: at least one error, in field order.
    Invalid(Vec<FieldError>),
    /// Also the answer for another tenant's user.
    NoSuchUser,
    NoSuchItem(ItemKind),
    NoSuchTenant,
    NoSuchConnection,
    /// The connection was revoked, has expired, or lost the rights that the running operation needs.
    ConnectionEnded,
    /// The caller lacks a permission.
    Forbidden,
    /// The role ceiling of the connection forbids granting the role or changing the user who has it.
    RoleTooHigh,
    /// The user's status does not allow it, such as reinstating a user who is not suspended.
    WrongStatus,
    SignIn(SignInError),
    /// The stored version differs from the one that the caller requires.
    VersionMismatch,
    /// Concurrent changes kept conflicting; a retry may succeed.
    Conflict,
    /// Too much work is queued.
    Busy {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The store rejects changes at the moment (full disk, read-only file). The text is for the log.
    Unavailable(String),
    /// An internal error. The text is for the log.
    Internal(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// Also the answer if there is no such user, so that it does not reveal who exists.
    InvalidCredentials,
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The link was valid and has expired.
    LinkExpired,
    /// The link was used, replaced by a newer one or closed, or never existed.
    LinkInvalid,
}

impl SignInError {
    /// For the security records.
    pub fn reason(self) -> &'static str {
        match self {
            Self::InvalidCredentials => "invalid-credentials",
            Self::TooManyAttempts { .. } => "too-many-attempts",
            Self::LinkExpired => "link-expired",
            Self::LinkInvalid => "link-invalid",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub field: Field,
    pub kind: FieldErrorKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    Missing,
    /// The limit, in characters, list entries or bytes.
    TooLong(usize),
    /// The minimum, in characters.
    TooShort(usize),
    Malformed,
    /// Another user or item has it.
    Taken,
    /// It refers to something that does not exist.
    NotFound,
    /// There is no such status transition.
    NotAllowed,
    /// One of the most common passwords.
    CommonPassword,
    /// A password that contains the name or email of the user, or the tenant's name.
    PersonalPassword,
}

impl DirectoryError {
    pub fn for_field(field: Field, rule: FieldErrorKind) -> Self {
        Self::Invalid(vec![FieldError { field, kind: rule }])
    }
}
