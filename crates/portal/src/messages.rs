//! Error messages of pages, and the format of durations and timestamps.

use directory::{DirectoryError, FieldErrorKind, SignInError, Time};
use jiff::Timestamp;

/// What a page says about a rejected form.
pub(crate) struct Problem {
    /// HTTP status.
    pub(crate) status: u16,
    pub(crate) text: String,
}

impl Problem {
    pub(crate) fn new(status: u16, text: &str) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) const fn none() -> Self {
        Self { status: 200, text: String::new() }
    }
}

pub(crate) fn describe(error: &DirectoryError) -> Problem {
    let busy = "The service is busy. Please try again in a moment.";
    let (status, text) = match error {
        DirectoryError::SignIn(SignInError::InvalidCredentials) => {
            (403, "Incorrect email, user name or password.".into())
        }
        DirectoryError::SignIn(SignInError::TooManyAttempts { retry_after }) => {
            (429, format!("Too many failed attempts. Please try again in {}.", format_retry_after(*retry_after)))
        }
        DirectoryError::Invalid(errors) => {
            let kind = errors.first().map_or(FieldErrorKind::Malformed, |error| error.kind);
            (422, password_error(kind))
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) | DirectoryError::Conflict => (503, busy.into()),
        _ => (500, "Something went wrong on our side. Please try again later.".into()),
    };
    Problem { status, text }
}

fn password_error(kind: FieldErrorKind) -> String {
    match kind {
        FieldErrorKind::TooShort(min) => format!("The password is too short. Use at least {min} characters."),
        FieldErrorKind::TooLong(max) => format!("The password is too long. Use at most {max} bytes."),
        FieldErrorKind::CommonPassword => {
            "This password is too common and easy to guess. Please choose another.".into()
        }
        FieldErrorKind::PersonalPassword => {
            "The password must not contain your name or email. Please choose another.".into()
        }
        _ => "This password is not allowed. Please choose another.".into(),
    }
}

fn format_retry_after(seconds: u32) -> String {
    match seconds {
        0 | 1 => "a second".into(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}

/// Hours, or days from 48 hours on.
pub(crate) fn format_duration(seconds: i64) -> String {
    let hours = seconds / 3600;
    match hours {
        ..=1 => "one hour".into(),
        2..48 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

/// Date and time in UTC.
pub(crate) fn format_timestamp(time: Time) -> String {
    Timestamp::from_microsecond(time.0)
        .map_or_else(|_| "-".into(), |moment| moment.strftime("%-d %B %Y, %H:%M UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_moments() {
        assert_eq!(
            [3600, 7200, 86_400, 7 * 86_400].map(format_duration),
            ["one hour", "2 hours", "24 hours", "7 days"]
        );
        assert_eq!([1, 45, 91, 301].map(format_retry_after), ["a second", "45 seconds", "2 minutes", "6 minutes"]);
        assert_eq!(format_timestamp(Time(1_764_115_200_000_000)), "26 November 2025, 00:00 UTC");
    }
}
