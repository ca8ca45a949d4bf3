//! A whole store as a stream of entries that every engine writes and reads: the content of backups and moves.
//!
//! The order is the same for every engine, so equal stores give equal streams. A stream has no derived data: unique
//! keys, counts and indexes are rebuilt by a restore. Documents are copied as they are stored.

mod chain_verifier;
mod chunks;
mod consistency;
mod dump;
mod entry_writes;
mod restore;
mod snapshot;
mod sums;

pub use crate::event_row::EventEntry;
pub use chain_verifier::StreamChainVerifier;
pub use chunks::{Chunk, Chunks, LinkedEvents};
pub use consistency::ConsistencyChecker;
pub use dump::dump;
pub use entry_writes::{EntryTranslator, entry_of};
pub use restore::{RestoreProgress, RestoreTarget, restore};
pub use snapshot::{Snapshot, StoredItem, StoredUser, StoredUserState, for_each_page, rows_by_page};
pub use sums::{Counts, Sums, SumsBuilder, TenantSums};

use crate::OpenError;
use serde::{Deserialize, Serialize};

/// An entry of a stream. New variants may only be added at the end: the encoding is the position of the variant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    Tenant {
        tenant: u32,
        doc: String,
    },
    /// A secret of the whole installation.
    Secret {
        name: String,
        bytes: Vec<u8>,
    },
    Connection {
        tenant: u32,
        doc: String,
        last_use: Option<i64>,
    },
    /// A group, folder, organization, role or department.
    Item {
        tenant: u32,
        doc: String,
    },
    /// A user without memberships; `password` and `account` are columns beside the document.
    User {
        tenant: u32,
        doc: String,
        password: Option<String>,
        account: Option<String>,
    },
    /// A deleted user.
    Tombstone {
        tenant: u32,
        doc: String,
        deleted: i64,
        password: Option<String>,
    },
    /// Members of a group or folder by number, ascending.
    Members {
        tenant: u32,
        item: [u8; 16],
        numbers: Vec<u32>,
    },
    /// A mail that is queued or has failed.
    Mail {
        tenant: u32,
        doc: String,
    },
    /// The last number allocated in a sequence.
    Counter {
        tenant: u32,
        sequence: u8,
        last: u32,
    },
    Event(Box<EventEntry>),
    /// The chain links of the events since the previous entry of this kind.
    ChainLinks {
        end: u64,
        links: Vec<(u32, [u8; 32])>,
    },
    /// The end of a tenant's chain, and the number of events older than the chain.
    ChainEnd {
        tenant: u32,
        position: u64,
        link: Option<[u8; 32]>,
        unchained_events: u32,
    },
    /// A row of a declared table that has no entries of its own kind.
    Row {
        table: String,
        row: directory::Row,
    },
}

/// The same for every engine, so that streams are equal.
pub const MAX_MEMBERS_PER_ENTRY: usize = 10_000;

impl Entry {
    /// Upgrades an entry of Muster 0.1.0 as the migration of a store does: an empty list of dialects meant all of them.
    #[must_use]
    pub fn upgraded(self) -> Self {
        match self {
            Self::Connection { tenant, doc, last_use } => {
                let doc = doc.replace(r#""dialects":[]"#, include_str!("dialects_of_0_1_0.json"));
                Self::Connection { tenant, doc, last_use }
            }
            other => other,
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>, ArchiveError> {
        postcard::to_allocvec(self).map_err(|error| ArchiveError::Corrupt(error.to_string()))
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, ArchiveError> {
        match postcard::take_from_bytes(bytes) {
            Ok((entry, [])) => Ok(entry),
            Ok(_) => Err(ArchiveError::Corrupt("an entry has trailing bytes".into())),
            Err(error) => Err(ArchiveError::Corrupt(error.to_string())),
        }
    }
}

/// Receives entries; an error ends the stream.
pub type EntrySink<'a> = dyn FnMut(Entry) -> Result<(), ArchiveError> + 'a;

pub type EntrySource<'a> = dyn Iterator<Item = Result<Entry, ArchiveError>> + 'a;

/// The source of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The engine of the source: the same engine keeps the chain links as they are.
    pub engine: String,
    /// A description of the source, shown when an incomplete store is opened.
    pub name: String,
}

/// Why a dump or restore failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store cannot be opened, or is damaged.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The target of the restore is not empty.
    #[error("{0} is not empty; nothing was changed. Use a new file or an empty database")]
    NotEmpty(String),
    /// The chain is broken, which rebuilding it on another engine would hide.
    #[error(
        "the history of tenant {tenant} is broken at event {position}; copying it to another engine would hide this. \
        Run `muster audit verify` for details"
    )]
    BrokenHistory { tenant: u32, position: u64 },
    /// The stream is not what was written.
    #[error("{0}")]
    Corrupt(String),
    /// Reading or writing the store failed.
    #[error("{0}")]
    Store(String),
    /// A concurrent change was in the way.
    #[error("other changes of the store kept conflicting; run the command again")]
    Conflict,
    /// An interrupted restore was resumed with another stream; the partial data was removed.
    #[error("the source has changed since the first attempt; run the command again to start over")]
    OriginChanged,
    #[error("the backup took longer than --max-minutes (0: no limit; the write-ahead log grows during a backup)")]
    TimedOut,
    /// The receiver of the stream is gone.
    #[error("the copy was interrupted; run the command again")]
    Disconnected,
}

impl From<ArchiveError> for OpenError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Open(reason) => reason,
            other => Self::new(other),
        }
    }
}

impl From<directory::RowError> for ArchiveError {
    fn from(error: directory::RowError) -> Self {
        Self::Corrupt(error.to_string())
    }
}

impl From<serde_json::Error> for ArchiveError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
