//! Writes tokens and metadata as JSON.

use crate::json_response;
use crate::kit::{DialectResponse, OutputValue, json};
use http::StatusCode;

/// A token (RFC 6749 section 5.1). The required `Cache-Control: no-store` is on every response of the server.
pub(super) fn token_response(token: String, seconds: i64) -> DialectResponse {
    let out = OutputValue::object(vec![
        ("access_token", OutputValue::Text(token)),
        ("token_type", OutputValue::text("Bearer")),
        ("expires_in", OutputValue::Integer(seconds)),
    ]);
    json_response(StatusCode::OK, json::write(&out))
}

/// RFC 8414 section 2.
pub(super) fn metadata_response(issuer: &str, algorithms: Vec<String>) -> DialectResponse {
    let texts = |texts: &[&str]| OutputValue::List("", texts.iter().map(|text| OutputValue::text(*text)).collect());
    let out = OutputValue::object(vec![
        ("issuer", OutputValue::text(issuer)),
        ("token_endpoint", OutputValue::Text(format!("{issuer}/oauth2/token"))),
        ("grant_types_supported", texts(&["client_credentials"])),
        ("response_types_supported", texts(&[])),
        (
            "token_endpoint_auth_methods_supported",
            texts(&["client_secret_basic", "client_secret_post", "private_key_jwt"]),
        ),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            OutputValue::List("", algorithms.into_iter().map(OutputValue::Text).collect()),
        ),
        ("service_documentation", OutputValue::Text(format!("{issuer}/docs"))),
    ]);
    json_response(StatusCode::OK, json::write(&out))
}
