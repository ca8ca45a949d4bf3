//! Renders errors as the framework's bodies: `message`, and `modelState` for errors of members.

use super::read::GENERIC_ERROR;
use super::wire::{self, clr_name};
use super::write;
use crate::kit::{DialectRequest, DialectResponse, Format, MemberError, OutputValue, RequestError};
use directory::{DirectoryError, Field, FieldErrorKind};
use http::{Response, StatusCode};
use std::borrow::Cow;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    match error {
        RequestError::Directory(error) => directory_error_response(error, request),
        RequestError::InvalidMembers(errors) => model_state_response(request, errors),
        RequestError::NoRoute => {
            let uri = format!("{}{}", request.origin, request.path);
            let text = format!("No HTTP resource was found that matches the request URI '{uri}'.");
            message_response(request, StatusCode::NOT_FOUND, &text)
        }
        RequestError::MethodNotAllowed(_) => {
            let text = format!("The requested resource does not support http method '{}'.", request.method);
            message_response(request, StatusCode::METHOD_NOT_ALLOWED, &text)
        }
        RequestError::UnsupportedMediaType(sent) => message_response(
            request,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            &unsupported_media_type_message(sent.as_deref()),
        ),
        RequestError::NotAcceptable => message_response(request, StatusCode::NOT_ACCEPTABLE, GENERIC_ERROR),
        RequestError::BodyTooLarge(limit) => {
            let text = format!("The request entity is larger than {limit} bytes.");
            message_response(request, StatusCode::PAYLOAD_TOO_LARGE, &text)
        }
        RequestError::InvalidHost => {
            message_response(request, StatusCode::BAD_REQUEST, "A request must have exactly one Host header.")
        }
        RequestError::BodyIncomplete => {
            message_response(request, StatusCode::REQUEST_TIMEOUT, "The request entity did not arrive in time.")
        }
        RequestError::Unparsable(_) => {
            let error = MemberError {
                name: String::new(),
                kind: FieldErrorKind::Malformed,
                message: Some(GENERIC_ERROR.into()),
            };
            model_state_response(request, &[error])
        }
        RequestError::BodyMissing => message_response(request, StatusCode::BAD_REQUEST, INVALID_REQUEST),
        // The framework responds to a wrong role as to a missing one: 401, not 403.
        RequestError::Unauthorized | RequestError::Forbidden => unauthorized_response(request),
        RequestError::TooManyAttempts { .. } => message_response(
            request,
            StatusCode::TOO_MANY_REQUESTS,
            "Too many requests were not authorized. Try again later.",
        ),
        RequestError::TooManyConcurrentRequests { .. } => message_response(
            request,
            StatusCode::TOO_MANY_REQUESTS,
            "Too many concurrent requests for this connection or tenant.",
        ),
        RequestError::Idempotency(problem) => message_response(request, problem.status(), problem.message()),
        RequestError::DialectSpecific(own) => message_response(request, own.status, &own.message),
        RequestError::TimedOut => {
            message_response(request, StatusCode::SERVICE_UNAVAILABLE, "The request took too long.")
        }
    }
}

const INVALID_REQUEST: &str = "The request is invalid.";

fn unauthorized_response(request: &DialectRequest) -> DialectResponse {
    message_response(request, StatusCode::UNAUTHORIZED, "Authorization has been denied for this request.")
}

fn unsupported_media_type_message(media_type: Option<&str>) -> String {
    match media_type {
        Some(media) => {
            format!("The request entity's media type '{media}' is not supported for this resource.")
        }
        None => "The request contains an entity body but no Content-Type header. The inferred media type \
                 'application/octet-stream' is not supported for this resource."
            .to_owned(),
    }
}

fn directory_error_response(error: &DirectoryError, request: &DialectRequest) -> DialectResponse {
    match error {
        DirectoryError::Invalid(errors) => {
            // A conflict with the directory is a single message; all other errors are reported by member.
            let conflict = errors.iter().find(|f| {
                matches!(f.kind, FieldErrorKind::Taken | FieldErrorKind::NotFound | FieldErrorKind::NotAllowed)
            });
            if let Some(error) = conflict {
                return message_response(request, StatusCode::BAD_REQUEST, &conflict_message(error.field, error.kind));
            }
            let errors: Vec<MemberError> =
                errors.iter().map(|f| MemberError::new(field_name(f.field), f.kind)).collect();
            model_state_response(request, &errors)
        }
        DirectoryError::NoSuchUser
        | DirectoryError::NoSuchItem(_)
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
        DirectoryError::ConnectionEnded
        | DirectoryError::Forbidden
        | DirectoryError::RoleTooHigh
        | DirectoryError::SignIn(_) => unauthorized_response(request),
        DirectoryError::WrongStatus => {
            message_response(request, StatusCode::BAD_REQUEST, "The user's status does not allow this.")
        }
        DirectoryError::Conflict | DirectoryError::VersionMismatch => {
            message_response(request, StatusCode::CONFLICT, "The user was changed at the same time.")
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            message_response(request, StatusCode::SERVICE_UNAVAILABLE, "The service is busy. Try again in a moment.")
        }
        DirectoryError::Internal(_) => {
            let text = format!("{GENERIC_ERROR} Request {}.", request.request_id);
            message_response(request, StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    }
}

fn conflict_message(field: Field, kind: FieldErrorKind) -> String {
    match (field, kind) {
        (Field::Email | Field::UserName, _) => "A user with this email address already exists.".into(),
        (Field::Role, _) => "The role does not exist.".into(),
        (Field::Department, _) => "The department does not exist.".into(),
        (field, FieldErrorKind::Taken) => format!("The {} is already in use.", field_name(field)),
        (field, _) => format!("The {} is not valid.", field_name(field)),
    }
}

/// The CLR name of a field's member; fields that the model lacks use their own name.
fn field_name(field: Field) -> String {
    wire::USER_POST.name_of(field).map_or_else(|| format!("{field:?}"), clr_name)
}

fn message_response(request: &DialectRequest, status: StatusCode, text: &str) -> DialectResponse {
    let out = error_members(request, vec![("message", OutputValue::text(text))]);
    write::response(request, status, "Error", "", &out)
}

fn error_members(request: &DialectRequest, members: Vec<(&'static str, OutputValue)>) -> OutputValue {
    let is_xml = write::response_format(request).format == Format::Xml;
    let named = |name: &'static str| if is_xml { Cow::Owned(clr_name(name)) } else { Cow::Borrowed(name) };
    OutputValue::Object(members.into_iter().map(|(name, out)| (named(name), out)).collect())
}

/// 400 with all errors under `user.<member>`. Keys that differ only in case are merged, spelled like the first.
fn model_state_response(request: &DialectRequest, errors: &[MemberError]) -> DialectResponse {
    let mut keys: Vec<(String, Vec<String>)> = Vec::new();
    for error in errors {
        let key = if error.name.is_empty() { "user".to_owned() } else { format!("user.{}", error.name) };
        let text = error.message.clone().unwrap_or_else(|| rule_message(&error.name, error.kind));
        match keys.iter_mut().find(|(k, _)| k.eq_ignore_ascii_case(&key)) {
            Some((_, texts)) => texts.push(text),
            None => keys.push((key, vec![text])),
        }
    }
    let is_xml = write::response_format(request).format == Format::Xml;
    let entry = |(key, texts): (String, Vec<String>)| {
        if is_xml {
            (Cow::Owned(xml_name(&key)), OutputValue::Text(texts.join(" ")))
        } else {
            (Cow::Owned(key), OutputValue::List("string", texts.into_iter().map(OutputValue::Text).collect()))
        }
    };
    let state = OutputValue::Object(keys.into_iter().map(entry).collect());
    let out = error_members(request, vec![("message", OutputValue::text(INVALID_REQUEST)), ("modelState", state)]);
    write::response(request, StatusCode::BAD_REQUEST, "Error", "", &out)
}

/// A key as an element name: disallowed characters become `_xHHHH_`.
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

/// The framework's message for a rule.
fn rule_message(name: &str, kind: FieldErrorKind) -> String {
    match kind {
        FieldErrorKind::Missing => format!("The {name} field is required."),
        FieldErrorKind::TooLong(max) => {
            format!("The field {name} must be a string with a maximum length of {max}.")
        }
        FieldErrorKind::TooShort(min) => {
            format!("The field {name} must be a string with a minimum length of {min} and a maximum length of 250.")
        }
        FieldErrorKind::Malformed if name == "Email" => "The Email field is not a valid e-mail address.".into(),
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
