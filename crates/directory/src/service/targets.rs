//! Targets, and what the gateway stores for them.

use super::{Caller, Directory, read_error};
use crate::authorization::Query;
use crate::{
    DirectoryError, Lease, PushAttempt, Record, RemoteUser, Row, RowQuery, RowWrite, SealedSecret, Target,
    TargetProgress, TenantNumber, Time, UserId, Value,
};
use std::collections::HashMap;

/// Rows deleted at a time.
const BATCH: u32 = 250;

/// A record that belongs to a target.
pub trait TargetRecord: Record {}
impl TargetRecord for TargetProgress {}
impl TargetRecord for RemoteUser {}
impl TargetRecord for PushAttempt {}
impl TargetRecord for SealedSecret {}

/// The lease of the process that follows a tenant's changes for its targets.
pub fn gateway_lease_name(tenant: TenantNumber) -> String {
    format!("gateway/{tenant}")
}

impl Directory {
    /// Whether a process follows the changes of the caller's tenant for its targets.
    pub async fn is_gateway_running(&self, caller: &Caller) -> Result<bool, DirectoryError> {
        self.authorize(caller, Query::Targets).await?;
        let lease: Option<Lease> = self.record(vec![gateway_lease_name(caller.tenant).into()]).await?;
        Ok(lease.is_some_and(|lease| lease.is_held(self.clock.now())))
    }

    /// The targets of the caller's tenant, except removed ones.
    pub async fn targets(&self, caller: &Caller) -> Result<Vec<Target>, DirectoryError> {
        let mut all = self.targets_and_removed(caller).await?;
        all.retain(|target| !target.is_removed());
        Ok(all)
    }

    /// The targets of the caller's tenant, with removed ones; for [`Caller::NO_TENANT`], those of all tenants.
    pub async fn targets_and_removed(&self, caller: &Caller) -> Result<Vec<Target>, DirectoryError> {
        let tenant = Some(caller.tenant).filter(|tenant| *tenant != Caller::NO_TENANT);
        self.authorize(caller, tenant.map_or(Query::AllTargets, |_| Query::Targets)).await?;
        self.records(Target::listed(tenant)).await
    }

    /// Records of the targets of the caller's tenant.
    pub async fn target_records<T: TargetRecord>(
        &self,
        caller: &Caller,
        query: RowQuery,
    ) -> Result<Vec<T>, DirectoryError> {
        self.authorize_target_rows(caller, &query).await?;
        self.records(query).await
    }

    /// How many records a query finds, by the values of some columns.
    pub async fn count_target_records(
        &self,
        caller: &Caller,
        query: RowQuery,
        by: &'static [usize],
    ) -> Result<Vec<(Row, u64)>, DirectoryError> {
        self.authorize_target_rows(caller, &query).await?;
        self.store.count_rows(query, by).await.map_err(read_error)
    }

    /// A query names its tenant first.
    async fn authorize_target_rows(&self, caller: &Caller, query: &RowQuery) -> Result<(), DirectoryError> {
        self.authorize(caller, Query::Targets).await?;
        let is_own = query.equal.first() == Some(&Value::from(caller.tenant.0)) && query.order.first() == Some(&0);
        if is_own { Ok(()) } else { Err(DirectoryError::Forbidden) }
    }

    /// The accounts of users in a target of the caller's tenant.
    pub async fn remote_users(
        &self,
        caller: &Caller,
        target: u32,
        users: &[UserId],
    ) -> Result<HashMap<UserId, RemoteUser>, DirectoryError> {
        self.authorize(caller, Query::Targets).await?;
        let keys = users.iter().map(|user| RemoteUser::key_of((caller.tenant, target), *user)).collect();
        let rows = self.store.rows_with_keys(RemoteUser::table(), keys).await.map_err(read_error)?;
        let decoded = rows.iter().map(|row| RemoteUser::from_row(row).map(|remote| (remote.user, remote)));
        decoded.collect::<Result<_, _>>().map_err(|error| DirectoryError::Internal(error.to_string()))
    }

    /// Stores what a task has done, without an event.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`] if something has changed meanwhile, or another process has acquired a lease whose
    /// guard is among the writes.
    pub async fn commit_task_rows(&self, caller: &Caller, writes: Vec<RowWrite>) -> Result<(), DirectoryError> {
        self.authorize(caller, Query::Tasks).await?;
        if writes.is_empty() {
            return Ok(());
        }
        self.commit_rows(caller, writes).await
    }

    /// Deletes push attempts of all tenants up to a time.
    pub async fn delete_push_attempts(&self, until: Time) -> Result<(), DirectoryError> {
        let caller = Caller::task(crate::Purpose::Retention);
        loop {
            let old: Vec<PushAttempt> = self.records(PushAttempt::until(until, BATCH)).await?;
            if old.is_empty() {
                return Ok(());
            }
            self.commit_rows(&caller, old.iter().map(PushAttempt::deletion).collect()).await?;
        }
    }
}
