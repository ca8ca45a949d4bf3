//! Backups: files that hold a whole store as it was at one moment, whichever engine it is on.
//!
//! A file is a line that says what it is, a line of JSON about it, a Zstandard stream of entries, each with its length in
//! front (32 bits, little-endian), and SHA-256 over all of it. The last entry's length is 0, followed by what the stream
//! came to. A backup is not encrypted here: it can be written to and read from pipes, and other programs encrypt those.

mod read;
mod stream;
mod write;

pub use read::{Backup, Contents, Entries, verify};
pub use stream::stream;
pub use write::write;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::archive::{Counts, Sums, TenantSums};
use store::hex;

/// The first line of every backup, with the version of what follows.
const MAGIC: &[u8] = b"MUSTER BACKUP 2\n";
/// The first line of backups of Muster 0.1.0, whose entries are upgraded as they are read.
const MAGIC_V1: &[u8] = b"MUSTER BACKUP 1\n";
/// How files begin that the program `age` has encrypted, as bytes and as text.
const AGE_MAGIC: [&[u8]; 2] = [b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE-----"];
/// Bytes of the checksum that ends a backup.
const CHECKSUM_LEN: usize = 32;
/// The longest line about a backup, in bytes.
const MAX_HEADER_LEN: usize = 64 * 1024;
/// The longest entry, in bytes: more than a page of the longest people.
const MAX_ENTRY_LEN: usize = 256 << 20;

/// What a backup says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupHeader {
    /// When it was begun, in RFC 3339.
    #[serde(rename = "made")]
    pub created: String,
    /// The engine it is from.
    pub engine: String,
    /// The version of Muster that made it.
    #[serde(rename = "muster")]
    pub version: String,
}

/// What the stream came to, as the file says it.
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

/// Why a backup was not made or cannot be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is not a backup of Muster's")]
    NotABackup,
    /// It is of a later version.
    #[error("it was made by a newer Muster; use that version")]
    NewerVersion,
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The program `age` has encrypted it.
    #[error("it is encrypted: decrypt it with `age --decrypt --identity KEY FILE | muster restore -`")]
    Encrypted,
    /// The program that read the backup from a pipe has ended.
    #[error("the program that reads it closed the pipe before the end")]
    PipeClosed,
    /// The temporary file for what arrives through a pipe could not be written.
    #[error("the temporary file cannot be written: {0}")]
    Spool(std::io::Error),
    /// The disk.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::archive::ArchiveError),
}
