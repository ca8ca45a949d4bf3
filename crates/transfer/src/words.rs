//! Refusals in words, for people at a terminal and beside rows of files.

use directory::{Fault, Field, Refusal, Rule};

/// A refusal in words.
pub fn refusal_in_words(refusal: &Refusal) -> String {
    in_words(refusal, |field| match field {
        Field::Number => "the number".into(),
        Field::Name => "the name".into(),
        Field::Email => "the e-mail".into(),
        Field::ExternalId => "the external id".into(),
        other => format!("{other:?}"),
    })
}

/// A refusal in words, fields called as `name` says.
pub(crate) fn in_words(refusal: &Refusal, name: impl Fn(Field) -> String) -> String {
    let said = |fault: &Fault| {
        let field = name(fault.field);
        match fault.rule {
            Rule::Missing => format!("{field} is needed"),
            Rule::TooLong(max) => format!("{field} is longer than {max}"),
            Rule::TooShort(min) => format!("{field} is shorter than {min}"),
            Rule::Malformed => format!("{field} is not of the right form"),
            Rule::Taken => format!("{field} is taken"),
            Rule::Unknown => format!("{field} names something that does not exist"),
            Rule::NotAllowed => format!("{field} cannot be set to this"),
            Rule::Common => format!("{field} is one that many people have"),
            Rule::Personal => format!("{field} has their own name or e-mail in it"),
        }
    };
    match refusal {
        Refusal::Invalid(faults) => faults.iter().map(said).collect::<Vec<_>>().join("; "),
        Refusal::NoSuchUser => "there is no such user".into(),
        Refusal::NoSuchItem(kind) => format!("there is no such {}", kind.word()),
        Refusal::NoSuchTenant => "there is no such tenant".into(),
        Refusal::NoSuchConnection => "there is no such connection, or it was revoked".into(),
        Refusal::ConnectionEnded => {
            "the connection is no longer good for this: it was revoked, narrowed, or has expired".into()
        }
        Refusal::RoleTooHigh => "the role is too high".into(),
        Refusal::WrongStatus => "the status does not allow it".into(),
        Refusal::SignIn(_) => "nobody signs in with that".into(),
        Refusal::VersionMismatch => "it was changed meanwhile".into(),
        Refusal::Conflict => "somebody else changed it at the same time; try again".into(),
        Refusal::Busy { .. } => "too much is waiting; try again in a moment".into(),
        Refusal::Unavailable(text) => format!("the store takes no writes: {text}"),
        Refusal::Broken(text) => text.clone(),
    }
}
