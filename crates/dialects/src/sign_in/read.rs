//! Parses sign-in requests to [`Credentials`].

use super::wire;
use crate::kit::{
    ApiCredential, DialectRequest, Format, Object, ParsedBody, RequestError, bearer, json, media_types, text_of,
};
use directory::{Credentials, FieldErrorKind, SecretString};

fn body(request: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let media = media_types::content_type(&request.headers);
    if media.as_deref().is_some_and(|media| media != "application/json") {
        return Err(RequestError::UnsupportedMediaType(media));
    }
    let text = request.body_text()?;
    // Drop the message of the parser: it may quote a password.
    let node = json::parse(text).map_err(|_| RequestError::Unparsable("invalid JSON".into()))?;
    Ok(Some(ParsedBody::new(Format::Json, node)))
}

fn text_member(body: &ParsedBody, object: &Object, name: &str) -> Result<Option<String>, RequestError> {
    let node = object.get(name, body.duplicates());
    let text = node.map_or(Ok(None), text_of).map_err(|kind| RequestError::invalid_member(name, kind))?;
    Ok(text.filter(|text| !text.is_empty()))
}

/// The key, and the tenant that the body names, which must be that of the key.
pub(super) fn credential(request: &DialectRequest) -> Result<Option<ApiCredential>, RequestError> {
    let Some(mut credential) = bearer(request) else { return Ok(None) };
    if let Some(body) = request.parsed_body(body)?
        && let Some(object) = body.as_object()
    {
        credential.tenant = text_member(body, object, "tenant")?;
    }
    Ok(Some(credential))
}

pub(super) fn sign_in_credentials(request: &DialectRequest) -> Result<Credentials, RequestError> {
    let body = request.parsed_body(body)?.ok_or(RequestError::BodyMissing)?;
    let object = body.as_object().ok_or_else(|| RequestError::Unparsable("not an object".into()))?;
    request.count_ignored(object.count_unknown(&wire::REQUEST, &[]));
    let required = |name: &str| {
        text_member(body, object, name)?.ok_or(RequestError::invalid_member(name, FieldErrorKind::Missing))
    };
    let (login, password) = (required("user")?, SecretString::from(required("password")?));
    let address = text_member(body, object, "address")?.map(|text| text.trim().parse());
    let address =
        address.transpose().map_err(|_| RequestError::invalid_member("address", FieldErrorKind::Malformed))?;
    Ok(Credentials { login, password, client_ip: address, known_browser: None })
}
