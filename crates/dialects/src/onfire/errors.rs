//! Maps errors to `ResponseStatus`: a ServiceStack-style code, a sentence, and one entry per field.
//!
//! The original documents only 400, 401 and 405: an unknown user is a 400, an unknown path a 405.

use super::{ApiVersion, api_version, wire, write};
use crate::kit::{
    DialectError, DialectRequest, DialectResponse, IdempotencyError, ObjectSchema, OutputValue, RequestError,
};
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind};
use http::StatusCode;

pub(super) fn error_response(error: &RequestError, request: &DialectRequest) -> DialectResponse {
    let DialectError { status, code, message } = describe(error, request);
    let errors = response_errors(error, request);
    let code = errors.first().map_or(code, |error| error.code);
    let message = errors.first().map_or(message, |error| error.message.clone());
    let list = errors.into_iter().map(|error| {
        OutputValue::object(vec![
            ("ErrorCode", OutputValue::text(error.code)),
            ("FieldName", OutputValue::Text(error.field)),
            ("Message", OutputValue::Text(error.message)),
        ])
    });
    let status_out = OutputValue::object(vec![
        ("ErrorCode", OutputValue::text(code)),
        ("Message", OutputValue::Text(message)),
        ("Errors", OutputValue::List("ResponseError", list.collect())),
    ]);
    write::response(request, status, xml_root(request), write::wrapped("ResponseStatus", status_out))
}

fn xml_root(request: &DialectRequest) -> &'static str {
    let path = request.route_path.to_ascii_lowercase();
    let is_search = path.ends_with("search");
    if path.is_empty() {
        "ErrorResponse"
    } else if path.contains("usergroup") {
        if is_search { "UserGroupSearchResponse" } else { "UserGroupResponse" }
    } else if path.contains("folder") {
        if is_search { "FolderSearchResponse" } else { "FolderResponse" }
    } else {
        match (api_version(request), is_search) {
            (ApiVersion::V1, false) => "SUserResponse",
            (ApiVersion::V1, true) => "SUserSearchResponse",
            (ApiVersion::V2, false) => "UserResponse",
            (ApiVersion::V2, true) => "UserSearchResponse",
        }
    }
}

fn describe(error: &RequestError, request: &DialectRequest) -> DialectError {
    let (status, code, message): (StatusCode, &str, &str) = match error {
        RequestError::Directory(error) => return describe_directory_error(error, request),
        RequestError::DialectSpecific(own) => return DialectError::clone(own),
        RequestError::InvalidMembers(_) => (StatusCode::BAD_REQUEST, "ArgumentException", "The request is not valid."),
        RequestError::NoRoute => {
            (StatusCode::METHOD_NOT_ALLOWED, "NotImplementedException", "There is no such endpoint.")
        }
        RequestError::MethodNotAllowed(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, "NotSupportedException", "The endpoint does not support this method.")
        }
        RequestError::UnsupportedMediaType(_) => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "NotSupportedException",
            "The body must be application/xml or application/json.",
        ),
        RequestError::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "NotSupportedException", "Accept XML or JSON."),
        RequestError::BodyTooLarge(limit) => {
            let message = format!("The body is larger than {limit} bytes.");
            return DialectError::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message);
        }
        RequestError::InvalidHost => {
            (StatusCode::BAD_REQUEST, "ArgumentException", "A request must have exactly one Host header.")
        }
        RequestError::BodyIncomplete => {
            (StatusCode::REQUEST_TIMEOUT, "TimeoutException", "The body did not arrive in time.")
        }
        RequestError::Unparsable(_) => {
            (StatusCode::BAD_REQUEST, "SerializationException", "The body is not valid for its Content-Type.")
        }
        RequestError::BodyMissing => (StatusCode::BAD_REQUEST, "ArgumentNullException", "The request needs a body."),
        RequestError::Unauthorized => {
            (StatusCode::UNAUTHORIZED, "Unauthorized", "The integration key and/or company id are not valid.")
        }
        RequestError::Forbidden => (StatusCode::FORBIDDEN, "Forbidden", "The integration key does not allow this."),
        RequestError::TooManyAttempts { .. } => {
            (StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", "Too many invalid keys; try again later.")
        }
        RequestError::TooManyConcurrentRequests { .. } => (
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            "Too many concurrent requests for this connection or tenant.",
        ),
        RequestError::Idempotency(problem) => (problem.status(), onfire_code(*problem), problem.message()),
        RequestError::TimedOut => (StatusCode::SERVICE_UNAVAILABLE, "TimeoutException", "The request took too long."),
    };
    DialectError::new(status, code, message)
}

fn onfire_code(problem: IdempotencyError) -> &'static str {
    match problem {
        IdempotencyError::Malformed => "ArgumentException",
        IdempotencyError::Reused => "IdempotencyKeyReused",
        IdempotencyError::InProgress => "OptimisticConcurrencyException",
    }
}

fn describe_directory_error(error: &DirectoryError, request: &DialectRequest) -> DialectError {
    let bad = StatusCode::BAD_REQUEST;
    let (status, code, message): (StatusCode, &str, &str) = match error {
        DirectoryError::Invalid(_) => (bad, "ArgumentException", "The request is not valid."),
        DirectoryError::NoSuchUser => (bad, "NotFound", "The user does not exist."),
        DirectoryError::NoSuchItem(ItemKind::Group) => (bad, "NotFound", "The user group does not exist."),
        DirectoryError::NoSuchItem(ItemKind::Folder) => (bad, "NotFound", "The folder does not exist."),
        DirectoryError::NoSuchItem(ItemKind::Organization | ItemKind::Role | ItemKind::Department)
        | DirectoryError::NoSuchTenant
        | DirectoryError::NoSuchConnection => (bad, "NotFound", "The resource does not exist."),
        DirectoryError::ConnectionEnded => (StatusCode::UNAUTHORIZED, "Unauthorized", "The key is no longer valid."),
        DirectoryError::Forbidden => (StatusCode::FORBIDDEN, "Forbidden", "The integration key does not allow this."),
        DirectoryError::RoleTooHigh | DirectoryError::SignIn(_) => {
            (StatusCode::FORBIDDEN, "Forbidden", "The integration key does not allow users with that WebsiteRole.")
        }
        DirectoryError::WrongStatus => (bad, "InvalidStatus", "The user's status does not allow this."),
        DirectoryError::Conflict | DirectoryError::VersionMismatch => {
            (StatusCode::CONFLICT, "OptimisticConcurrencyException", "Another request changed the resource; try again.")
        }
        DirectoryError::Busy { .. } | DirectoryError::Unavailable(_) => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Please try again in a moment.")
        }
        DirectoryError::Internal(_) => {
            let message = format!("Internal server error. Request {}.", request.request_id);
            return DialectError::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", message);
        }
    };
    DialectError::new(status, code, message)
}

struct ResponseError {
    code: &'static str,
    field: String,
    message: String,
}

fn response_errors(error: &RequestError, request: &DialectRequest) -> Vec<ResponseError> {
    match error {
        RequestError::InvalidMembers(errors) => errors
            .iter()
            .map(|f| {
                let rule_error = response_error(&f.name, f.kind);
                ResponseError { message: f.message.clone().unwrap_or(rule_error.message), ..rule_error }
            })
            .collect(),
        RequestError::Directory(DirectoryError::Invalid(errors)) => {
            errors.iter().map(|f| response_error(field_name(f.field, request), f.kind)).collect()
        }
        RequestError::Directory(DirectoryError::NoSuchUser | DirectoryError::NoSuchItem(_)) => {
            vec![ResponseError { code: "NotFound", field: "Id".into(), message: describe(error, request).message }]
        }
        RequestError::Directory(DirectoryError::RoleTooHigh) => {
            vec![ResponseError {
                code: "Forbidden",
                field: "WebsiteRole".into(),
                message: describe(error, request).message,
            }]
        }
        _ => Vec::new(),
    }
}

fn response_error(field: &str, kind: FieldErrorKind) -> ResponseError {
    let (code, message) = match kind {
        FieldErrorKind::Missing => ("NotEmpty", format!("'{field}' must not be empty.")),
        FieldErrorKind::TooLong(max) => ("MaximumLength", format!("'{field}' must not be longer than {max}.")),
        FieldErrorKind::TooShort(min) => {
            ("MinimumLength", format!("'{field}' must not be shorter than {min} characters."))
        }
        FieldErrorKind::Malformed if field == "Email" => ("Email", "'Email' is not a valid email address.".to_owned()),
        FieldErrorKind::Malformed => ("FormatException", format!("'{field}' has an invalid value.")),
        FieldErrorKind::Taken => ("AlreadyExists", format!("'{field}' is already in use.")),
        FieldErrorKind::NotFound => ("NotFound", format!("'{field}' names something that does not exist.")),
        FieldErrorKind::NotAllowed | FieldErrorKind::CommonPassword | FieldErrorKind::PersonalPassword => {
            ("ArgumentException", format!("'{field}' cannot be set to this value."))
        }
    };
    ResponseError { code, field: field.to_owned(), message }
}

/// The API's name of a field, or of the closest one if it has none.
fn field_name(field: Field, request: &DialectRequest) -> &'static str {
    let path = request.route_path.to_ascii_lowercase();
    let object_schema: &ObjectSchema = if path.contains("usergroup") {
        &wire::USER_GROUP
    } else if path.contains("folder") {
        &wire::FOLDER
    } else {
        &wire::USER
    };
    object_schema.name_of(field).unwrap_or(match field {
        Field::UserName => "Email",
        _ => "Id",
    })
}
