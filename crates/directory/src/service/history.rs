//! Reads the history: events, and the chain that shows whether they were changed.

use super::{Caller, Directory, read_error};
use crate::authorization::Query;
use crate::{ChainReport, DirectoryError, EntitySnapshot, Event, EventPosition, TenantNumber, Time, UserId};
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
        if caller.tenant == Caller::NO_TENANT {
            self.authorize(caller, Query::AllEvents).await?;
            return self.store.events(after, limit).await.map_err(read_error);
        }
        self.authorize(caller, Query::Events).await?;
        self.events_of_tenant(caller.tenant, after, limit).await
    }

    /// The events of the caller's tenant after a position, for an import that continues an interrupted one.
    pub async fn import_events(&self, caller: &Caller, after: EventPosition) -> Result<Vec<Event>, DirectoryError> {
        self.authorize(caller, Query::ImportEvents).await?;
        self.events_of_tenant(caller.tenant, after, PAGE).await
    }

    async fn events_of_tenant(
        &self,
        tenant: TenantNumber,
        mut after: EventPosition,
        limit: u32,
    ) -> Result<Vec<Event>, DirectoryError> {
        loop {
            let mut events = self.store.events(after, limit).await.map_err(read_error)?;
            let Some(last) = events.last() else { return Ok(events) };
            after = last.position;
            events.retain(|event| event.data.tenant == tenant);
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// The last position before the events of a time (binary search).
    pub async fn position_before(&self, caller: &Caller, time: Time) -> Result<EventPosition, DirectoryError> {
        self.authorize(caller, Query::ImportEvents).await?;
        let is_older = async |position| {
            let next = self.store.events(EventPosition(position), 1).await.map_err(read_error)?;
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
        let mut events = self.store.user_history(caller.tenant, user, after, PAGE).await.map_err(read_error)?;
        let next = events.last().map(|event| event.position).filter(|_| events.len() == PAGE as usize);
        let is_of = |record: &EntitySnapshot| match record {
            EntitySnapshot::User(known) => known.id == user,
            EntitySnapshot::Mail(mail) => mail.user == user,
            EntitySnapshot::Connection(connection) => connection.user == Some(user),
            EntitySnapshot::Item(_) | EntitySnapshot::Tenant(_) => false,
        };
        events.retain(|event| {
            let data = &event.data;
            data.before.iter().chain(&data.after).any(is_of)
                || data.members_added.contains(&user)
                || data.members_removed.contains(&user)
        });
        Ok((events, next))
    }

    /// The hash in the event chain of the caller's tenant at a position.
    pub async fn chain_hash_at(&self, caller: &Caller, at: EventPosition) -> Result<Option<[u8; 32]>, DirectoryError> {
        self.authorize(caller, Query::Events).await?;
        self.store.chain_hash_at(caller.tenant, at).await.map_err(read_error)
    }

    /// Verifies the event chain of the caller's tenant, or of all for [`Caller::NO_TENANT`]; results by tenant.
    pub async fn verify_chain(&self, caller: &Caller) -> Result<BTreeMap<TenantNumber, ChainReport>, DirectoryError> {
        let tenant = Some(caller.tenant).filter(|tenant| *tenant != Caller::NO_TENANT);
        self.authorize(caller, tenant.map_or(Query::AllEvents, |_| Query::Events)).await?;
        self.store.verify_chain(tenant).await.map_err(read_error)
    }
}
