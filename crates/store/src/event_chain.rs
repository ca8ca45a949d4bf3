//! A hash chain over the events of a tenant, which makes changes of the history detectable.
//!
//! Each event has a digest of all its stored fields. Each link is the hash of the previous link, the position, and
//! the digests of the events there. The SQLite writer links events one by one as it writes them. The PostgreSQL
//! batch writers store digests, and the event sequencer links whole batches when it assigns their positions.

use crate::event_row::{ChangeContext, EncodedEvent, EventEntry};
use sha2::{Digest, Sha256};

/// The digest of an event or a link of the chain: SHA-256.
pub type ChainHash = [u8; 32];

/// The link before the first event.
pub const GENESIS_HASH: ChainHash = [0; 32];

#[derive(Clone, Copy, Debug)]
pub struct EventFields<'a> {
    pub tenant: u32,
    pub at: i64,
    pub connection: Option<&'a [u8]>,
    pub actor: &'a str,
    pub request_id: &'a str,
    pub action: i16,
    pub before: Option<&'a str>,
    pub after: Option<&'a str>,
    pub members_added: Option<&'a str>,
    pub members_removed: Option<&'a str>,
    pub password_set: bool,
    pub notes: Option<&'a str>,
}

impl<'a> EventFields<'a> {
    /// The three lists are encoded already.
    pub fn from_encoded(
        context: &'a ChangeContext,
        event: &'a EncodedEvent,
        [members_added, members_removed, notes]: [Option<&'a str>; 3],
    ) -> Self {
        Self {
            tenant: event.tenant.unwrap_or(context.tenant).0,
            at: context.at.0,
            connection: context.connection.as_ref().map(|connection| &connection.0.as_bytes()[..]),
            actor: &context.actor,
            request_id: &context.request_id,
            action: event.action_code(),
            before: event.before.as_deref(),
            after: event.after.as_deref(),
            members_added,
            members_removed,
            password_set: event.password_set,
            notes,
        }
    }

    /// Every field has its length in front, so that content cannot move from one field to the next.
    pub fn digest(&self) -> ChainHash {
        let mut hash = Sha256::new();
        hash.update(self.tenant.to_be_bytes());
        hash.update(self.at.to_be_bytes());
        hash.update(self.action.to_be_bytes());
        hash.update([u8::from(self.password_set)]);
        let texts = [
            Some(self.actor),
            Some(self.request_id),
            self.before,
            self.after,
            self.members_added,
            self.members_removed,
        ];
        let texts = texts.into_iter().chain([self.notes]).map(|text| text.map(str::as_bytes));
        for part in texts.chain([self.connection]) {
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
    pub fn digest(&self) -> ChainHash {
        EventFields {
            tenant: self.tenant,
            at: self.at,
            connection: self.connection.as_ref().map(|id| &id[..]),
            actor: &self.actor,
            request_id: &self.request_id,
            action: self.action,
            before: self.before.as_deref(),
            after: self.after.as_deref(),
            members_added: self.members_added.as_deref(),
            members_removed: self.members_removed.as_deref(),
            password_set: self.password_set,
            notes: self.notes.as_deref(),
        }
        .digest()
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
