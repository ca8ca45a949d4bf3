//! From a form and headers to what a client shows of itself.

use super::errors::oauth_error;
use crate::kit::{DialectRequest, Duplicates, Node, Object, RequestError, form, media_types};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use std::collections::HashSet;

/// What a client shows of itself.
pub(super) enum ClientCredentials {
    /// Its id and key.
    Secret { client_id: String, client_secret: String },
    /// An assertion, and the id it sent beside it.
    Assertion { client_id: Option<String>, assertion: String },
}

const JWT_BEARER_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Reads a request for a token.
pub(super) fn token_request(call: &DialectRequest) -> Result<ClientCredentials, RequestError> {
    let invalid_request = |text: &str| oauth_error(StatusCode::BAD_REQUEST, "invalid_request", text);
    if media_types::content_type(&call.headers).is_some_and(|media| media != "application/x-www-form-urlencoded") {
        return Err(invalid_request("The body must be application/x-www-form-urlencoded"));
    }
    let Ok(Node::Object(form)) = form::parse(&call.body) else {
        return Err(invalid_request("The form cannot be read"));
    };
    let mut names = HashSet::new();
    if !form.members.iter().all(|(name, _)| names.insert(name)) {
        return Err(invalid_request("A parameter comes twice"));
    }
    match parameter(&form, "grant_type").as_deref() {
        Some("client_credentials") => {}
        None => return Err(invalid_request("grant_type is needed")),
        Some(_) => {
            return Err(oauth_error(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "Only client_credentials is given",
            ));
        }
    }
    let client_id = parameter(&form, "client_id");
    if let Some(assertion) = parameter(&form, "client_assertion") {
        if parameter(&form, "client_assertion_type").as_deref() != Some(JWT_BEARER_ASSERTION_TYPE) {
            return Err(invalid_request("client_assertion_type must be that of a JWT"));
        }
        if parameter(&form, "client_secret").is_some() || call.headers.contains_key("authorization") {
            return Err(invalid_request("A client shows itself in one way only"));
        }
        return Ok(ClientCredentials::Assertion { client_id, assertion });
    }
    match (basic_credentials(call)?, client_id, parameter(&form, "client_secret")) {
        (Some(_), _, Some(_)) => Err(invalid_request("A client shows itself in one way only")),
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

/// Id and key as HTTP Basic; both are form-encoded inside (RFC 6749 section 2.3.1).
fn basic_credentials(call: &DialectRequest) -> Result<Option<(String, String)>, RequestError> {
    let Some(sent) = call.header("authorization") else { return Ok(None) };
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
