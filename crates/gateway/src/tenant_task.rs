//! The gateway of one tenant: follows its changes and runs the workers of its targets, in the process that holds the
//! tenant's lease.

use crate::clock_check::{ClockCheck, ClockStep};
use crate::follower::{BATCH, TenantFollower};
use crate::held_lease::{HeldLease, RENEWAL};
use crate::shared::Shared;
use crate::signals::stopped;
use crate::worker::Worker;
use directory::{
    Caller, Command, DirectoryError, Target, TargetChange, TargetProgress, TargetState, TenantNumber,
    gateway_lease_name,
};
use outbound::SendWindow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The time between attempts to acquire the lease.
const RETRY: Duration = Duration::from_secs(1);
/// How often a scan that waits for its target is continued.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);
/// Before a change is tried again that conflicted with a result of a worker.
const CONFLICT_DELAY: Duration = Duration::from_millis(5);
/// How long further changes are collected after some were followed: many changes then cost less.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(20);

/// Why targets are paused.
const RESTORED: &str = "the store was restored to a time before changes that the target may have";

pub(crate) struct TenantTask {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tenant: TenantNumber,
    /// The targets of the tenant that are not removed.
    pub(crate) targets: watch::Receiver<Arc<Vec<Target>>>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// A worker, with the version of the target it was started for.
struct RunningWorker {
    version: u32,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    has_begun: Arc<AtomicBool>,
}

#[derive(Default)]
struct Advance {
    /// Changes that were followed.
    followed: usize,
    has_scanned: bool,
    /// Whether something is to be tried again.
    has_conflict: bool,
}

/// By target and shard.
#[derive(Default)]
struct Workers {
    running: HashMap<(u32, u32), RunningWorker>,
    /// Workers that wait for requests that were sent before they were stopped.
    ending: HashMap<(u32, u32), JoinHandle<()>>,
}

impl TenantTask {
    pub(crate) async fn run(mut self) {
        let caller = Caller::system(directory::Purpose::Gateway, self.tenant);
        let name = gateway_lease_name(self.tenant);
        // Kept while the lease is lost, which is what a step of the clock can cause.
        let mut clock = ClockCheck::new(self.shared.directory.now(), Instant::now());
        loop {
            let directory = Arc::clone(&self.shared.directory);
            let named = (name.as_str(), self.shared.holder);
            match HeldLease::acquire(&directory, &caller, named, Duration::ZERO, SendWindow::open()).await {
                Ok(Some(mut lease)) => {
                    let mut workers = Workers::default();
                    let ended = self.run_with(&caller, &mut lease, &mut workers, &mut clock).await;
                    self.shared.metrics.set_behind(self.tenant, None);
                    workers.stop(|_, _| true);
                    futures_util::future::join_all(workers.ending.into_values().map(wait_for)).await;
                    if let Err(error) = ended {
                        tracing::warn!(
                            tenant = self.tenant.0,
                            ?error,
                            "the gateway cannot follow changes; trying again"
                        );
                    }
                    lease.release(&directory, &caller).await;
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(?error, "the gateway cannot acquire a lease; trying again"),
            }
            // The tenant has no targets any more.
            if self.targets.has_changed().is_err() {
                return;
            }
            tokio::select! {
                () = stopped(&mut self.stop) => return,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    async fn run_with(
        &mut self,
        caller: &Caller,
        lease: &mut HeldLease,
        workers: &mut Workers,
        clock: &mut ClockCheck,
    ) -> Result<(), DirectoryError> {
        let directory = Arc::clone(&self.shared.directory);
        let Some(mut follower) = self.start_follower(caller, lease).await? else { return Ok(()) };
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // As stored: what the gateway has read may be older than a pause.
        self.targets.borrow_and_update();
        let mut targets = self.stored_targets(caller).await?;
        follower.set_targets(&directory, &targets).await?;
        self.reconcile(workers, &targets);
        let mut has_new_targets = false;
        loop {
            if std::mem::take(&mut has_new_targets) {
                targets = Arc::clone(&self.targets.borrow_and_update());
                follower.set_targets(&directory, &targets).await?;
                self.reconcile(workers, &targets);
            }
            let Advance { followed, has_scanned, has_conflict } =
                self.advance(&mut follower, lease, &targets, workers).await?;
            if has_conflict {
                // A target may have been removed, which must not hold up the others.
                targets = self.stored_targets(caller).await?;
                follower.set_targets(&directory, &targets).await?;
                self.reconcile(workers, &targets);
            }
            let must_wait = has_conflict || !lease.is_held();
            let is_busy = has_scanned || followed >= BATCH as usize;
            let pause = if has_conflict {
                CONFLICT_DELAY
            } else if must_wait {
                SCAN_INTERVAL
            } else if is_busy {
                Duration::ZERO
            } else if followed > 0 {
                FOLLOW_INTERVAL
            } else if follower.has_more_users(&targets) {
                SCAN_INTERVAL
            } else {
                Duration::MAX
            };
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ok(()),
                _ = renewal.tick() => {
                    if !lease.renew(&directory, caller).await {
                        return Ok(());
                    }
                    self.reconcile(workers, &targets);
                    let newest = directory.last_event_position(caller).await?;
                    let behind = newest.0.saturating_sub(follower.position().0);
                    self.shared.metrics.set_behind(self.tenant, Some(behind));
                    if let Some(step) = clock.step(directory.now(), Instant::now()) {
                        self.adapt_to(step, caller, lease, &targets).await?;
                    }
                }
                changed = self.targets.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    has_new_targets = true;
                }
                () = directory.wait_for_events(follower.position()), if followed == 0 && !is_busy && !must_wait => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn stored_targets(&self, caller: &Caller) -> Result<Arc<Vec<Target>>, DirectoryError> {
        Ok(Arc::new(self.shared.directory.targets(caller).await?))
    }

    /// Continues where changes were followed before. `None` if the store was restored to an earlier time: it is tried again.
    async fn start_follower(
        &self,
        caller: &Caller,
        lease: &HeldLease,
    ) -> Result<Option<TenantFollower>, DirectoryError> {
        let directory = &self.shared.directory;
        let targets = self.stored_targets(caller).await?;
        if TenantFollower::is_lost(directory, caller, &targets).await? {
            self.pause_restored(caller, lease, &targets).await?;
        }
        let follower = TenantFollower::start(directory, caller.clone()).await?;
        if follower.is_ahead_of_store(directory).await? {
            self.pause_restored(caller, lease, &targets).await?;
            follower.skip_to_end(directory, lease).await?;
            return Ok(None);
        }
        Ok(Some(follower))
    }

    /// Follows the next changes, and considers the next users.
    async fn advance(
        &self,
        follower: &mut TenantFollower,
        lease: &HeldLease,
        targets: &[Target],
        workers: &Workers,
    ) -> Result<Advance, DirectoryError> {
        if !lease.is_held() {
            return Ok(Advance::default());
        }
        let Shared { directory, signals, .. } = &*self.shared;
        let followed = tolerate(follower.follow(directory, lease, targets, signals).await)?;
        let scanned =
            tolerate(follower.scan(directory, lease, targets, signals, &|target| workers.have_begun(target)).await)?;
        Ok(Advance {
            has_conflict: followed.is_none() || scanned.is_none(),
            followed: followed.unwrap_or_default(),
            has_scanned: scanned.unwrap_or_default(),
        })
    }

    async fn adapt_to(
        &self,
        step: ClockStep,
        caller: &Caller,
        lease: &HeldLease,
        targets: &[Target],
    ) -> Result<(), DirectoryError> {
        let tenant = self.tenant.0;
        match step {
            ClockStep::Back(by) => {
                tracing::warn!(tenant, seconds = by.as_secs(), "the clock was set back; attempts are moved with it");
                for target in targets {
                    self.shared.shift_due(caller, target, lease, by).await?;
                    self.shared.signals.wake(self.tenant, target.number);
                }
            }
            ClockStep::Forward(by) => {
                tracing::warn!(
                    tenant,
                    seconds = by.as_secs(),
                    "the clock was set forward, or the machine was suspended"
                );
            }
        }
        Ok(())
    }

    /// Pauses the targets of a restored store: they may have newer states. Once they are resumed, all users are
    /// considered again.
    async fn pause_restored(
        &self,
        caller: &Caller,
        lease: &HeldLease,
        targets: &[Target],
    ) -> Result<(), DirectoryError> {
        tracing::error!(
            tenant = self.tenant.0,
            "the store is older than what its targets got; they are paused (`muster target resume` continues)"
        );
        for target in targets.iter().filter(|target| target.is_active()) {
            let state = TargetState::Paused { reason: RESTORED.into() };
            let change = TargetChange {
                before: Some(target.clone()),
                after: Target { state, ..target.clone() },
                secrets: Vec::new(),
            };
            self.shared.directory.run(caller, Command::PutTarget(Box::new(change))).await?;
        }
        let progress = targets.iter().map(|target| TargetProgress::new(target.tenant, target.number).begin_again());
        let writes = std::iter::once(lease.guard()).chain(progress).collect();
        self.shared.directory.commit_task_rows(caller, writes).await
    }

    /// Starts workers for new and changed targets, and stops those of others.
    fn reconcile(&self, workers: &mut Workers, targets: &[Target]) {
        // A worker ends by itself only if it panics.
        workers.running.retain(|_, worker| !worker.task.is_finished());
        workers.stop(|number, version| {
            !targets.iter().any(|it| it.number == number && it.version == version && it.is_active())
        });
        for target in targets.iter().filter(|target| target.is_active()) {
            for shard in 0..target.limits.shards {
                let key = (target.number, shard);
                workers.running.entry(key).or_insert_with(|| {
                    let (shared, has_begun) = (Arc::clone(&self.shared), Arc::new(AtomicBool::new(false)));
                    let target_of_worker = Arc::new(target.clone());
                    let worker = Worker { shared, target: target_of_worker, shard, has_begun: Arc::clone(&has_begun) };
                    let (stop, stopped) = watch::channel(false);
                    let former = workers.ending.remove(&key);
                    let task = tokio::spawn(async move {
                        // Both would have the same lease.
                        if let Some(former) = former {
                            wait_for(former).await;
                        }
                        worker.run(stopped).await;
                    });
                    RunningWorker { version: target.version, stop, task, has_begun }
                });
            }
        }
    }
}

impl Workers {
    /// Whether all workers of a target push by its current settings.
    fn have_begun(&self, target: &Target) -> bool {
        let has_begun =
            |worker: &RunningWorker| worker.version == target.version && worker.has_begun.load(Ordering::Acquire);
        (0..target.limits.shards).all(|shard| self.running.get(&(target.number, shard)).is_some_and(has_begun))
    }

    /// Stops the workers of some targets, by number and version. They end once the requests that were sent have ended.
    fn stop(&mut self, is_stopped: impl Fn(u32, u32) -> bool) {
        self.ending.retain(|_, task| !task.is_finished());
        for (key, worker) in self.running.extract_if(|key, worker| is_stopped(key.0, worker.version)) {
            // Fails only if it has ended.
            let _ = worker.stop.send(true);
            self.ending.insert(key, worker.task);
        }
    }
}

/// `None`: another process has changed the same rows, or has the lease. Trying again shows which.
fn tolerate<T>(result: Result<T, DirectoryError>) -> Result<Option<T>, DirectoryError> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(DirectoryError::Conflict | DirectoryError::Busy { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn wait_for(worker: JoinHandle<()>) {
    if let Err(error) = worker.await {
        tracing::error!(%error, "a worker of the gateway has panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master_key::MasterKeySource;
    use directory::{
        Directory, EventPosition, PushFault, PushPriority, Record, RemoteUser, TargetProgress, Time, UserId,
    };
    use testkit::fakes::{CountingIds, ManualClock, PlainHasher};
    use uuid::Uuid;

    struct Fixture {
        shared: Arc<Shared>,
        caller: Caller,
        target: Target,
    }

    impl Fixture {
        async fn new() -> Self {
            let (store, clock) = (Arc::new(store::Memory::new()), Arc::new(ManualClock::default()));
            let directory = Directory::new(store, clock, Arc::new(CountingIds::default()), Arc::new(PlainHasher));
            let directory = Arc::new(directory);
            let new = Command::AddTenant { name: "Acme".into(), number: None };
            directory.run(&Caller::installation(), new).await.expect("a tenant");
            let tenant = TenantNumber(1);
            let (after, secret) = testkit::fakes::target(tenant, "forms");
            let add = TargetChange { before: None, after, secrets: vec![secret] };
            directory.run(&Caller::operator(tenant), Command::PutTarget(Box::new(add))).await.expect("a target");
            let caller = Caller::system(directory::Purpose::Gateway, tenant);
            let target = directory.targets_and_removed(&caller).await.expect("read").remove(0);
            let shared = Arc::new(Shared {
                holder: Uuid::from_u128(1),
                directory,
                keys: MasterKeySource(None),
                signals: crate::signals::Signals::default(),
                metrics: Arc::default(),
                attempts: crate::attempt_limit::AttemptLimit::default(),
            });
            Self { shared, caller, target }
        }

        fn target_key(&self) -> (TenantNumber, u32) {
            (self.target.tenant, self.target.number)
        }

        async fn stored_target(&self) -> Target {
            self.shared.directory.targets_and_removed(&self.caller).await.expect("read").remove(0)
        }

        async fn progress(&self) -> TargetProgress {
            let query = TargetProgress::table().row(self.target.key());
            self.shared.directory.target_records(&self.caller, query).await.expect("read").remove(0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_targets_of_a_restored_store_are_paused_and_then_begin_again() {
        let fixture = Fixture::new().await;
        let directory = &fixture.shared.directory;
        // Changes were followed that the store does not have any more.
        let follower = TenantFollower::start(directory, fixture.caller.clone()).await.expect("started");
        assert!(!follower.is_ahead_of_store(directory).await.expect("read"));
        let name = gateway_lease_name(fixture.caller.tenant);
        let stored = directory.follower(&fixture.caller, &name, EventPosition(0)).await.expect("read");
        let progress = fixture.progress().await.advance_scan(7);
        let far = EventPosition(1_000_000);
        directory.advance_follower(&fixture.caller, &stored, far, vec![progress]).await.expect("advanced");

        let (targets, receiver) = watch::channel(Arc::new(vec![fixture.stored_target().await]));
        let (stop, stopped) = watch::channel(false);
        let task = TenantTask {
            shared: Arc::clone(&fixture.shared),
            tenant: fixture.caller.tenant,
            targets: receiver,
            stop: stopped,
        };
        let running = tokio::spawn(task.run());
        tokio::time::sleep(Duration::from_secs(3)).await;
        let paused = fixture.stored_target().await;
        assert!(matches!(&paused.state, TargetState::Paused { reason } if reason.contains("restored")));
        assert_eq!((fixture.progress().await.scanned, fixture.progress().await.was_empty), (0, Some(false)));
        let follower = TenantFollower::start(directory, fixture.caller.clone()).await.expect("started");
        assert!(!follower.is_ahead_of_store(directory).await.expect("read"));
        stop.send(true).expect("running");
        running.await.expect("ended");
        drop(targets);
    }

    #[tokio::test]
    async fn attempts_move_with_a_clock_that_was_set_back() {
        let fixture = Fixture::new().await;
        let directory = &fixture.shared.directory;
        let hour = 3600;
        let start = directory.now();
        // Marked an hour later, and one that waits for ten minutes after a fault.
        let row = |n: u128, seconds: i64| {
            let mut row = RemoteUser::new(fixture.target_key(), UserId(Uuid::from_u128(n)), 0);
            row.mark(EventPosition(1), PushPriority::Change, start.plus_seconds(seconds));
            row
        };
        let mut late = row(2, hour + 600);
        late.fault = PushFault::Temporary;
        let writes = vec![row(1, hour).insert().expect("encoded"), late.insert().expect("encoded")];
        directory.commit_task_rows(&fixture.caller, writes).await.expect("stored");
        let named = ("gateway/1", Uuid::from_u128(1));
        let window = SendWindow::open();
        let lease = HeldLease::acquire(directory, &fixture.caller, named, Duration::ZERO, window).await;
        let lease = lease.expect("read").expect("free");
        let shift = fixture.shared.shift_due(&fixture.caller, &fixture.target, &lease, Duration::from_hours(1));
        shift.await.expect("moved");
        let query = RemoteUser::next_due(fixture.target_key(), 0, PushPriority::Change).limit(10);
        let rows: Vec<RemoteUser> = directory.target_records(&fixture.caller, query).await.expect("read");
        let due: Vec<Option<Time>> = rows.iter().map(|row| row.due).collect();
        assert_eq!(due, [Some(start), Some(start.plus_seconds(600))]);
    }
}
