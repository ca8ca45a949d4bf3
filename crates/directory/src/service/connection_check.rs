//! Checks the connection of a caller again while its work goes on: an import, an export or a bulk request runs long after its
//! key was checked.

use super::{Caller, Directory, unread};
use crate::{Access, Connection, ConnectionId, Refusal, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// How long a connection that was read is considered current, in microseconds.
const TRUSTED_FOR: i64 = 500_000;
/// Connections kept before outdated ones are removed.
const REMEMBERED: usize = 10_000;

/// Connections that were read recently.
#[derive(Default)]
pub(super) struct RecentConnections(RwLock<HashMap<ConnectionId, (Arc<Connection>, Time)>>);

impl Directory {
    /// The highest role that a caller may grant now.
    ///
    /// # Errors
    /// [`Refusal::ConnectionEnded`] if the connection was revoked, has expired, or lost the dialect or the right to write.
    pub(super) async fn check_connection(&self, caller: &Caller, writes: bool) -> Result<u32, Refusal> {
        let Some(id) = caller.connection else { return Ok(caller.highest_role) };
        let now = self.clock.now();
        let connection = match self.standing.known(id, now) {
            Some(connection) => connection,
            None => self.load_connection(id, now).await?,
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

    async fn load_connection(&self, id: ConnectionId, now: Time) -> Result<Arc<Connection>, Refusal> {
        let found = self.store.connection(id).await.map_err(unread)?.ok_or(Refusal::ConnectionEnded)?;
        let found = Arc::new(found);
        self.standing.note(&found, now);
        Ok(found)
    }
}

impl RecentConnections {
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

/// False also after the clock was set back.
fn is_fresh(since: Time, now: Time) -> bool {
    (0..TRUSTED_FOR).contains(&(now.0 - since.0))
}
