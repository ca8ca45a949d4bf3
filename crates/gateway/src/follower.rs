//! Follows the changes of a tenant's users, and considers existing users one after the other for each target.
//!
//! A change of a user who was considered marks the user's rows. Users with higher numbers are left to the scan, so a
//! target that is slow or new costs nothing but its own rows. The scan of a target is only ahead of its worker by some
//! thousand users.

use crate::held_lease::HeldLease;
use crate::signals::Signals;
use directory::{
    Caller, ChangedSubject, Directory, DirectoryError, EventPosition, Follower, ItemId, PageBoundary, PushPriority,
    Record, RemoteUser, RowQuery, RowWrite, SortPosition, Target, TargetProgress, UserChange, UserId, UserQuery,
    gateway_lease_name,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Events and users that are handled at a time: few enough to be read without another thread, whose memory the allocator
/// would keep.
pub(crate) const BATCH: u32 = RowQuery::FEW;
/// Rows of a first synchronization that wait, above which the scan pauses.
const MAX_WAITING: usize = 2_000;
/// How often they are counted while the scan pauses: not before the target's rate allows that enough were pushed.
const MIN_COUNT_INTERVAL: Duration = Duration::from_millis(200);
const MAX_COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// Changes that mark no row and are followed again after a restart, at most.
const MAX_UNSAVED: u64 = 5_000;
/// How often rows are marked that a worker changes at the same time.
const MAX_MARK_ATTEMPTS: u32 = 20;

pub(crate) struct TenantFollower {
    caller: Caller,
    follower: Follower,
    /// All changes up to this position were followed, of which those after the stored position of the follower mark no
    /// row.
    read_to: EventPosition,
    scans: HashMap<u32, Scan>,
}

struct Scan {
    progress: TargetProgress,
    /// Users with higher numbers may exist.
    has_more: bool,
    /// How many users can be considered before the waiting rows are counted again.
    capacity: usize,
    next_count: Instant,
    /// Whether it has reached the last user before: then, further users are new.
    has_ended: bool,
}

/// What happened to a user in some events.
struct Mark {
    user: UserId,
    number: u32,
    position: EventPosition,
    priority: PushPriority,
    /// Whether it was active after one of them.
    is_active: bool,
}

impl TenantFollower {
    /// Continues after the last event that was handled. Events from before there were targets need not be handled: the
    /// scan considers all users.
    pub(crate) async fn start(directory: &Directory, caller: Caller) -> Result<Self, DirectoryError> {
        let start = directory.tenant_snapshot(&caller, caller.tenant).await?.position();
        let follower = directory.follower(&caller, &gateway_lease_name(caller.tenant), start).await?;
        let read_to = follower.position;
        Ok(Self { caller, follower, read_to, scans: HashMap::new() })
    }

    /// Whether changes were followed that the store does not have: it was restored.
    pub(crate) async fn is_ahead_of_store(&self, directory: &Directory) -> Result<bool, DirectoryError> {
        Ok(directory.last_event_position(&self.caller).await? < self.position())
    }

    /// Whether users were considered for targets, and the store does not have up to which change they were followed: it
    /// was restored from a backup or moved, which do not contain that.
    pub(crate) async fn is_lost(
        directory: &Directory,
        caller: &Caller,
        targets: &[Target],
    ) -> Result<bool, DirectoryError> {
        if directory.has_follower(caller, &gateway_lease_name(caller.tenant)).await? {
            return Ok(false);
        }
        for target in targets {
            let query = TargetProgress::table().row(target.key());
            let progress: Vec<TargetProgress> = directory.target_records(caller, query).await?;
            if progress.iter().any(|progress| progress.scanned > 0) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Continues at the end of the store.
    pub(crate) async fn skip_to_end(&self, directory: &Directory, lease: &HeldLease) -> Result<(), DirectoryError> {
        let newest = directory.last_event_position(&self.caller).await?;
        directory.advance_follower(&self.caller, &self.follower, newest, vec![lease.guard()]).await.map(drop)
    }

    /// After which position new events can be.
    pub(crate) fn position(&self) -> EventPosition {
        self.read_to.max(self.follower.position)
    }

    /// Takes over which targets there are.
    pub(crate) async fn set_targets(
        &mut self,
        directory: &Directory,
        targets: &[Target],
    ) -> Result<(), DirectoryError> {
        self.scans.retain(|number, _| targets.iter().any(|target| target.number == *number));
        for target in targets {
            if self.scans.contains_key(&target.number) {
                continue;
            }
            let query = TargetProgress::table().row(target.key());
            let progress: Vec<TargetProgress> = directory.target_records(&self.caller, query).await?;
            if let Some(progress) = progress.into_iter().next() {
                self.scans.insert(
                    target.number,
                    Scan { progress, has_more: true, capacity: 0, next_count: Instant::now(), has_ended: false },
                );
            }
        }
        Ok(())
    }

    /// Whether [`Self::scan`] has something to do for the active targets.
    pub(crate) fn has_more_users(&self, targets: &[Target]) -> bool {
        let mut active = targets.iter().filter(|target| target.is_active());
        active.any(|target| self.scans.get(&target.number).is_some_and(|scan| scan.has_more))
    }

    /// Marks the rows of users who were changed by the next events. Returns how many were handled.
    pub(crate) async fn follow(
        &mut self,
        directory: &Directory,
        lease: &HeldLease,
        targets: &[Target],
        signals: &Signals,
    ) -> Result<usize, DirectoryError> {
        // Read before the events, which are only those of this tenant's users: later ones are waited for.
        let newest = directory.last_event_position(&self.caller).await?;
        let events = directory.user_changes(&self.caller, self.position(), BATCH).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            self.read_to = newest;
            return Ok(0);
        };
        let marks = self.marks_of(directory, &events).await?;
        let mut writes = Vec::new();
        let mut woken = Vec::new();
        for target in targets {
            let Some(scan) = self.scans.get_mut(&target.number) else { continue };
            scan.has_more |= marks.iter().any(|mark| mark.number > scan.progress.scanned);
            let known: Vec<&Mark> = marks.iter().filter(|mark| mark.number <= scan.progress.scanned).collect();
            let guard = scan.progress.guard_scan();
            // The members of a large organization: they can be marked again.
            let (parts, rest) = known.split_at(known.len() / BATCH as usize * BATCH as usize);
            for part in parts.chunks(BATCH as usize) {
                commit_marks(directory, &self.caller, target, part, &[lease.guard(), guard.clone()]).await?;
            }
            if writes.len() + rest.len() > BATCH as usize {
                commit_marks(directory, &self.caller, target, rest, &[lease.guard(), guard]).await?;
            } else if !rest.is_empty() {
                writes.push(guard);
                writes.extend(mark_rows(directory, &self.caller, target, rest).await?);
            }
            if !known.is_empty() {
                woken.push(target.number);
            }
        }
        // New users are left to the scan: thousands of them per second are followed without a write.
        if woken.is_empty() && last.0.saturating_sub(self.follower.position.0) < MAX_UNSAVED {
            self.read_to = last;
            return Ok(events.len());
        }
        writes.push(lease.guard());
        self.follower = directory.advance_follower(&self.caller, &self.follower, last, writes).await?;
        for target in woken {
            signals.wake(self.caller.tenant, target);
        }
        Ok(events.len())
    }

    /// One entry for each user, in the order of the last events.
    async fn marks_of(&self, directory: &Directory, changes: &[UserChange]) -> Result<Vec<Mark>, DirectoryError> {
        let mut marks: HashMap<UserId, Mark> = HashMap::new();
        let mut add = |(user, number): (UserId, u32), position, priority, is_active| {
            let mark = marks.entry(user).or_insert(Mark { user, number, position, priority, is_active });
            mark.position = mark.position.max(position);
            mark.priority = mark.priority.min(priority);
            mark.is_active |= is_active;
        };
        let mut renamed: HashMap<ItemId, EventPosition> = HashMap::new();
        for change in changes {
            match change.subject {
                ChangedSubject::User { id, number, was_active, is_active, is_deleted } => {
                    let is_removal = is_deleted || was_active && !is_active;
                    let priority = if is_removal { PushPriority::Removal } else { PushPriority::Change };
                    add((id, number), change.position, priority, is_active);
                }
                ChangedSubject::RenamedOrganization(organization) => {
                    renamed.insert(organization, change.position);
                }
                ChangedSubject::Other => {}
            }
        }
        // Documents show the name of the organization.
        for (organization, position) in renamed {
            for (user, number) in directory.members(&self.caller, organization).await? {
                // Without a row, it is not to be in the target.
                add((user, number), position, PushPriority::Change, false);
            }
        }
        let mut marks: Vec<Mark> = marks.into_values().collect();
        marks.sort_by_key(|mark| mark.position);
        Ok(marks)
    }

    /// Considers the next users for each target. Returns whether it has considered any.
    pub(crate) async fn scan(
        &mut self,
        directory: &Directory,
        lease: &HeldLease,
        targets: &[Target],
        signals: &Signals,
    ) -> Result<bool, DirectoryError> {
        let mut has_worked = false;
        for target in targets.iter().filter(|target| target.is_active()) {
            let Some(scan) = self.scans.get_mut(&target.number).filter(|scan| scan.has_more) else { continue };
            if scan.capacity < BATCH as usize {
                if Instant::now() < scan.next_count {
                    continue;
                }
                let waiting = waiting(directory, &self.caller, target).await?;
                scan.capacity = MAX_WAITING.saturating_sub(usize::try_from(waiting).unwrap_or(MAX_WAITING));
                if scan.capacity < BATCH as usize {
                    let missing = u32::try_from(BATCH as usize - scan.capacity).unwrap_or(BATCH);
                    let time = target.limits.shortest_time(missing).clamp(MIN_COUNT_INTERVAL, MAX_COUNT_INTERVAL);
                    scan.next_count = Instant::now() + time;
                    continue;
                }
            }
            let users = directory.find_users(&self.caller, users_after(scan.progress.scanned)).await?.rows;
            let Some(last) = users.last().map(|user| user.number) else {
                scan.has_more = false;
                scan.has_ended = true;
                continue;
            };
            // Many new users at once, such as those of an import, do not delay changes of others.
            let is_few = scan.has_ended && users.len() < BATCH as usize;
            let priority = if is_few { PushPriority::Change } else { PushPriority::Sync };
            let mut writes = vec![lease.guard(), scan.progress.advance_scan(last)];
            let now = directory.now();
            // A row can exist after a restore, or because the user was pushed by hand.
            let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
            let known = directory.remote_users(&self.caller, target.number, &ids).await?;
            for user in &users {
                let write = match known.get(&user.id) {
                    None if user.status.blocks_sign_in() => continue,
                    None => {
                        let mut new = new_row(&self.caller, target, user.id);
                        new.mark(self.follower.position, priority, now);
                        new.insert()
                    }
                    Some(row) => {
                        // What the target has may be newer.
                        let mut marked = RemoteUser { digest: None, ..row.clone() };
                        marked.mark(self.follower.position, priority, now);
                        marked.replace(row)
                    }
                };
                writes.push(write.map_err(|error| DirectoryError::Internal(error.to_string()))?);
            }
            // Fails if an event was followed meanwhile that this read did not see.
            writes.push(self.follower.guard());
            directory.commit_task_rows(&self.caller, writes).await?;
            scan.progress.scanned = last;
            scan.capacity -= users.len();
            if users.len() < BATCH as usize {
                scan.has_more = false;
                scan.has_ended = true;
            }
            has_worked = true;
            signals.wake(self.caller.tenant, target.number);
        }
        Ok(has_worked)
    }
}

/// Marks rows in a change of their own, again if a worker changes them meanwhile.
async fn commit_marks(
    directory: &Directory,
    caller: &Caller,
    target: &Target,
    marks: &[&Mark],
    guards: &[RowWrite],
) -> Result<(), DirectoryError> {
    let mut attempts = 0;
    loop {
        let mut writes = guards.to_vec();
        writes.extend(mark_rows(directory, caller, target, marks).await?);
        attempts += 1;
        match directory.commit_task_rows(caller, writes).await {
            Err(DirectoryError::Conflict) if attempts < MAX_MARK_ATTEMPTS => {}
            done => return done,
        }
    }
}

/// The writes that mark rows.
async fn mark_rows(
    directory: &Directory,
    caller: &Caller,
    target: &Target,
    marks: &[&Mark],
) -> Result<Vec<RowWrite>, DirectoryError> {
    let users: Vec<UserId> = marks.iter().map(|mark| mark.user).collect();
    let rows = directory.remote_users(caller, target.number, &users).await?;
    let writes = marks.iter().map(|mark| write_of(directory, caller, target, mark, rows.get(&mark.user)));
    writes.filter_map(Result::transpose).collect()
}

/// The write that marks a row.
fn write_of(
    directory: &Directory,
    caller: &Caller,
    target: &Target,
    mark: &Mark,
    row: Option<&RemoteUser>,
) -> Result<Option<RowWrite>, DirectoryError> {
    let now = directory.now();
    let write = match row {
        Some(row) => {
            let mut marked = row.clone();
            marked.mark(mark.position, mark.priority, now);
            marked.replace(row)
        }
        None if mark.is_active => {
            let mut new = new_row(caller, target, mark.user);
            new.mark(mark.position, mark.priority, now);
            new.insert()
        }
        // Never was in the target, and is not to be.
        None => return Ok(None),
    };
    write.map(Some).map_err(|error| DirectoryError::Internal(error.to_string()))
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

fn new_row(caller: &Caller, target: &Target, user: UserId) -> RemoteUser {
    RemoteUser::new((caller.tenant, target.number), user, shard_of(user, target.limits.shards))
}

/// The shard of a user, by the random part of the id.
pub fn shard_of(user: UserId, shards: u32) -> u32 {
    let random = user.0.as_u128() & 0xffff_ffff;
    u32::try_from(random % u128::from(shards.max(1))).unwrap_or(0)
}
