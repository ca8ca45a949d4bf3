//! Writes resources and files as responses.

use crate::json_response;
use crate::kit::{DialectResponse, ResponseBody};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use uuid::Uuid;

pub(super) fn import_response(status: StatusCode, resource: &Value, location: Option<&str>) -> DialectResponse {
    let mut response = json_response(status, resource.to_string());
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// `url` is that of all imports.
pub(super) fn accepted_import(url: &str, id: Uuid, resource: &Value) -> DialectResponse {
    import_response(StatusCode::ACCEPTED, resource, Some(&format!("{url}/{id}")))
}

pub(super) fn import_list_response(all: &[Value]) -> DialectResponse {
    json_response(StatusCode::OK, json!({ "imports": all }).to_string())
}

/// A file for download.
pub(super) fn file_response(media: &'static str, content: ResponseBody, name: &str) -> DialectResponse {
    let mut response = Response::new(content);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}
