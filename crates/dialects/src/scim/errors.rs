//! From refusals to the standard's error document (RFC 7644 section 3.12): a status, a `scimType` where there is one,
//! and a sentence.

use super::schema::texts;
use super::wire::{self, Schema};
use super::write;
use crate::kit::{
    DialectRequest, DialectResponse, ObjectSchema, OutputValue, Property, RequestError, ValueType,
};
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind};
use http::{HeaderValue, StatusCode, header};

/// Says a fault.
pub(super) fn refuse(fault: &RequestError, call: &DialectRequest) -> DialectResponse {
    let (status, code, text) = say(fault, call);
    let mut answer = write::reply(call, status, &document(status, code, text));
    if status == StatusCode::UNAUTHORIZED {
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    answer
}

/// The error document.
pub(super) fn document(status: StatusCode, code: &'static str, text: String) -> OutputValue {
    let mut members = vec![
        ("schemas", texts(&["urn:ietf:params:scim:api:messages:2.0:Error"])),
        ("status", OutputValue::text(status.as_str())),
    ];
    if !code.is_empty() {
        members.push(("scimType", OutputValue::text(code)));
    }
    members.push(("detail", OutputValue::Text(text)));
    OutputValue::object(members)
}

type Said = (StatusCode, &'static str, String);

/// Status, `scimType` and sentence of a fault.
pub(super) fn say(fault: &RequestError, call: &DialectRequest) -> Said {
    let bad = StatusCode::BAD_REQUEST;
    let (status, code, text): (StatusCode, &str, &str) = match fault {
        RequestError::Directory(refusal) => return refused(refusal, call),
        RequestError::DialectSpecific(own) => return (own.status, own.code, own.message.clone()),
        RequestError::InvalidMembers(faults) => {
            let text = faults.first().map(|fault| sentence(&fault.name, fault.kind));
            return (bad, "invalidValue", text.unwrap_or_default());
        }
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "", "There is no such endpoint"),
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "", "The method is not allowed here; see Allow")
        }
        RequestError::UnsupportedMediaType(_) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "",
            "The body must be application/scim+json or application/json",
        ),
        RequestError::NotAcceptable => {
            (StatusCode::NOT_ACCEPTABLE, "", "Answers are application/scim+json or application/json")
        }
        RequestError::BodyTooLarge(limit) => {
            let text = format!("The body is larger than {limit} bytes");
            return (StatusCode::PAYLOAD_TOO_LARGE, "", text);
        }
        RequestError::InvalidHost => (bad, "", "A request must have exactly one Host header"),
        RequestError::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, "", "The body did not arrive in time"),
        RequestError::Unparsable(_) => (bad, "invalidSyntax", "The body is not a JSON object"),
        RequestError::BodyMissing => (bad, "invalidSyntax", "A body is needed"),
        RequestError::Unauthorized => (StatusCode::UNAUTHORIZED, "", "A valid bearer token is needed"),
        RequestError::Forbidden => (StatusCode::FORBIDDEN, "", "The token does not allow this"),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "", "Too many bad tokens came from this address; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "", "Too many concurrent requests for this connection or tenant")
        }
        RequestError::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "", "The request took too long"),
    };
    (status, code, text.to_owned())
}

fn refused(refusal: &DirectoryError, call: &DialectRequest) -> Said {
    let (status, code, text): (StatusCode, &str, &str) = match refusal {
        DirectoryError::Invalid(faults) => {
            let taken = faults.iter().find(|fault| fault.kind == FieldErrorKind::Taken);
            let Some(fault) = taken.or(faults.first()) else {
                return (StatusCode::BAD_REQUEST, "invalidValue", "The request is not valid".into());
            };
            let text = sentence(&name_of(fault.field), fault.kind);
            return if fault.kind == FieldErrorKind::Taken {
                (StatusCode::CONFLICT, "uniqueness", text)
            } else {
                (StatusCode::BAD_REQUEST, "invalidValue", text)
            };
        }
        DirectoryError::NoSuchUser => (StatusCode::NOT_FOUND, "", "There is no such user"),
        DirectoryError::NoSuchItem(ItemKind::Group) => (StatusCode::NOT_FOUND, "", "There is no such group"),
        DirectoryError::NoSuchItem(
            ItemKind::Folder | ItemKind::Organization | ItemKind::Role | ItemKind::Department,
        )
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => (StatusCode::NOT_FOUND, "", "There is no such resource"),
        DirectoryError::ConnectionEnded => {
            (StatusCode::UNAUTHORIZED, "", "The token is no longer good for this")
        }
        DirectoryError::RoleTooHigh | DirectoryError::SignIn(_) => {
            (StatusCode::FORBIDDEN, "", "The token allows nothing of a role this high")
        }
        DirectoryError::WrongStatus => {
            (StatusCode::BAD_REQUEST, "invalidValue", "The user's status does not allow this")
        }
        DirectoryError::VersionMismatch => {
            (StatusCode::PRECONDITION_FAILED, "", "The resource is not of the version in If-Match any more")
        }
        DirectoryError::Conflict => {
            (StatusCode::CONFLICT, "", "The resource was changed at the same time; try again")
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "", "The service is busy; try again in a moment")
        }
        DirectoryError::Internal(_) => {
            let text = format!("Something went wrong on our side; it is logged under {}", call.request_id);
            return (StatusCode::INTERNAL_SERVER_ERROR, "", text);
        }
    };
    (status, code, text.to_owned())
}

fn sentence(name: &str, rule: FieldErrorKind) -> String {
    match rule {
        FieldErrorKind::Missing => format!("{name} is required"),
        FieldErrorKind::TooLong(max) => format!("{name} is longer than {max}"),
        FieldErrorKind::TooShort(min) => format!("{name} is shorter than {min}"),
        FieldErrorKind::Malformed => format!("{name} is not of the right form"),
        FieldErrorKind::Taken => format!("{name} is taken"),
        FieldErrorKind::NotFound => format!("{name} names something that does not exist"),
        FieldErrorKind::NotAllowed | FieldErrorKind::CommonPassword | FieldErrorKind::PersonalPassword => {
            format!("{name} cannot be set to this")
        }
    }
}

/// The attribute behind a canonical field.
fn name_of(field: Field) -> String {
    let field = match field {
        // The one that dialects with a single one know.
        Field::Email => Field::Emails,
        Field::WorkPhone | Field::MobilePhone => Field::Phones,
        Field::Photo => Field::Photos,
        Field::Role => Field::Roles,
        other => other,
    };
    let records =
        std::iter::once(&wire::COMMON).chain(wire::SCHEMAS.iter().map(|schema: &&Schema| schema.record));
    let found = records.into_iter().find_map(|record| path_to(record, field));
    found.unwrap_or_else(|| format!("{field:?}"))
}

fn path_to(record: &ObjectSchema, field: Field) -> Option<String> {
    record.properties.iter().find_map(|member: &Property| match member.value_type {
        _ if member.field == Some(field) => Some(member.name.to_owned()),
        ValueType::Object(inner) => path_to(inner, field).map(|sub| format!("{}.{sub}", member.name)),
        _ => None,
    })
}
