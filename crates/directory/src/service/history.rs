//! Reads the history: events, and the chain that shows whether they were changed.

use super::{Caller, Directory, read_error};
use crate::authorization::Query;
use crate::{ChainReport, DirectoryError, Event, EventFilter, EventPosition, TenantNumber, Time, UserChange, UserId};
use std::collections::BTreeMap;

const PAGE: u32 = 1000;

impl Directory {
    /// Events of the caller's tenant after a position, oldest first; none if there are no more. For
    /// [`Caller::NO_TENANT`], the events of all tenants.
    pub async fn events(
        &self,
        caller: &Caller,
        after: EventPosition,
        limit: u32,
    ) -> Result<Vec<Event>, DirectoryError> {
        let filter = EventFilter { tenant: tenant_of(caller), ..EventFilter::default() };
        self.authorize(caller, filter.tenant.map_or(Query::AllEvents, |_| Query::Events)).await?;
        self.store.events(filter, after, limit).await.map_err(read_error)
    }

    /// Changes of users of the caller's tenant after a position, oldest first, and of organizations, whose names users
    /// show. Sign-ins are left out.
    pub async fn user_changes(
        &self,
        caller: &Caller,
        with_groups: bool,
        after: EventPosition,
        limit: u32,
    ) -> Result<Vec<UserChange>, DirectoryError> {
        self.authorize(caller, Query::Events).await?;
        self.store.user_changes(caller.tenant, with_groups, after, limit).await.map_err(read_error)
    }

    /// The events of the caller's tenant after a position, for an import that continues an interrupted one.
    pub async fn import_events(&self, caller: &Caller, after: EventPosition) -> Result<Vec<Event>, DirectoryError> {
        self.authorize(caller, Query::ImportEvents).await?;
        self.store.events(EventFilter::of_tenant(caller.tenant), after, PAGE).await.map_err(read_error)
    }

    /// The last position before the events of a time (binary search).
    pub async fn position_before(&self, caller: &Caller, time: Time) -> Result<EventPosition, DirectoryError> {
        self.authorize(caller, Query::ImportEvents).await?;
        let is_older = async |position| {
            let next =
                self.store.events(EventFilter::default(), EventPosition(position), 1).await.map_err(read_error)?;
            Ok::<_, DirectoryError>(next.first().is_some_and(|event| event.data.at < time))
        };
        let (mut position, mut step) = (0, 1);
        while is_older(position + step).await? {
            position += step;
            step *= 2;
        }
        while step > 0 {
            if is_older(position + step).await? {
                position += step;
            }
            step /= 2;
        }
        Ok(EventPosition(position))
    }

    /// Events about a user after a position, oldest first, and the position to continue from, if there are more.
    pub async fn user_history(
        &self,
        caller: &Caller,
        user: UserId,
        after: EventPosition,
    ) -> Result<(Vec<Event>, Option<EventPosition>), DirectoryError> {
        self.authorize(caller, Query::Events).await?;
        let filter = EventFilter { subject: Some(user.0), ..EventFilter::of_tenant(caller.tenant) };
        let events = self.store.events(filter, after, PAGE).await.map_err(read_error)?;
        let next = events.last().map(|event| event.position).filter(|_| events.len() == PAGE as usize);
        Ok((events, next))
    }

    /// The hash in the event chain of the caller's tenant at a position.
    pub async fn chain_hash_at(&self, caller: &Caller, at: EventPosition) -> Result<Option<[u8; 32]>, DirectoryError> {
        self.authorize(caller, Query::Events).await?;
        self.store.chain_hash_at(caller.tenant, at).await.map_err(read_error)
    }

    /// Verifies the event chain of the caller's tenant, or of all for [`Caller::NO_TENANT`]; results by tenant.
    pub async fn verify_chain(&self, caller: &Caller) -> Result<BTreeMap<TenantNumber, ChainReport>, DirectoryError> {
        let tenant = tenant_of(caller);
        self.authorize(caller, tenant.map_or(Query::AllEvents, |_| Query::Events)).await?;
        self.store.verify_chain(tenant).await.map_err(read_error)
    }
}

/// `None` for the whole installation.
fn tenant_of(caller: &Caller) -> Option<TenantNumber> {
    Some(caller.tenant).filter(|tenant| *tenant != Caller::NO_TENANT)
}
