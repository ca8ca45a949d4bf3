//! Why a request was not answered with what it asked for: the core's refusals, and what goes wrong on the wire
//! before the core is asked. Every dialect says each of these in its own words.

use directory::{DirectoryError, FieldErrorKind, SignInError};

/// One way a request can fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The directory refused.
    Refused(DirectoryError),
    /// Members of the body or query break the dialect's own rules; at least one.
    Fields(Vec<FieldFault>),
    /// No route has that path.
    NoRoute,
    /// The route has no such method; it has these.
    WrongMethod(Vec<&'static str>),
    /// A body of a type the dialect does not read; `None` when no type was sent.
    UnsupportedMedia(Option<String>),
    /// Only types are accepted that the dialect does not write.
    NotAcceptable,
    /// The body is larger than so many bytes.
    BodyTooLarge(usize),
    /// The body did not arrive in time or not whole.
    BodyCut,
    /// The request does not name one host (RFC 9112 section 3.2).
    WrongHost,
    /// The body is not of its type; what the parser says of it, for the log.
    Unparsable(String),
    /// There is no body where one is needed.
    BodyMissing,
    /// No key, an unknown one, one that is no longer good, or another tenant's.
    Unauthorised,
    /// The key is good, but not for this.
    Forbidden,
    /// Too many bad keys came from this address.
    TooManyAttempts {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// The connection or the tenant has too many requests in progress.
    TooManyConcurrent {
        /// Seconds to wait.
        retry_after: u32,
    },
    /// It took too long.
    TimedOut,
    /// What only one dialect knows, said by itself in its own words.
    Own(Box<OwnFault>),
}

/// A fault that one dialect alone has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFault {
    /// The status it is answered with.
    pub status: http::StatusCode,
    /// What the dialect calls it.
    pub code: &'static str,
    /// A sentence for the caller.
    pub text: String,
}

/// One member that breaks a rule, under the name the dialect has for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The dialect's name for it.
    pub name: String,
    /// Which rule.
    pub rule: FieldErrorKind,
    /// What the dialect says of it, where that is more than the rule says.
    pub text: Option<String>,
}

impl FieldFault {
    /// A fault without words of its own.
    pub fn new(name: impl Into<String>, rule: FieldErrorKind) -> Self {
        Self { name: name.into(), rule, text: None }
    }
}

impl Fault {
    /// A fault of one member.
    pub fn field(name: impl Into<String>, rule: FieldErrorKind) -> Self {
        Self::Fields(vec![FieldFault::new(name, rule)])
    }

    /// A fault of one dialect's own.
    pub fn own(status: http::StatusCode, code: &'static str, text: impl Into<String>) -> Self {
        Self::Own(Box::new(OwnFault { status, code, text: text.into() }))
    }

    /// What sort of failure it is, as a word for log and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => match refusal {
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
            Self::Fields(_) => "invalid",
            Self::NoRoute => "no_route",
            Self::WrongMethod(_) => "wrong_method",
            Self::UnsupportedMedia(_) => "unsupported_media",
            Self::NotAcceptable => "not_acceptable",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyCut => "body_incomplete",
            Self::WrongHost => "wrong_host",
            Self::Unparsable(_) => "unparsable",
            Self::BodyMissing => "body_missing",
            Self::Unauthorised => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::TooManyAttempts { .. } => "too_many_bad_keys",
            Self::TooManyConcurrent { .. } => "too_many_concurrent",
            Self::TimedOut => "timed_out",
            Self::Own(own) if own.code.is_empty() => "other",
            Self::Own(own) => own.code,
        }
    }

    /// Which rules of which fields are broken, for the log. Members have names that clients choose, so they are left out.
    pub(crate) fn broken_rules(&self) -> Option<String> {
        let rules: Vec<String> = match self {
            Self::Refused(DirectoryError::Invalid(faults)) => {
                faults.iter().map(|fault| format!("{:?} {:?}", fault.field, fault.kind)).collect()
            }
            Self::Fields(faults) => faults.iter().map(|fault| format!("{:?}", fault.rule)).collect(),
            _ => return None,
        };
        Some(rules.join(", "))
    }

    /// Seconds after which trying again may help.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::Refused(
                DirectoryError::Busy { retry_after }
                | DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after }),
            )
            | Self::TooManyAttempts { retry_after }
            | Self::TooManyConcurrent { retry_after } => Some(*retry_after),
            Self::Refused(DirectoryError::Unavailable(_) | DirectoryError::Conflict) | Self::TimedOut => {
                Some(5)
            }
            _ => None,
        }
    }

    /// What only the log may see.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Refused(DirectoryError::Unavailable(text) | DirectoryError::Internal(text))
            | Self::Unparsable(text) => Some(text),
            _ => None,
        }
    }
}

impl From<DirectoryError> for Fault {
    fn from(refusal: DirectoryError) -> Self {
        Self::Refused(refusal)
    }
}
