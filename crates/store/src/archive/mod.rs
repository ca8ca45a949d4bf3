//! Everything a store holds, as a stream of entries that every engine gives and takes: what backups are made of, and
//! what goes from one engine to the other.
//!
//! A stream is in one order, whichever engine it comes from, so that two stores that hold the same give the same. It says
//! what is stored and nothing that is derived from it: claims, counts and indexes are made anew where it arrives. Documents
//! go along as the texts they are stored as.

mod chain_verifier;
mod chunks;
mod consistency;
mod sums;

pub(crate) use chain_verifier::StreamChainVerifier;
pub(crate) use chunks::{Chunk, Chunks, LinkedEvents};
pub use consistency::ConsistencyChecker;
pub use sums::{Counts, Sums, SumsBuilder, TenantSums};

use serde::{Deserialize, Serialize};

/// One thing a store holds. New kinds are only ever added at the end: their places are what is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the schema")]
pub enum Entry {
    /// A tenant.
    Tenant { tenant: u32, doc: String },
    /// A secret of the installation.
    Secret { name: String, bytes: Vec<u8> },
    /// A connection, and when it was last used.
    Connection { tenant: u32, doc: String, last_use: Option<i64> },
    /// A group, folder, organisation, role or department.
    Item { tenant: u32, doc: String },
    /// A person, without what they are a member of; password and sign-ins beside.
    User { tenant: u32, doc: String, password: Option<String>, account: Option<String> },
    /// What is left of somebody who was deleted.
    Tombstone { tenant: u32, doc: String, deleted: i64, password: Option<String> },
    /// Some members of a group or folder, by number, ascending.
    Members { tenant: u32, item: [u8; 16], numbers: Vec<u32> },
    /// A mail that waits or has failed.
    Mail { tenant: u32, doc: String },
    /// The last number given of a sort.
    Counter { tenant: u32, sequence: u8, last: u32 },
    /// Something that happened.
    Event(Box<EventEntry>),
    /// The events since the last entry of this kind were linked to the chains of their tenants together.
    ChainLinks { end: u64, links: Vec<(u32, [u8; 32])> },
    /// Where a tenant's chain ends, and how many events are older than it.
    ChainEnd { tenant: u32, position: u64, link: Option<[u8; 32]>, unchained_events: u32 },
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the columns of the schema")]
pub struct EventEntry {
    pub position: u64,
    pub tenant: u32,
    pub at: i64,
    pub connection: Option<[u8; 16]>,
    pub actor: String,
    pub request_id: String,
    pub action: i16,
    pub before: Option<String>,
    pub after: Option<String>,
    pub members_added: Option<String>,
    pub members_removed: Option<String>,
    pub password_set: bool,
    pub notes: Option<String>,
    /// It is from before there was a chain.
    pub is_unchained: bool,
}

/// So many members go into one entry, in every engine.
pub(crate) const MAX_MEMBERS_PER_ENTRY: usize = 10_000;

impl Entry {
    /// An entry of Muster 0.1.0 as this version stores it: an empty list of dialects meant all of them, and is replaced as
    /// the migration of a store does.
    #[must_use]
    pub fn upgraded(self) -> Self {
        // The texts in quotes are what is replaced and by what.
        let mut replacements = include_str!("../../migrations/sqlite/0005_dialects.sql").split('\'').skip(1).step_by(2);
        match (self, replacements.next(), replacements.next()) {
            (Self::Connection { tenant, doc, last_use }, Some(from), Some(to)) => {
                Self::Connection { tenant, doc: doc.replace(from, to), last_use }
            }
            (other, ..) => other,
        }
    }

    /// As it is written.
    pub fn encode(&self) -> Result<Vec<u8>, ArchiveError> {
        postcard::to_allocvec(self).map_err(|error| ArchiveError::Corrupt(error.to_string()))
    }

    /// As it was written.
    pub fn decode(bytes: &[u8]) -> Result<Self, ArchiveError> {
        match postcard::take_from_bytes(bytes) {
            Ok((entry, [])) => Ok(entry),
            Ok(_) => Err(ArchiveError::Corrupt("an entry is longer than it says".into())),
            Err(error) => Err(ArchiveError::Corrupt(error.to_string())),
        }
    }
}

/// Takes entries; an error ends the stream.
pub type EntrySink<'a> = dyn FnMut(Entry) -> Result<(), ArchiveError> + 'a;

/// Gives entries.
pub type EntrySource<'a> = dyn Iterator<Item = Result<Entry, ArchiveError>> + 'a;

/// What a store is filled from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The engine it came from: the same one takes the links of the history as they are.
    pub engine: String,
    /// Whose stream it is, in words for whoever finds the store half filled.
    pub name: String,
}

/// Why a stream did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be opened.
    #[error(transparent)]
    Embedded(#[from] crate::sqlite::open_error::SqliteOpenError),
    /// The database could not be opened.
    #[error(transparent)]
    Server(#[from] crate::postgres::options::PostgresOpenError),
    /// There is something in the store that is to be filled.
    #[error("{0} holds something already; it was left as it is")]
    NotEmpty(String),
    /// The history does not prove itself, and would afterwards.
    #[error(
        "the history of tenant {tenant} is broken at event {position} and would look sound on another engine; \
        `muster audit verify` tells more"
    )]
    BrokenHistory {
        /// Whose.
        tenant: u32,
        /// Where.
        position: u64,
    },
    /// What arrives is not what was written.
    #[error("{0}")]
    Corrupt(String),
    /// The store did not give or take it.
    #[error("{0}")]
    Store(String),
    /// It goes on with another stream than the one it began with; what had arrived was taken out again.
    #[error("what it is filled from has changed since it was begun; run it again to begin anew")]
    OriginChanged,
    /// It took longer than it may.
    #[error("the time limit was reached (--max-minutes; 0: no limit): the write-ahead log grows while a store is read")]
    TimedOut,
    /// Nobody takes it any more.
    #[error("it was stopped")]
    Disconnected,
}

impl From<rusqlite::Error> for ArchiveError {
    fn from(error: rusqlite::Error) -> Self {
        if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) {
            return Self::TimedOut;
        }
        Self::Store(error.to_string())
    }
}

impl From<serde_json::Error> for ArchiveError {
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
