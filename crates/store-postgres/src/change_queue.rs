//! Queued changes, and which of them can share a transaction.

use super::param::tenant_code;
use directory::{Change, CommitError, Mutation, Receipt, Time};
use parking_lot::Mutex;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::unique_keys;
use tokio::sync::{Notify, oneshot};

/// Queued changes; more are rejected with [`CommitError::Busy`].
const CAPACITY: usize = 8192;
/// Changes per transaction.
const MAX_BATCH: usize = 256;

/// How long a change waits for the batches of other writers.
const MAX_BATCH_DELAY: Duration = Duration::from_millis(20);

/// After this wait, a change gets a later time.
const RESTAMP_AGE: Duration = Duration::from_secs(1);

pub(super) type CommitResult = Result<Receipt, CommitError>;

pub(super) struct QueuedChange {
    pub(super) change: Change,
    conflict_keys: Vec<ConflictKey>,
    answer: oneshot::Sender<CommitResult>,
    queued_at: Instant,
    decided: Time,
}

impl QueuedChange {
    pub(super) fn answer(self, answer: CommitResult) {
        // The caller may have gone.
        drop(self.answer.send(answer));
    }

    /// Advances the time of a change that has waited long: readers have not seen it until now.
    pub(super) fn advance_time(&mut self) {
        let age = self.age();
        if age >= RESTAMP_AGE {
            let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
            self.change.set_time(Time(self.decided.0.saturating_add(micros)));
        }
    }

    pub(super) fn age(&self) -> Duration {
        self.queued_at.elapsed()
    }
}

/// Oldest first.
#[derive(Default)]
pub(super) struct ChangeQueue {
    jobs: Mutex<QueueState>,
    wake: Notify,
    /// Changes that a writer has taken and not answered yet.
    in_flight: AtomicU64,
}

#[derive(Default)]
struct QueueState {
    jobs: VecDeque<QueuedChange>,
    is_closed: bool,
}

impl QueueState {
    fn is_drained(&self) -> bool {
        self.is_closed && self.jobs.is_empty()
    }
}

impl ChangeQueue {
    /// Queues changes at once: no writer takes only some of them because the others are not there yet.
    pub(super) fn push(&self, changes: Vec<Change>) -> Vec<Result<oneshot::Receiver<CommitResult>, CommitError>> {
        let job = |change: Change| {
            let (conflict_keys, decided) = (conflict_keys(&change), change.at);
            let (answer, answered) = oneshot::channel();
            (QueuedChange { change, conflict_keys, answer, queued_at: Instant::now(), decided }, answered)
        };
        let jobs: Vec<_> = changes.into_iter().map(job).collect();
        let mut waiting = self.jobs.lock();
        let queued = jobs.into_iter().map(|(job, answered)| {
            if waiting.is_closed {
                return Err(CommitError::Unavailable("the store is closed".into()));
            }
            if waiting.jobs.len() >= CAPACITY {
                return Err(CommitError::Busy);
            }
            waiting.jobs.push_back(job);
            Ok(answered)
        });
        let queued = queued.collect();
        drop(waiting);
        self.wake.notify_one();
        queued
    }

    /// Takes the next batch: changes without common conflict keys, in order. A change that must wait holds back
    /// later changes that conflict with it. Takes nothing while less than 1.5 times as many changes wait as
    /// other writers have in flight: few large batches cost much less than many small ones.
    fn take_batch(&self) -> Vec<QueuedChange> {
        let mut waiting = self.jobs.lock();
        let enough = self.in_flight.load(Ordering::Relaxed).saturating_mul(3) / 2;
        let is_young = waiting.jobs.front().is_some_and(|job| job.age() < MAX_BATCH_DELAY);
        if is_young && (waiting.jobs.len() as u64) < enough.min(MAX_BATCH as u64) {
            return Vec::new();
        }
        let (mut batch, mut held, mut conflict_keys) = (Vec::new(), VecDeque::new(), HashMap::new());
        while batch.len() < MAX_BATCH {
            let Some(job) = waiting.jobs.pop_front() else { break };
            let goes = job.conflict_keys.iter().all(|touch| touch.is_compatible(&conflict_keys));
            for touch in &job.conflict_keys {
                let is_shared = goes && touch.is_shared;
                conflict_keys.entry(touch.hash).and_modify(|shared| *shared &= is_shared).or_insert(is_shared);
            }
            if goes { batch.push(job) } else { held.push_back(job) }
        }
        while let Some(job) = held.pop_back() {
            waiting.jobs.push_front(job);
        }
        self.in_flight.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if !waiting.jobs.is_empty() {
            self.wake.notify_one();
        }
        batch
    }

    /// Changes of a batch have been answered.
    pub(super) fn complete(&self, many: usize) {
        self.in_flight.fetch_sub(many as u64, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Waits for the next batch; `None` when the queue is closed and empty.
    pub(super) async fn next_batch(&self) -> Option<Vec<QueuedChange>> {
        loop {
            let batch = self.take_batch();
            if !batch.is_empty() {
                return Some(batch);
            }
            if self.jobs.lock().is_drained() {
                // The other writers wait for the same signal.
                self.wake.notify_one();
                return None;
            }
            if self.is_empty() {
                self.wake.notified().await;
            } else {
                // Other writers may be stuck; do not wait for them forever.
                drop(tokio::time::timeout(MAX_BATCH_DELAY, self.wake.notified()).await);
            }
        }
    }

    /// Answers changes that have waited too long with an error.
    pub(super) fn expire(&self, patience: Duration) {
        let mut waiting = self.jobs.lock();
        while waiting.jobs.front().is_some_and(|job| job.age() > patience) {
            if let Some(job) = waiting.jobs.pop_front() {
                job.answer(Err(CommitError::Unavailable("the database does not accept changes".into())));
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.jobs.lock().jobs.is_empty()
    }

    pub(super) fn depth(&self) -> u64 {
        let waiting = self.jobs.lock().jobs.len() as u64;
        waiting + self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.jobs.lock().is_closed = true;
        self.wake.notify_one();
    }
}

/// A hash of something that a change uses. After a hash collision, two changes only wait for each other.
struct ConflictKey {
    hash: u64,
    /// Compatible with other shared uses.
    is_shared: bool,
}

impl ConflictKey {
    fn new(what: impl Hash, is_shared: bool) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self { hash: hasher.finish(), is_shared }
    }

    fn is_compatible(&self, conflict_keys: &HashMap<u64, bool>) -> bool {
        conflict_keys.get(&self.hash).is_none_or(|is_shared| *is_shared && self.is_shared)
    }
}

/// Everything a change uses. Exclusive use works only if all changes that use the same thing list it.
#[expect(clippy::too_many_lines, reason = "one case for each kind of mutation")]
fn conflict_keys(change: &Change) -> Vec<ConflictKey> {
    let tenant = tenant_code(change.tenant);
    let mut all = Vec::with_capacity(4);
    for claim in change.assumed_absent.iter().filter_map(|(kind, key)| unique_keys::of_key(*kind, key)) {
        all.push(ConflictKey::new((tenant, claim.namespace, claim.text), true));
    }
    if let Some(id) = &change.assumed_not_deleted {
        all.push(ConflictKey::new(("deleted", tenant, id), true));
    }
    for edit in &change.mutations {
        match edit {
            Mutation::AddUser { user, .. } => {
                all.push(ConflictKey::new(("user", user.id), false));
                user_keys(tenant, user, &mut all);
            }
            Mutation::ChangeUser { before, after, .. } => {
                all.push(ConflictKey::new(("user", before.id), false));
                user_keys(tenant, before, &mut all);
                user_keys(tenant, after, &mut all);
            }
            Mutation::RestoreUser { before, user, .. } => {
                all.push(ConflictKey::new(("user", before.user.id), false));
                all.extend(deleted_external_id_key(tenant, &before.user));
                user_keys(tenant, user, &mut all);
            }
            Mutation::PurgeUser(tombstone) => {
                all.push(ConflictKey::new(("user", tombstone.user.id), false));
                all.extend(deleted_external_id_key(tenant, &tombstone.user));
            }
            Mutation::RemoveUser(user) => {
                all.extend(deleted_external_id_key(tenant, user));
                all.push(ConflictKey::new(("user", user.id), false));
                user_keys(tenant, user, &mut all);
            }
            Mutation::AddItem { item, members } => {
                item_keys(tenant, item, &mut all);
                all.extend(members.iter().map(|user| ConflictKey::new(("user", user), true)));
                if item.number() > 0 {
                    all.push(ConflictKey::new(("number", tenant, item.kind(), item.number()), false));
                }
            }
            Mutation::ChangeItem { before, after, members_added, members_removed } => {
                item_keys(tenant, before, &mut all);
                item_keys(tenant, after, &mut all);
                all.extend(
                    members_added.iter().chain(members_removed).map(|user| ConflictKey::new(("user", user), true)),
                );
            }
            Mutation::ChangeMembers { item, members_added, members_removed } => {
                all.push(ConflictKey::new(("item", item.id()), false));
                all.extend(
                    members_added.iter().chain(members_removed).map(|user| ConflictKey::new(("user", user), true)),
                );
            }
            Mutation::RemoveItem(item) => item_keys(tenant, item, &mut all),
            Mutation::ChangeTenant { before, .. } => {
                all.push(ConflictKey::new(("tenant", before.number), false));
            }
            Mutation::AddMail(mail) | Mutation::ChangeMail { before: mail, .. } | Mutation::RemoveMail(mail) => {
                all.push(ConflictKey::new(("mail", mail.id), false));
            }
            Mutation::AddTenant(_) => all.push(ConflictKey::new("tenants", false)),
            Mutation::AddConnection(new) => {
                all.push(ConflictKey::new(("connection", new.tenant, directory::fold(&new.name)), false));
            }
            Mutation::ChangeConnection { after, .. } => {
                all.push(ConflictKey::new(("connection", after.id), false));
            }
            Mutation::PutTarget { after, rows, .. } => {
                all.push(ConflictKey::new(("target", after.tenant, after.number), false));
                all.push(ConflictKey::new(("target", after.tenant, directory::fold(&after.name)), false));
                row_keys(rows, &mut all);
            }
            Mutation::RecordConnectionUse(id, _) => all.push(ConflictKey::new(("connection", id), false)),
            Mutation::AddSecret(secret) => all.push(ConflictKey::new(("secret", &secret.name), false)),
            Mutation::Rows(rows) => row_keys(rows, &mut all),
        }
    }
    // A change does not conflict with itself.
    all.sort_unstable_by_key(|touch| (touch.hash, touch.is_shared));
    all.dedup_by_key(|touch| touch.hash);
    all
}

fn row_keys(rows: &[directory::RowWrite], all: &mut Vec<ConflictKey>) {
    all.extend(rows.iter().map(|row| {
        let (table, key) = row.table_and_key();
        ConflictKey::new((table.name, key), false)
    }));
}

/// The external id of a user who is being deleted or was deleted.
fn deleted_external_id_key(tenant: i32, user: &directory::User) -> Option<ConflictKey> {
    user.external_id.as_ref().map(|id| ConflictKey::new(("deleted", tenant, id), false))
}

fn user_keys(tenant: i32, user: &directory::User, all: &mut Vec<ConflictKey>) {
    all.extend(
        unique_keys::of_user(user).iter().map(|claim| ConflictKey::new((tenant, claim.namespace, &claim.text), false)),
    );
    let items = user.groups.iter().chain(&user.folders).chain(&user.organization);
    all.extend(items.map(|item| ConflictKey::new(("item", item), true)));
}

fn item_keys(tenant: i32, item: &directory::Item, all: &mut Vec<ConflictKey>) {
    all.push(ConflictKey::new(("item", item.id()), false));
    all.extend(
        unique_keys::of_item(item).iter().map(|claim| ConflictKey::new((tenant, claim.namespace, &claim.text), false)),
    );
}
