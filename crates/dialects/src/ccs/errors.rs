//! From refusals to the framework's error bodies: `message`, and `modelState` where members are to blame.

use super::read::AN_ERROR;
use super::wire::{self, clr_name};
use super::write;
use crate::kit::{Answer, Call, Fault, FieldFault, Format, Out};
use directory::{DirectoryError, Field, FieldErrorKind};
use http::{HeaderValue, Response, StatusCode, header};
use std::borrow::Cow;

/// Says a fault.
pub(super) fn refuse(fault: &Fault, call: &Call) -> Answer {
    let mut answer = match fault {
        Fault::Refused(refusal) => refused(refusal, call),
        Fault::Fields(faults) => model_state(call, faults),
        Fault::NoRoute => {
            let uri = format!("{}{}", call.origin, call.path);
            let text = format!("No HTTP resource was found that matches the request URI '{uri}'.");
            message(call, StatusCode::NOT_FOUND, &text)
        }
        Fault::WrongMethod(_) => {
            let text = format!("The requested resource does not support http method '{}'.", call.method);
            message(call, StatusCode::METHOD_NOT_ALLOWED, &text)
        }
        Fault::UnsupportedMedia(sent) => {
            message(call, StatusCode::UNSUPPORTED_MEDIA_TYPE, &unsupported(sent.as_deref()))
        }
        Fault::NotAcceptable => message(call, StatusCode::NOT_ACCEPTABLE, AN_ERROR),
        Fault::BodyTooLarge(limit) => {
            let text = format!("The request entity is larger than {limit} bytes.");
            message(call, StatusCode::PAYLOAD_TOO_LARGE, &text)
        }
        Fault::WrongHost => {
            message(call, StatusCode::BAD_REQUEST, "A request must have exactly one Host header.")
        }
        Fault::BodyCut => {
            message(call, StatusCode::REQUEST_TIMEOUT, "The request entity did not arrive in time.")
        }
        Fault::Unparsable(_) => {
            let fault = FieldFault {
                name: String::new(),
                rule: FieldErrorKind::Malformed,
                text: Some(AN_ERROR.into()),
            };
            model_state(call, &[fault])
        }
        Fault::BodyMissing => message(call, StatusCode::BAD_REQUEST, INVALID),
        // The framework answers a wrong role like a missing one: 401, not 403.
        Fault::Unauthorised | Fault::Forbidden => denied(call),
        Fault::TooManyAttempts { .. } => message(
            call,
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests were not authorized. Try again later.",
        ),
        Fault::TooManyConcurrent { .. } => message(
            call,
            StatusCode::TOO_MANY_REQUESTS,
            "Too many concurrent requests for this connection or tenant.",
        ),
        Fault::Own(own) => message(call, own.status, &own.text),
        Fault::TimedOut => message(call, StatusCode::SERVICE_UNAVAILABLE, "The request took too long."),
    };
    if answer.status() == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

const INVALID: &str = "The request is invalid.";

fn denied(call: &Call) -> Answer {
    message(call, StatusCode::UNAUTHORIZED, "Authorization has been denied for this request.")
}

fn unsupported(sent: Option<&str>) -> String {
    match sent {
        Some(media) => {
            format!("The request entity's media type '{media}' is not supported for this resource.")
        }
        None => "The request contains an entity body but no Content-Type header. The inferred media type \
                 'application/octet-stream' is not supported for this resource."
            .to_owned(),
    }
}

fn refused(refusal: &DirectoryError, call: &Call) -> Answer {
    match refusal {
        DirectoryError::Invalid(faults) => {
            // What clashes with the directory is one sentence; what is wrong in itself is said by member.
            let clash = faults.iter().find(|f| {
                matches!(
                    f.kind,
                    FieldErrorKind::Taken | FieldErrorKind::NotFound | FieldErrorKind::NotAllowed
                )
            });
            if let Some(fault) = clash {
                return message(call, StatusCode::BAD_REQUEST, &clash_text(fault.field, fault.kind));
            }
            let faults: Vec<FieldFault> =
                faults.iter().map(|f| FieldFault::new(field_name(f.field), f.kind)).collect();
            model_state(call, &faults)
        }
        DirectoryError::NoSuchUser
        | DirectoryError::NoSuchItem(_)
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => {
            let mut answer = Response::default();
            *answer.status_mut() = StatusCode::NOT_FOUND;
            answer
        }
        DirectoryError::ConnectionEnded | DirectoryError::RoleTooHigh | DirectoryError::SignIn(_) => {
            denied(call)
        }
        DirectoryError::WrongStatus => {
            message(call, StatusCode::BAD_REQUEST, "The user's status does not allow this.")
        }
        DirectoryError::Conflict | DirectoryError::VersionMismatch => {
            message(call, StatusCode::CONFLICT, "The user was changed at the same time.")
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            message(call, StatusCode::SERVICE_UNAVAILABLE, "The service is busy. Try again in a moment.")
        }
        DirectoryError::Internal(_) => {
            let text = format!("{AN_ERROR} Request {}.", call.request);
            message(call, StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

fn clash_text(field: Field, rule: FieldErrorKind) -> String {
    match (field, rule) {
        (Field::Email | Field::UserName, _) => "A user with this email address already exists.".into(),
        (Field::Role, _) => "The role does not exist.".into(),
        (Field::Department, _) => "The department does not exist.".into(),
        (field, FieldErrorKind::Taken) => format!("The {} is already in use.", field_name(field)),
        (field, _) => format!("The {} is not valid.", field_name(field)),
    }
}

/// The member's CLR name for a canonical field; a field the model does not have goes by its own name.
fn field_name(field: Field) -> String {
    wire::USER_POST.name_of(field).map_or_else(|| format!("{field:?}"), clr_name)
}

fn message(call: &Call, status: StatusCode, text: &str) -> Answer {
    let out = error_members(call, vec![("message", Out::text(text))]);
    write::reply(call, status, "Error", "", &out)
}

fn error_members(call: &Call, members: Vec<(&'static str, Out)>) -> Out {
    let is_xml = write::voice(call).format == Format::Xml;
    let named = |name: &'static str| if is_xml { Cow::Owned(clr_name(name)) } else { Cow::Borrowed(name) };
    Out::Object(members.into_iter().map(|(name, out)| (named(name), out)).collect())
}

/// 400 with everything that is wrong under `user.<member>`. Keys that differ in case alone are one, spelled as the
/// first was.
fn model_state(call: &Call, faults: &[FieldFault]) -> Answer {
    let mut keys: Vec<(String, Vec<String>)> = Vec::new();
    for fault in faults {
        let key = if fault.name.is_empty() { "user".to_owned() } else { format!("user.{}", fault.name) };
        let text = fault.text.clone().unwrap_or_else(|| sentence(&fault.name, fault.rule));
        match keys.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(&key)) {
            Some((_, texts)) => texts.push(text),
            None => keys.push((key, vec![text])),
        }
    }
    let is_xml = write::voice(call).format == Format::Xml;
    let entry = |(key, texts): (String, Vec<String>)| {
        if is_xml {
            (Cow::Owned(xml_name(&key)), Out::Text(texts.join(" ")))
        } else {
            (Cow::Owned(key), Out::List("string", texts.into_iter().map(Out::Text).collect()))
        }
    };
    let state = Out::Object(keys.into_iter().map(entry).collect());
    let out = error_members(call, vec![("message", Out::text(INVALID)), ("modelState", state)]);
    write::reply(call, StatusCode::BAD_REQUEST, "Error", "", &out)
}

/// A key as an element's name: what may not stand there becomes `_xHHHH_`.
fn xml_name(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for c in key.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            name.push(c);
        } else {
            name.push_str(&format!("_x{:04X}_", u32::from(c)));
        }
    }
    name
}

/// The framework's words for a rule.
fn sentence(name: &str, rule: FieldErrorKind) -> String {
    match rule {
        FieldErrorKind::Missing => format!("The {name} field is required."),
        FieldErrorKind::TooLong(max) => {
            format!("The field {name} must be a string with a maximum length of {max}.")
        }
        FieldErrorKind::TooShort(min) => format!(
            "The field {name} must be a string with a minimum length of {min} and a maximum length of 250."
        ),
        FieldErrorKind::Malformed if name == "Email" => {
            "The Email field is not a valid e-mail address.".into()
        }
        FieldErrorKind::Malformed => format!("The value is not valid for {name}."),
        FieldErrorKind::Taken => format!("The {name} is already in use."),
        FieldErrorKind::NotFound
        | FieldErrorKind::NotAllowed
        | FieldErrorKind::CommonPassword
        | FieldErrorKind::PersonalPassword => {
            format!("The {name} is not valid.")
        }
    }
}
