//! Requests with an `Idempotency-Key`: each command is recorded in its own transaction, so that a repeated request
//! does not carry it out again.

use super::{Caller, Directory, read_error};
use crate::authorization::Query;
use crate::{
    DirectoryError, IdempotencyKey, IdempotencyRecord, ItemKey, ItemKind, Mutation, Purpose, Receipt, Record,
    RecordedResponse, RecordedStep, RowQuery, RowWrite, Time, Tombstone, User, UserId, UserKey,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Records deleted at a time.
const BATCH: u32 = 250;

/// A request that has not been completed yet, and the commands of earlier attempts that were committed.
#[derive(Debug)]
pub struct IdempotentRequest {
    key: IdempotencyKey,
    committed: BTreeMap<u32, RecordedStep>,
    /// Commands of this attempt that were committed.
    written: AtomicU32,
}

/// The state of a request with a key.
#[derive(Debug)]
pub enum IdempotencyLookup {
    /// New, or an earlier attempt was interrupted.
    Open(Arc<IdempotentRequest>),
    Completed(RecordedResponse),
    /// The key was sent with another request.
    Reused,
}

/// One command of a request. A repeated request must send the same commands under the same numbers.
#[derive(Clone, Debug)]
pub struct IdempotencyScope {
    request: Arc<IdempotentRequest>,
    step: u32,
}

impl IdempotencyScope {
    pub fn new(request: Arc<IdempotentRequest>) -> Self {
        Self { request, step: 0 }
    }

    /// Another command of the request.
    #[must_use]
    pub fn at_step(&self, step: u32) -> Self {
        Self { request: Arc::clone(&self.request), step }
    }

    /// This attempt has committed the command.
    pub(super) fn count_commit(&self) {
        self.request.written.fetch_add(1, Ordering::Relaxed);
    }
}

impl Directory {
    /// # Errors
    /// Those of the store, and those of a connection that has ended.
    pub async fn idempotent_request(
        &self,
        caller: &Caller,
        key: IdempotencyKey,
    ) -> Result<IdempotencyLookup, DirectoryError> {
        self.authorize(caller, Query::OwnRequests).await?;
        let now = self.clock.now();
        let rows = loop {
            let rows: Vec<IdempotencyRecord> = self.records(IdempotencyRecord::of_key(&key)).await?;
            if !rows.iter().any(|row| row.is_expired(now)) {
                break rows;
            }
            self.delete_records(caller, &rows).await?;
        };
        if rows.iter().any(|row| row.key.fingerprint != key.fingerprint) {
            return Ok(IdempotencyLookup::Reused);
        }
        let mut committed = BTreeMap::new();
        for row in rows {
            match row.content {
                RecordedStep::Response(response) => return Ok(IdempotencyLookup::Completed(response)),
                command @ RecordedStep::Command { .. } => drop(committed.insert(row.step, command)),
            }
        }
        Ok(IdempotencyLookup::Open(Arc::new(IdempotentRequest { key, committed, written: AtomicU32::new(0) })))
    }

    /// Stores the response of a request.
    ///
    /// # Errors
    /// [`DirectoryError::Conflict`] if the same request was carried out by another attempt in the meantime: this response may
    /// be wrong.
    pub async fn record_response(
        &self,
        caller: &Caller,
        request: &IdempotentRequest,
        response: RecordedResponse,
    ) -> Result<(), DirectoryError> {
        self.authorize(caller, Query::OwnRequests).await?;
        let content = RecordedStep::Response(response);
        let write = request.insertion(IdempotencyRecord::RESPONSE_STEP, content, self.clock.now())?;
        self.commit_rows(caller, vec![write]).await
    }

    /// Whether somebody else has carried out a command of this request meanwhile.
    pub async fn has_other_attempt(&self, caller: &Caller, scope: &IdempotencyScope) -> Result<bool, DirectoryError> {
        self.authorize(caller, Query::OwnRequests).await?;
        let own = scope.request.committed.len() + scope.request.written.load(Ordering::Relaxed) as usize;
        let rows: Vec<IdempotencyRecord> = self.records(IdempotencyRecord::of_key(&scope.request.key)).await?;
        Ok(rows.len() > own)
    }

    /// Deletes expired records of all tenants.
    pub async fn delete_expired_records(&self) -> Result<(), DirectoryError> {
        let end = self.clock.now().plus_seconds(-IdempotencyRecord::LIFETIME_SECONDS);
        self.delete_all_records(|| IdempotencyRecord::until(end, BATCH)).await
    }

    async fn delete_all_records(&self, query: impl Fn() -> RowQuery) -> Result<(), DirectoryError> {
        let caller = Caller::task(Purpose::Retention);
        loop {
            let rows: Vec<IdempotencyRecord> = self.records(query()).await?;
            if rows.is_empty() {
                return Ok(());
            }
            self.delete_records(&caller, &rows).await?;
        }
    }

    /// Rows that another process has deleted or replaced in the meantime are left alone.
    async fn delete_records(&self, caller: &Caller, rows: &[IdempotencyRecord]) -> Result<(), DirectoryError> {
        match self.commit_rows(caller, rows.iter().map(IdempotencyRecord::deletion).collect()).await {
            Err(DirectoryError::Conflict) => Ok(()),
            deleted => deleted,
        }
    }

    /// The receipt of the caller's command if an earlier attempt has committed it, with users and items as they are now.
    /// Ask before checking what the command would change: it has changed it.
    pub async fn committed_receipt(&self, caller: &Caller) -> Result<Option<Receipt>, DirectoryError> {
        let recorded = caller.idempotency.as_ref().and_then(|scope| scope.request.committed.get(&scope.step));
        let Some(RecordedStep::Command { users, items }) = recorded else { return Ok(None) };
        self.authorize(caller, Query::OwnRequests).await?;
        let mut receipt = Receipt::default();
        for id in users {
            receipt.users.extend(self.user_or_deleted(caller, *id).await?);
        }
        let keys: Vec<(ItemKind, ItemKey)> = items.iter().map(|(kind, id)| (*kind, ItemKey::Id(*id))).collect();
        receipt.items = self.map_stored_items(caller.tenant, &keys, |item| item).await?.into_iter().flatten().collect();
        Ok(Some(receipt))
    }

    async fn user_or_deleted(&self, caller: &Caller, id: UserId) -> Result<Option<User>, DirectoryError> {
        let found = self.store.user(caller.tenant, UserKey::Id(id)).await.map_err(read_error)?;
        if found.is_some() {
            return Ok(found);
        }
        let deleted = self.store.tombstone(caller.tenant, UserKey::Id(id)).await.map_err(read_error)?;
        Ok(deleted.map(|Tombstone { user, .. }| user))
    }
}

impl IdempotencyScope {
    /// See [`IdempotentRequest::record`].
    pub(super) fn record(
        &self,
        mutations: &[Mutation],
        unchanged: &Receipt,
        now: Time,
    ) -> Result<Mutation, DirectoryError> {
        self.request.record(self.step, mutations, unchanged, now)
    }

    pub fn request(&self) -> &IdempotentRequest {
        &self.request
    }
}

impl IdempotentRequest {
    /// The mutation that records a command, which precedes those of the command: if another attempt was first, that is
    /// the conflict to report.
    fn record(
        &self,
        step: u32,
        mutations: &[Mutation],
        unchanged: &Receipt,
        now: Time,
    ) -> Result<Mutation, DirectoryError> {
        let (mut users, mut items) = (Vec::new(), Vec::new());
        for mutation in mutations {
            match mutation {
                Mutation::AddUser { user, .. }
                | Mutation::ChangeUser { after: user, .. }
                | Mutation::RestoreUser { user, .. } => users.push(user.id),
                Mutation::AddItem { item, .. }
                | Mutation::ChangeItem { after: item, .. }
                | Mutation::ChangeMembers { item, .. } => items.push((item.kind(), item.id())),
                _ => {}
            }
        }
        users.extend(unchanged.users.iter().map(|user| user.id));
        items.extend(unchanged.items.iter().map(|item| (item.kind(), item.id())));
        Ok(Mutation::Rows(vec![self.insertion(step, RecordedStep::Command { users, items }, now)?]))
    }

    fn insertion(&self, step: u32, content: RecordedStep, created: Time) -> Result<RowWrite, DirectoryError> {
        let row = IdempotencyRecord { key: self.key.clone(), step, created, content };
        let row = row.to_row().map_err(|error| DirectoryError::Internal(error.to_string()))?;
        Ok(RowWrite::Insert(IdempotencyRecord::table(), row))
    }
}
