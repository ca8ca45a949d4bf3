//! The chain that a tenant's events form, so that nobody can change what happened without a trace.
//!
//! Each event has a digest of all that is stored of it; each link is the digest of the link before, the position, and
//! the digests of the events there. The embedded engine's writer links events one by one as it writes them; the server
//! engine's lanes write the digests, and its sealer links whole batches when it gives them their positions.

use crate::event_row::{ChangeContext, EncodedEvent};
use sha2::{Digest, Sha256};

/// A digest or a link: SHA-256.
pub(crate) type ChainHash = [u8; 32];

/// What goes before the first link.
pub(crate) const GENESIS_HASH: ChainHash = [0; 32];

/// An event as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventFields<'a> {
    pub(crate) tenant: u32,
    pub(crate) at: i64,
    pub(crate) connection: Option<&'a [u8]>,
    pub(crate) actor: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) action: i16,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
    pub(crate) members_added: Option<&'a str>,
    pub(crate) members_removed: Option<&'a str>,
    pub(crate) password_set: bool,
    pub(crate) notes: Option<&'a str>,
}

impl<'a> EventFields<'a> {
    /// What is stored of something told; its lists come as they are written.
    pub(crate) fn from_encoded(
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

    /// The digest of all of it: every part with its length in front, so that nothing can move from one to the next.
    pub(crate) fn digest(&self) -> ChainHash {
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

/// The link that follows `before`.
pub(crate) fn next_chain_hash<'a>(
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
