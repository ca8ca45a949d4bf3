//! Finds the connection that a key or access token belongs to, and checks what it may do.

use crate::Dialect;
use crate::kit::{AppState, Denial, RequestError, RequiredAccess, jwt};
use directory::{
    Access, Actor, ApiKey, Caller, Client, Connection, ConnectionId, KeyHash, Purpose, TenantNumber, Time,
};
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Minimum interval between updates of a connection's last use.
const LAST_USE_INTERVAL_SECONDS: i64 = 60;

pub(crate) struct AuthenticatedClient {
    pub(crate) connection: Connection,
    /// Of the key that it authenticated with.
    pub(crate) key_fingerprint: String,
}

#[derive(Clone)]
pub struct ApiCredential {
    pub key: String,
    /// The tenant's number, if the request names one.
    pub tenant: Option<String>,
}

/// The key of an `Authorization: Bearer` header (RFC 6750 section 2.1). The scheme is case-insensitive.
pub(crate) fn bearer(request: &crate::kit::DialectRequest) -> Option<ApiCredential> {
    let (scheme, key) = request.header("authorization")?.trim().split_once(' ')?;
    let key = key.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !key.is_empty();
    usable.then(|| ApiCredential { key: key.to_owned(), tenant: None })
}

/// The `WWW-Authenticate` of a 401 (RFC 6750 section 3), with `invalid_token` if a bearer token was sent.
pub fn challenge(headers: &http::HeaderMap) -> HeaderValue {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_bearer = sent.is_some_and(|sent| sent.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
    HeaderValue::from_static(if is_bearer {
        "Bearer realm=\"muster\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"muster\""
    })
}

pub(crate) fn bearer_scheme() -> serde_json::Value {
    serde_json::json!({ "type": "http", "scheme": "bearer", "description": "The connection's key" })
}

pub fn hash_key(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}

/// The reason, and the connection of the rejected key if it is known.
type DeniedConnection = (Denial, Option<Arc<Connection>>);

pub(crate) struct AuthenticationError {
    pub(crate) denial: Option<Denial>,
    pub(crate) tenant: Option<TenantNumber>,
    /// The name of the connection that the key belongs to.
    pub(crate) connection: Option<String>,
    pub(crate) error: RequestError,
}

impl From<RequestError> for AuthenticationError {
    fn from(error: RequestError) -> Self {
        Self { denial: None, tenant: None, connection: None, error }
    }
}

impl AppState {
    /// `Unauthorized` for every missing or invalid key, whatever the reason; `Forbidden` if a valid key is not for this
    /// dialect, or is read-only and the request writes; `TooManyAttempts` after too many invalid keys from the address.
    pub(crate) async fn authenticate(
        &self,
        credential: Option<ApiCredential>,
        address: IpAddr,
        dialect: &Dialect,
        required: RequiredAccess,
    ) -> Result<Caller, AuthenticationError> {
        let error_for = |denial: Denial, connection: Option<&Connection>, error| {
            let (tenant, connection) =
                connection.map(|connection| (connection.tenant, connection.name.clone())).unzip();
            AuthenticationError { denial: Some(denial), tenant, connection, error }
        };
        let Some(credential) = credential else {
            return Err(error_for(Denial::NoKey, None, RequestError::Unauthorized));
        };
        let connection = self.resolve_credential(&credential).await?;
        let connection = match connection {
            Ok(connection) => connection,
            Err((denial, connection)) => {
                return Err(error_for(denial, connection.as_deref(), self.authenticator.reject_credential(address)));
            }
        };
        if !connection.allows_dialect(dialect.name) {
            return Err(error_for(Denial::WrongDialect, Some(&connection), RequestError::Forbidden));
        }
        if required == RequiredAccess::Write && connection.access == Access::ReadOnly {
            return Err(error_for(Denial::ReadOnly, Some(&connection), RequestError::Forbidden));
        }
        let client = Client {
            id: connection.id,
            name: connection.name.clone(),
            highest_role: connection.highest_role,
            user: connection.user,
            dialect: dialect.name.to_owned(),
        };
        Ok(Caller { profile: connection.profile, ..Caller::new(connection.tenant, Actor::Connection(client)) })
    }

    /// The live connection of a key or access token, if it belongs to the tenant that the request names.
    pub(crate) async fn live_connection(
        &self,
        credential: &ApiCredential,
    ) -> Result<Option<Arc<Connection>>, RequestError> {
        Ok(self.resolve_credential(credential).await?.ok())
    }

    /// The same, with the reason if there is none.
    async fn resolve_credential(
        &self,
        credential: &ApiCredential,
    ) -> Result<Result<Arc<Connection>, DeniedConnection>, RequestError> {
        let hash = hash_key(&credential.key);
        let now = self.directory.now();
        let connection = match self.authenticator.cached(&hash, now) {
            Some(connection) => connection,
            None => match self.fetch_connection(&credential.key, &hash, now).await? {
                Some(connection) => connection,
                None => return Ok(Err((Denial::UnknownKey, None))),
            },
        };
        let is_right_tenant = credential.tenant.as_ref().is_none_or(|t| t.trim().parse() == Ok(connection.tenant.0));
        Ok(if !is_right_tenant {
            Err((Denial::OtherTenant, Some(connection)))
        } else if connection.revoked {
            Err((Denial::Revoked, Some(connection)))
        } else if !connection.is_live(now) {
            Err((Denial::Expired, Some(connection)))
        } else {
            Ok(connection)
        })
    }

    async fn fetch_connection(
        &self,
        key: &str,
        hash: &KeyHash,
        now: Time,
    ) -> Result<Option<Arc<Connection>>, RequestError> {
        let matches_key = |other: &ApiKey| bool::from(other.hash.0.ct_eq(&hash.0));
        let (connection, fingerprint) = if jwt::looks_like_jwt(key) {
            let client = self.client_of_token(key, now).await?;
            client.map(|client| (client.connection, client.key_fingerprint)).unzip()
        } else {
            let candidates =
                self.directory.connections_by_key_prefix(&Caller::task(Purpose::Authentication), hash.prefix()).await?;
            (candidates.into_iter().find(|connection| connection.keys.iter().any(matches_key)), None)
        };
        let connection = connection.map(Arc::new);
        self.authenticator.update_cache(*hash, connection.as_ref(), now);
        let Some(connection) = connection else { return Ok(None) };
        let is_used = |key: &&ApiKey| {
            fingerprint
                .as_ref()
                .map_or_else(|| matches_key(key), |fingerprint| jwt::is_fingerprint_of(fingerprint, key))
        };
        let used = connection.keys.iter().find(is_used);
        // None if the token was issued for a public key; then the connection's last use counts.
        let last_use = used.map_or(connection.last_use, |key| key.last_use);
        if connection.is_live(now) && last_use.is_none_or(|last| now >= last.plus_seconds(LAST_USE_INTERVAL_SECONDS)) {
            self.directory.record_connection_use(&connection, used);
        }
        Ok(Some(connection))
    }

    /// The connection of an access token, if it still has the key that the token was issued for. Fails with
    /// `Unauthorized` if the token has expired.
    async fn client_of_token(&self, token: &str, now: Time) -> Result<Option<AuthenticatedClient>, RequestError> {
        let keys = self.token_keys.get_or_derive(&self.directory).await?;
        let claims = jwt::verify_access_token(token, &keys.access_token_key);
        if claims.as_ref().is_some_and(|claims| now.0 / 1_000_000 >= claims.exp) {
            // An expired token is no guess, so it does not count towards the rate limit.
            return Err(RequestError::Unauthorized);
        }
        let Some(claims) = claims else { return Ok(None) };
        let Ok(id) = uuid::Uuid::try_parse(&claims.sub) else { return Ok(None) };
        let connection = self.directory.connection(&Caller::task(Purpose::Authentication), ConnectionId(id)).await?;
        let connection = connection.filter(|connection| {
            jwt::key_fingerprints(connection).any(|fingerprint| fingerprint == claims.key_fingerprint)
        });
        Ok(connection.map(|connection| AuthenticatedClient { connection, key_fingerprint: claims.key_fingerprint }))
    }
}
