//! Refusals in words, for people at a terminal and beside rows of files.

use directory::{DirectoryError, Field, FieldError, FieldErrorKind};

/// A refusal in words.
pub fn refusal_message(refusal: &DirectoryError) -> String {
    refusal_message_with(refusal, |field| match field {
        Field::Number => "the number".into(),
        Field::Name => "the name".into(),
        Field::Email => "the e-mail".into(),
        Field::ExternalId => "the external id".into(),
        other => format!("{other:?}"),
    })
}

/// A refusal in words, fields called as `name` says.
pub(crate) fn refusal_message_with(refusal: &DirectoryError, name: impl Fn(Field) -> String) -> String {
    let describe = |fault: &FieldError| {
        let field = name(fault.field);
        match fault.kind {
            FieldErrorKind::Missing => format!("{field} is needed"),
            FieldErrorKind::TooLong(max) => format!("{field} is longer than {max}"),
            FieldErrorKind::TooShort(min) => format!("{field} is shorter than {min}"),
            FieldErrorKind::Malformed => format!("{field} is not of the right form"),
            FieldErrorKind::Taken => format!("{field} is taken"),
            FieldErrorKind::NotFound => format!("{field} names something that does not exist"),
            FieldErrorKind::NotAllowed => format!("{field} cannot be set to this"),
            FieldErrorKind::CommonPassword => format!("{field} is one that many people have"),
            FieldErrorKind::PersonalPassword => format!("{field} has their own name or e-mail in it"),
        }
    };
    match refusal {
        DirectoryError::Invalid(faults) => faults.iter().map(describe).collect::<Vec<_>>().join("; "),
        DirectoryError::NoSuchUser => "there is no such user".into(),
        DirectoryError::NoSuchItem(kind) => format!("there is no such {}", kind.as_str()),
        DirectoryError::NoSuchTenant => "there is no such tenant".into(),
        DirectoryError::NoSuchConnection => "there is no such connection, or it was revoked".into(),
        DirectoryError::ConnectionEnded => {
            "the connection is no longer good for this: it was revoked, narrowed, or has expired".into()
        }
        DirectoryError::RoleTooHigh => "the role is too high".into(),
        DirectoryError::WrongStatus => "the status does not allow it".into(),
        DirectoryError::SignIn(_) => "nobody signs in with that".into(),
        DirectoryError::VersionMismatch => "it was changed meanwhile".into(),
        DirectoryError::Conflict => "somebody else changed it at the same time; try again".into(),
        DirectoryError::Busy { .. } => "too much is waiting; try again in a moment".into(),
        DirectoryError::Unavailable(text) => format!("the store takes no writes: {text}"),
        DirectoryError::Internal(text) => text.clone(),
    }
}
