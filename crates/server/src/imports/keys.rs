//! `Idempotency-Key`s of imports. Each has a file beside the imports, which names the import that it created; a process
//! that uses the key locks the file.

use super::Imports;
use super::job::{Job, JobStatus};
use dialects::kit::transfers::UploadKey;
use directory::IdempotencyRecord;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use uuid::Uuid;

const EXTENSION: &str = "key";

/// The key of an upload and the fingerprint of its request, as hashes.
#[derive(Clone, Copy, Debug)]
pub(super) struct ImportKey {
    key_hash: [u8; 32],
    fingerprint: [u8; 32],
}

/// The content of a key's file.
#[derive(Serialize, Deserialize)]
struct KeyRecord {
    import: Uuid,
    fingerprint: [u8; 32],
}

/// An import that a key has created before.
pub(super) enum EarlierImport {
    Same(Box<Job>),
    /// Its request was another one.
    Different,
}

impl ImportKey {
    pub(super) fn new(key: &UploadKey, file_hash: &[u8; 32]) -> Self {
        Self { key_hash: key.key_hash, fingerprint: key.fingerprint(file_hash) }
    }

    #[cfg(test)]
    pub(super) fn for_test((key, fingerprint): (u8, u8)) -> Self {
        Self { key_hash: [key; 32], fingerprint: [fingerprint; 32] }
    }

    /// The name of its file. Keys of different connections are different.
    pub(super) fn file_id(&self, job: &Job) -> Uuid {
        let connection = job.caller.connection.0;
        let hash = Sha256::new()
            .chain_update(job.caller.tenant.to_be_bytes())
            .chain_update(connection.as_bytes())
            .chain_update(self.key_hash)
            .finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Uuid::from_bytes(id)
    }
}

/// The file of a key that this process has locked.
pub(super) struct LockedKey(File);

impl LockedKey {
    fn lock(path: &Path) -> std::io::Result<Option<Self>> {
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Otherwise, it was removed in between.
            if file.metadata()?.nlink() > 0 {
                return Ok(Some(Self(file)));
            }
        }
    }

    /// `None` if the key is new, or the process that used it ended before its import was queued.
    fn read(&self) -> std::io::Result<Option<KeyRecord>> {
        let mut text = vec![0; usize::try_from(self.0.metadata()?.len()).unwrap_or(0)];
        self.0.read_exact_at(&mut text, 0)?;
        Ok(serde_json::from_slice(&text).ok())
    }

    pub(super) fn record(&self, import: Uuid, key: ImportKey) -> std::io::Result<()> {
        let text = serde_json::to_vec(&KeyRecord { import, fingerprint: key.fingerprint })?;
        self.0.set_len(0)?;
        self.0.write_all_at(&text, 0)?;
        self.0.sync_all()
    }
}

impl Imports {
    /// Locks a key. `None` if another request with it is in progress.
    pub(super) fn lock_key(&self, file_id: Uuid) -> std::io::Result<Option<LockedKey>> {
        LockedKey::lock(&self.path(file_id, EXTENSION))
    }

    /// The import that a key has created before, for as long as keys are kept.
    pub(super) fn earlier_import(&self, locked: &LockedKey, key: ImportKey) -> std::io::Result<Option<EarlierImport>> {
        let Some(record) = locked.read()? else { return Ok(None) };
        let job: Job = match std::fs::read(self.path(record.import, "json")) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_kept = self.directory.now() < job.created.plus_seconds(IdempotencyRecord::LIFETIME_SECONDS);
        if !is_kept || job.status == JobStatus::Uploading {
            return Ok(None);
        }
        Ok(Some(if record.fingerprint == key.fingerprint {
            EarlierImport::Same(Box::new(job))
        } else {
            EarlierImport::Different
        }))
    }

    /// Removes the file of an import's key, unless the key belongs to a newer import.
    pub(super) fn remove_key(&self, job: &Job) {
        let Some(file_id) = job.key else { return };
        let removed = self.lock_key(file_id).and_then(|locked| {
            let Some(locked) = locked else { return Ok(()) };
            match locked.read()? {
                Some(record) if record.import != job.id => Ok(()),
                _ => std::fs::remove_file(self.path(file_id, EXTENSION)),
            }
        });
        if let Err(error) = removed {
            tracing::warn!(%error, import = %job.id, "cannot remove the key of an import");
        }
    }
}
