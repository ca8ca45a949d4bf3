//! Why a request was not answered with what it asked for: the core's refusals, and what goes wrong on the wire
//! before the core is asked. Every dialect says each of these in its own words.

use directory::{DirectoryError, FieldErrorKind, SignInError};

/// One way a request can fail.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestError {
    /// The directory refused.
    Directory(DirectoryError),
    /// Members of the body or query break the dialect's own rules; at least one.
    InvalidMembers(Vec<MemberError>),
    /// No route has that path.
    NoRoute,
    /// The route has no such method; it has these.
    MethodNotAllowed(Vec<&'static str>),
    /// A body of a type the dialect does not read; `None` when no type was sent.
    UnsupportedMediaType(Option<String>),
    /// Only types are accepted that the dialect does not write.
    NotAcceptable,
    /// The body is larger than so many bytes.
    BodyTooLarge(usize),
    /// The body did not arrive in time or not whole.
    BodyIncomplete,
    /// The request does not name one host (RFC 9112 section 3.2).
    InvalidHost,
    /// The body is not of its type; what the parser says of it, for the log.
    Unparsable(String),
    /// There is no body where one is needed.
    BodyMissing,
    /// No key, an unknown one, one that is no longer good, or another tenant's.
    Unauthorized,
    /// The key is good, but not for this.
    Forbidden,
    /// Too many bad keys came from this address.
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The connection or the tenant has too many requests in progress.
    TooManyConcurrentRequests {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// It took too long.
    TimedOut,
    /// What only one dialect knows, said by itself in its own words.
    DialectSpecific(Box<DialectError>),
}

/// A fault that one dialect alone has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialectError {
    /// The status it is answered with.
    pub status: http::StatusCode,
    /// What the dialect calls it.
    pub code: &'static str,
    /// A sentence for the caller.
    pub message: String,
}

/// One member that breaks a rule, under the name the dialect has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberError {
    /// The dialect's name for it.
    pub name: String,
    /// Which rule.
    pub kind: FieldErrorKind,
    /// What the dialect says of it, where that is more than the rule says.
    pub message: Option<String>,
}

impl MemberError {
    /// A fault without words of its own.
    pub fn new(name: impl Into<String>, rule: FieldErrorKind) -> Self {
        Self { name: name.into(), kind: rule, message: None }
    }
}

impl RequestError {
    /// A fault of one member.
    pub fn invalid_member(name: impl Into<String>, rule: FieldErrorKind) -> Self {
        Self::InvalidMembers(vec![MemberError::new(name, rule)])
    }

    /// A fault of one dialect's own.
    pub fn dialect_specific(status: http::StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self::DialectSpecific(Box::new(DialectError { status, code, message: text.into() }))
    }

    /// What sort of failure it is, as a word for log and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Directory(error) => match error {
                DirectoryError::Invalid(_) => "invalid",
                DirectoryError::NoSuchUser => "no_such_user",
                DirectoryError::NoSuchItem(_) => "no_such_item",
                DirectoryError::NoSuchTenant => "no_such_tenant",
                DirectoryError::NoSuchConnection => "no_such_connection",
                DirectoryError::ConnectionEnded => "connection_ended",
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
            Self::DialectSpecific(own) if own.code.is_empty() => "other",
            Self::DialectSpecific(own) => own.code,
        }
    }

    /// Which rules of which fields are broken, for the log. Members have names that clients choose, so they are left out.
    pub(crate) fn broken_rules(&self) -> Option<String> {
        let rules: Vec<String> = match self {
            Self::Directory(DirectoryError::Invalid(faults)) => {
                faults.iter().map(|error| format!("{:?} {:?}", error.field, error.kind)).collect()
            }
            Self::InvalidMembers(faults) => faults.iter().map(|error| format!("{:?}", error.kind)).collect(),
            _ => return None,
        };
        Some(rules.join(", "))
    }

    /// Seconds after which trying again may help.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Directory(
                DirectoryError::Busy { retry_after }
                | DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after }),
            )
            | Self::TooManyAttempts { retry_after }
            | Self::TooManyConcurrentRequests { retry_after } => Some(*retry_after),
            Self::Directory(DirectoryError::Unavailable(_) | DirectoryError::Conflict) | Self::TimedOut => Some(5),
            _ => None,
        }
    }

    /// What only the log may see.
    pub fn log_detail(&self) -> Option<&str> {
        match self {
            Self::Directory(DirectoryError::Unavailable(text) | DirectoryError::Internal(text))
            | Self::Unparsable(text) => Some(text),
            _ => None,
        }
    }
}

impl From<DirectoryError> for RequestError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}
