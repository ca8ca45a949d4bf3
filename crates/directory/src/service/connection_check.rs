//! Checks a caller's connection again during long operations: imports, exports and bulk requests run long after
//! their key was checked.

use super::{Caller, Directory};
use crate::{Access, Connection, ConnectionId, DirectoryError, Time};
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// How long a cached connection is current, in microseconds.
const MAX_AGE_MICROS: i64 = 500_000;
/// At this size, outdated entries are removed.
const CAPACITY: usize = 10_000;

#[derive(Default)]
pub(super) struct ConnectionCache(RwLock<HashMap<ConnectionId, (Arc<Connection>, Time)>>);

impl Directory {
    /// The highest role that a caller may grant now.
    ///
    /// # Errors
    /// [`DirectoryError::ConnectionEnded`] if the connection was revoked, has expired, or lost the dialect or write
    /// access.
    pub(super) async fn check_connection(&self, caller: &Caller, required: Access) -> Result<u32, DirectoryError> {
        let Some(id) = caller.connection else { return Ok(caller.highest_role) };
        let now = self.clock.now();
        let connection = match self.connection_cache.get(id, now) {
            Some(connection) => connection,
            None => self.load_connection(id, now).await?,
        };
        let is_permitted = connection.is_live(now)
            && connection.tenant == caller.tenant
            && caller.dialect.as_ref().is_none_or(|dialect| connection.allows_dialect(dialect))
            && (required == Access::ReadOnly || connection.access == Access::ReadWrite);
        if is_permitted {
            Ok(caller.highest_role.min(connection.highest_role))
        } else {
            Err(DirectoryError::ConnectionEnded)
        }
    }

    async fn load_connection(&self, id: ConnectionId, now: Time) -> Result<Arc<Connection>, DirectoryError> {
        let found = self.connection(id).await?.ok_or(DirectoryError::ConnectionEnded)?;
        let found = Arc::new(found);
        self.connection_cache.insert(&found, now);
        Ok(found)
    }
}

impl ConnectionCache {
    fn get(&self, id: ConnectionId, now: Time) -> Option<Arc<Connection>> {
        let known = self.0.read();
        let (connection, since) = known.get(&id)?;
        is_fresh(*since, now).then(|| Arc::clone(connection))
    }

    fn insert(&self, connection: &Arc<Connection>, now: Time) {
        let mut known = self.0.write();
        if known.len() >= CAPACITY {
            known.retain(|_, (_, since)| is_fresh(*since, now));
        }
        known.insert(connection.id, (Arc::clone(connection), now));
    }
}

/// Also false after the clock was set back.
fn is_fresh(since: Time, now: Time) -> bool {
    (0..MAX_AGE_MICROS).contains(&(now.0 - since.0))
}
