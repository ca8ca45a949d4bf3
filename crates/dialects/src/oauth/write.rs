//! From tokens to bytes.

use crate::answer;
use crate::kit::{Answer, Out, json};
use http::StatusCode;

/// An answer with a body.
pub(super) fn reply(status: StatusCode, out: &Out) -> Answer {
    answer(status, "application/json", json::write(out))
}

/// A token (RFC 6749 section 5.1). That nobody may keep it is said by the headers every answer has.
pub(super) fn token(token: String, seconds: i64) -> Answer {
    let out = Out::object(vec![
        ("access_token", Out::Text(token)),
        ("token_type", Out::text("Bearer")),
        ("expires_in", Out::Integer(seconds)),
    ]);
    reply(StatusCode::OK, &out)
}

/// What this server can do (RFC 8414 section 2).
pub(super) fn metadata(issuer: &str, algorithms: Vec<String>) -> Answer {
    let texts = |texts: &[&str]| Out::List("", texts.iter().map(|text| Out::text(*text)).collect());
    let out = Out::object(vec![
        ("issuer", Out::text(issuer)),
        ("token_endpoint", Out::Text(format!("{issuer}/oauth2/token"))),
        ("grant_types_supported", texts(&["client_credentials"])),
        ("response_types_supported", texts(&[])),
        (
            "token_endpoint_auth_methods_supported",
            texts(&["client_secret_basic", "client_secret_post", "private_key_jwt"]),
        ),
        (
            "token_endpoint_auth_signing_alg_values_supported",
            Out::List("", algorithms.into_iter().map(Out::Text).collect()),
        ),
        ("service_documentation", Out::Text(format!("{issuer}/docs"))),
    ]);
    reply(StatusCode::OK, &out)
}
