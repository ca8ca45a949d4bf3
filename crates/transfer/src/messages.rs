//! Texts of directory errors for the terminal, the log and reports of rejected rows.

use directory::{DirectoryError, Field, FieldError, FieldErrorKind};

/// The text of an error for users and administrators.
pub fn error_message(error: &DirectoryError) -> String {
    error_message_with(error, crate::column::column_of_field)
}

/// Like [`error_message`]; `name` returns the name of a field.
pub(crate) fn error_message_with(error: &DirectoryError, name: impl Fn(Field) -> String) -> String {
    let describe = |error: &FieldError| {
        let field = name(error.field);
        let unit = match error.field {
            Field::Password => " bytes",
            Field::Members | Field::Entries => " entries",
            _ => "",
        };
        match error.kind {
            FieldErrorKind::Missing => format!("'{field}' is required"),
            FieldErrorKind::TooLong(max) => format!("'{field}' is too long (limit: {max}{unit})"),
            FieldErrorKind::TooShort(min) => format!("'{field}' is too short (minimum: {min} characters)"),
            FieldErrorKind::Malformed if error.field == Field::Email => {
                format!("'{field}' is not a valid email address")
            }
            FieldErrorKind::Malformed => format!("'{field}' has an invalid format"),
            FieldErrorKind::Taken => format!("'{field}' is already in use"),
            FieldErrorKind::NotFound => format!("'{field}' refers to something that does not exist"),
            FieldErrorKind::NotAllowed => format!("'{field}' cannot be set to this value"),
            FieldErrorKind::CommonPassword => format!("'{field}' is a commonly used password; choose another one"),
            FieldErrorKind::PersonalPassword => {
                format!(
                    "'{field}' contains the name or email of the user, or the tenant's name; choose another password"
                )
            }
        }
    };
    match error {
        DirectoryError::Invalid(errors) => errors.iter().map(describe).collect::<Vec<_>>().join("; "),
        DirectoryError::NoSuchUser => "this user does not exist".into(),
        DirectoryError::NoSuchItem(kind) => format!("this {} does not exist", kind.as_str()),
        DirectoryError::NoSuchTenant => "this tenant does not exist".into(),
        DirectoryError::NoSuchConnection => "this connection does not exist or was revoked".into(),
        DirectoryError::ConnectionEnded => {
            "this connection may no longer do this: it was revoked or restricted, or it has expired".into()
        }
        DirectoryError::Forbidden => {
            "this connection lacks a permission that the row needs (`muster connection set NAME --permission`)".into()
        }
        DirectoryError::RoleTooHigh => "the role is above the connection's highest role (`--highest-role`)".into(),
        DirectoryError::WrongStatus => "the user's status does not allow this; `muster user show` prints it".into(),
        DirectoryError::SignIn(_) => "the credentials are not valid".into(),
        DirectoryError::VersionMismatch => "the record was changed in the meantime; read it again and retry".into(),
        DirectoryError::Conflict => "the record was changed by others at the same time; try again".into(),
        DirectoryError::Busy { .. } => "the store is busy; try again in a moment".into(),
        DirectoryError::Unavailable(text) => format!("cannot write to the store: {text}"),
        DirectoryError::Internal(text) => text.clone(),
    }
}
