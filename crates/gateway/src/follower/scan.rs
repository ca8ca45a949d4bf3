//! Considers users one after the other for each target: all of them at first, and again those that were considered after
//! the target's settings have changed.

use super::{BATCH, TenantFollower, new_row};
use crate::account_rules::AccountRules;
use crate::held_lease::HeldLease;
use crate::signals::Signals;
use directory::{
    Caller, Directory, DirectoryError, PageBoundary, PushPriority, RemoteUser, RowWrite, SortPosition, Target,
    TargetProgress, User, UserId, UserQuery,
};
use std::time::{Duration, Instant};

/// Rows of a first synchronization that wait, above which the scan pauses.
const MAX_WAITING: usize = 2_000;
/// How often they are counted while the scan pauses: not before the target's rate allows that enough were pushed.
const MIN_COUNT_INTERVAL: Duration = Duration::from_millis(200);
const MAX_COUNT_INTERVAL: Duration = Duration::from_secs(10);

/// How far the users of a tenant were considered for a target.
pub(super) struct Scan {
    /// Of the target for which it was read.
    pub(super) version: u32,
    /// Whether the target's rules depend on the groups of users.
    pub(super) uses_groups: bool,
    /// Whether accounts cannot be changed: then, nothing is sent again.
    creates_only: bool,
    progress: TargetProgress,
    /// Users with higher numbers may exist.
    has_more: bool,
    /// How many users can be considered before the waiting rows are counted again.
    capacity: usize,
    next_count: Instant,
    /// Whether it has reached the last user before: then, further users are new.
    has_ended: bool,
}

impl Scan {
    pub(super) fn new(target: &Target, progress: TargetProgress, has_ended: bool) -> Self {
        let rules = AccountRules::of_target(target).ok();
        let uses_groups = rules.as_ref().is_some_and(AccountRules::uses_groups);
        let creates_only = rules.is_some_and(|rules| rules.capabilities.creates_only);
        let (version, next_count) = (target.version, Instant::now());
        Self { version, uses_groups, creates_only, progress, has_more: true, capacity: 0, next_count, has_ended }
    }

    /// Lets the users who were considered be considered again.
    pub(super) fn restart(&mut self) -> Option<RowWrite> {
        self.progress.reconsidered = Some(0);
        self.progress.after_change(false, true)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    pub(super) fn has_more(&self) -> bool {
        self.has_more || self.progress.reconsidered.is_some()
    }

    /// Whether the user with a number was considered before: then, its row is marked.
    pub(super) fn has_considered(&self, number: u32) -> bool {
        number <= self.progress.scanned
    }

    /// Takes over that users with these numbers exist.
    pub(super) fn note_numbers(&mut self, mut numbers: impl Iterator<Item = u32>) {
        self.has_more |= numbers.any(|number| !self.has_considered(number));
    }

    /// Fails the change that includes it if another process has moved the scan.
    pub(super) fn guard(&self) -> RowWrite {
        self.progress.guard_scan()
    }
}

impl TenantFollower {
    /// Considers the next users for each target. Returns whether it has considered any.
    pub(crate) async fn scan(
        &mut self,
        directory: &Directory,
        lease: &HeldLease,
        targets: &[Target],
        signals: &Signals,
        have_workers_begun: &(dyn Fn(&Target) -> bool + Sync),
    ) -> Result<bool, DirectoryError> {
        let mut has_worked = false;
        for target in targets.iter().filter(|target| target.is_active()) {
            let Some(scan) = self.scans.get(&target.number).filter(|scan| scan.has_more()) else { continue };
            // Few new users do not wait for others.
            let mut has_considered = scan.has_ended && self.consider(directory, lease, target, true).await?;
            if !has_considered && self.has_capacity(directory, target).await? {
                // A worker with former settings could take their marks for done.
                has_considered = have_workers_begun(target) && self.reconsider(directory, lease, target).await?
                    || self.consider(directory, lease, target, false).await?;
            }
            if has_considered {
                has_worked = true;
                signals.wake(self.caller.tenant, target.number);
            }
        }
        Ok(has_worked)
    }

    /// Whether few enough rows wait. They are counted now and then.
    async fn has_capacity(&mut self, directory: &Directory, target: &Target) -> Result<bool, DirectoryError> {
        let Some(scan) = self.scans.get_mut(&target.number) else { return Ok(false) };
        if scan.capacity >= BATCH as usize {
            return Ok(true);
        }
        if Instant::now() < scan.next_count {
            return Ok(false);
        }
        let waiting = waiting(directory, &self.caller, target).await?;
        scan.capacity = MAX_WAITING.saturating_sub(usize::try_from(waiting).unwrap_or(MAX_WAITING));
        if scan.capacity < BATCH as usize {
            let missing = u32::try_from(BATCH as usize - scan.capacity).unwrap_or(BATCH);
            let time = target.limits.shortest_time(missing).clamp(MIN_COUNT_INTERVAL, MAX_COUNT_INTERVAL);
            scan.next_count = Instant::now() + time;
            return Ok(false);
        }
        Ok(true)
    }

    /// Considers the next users who were not considered before, with `only_few` unless they are many.
    async fn consider(
        &mut self,
        directory: &Directory,
        lease: &HeldLease,
        target: &Target,
        only_few: bool,
    ) -> Result<bool, DirectoryError> {
        let Some(scan) = self.scans.get_mut(&target.number).filter(|scan| scan.has_more) else { return Ok(false) };
        let users = directory.find_users(&self.caller, users_after(scan.progress.scanned)).await?.rows;
        let Some(last) = users.last().map(|user| user.number) else {
            scan.has_more = false;
            scan.has_ended = true;
            return Ok(false);
        };
        if only_few && users.len() >= BATCH as usize {
            return Ok(false);
        }
        // Many new users at once, such as those of an import, do not delay changes of others.
        let is_few = scan.has_ended && users.len() < BATCH as usize;
        let priority = if is_few { PushPriority::Change } else { PushPriority::Sync };
        // A row can exist after a restore: what the target has may be newer.
        let keeps_digests = scan.creates_only;
        let mut writes = vec![lease.guard(), scan.progress.advance_scan(last)];
        writes.extend(self.marks(directory, target, &users, (priority, keeps_digests)).await?);
        directory.commit_task_rows(&self.caller, writes).await?;
        let Some(scan) = self.scans.get_mut(&target.number) else { return Ok(true) };
        scan.progress.scanned = last;
        scan.capacity = scan.capacity.saturating_sub(users.len());
        if users.len() < BATCH as usize {
            scan.has_more = false;
            scan.has_ended = true;
        }
        Ok(true)
    }

    /// Considers users again, whose accounts are to be different after a change of the target's settings.
    async fn reconsider(
        &mut self,
        directory: &Directory,
        lease: &HeldLease,
        target: &Target,
    ) -> Result<bool, DirectoryError> {
        let Some(scan) = self.scans.get_mut(&target.number) else { return Ok(false) };
        let Some(after) = scan.progress.reconsidered else { return Ok(false) };
        let mut users = directory.find_users(&self.caller, users_after(after)).await?.rows;
        users.retain(|user| scan.has_considered(user.number));
        let next = users.last().map(|user| user.number);
        // After another change of the settings, it begins anew.
        let mut writes = vec![lease.guard(), target.guard(), scan.progress.advance_reconsidered(next)];
        writes.extend(self.marks(directory, target, &users, (PushPriority::Sync, true)).await?);
        directory.commit_task_rows(&self.caller, writes).await?;
        if let Some(scan) = self.scans.get_mut(&target.number) {
            scan.progress.reconsidered = next;
            scan.capacity = scan.capacity.saturating_sub(users.len());
        }
        Ok(true)
    }

    /// The writes that mark the rows of users. With `keeps_digests`, only what is to be different is sent.
    async fn marks(
        &self,
        directory: &Directory,
        target: &Target,
        users: &[User],
        (priority, keeps_digests): (PushPriority, bool),
    ) -> Result<Vec<RowWrite>, DirectoryError> {
        let now = directory.now();
        let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
        let known = directory.remote_users(&self.caller, target.number, &ids).await?;
        let mut writes = Vec::with_capacity(users.len() + 1);
        for user in users {
            let write = match known.get(&user.id) {
                None if user.status.blocks_sign_in() => continue,
                None => {
                    let mut new = new_row(&self.caller, target, user.id);
                    new.mark(self.position(), priority, now);
                    new.insert()
                }
                Some(row) => {
                    let digest = row.digest.clone().filter(|_| keeps_digests);
                    let mut marked = RemoteUser { digest, ..row.clone() };
                    // Later than what a worker that is pushing it has read.
                    marked.mark(self.position(), priority, now);
                    marked.replace(row)
                }
            };
            writes.push(write.map_err(|error| DirectoryError::Internal(error.to_string()))?);
        }
        // Fails if an event was followed meanwhile that this read did not see.
        writes.push(self.follower.guard());
        Ok(writes)
    }
}

/// How many rows of a first synchronization are due, at most [`MAX_WAITING`] in each shard.
async fn waiting(directory: &Directory, caller: &Caller, target: &Target) -> Result<u64, DirectoryError> {
    let mut count = 0;
    let limit = u32::try_from(MAX_WAITING).unwrap_or(u32::MAX);
    for shard in 0..target.limits.shards {
        let key = (caller.tenant, target.number);
        let query = RemoteUser::due(key, shard, PushPriority::Sync, directory.now(), limit);
        let counts = directory.count_target_records(caller, query, RemoteUser::BY_TARGET).await?;
        count += counts.iter().map(|(_, count)| count).sum::<u64>();
    }
    Ok(count)
}

fn users_after(number: u32) -> UserQuery {
    let boundary = Some(PageBoundary::After(SortPosition { number, ..SortPosition::default() }));
    UserQuery { boundary, limit: BATCH, ..UserQuery::default() }
}
