//! The `Idempotency-Key` of a request: its syntax, its errors, and the keys that are in use.

use directory::{Caller, ConnectionId, IdempotencyScope};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;

const HEADER: &str = "idempotency-key";
pub(crate) const MAX_KEY_CHARS: usize = 255;

/// What is wrong with the key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdempotencyError {
    Malformed,
    /// It was sent with another request before.
    Reused,
    /// The request with this key has not been answered yet.
    InProgress,
}

impl IdempotencyError {
    pub const ALL: [Self; 3] = [Self::Malformed, Self::Reused, Self::InProgress];

    /// The draft, section 2.7.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Reused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::InProgress => StatusCode::CONFLICT,
        }
    }

    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "idempotency_key_malformed",
            Self::Reused => "idempotency_key_reused",
            Self::InProgress => "idempotency_key_in_progress",
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Self::Malformed => "Idempotency-Key must be a single string of 1 to 255 printable ASCII characters",
            Self::Reused => "This Idempotency-Key was used for another request; send a new key",
            Self::InProgress => "A request with this Idempotency-Key is in progress; try again in a moment",
        }
    }
}

pub(crate) type KeyOfConnection = (ConnectionId, [u8; 32]);

/// The keys of requests that this process is carrying out.
#[derive(Clone, Debug, Default)]
pub struct OpenRequests(Arc<Mutex<HashSet<KeyOfConnection>>>);

/// Holds a key while its request is carried out.
#[derive(Debug)]
pub(crate) struct HeldKey {
    key: KeyOfConnection,
    all: OpenRequests,
}

impl OpenRequests {
    /// `None` if another request holds the key.
    pub(crate) fn hold(&self, key: KeyOfConnection) -> Option<HeldKey> {
        self.0.lock().insert(key).then(|| HeldKey { key, all: self.clone() })
    }
}

impl OpenRequest {
    pub(crate) fn new(scope: IdempotencyScope, caller: Caller, held: HeldKey) -> Self {
        Self { scope, caller, _held: held }
    }
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        self.all.0.lock().remove(&self.key);
    }
}

/// A request with a key, until it is answered.
#[derive(Debug)]
pub(crate) struct OpenRequest {
    pub(crate) scope: IdempotencyScope,
    pub(crate) caller: Caller,
    _held: HeldKey,
}

/// The key: a structured-field string (RFC 8941 section 3.3.3), or bare text.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, IdempotencyError> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let key = value.to_str().ok().and_then(|text| unquoted(text.trim()));
    let is_valid = |key: &String| (1..=MAX_KEY_CHARS).contains(&key.len()) && values.next().is_none();
    key.filter(is_valid).map(Some).ok_or(IdempotencyError::Malformed)
}

fn unquoted(text: &str) -> Option<String> {
    if !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return None;
    }
    let Some(quoted) = text.strip_prefix('"') else {
        return (!text.contains(['"', ' '])).then(|| text.to_owned());
    };
    let (mut key, mut rest) = (String::new(), quoted.chars());
    loop {
        match rest.next()? {
            '"' => return rest.as_str().is_empty().then_some(key),
            '\\' => key.push(rest.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => key.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn key(values: &[&str]) -> Result<Option<String>, IdempotencyError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::try_from(*value).unwrap());
        }
        key_of(&headers)
    }

    #[test]
    fn keys_are_structured_strings_or_bare_texts() {
        assert_eq!(key(&[]), Ok(None));
        let long = "a".repeat(255);
        for (sent, expected) in [
            ("\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            (long.as_str(), long.as_str()),
        ] {
            assert_eq!(key(&[sent]), Ok(Some(expected.to_owned())), "{sent}");
        }
        let too_long = "a".repeat(256);
        for sent in ["", "\"\"", "\"a", "a\"", "\"a\"b", r#""a\b""#, "a b", "\u{7f}", &too_long] {
            let value = HeaderValue::from_bytes(sent.as_bytes());
            if value.is_ok() {
                assert_eq!(key(&[sent]), Err(IdempotencyError::Malformed), "{sent}");
            }
        }
        assert_eq!(key(&["a", "b"]), Err(IdempotencyError::Malformed), "two headers");
    }
}
