//! Locks on backups: age envelopes, for recipients or with a passphrase.

use super::BackupError;
use secrecy::{ExposeSecret, SecretString};
use std::io::{BufRead, Read, Write};

/// The first bytes of an envelope.
const ENVELOPE: &[u8] = b"age-encryption.org/v1";

/// How a new backup is locked.
pub enum Lock {
    /// Not at all.
    Open,
    /// For whoever holds the identity of one of these (`age1…`).
    Recipients(Vec<age::x25519::Recipient>),
    /// With a passphrase.
    Passphrase(SecretString),
}

/// What opens one.
#[derive(Default)]
pub struct Opener {
    identities: Vec<Box<dyn age::Identity>>,
}

impl Lock {
    /// For these recipients.
    pub fn for_recipients<'a>(recipients: impl IntoIterator<Item = &'a str>) -> Result<Self, BackupError> {
        let read = |text: &str| {
            let unknown = |what| BackupError::Key(format!("{text} is no age recipient: {what}"));
            text.trim().parse::<age::x25519::Recipient>().map_err(unknown)
        };
        Ok(Self::Recipients(recipients.into_iter().map(read).collect::<Result<_, _>>()?))
    }

    /// A writer whose output is locked.
    pub(super) fn close<W: Write>(&self, output: W) -> Result<Closed<W>, BackupError> {
        let encryptor = match self {
            Self::Open => return Ok(Closed::Open(output)),
            Self::Recipients(recipients) => {
                let recipients = recipients.iter().map(|recipient| recipient as &dyn age::Recipient);
                age::Encryptor::with_recipients(recipients)
                    .map_err(|error| BackupError::Key(error.to_string()))?
            }
            Self::Passphrase(passphrase) => {
                age::Encryptor::with_user_passphrase(passphrase.expose_secret().to_owned().into())
            }
        };
        Ok(Closed::Locked(Box::new(encryptor.wrap_output(output)?)))
    }
}

/// What is written to a backup, locked or not.
pub(super) enum Closed<W: Write> {
    Open(W),
    Locked(Box<age::stream::StreamWriter<W>>),
}

impl<W: Write> Closed<W> {
    /// Ends the envelope.
    pub(super) fn finish(self) -> std::io::Result<W> {
        match self {
            Self::Open(output) => Ok(output),
            Self::Locked(locked) => locked.finish(),
        }
    }
}

impl<W: Write> Write for Closed<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Open(output) => output.write(bytes),
            Self::Locked(locked) => locked.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Open(output) => output.flush(),
            Self::Locked(locked) => locked.flush(),
        }
    }
}

impl Opener {
    /// What opens nothing that is locked.
    pub fn none() -> Self {
        Self::default()
    }

    /// The identities in the text of a file such as `age-keygen` writes.
    pub fn with_identities(text: &str) -> Result<Self, BackupError> {
        let unknown = |what: &dyn std::fmt::Display| BackupError::Key(format!("no age identity: {what}"));
        let file = age::IdentityFile::from_buffer(text.as_bytes()).map_err(|error| unknown(&error))?;
        let identities = file.into_identities().map_err(|error| unknown(&error))?;
        Ok(Self { identities: identities.into_iter().map(|one| one as Box<dyn age::Identity>).collect() })
    }

    /// A passphrase.
    pub fn with_passphrase(passphrase: &SecretString) -> Self {
        let passphrase = passphrase.expose_secret().to_owned().into();
        Self { identities: vec![Box::new(age::scrypt::Identity::new(passphrase))] }
    }

    /// What is inside.
    pub(super) fn open<'a, R: BufRead + 'a>(&self, mut input: R) -> Result<Box<dyn Read + 'a>, BackupError> {
        if !input.fill_buf()?.starts_with(ENVELOPE) {
            return Ok(Box::new(input));
        }
        if self.identities.is_empty() {
            return Err(BackupError::Locked);
        }
        let decryptor =
            age::Decryptor::new_buffered(input).map_err(|error| BackupError::Damaged(error.to_string()))?;
        let opened = decryptor.decrypt(self.identities.iter().map(|identity| &**identity));
        let opened = opened.map_err(|error| BackupError::WrongKey(error.to_string()))?;
        Ok(Box::new(opened))
    }
}
