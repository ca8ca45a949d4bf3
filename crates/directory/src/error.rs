//! The closed list of ways to say no.
//!
//! A refusal knows canonical fields and no protocol: every dialect says each of them in its own words, in one
//! exhaustive match. What only the log may see stays in [`DirectoryError::InvalidUtf8`] and never reaches an answer.

use crate::{Field, ItemKind};

/// Why something was not done. Nothing has changed when one of these comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryError {
    /// What was sent breaks rules; at least one fault, in the order of the fields.
    Invalid(Vec<FieldError>),
    /// No such user here; also the answer for another tenant's user.
    NoSuchUser,
    /// No such group, folder, organisation, role or department here.
    NoSuchItem(ItemKind),
    /// No such tenant.
    NoSuchTenant,
    /// No such connection.
    NoSuchConnection,
    /// The connection was revoked, has expired, or lost the rights that the work in progress needs.
    ConnectionEnded,
    /// The connection may not give so high a role, or touch the password of somebody who has it.
    RoleTooHigh,
    /// The status does not allow it (somebody who is not suspended cannot be reinstated).
    WrongStatus,
    /// Somebody was not let in, or a link lets nobody in any more.
    SignIn(SignInError),
    /// It is not of the version any more that the caller wanted to change.
    VersionMismatch,
    /// Others kept changing the same thing; trying again may help.
    Conflict,
    /// Too much is waiting already; try again after so many seconds.
    Busy {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The store takes nothing at the moment (full disk, read-only file); the text is for the log.
    Unavailable(String),
    /// A fault inside; the text is for the log.
    Internal(String),
}

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInError {
    /// Nobody signs in with that. Nothing says whether there is such a person.
    InvalidCredentials,
    /// There were too many failures: nothing is looked at for so many seconds.
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The link was good and lasts no longer.
    LinkExpired,
    /// The link was used, replaced by a newer one or closed, or never was.
    LinkInvalid,
}

/// One broken rule on one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The canonical field.
    pub field: Field,
    /// What is wrong with it.
    pub kind: FieldErrorKind,
}

/// What can be wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    /// Needed and not there.
    Missing,
    /// Longer than so many characters (or entries, for a list).
    TooLong(usize),
    /// Shorter than so many characters.
    TooShort(usize),
    /// Not of the form it must have.
    Malformed,
    /// Somebody else has it.
    Taken,
    /// It names something that does not exist.
    NotFound,
    /// The status cannot move there.
    NotAllowed,
    /// A password that many people have.
    CommonPassword,
    /// A password that has the person's own name or e-mail in it.
    PersonalPassword,
}

impl DirectoryError {
    /// A refusal for one field.
    pub fn for_field(field: Field, rule: FieldErrorKind) -> Self {
        Self::Invalid(vec![FieldError { field, kind: rule }])
    }
}
