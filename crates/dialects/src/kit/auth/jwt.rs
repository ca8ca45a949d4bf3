//! JSON Web Tokens (RFC 7519): access tokens of Muster and assertions of clients. Uses the `jsonwebtoken` crate
//! with ring, which TLS needs anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{ApiKey, Connection};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey, Header, Validation};
use ring::hmac;
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};
use serde::{Deserialize, Serialize};
use std::sync::Once;

/// Signature algorithms of assertions. HMAC is excluded, since only hashes of keys are stored.
pub(crate) const ASSERTION_ALGORITHMS: [Algorithm; 8] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Their names for the server metadata, with `Ed25519`, the name of RFC 9864 for the only supported curve of `EdDSA`.
pub(crate) fn assertion_algorithm_names() -> impl Iterator<Item = String> {
    ASSERTION_ALGORITHMS.iter().map(|algorithm| format!("{algorithm:?}")).chain([ED25519.to_owned()])
}

/// Not known to `jsonwebtoken`.
const ED25519: &str = "Ed25519";

/// Claims of an access token (RFC 9068). Times are in seconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccessTokenClaims {
    pub(crate) sub: String,
    pub(crate) client_id: String,
    /// The [`key_fingerprint`] of the key it was issued for: the token ends with that key.
    #[serde(rename = "key")]
    pub(crate) key_fingerprint: String,
    pub(crate) iat: i64,
    pub(crate) exp: i64,
}

/// Claims of a client's assertion (RFC 7523 section 3).
#[derive(Debug, Deserialize)]
pub(crate) struct AssertionClaims {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) exp: i64,
    pub(crate) nbf: Option<i64>,
}

/// Whether a bearer token has the form of a JWT.
pub(crate) fn looks_like_jwt(key: &str) -> bool {
    key.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// Identifies a key or public key in a token without revealing it.
pub(crate) fn key_fingerprint(of: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::new().chain_update(b"access token for ").chain_update(of).finalize();
    URL_SAFE_NO_PAD.encode(&digest[..8])
}

pub(crate) fn key_fingerprints(connection: &Connection) -> impl Iterator<Item = String> {
    let keys = connection.keys.iter().map(|key| key_fingerprint(&key.hash.0));
    keys.chain(connection.public_keys.iter().map(|pem| key_fingerprint(pem.as_bytes())))
}

pub(crate) fn is_fingerprint_of(fingerprint: &str, key: &ApiKey) -> bool {
    self::key_fingerprint(&key.hash.0) == fingerprint
}

pub(crate) fn sign_access_token(access: &AccessTokenClaims, key: &[u8]) -> Option<String> {
    install_crypto_provider();
    let header = Header { typ: Some("at+jwt".into()), ..Header::new(Algorithm::HS256) };
    jsonwebtoken::encode(&header, access, &EncodingKey::from_secret(key)).ok()
}

/// The claims of an access token if its signature is valid. The caller checks the expiry.
pub(crate) fn verify_access_token(token: &str, key: &[u8]) -> Option<AccessTokenClaims> {
    install_crypto_provider();
    let mut validation = Validation::new(Algorithm::HS256);
    // The caller checks the expiry, since the clock is a port.
    validation.validate_exp = false;
    validation.validate_aud = false;
    let decoded = jsonwebtoken::decode::<AccessTokenClaims>(token, &DecodingKey::from_secret(key), &validation).ok()?;
    let header = decoded.header;
    (header.typ.as_deref() == Some("at+jwt") && header.crit.is_none()).then_some(decoded.claims)
}

/// The `sub` of an assertion whose signature is not verified yet.
pub(crate) fn unverified_subject(assertion: &str) -> Option<String> {
    jsonwebtoken::dangerous::insecure_decode_claims::<AssertionClaims>(assertion).ok().map(|claims| claims.sub)
}

/// The claims of an assertion that is signed with the private key of `pem` and has one of `audiences`.
pub(crate) fn verify_assertion(assertion: &str, pem: &str, audiences: &[String]) -> Option<AssertionClaims> {
    install_crypto_provider();
    if uses_ed25519(assertion) {
        return verify_ed25519_assertion(assertion, pem, audiences);
    }
    let header = jsonwebtoken::decode_header(assertion).ok()?;
    let algorithm = header.alg;
    // No extensions are supported, so none may be critical (RFC 7515 section 4.1.11).
    if header.crit.is_some() || !ASSERTION_ALGORITHMS.contains(&algorithm) {
        return None;
    }
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.set_audience(audiences);
    validation.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    let key = parse_public_key(pem, Some(algorithm))?;
    jsonwebtoken::decode::<AssertionClaims>(assertion, &key, &validation).ok().map(|decoded| decoded.claims)
}

fn uses_ed25519(assertion: &str) -> bool {
    #[derive(Deserialize)]
    struct HeaderFields {
        alg: String,
        #[serde(default)]
        crit: Option<serde_json::Value>,
    }
    let header = assertion.split('.').next().and_then(|header| URL_SAFE_NO_PAD.decode(header).ok());
    let named = header.and_then(|header| serde_json::from_slice::<HeaderFields>(&header).ok());
    named.is_some_and(|named| named.alg == ED25519 && named.crit.is_none())
}

fn verify_ed25519_assertion(assertion: &str, pem: &str, audiences: &[String]) -> Option<AssertionClaims> {
    #[derive(Deserialize)]
    struct AudienceClaim {
        aud: Audience,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Audience {
        One(String),
        Many(Vec<String>),
    }
    let key = parse_public_key(pem, Some(Algorithm::EdDSA))?;
    let (message, signature) = assertion.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let with = &ring_signature::ED25519;
    PublicKey { algorithm: Algorithm::EdDSA, verification_algorithm: with, key }
        .verify(message.as_bytes(), &signature)
        .ok()?;
    let (_, claims) = message.split_once('.')?;
    let claims = URL_SAFE_NO_PAD.decode(claims).ok()?;
    let addressed: AudienceClaim = serde_json::from_slice(&claims).ok()?;
    let is_ours = match &addressed.aud {
        Audience::One(one) => audiences.contains(one),
        Audience::Many(many) => many.iter().any(|one| audiences.contains(one)),
    };
    is_ours.then(|| serde_json::from_slice(&claims).ok())?
}

fn parse_public_key(pem: &str, algorithm: Option<Algorithm>) -> Option<DecodingKey> {
    let allows = |ours: &[Algorithm]| algorithm.is_none_or(|algorithm| ours.contains(&algorithm));
    let (bytes, mut found) = (pem.as_bytes(), None);
    if allows(&[Algorithm::ES256, Algorithm::ES384]) {
        found = DecodingKey::from_ec_pem(bytes).ok();
    }
    if found.is_none() && allows(&[Algorithm::EdDSA]) {
        found = DecodingKey::from_ed_pem(bytes).ok();
    }
    if found.is_none() && allows(&ASSERTION_ALGORITHMS[..5]) {
        found = DecodingKey::from_rsa_pem(bytes).ok();
    }
    found
}

/// Checks that a PEM text is a public key that assertions can be verified with.
pub fn check_public_key(pem: &str) -> Result<(), &'static str> {
    if pem.contains("PRIVATE KEY") {
        return Err("this is a private key; use the public key instead");
    }
    let invalid = "not a PEM public key of RSA (2048 to 8192 bits), P-256, P-384 or Ed25519";
    let key = parse_public_key(pem, None).ok_or(invalid)?;
    // Some keys parse but never verify. Valid lengths: an Ed25519 key, a curve point, an RSA modulus with exponent.
    match key.kind() {
        DecodingKeyKind::SecretOrDer(der) if matches!(der.len(), 32 | 65 | 97 | 265..=1050) => Ok(()),
        _ => Err(invalid),
    }
}

fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    static PROVIDER: CryptoProvider =
        CryptoProvider { signer_factory: signer, verifier_factory: verifier, key_utils: KeyUtils::new_unimplemented() };
    // Nothing else in this process installs a provider.
    ONCE.call_once(|| PROVIDER.install_default().unwrap_or(()));
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that jsonwebtoken requires")]
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>, Error> {
    match algorithm {
        Algorithm::HS256 => Ok(Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes())))),
        _ => Err(ErrorKind::InvalidAlgorithm.into()),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that jsonwebtoken requires")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let with: &'static dyn VerificationAlgorithm = match algorithm {
        Algorithm::HS256 => {
            let secret = key.try_get_as_bytes()?;
            return Ok(Box::new(Hmac(hmac::Key::new(hmac::HMAC_SHA256, secret))));
        }
        Algorithm::ES256 => &ring_signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &ring_signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &ring_signature::ED25519,
        Algorithm::RS256 => &ring_signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &ring_signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &ring_signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &ring_signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &ring_signature::RSA_PSS_2048_8192_SHA384,
        _ => return Err(ErrorKind::InvalidAlgorithm.into()),
    };
    Ok(Box::new(PublicKey { algorithm: *algorithm, verification_algorithm: with, key: key.clone() }))
}

struct Hmac(hmac::Key);

impl Signer<Vec<u8>> for Hmac {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}
impl Verifier<Vec<u8>> for Hmac {
    fn verify(&self, message: &[u8], tag: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, tag).map_err(|_| signature::Error::new())
    }
}
impl JwtSigner for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}
impl JwtVerifier for Hmac {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

struct PublicKey {
    algorithm: Algorithm,
    verification_algorithm: &'static dyn VerificationAlgorithm,
    key: DecodingKey,
}

impl Verifier<Vec<u8>> for PublicKey {
    fn verify(&self, message: &[u8], signed: &Vec<u8>) -> Result<(), signature::Error> {
        let bytes = match self.key.kind() {
            DecodingKeyKind::SecretOrDer(der) => der.as_slice(),
            DecodingKeyKind::RsaModulusExponent { .. } => return Err(signature::Error::new()),
        };
        UnparsedPublicKey::new(self.verification_algorithm, bytes)
            .verify(message, signed)
            .map_err(|_| signature::Error::new())
    }
}
impl JwtVerifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzzing::{RSA_PUBLIC_KEY, SIGNED_ASSERTION};

    /// Keys made with OpenSSL: two unsupported ones, and two valid ones.
    const RSA_OF_1024_BITS: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDWbfIY4C1EDWnOTGMCNs3lLiA+\n\
        B0zGsj4XO5yOESALncyR/n3mXxlOoo391oYN0boGUokaX7DKZao465C+ygBMldIS\n\
        C5tJflsh85ksBjwKMPVChTbLfDN5a8BGlsVfxY8SCBPmVgj+eH2zm3O+N22tg/UO\n\
        cqRzKugtKVit4301AQIDAQAB\n\
        -----END PUBLIC KEY-----\n";
    const P_521: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQBeL1hwhFjlX8KNGdhN3Z4q5Ua+Akv\n\
        7PWQtFYXDqmn0kQcXFhIEc8Gz7OWgMjyM0llFYty9ZCEG6UIcFmEE02nLHMBo/NC\n\
        sZ+f4IKgXdA4myDOlR4TE2WRVpSwbgY6iJFPZdU6GVJA6yYWZFXY3o+3vE4UNXj/\n\
        2+c8Lk5Ucdi8F0mXOIU=\n\
        -----END PUBLIC KEY-----\n";
    const P_384: &str = "-----BEGIN PUBLIC KEY-----\n\
        MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEi6eE0tm6Z+eEKMieYJhSU1SEaBg9TUSA\n\
        PtsXlqFkLgcVnoM+0BSw+HmZWADe+gLklk1M5vt8QbeLaZ1EFPxFDcT+j85WxVkH\n\
        u/8xUZs9Vl7cV6PzBYYxFPW9Z9K5DWFR\n\
        -----END PUBLIC KEY-----\n";
    const ED_25519: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEAzEVG6lFvzF1GcMs/dRxUun+fHpnVkf63RpuagUBmxlg=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn accepts_an_rsa_assertion_signed_by_openssl() {
        let audiences = ["https://m".to_owned()];
        assert_eq!(unverified_subject(SIGNED_ASSERTION).as_deref(), Some("c"));
        let said = verify_assertion(SIGNED_ASSERTION, RSA_PUBLIC_KEY, &audiences).unwrap();
        assert_eq!((said.iss.as_str(), said.exp), ("c", 4_102_444_800));
        assert!(verify_assertion(SIGNED_ASSERTION, RSA_PUBLIC_KEY, &["https://n".to_owned()]).is_none());
        let place = SIGNED_ASSERTION.len() - 10;
        let altered = format!("{}A{}", &SIGNED_ASSERTION[..place], &SIGNED_ASSERTION[place + 1..]);
        assert!(verify_assertion(&altered, RSA_PUBLIC_KEY, &audiences).is_none());
        assert_eq!(check_public_key(RSA_PUBLIC_KEY), Ok(()));
        for useless in ["nonsense", RSA_OF_1024_BITS, P_521] {
            assert!(check_public_key(useless).is_err(), "{useless}");
        }
        for valid in [P_384, ED_25519] {
            assert_eq!(check_public_key(valid), Ok(()), "{valid}");
        }
    }

    #[test]
    fn verifies_only_tokens_it_signed() {
        let access = AccessTokenClaims {
            sub: "s".into(),
            client_id: "s".into(),
            key_fingerprint: key_fingerprint(b"k"),
            iat: 1,
            exp: 2,
        };
        let token = sign_access_token(&access, b"key").unwrap();
        assert_eq!(verify_access_token(&token, b"key").unwrap().exp, 2);
        assert!(
            verify_access_token(&token, b"another").is_none()
                && verify_access_token(SIGNED_ASSERTION, b"key").is_none()
        );
        assert!(looks_like_jwt(&token) && !looks_like_jwt("0123456789abcdef"));
    }
}
