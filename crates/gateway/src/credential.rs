//! How requests are authenticated: with the credential of a target, or a token that it is exchanged for.

use crate::master_key::MasterKeyError;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use dialects::kit::replace_folded;
use directory::CredentialKind;
use http::{HeaderValue, Method, Request, header};
use outbound::HttpClient;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Why a request cannot be authenticated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    #[error("the credential has characters that cannot be sent")]
    Unsendable,
    #[error("the private key is not a P-256 or RSA key in PKCS #8 PEM")]
    NotAKey,
    #[error("the token endpoint rejects the credential{0}")]
    Rejected(String),
    /// The endpoint has failed, which says nothing about the credential.
    #[error("the token endpoint has no valid response: {0}")]
    Unavailable(String),
}

/// A credential in use.
pub(crate) struct Credential {
    kind: CredentialKind,
    secret: SecretString,
    token: Option<Token>,
}

struct Token {
    header: HeaderValue,
    /// When it is replaced: after 80 % of its lifetime.
    refresh: Instant,
}

/// RFC 6749 section 5.1.
#[derive(Deserialize)]
struct TokenResponse {
    access_token: String,
    expires_in: Option<u64>,
}

/// The lifetime of a token that does not say it.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(5);
const MAX_LIFETIME: Duration = Duration::from_hours(24);
const ASSERTION_LIFETIME: u64 = 300;

impl Credential {
    pub(crate) fn new(kind: CredentialKind, secret: SecretString) -> Self {
        Self { kind, secret, token: None }
    }

    /// The key to put into the body or query.
    pub(crate) fn key(&self) -> &str {
        if self.kind == CredentialKind::Key { self.secret.expose_secret() } else { "" }
    }

    /// Whether a new token could help after requests with the current one were denied.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) fn forget_token(&mut self) {
        self.token = None;
    }

    /// A text of the target without the secrets that were sent to it, as they are and as forms encode them.
    pub(crate) fn redact(&self, text: &str) -> String {
        let secret = self.secret.expose_secret();
        let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let header = match &self.kind {
            CredentialKind::Basic { user } => Some(STANDARD.encode(format!("{user}:{secret}"))),
            _ => self.token.as_ref().and_then(|token| token.header.to_str().ok()).map(str::to_owned),
        };
        let token = header.as_deref().map(|header| header.strip_prefix("Bearer ").unwrap_or(header));
        let secrets = [Some(secret), Some(encoded.as_str()), token].into_iter().flatten().filter(|it| !it.is_empty());
        secrets.fold(text.to_owned(), |text, secret| replace_folded(&text, secret))
    }

    /// The value of the `Authorization` header, if there is one.
    pub(crate) async fn authorization(&mut self, client: &HttpClient) -> Result<Option<HeaderValue>, CredentialError> {
        let secret = self.secret.expose_secret();
        match &self.kind {
            CredentialKind::Key => Ok(None),
            CredentialKind::Bearer => sensitive(&format!("Bearer {secret}")).map(Some),
            CredentialKind::Basic { user } => {
                sensitive(&format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))).map(Some)
            }
            CredentialKind::ClientCredentials { .. } => {
                if let Some(token) = self.token.as_ref().filter(|token| Instant::now() < token.refresh) {
                    return Ok(Some(token.header.clone()));
                }
                let token = self.fetch_token(client).await?;
                Ok(Some(self.token.insert(token).header.clone()))
            }
        }
    }

    fn token_request(
        &self,
        token_url: &str,
        client_id: &str,
        scope: Option<&str>,
        has_private_key: bool,
    ) -> Result<Request<Bytes>, CredentialError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.extend_pairs(scope.map(|scope| ("scope", scope)));
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(token_url)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let secret = self.secret.expose_secret();
        if has_private_key {
            form.append_pair("client_id", client_id);
            form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            form.append_pair("client_assertion", &assertion(client_id, token_url, secret)?);
        } else {
            // RFC 6749 section 2.3.1: both are form-encoded first.
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let pair = STANDARD.encode(format!("{}:{}", encode(client_id), encode(secret)));
            request = request.header(header::AUTHORIZATION, sensitive(&format!("Basic {pair}"))?);
        }
        request.body(Bytes::from(form.finish())).map_err(|_| CredentialError::Unsendable)
    }

    /// RFC 6749 section 4.4; with a private key, RFC 7523 section 2.2.
    async fn fetch_token(&self, client: &HttpClient) -> Result<Token, CredentialError> {
        let CredentialKind::ClientCredentials { token_url, client_id, scope, has_private_key } = &self.kind else {
            return Err(CredentialError::Unsendable);
        };
        let request = self.token_request(token_url, client_id, scope.as_deref(), *has_private_key)?;
        let response = client.send(request).await.map_err(|error| CredentialError::Unavailable(error.to_string()))?;
        let status = response.status();
        if matches!(status.as_u16(), 400 | 401 | 403) {
            // RFC 6749 section 5.2: a code, such as `invalid_client`.
            let code = serde_json::from_slice::<serde_json::Value>(response.body()).ok();
            let code = code.as_ref().and_then(|body| body["error"].as_str()).unwrap_or_default();
            let is_code =
                !code.is_empty() && code.len() <= 40 && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            return Err(CredentialError::Rejected(if is_code { format!(": {code}") } else { String::new() }));
        }
        let token: Option<TokenResponse> =
            status.is_success().then(|| serde_json::from_slice(response.body()).ok()).flatten();
        let token = token.ok_or_else(|| CredentialError::Unavailable(format!("status {}", status.as_u16())))?;
        let lifetime = token.expires_in.map_or(DEFAULT_LIFETIME, Duration::from_secs).min(MAX_LIFETIME);
        let header = sensitive(&format!("Bearer {}", token.access_token))?;
        Ok(Token { header, refresh: Instant::now() + lifetime * 4 / 5 })
    }
}

fn sensitive(text: &str) -> Result<HeaderValue, CredentialError> {
    let mut value = HeaderValue::from_str(text).map_err(|_| CredentialError::Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A signed assertion (RFC 7523 section 3).
fn assertion(client_id: &str, audience: &str, private_key: &str) -> Result<String, CredentialError> {
    let key = PrivatePkcs8KeyDer::from_pem_slice(private_key.as_bytes()).map_err(|_| CredentialError::NotAKey)?;
    let key = key.secret_pkcs8_der();
    #[expect(clippy::disallowed_methods, reason = "the time limit of a token that another system checks")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| CredentialError::Unavailable(MasterKeyError::NoRandomness.to_string()))?;
    let claims = serde_json::json!({
        "iss": client_id, "sub": client_id, "aud": audience, "jti": URL_SAFE_NO_PAD.encode(id),
        "iat": now, "exp": now + ASSERTION_LIFETIME,
    });
    let random = SystemRandom::new();
    let signing_input = |algorithm: &str| {
        let head = serde_json::json!({"alg": algorithm, "typ": "JWT"});
        [head, claims.clone()].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".")
    };
    let failed = |_| CredentialError::NotAKey;
    let (input, signature) = if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key, &random)
    {
        let input = signing_input("ES256");
        let signature = pair.sign(&random, input.as_bytes()).map_err(failed)?.as_ref().to_vec();
        (input, signature)
    } else {
        let pair = RsaKeyPair::from_pkcs8(key).map_err(|_| CredentialError::NotAKey)?;
        let input = signing_input("RS256");
        let mut signature = vec![0; pair.public().modulus_len()];
        pair.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature).map_err(failed)?;
        (input, signature)
    };
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// Checks that a credential can be used, without sending it.
///
/// # Errors
/// It has characters that cannot be sent, or is not a private key.
pub fn check_credential(kind: &CredentialKind, secret: &SecretString) -> Result<(), CredentialError> {
    let secret = secret.expose_secret();
    match kind {
        CredentialKind::ClientCredentials { has_private_key: true, .. } => assertion("", "", secret).map(drop),
        _ => sensitive(secret).map(drop),
    }
}
