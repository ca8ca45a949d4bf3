//! Tasks that run in one process at a time, and tasks that follow the events.

use super::{Caller, Directory, commit_error, read_error};
use crate::authorization::Query;
use crate::{
    Change, DirectoryError, EventPosition, Follower, Lease, Mutation, Record, RowWrite, TenantNumber, TenantSnapshot,
};
use uuid::Uuid;

impl Directory {
    /// A new id, such as that of a holder of leases.
    pub fn new_id(&self) -> Uuid {
        self.ids.next_id()
    }

    /// Takes a lease for some seconds, or renews the holder's own; `None` if another process holds it.
    pub async fn acquire_lease(
        &self,
        caller: &Caller,
        (name, holder): (&str, Uuid),
        seconds: i64,
    ) -> Result<Option<Lease>, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        let stored: Option<Lease> = self.record(vec![name.to_owned().into()]).await?;
        let Some(next) = Lease::next(stored.as_ref(), name, holder, self.clock.now(), seconds) else { return Ok(None) };
        let write = next.replace(stored.as_ref()).map_err(|error| DirectoryError::Internal(error.to_string()))?;
        match self.commit_rows(caller, vec![write]).await {
            Ok(()) => Ok(Some(next)),
            // Another process was first.
            Err(DirectoryError::Conflict | DirectoryError::Invalid(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Releases a lease, so that another process can acquire it at once. Does nothing if this process no longer holds it.
    pub async fn release_lease(&self, caller: &Caller, lease: &Lease) -> Result<(), DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        let ended = Lease { until: self.clock.now(), ..lease.clone() };
        let write = ended.replace(Some(lease)).map_err(|error| DirectoryError::Internal(error.to_string()))?;
        match self.commit_rows(caller, vec![write]).await {
            Ok(()) | Err(DirectoryError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Announces a process as a member of a group for some seconds, and returns the ids of all members.
    pub async fn join_group(
        &self,
        caller: &Caller,
        group: &str,
        member: Uuid,
        seconds: i64,
    ) -> Result<Vec<Uuid>, DirectoryError> {
        self.acquire_lease(caller, (&format!("{group}/{member}"), member), seconds).await?;
        // Databases order names differently, so that all leases are read.
        let mut leases: Vec<Lease> = self.records(Lease::table().all()).await?;
        leases.retain(|lease| lease.name.strip_prefix(group).is_some_and(|rest| rest.starts_with('/')));
        let now = self.clock.now();
        let (members, ended): (Vec<Lease>, Vec<Lease>) = leases.into_iter().partition(|lease| lease.is_held(now));
        if !ended.is_empty() {
            // Another process may do the same.
            match self.commit_rows(caller, ended.iter().map(Lease::delete).collect()).await {
                Ok(()) | Err(DirectoryError::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(members.into_iter().map(|lease| lease.holder).collect())
    }

    /// Ends what [`Self::join_group`] has announced.
    pub async fn leave_group(&self, caller: &Caller, group: &str, member: Uuid) -> Result<(), DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        let stored: Option<Lease> = self.record(vec![format!("{group}/{member}").into()]).await?;
        match stored {
            Some(lease) => self.release_lease(caller, &lease).await,
            None => Ok(()),
        }
    }

    /// Whether there is a follower.
    pub async fn has_follower(&self, caller: &Caller, name: &str) -> Result<bool, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        Ok(self.record::<Follower>(vec![name.to_owned().into()]).await?.is_some())
    }

    /// Returns a follower. Creates it if there is none; it then starts after `start`.
    pub async fn follower(
        &self,
        caller: &Caller,
        name: &str,
        start: EventPosition,
    ) -> Result<Follower, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        let new = Follower { name: name.to_owned(), position: start };
        let stored = async || self.record::<Follower>(vec![name.to_owned().into()]).await;
        if let Some(follower) = stored().await? {
            return Ok(follower);
        }
        let row = new.to_row().map_err(|error| DirectoryError::Internal(error.to_string()))?;
        match self.commit_rows(caller, vec![RowWrite::Insert(Follower::table(), row)]).await {
            Ok(()) => Ok(new),
            // Another process was first.
            Err(DirectoryError::Invalid(_) | DirectoryError::Conflict) => {
                stored().await?.ok_or(DirectoryError::Conflict)
            }
            Err(error) => Err(error),
        }
    }

    /// Records that a follower has handled all events up to a position, together with what it writes for them.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`] if another process has advanced the follower, or has acquired a lease
    /// whose guard is in `writes`.
    pub async fn advance_follower(
        &self,
        caller: &Caller,
        follower: &Follower,
        position: EventPosition,
        mut writes: Vec<RowWrite>,
    ) -> Result<Follower, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        writes.push(follower.advance_to(position));
        self.commit_rows(caller, writes).await?;
        Ok(Follower { position, ..follower.clone() })
    }

    /// The items and users of a tenant at one moment, and the position from which to follow the events.
    pub async fn tenant_snapshot(
        &self,
        caller: &Caller,
        tenant: TenantNumber,
    ) -> Result<Box<dyn TenantSnapshot>, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        self.store.tenant_snapshot(tenant).await.map_err(read_error)
    }

    /// See [`crate::Store::wait_for_events`].
    pub async fn wait_for_events(&self, after: EventPosition) {
        self.store.wait_for_events(after).await;
    }

    /// By how much the clock of this process differs from that of the database server, in microseconds; positive if it is
    /// ahead. Zero if the engine runs in the process.
    pub async fn clock_difference(&self, caller: &Caller) -> Result<i64, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        let server = self.store.server_time().await.map_err(read_error)?;
        Ok(server.map_or(0, |server| self.clock.now().0.saturating_sub(server.0)))
    }

    /// See [`crate::Store::last_event_position`].
    pub async fn last_event_position(&self, caller: &Caller) -> Result<EventPosition, DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        self.store.last_event_position().await.map_err(read_error)
    }

    /// Writes rows of declared tables, without an event.
    pub(super) async fn commit_rows(&self, caller: &Caller, writes: Vec<RowWrite>) -> Result<(), DirectoryError> {
        let rows = vec![Mutation::Rows(writes)];
        let change = Change::new(caller.tenant, self.clock.now(), caller.actor.to_string(), rows);
        self.store.commit(change).await.map(drop).map_err(commit_error)
    }
}
