//! From a form and headers to what a client shows of itself.

use super::errors::own;
use crate::kit::{Call, Duplicates, Fault, Node, Object, accept, form};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use std::collections::HashSet;

/// What a client shows of itself.
pub(super) enum Shown {
    /// Its id and key.
    Secret { id: String, key: String },
    /// An assertion, and the id it sent beside it.
    Assertion { id: Option<String>, assertion: String },
}

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Reads a request for a token.
pub(super) fn request(call: &Call) -> Result<Shown, Fault> {
    let bad = |text: &str| own(StatusCode::BAD_REQUEST, "invalid_request", text);
    if accept::content_type(&call.headers).is_some_and(|media| media != "application/x-www-form-urlencoded") {
        return Err(bad("The body must be application/x-www-form-urlencoded"));
    }
    let Ok(Node::Object(form)) = form::read(&call.body) else { return Err(bad("The form cannot be read")) };
    let mut names = HashSet::new();
    if !form.members.iter().all(|(name, _)| names.insert(name)) {
        return Err(bad("A parameter comes twice"));
    }
    match get(&form, "grant_type").as_deref() {
        Some("client_credentials") => {}
        None => return Err(bad("grant_type is needed")),
        Some(_) => {
            return Err(own(
                StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                "Only client_credentials is given",
            ));
        }
    }
    let id = get(&form, "client_id");
    if let Some(assertion) = get(&form, "client_assertion") {
        if get(&form, "client_assertion_type").as_deref() != Some(ASSERTION) {
            return Err(bad("client_assertion_type must be that of a JWT"));
        }
        if get(&form, "client_secret").is_some() || call.headers.contains_key("authorization") {
            return Err(bad("A client shows itself in one way only"));
        }
        return Ok(Shown::Assertion { id, assertion });
    }
    match (basic(call)?, id, get(&form, "client_secret")) {
        (Some(_), _, Some(_)) => Err(bad("A client shows itself in one way only")),
        (Some((id, key)), _, None) | (None, Some(id), Some(key)) => Ok(Shown::Secret { id, key }),
        (None, _, _) => Err(Fault::Unauthorised),
    }
}

fn get(form: &Object, name: &str) -> Option<String> {
    match form.get(name, Duplicates::FirstWins) {
        Some(Node::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    }
}

/// Id and key as HTTP Basic; both are form-encoded inside (RFC 6749 section 2.3.1).
fn basic(call: &Call) -> Result<Option<(String, String)>, Fault> {
    let Some(sent) = call.header("authorization") else { return Ok(None) };
    let (scheme, encoded) = sent.trim().split_once(' ').unwrap_or((sent, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(Fault::Unauthorised);
    }
    let bytes = STANDARD.decode(encoded.trim()).map_err(|_| Fault::Unauthorised)?;
    let text = String::from_utf8(bytes).map_err(|_| Fault::Unauthorised)?;
    let (id, key) = text.split_once(':').ok_or(Fault::Unauthorised)?;
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(Some((plain(id), plain(key))))
}
