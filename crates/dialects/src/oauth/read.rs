//! Parses token requests: forms and headers to [`ClientCredentials`].

use super::errors::oauth_error;
use crate::kit::{DialectRequest, Duplicates, Node, Object, RequestError, form, media_types};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use std::collections::HashSet;

pub(super) enum ClientCredentials {
    Secret {
        client_id: String,
        client_secret: String,
    },
    /// A JWT assertion, and the `client_id` sent with it.
    Assertion {
        client_id: Option<String>,
        assertion: String,
    },
}

const JWT_BEARER_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(super) fn token_request(request: &DialectRequest) -> Result<ClientCredentials, RequestError> {
    let invalid_request = |text: &str| oauth_error(StatusCode::BAD_REQUEST, "invalid_request", text);
    if media_types::content_type(&request.headers).is_some_and(|media| media != "application/x-www-form-urlencoded") {
        return Err(invalid_request("The body must be application/x-www-form-urlencoded"));
    }
    let Ok(Node::Object(form)) = form::parse(&request.body) else {
        return Err(invalid_request("The body is not a valid form"));
    };
    let mut names = HashSet::new();
    if !form.members.iter().all(|(name, _)| names.insert(name)) {
        return Err(invalid_request("Parameters must not be repeated"));
    }
    match parameter(&form, "grant_type").as_deref() {
        Some("client_credentials") => {}
        None => return Err(invalid_request("grant_type is required")),
        Some(_) => {
            return Err(oauth_error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "The only supported grant type is client_credentials",
            ));
        }
    }
    let client_id = parameter(&form, "client_id");
    if let Some(assertion) = parameter(&form, "client_assertion") {
        if parameter(&form, "client_assertion_type").as_deref() != Some(JWT_BEARER_ASSERTION_TYPE) {
            return Err(invalid_request(
                "client_assertion_type must be urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ));
        }
        if parameter(&form, "client_secret").is_some() || request.headers.contains_key("authorization") {
            return Err(invalid_request("Use only one method of client authentication"));
        }
        return Ok(ClientCredentials::Assertion { client_id, assertion });
    }
    match (basic_credentials(request)?, client_id, parameter(&form, "client_secret")) {
        (Some(_), _, Some(_)) => Err(invalid_request("Use only one method of client authentication")),
        (Some((id, key)), _, None) | (None, Some(id), Some(key)) => {
            Ok(ClientCredentials::Secret { client_id: id, client_secret: key })
        }
        (None, _, _) => Err(RequestError::Unauthorized),
    }
}

fn parameter(form: &Object, name: &str) -> Option<String> {
    match form.get(name, Duplicates::FirstWins) {
        Some(Node::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Id and key sent as HTTP Basic, each form-encoded (RFC 6749 section 2.3.1).
fn basic_credentials(request: &DialectRequest) -> Result<Option<(String, String)>, RequestError> {
    let Some(sent) = request.header("authorization") else { return Ok(None) };
    let (scheme, encoded) = sent.trim().split_once(' ').unwrap_or((sent, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(RequestError::Unauthorized);
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| RequestError::Unauthorized)?;
    let text = String::from_utf8(bytes).map_err(|_| RequestError::Unauthorized)?;
    let (id, key) = text.split_once(':').ok_or(RequestError::Unauthorized)?;
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(Some((decode(id), decode(key))))
}
