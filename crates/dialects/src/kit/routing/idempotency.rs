//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a repeated POST gets the response of the first one,
//! and changes nothing again.
//!
//! The commands of a request are recorded with their changes (`directory::IdempotencyRecord`), its response afterwards.
//! If a process ends between the two, the repeated request finds the commands done and writes the response anew.

use super::transfers::UploadKey;
use crate::kit::idempotency_key::{IdempotencyError, KeyOfConnection, MAX_KEY_CHARS, OpenRequest, key_of};
use crate::kit::{AppState, DialectRequest, DialectResponse, RequestError, RequiredAccess, ResponseBody, RouteMethod};
use bytes::Bytes;
use directory::{
    Actor, Caller, DirectoryError, IdempotencyKey, IdempotencyLookup, IdempotencyRecord, IdempotencyScope,
    RecordedResponse,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The header in the OpenAPI document.
pub(crate) fn header_parameter() -> serde_json::Value {
    serde_json::json!({
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Repeats of the request with the same key within 24 hours get the same response and change nothing",
        "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS},
    })
}

/// Whether requests to this operation can have a key.
pub(crate) fn takes_key(method: &RouteMethod) -> bool {
    method.name == "POST" && method.access == RequiredAccess::Write
}

/// The key of an upload. The file is read after the handler, so the server compares keys when the file is complete.
pub(crate) async fn upload_key(
    state: &AppState,
    request: &DialectRequest,
    options: Vec<u8>,
) -> Result<Option<UploadKey>, RequestError> {
    let Some(key) = key_of(&request.headers).map_err(RequestError::Idempotency)? else { return Ok(None) };
    let Some(client) = request.client() else { return Ok(None) };
    let key_hash = Sha256::digest(key.as_bytes()).into();
    let in_progress = RequestError::Idempotency(IdempotencyError::InProgress);
    let held = state.open_requests.hold((client.id, key_hash)).ok_or(in_progress)?;
    let keys = state.token_keys.get_or_derive(&state.directory).await?;
    Ok(Some(UploadKey { key_hash, options, keys, _held: Arc::new(held) }))
}

/// Looks up the key of a request, if it has one. Returns the response if it was completed before.
pub(super) async fn begin(
    state: &AppState,
    request: &mut DialectRequest,
) -> Result<Option<DialectResponse>, RequestError> {
    if !request.takes_idempotency_key {
        return Ok(None);
    }
    let Some(key) = key_of(&request.headers).map_err(RequestError::Idempotency)? else { return Ok(None) };
    let caller = request.caller()?.clone();
    let Actor::Connection(client) = &caller.actor else { return Ok(None) };
    let key = (client.id, Sha256::digest(key.as_bytes()).into());
    let in_progress = RequestError::Idempotency(IdempotencyError::InProgress);
    let held = state.open_requests.hold(key).ok_or(in_progress)?;
    match find(state, &caller, key, request).await? {
        IdempotencyLookup::Open(found) => {
            let scope = IdempotencyScope::new(found);
            request.caller = Some(Caller { idempotency: Some(scope.clone()), ..caller.clone() });
            request.idempotency = Some(OpenRequest::new(scope, caller, held));
            Ok(None)
        }
        IdempotencyLookup::Completed(response) => replay(response).map(Some),
        IdempotencyLookup::Reused => Err(RequestError::Idempotency(IdempotencyError::Reused)),
    }
}

async fn find(
    state: &AppState,
    caller: &Caller,
    (connection, key_hash): KeyOfConnection,
    request: &DialectRequest,
) -> Result<IdempotencyLookup, DirectoryError> {
    let keys = state.token_keys.get_or_derive(&state.directory).await?;
    let fingerprint = keys.fingerprint(&request_parts(request));
    let key = IdempotencyKey { tenant: caller.tenant, connection, key_hash, fingerprint };
    state.directory.idempotent_request(caller, key).await
}

/// What makes two requests the same: method, path, query, media type and body.
fn request_parts(request: &DialectRequest) -> Vec<&[u8]> {
    let media_type = request.header("content-type").unwrap_or_default();
    let mut parts: Vec<&[u8]> =
        [request.method.as_str(), &request.path, media_type].map(str::as_bytes).into_iter().collect();
    parts.extend(request.query.pairs().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    parts.push(&request.body);
    parts
}

fn replay(recorded: RecordedResponse) -> Result<DialectResponse, RequestError> {
    let broken = || RequestError::Directory(DirectoryError::Internal("a recorded response is not valid".into()));
    let mut response = Response::new(ResponseBody::Full(Bytes::from(recorded.body)));
    *response.status_mut() = StatusCode::from_u16(recorded.status).map_err(|_| broken())?;
    for (name, value) in recorded.headers {
        let name = HeaderName::try_from(name).map_err(|_| broken())?;
        response.headers_mut().append(name, HeaderValue::try_from(value).map_err(|_| broken())?);
    }
    Ok(response)
}

/// Stores the response of the request.
///
/// # Errors
/// Another attempt has carried out a part of the request in the meantime: this response may be wrong.
pub(super) async fn complete(
    state: &AppState,
    open: OpenRequest,
    recorded: Option<RecordedResponse>,
    error: Option<&RequestError>,
) -> Result<(), RequestError> {
    let in_progress = RequestError::Idempotency(IdempotencyError::InProgress);
    match state.directory.has_other_attempt(&open.caller, &open.scope).await {
        Ok(true) => return Err(in_progress),
        Err(failure) if error.is_some() => return Err(failure.into()),
        // Without a stored response, a repeated request finds its commands done, and gets an equal response.
        Err(_) => return Ok(()),
        Ok(false) => {}
    }
    let Some(recorded) = recorded.filter(|_| !error.is_some_and(is_temporary_error)) else { return Ok(()) };
    match state.directory.record_response(&open.caller, open.scope.request(), recorded).await {
        Err(DirectoryError::Conflict) if error.is_some() => Err(in_progress),
        _ => Ok(()),
    }
}

/// Whether a request can succeed if it is repeated.
pub(crate) fn is_temporary_error(error: &RequestError) -> bool {
    matches!(error, RequestError::Directory(DirectoryError::Conflict | DirectoryError::ConnectionEnded))
}

/// Whether a repeated request can get another status.
pub(crate) fn is_temporary_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 408 | 413 | 429) || status.is_server_error()
}

/// Marks a response with results that can change if the request is repeated.
#[derive(Clone)]
pub(crate) struct TemporaryResponse;

/// A response as it is stored; `None` if it is not, because it is temporary or too large.
pub(super) fn record_of(response: &DialectResponse) -> Option<RecordedResponse> {
    if is_temporary_status(response.status()) || response.extensions().get::<TemporaryResponse>().is_some() {
        return None;
    }
    let body = response.body().as_full().filter(|body| body.len() <= IdempotencyRecord::MAX_BODY)?;
    let body = std::str::from_utf8(body).ok()?.to_owned();
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let headers = headers.collect::<Option<_>>()?;
    Some(RecordedResponse { status: response.status().as_u16(), headers, body })
}
