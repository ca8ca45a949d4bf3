//! Whose key is this, and what does it open?

use super::{Desk, Fault, jwt};
use crate::Dialect;
use crate::kit::Denial;
use directory::{Access, ApiKey, Caller, Connection, ConnectionId, KeyHash, TenantNumber, Time};
use http::{HeaderValue, header};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// How often a connection's last use is written down.
const TOUCH_EVERY_SECONDS: i64 = 60;

/// What a client brings to be let in.
#[derive(Clone)]
pub struct Credential {
    /// The key.
    pub key: String,
    /// The tenant's number, where the dialect sends one.
    pub tenant: Option<String>,
}

/// The key of an `Authorization: Bearer` header; the scheme in any case (RFC 6750 section 2.1).
pub(crate) fn bearer(call: &super::Call) -> Option<Credential> {
    let (scheme, key) = call.header("authorization")?.trim().split_once(' ')?;
    let key = key.trim();
    let usable = scheme.eq_ignore_ascii_case("bearer") && !key.is_empty();
    usable.then(|| Credential { key: key.to_owned(), tenant: None })
}

/// The challenge of a 401 (RFC 6750 section 3); it says so if a token was sent and is not valid.
pub fn challenge(headers: &http::HeaderMap) -> HeaderValue {
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_bearer =
        sent.is_some_and(|sent| sent.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer ")));
    HeaderValue::from_static(if is_bearer {
        "Bearer realm=\"muster\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"muster\""
    })
}

/// The scheme of [`bearer`], as OpenAPI has it.
pub(crate) fn bearer_scheme() -> serde_json::Value {
    serde_json::json!({ "type": "http", "scheme": "bearer", "description": "The connection's key" })
}

/// The hash under which a key is kept.
pub fn hash_key(key: &str) -> KeyHash {
    KeyHash(Sha256::digest(key.as_bytes()).into())
}

/// Why no connection was found, and which one it would have been.
type Missing = (Denial, Option<Arc<Connection>>);

/// A client that was not let in.
pub(crate) struct Rejected {
    pub(crate) denial: Option<Denial>,
    /// Whose key it was.
    pub(crate) tenant: Option<TenantNumber>,
    /// What it is answered.
    pub(crate) fault: Fault,
}

impl From<Fault> for Rejected {
    fn from(fault: Fault) -> Self {
        Self { denial: None, tenant: None, fault }
    }
}

impl Desk {
    /// Lets a client in, or says why not: `Unauthorised` whenever the key opens nothing here, without a word
    /// about what is wrong with it; `Forbidden` when it is good but not for this.
    pub(crate) async fn admit(
        &self,
        credential: Option<Credential>,
        address: IpAddr,
        dialect: &Dialect,
        writes: bool,
    ) -> Result<Caller, Rejected> {
        let denied = |denial: Denial, connection: Option<&Connection>, fault| {
            let tenant = connection.map(|connection| connection.tenant);
            Rejected { denial: Some(denial), tenant, fault }
        };
        let Some(credential) = credential else {
            return Err(denied(Denial::NoKey, None, Fault::Unauthorised));
        };
        let found = self.find(&credential).await?;
        let connection = match found {
            Ok(connection) => connection,
            Err((denial, connection)) => {
                return Err(denied(denial, connection.as_deref(), self.gate.refuse(address)));
            }
        };
        if !connection.allows_dialect(dialect.name) {
            return Err(denied(Denial::WrongDialect, Some(&connection), Fault::Forbidden));
        }
        if writes && connection.access == Access::ReadOnly {
            return Err(denied(Denial::ReadOnly, Some(&connection), Fault::Forbidden));
        }
        Ok(Caller {
            tenant: connection.tenant,
            connection: Some(connection.id),
            actor: connection.name.clone(),
            highest_role: connection.highest_role,
            profile: connection.profile,
            user: connection.user,
            dialect: Some(dialect.name.to_owned()),
            request_id: String::new(),
        })
    }

    /// The live connection that a key or access token belongs to, if it opens the tenant that was named.
    pub(crate) async fn connection(&self, credential: &Credential) -> Result<Option<Arc<Connection>>, Fault> {
        Ok(self.find(credential).await?.ok())
    }

    /// The same, or why there is none.
    async fn find(&self, credential: &Credential) -> Result<Result<Arc<Connection>, Missing>, Fault> {
        let hash = hash_key(&credential.key);
        let now = self.directory.now();
        let connection = match self.gate.trusted(&hash, now) {
            Some(connection) => connection,
            None => match self.look_up(&credential.key, &hash, now).await? {
                Some(connection) => connection,
                None => return Ok(Err((Denial::UnknownKey, None))),
            },
        };
        let right_tenant =
            credential.tenant.as_ref().is_none_or(|t| t.trim().parse() == Ok(connection.tenant.0));
        Ok(if !right_tenant {
            Err((Denial::OtherTenant, Some(connection)))
        } else if connection.revoked {
            Err((Denial::Revoked, Some(connection)))
        } else if !connection.is_live(now) {
            Err((Denial::Expired, Some(connection)))
        } else {
            Ok(connection)
        })
    }

    async fn look_up(&self, key: &str, hash: &KeyHash, now: Time) -> Result<Option<Arc<Connection>>, Fault> {
        let is_shown = |other: &ApiKey| bool::from(other.hash.0.ct_eq(&hash.0));
        let (found, mark) = if jwt::is_token(key) {
            self.of_token(key, now).await?.unzip()
        } else {
            let near = self.directory.connections_by_key_prefix(hash.prefix()).await?;
            (near.into_iter().find(|connection| connection.keys.iter().any(is_shown)), None)
        };
        let found = found.map(Arc::new);
        self.gate.trust(*hash, found.as_ref(), now);
        let Some(connection) = found else { return Ok(None) };
        let is_used =
            |key: &&ApiKey| mark.as_ref().map_or_else(|| is_shown(key), |mark| jwt::is_mark_of(mark, key));
        let used = connection.keys.iter().find(is_used);
        // A token may have been given for a public key.
        let last_use = used.map_or(connection.last_use, |key| key.last_use);
        if connection.is_live(now)
            && last_use.is_none_or(|last| now >= last.plus_seconds(TOUCH_EVERY_SECONDS))
        {
            self.directory.record_connection_use(&connection, used);
        }
        Ok(Some(connection))
    }

    /// The connection an access token of ours was given to, while neither it nor the key it was given for has ended, and
    /// the mark of that key.
    async fn of_token(&self, token: &str, now: Time) -> Result<Option<(Connection, String)>, Fault> {
        let keys = self.seals.keys(&self.directory).await?;
        let access = jwt::verify(token, &keys.tokens);
        if access.as_ref().is_some_and(|access| now.0 / 1_000_000 >= access.exp) {
            // Whoever holds one that has ended is not guessing.
            return Err(Fault::Unauthorised);
        }
        let Some(access) = access else { return Ok(None) };
        let Ok(id) = uuid::Uuid::try_parse(&access.sub) else { return Ok(None) };
        let found = self.directory.connection(ConnectionId(id)).await?;
        let found = found.filter(|connection| jwt::marks(connection).any(|mark| mark == access.key));
        Ok(found.map(|connection| (connection, access.key)))
    }
}
