//! Responses and paths of SCIM (RFC 7644).

use crate::vendor::{VendorResponse, respond};
use serde_json::{Value, json};

pub(crate) const MEDIA_TYPE: &str = "application/scim+json";

pub(crate) fn decode(segment: &str) -> String {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

pub(crate) fn ok(status: u16, body: &Value) -> VendorResponse {
    respond(status, MEDIA_TYPE, body.to_string())
}

pub(crate) fn error(status: u16, scim_type: &str, detail: &str) -> VendorResponse {
    let mut body = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.to_string(), "detail": detail,
    });
    if !scim_type.is_empty() {
        body["scimType"] = scim_type.into();
    }
    ok(status, &body)
}
