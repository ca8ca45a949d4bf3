//! What the routes do: look at what a client shows, and give it a token.

use super::read::{self, Shown};
use super::write;
use crate::kit::{Answer, Call, Credential, Desk, Fault, hash_key, jwt};
use directory::{Connection, ConnectionId};

/// How long an access token is good.
const SECONDS: i64 = 3_600;
/// How far ahead an assertion may end, so that a stolen one is soon worthless.
const ASSERTION_SECONDS: i64 = 3_600;
/// How far the client's clock may be off.
const LEEWAY_SECONDS: i64 = 60;

pub(super) async fn give(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let found = match read::request(call) {
        Ok(Shown::Secret { id, key }) => by_secret(desk, &id, key).await?,
        Ok(Shown::Assertion { id, assertion }) => by_assertion(desk, call, id.as_deref(), &assertion).await?,
        Err(Fault::Unauthorised) => None,
        Err(fault) => return Err(fault),
    };
    let now = desk.directory.now();
    let Some((connection, key)) = found.filter(|(connection, _)| connection.is_live(now)) else {
        return Err(call.address.map_or(Fault::Unauthorised, |address| desk.gate.refuse(address)));
    };
    let keys = desk.seals.keys(&desk.directory).await?;
    let (id, iat) = (connection.id.to_string(), now.0 / 1_000_000);
    let access = jwt::Access { sub: id.clone(), client_id: id, key, iat, exp: iat + SECONDS };
    let token = jwt::sign(&access, &keys.tokens);
    let token =
        token.ok_or_else(|| directory::DirectoryError::Internal("a token could not be signed".into()))?;
    Ok(write::token(token, SECONDS))
}

/// A connection, and the mark of the key it has shown.
type Found = Option<(Connection, String)>;

/// The connection of that id, if the key is one of its. A token is no key: it cannot be used to get another.
async fn by_secret(desk: &Desk, id: &str, key: String) -> Result<Found, Fault> {
    let mark = jwt::mark(&hash_key(&key).0);
    if jwt::is_token(&key) {
        return Ok(None);
    }
    let found = desk.connection(&Credential { key, tenant: None }).await?;
    let is_it = |connection: &Connection| connection.id.to_string().eq_ignore_ascii_case(id);
    Ok(found.filter(|connection| is_it(connection)).map(|connection| (Connection::clone(&connection), mark)))
}

async fn by_assertion(desk: &Desk, call: &Call, id: Option<&str>, assertion: &str) -> Result<Found, Fault> {
    let Some(claimed) = jwt::claimed(assertion) else { return Ok(None) };
    if id.is_some_and(|id| id != claimed) {
        return Ok(None);
    }
    let Ok(id) = uuid::Uuid::try_parse(&claimed) else { return Ok(None) };
    let Some(connection) = desk.directory.connection(ConnectionId(id)).await? else { return Ok(None) };
    let Some(issuer) = &desk.issuer else { return Ok(None) };
    let audiences = [issuer.clone(), format!("{issuer}{}", call.path), format!("{issuer}/oauth2/token")];
    let now = desk.directory.now().0 / 1_000_000;
    let is_good = |pem: &str| {
        let Some(said) = jwt::assertion(assertion, pem, &audiences) else { return false };
        said.iss == said.sub
            && said.sub == claimed
            && now < said.exp.saturating_add(LEEWAY_SECONDS)
            && said.exp <= now + ASSERTION_SECONDS + LEEWAY_SECONDS
            && said.nbf.is_none_or(|nbf| nbf <= now + LEEWAY_SECONDS)
    };
    let shown = connection.public_keys.iter().find(|pem| is_good(pem)).map(|pem| jwt::mark(pem.as_bytes()));
    Ok(shown.map(|mark| (connection, mark)))
}

/// Clients use what it says only if its issuer is the one they asked (RFC 8414 section 3.3), so it names the configured one.
pub(super) fn metadata(desk: &Desk, call: &Call) -> Answer {
    let algorithms = jwt::assertion_algorithms().collect();
    write::metadata(desk.issuer.as_ref().unwrap_or(&call.origin), algorithms)
}
