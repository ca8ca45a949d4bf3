//! Whether a connection is still good for what goes on over it. A request was let in once; an import, an export or a bulk
//! request goes on for long after that.

use super::{Caller, Directory, unread};
use crate::{Access, Connection, ConnectionId, Refusal, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// How long what a connection may do is taken as unchanged, in microseconds.
const TRUSTED_FOR: i64 = 500_000;
/// So many connections are remembered before those of a while ago are let go.
const REMEMBERED: usize = 10_000;

/// What was known of connections lately.
#[derive(Default)]
pub(super) struct Standing(RwLock<HashMap<ConnectionId, (Arc<Connection>, Time)>>);

impl Directory {
    /// The highest role that a caller may grant now.
    ///
    /// # Errors
    /// The connection was revoked, has expired, or may no longer do this.
    pub(super) async fn check_standing(&self, caller: &Caller, writes: bool) -> Result<u32, Refusal> {
        let Some(id) = caller.connection else { return Ok(caller.highest_role) };
        let now = self.clock.now();
        let connection = match self.standing.known(id, now) {
            Some(connection) => connection,
            None => self.look_at_connection(id, now).await?,
        };
        let may_still = connection.is_live(now)
            && connection.tenant == caller.tenant
            && caller.dialect.as_ref().is_none_or(|dialect| connection.speaks(dialect))
            && !(writes && connection.access == Access::ReadOnly);
        if may_still {
            Ok(caller.highest_role.min(connection.highest_role))
        } else {
            Err(Refusal::ConnectionEnded)
        }
    }

    async fn look_at_connection(&self, id: ConnectionId, now: Time) -> Result<Arc<Connection>, Refusal> {
        let found = self.store.connection(id).await.map_err(unread)?.ok_or(Refusal::ConnectionEnded)?;
        let found = Arc::new(found);
        self.standing.note(&found, now);
        Ok(found)
    }
}

impl Standing {
    fn known(&self, id: ConnectionId, now: Time) -> Option<Arc<Connection>> {
        let known = self.0.read();
        let (connection, since) = known.get(&id)?;
        is_fresh(*since, now).then(|| Arc::clone(connection))
    }

    fn note(&self, connection: &Arc<Connection>, now: Time) {
        let mut known = self.0.write();
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, since)| is_fresh(*since, now));
        }
        known.insert(connection.id, (Arc::clone(connection), now));
    }
}

/// A clock that was set back makes nothing fresh.
fn is_fresh(since: Time, now: Time) -> bool {
    (0..TRUSTED_FOR).contains(&(now.0 - since.0))
}
