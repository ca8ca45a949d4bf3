//! The handlers: authenticate the client and issue a token.

use super::read::{self, ClientCredentials};
use super::write;
use crate::kit::{
    ApiCredential, AppState, AuthenticatedClient, DialectRequest, DialectResponse, RequestError, hash_key, jwt,
};
use directory::{Caller, Connection, ConnectionId, Purpose};

const TOKEN_LIFETIME_SECONDS: i64 = 3_600;
/// Maximum time until an assertion expires, so that a stolen one soon becomes useless.
const MAX_ASSERTION_LIFETIME_SECONDS: i64 = 3_600;
/// Tolerated difference of the client's clock.
const LEEWAY_SECONDS: i64 = 60;

pub(super) async fn issue_token(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let client = match read::token_request(request) {
        Ok(ClientCredentials::Secret { client_id: id, client_secret: key }) => {
            client_by_secret(state, &id, key).await?
        }
        Ok(ClientCredentials::Assertion { client_id, assertion }) => {
            client_by_assertion(state, request, client_id.as_deref(), &assertion).await?
        }
        Err(RequestError::Unauthorized) => None,
        Err(error) => return Err(error),
    };
    let now = state.directory.now();
    let Some(AuthenticatedClient { connection, key_fingerprint }) =
        client.filter(|client| client.connection.is_live(now))
    else {
        return Err(request
            .client_ip
            .map_or(RequestError::Unauthorized, |address| state.authenticator.reject_credential(address)));
    };
    let keys = state.token_keys.get_or_derive(&state.directory).await?;
    let (id, iat) = (connection.id.to_string(), now.0 / 1_000_000);
    let access = jwt::AccessTokenClaims {
        sub: id.clone(),
        client_id: id,
        key_fingerprint,
        iat,
        exp: iat + TOKEN_LIFETIME_SECONDS,
    };
    let token = jwt::sign_access_token(&access, &keys.access_token_key);
    let token = token.ok_or_else(|| directory::DirectoryError::Internal("cannot sign an access token".into()))?;
    Ok(write::token_response(token, TOKEN_LIFETIME_SECONDS))
}

/// The connection with this id and key. Tokens are not accepted as keys: a token must not yield another token.
async fn client_by_secret(
    state: &AppState,
    id: &str,
    key: String,
) -> Result<Option<AuthenticatedClient>, RequestError> {
    let key_fingerprint = jwt::key_fingerprint(&hash_key(&key).0);
    if jwt::looks_like_jwt(&key) {
        return Ok(None);
    }
    let client = state.live_connection(&ApiCredential { key, tenant: None }).await?;
    let has_client_id = |connection: &Connection| connection.id.to_string().eq_ignore_ascii_case(id);
    Ok(client
        .filter(|connection| has_client_id(connection))
        .map(|connection| AuthenticatedClient { connection: Connection::clone(&connection), key_fingerprint }))
}

async fn client_by_assertion(
    state: &AppState,
    request: &DialectRequest,
    id: Option<&str>,
    assertion: &str,
) -> Result<Option<AuthenticatedClient>, RequestError> {
    let Some(client_id) = jwt::unverified_subject(assertion) else { return Ok(None) };
    if id.is_some_and(|id| id != client_id) {
        return Ok(None);
    }
    let Ok(id) = uuid::Uuid::try_parse(&client_id) else { return Ok(None) };
    let Some(connection) = state.directory.connection(&Caller::task(Purpose::Authentication), ConnectionId(id)).await?
    else {
        return Ok(None);
    };
    let Some(issuer) = &state.issuer else { return Ok(None) };
    let audiences = [issuer.clone(), format!("{issuer}{}", request.path), format!("{issuer}/oauth2/token")];
    let now = state.directory.now().0 / 1_000_000;
    let is_valid_for = |pem: &str| {
        let Some(claims) = jwt::verify_assertion(assertion, pem, &audiences) else { return false };
        claims.iss == claims.sub
            && claims.sub == client_id
            && now < claims.exp.saturating_add(LEEWAY_SECONDS)
            && claims.exp <= now + MAX_ASSERTION_LIFETIME_SECONDS + LEEWAY_SECONDS
            && claims.nbf.is_none_or(|nbf| nbf <= now + LEEWAY_SECONDS)
    };
    let fingerprint =
        connection.public_keys.iter().find(|pem| is_valid_for(pem)).map(|pem| jwt::key_fingerprint(pem.as_bytes()));
    Ok(fingerprint.map(|key_fingerprint| AuthenticatedClient { connection, key_fingerprint }))
}

/// Prefers the configured issuer: clients check that it is the URL they requested (RFC 8414 section 3.3).
pub(super) fn metadata(state: &AppState, request: &DialectRequest) -> DialectResponse {
    let algorithms = jwt::assertion_algorithm_names().collect();
    write::metadata_response(state.issuer.as_ref().unwrap_or(&request.origin), algorithms)
}
