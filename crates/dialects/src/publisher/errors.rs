//! Maps errors to the API's error document: a sentence, a number and a link; one error per response.
//!
//! Undocumented numbers are ours, see `README.md`.

use super::write;
use crate::kit::{DialectRequest, DialectResponse, MemberError, OutputValue, RequestError};
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind};
use http::StatusCode;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let PublisherError { status, number, summary } = describe(error, request);
    let context = request.context.as_ref().map_or_else(String::new, |context| format!("/{context}"));
    // The link ends in the request id of the log. It is plain text in XML too.
    let link = format!("{}{context}/api/2/error/{}", request.origin, request.request_id);
    let out = OutputValue::object(vec![
        ("summary", OutputValue::Text(summary)),
        ("ref", OutputValue::Integer(number)),
        ("link", OutputValue::Text(link)),
    ]);
    write::response(request, status, "error", out)
}

struct PublisherError {
    status: StatusCode,
    /// `ref` in the document.
    number: i64,
    summary: String,
}

impl PublisherError {
    fn new(status: StatusCode, number: i64, summary: impl Into<String>) -> Self {
        Self { status, number, summary: summary.into() }
    }
}

fn describe(error: &RequestError, request: &DialectRequest) -> PublisherError {
    let (status, number, text): (StatusCode, i64, &str) = match error {
        RequestError::Directory(error) => return describe_directory_error(error, request),
        RequestError::InvalidMembers(errors) => {
            return errors.first().map_or_else(missing_parameters, describe_member_error);
        }
        RequestError::NoRoute => (StatusCode::NOT_FOUND, 404, "The requested resource does not exist"),
        RequestError::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, 405, "Method not allowed"),
        RequestError::UnsupportedMediaType(_) => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, 415, "The content type must be application/json or application/xml")
        }
        RequestError::NotAcceptable => {
            (StatusCode::NOT_ACCEPTABLE, 406, "The response is either application/json or application/xml")
        }
        RequestError::BodyTooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, 413, "The request is too large"),
        RequestError::InvalidHost => (StatusCode::BAD_REQUEST, 400, "A request must have exactly one Host header"),
        RequestError::BodyIncomplete => (StatusCode::REQUEST_TIMEOUT, 408, "The request did not arrive in time"),
        RequestError::Unparsable(_) | RequestError::BodyMissing => return missing_parameters(),
        RequestError::Unauthorized => (StatusCode::UNAUTHORIZED, 401, "Not authorised"),
        RequestError::Forbidden => (StatusCode::FORBIDDEN, 123, "Access denied"),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, 429, "Too many unauthorised requests; try again later")
        }
        RequestError::TooManyConcurrentRequests { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, 429, "Too many concurrent requests for this connection or tenant")
        }
        RequestError::DialectSpecific(own) => return PublisherError::new(own.status, 100, own.message.clone()),
        RequestError::Idempotency(problem) => {
            return PublisherError::new(problem.status(), problem.status().as_u16().into(), problem.message());
        }
        RequestError::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, 503, "The request took too long"),
    };
    PublisherError::new(status, number, text)
}

fn missing_parameters() -> PublisherError {
    PublisherError::new(StatusCode::BAD_REQUEST, 74, "Request parameters are missing")
}

fn describe_directory_error(error: &DirectoryError, request: &DialectRequest) -> PublisherError {
    let (status, number, text): (StatusCode, i64, &str) = match error {
        DirectoryError::Invalid(errors) => {
            let named = errors.first().map(|f| MemberError::new(field_name(f.field, request), f.kind));
            return named.as_ref().map_or_else(missing_parameters, describe_member_error);
        }
        DirectoryError::NoSuchUser => (StatusCode::NOT_FOUND, 108, "The requested user does not exist"),
        DirectoryError::NoSuchItem(ItemKind::Organization) => {
            (StatusCode::NOT_FOUND, 75, "The requested organisation does not exist")
        }
        DirectoryError::NoSuchItem(ItemKind::Group) => {
            (StatusCode::NOT_FOUND, 76, "The requested group does not exist")
        }
        DirectoryError::NoSuchItem(ItemKind::Folder | ItemKind::Role | ItemKind::Department)
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => (StatusCode::NOT_FOUND, 404, "The requested resource does not exist"),
        DirectoryError::ConnectionEnded => (StatusCode::UNAUTHORIZED, 401, "No longer authorised"),
        DirectoryError::Forbidden | DirectoryError::RoleTooHigh | DirectoryError::SignIn(_) => {
            (StatusCode::FORBIDDEN, 123, "Access denied")
        }
        DirectoryError::WrongStatus => (StatusCode::BAD_REQUEST, 116, "The user's status does not allow this"),
        DirectoryError::Conflict | DirectoryError::VersionMismatch => {
            (StatusCode::CONFLICT, 409, "Another request changed the resource; try again")
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, 503, "The service is busy; try again in a moment")
        }
        DirectoryError::Internal(_) => {
            let text = format!("An error has occurred. Request {}", request.request_id);
            return PublisherError::new(StatusCode::INTERNAL_SERVER_ERROR, 500, text);
        }
    };
    PublisherError::new(status, number, text)
}

fn describe_member_error(error: &MemberError) -> PublisherError {
    let bad = StatusCode::BAD_REQUEST;
    let name = error.name.as_str();
    let (status, number, text) = match (name, error.kind) {
        ("email", FieldErrorKind::Missing) => (bad, 101, "The email is missing".to_owned()),
        ("email", FieldErrorKind::Taken) => (bad, 103, "A user with this email already exists".to_owned()),
        ("email" | "secretarymail", FieldErrorKind::Malformed) => (bad, 104, format!("Invalid email address: {name}")),
        ("firstname", _) => (bad, 102, "The first name must have 1 to 100 characters".to_owned()),
        ("externalid", FieldErrorKind::Taken) => (bad, 105, "A user with this externalid already exists".to_owned()),
        ("sort", _) => (bad, 79, "Invalid parameter: sort".to_owned()),
        ("status filter", _) => (bad, 80, "Invalid parameter: status".to_owned()),
        ("createddate", _) => (bad, 81, "Invalid parameter: createddate".to_owned()),
        ("modifieddate", _) => (bad, 82, "Invalid parameter: modifieddate".to_owned()),
        ("offset", _) => (bad, 106, "Invalid parameter: offset".to_owned()),
        ("limit", _) => (bad, 107, "Invalid parameter: limit".to_owned()),
        ("id", _) => (bad, 113, "The user id is neither a number nor an email".to_owned()),
        ("status", _) => (bad, 116, "Invalid status".to_owned()),
        ("users", FieldErrorKind::NotFound) => {
            (StatusCode::NOT_FOUND, 108, "The requested user does not exist".to_owned())
        }
        ("organisation", FieldErrorKind::NotFound) => {
            (StatusCode::NOT_FOUND, 75, "The requested organisation does not exist".to_owned())
        }
        ("department", FieldErrorKind::TooLong(_)) => (bad, 354, "The department is too long".to_owned()),
        (_, FieldErrorKind::Missing) => (bad, 74, format!("Request parameters are missing: {name}")),
        (_, FieldErrorKind::Taken) => (bad, 77, format!("Already in use: {name}")),
        (_, FieldErrorKind::TooLong(max)) => (bad, 100, format!("Longer than {max}: {name}")),
        _ => (bad, 100, format!("Invalid value: {name}")),
    };
    PublisherError::new(status, number, text)
}

fn field_name(field: Field, request: &DialectRequest) -> &'static str {
    use super::wire;
    let path = request.route_path;
    let records: &[&crate::kit::ObjectSchema] = if path.contains("organisations") {
        &[&wire::ORGANIZATION]
    } else if path.contains("groups") {
        &[&wire::GROUP]
    } else {
        &[&wire::USER, &wire::NAME, &wire::LOCATION, &wire::USER_ORGANIZATION]
    };
    let known = records.iter().find_map(|object_schema| object_schema.name_of(field));
    known.unwrap_or(if field == Field::UserName { "email" } else { "value" })
}
