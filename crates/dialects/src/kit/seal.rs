//! Texts that come back unread and unaltered: sealed with a key that all processes of an installation share.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{Directory, DirectoryError, ServerSecret};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::{Arc, OnceLock};

/// The name under which the one secret is kept that all keys are drawn from.
const SECRET: &str = "signing";

/// Keys of an installation, drawn from its secret when they are first needed.
#[derive(Default)]
pub struct Seals {
    keys: OnceLock<Arc<Keys>>,
}

/// The keys themselves.
pub(crate) struct Keys {
    cursors: LessSafeKey,
    /// What access tokens are signed with.
    pub(crate) tokens: [u8; 32],
}

impl Seals {
    pub(crate) async fn keys(&self, directory: &Directory) -> Result<Arc<Keys>, DirectoryError> {
        if let Some(keys) = self.keys.get() {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(Keys::of(&directory.server_secret(SECRET).await?)?);
        // Whoever was first has drawn the same.
        Ok(Arc::clone(self.keys.get_or_init(|| keys)))
    }
}

impl Keys {
    fn of(secret: &ServerSecret) -> Result<Self, DirectoryError> {
        let draw = |purpose: &[u8]| -> [u8; 32] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret.0), purpose);
            let mut key = [0; 32];
            key.copy_from_slice(tag.as_ref());
            key
        };
        let cursors = UnboundKey::new(&AES_256_GCM, &draw(b"cursors"));
        let cursors = cursors.map_err(|_| DirectoryError::Internal("no key for cursors".into()))?;
        Ok(Self { cursors: LessSafeKey::new(cursors), tokens: draw(b"tokens") })
    }

    /// Seals a text for whoever asks the same of the same; `context` is what it is bound to.
    pub(crate) fn seal(&self, text: &str, context: &str) -> Result<String, DirectoryError> {
        let broken = || DirectoryError::Internal("a cursor could not be sealed".into());
        let mut bytes = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|_| broken())?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(bytes);
        let context = Aad::from(context.as_bytes());
        self.cursors.seal_in_place_append_tag(nonce, context, &mut sealed).map_err(|_| broken())?;
        Ok(URL_SAFE_NO_PAD.encode([bytes.as_slice(), &sealed].concat()))
    }

    /// Opens what was sealed; `None` when it was not sealed here, or for something else.
    pub(crate) fn open(&self, sealed: &str, context: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut sealed = sealed.to_vec();
        let text = self.cursors.open_in_place(nonce, Aad::from(context.as_bytes()), &mut sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_only_unaltered_and_in_its_context() {
        let keys = Keys::of(&ServerSecret([1; 32])).unwrap();
        let sealed = keys.seal("place 7", "tenant 1").unwrap();
        assert_eq!(keys.open(&sealed, "tenant 1").as_deref(), Some("place 7"));
        assert_ne!(keys.seal("place 7", "tenant 1").unwrap(), sealed);
        assert_eq!(keys.open(&sealed, "tenant 2"), None);
        assert_eq!(Keys::of(&ServerSecret([2; 32])).unwrap().open(&sealed, "tenant 1"), None);
        for n in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.open(std::str::from_utf8(&altered).unwrap(), "tenant 1"), None, "{n}");
        }
        for bad in ["", "x", "????"] {
            assert_eq!(keys.open(bad, "tenant 1"), None);
        }
    }
}
