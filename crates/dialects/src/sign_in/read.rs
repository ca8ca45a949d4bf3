//! From bytes to a guess.

use super::wire;
use crate::kit::{Body, Call, Credential, Fault, Format, Object, accept, bearer, json, text_of};
use directory::{Credentials, FieldErrorKind, SecretString};

fn body(call: &Call) -> Result<Option<Body>, Fault> {
    if call.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let media = accept::content_type(&call.headers);
    if media.as_deref().is_some_and(|media| media != "application/json") {
        return Err(Fault::UnsupportedMedia(media));
    }
    let text = std::str::from_utf8(&call.body).map_err(|error| Fault::Unparsable(error.to_string()))?;
    // What the parser quotes of the body may be a password.
    let node = json::read(text).map_err(|_| Fault::Unparsable("no JSON".into()))?;
    Ok(Some(Body { format: Format::Json, root: None, node }))
}

fn member(body: &Body, object: &Object, name: &str) -> Result<Option<String>, Fault> {
    let node = object.get(name, body.duplicates());
    let text = node.map_or(Ok(None), text_of).map_err(|rule| Fault::field(name, rule))?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// The key, and the tenant that the body names: a key opens no other.
pub(super) fn credential(call: &Call) -> Result<Option<Credential>, Fault> {
    let Some(mut credential) = bearer(call) else { return Ok(None) };
    if let Some(body) = call.body(body)?
        && let Some(object) = body.members()
    {
        credential.tenant = member(body, object, "tenant")?;
    }
    Ok(Some(credential))
}

/// What was shown.
pub(super) fn guess(call: &Call) -> Result<Credentials, Fault> {
    let body = call.body(body)?.ok_or(Fault::BodyMissing)?;
    let object = body.members().ok_or_else(|| Fault::Unparsable("no object".into()))?;
    call.ignore(object.unknown_to(&wire::REQUEST, &[]));
    let needed = |name: &str| member(body, object, name)?.ok_or(Fault::field(name, FieldErrorKind::Missing));
    let (handle, password) = (needed("user")?, SecretString::from(needed("password")?));
    let address = member(body, object, "address")?.map(|text| text.trim().parse());
    let address = address.transpose().map_err(|_| Fault::field("address", FieldErrorKind::Malformed))?;
    Ok(Credentials { login: handle, password, client_ip: address, known_device: None })
}
