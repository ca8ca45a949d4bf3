//! Backups: consistent snapshots of a whole store, independent of the engine.
//!
//! A file consists of a magic line, a line of JSON (the header), a Zstandard stream of entries, each preceded by
//! its length (32 bits, little-endian), and SHA-256 over all of it. The last entry has length 0 and is followed by
//! the trailer. Backups are not encrypted here: they can be written to and read from pipes, and other programs
//! encrypt those.

mod read;
mod stream;
mod write;

pub use read::{Backup, BackupSummary, Entries, verify};
pub use stream::stream;
pub use write::write;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::archive::{Counts, Sums, TenantSums};
use store::hex;

/// The first line of every backup, with the format version.
const MAGIC: &[u8] = b"MUSTER BACKUP 2\n";
/// The first line of backups of Muster 0.1.0, whose entries are upgraded while they are read.
const MAGIC_V1: &[u8] = b"MUSTER BACKUP 1\n";
/// The start of files encrypted by `age`, binary and armored.
const AGE_MAGIC: [&[u8]; 2] = [b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----"];
/// In bytes.
const CHECKSUM_LEN: usize = 32;
/// In bytes.
const MAX_HEADER_LEN: usize = 64 * 1024;
/// In bytes: more than a page of the largest users.
const MAX_ENTRY_LEN: usize = 256 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// Start of the backup, in RFC 3339.
    #[serde(rename = "made")]
    pub created: String,
    pub engine: String,
    #[serde(rename = "muster")]
    pub version: String,
}

/// Counts and digests of the entries, to verify them.
#[derive(Debug, Serialize, Deserialize)]
struct Trailer {
    entries: u64,
    tenants: BTreeMap<u32, TenantTrailer>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TenantTrailer {
    #[serde(rename = "people")]
    users: u64,
    items: u64,
    memberships: u64,
    deleted: u64,
    connections: u64,
    mails: u64,
    events: u64,
    digest: String,
}

impl Trailer {
    fn new(entries: u64, sums: &Sums) -> Self {
        let end = |sums: &TenantSums| {
            let Counts { users: people, items, memberships, deleted_users: deleted, connections, mails, events } =
                sums.counts;
            let digest = hex(&sums.digest);
            TenantTrailer { users: people, items, memberships, deleted, connections, mails, events, digest }
        };
        Self { entries, tenants: sums.iter().map(|(tenant, sums)| (*tenant, end(sums))).collect() }
    }
}

/// Why a backup was not created or cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("it is not a Muster backup")]
    NotABackup,
    #[error("it was created by a newer Muster; use that version")]
    NewerVersion,
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("it is encrypted: decrypt it with `age --decrypt --identity KEY FILE | muster restore -`")]
    Encrypted,
    #[error("the reading program closed the pipe before the end")]
    PipeClosed,
    #[error("cannot write the temporary file: {0}")]
    Spool(std::io::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] store::archive::ArchiveError),
}
