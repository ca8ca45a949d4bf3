//! Maps errors to the SCIM error document (RFC 7644 section 3.12).

use super::schema::text_list;
use super::wire::{self, Schema};
use super::write;
use crate::kit::{
    DialectError, DialectRequest, DialectResponse, ObjectSchema, OutputValue, Property, RequestError, ValueType,
};
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind};
use http::StatusCode;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let error = describe(error, request);
    write::response(request, error.status, &document(error))
}

pub(super) fn document(error: DialectError) -> OutputValue {
    let DialectError { status, code, message } = error;
    let mut members = vec![
        ("schemas", text_list(&["urn:ietf:params:scim:api:messages:2.0:Error"])),
        ("status", OutputValue::text(status.as_str())),
    ];
    if !code.is_empty() {
        members.push(("scimType", OutputValue::text(code)));
    }
    members.push(("detail", OutputValue::Text(message)));
    OutputValue::object(members)
}

pub(super) fn describe(error: &RequestError, request: &DialectRequest) -> DialectError {
    let bad = StatusCode::BAD_REQUEST;
    let (status, code, text): (StatusCode, &str, &str) = match error {
        RequestError::Directory(error) => return describe_directory_error(error, request),
        RequestError::DialectSpecific(own) => return DialectError::clone(own),
        RequestError::InvalidMembers(errors) => {
            let text = errors.first().map(|error| rule_message(&error.name, error.kind));
            return DialectError::new(bad, "invalidValue", text.unwrap_or_default());
        }
        RequestError::NoRoute => (StatusCode::NOT_FOUND, "", "There is no such endpoint"),
        RequestError::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "", "Method not allowed; see `Allow`"),
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "", "The body must be application/scim+json or application/json")
        }
        RequestError::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "", "Responses are JSON; Accept must allow it"),
        RequestError::BodyTooLarge(limit) => {
            let text = format!("The body is larger than {limit} bytes");
            return DialectError::new(StatusCode::PAYLOAD_TOO_LARGE, "", text);
        }
        RequestError::InvalidHost => (bad, "", "A request must have exactly one Host header"),
        RequestError::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, "", "The body did not arrive in time"),
        RequestError::Unparsable(_) => (bad, "invalidSyntax", "The body is not a JSON object"),
        RequestError::BodyMissing => (bad, "invalidSyntax", "The request needs a body"),
        RequestError::Unauthorized => (StatusCode::UNAUTHORIZED, "", "A valid bearer token is required"),
        RequestError::Forbidden => (StatusCode::FORBIDDEN, "", "This connection is read-only or not enabled for SCIM"),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "", "Too many invalid tokens from this address; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "", "Too many concurrent requests for this connection or tenant")
        }
        RequestError::Idempotency(problem) => (problem.status(), "", problem.message()),
        RequestError::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "", "The request took too long"),
    };
    DialectError::new(status, code, text)
}

fn describe_directory_error(error: &DirectoryError, request: &DialectRequest) -> DialectError {
    let (status, code, text): (StatusCode, &str, &str) = match error {
        DirectoryError::Invalid(errors) => {
            let taken = errors.iter().find(|error| error.kind == FieldErrorKind::Taken);
            let Some(error) = taken.or(errors.first()) else {
                return DialectError::new(StatusCode::BAD_REQUEST, "invalidValue", "The request is not valid");
            };
            let text = rule_message(&field_name(error.field), error.kind);
            return if error.kind == FieldErrorKind::Taken {
                DialectError::new(StatusCode::CONFLICT, "uniqueness", text)
            } else {
                DialectError::new(StatusCode::BAD_REQUEST, "invalidValue", text)
            };
        }
        DirectoryError::NoSuchUser => (StatusCode::NOT_FOUND, "", "There is no such user"),
        DirectoryError::NoSuchItem(ItemKind::Group) => (StatusCode::NOT_FOUND, "", "There is no such group"),
        DirectoryError::NoSuchItem(
            ItemKind::Folder | ItemKind::Organization | ItemKind::Role | ItemKind::Department,
        )
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => (StatusCode::NOT_FOUND, "", "There is no such resource"),
        DirectoryError::ConnectionEnded => (StatusCode::UNAUTHORIZED, "", "The token is no longer valid"),
        DirectoryError::Forbidden => (
            StatusCode::FORBIDDEN,
            "",
            "This connection lacks a permission that the request needs (`muster connection set NAME --permission`)",
        ),
        DirectoryError::RoleTooHigh | DirectoryError::SignIn(_) => {
            (StatusCode::FORBIDDEN, "", "The role is above the connection's highest role (`--highest-role`)")
        }
        DirectoryError::WrongStatus => (StatusCode::BAD_REQUEST, "invalidValue", "Not allowed in the user's status"),
        DirectoryError::VersionMismatch => (StatusCode::PRECONDITION_FAILED, "", "The version in If-Match is outdated"),
        DirectoryError::Conflict => (StatusCode::CONFLICT, "", "Another request changed the resource; try again"),
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "", "The service is busy; try again in a moment")
        }
        DirectoryError::Internal(_) => {
            let text = format!("Internal server error, logged under request {}", request.request_id);
            return DialectError::new(StatusCode::INTERNAL_SERVER_ERROR, "", text);
        }
    };
    DialectError::new(status, code, text)
}

fn rule_message(name: &str, kind: FieldErrorKind) -> String {
    match kind {
        FieldErrorKind::Missing => format!("{name} is required"),
        FieldErrorKind::TooLong(max) => format!("{name} is longer than {max}"),
        FieldErrorKind::TooShort(min) => format!("{name} is shorter than {min}"),
        FieldErrorKind::Malformed => format!("{name} has an invalid value"),
        FieldErrorKind::Taken => format!("{name} is already in use"),
        FieldErrorKind::NotFound => format!("{name} refers to something that does not exist"),
        FieldErrorKind::NotAllowed | FieldErrorKind::CommonPassword | FieldErrorKind::PersonalPassword => {
            format!("{name} cannot have this value")
        }
    }
}

fn field_name(field: Field) -> String {
    let field = match field {
        // Single-valued fields of other dialects are part of a multi-valued attribute here.
        Field::Email => Field::Emails,
        Field::WorkPhone | Field::MobilePhone => Field::Phones,
        Field::Photo => Field::Photos,
        Field::Role => Field::Roles,
        other => other,
    };
    let records = std::iter::once(&wire::COMMON_ATTRIBUTES)
        .chain(wire::SCHEMAS.iter().map(|schema: &&Schema| schema.object_schema));
    let path = records.into_iter().find_map(|object_schema| attribute_path(object_schema, field));
    path.unwrap_or_else(|| format!("{field:?}"))
}

fn attribute_path(object_schema: &ObjectSchema, field: Field) -> Option<String> {
    object_schema.properties.iter().find_map(|property: &Property| match property.value_type {
        _ if property.field == Some(field) => Some(property.name.to_owned()),
        ValueType::Object(inner) => attribute_path(inner, field).map(|sub| format!("{}.{sub}", property.name)),
        _ => None,
    })
}
