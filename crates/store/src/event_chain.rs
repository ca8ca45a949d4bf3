//! A hash chain over the events of a tenant, which makes changes of the history detectable.
//!
//! Each event has a digest of all its stored fields. Each link is the hash of the previous link, the position, and
//! the digests of the events there. The SQLite writer links events one by one as it writes them. The PostgreSQL
//! batch writers store digests, and the event sequencer links whole batches when it assigns their positions.

use crate::event_row::EventEntry;
use sha2::{Digest, Sha256};

/// The digest of an event or a link of the chain: SHA-256.
pub type ChainHash = [u8; 32];

/// The link before the first event.
pub const GENESIS_HASH: ChainHash = [0; 32];

pub fn next_chain_hash<'a>(
    previous: &ChainHash,
    position: u64,
    digests: impl IntoIterator<Item = &'a ChainHash>,
) -> ChainHash {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(position.to_be_bytes());
    for digest in digests {
        hash.update(digest);
    }
    hash.finalize().into()
}

impl EventEntry {
    /// Every field has its length in front, so that content cannot move from one field to the next.
    pub fn digest(&self) -> ChainHash {
        let mut hash = Sha256::new();
        hash.update(self.tenant.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        hash.update(self.action.to_be_bytes());
        hash.update([u8::from(self.password_set)]);
        let texts = [
            Some(&self.actor),
            Some(&self.request_id),
            self.before.as_ref(),
            self.after.as_ref(),
            self.members_added.as_ref(),
            self.members_removed.as_ref(),
            self.notes.as_ref(),
        ];
        let texts = texts.map(|text| text.map(String::as_bytes));
        for part in texts.into_iter().chain([self.connection.as_ref().map(|id| &id[..])]) {
            match part {
                Some(bytes) => {
                    hash.update([1]);
                    hash.update((bytes.len() as u64).to_be_bytes());
                    hash.update(bytes);
                }
                None => hash.update([0]),
            }
        }
        hash.finalize().into()
    }
}

/// An event with what the chain needs.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    pub event: EventEntry,
    /// As stored; `None` if the engine stores no digests.
    pub digest: Option<ChainHash>,
    pub link: Option<ChainHash>,
    /// The position of the last event that is linked together with this one.
    pub end: u64,
}

/// Where a tenant's chain ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct ChainEnd {
    pub position: u64,
    /// `None` if no event is linked.
    pub link: Option<ChainHash>,
    /// The number of events from before the chain.
    pub unchained: u32,
}
