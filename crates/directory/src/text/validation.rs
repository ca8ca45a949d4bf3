//! Validation: the one place for limits and formats of fields. A dialect may be stricter (one limits titles to 10
//! characters), but never looser.

use crate::model::DEFAULT_MAX_CHARS;
use crate::text::fold::is_visible;
use crate::{Field, FieldError, FieldErrorKind, Tenant, User, fold};

/// For passwords that clients set through an API.
pub const MIN_PASSWORD_CHARS: usize = 6;
pub const MAX_PASSWORD_BYTES: usize = 1024;
/// Limit for every list of a user except groups and folders.
pub(crate) const MAX_LIST_ENTRIES: usize = 100;
/// Limit for all multi-valued attributes of a user together (emails, phones, certificates and so on), because pages
/// of users are built in memory.
pub(crate) const MAX_MULTI_VALUED_BYTES: usize = 65_536;
/// Limit for users or organizations in one bulk request, and for every list of an organization.
pub(crate) const MAX_BULK_ITEMS: usize = 1_000;
/// Limit for the groups or folders of a user, and for the members in one request.
pub(crate) const MAX_REFERENCES: usize = 10_000;

/// The maximum length of a text, in characters; of passwords in bytes.
pub const fn max_chars(field: Field) -> usize {
    match (field.attribute(), field) {
        (Some(attribute), _) => attribute.max_chars,
        (None, Field::Kind) => 50,
        (None, Field::Display | Field::Name) => 256,
        (None, Field::Url) => 2048,
        (None, Field::Description) => 10_000,
        (None, _) => DEFAULT_MAX_CHARS,
    }
}

/// Checks the length, the characters (XML cannot carry all) and the format of emails.
pub(crate) fn check_text(field: Field, text: &str, errors: &mut Vec<FieldError>) {
    let max = max_chars(field);
    let rule = if text.len() > max && text.chars().count() > max {
        Some(FieldErrorKind::TooLong(max))
    } else if !text.chars().all(is_printable) {
        Some(FieldErrorKind::Malformed)
    } else {
        match field {
            Field::Email if !is_email(text) => Some(FieldErrorKind::Malformed),
            Field::UserName if text.trim() != text => Some(FieldErrorKind::Malformed),
            _ => None,
        }
    };
    errors.extend(rule.map(|rule| FieldError { field, kind: rule }));
}

/// Whether a new identifier is one that users can see and type: no invisible characters and no space around it.
/// Identifiers from earlier versions may differ and stay as they are.
pub(crate) fn is_visible_identifier(text: &str) -> bool {
    text.trim() == text && text.chars().all(is_visible)
}

/// The fields of a user whose identifiers would be rejected for a new user.
pub fn forbidden_identifiers(user: &User) -> Vec<Field> {
    let emails = user.emails.iter().map(|entry| (Field::Email, entry.value.as_str()));
    let others = [(Field::UserName, Some(user.user_name.as_str())), (Field::ExternalId, user.external_id.as_deref())];
    let others = others.into_iter().filter_map(|(field, text)| Some((field, text?)));
    let mut fields: Vec<Field> =
        emails.chain(others).filter(|(_, text)| !is_visible_identifier(text)).map(|(field, _)| field).collect();
    fields.dedup();
    fields
}

/// Checks only the identifiers that the user did not have before.
pub(crate) fn check_identifiers(before: Option<&User>, after: &User, errors: &mut Vec<FieldError>) {
    for field in forbidden_identifiers(after) {
        let is_kept = before.is_some_and(|before| match field {
            Field::Email => after.emails.iter().all(|entry| {
                is_visible_identifier(&entry.value) || before.emails.iter().any(|old| old.value == entry.value)
            }),
            field => before.text(field) == after.text(field),
        });
        if !is_kept && !errors.iter().any(|error| error.field == field) {
            errors.push(FieldError { field, kind: FieldErrorKind::Malformed });
        }
    }
}

/// Whether every dialect can carry the character: XML 1.0 section 2.2, without the control characters that it
/// discourages.
fn is_printable(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{FFFE}' | '\u{FFFF}' => false,
        c => !c.is_control(),
    }
}

/// Shortest part of a name or email that a chosen password must not contain, in characters. Shorter parts occur in
/// too many passwords.
const MIN_PERSONAL_CHARS: usize = 4;

/// Checks a password that a user chooses. There are no composition rules (NIST SP 800-63B section 3.1.1.2): only
/// the length counts, and that the password can be guessed neither from a list nor from the user's name.
pub(crate) fn check_chosen_password(password: &str, user: &User, tenant: &Tenant) -> Option<FieldErrorKind> {
    let shortest = usize::try_from(tenant.settings.min_password_chars).unwrap_or(usize::MAX).max(MIN_PASSWORD_CHARS);
    if password.len() > MAX_PASSWORD_BYTES {
        return Some(FieldErrorKind::TooLong(MAX_PASSWORD_BYTES));
    }
    if password.chars().count() < shortest {
        return Some(FieldErrorKind::TooShort(shortest));
    }
    let folded = fold(password);
    let compared = letters_and_digits(&folded);
    if personal_terms(user, tenant).any(|text| compared.contains(&text)) {
        return Some(FieldErrorKind::PersonalPassword);
    }
    crate::text::common_passwords::is_common(&folded).then_some(FieldErrorKind::CommonPassword)
}

/// Names of the user and the tenant, complete and in parts, reduced to letters and digits.
fn personal_terms(user: &User, tenant: &Tenant) -> impl Iterator<Item = String> {
    let email = user.email().unwrap_or_default();
    let local = email.split('@').next().unwrap_or_default();
    let full = user.full_name();
    let texts = [full.as_str(), email, local, user.user_name.as_str(), tenant.name.as_str()];
    let parts = [full.as_str(), local, tenant.name.as_str()];
    let parts = parts.into_iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let all: Vec<String> = texts.into_iter().chain(parts).map(|text| letters_and_digits(&fold(text))).collect();
    all.into_iter().filter(|text| text.chars().count() >= MIN_PERSONAL_CHARS)
}

fn letters_and_digits(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

/// A lenient check: one `@`, something on both sides, no whitespace. It is looser than RFC 5322, because a
/// directory must be able to store what the upstream system sends.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    !local.is_empty()
        && !domain.is_empty()
        && !domain.contains('@')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && !domain.contains("..")
        && !text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'))
}

#[cfg(test)]
mod tests {
    use super::{check_chosen_password, check_text, is_email};
    use crate::{Field, FieldErrorKind, Tenant, TenantNumber, TenantSettings, Time, TypedValue, User, UserId};

    #[test]
    fn chosen_passwords_must_not_contain_names() {
        let (number, settings) = (TenantNumber(1), TenantSettings::default());
        let tenant = Tenant { number, name: "Acme Ltd".into(), created: Time(0), version: 0, settings, removed: None };
        let mut user = User::new(UserId(uuid::Uuid::nil()), Time(0));
        user.name.given = Some("Ann Luisa".into());
        user.name.family = Some("Quintana-O'Hara".into());
        user.emails = vec![TypedValue::new("work", "al.quint@example.com").with_primary()];
        user.user_name = "alq".into();
        for own in [
            "quintana123456789",
            "Quintana-7412-Quintana",
            "luisa luisa luisa",
            "al.quint al.quint",
            "AL.QUINT@EXAMPLE.COM",
            "annluisaquintanaohara",
            "Acme Acme Acme",
        ] {
            assert_eq!(check_chosen_password(own, &user, &tenant), Some(FieldErrorKind::PersonalPassword), "{own}");
        }
        assert_eq!(check_chosen_password("vier rote fische", &user, &tenant), None);
        assert_eq!(check_chosen_password("vier fische", &user, &tenant), Some(FieldErrorKind::TooShort(12)));
        assert_eq!(check_chosen_password(&"x".repeat(1025), &user, &tenant), Some(FieldErrorKind::TooLong(1024)));
    }

    #[test]
    fn emails() {
        for valid in ["a@b", "Ann.Lee+x@example.com", "ü@exämple.de", "o'neill@x.ie"] {
            assert!(is_email(valid), "{valid}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a@.c", "a@c.", "a@b..c", "a@b\n", "<a@b>"] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn lengths_count_characters_and_controls_are_rejected() {
        let mut errors = Vec::new();
        check_text(Field::GivenName, &"é".repeat(100), &mut errors);
        assert!(errors.is_empty());
        check_text(Field::GivenName, &"é".repeat(101), &mut errors);
        check_text(Field::Bio, "a\u{0}b", &mut errors);
        assert_eq!(
            errors.iter().map(|f| f.kind).collect::<Vec<_>>(),
            [FieldErrorKind::TooLong(100), FieldErrorKind::Malformed]
        );
    }
}
