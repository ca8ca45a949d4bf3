//! Follows the changes of a tenant's users, and considers existing users one after the other for each target.
//!
//! A change of a user who was considered marks the user's rows. Users with higher numbers are left to the scan, so a
//! target that is slow or new costs nothing but its own rows. The scan of a target is only ahead of its worker by some
//! thousand users.

mod scan;

use crate::held_lease::HeldLease;
use crate::signals::Signals;
use directory::{
    Caller, ChangedSubject, Directory, DirectoryError, EventPosition, Follower, ItemId, PushPriority, Record,
    RemoteUser, RowQuery, RowWrite, Target, TargetProgress, UserChange, UserId, UserKey, gateway_lease_name,
};
use scan::Scan;
use std::collections::HashMap;

/// Events and users that are handled at a time: few enough to be read without another thread, whose memory the allocator
/// would keep.
pub(crate) const BATCH: u32 = RowQuery::FEW;
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
            // A change of its settings can let all users be considered again.
            if self.scans.get(&target.number).is_some_and(|scan| scan.version == target.version) {
                continue;
            }
            let query = TargetProgress::table().row(target.key());
            let progress: Vec<TargetProgress> = directory.target_records(&self.caller, query).await?;
            if let Some(progress) = progress.into_iter().next() {
                let has_ended = self.scans.get(&target.number).is_some_and(Scan::has_ended);
                self.scans.insert(target.number, Scan::new(target, progress, has_ended));
            }
        }
        Ok(())
    }

    /// Whether [`Self::scan`] has something to do for the active targets.
    pub(crate) fn has_more_users(&self, targets: &[Target]) -> bool {
        let mut active = targets.iter().filter(|target| target.is_active());
        active.any(|target| self.scans.get(&target.number).is_some_and(Scan::has_more))
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
        let with_groups = self.scans.values().any(|scan| scan.uses_groups);
        let events = directory.user_changes(&self.caller, with_groups, self.position(), BATCH).await?;
        let Some(last) = events.last().map(|event| event.position) else {
            self.read_to = newest;
            return Ok(0);
        };
        if events.iter().any(|event| event.subject == ChangedSubject::DeletedGroup) {
            self.reconsider_all(directory, lease).await?;
        }
        let marks = self.marks_of(directory, &events).await?;
        let mut writes = Vec::new();
        let mut woken = Vec::new();
        for target in targets {
            let Some(scan) = self.scans.get_mut(&target.number) else { continue };
            scan.note_numbers(marks.iter().map(|mark| mark.number));
            let known: Vec<&Mark> = marks.iter().filter(|mark| scan.has_considered(mark.number)).collect();
            let guard = scan.guard();
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

    /// Lets all users be considered again for the targets whose rules depend on groups. Who the members of a deleted group
    /// were is not known.
    async fn reconsider_all(&mut self, directory: &Directory, lease: &HeldLease) -> Result<(), DirectoryError> {
        let mut writes = vec![lease.guard()];
        for scan in self.scans.values_mut().filter(|scan| scan.uses_groups) {
            writes.extend(scan.restart());
        }
        directory.commit_task_rows(&self.caller, writes).await
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
        // Members of changed groups and organizations.
        let mut members: Vec<(UserId, EventPosition)> = Vec::new();
        for change in changes {
            match change.subject {
                ChangedSubject::User { id, number, was_active, is_active, is_deleted } => {
                    let is_removal = is_deleted || was_active && !is_active;
                    let priority = if is_removal { PushPriority::Removal } else { PushPriority::Change };
                    add((id, number), change.position, priority, is_active);
                }
                ChangedSubject::Renamed(item) => {
                    renamed.insert(item, change.position);
                }
                ChangedSubject::DeletedGroup | ChangedSubject::Other => {}
            }
            members.extend(change.members.iter().map(|user| (*user, change.position)));
        }
        // Documents show the names of organizations and groups.
        for (item, position) in renamed {
            let of_item = directory.members(&self.caller, item).await?;
            members.extend(of_item.into_iter().map(|(user, _)| (user, position)));
        }
        // They can be in the scope of a target now.
        for part in members.chunks(BATCH as usize) {
            let keys = part.iter().map(|(user, _)| UserKey::Id(*user)).collect();
            let users = directory.users(&self.caller, keys).await?;
            for (user, (_, position)) in users.iter().zip(part).filter_map(|(user, part)| Some((user.as_ref()?, part)))
            {
                let is_active = !user.status.blocks_sign_in();
                add((user.id, user.number), *position, PushPriority::Change, is_active);
            }
        }
        let mut marks: Vec<Mark> = marks.into_values().collect();
        marks.sort_by_key(|mark| mark.position);
        Ok(marks)
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

fn new_row(caller: &Caller, target: &Target, user: UserId) -> RemoteUser {
    RemoteUser::new((caller.tenant, target.number), user, shard_of(user, target.limits.shards))
}

/// The shard of a user, by the random part of the id.
pub fn shard_of(user: UserId, shards: u32) -> u32 {
    let random = user.0.as_u128() & 0xffff_ffff;
    u32::try_from(random % u128::from(shards.max(1))).unwrap_or(0)
}
