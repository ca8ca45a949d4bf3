//! Errors of requests: those of the directory, and those of HTTP, bodies and keys. Each dialect renders them in
//! its own format.

use crate::kit::{IdempotencyError, SyntaxError};
use directory::{DirectoryError, FieldErrorKind, SignInError};

#[derive(Clone, Debug, PartialEq)]
pub enum RequestError {
    Directory(DirectoryError),
    /// Members of the body or query violate the dialect's rules; at least one.
    InvalidMembers(Vec<MemberError>),
    NoRoute,
    /// Contains the methods that the route has.
    MethodNotAllowed(Vec<&'static str>),
    /// `None` if no type was sent.
    UnsupportedMediaType(Option<String>),
    /// `Accept` excludes every response media type of the dialect.
    NotAcceptable,
    /// Contains the limit in bytes.
    BodyTooLarge(usize),
    /// The body ended early or did not arrive in time.
    BodyIncomplete,
    /// The request does not have exactly one host (RFC 9112 section 3.2).
    InvalidHost,
    /// The body does not match its media type.
    Unparsable(SyntaxError),
    BodyMissing,
    /// The key is missing, unknown, expired or revoked, or belongs to another tenant.
    Unauthorized,
    /// The key is valid, but not for this dialect or operation.
    Forbidden,
    /// Too many invalid keys from this address.
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u32,
    },
    TooManyConcurrentRequests {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The server aborted the request after its time limit.
    TimedOut,
    Idempotency(IdempotencyError),
    DialectSpecific(Box<DialectError>),
}

/// An error that only one dialect has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    pub status: http::StatusCode,
    /// The error code in the response; also a label of logs and metrics.
    pub code: &'static str,
    pub message: String,
}

impl DialectError {
    pub(crate) fn new(status: http::StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self { status, code, message: text.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberError {
    /// The name in the dialect.
    pub name: String,
    pub kind: FieldErrorKind,
    /// Replaces the message that the dialect derives from the kind.
    pub message: Option<String>,
}

impl MemberError {
    pub fn new(name: impl Into<String>, kind: FieldErrorKind) -> Self {
        Self { name: name.into(), kind, message: None }
    }
}

impl RequestError {
    pub fn invalid_member(name: impl Into<String>, kind: FieldErrorKind) -> Self {
        Self::InvalidMembers(vec![MemberError::new(name, kind)])
    }

    pub fn dialect_specific(status: http::StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self::DialectSpecific(Box::new(DialectError::new(status, code, text)))
    }

    /// The label of logs and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Directory(error) => match error {
                DirectoryError::Invalid(_) => "invalid",
                DirectoryError::NoSuchUser => "no_such_user",
                DirectoryError::NoSuchItem(_) => "no_such_item",
                DirectoryError::NoSuchTenant => "no_such_tenant",
                DirectoryError::NoSuchConnection => "no_such_connection",
                DirectoryError::ConnectionEnded => "connection_ended",
                DirectoryError::Forbidden => "missing_permission",
                DirectoryError::RoleTooHigh => "role_too_high",
                DirectoryError::WrongStatus => "wrong_status",
                DirectoryError::SignIn(SignInError::InvalidCredentials) => "sign_in_failed",
                DirectoryError::SignIn(SignInError::TooManyAttempts { .. }) => "sign_in_slowed",
                DirectoryError::SignIn(SignInError::LinkExpired | SignInError::LinkInvalid) => "link_expired",
                DirectoryError::VersionMismatch => "version_mismatch",
                DirectoryError::Conflict => "conflict",
                DirectoryError::Busy { .. } => "busy",
                DirectoryError::Unavailable(_) => "store_unavailable",
                DirectoryError::Internal(_) => "internal",
            },
            Self::InvalidMembers(_) => "invalid",
            Self::NoRoute => "no_route",
            Self::MethodNotAllowed(_) => "wrong_method",
            Self::UnsupportedMediaType(_) => "unsupported_media",
            Self::NotAcceptable => "not_acceptable",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyIncomplete => "body_incomplete",
            Self::InvalidHost => "wrong_host",
            Self::Unparsable(_) => "unparsable",
            Self::BodyMissing => "body_missing",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::TooManyAttempts { .. } => "too_many_bad_keys",
            Self::TooManyConcurrentRequests { .. } => "too_many_concurrent",
            Self::TimedOut => "timed_out",
            Self::Idempotency(problem) => problem.code(),
            Self::DialectSpecific(own) if own.code.is_empty() => "other",
            Self::DialectSpecific(own) => own.code,
        }
    }

    /// The violated rules and their fields, for the log. Member names are omitted, since clients choose them.
    pub(crate) fn broken_rules(&self) -> Option<String> {
        let rules: Vec<String> = match self {
            Self::Directory(DirectoryError::Invalid(errors)) => {
                errors.iter().map(|error| format!("{:?} {:?}", error.field, error.kind)).collect()
            }
            Self::InvalidMembers(errors) => errors.iter().map(|error| format!("{:?}", error.kind)).collect(),
            _ => return None,
        };
        Some(rules.join(", "))
    }

    /// Seconds for `Retry-After`.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Directory(
                DirectoryError::Busy { retry_after }
                | DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after }),
            )
            | Self::TooManyAttempts { retry_after }
            | Self::TooManyConcurrentRequests { retry_after } => Some(*retry_after),
            Self::Directory(DirectoryError::Unavailable(_) | DirectoryError::Conflict) | Self::TimedOut => Some(5),
            Self::Idempotency(IdempotencyError::InProgress) => Some(1),
            _ => None,
        }
    }

    /// Details for the log only.
    pub fn log_detail(&self) -> Option<&str> {
        match self {
            Self::Directory(DirectoryError::Unavailable(text) | DirectoryError::Internal(text))
            | Self::Unparsable(SyntaxError(text)) => Some(text),
            _ => None,
        }
    }
}

impl From<SyntaxError> for RequestError {
    fn from(error: SyntaxError) -> Self {
        Self::Unparsable(error)
    }
}

impl From<DirectoryError> for RequestError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}
