//! From resources and files to answers.

use crate::answer;
use crate::kit::{Answer, Content};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

pub(super) fn import(status: StatusCode, resource: &Value, location: Option<&str>) -> Answer {
    let mut answer = answer(status, "application/json", resource.to_string());
    if let Some(location) = location.and_then(|location| HeaderValue::from_str(location).ok()) {
        answer.headers_mut().insert(header::LOCATION, location);
    }
    answer
}

pub(super) fn list(all: &[Value]) -> Answer {
    answer(StatusCode::OK, "application/json", json!({ "imports": all }).to_string())
}

/// A file, to be saved under a name.
pub(super) fn file(media: &'static str, content: Content, name: &str) -> Answer {
    let mut answer = Response::new(content);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let plain: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).collect();
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"")) {
        answer.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    answer
}
