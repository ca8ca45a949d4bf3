//! What a caller may do now. Its connection is read again during long operations: imports, exports and bulk requests run
//! long after their key was checked.

use super::{Caller, Directory};
use crate::authorization::{Authority, Query, required_for_query};
use crate::{Actor, Connection, ConnectionId, DirectoryError, Time};
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
    /// Checks that a caller may read something.
    ///
    /// # Errors
    /// Those of [`Directory::authority`], and [`DirectoryError::Forbidden`].
    pub(super) async fn authorize(&self, caller: &Caller, query: Query) -> Result<(), DirectoryError> {
        self.authority(caller).await?.check(&required_for_query(query))
    }

    /// What a caller may do now.
    ///
    /// # Errors
    /// [`DirectoryError::ConnectionEnded`] if its connection was revoked, has expired, or lost the dialect.
    pub(super) async fn authority<'a>(&self, caller: &'a Caller) -> Result<Authority<'a>, DirectoryError> {
        let Actor::Connection(client) = &caller.actor else { return Ok(Authority::of(&caller.actor, caller.tenant)) };
        let now = self.clock.now();
        let connection = match self.connection_cache.get(client.id, now) {
            Some(connection) => connection,
            None => self.load_connection(client.id, now).await?,
        };
        let is_permitted =
            connection.is_live(now) && connection.tenant == caller.tenant && connection.allows_dialect(&client.dialect);
        if !is_permitted {
            return Err(DirectoryError::ConnectionEnded);
        }
        let highest_role = client.highest_role.min(connection.highest_role);
        Ok(Authority::of_connection(&caller.actor, connection.permissions(), highest_role))
    }

    async fn load_connection(&self, id: ConnectionId, now: Time) -> Result<Arc<Connection>, DirectoryError> {
        let found = self.record::<Connection>(vec![id.0.into()]).await?.ok_or(DirectoryError::ConnectionEnded)?;
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
