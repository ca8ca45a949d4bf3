//! The gateway of one tenant: follows its changes and runs the workers of its targets, in the process that holds the
//! tenant's lease.

use crate::follower::TenantFollower;
use crate::held_lease::{HeldLease, RENEWAL};
use crate::shared::Shared;
use crate::signals::stopped;
use crate::worker::Worker;
use directory::{Caller, DirectoryError, Target, TenantNumber};
use outbound::SendWindow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often another process is asked for its lease.
const RETRY: Duration = Duration::from_secs(1);
/// How often a scan that waits for its target is continued.
const SCAN_INTERVAL: Duration = Duration::from_millis(50);

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
}

type Workers = HashMap<(u32, u32), RunningWorker>;

impl TenantTask {
    pub(crate) async fn run(mut self) {
        let caller = Caller::system(directory::Purpose::Gateway, self.tenant);
        let name = format!("gateway/{}", self.tenant);
        loop {
            let directory = Arc::clone(&self.shared.directory);
            let named = (name.as_str(), self.shared.holder);
            match HeldLease::acquire(&directory, &caller, named, Duration::ZERO, SendWindow::open()).await {
                Ok(Some(mut lease)) => {
                    let mut workers = Workers::new();
                    let ended = self.run_with(&caller, &mut lease, &mut workers).await;
                    stop_workers(workers.into_values()).await;
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
    ) -> Result<(), DirectoryError> {
        let directory = Arc::clone(&self.shared.directory);
        let mut follower = TenantFollower::start(&directory, caller.clone()).await?;
        let mut renewal = tokio::time::interval(RENEWAL);
        renewal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut targets = Arc::clone(&self.targets.borrow_and_update());
        follower.set_targets(&directory, &targets).await?;
        self.reconcile(workers, &targets).await;
        let mut has_new_targets = false;
        loop {
            if std::mem::take(&mut has_new_targets) {
                targets = Arc::clone(&self.targets.borrow_and_update());
                follower.set_targets(&directory, &targets).await?;
                self.reconcile(workers, &targets).await;
            }
            let (mut is_busy, mut has_conflict) = (false, false);
            if lease.is_held() {
                let followed = follower.follow(&directory, lease, &targets, &self.shared.signals).await;
                has_conflict |= tolerate(followed, &mut is_busy)?;
                let scanned = follower.scan(&directory, lease, &targets, &self.shared.signals).await;
                has_conflict |= tolerate(scanned, &mut is_busy)?;
            }
            let must_wait = has_conflict || !lease.is_held();
            let pause = match (is_busy && !must_wait, must_wait || follower.has_more_users(&targets)) {
                (true, _) => Duration::ZERO,
                (false, true) => SCAN_INTERVAL,
                (false, false) => Duration::MAX,
            };
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return Ok(()),
                _ = renewal.tick() => {
                    if !lease.renew(&directory, caller).await {
                        return Ok(());
                    }
                }
                changed = self.targets.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    has_new_targets = true;
                }
                () = directory.wait_for_events(follower.position()), if !is_busy && !must_wait => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Starts workers for new and changed targets, and stops those of others.
    async fn reconcile(&self, workers: &mut Workers, targets: &[Target]) {
        let is_current = |(number, _): &(u32, u32), running: &RunningWorker| {
            targets.iter().any(|it| it.number == *number && it.version == running.version && it.is_active())
        };
        let ended: Vec<(u32, u32)> =
            workers.iter().filter(|(key, running)| !is_current(key, running)).map(|(key, _)| *key).collect();
        stop_workers(ended.into_iter().filter_map(|key| workers.remove(&key))).await;
        for target in targets.iter().filter(|target| target.is_active()) {
            for shard in 0..target.limits.shards {
                workers.entry((target.number, shard)).or_insert_with(|| {
                    let worker = Worker { shared: Arc::clone(&self.shared), target: Arc::new(target.clone()), shard };
                    let (stop, stopped) = watch::channel(false);
                    RunningWorker { version: target.version, stop, task: tokio::spawn(worker.run(stopped)) }
                });
            }
        }
    }
}

/// Whether another process has changed the same rows, or has the lease: trying again shows which.
fn tolerate(result: Result<bool, DirectoryError>, is_busy: &mut bool) -> Result<bool, DirectoryError> {
    match result {
        Ok(has_worked) => {
            *is_busy |= has_worked;
            Ok(false)
        }
        Err(DirectoryError::Conflict | DirectoryError::Busy { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn stop_workers(workers: impl Iterator<Item = RunningWorker>) {
    let tasks = workers.map(|running| {
        // Fails only if it has ended.
        let _ = running.stop.send(true);
        running.task
    });
    for ended in futures_util::future::join_all(tasks).await {
        if let Err(error) = ended {
            tracing::error!(%error, "a worker of the gateway has panicked");
        }
    }
}
