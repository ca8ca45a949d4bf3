//! Encrypts credentials under a key that is outside the store: AES-256-GCM, with a key for each tenant derived by HKDF
//! (RFC 5869).

use directory::{SealedSecret, TenantNumber};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{digest, hkdf};
use secrecy::{ExposeSecret, SecretSlice, SecretString, zeroize::Zeroize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The master keys of a file: the first encrypts, all decrypt.
pub struct MasterKeys {
    path: PathBuf,
    keys: Vec<MasterKey>,
}

struct MasterKey {
    /// Eight hexadecimal digits of a hash of the key.
    id: String,
    secret: SecretSlice<u8>,
}

/// Where the master keys are. They are read when they are needed, so that a file that is created or changed later takes
/// effect.
#[derive(Clone, Debug)]
pub struct MasterKeySource(pub Option<PathBuf>);

impl MasterKeySource {
    /// # Errors
    /// There are none, or they cannot be read.
    pub fn load(&self) -> Result<MasterKeys, MasterKeyError> {
        self.0.as_deref().map_or(Err(MasterKeyError::Required), MasterKeys::load)
    }
}

/// Why there are no master keys.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("cannot read the master key {0} (--secrets-key): {1}")]
    Unreadable(PathBuf, std::io::Error),
    #[error("{0} must have one key per line, each of 64 hexadecimal digits")]
    Malformed(PathBuf),
    #[error("other users can read the master key {0}: run `chmod 600 {0}`")]
    NotPrivate(PathBuf),
    #[error("no random bytes for a master key")]
    NoRandomness,
    #[error(
        "credentials of targets are encrypted under a master key outside the database: create one with \
         `(umask 077; openssl rand -hex 32 > muster.key)` and name it with --secrets-key on all processes"
    )]
    Required,
}

/// Why a secret cannot be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error(
        "the credential is encrypted under master key {0}, which {1} does not have (add it as a further line, or set \
         the credential again)"
    )]
    UnknownKey(String, String),
    #[error("the credential was changed or copied from elsewhere (set it again)")]
    NotAuthentic,
}

const KEY_BYTES: usize = 32;
/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 64 * 1024;

impl MasterKeys {
    /// Reads a file with one key per line.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or a line is not a key.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let unreadable = |error| MasterKeyError::Unreadable(path.to_owned(), error);
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.mode() & 0o077 != 0 {
            return Err(MasterKeyError::NotPrivate(path.to_owned()));
        }
        let mut text = String::new();
        file.take(MAX_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Option<Vec<MasterKey>> = lines.map(MasterKey::parse).collect();
        text.zeroize();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| MasterKeyError::Malformed(path.to_owned()))?;
        Ok(Self { path: path.to_owned(), keys })
    }

    /// Reads a file, or creates it with a new key if it does not exist.
    ///
    /// # Errors
    /// As for [`Self::load`], or it cannot be created.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        let unreadable = |error| MasterKeyError::Unreadable(path.to_owned(), error);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Ok(mut file) => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(|_| MasterKeyError::NoRandomness)?;
                let mut line = hex(&key);
                line.push('\n');
                let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
                key.zeroize();
                line.zeroize();
                written.map_err(unreadable)?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unreadable(error)),
        }
        Self::load(path)
    }

    /// The id of the key that encrypts.
    pub fn current_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// Encrypts a secret. `sealed` names its owner, use and version, to which the result is bound; its other fields are
    /// ignored.
    ///
    /// # Errors
    /// There are no random bytes.
    pub fn seal(&self, sealed: SealedSecret, secret: &SecretString) -> Result<SealedSecret, MasterKeyError> {
        let key = self.keys.first().ok_or(MasterKeyError::NoRandomness)?;
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|_| MasterKeyError::NoRandomness)?;
        let mut bytes = secret.expose_secret().as_bytes().to_vec();
        let sealing = key.of_tenant(sealed.tenant).ok_or(MasterKeyError::NoRandomness)?;
        sealing
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context(&sealed)), &mut bytes)
            .map_err(|_| MasterKeyError::NoRandomness)?;
        let bytes = [nonce.as_slice(), &bytes].concat();
        Ok(SealedSecret { key_id: key.id.clone(), sealed: bytes, ..sealed })
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(&self, sealed: &SealedSecret) -> Result<SecretString, OpenError> {
        let key = self.keys.iter().find(|key| key.id == sealed.key_id);
        let key = key.ok_or_else(|| OpenError::UnknownKey(sealed.key_id.clone(), self.path.display().to_string()))?;
        let (nonce, bytes) = sealed.sealed.split_at_checked(NONCE_LEN).ok_or(OpenError::NotAuthentic)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::NotAuthentic)?;
        let mut bytes = bytes.to_vec();
        let opening = key.of_tenant(sealed.tenant).ok_or(OpenError::NotAuthentic)?;
        let opened = opening
            .open_in_place(nonce, Aad::from(context(sealed)), &mut bytes)
            .map_err(|_| OpenError::NotAuthentic)?;
        let secret = std::str::from_utf8(opened).map(|text| SecretString::from(text.to_owned()));
        let secret = secret.map_err(|_| OpenError::NotAuthentic);
        bytes.zeroize();
        secret
    }
}

/// What a secret is bound to. The lengths make it unambiguous. The use is left out: a credential keeps its version when
/// it becomes the current one.
fn context(sealed: &SealedSecret) -> Vec<u8> {
    let SealedSecret { tenant, owner, version, .. } = sealed;
    format!("{}|{}|{owner}|{version}", tenant.0, owner.len()).into_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

/// The length of derived keys.
struct DerivedLength;

impl hkdf::KeyType for DerivedLength {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl MasterKey {
    fn parse(line: &str) -> Option<Self> {
        let digits = line.as_bytes();
        if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let secret: Vec<u8> = digits.chunks(2).map(byte).collect::<Option<_>>()?;
        let hash = digest::digest(&digest::SHA256, &[b"muster master key id".as_slice(), &secret].concat());
        let id = hex(hash.as_ref().get(..4).unwrap_or_default());
        Some(Self { id, secret: SecretSlice::from(secret) })
    }

    fn of_tenant(&self, tenant: TenantNumber) -> Option<LessSafeKey> {
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, b"muster secrets").extract(self.secret.expose_secret());
        let info = tenant.0.to_be_bytes();
        let info = [info.as_slice()];
        let mut key = [0; KEY_BYTES];
        extracted.expand(&info, DerivedLength).ok()?.fill(&mut key).ok()?;
        let derived = UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new);
        key.zeroize();
        derived
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{SecretUse, Time};

    fn keys(folder: &Path, lines: &[char]) -> MasterKeys {
        let path = folder.join(lines.iter().collect::<String>());
        let keys: Vec<String> = lines.iter().map(|digit| digit.to_string().repeat(64)).collect();
        let text = format!("{}\n", keys.join("\n"));
        std::fs::write(&path, text).expect("written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("set");
        MasterKeys::load(&path).expect("keys")
    }

    fn slot(tenant: u32, owner: &str, version: u32) -> SealedSecret {
        SealedSecret {
            tenant: TenantNumber(tenant),
            owner: owner.into(),
            use_: SecretUse::Current,
            version,
            key_id: String::new(),
            sealed: Vec::new(),
            created: Time(1),
            expires: None,
            last_success: None,
        }
    }

    #[test]
    fn secrets_open_only_where_they_were_sealed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, both, other) =
            (keys(folder.path(), &['a']), keys(folder.path(), &['b', 'a']), keys(folder.path(), &['c']));
        let sealed = old.seal(slot(1, "target/x", 1), &"hunter2".to_owned().into()).expect("sealed");
        assert!(!sealed.sealed.windows(7).any(|part| part == b"hunter2"));
        for keys in [&old, &both] {
            assert_eq!(keys.open(&sealed).expect("opened").expose_secret(), "hunter2");
        }
        // Sealed again under the first of several keys.
        let again = both.seal(sealed.clone(), &"hunter2".to_owned().into()).expect("sealed");
        assert_eq!((again.key_id.as_str(), again.sealed == sealed.sealed), (both.current_id(), false));
        assert!(matches!(old.open(&again), Err(OpenError::UnknownKey(..))));
        assert!(matches!(other.open(&sealed), Err(OpenError::UnknownKey(..))));
        // Copied to another tenant, target or version, or changed.
        let copies = [
            SealedSecret { tenant: TenantNumber(2), ..sealed.clone() },
            SealedSecret { owner: "target/y".into(), ..sealed.clone() },
            SealedSecret { version: 2, ..sealed.clone() },
            SealedSecret { sealed: Vec::new(), ..sealed.clone() },
        ];
        for copy in copies {
            assert!(matches!(old.open(&copy), Err(OpenError::NotAuthentic)));
        }
        for index in 0..sealed.sealed.len() {
            let mut changed = sealed.clone();
            changed.sealed[index] ^= 1;
            assert!(matches!(old.open(&changed), Err(OpenError::NotAuthentic)));
        }
        // A key with the id of another one.
        let swapped = SealedSecret { key_id: other.current_id().to_owned(), ..sealed };
        assert!(matches!(other.open(&swapped), Err(OpenError::NotAuthentic)));
    }

    #[test]
    fn files_that_are_no_keys_are_rejected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        assert!(matches!(MasterKeys::load(&path), Err(MasterKeyError::Unreadable(..))));
        let made = MasterKeys::load_or_create(&path).expect("created");
        assert_eq!(MasterKeys::load_or_create(&path).expect("kept").current_id(), made.current_id());
        for bad in ["", "\n", "abc", &"g".repeat(64), &"a".repeat(63), &format!("{}\nx", "a".repeat(64))] {
            std::fs::write(&path, bad).expect("written");
            assert!(matches!(MasterKeys::load(&path), Err(MasterKeyError::Malformed(_))), "{bad}");
        }
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("set");
        assert!(matches!(MasterKeys::load(&path), Err(MasterKeyError::NotPrivate(_))));
    }
}
