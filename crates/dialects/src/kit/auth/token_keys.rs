//! Keys derived from the secret of the installation, which all its processes share: they encrypt cursors and sign
//! access tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::{Caller, Directory, DirectoryError, Purpose};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use std::sync::{Arc, OnceLock};

/// Name of the stored secret that all keys are derived from.
const SECRET_NAME: &str = "signing";

/// Keys of the installation, derived from its secret on first use.
#[derive(Default)]
pub struct TokenKeys {
    keys: OnceLock<Arc<DerivedKeys>>,
}

pub(crate) struct DerivedKeys {
    cursor_key: LessSafeKey,
    pub(crate) access_token_key: [u8; 32],
    fingerprints: hmac::Key,
}

impl TokenKeys {
    pub(crate) async fn get_or_derive(&self, directory: &Directory) -> Result<Arc<DerivedKeys>, DirectoryError> {
        if let Some(keys) = self.keys.get() {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(DerivedKeys::derive(
            &directory.server_secret(&Caller::task(Purpose::Authentication), SECRET_NAME).await?.bytes,
        )?);
        // A concurrent call derived the same keys.
        Ok(Arc::clone(self.keys.get_or_init(|| keys)))
    }
}

impl DerivedKeys {
    fn derive(secret: &[u8; 32]) -> Result<Self, DirectoryError> {
        let derive_key = |purpose: &[u8]| -> [u8; 32] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose);
            let mut key = [0; 32];
            key.copy_from_slice(tag.as_ref());
            key
        };
        let cursors = UnboundKey::new(&AES_256_GCM, &derive_key(b"cursors"));
        let cursors = cursors.map_err(|_| DirectoryError::Internal("cannot create the cursor key".into()))?;
        Ok(Self {
            cursor_key: LessSafeKey::new(cursors),
            access_token_key: derive_key(b"tokens"),
            fingerprints: hmac::Key::new(hmac::HMAC_SHA256, &derive_key(b"idempotency")),
        })
    }

    /// A hash of the parts of a request, which reveals nothing about them without the key.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.fingerprints);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(context.sign().as_ref());
        fingerprint
    }

    /// Encrypts a text. It can be decrypted only with the same `context`, which binds it to a client and query.
    pub(crate) fn encrypt_cursor(&self, text: &str, context: &str) -> Result<String, DirectoryError> {
        let broken = || DirectoryError::Internal("cannot encrypt a cursor".into());
        let mut bytes = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut bytes).map_err(|_| broken())?;
        let mut ciphertext = text.as_bytes().to_vec();
        let nonce = Nonce::assume_unique_for_key(bytes);
        let context = Aad::from(context.as_bytes());
        self.cursor_key.seal_in_place_append_tag(nonce, context, &mut ciphertext).map_err(|_| broken())?;
        Ok(URL_SAFE_NO_PAD.encode([bytes.as_slice(), &ciphertext].concat()))
    }

    /// `None` if the text was altered, comes from another installation, or belongs to another context.
    pub(crate) fn decrypt_cursor(&self, ciphertext: &str, context: &str) -> Option<String> {
        let bytes = URL_SAFE_NO_PAD.decode(ciphertext).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut ciphertext = ciphertext.to_vec();
        let text = self.cursor_key.open_in_place(nonce, Aad::from(context.as_bytes()), &mut ciphertext).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_decrypt_only_unaltered_and_in_their_context() {
        let keys = DerivedKeys::derive(&[1; 32]).unwrap();
        let ciphertext = keys.encrypt_cursor("place 7", "tenant 1").unwrap();
        assert_eq!(keys.decrypt_cursor(&ciphertext, "tenant 1").as_deref(), Some("place 7"));
        assert_ne!(keys.encrypt_cursor("place 7", "tenant 1").unwrap(), ciphertext);
        assert_eq!(keys.decrypt_cursor(&ciphertext, "tenant 2"), None);
        assert_eq!(DerivedKeys::derive(&[2; 32]).unwrap().decrypt_cursor(&ciphertext, "tenant 1"), None);
        for n in 0..ciphertext.len() {
            let mut altered = ciphertext.clone().into_bytes();
            altered[n] = if altered[n] == b'A' { b'B' } else { b'A' };
            assert_eq!(keys.decrypt_cursor(std::str::from_utf8(&altered).unwrap(), "tenant 1"), None, "{n}");
        }
        for bad in ["", "x", "????"] {
            assert_eq!(keys.decrypt_cursor(bad, "tenant 1"), None);
        }
    }
}
